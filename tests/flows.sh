#!/usr/bin/env bash
# Runs complete sign-ins with real clients, each with its own OAuth implementation, and a real browser, against the real
# gateway and a simulated OwnerRez. Each client starts with only the address of the gateway and goes through
# registration, consent, OwnerRez's approval and a code to a tool call, then a refresh and a revocation. One more
# sign-in uses a published client metadata document and signatures in place of the registration. Prints one line per
# step. Needs chromium; set CHROMIUM if it is not at Debian's path.
#
# With SCREENSHOTS=DIRECTORY in the environment, saves screenshots of the pages in that directory.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
source tests/clients/install.sh

cargo build --quiet --locked --bin ownerrez-gateway --example gateway_among_documents
install_from_npm
install_from_pypi
find_node
[ -z "${SCREENSHOTS:-}" ] || { mkdir -p "$SCREENSHOTS" && SCREENSHOTS=$(realpath "$SCREENSHOTS"); }

background simulator target/debug/ownerrez-gateway simulate-ownerrez --port 0 --json
wait_for simulator ownerrez_url
port=$(free_port)
# Short, so that clients have to refresh during this run.
start_gateway gateway simulator "$port" <<END
[oauth]
access_token_minutes = 1
END

export MCP_URL=http://127.0.0.1:$port/mcp ACCOUNT NODE=$node
ownerrez=$(member ownerrez_url <"$scratch/simulator.out")
ACCOUNT=$(curl --silent --show-error --fail "$ownerrez/_control/accounts" \
    | grep -o '"id":[0-9]*' | head -n 1 | tr -dc 0-9)
# Node.js looks for packages next to the importing file.
cp -R tests/flows "$scratch/flows"
ln -s "$modules" "$scratch/flows/node_modules"
# The browser stores its profile there.
export HOME=$scratch TMPDIR=$scratch

say_what_was_said() {
    cat "$scratch"/with_*.out "$scratch"/with_*.log "$scratch/gateway.log"
}
at_failure=say_what_was_said
in_flows() {
    cd "$scratch/flows" && exec timeout 240 "$@"
}
# The second client signs in while the first is signed in to the same account; then both wait for their tokens to
# expire.
background with_client in_flows "$node" with_client.mjs
wait_for with_client "signed in and calls"
background with_mcp in_flows "$python" with_mcp.py
# Meanwhile the user opens the account page.
account=${MCP_URL%/mcp}/account
in_account=("Your account=Sign in with OwnerRez" "Allow access to your account?=Approve" "Your account=Sign out")
(in_flows "$node" browser.mjs "$account" "$account" "${in_account[@]}") || fail "the account page did not work"
# A client that is identified by its metadata document, which must be at a public https address. It uses the same
# program with a simulated network that has such an address.
mkdir "$scratch/client"
(in_flows "$node" document.mjs "$scratch/client")
other_port=$(free_port)
background among_documents env PORT="$other_port" DATABASE_URL="sqlite://$scratch/among_documents.db" \
    OWNERREZ_API_URL="$ownerrez" OWNERREZ_APP_URL="$ownerrez" \
    OWNERREZ_CLIENT_ID="$(member client_id <"$scratch/simulator.out")" \
    OWNERREZ_CLIENT_SECRET="$(member client_secret <"$scratch/simulator.out")" \
    target/debug/examples/gateway_among_documents "$scratch/gateway.toml" \
    "https://client.example/client.json=$scratch/client/client.json" "https://client.example/jwks.json=$scratch/client/jwks.json"
wait_until_ready among_documents "http://127.0.0.1:$other_port"
background with_document in_flows env MCP_URL="http://127.0.0.1:$other_port/mcp" KEY="$scratch/client/key.pem" \
    "$node" with_client.mjs
wait "$with_client" || fail "@modelcontextprotocol/client did not come through"
wait "$with_mcp" || fail "PyPI mcp did not come through"
wait "$with_document" || fail "@modelcontextprotocol/client with a document did not come through"
echo "ok      a browser: signs in to the account page and out"
grep -h '^ok ' "$scratch/with_client.out" "$scratch/with_mcp.out" "$scratch/with_document.out"
stop gateway
stop among_documents
stop simulator
echo "everybody got in, and out again"
