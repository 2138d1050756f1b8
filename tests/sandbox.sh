#!/usr/bin/env bash
# The README's first command, for real: `sandbox` starts the gateway beside a simulated OwnerRez with a demo account
# connected, and says on one line of JSON where it is (mcp_url) and with which key (api_key). A stranger calls a tool
# with those, gets the demo account's user, and stops it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

scratch=$(mktemp -d)
gateway=

clean_up() {
    local outcome=$?
    trap - EXIT
    if [ -n "$gateway" ]; then
        kill -KILL "$gateway" 2>/dev/null || true
    fi
    if [ "$outcome" != 0 ] && [ -s "$scratch/stderr" ]; then
        echo "--- what the gateway said last:" >&2
        tail -n 40 "$scratch/stderr" >&2
    fi
    rm -rf "$scratch"
    exit "$outcome"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

fail() {
    echo "sandbox.sh: $*" >&2
    exit 1
}

# Ends it as an operator would; it must go in good order.
stop() {
    kill -TERM "$gateway"
    for _ in $(seq 300); do
        kill -0 "$gateway" 2>/dev/null || break
        sleep 0.1
    done
    ! kill -0 "$gateway" 2>/dev/null || fail "it still runs half a minute after SIGTERM"
    status=0
    wait "$gateway" || status=$?
    gateway=
    [ "$status" = 0 ] || fail "it ended with status $status after SIGTERM"
}

# The text of one member of a JSON object on one line.
member() {
    sed -n "s/.*\"$1\" *: *\"\([^\"]*\)\".*/\1/p" "$scratch/stdout" | head -n 1
}

# Built first, so that waiting for the line below is waiting for the gateway only.
cargo build --release --locked
# On Unix `cargo run` becomes the program it runs: its process id is the gateway's.
cargo run --quiet --release --locked -- sandbox --port 0 --json >"$scratch/stdout" 2>"$scratch/stderr" &
gateway=$!

mcp_url=
for _ in $(seq 300); do
    mcp_url=$(member mcp_url)
    [ -z "$mcp_url" ] || break
    if ! kill -0 "$gateway" 2>/dev/null; then
        gateway=
        fail "it ended before it said where it is"
    fi
    sleep 0.2
done
api_key=$(member api_key)
[ -n "$mcp_url" ] && [ -n "$api_key" ] || fail "no line with mcp_url and api_key within a minute"

# The id is a word, so that the only number called id in the answer is the user's.
answer=$(curl --silent --show-error --fail-with-body --max-time 30 "$mcp_url" \
    --header "Authorization: Bearer $api_key" \
    --header "Content-Type: application/json" \
    --header "Accept: application/json, text/event-stream" \
    --header "MCP-Protocol-Version: 2025-11-25" \
    --data '{"jsonrpc":"2.0","id":"story","method":"tools/call","params":{"name":"get_current_user","arguments":{}}}') \
    || fail "the call failed: ${answer:-}"
# The user may stand in a text that is JSON itself: without its backslashes it reads the same.
plain=$(printf '%s' "$answer" | tr -d '\\')
grep -Eq '"result" *: *\{' <<<"$plain" || fail "no result in: $answer"
! grep -Eq '"isError" *: *true' <<<"$plain" || fail "the tool failed: $answer"
grep -Eq '"id" *: *[0-9]+' <<<"$plain" || fail "no user in: $answer"

stop

# And as a person does it: the printed text, and the curl line in it, pasted as it stands.
: >"$scratch/stdout"
cargo run --quiet --release --locked -- sandbox --port 0 >"$scratch/stdout" 2>"$scratch/stderr" &
gateway=$!
for _ in $(seq 300); do
    grep -q "Ctrl-C stops both" "$scratch/stdout" && break
    kill -0 "$gateway" 2>/dev/null || { gateway=; fail "it ended before it said what to do"; }
    sleep 0.2
done
pasted=$(sed -n 's/^  \(curl .*\)$/\1/p' "$scratch/stdout")
[ -n "$pasted" ] || fail "no curl line in what it printed"
account=$(sed -n 's/.*connected to the demo account \(.*\)\.$/\1/p' "$scratch/stdout")
answer=$(bash -c "$pasted") || fail "the printed curl line failed"
grep -q "\"name\":\"$account\"" <<<"$answer" || fail "the printed curl line did not give the user $account: $answer"
stop

echo "the sandbox answered and stopped"
