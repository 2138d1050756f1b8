#!/usr/bin/env bash
# Runs the conformance suite's `authorization` command against the gateway's own authorization server: its metadata, and
# a complete authorization code grant for a client that the operator configured, including the consent page and the
# approval of a simulated OwnerRez. Every check must pass; a warning or a skipped check also fails.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
source tests/clients/install.sh

cargo build --quiet --locked
install_from_npm
find_node
suite=$modules/@modelcontextprotocol/conformance/dist/index.js

background simulator target/debug/ownerrez-gateway simulate-ownerrez --port 0 --json
wait_for simulator ownerrez_url
port=$(free_port)
callback_port=$(free_port)
issuer=http://127.0.0.1:$port
start_gateway gateway simulator "$port" <<END
[oauth]
clients = [{ id = "conformance", name = "Conformance suite", redirect_uris = ["http://127.0.0.1:$callback_port/callback"] }]
END

results=$scratch/results
background suite timeout 120 "$node" "$suite" authorization --url "$issuer" --client-id conformance \
    --resource "$issuer/mcp" -p "$callback_port" --output-dir "$results"
say_what_the_suite_said() {
    cat "$scratch/suite.out" "$scratch/suite.log"
}
at_failure=say_what_the_suite_said
wait_for suite "Waiting up to"
"$node" tests/flows/walk.mjs "$(grep -m 1 "^$issuer/authorize?" "$scratch/suite.out")" || fail "nobody could agree"
wait "$suite" || fail "does not conform"
"$node" tests/flows/results.mjs "$results" authorization-server-metadata authorization-server-metadata-cimd \
    authorization-code-grant || fail "not everything was checked and well"
stop gateway
stop simulator
echo "the authorization server conforms"
