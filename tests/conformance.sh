#!/usr/bin/env bash
# Runs the protocol's conformance suite, with the server requirements of 2025-11-25 and 2026-07-28, against
#
# - a fixture with the tools, prompts and resources that the suite requires, behind the gateway's own endpoint, and
# - the real gateway, which has different tools.
#
# Checks that cannot pass are listed with the reason in the baselines in tests/conformance/; a listed check that passes
# is also a failure.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
source tests/clients/install.sh

cargo build --quiet --locked --bin ownerrez-gateway --example conformance_fixture
install_from_npm
find_node
suite=$modules/@modelcontextprotocol/conformance/dist/index.js

# Runs the suite against URL $2, named $1 in the output, with the baseline $3; further arguments go to the suite.
conform() {
    local name=$1 url=$2 baseline=$3
    shift 3
    if timeout 240 "$node" "$suite" server --url "$url" --expected-failures "tests/conformance/$baseline.yaml" "$@" \
        >"$scratch/conformance.log" 2>&1; then
        echo "ok      $name: $*"
    else
        sed '/^$/d; /Running /d' "$scratch/conformance.log" | cut -c 1-300 | tail -n 120
        echo "FAILED  $name: $*"
        failed=yes
    fi
}
failed=

background fixture target/debug/examples/conformance_fixture
wait_for fixture "fixture at"
url=$(sed 's/^fixture at //' "$scratch/fixture.out")
conform fixture "$url" fixture-2025-11-25 --requirements 2025-11-25
conform fixture "$url" nothing --requirements 2026-07-28
# Not yet required by either revision.
for scenario in json-schema-2020-12 http-header-validation http-custom-header-server-validation; do
    conform fixture "$url" nothing --scenario "$scenario" --spec-version 2026-07-28
done

# The suite sends no key, so a proxy in front of the gateway adds one. SERVER_URL is the proxy's address, as with any
# proxy.
background simulator target/debug/ownerrez-gateway simulate-ownerrez --port 0 --json
wait_for simulator ownerrez_url
ownerrez=$(member ownerrez_url <"$scratch/simulator.out")
port=$(free_port)
background proxy "$node" tests/conformance/proxy.mjs "http://127.0.0.1:$port" "$scratch/api_key"
wait_for proxy "proxy at"
url=$(sed 's/^proxy at //' "$scratch/proxy.out")
background gateway env PORT="$port" SERVER_URL="${url%/mcp}" DATABASE_URL="sqlite://$scratch/gateway.db" \
    OWNERREZ_API_URL="$ownerrez" OWNERREZ_APP_URL="$ownerrez" target/debug/ownerrez-gateway serve
wait_until_ready gateway "http://127.0.0.1:$port"
register "http://127.0.0.1:$port" conformance | member api_key >"$scratch/api_key"
take_account "$ownerrez"
curl --silent --show-error --fail --output /dev/null "http://127.0.0.1:$port/api/connect/ownerrez/token" \
    --header "Authorization: Bearer $(cat "$scratch/api_key")" --header 'Content-Type: application/json' \
    --data "{\"email\": \"$EMAIL\", \"token\": \"$TOKEN\"}" || fail "the account was not connected"
conform gateway "$url" gateway-2025-11-25 --requirements 2025-11-25
conform gateway "$url" gateway-2026-07-28 --requirements 2026-07-28
conform gateway "$url" nothing --scenario http-header-validation --spec-version 2026-07-28
conform gateway "$url" gateway-json-schema --scenario json-schema-2020-12 --spec-version 2026-07-28

[ -z "$failed" ] || fail "does not conform"
stop gateway
echo "the endpoint and the gateway conform"
