#!/usr/bin/env bash
# Runs real MCP clients against the real gateway, as their users would. With a bearer key, each client lists the tools,
# reads, writes, and must get a useful error for a wrong argument and for an account that is not connected. Prints one
# line per check. The clients include versions from last year that are still in use and accept no members of newer
# revisions, and mcp-remote, which also signs in.
#
# The clients are pinned in tests/clients/ and installed below target/. Arguments: the clients to run, instead of all.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
source tests/clients/install.sh

cargo build --quiet --locked
install_from_npm
install_from_pypi
install_older_from_pypi
install_schema_readers
find_node

export TMPDIR=$scratch
background gateway target/debug/ownerrez-gateway sandbox --port 0 --json
wait_for gateway mcp_url
export MCP_URL CONNECTED_KEY UNCONNECTED_KEY MODULES
MCP_URL=$(member mcp_url <"$scratch/gateway.out")
CONNECTED_KEY=$(member api_key <"$scratch/gateway.out")
UNCONNECTED_KEY=$(register "${MCP_URL%/mcp}" "not connected" | member api_key)
[ -n "$UNCONNECTED_KEY" ] || fail "the second user got no key"
# The inspector stores files in the home directory. Node.js looks for packages next to the importing file.
export HOME=$scratch
MODULES=$modules
cp -R tests/clients "$scratch/clients"
cp tests/flows/walk.mjs "$scratch/clients/"
# When a client opens a browser, a script fills in the pages.
cat >"$scratch/browser" <<END
#!/bin/sh
exec "$node" "$scratch/clients/walk.mjs" "\$1" >>"$scratch/browser.log" 2>&1
END
chmod +x "$scratch/browser"
export BROWSER=$scratch/browser
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
try sdk-1.18.1 "$node" sdk.mjs 2025-06-18 sdk-1.18.1
try sdk-1.10.2 "$node" sdk.mjs 2025-03-26 sdk-1.10.2
try mcp-remote-key "$node" remote.mjs key
try mcp-remote-sign-in "$node" remote.mjs sign-in
try mcp-remote-slash "$node" remote.mjs slash
try inspector "$node" inspector.mjs legacy
try inspector-modern "$node" inspector.mjs modern
try mcp "$python" with_mcp.py 2025-11-25
try mcp-modern "$python" with_mcp.py 2026-07-28
try mcp-1.15.0 "$clients/mcp-1.15.0/bin/python" with_older_mcp.py 2025-06-18
try mcp-1.8.1 "$clients/mcp-1.8.1/bin/python" with_older_mcp.py 2024-11-05
try fastmcp "$python" with_fastmcp.py 2026-07-28
try schemas "$clients/schemas/bin/python" with_schemas.py
[ "$tried" != 0 ] || fail "there is no client of that name: ${chosen[*]}"
[ ${#failed[@]} = 0 ] || fail "failed with: ${failed[*]}"
stop gateway
echo "all clients are well served"
