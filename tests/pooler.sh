#!/usr/bin/env bash
# Runs gateways whose database is behind a real PgBouncer. `check` must notice what such a pooler breaks. With
# DATABASE_DIRECT_URL, two processes share a database through a transaction-mode pooler that has fewer connections than
# they would open. Needs curl, openssl, PostgreSQL's client programs, a server at TEST_DATABASE_URL (default
# postgres://root@127.0.0.1:5432/test), and PgBouncer 1.21 or newer (PGBOUNCER overrides its path).
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

server=${TEST_DATABASE_URL:-postgres://root@127.0.0.1:5432/test}
server=${server%%\?*}
database=gateway_pooler_$$
direct=${server%/*}/$database
user=${server#*://}
user=${user%%[:@]*}
pgbouncer=${PGBOUNCER:-/usr/sbin/pgbouncer}
program=target/debug/ownerrez-gateway
database_made=
export ENCRYPTION_KEY UPSTREAM_SHARED=true UPSTREAM_LIMIT=100 DATABASE_URL= DATABASE_DIRECT_URL=
ENCRYPTION_KEY=$(openssl rand -base64 32)

drop_database() {
    [ -z "$database_made" ] || psql --no-psqlrc --quiet "$server" --command "DROP DATABASE IF EXISTS $database WITH (FORCE)"
}
at_end=drop_database

say_what_was_said() {
    tail -n 20 "$scratch/"{one,two,third}.log "$scratch/said"
}
at_failure=say_what_was_said

# Starts a PgBouncer in front of the database, with one setting per argument after its name; stores its port in
# NAME_port. PgBouncer refuses to run as root. It accepts every client (auth_type=any) and connects as a user that the
# server trusts.
start_pooler() {
    local name=$1 port authority become=()
    shift
    port=$(free_port)
    authority=${server#*://}
    authority=${authority%%/*}
    authority=${authority#*@}
    {
        echo "[databases]"
        echo "$database = host=${authority%:*} port=${authority##*:} user=$user"
        echo "[pgbouncer]"
        printf '%s\n' listen_addr=127.0.0.1 "listen_port=$port" unix_socket_dir= auth_type=any default_pool_size=3 "$@"
    } >"$scratch/$name.ini"
    chmod 755 "$scratch"
    [ "$(id -u)" != 0 ] || become=(setpriv --reuid nobody --regid nogroup --clear-groups)
    background "$name" ${become[@]+"${become[@]}"} "$pgbouncer" "$scratch/$name.ini"
    for _ in $(seq 100); do
        ! is_open "$port" || break
        runs "$name" || fail "PgBouncer ended: $(cat "$scratch/$name.log")"
        sleep 0.1
    done
    printf -v "${name}_port" '%s' "$port"
}

pooled() {
    echo "postgres://$user@127.0.0.1:$1/$database"
}

# Runs `check` with two URLs: the output must contain the text, and the exit code must say whether that is a problem.
check_says() {
    local outcome=0
    DATABASE_URL=$2 DATABASE_DIRECT_URL=$3 "$program" check >"$scratch/said" 2>&1 || outcome=$?
    case $1 in
        ok) [ "$outcome" = 0 ] || fail "check finds a problem: $(cat "$scratch/said")" ;;
        *) [ "$outcome" = 2 ] || fail "check finds no problem where there is one ($4)" ;;
    esac
    grep -qF -- "$4" "$scratch/said" || fail "check does not say: $4"
    echo "$1: $4"
}

# Retries a command until it succeeds; fails after 5 seconds.
within_five_seconds() {
    for _ in $(seq 50); do
        ! "$@" || return 0
        sleep 0.1
    done
    fail "this did not come true within 5 seconds: $*"
}

status_is() {
    [ "$(curl --silent --output "$scratch/said" --write-out '%{http_code}' --header "Authorization: Bearer $KEY" \
        "$2/api/keys")" = "$1" ]
}

cargo build --quiet --locked
psql --no-psqlrc --quiet "$server" --command "CREATE DATABASE $database"
database_made=yes
start_pooler by_transaction pool_mode=transaction max_prepared_statements=100
start_pooler by_turns pool_mode=transaction max_prepared_statements=100 server_round_robin=1
start_pooler forgetful pool_mode=transaction max_prepared_statements=0
start_pooler by_session pool_mode=session default_pool_size=20
start_pooler by_statement pool_mode=statement
transaction=$(pooled "$by_transaction_port")

check_says ok "$direct" "" "reachable"
check_says ok "$(pooled "$by_session_port")" "" "reachable"
check_says problem "$transaction" "" "set DATABASE_DIRECT_URL"
check_says problem "$(pooled "$by_turns_port")" "" "set DATABASE_DIRECT_URL"
check_says problem "$(pooled "$forgetful_port")" "$direct" "not support prepared statements"
check_says problem "$(pooled "$by_statement_port")" "$direct" "not support prepared statements"
check_says problem "$transaction" "$transaction" "DATABASE_DIRECT_URL goes through a transaction-mode pooler"
check_says problem "$transaction" "$server" "names another database"
check_says problem "$transaction" "postgres://$user@127.0.0.1:1/$database" "DATABASE_DIRECT_URL: the database is unavailable"
check_says ok "$transaction" "$direct" "bypasses it to the same database"
check_says ok "$transaction" "$(pooled "$by_session_port")" "bypasses it to the same database"
check_says ok "$direct" "$direct" "needs no DATABASE_DIRECT_URL"

export DATABASE_URL=$transaction DATABASE_DIRECT_URL=$direct
"$program" migrate up >"$scratch/said" 2>&1 || fail "the database cannot be migrated: $(cat "$scratch/said")"
printf '%s\n' '[keys]' 'bcrypt_cost = 4' '[registration]' 'per_hour_and_address = 1000' >"$scratch/gateways.toml"
start_process() {
    local port
    port=$(free_port)
    background "$1" env PORT="$port" "$program" --config "$scratch/gateways.toml" serve
    wait_until_ready "$1" "http://127.0.0.1:$port"
    printf -v "$1_url" '%s' "http://127.0.0.1:$port"
}
start_process one
start_process two

# Sends 100 requests, more at once than the pooler has connections: each must be answered with this status.
all_are() {
    local status=$1 answers
    shift
    answers=$(seq 100 | xargs -P 12 -I{} curl --silent --output /dev/null --write-out '%{http_code}\n' "$@" | sort | uniq -c)
    [ "$(tr -s ' ' <<<"$answers")" = " 100 $status" ] || fail "of 100 requests to ${*: -1}: $answers"
}
# shellcheck disable=SC2154
ones=$one_url twos=$two_url
for url in "$ones" "$twos"; do
    all_are 201 --header 'Content-Type: application/json' --data '{"name": "user {}"}' "$url/api/users/register"
done
KEY=$(register "$ones" pooler.sh | member api_key)
for url in "$ones" "$twos"; do
    all_are 200 --header "Authorization: Bearer $KEY" "$url/api/keys"
done
echo "ok: 400 requests, twelve at a time"

# Each process receives the changes of the other process and of the operator.
id=$("$program" users list | grep -B1 -F "${KEY:0:24}" | grep -oE '^[0-9a-f-]{36}')
"$program" users disable "$id" >"$scratch/said"
within_five_seconds status_is 403 "$ones"
within_five_seconds status_is 403 "$twos"
"$program" users enable "$id" >"$scratch/said"
within_five_seconds status_is 200 "$twos"
echo "ok: a change is heard by both"
! grep -h "cannot detect\|standby\|ERROR" "$scratch/one.log" "$scratch/two.log" || fail "something was not as it should be"
# Each process acquires its own slot over the direct connection and keeps it.
locks=$(psql --no-psqlrc --quiet --no-align --tuples-only "$direct" --command "SELECT count(DISTINCT objid) FROM pg_locks \
    JOIN pg_database ON pg_database.oid = pg_locks.database WHERE datname = current_database() AND locktype = 'advisory'")
[ "$locks" = 2 ] || fail "two processes hold $locks slots"
stop one
stop two

# Without DATABASE_DIRECT_URL, a third process must log what is missing.
background third env PORT="$(free_port)" DATABASE_DIRECT_URL= "$program" serve
for _ in $(seq 300); do
    ! grep -q "behind a pooler, set DATABASE_DIRECT_URL" "$scratch/third.log" || break
    runs third || fail "it ended: $(cat "$scratch/third.log")"
    sleep 0.1
done
grep -h "behind a pooler, set DATABASE_DIRECT_URL" "$scratch/third.log" || fail "nothing is said without the way past"
stop third
echo "a database behind a pooler works"
