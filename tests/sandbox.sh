#!/usr/bin/env bash
# Runs the README's first command for real: `sandbox` starts the gateway and a simulated OwnerRez with a connected demo
# account, and prints one line of JSON with the address (mcp_url) and the key (api_key). This script calls a tool with
# those values, gets the demo account's user, and stops the gateway.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

say_what_it_said() {
    [ ! -s "$scratch/gateway.log" ] || { echo "--- what the gateway said last:" >&2; tail -n 40 "$scratch/gateway.log" >&2; }
}
at_failure=say_what_it_said

# Built first, so that the wait for the line below includes only the gateway.
cargo build --release --locked
# On Unix `cargo run` replaces itself with the program that it runs: its process id is the gateway's.
background gateway cargo run --quiet --release --locked -- sandbox --port 0 --json
wait_for gateway mcp_url
mcp_url=$(member mcp_url <"$scratch/gateway.out")
api_key=$(member api_key <"$scratch/gateway.out")
[ -n "$mcp_url" ] && [ -n "$api_key" ] || fail "no mcp_url and api_key in what it printed"

# The request id is a word, so that the only numeric id in the response is the user's.
answer=$(curl --silent --show-error --fail-with-body --max-time 30 "$mcp_url" \
    --header "Authorization: Bearer $api_key" \
    --header "Content-Type: application/json" \
    --header "Accept: application/json, text/event-stream" \
    --header "MCP-Protocol-Version: 2025-11-25" \
    --data '{"jsonrpc":"2.0","id":"story","method":"tools/call","params":{"name":"get_current_user","arguments":{}}}') \
    || fail "the call failed: ${answer:-}"
# The user may be in a text that is itself JSON: removing the backslashes makes both forms equal.
plain=$(printf '%s' "$answer" | tr -d '\\')
grep -Eq '"result" *: *\{' <<<"$plain" || fail "no result in: $answer"
! grep -Eq '"isError" *: *true' <<<"$plain" || fail "the tool failed: $answer"
grep -Eq '"id" *: *[0-9]+' <<<"$plain" || fail "no user in: $answer"

stop gateway

# The same as a person does it: the printed text, and the curl line in it, pasted as printed.
background gateway cargo run --quiet --release --locked -- sandbox --port 0
wait_for gateway "Ctrl-C to stop both"
pasted=$(sed -n 's/^  \(curl .*\)$/\1/p' "$scratch/gateway.out")
[ -n "$pasted" ] || fail "no curl line in what it printed"
account=$(sed -n 's/.*connected to the demo account \(.*\)\.$/\1/p' "$scratch/gateway.out")
answer=$(bash -c "$pasted") || fail "the printed curl line failed"
# Without a protocol version the response has only text: the user is JSON within it.
grep -q "\"name\":\"$account\"" <<<"$(printf '%s' "$answer" | tr -d '\\')" || fail "the printed curl line did not give the user $account: $answer"
stop gateway

# A large portfolio, measured from the start of the process to its first response.
started=${EPOCHREALTIME/[.,]/}
background simulator target/release/ownerrez-gateway simulate-ownerrez --port 0 --json \
    --properties 200 --bookings 20000 --seed 7 --variations thread_only,no_time_zone
wait_for simulator ownerrez_url
ownerrez=$(member ownerrez_url <"$scratch/simulator.out")
take_account "$ownerrez"
page=$(curl --silent --show-error --fail-with-body --user "$EMAIL:$TOKEN" "$ownerrez/v2/properties?limit=1") \
    || fail "the large account does not answer: ${page:-}"
took=$(( (${EPOCHREALTIME/[.,]/} - started) / 1000 ))
grep -q '"count":200' <<<"$page" || fail "the large account has not 200 properties: $page"
[ "$took" -le 3000 ] || fail "the large account took $took ms to answer, more than 3000"
stop simulator

echo "the sandbox answered and stopped; a large account answered after $took ms"
