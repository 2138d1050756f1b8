#!/usr/bin/env bash
# Real MCP clients against the real gateway, as their users would run them: each lists the tools, reads, writes, and is
# told what is wrong by a wrong argument and by an account that is not connected, with a bearer key. A line per check.
# The clients are pinned in tests/clients/ and installed below target/. Arguments: the clients to run, instead of all.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
source tests/clients/install.sh

cargo build --quiet --locked
install_from_npm
install_from_pypi
find_node

export TMPDIR=$scratch
background gateway target/debug/ownerrez-gateway sandbox --port 0 --json
wait_for gateway mcp_url
export MCP_URL CONNECTED_KEY UNCONNECTED_KEY MODULES
MCP_URL=$(member mcp_url <"$scratch/gateway.out")
CONNECTED_KEY=$(member api_key <"$scratch/gateway.out")
UNCONNECTED_KEY=$(register "${MCP_URL%/mcp}" "not connected" | member api_key)
[ -n "$UNCONNECTED_KEY" ] || fail "the second user got no key"
# The inspector keeps files in the home directory; Node.js looks for packages beside the file that imports them.
export HOME=$scratch
MODULES=$modules
cp -R tests/clients "$scratch/clients"
ln -s "$modules" "$scratch/clients/node_modules"

chosen=("$@")
tried=0
failed=()
try() {
    local client=$1
    shift
    [ ${#chosen[@]} = 0 ] || [[ " ${chosen[*]} " == *" $client "* ]] || return 0
    tried=$((tried + 1))
    echo "--- $client"
    timeout 120 "$@" || failed+=("$client")
}
cd "$scratch/clients"
try client-default "$node" client.mjs 2025-11-25
try client-pinned "$node" client.mjs 2026-07-28 pinned
try client-auto "$node" client.mjs 2026-07-28 auto
try sdk "$node" sdk.mjs 2025-11-25
try inspector "$node" inspector.mjs legacy
try inspector-modern "$node" inspector.mjs modern
try mcp "$python" with_mcp.py 2025-11-25
try mcp-modern "$python" with_mcp.py 2026-07-28
try fastmcp "$python" with_fastmcp.py 2026-07-28
[ "$tried" != 0 ] || fail "there is no client of that name: ${chosen[*]}"
[ ${#failed[@]} = 0 ] || fail "failed with: ${failed[*]}"
stop gateway
echo "all clients are well served"
