#!/usr/bin/env bash
# Whole sign-ins with real clients, each with its own implementation of OAuth, and a real browser, against the real
# gateway and a simulated OwnerRez: from nothing but the address, by registration, consent, OwnerRez's approval and a
# code, to a tool; then a refresh, and the end by revocation. Once more with a published document and signatures in place
# of the registration. A line per step. Needs chromium; CHROMIUM in the environment tells where it is, if not where Debian
# has it.
# With SCREENSHOTS=DIRECTORY in the environment, pictures of the pages are left there.
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
# Short, so that clients have to refresh while somebody watches.
start_gateway gateway simulator "$port" <<END
[oauth]
access_token_minutes = 1
END

export MCP_URL=http://127.0.0.1:$port/mcp ACCOUNT NODE=$node
ownerrez=$(member ownerrez_url <"$scratch/simulator.out")
ACCOUNT=$(curl --silent --show-error --fail "$ownerrez/_control/accounts" \
    | grep -o '"id":[0-9]*' | head -n 1 | tr -dc 0-9)
# Node.js looks for packages beside the file that imports them.
cp -R tests/flows "$scratch/flows"
ln -s "$modules" "$scratch/flows/node_modules"
# The browser keeps its profile there.
export HOME=$scratch TMPDIR=$scratch

say_what_was_said() {
    cat "$scratch"/with_*.out "$scratch"/with_*.log "$scratch/gateway.log"
}
at_failure=say_what_was_said
in_flows() {
    cd "$scratch/flows" && exec timeout 240 "$@"
}
# The second signs in while the first is signed in to the same account; then both wait for their tokens' end together.
background with_client in_flows "$node" with_client.mjs
wait_for with_client "signed in and calls"
background with_mcp in_flows "$python" with_mcp.py
# Meanwhile its user looks after what is theirs.
account=${MCP_URL%/mcp}/account
in_account=("Your account=Sign in with OwnerRez" "Allow access to your account?=Approve" "Your account=Sign out")
(in_flows "$node" browser.mjs "$account" "$account" "${in_account[@]}") || fail "the account page did not work"
# A client that is known by its document, which must stand at a public https address: to the same program in a world where
# one does.
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
