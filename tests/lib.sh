# Shared functions of the scripts in this directory. Each script sources this file first: it makes the shell strict,
# changes to the project's directory, and makes sure that processes started with `background` are killed when the script
# exits, also after an error.
#
# A script may set at_failure to a function that prints diagnostics, and at_end to one that cleans up its own resources;
# at_end runs after its processes have been killed.
# shellcheck shell=bash
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

script=$(basename "$0")
scratch=$(mktemp -d)
processes=()
at_failure=true
at_end=true

fail() {
    echo "$script: $*" >&2
    exit 1
}

clean_up() {
    local outcome=$? process
    trap - EXIT
    [ "$outcome" = 0 ] || "$at_failure" || true
    for process in ${processes[@]+"${processes[@]}"}; do
        kill -KILL "$process" 2>/dev/null && wait "$process" 2>/dev/null || true
    done
    "$at_end" || true
    rm -rf "$scratch"
    exit "$outcome"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Runs a command in the background: background NAME COMMAND… stores its process id in the variable NAME, its standard
# output in $scratch/NAME.out and its standard error in $scratch/NAME.log.
background() {
    local name=$1
    shift
    : >"$scratch/$name.out"
    "$@" >"$scratch/$name.out" 2>>"$scratch/$name.log" &
    printf -v "$name" '%s' $!
    processes+=($!)
}

# Succeeds if the process with that NAME is running.
runs() {
    kill -0 "${!1}" 2>/dev/null
}

# Waits until the process started by `background NAME` prints a line that contains TEXT.
wait_for() {
    local name=$1 text=$2
    for _ in $(seq 600); do
        ! grep -qF -- "$text" "$scratch/$name.out" || return 0
        runs "$name" || fail "$name ended before it printed $text: $(cat "$scratch/$name.log")"
        sleep 0.1
    done
    fail "$name did not print $text within a minute"
}

# Waits until the gateway at that URL, started by `background NAME`, is ready.
wait_until_ready() {
    local name=$1 url=$2
    for _ in $(seq 600); do
        ! curl --silent --fail --output /dev/null "$url/ready" || return 0
        runs "$name" || fail "$name ended: $(cat "$scratch/$name.log")"
        sleep 0.1
    done
    fail "$name is not ready after a minute"
}

# Runs a gateway against the simulated OwnerRez that `background SIMULATOR` started, and waits until it is ready:
# start_gateway NAME SIMULATOR PORT, with settings in TOML on standard input.
start_gateway() {
    local name=$1 simulator=$2 port=$3 ownerrez
    cat >"$scratch/$name.toml"
    ownerrez=$(member ownerrez_url <"$scratch/$simulator.out")
    background "$name" env PORT="$port" DATABASE_URL="sqlite://$scratch/$name.db" \
        OWNERREZ_API_URL="$ownerrez" OWNERREZ_APP_URL="$ownerrez" \
        OWNERREZ_CLIENT_ID="$(member client_id <"$scratch/$simulator.out")" \
        OWNERREZ_CLIENT_SECRET="$(member client_secret <"$scratch/$simulator.out")" \
        target/debug/ownerrez-gateway --config "$scratch/$name.toml" serve
    wait_until_ready "$name" "http://127.0.0.1:$port"
}

# Stops the process with SIGTERM, as an operator would; it must shut down cleanly.
stop() {
    local name=$1 process=${!1} status=0 others=() other
    kill -TERM "$process"
    for _ in $(seq 300); do
        kill -0 "$process" 2>/dev/null || break
        sleep 0.1
    done
    ! kill -0 "$process" 2>/dev/null || fail "$name still runs half a minute after SIGTERM"
    wait "$process" || status=$?
    for other in "${processes[@]}"; do
        [ "$other" = "$process" ] || others+=("$other")
    done
    processes=(${others[@]+"${others[@]}"})
    printf -v "$name" '%s' ''
    [ "$status" = 0 ] || fail "$name ended with status $status after SIGTERM"
}

# Prints the string or number in one member of the JSON object on standard input.
member() {
    sed -n "s/.*\"$1\" *: *\"\{0,1\}\([^\",}]*\).*/\1/p" | head -n 1
}

is_open() {
    (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# Prints a free port below the range of ephemeral ports.
free_port() {
    local port=$((20000 + RANDOM % 12000))
    while is_open "$port"; do
        port=$((port + 1))
    done
    echo "$port"
}

# Registers a user with that name at the gateway $1; prints the response.
register() {
    curl --silent --show-error --fail-with-body "$1/api/users/register" \
        --header 'Content-Type: application/json' --data "{\"name\": \"$2\"}"
}

# Sets EMAIL and TOKEN to those of the first demo account of the simulated OwnerRez at $1.
take_account() {
    local accounts
    accounts=$(curl --silent --show-error --fail "$1/_control/accounts")
    EMAIL=$(grep -o '"email":"[^"]*"' <<<"$accounts" | head -n 1 | sed 's/"email":"\(.*\)"/\1/')
    TOKEN=$(grep -o '"pt_[^"]*"' <<<"$accounts" | head -n 1 | tr -d '"')
    [ -n "$EMAIL" ] && [ -n "$TOKEN" ] || fail "the simulated OwnerRez names no personal access token"
}
