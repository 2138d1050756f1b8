#!/usr/bin/env bash
# Connects with TLS database URLs, as an operator writes them, to a real PostgreSQL server that has our own certificate.
# Needs PostgreSQL's programs, openssl and curl.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

chmod 755 "$scratch"
postgres_bin=$(printf '%s\n' /usr/lib/postgresql/*/bin/initdb | sort -V | tail -n 1 | sed 's,/initdb$,,')
cluster_runs=

# The unprivileged user of the Debian packages runs the server: PostgreSQL refuses to run as root.
as_postgres() {
    if [ "$(id -u)" = 0 ]; then
        runuser -u postgres -- "$@"
    else
        "$@"
    fi
}

stop_cluster() {
    [ -z "$cluster_runs" ] || as_postgres "$postgres_bin/pg_ctl" stop --pgdata "$scratch/cluster" --mode fast --silent
}
at_end=stop_cluster

# Makes a certificate authority and a certificate that is valid for the name localhost and for no address.
make_certificates() {
    openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj "/CN=authority of tls.sh" \
        -keyout "$scratch/ca.key" -out "$scratch/ca.pem" 2>/dev/null
    openssl req -newkey rsa:2048 -nodes -subj "/CN=localhost" \
        -keyout "$scratch/server.key" -out "$scratch/server.csr" 2>/dev/null
    openssl x509 -req -in "$scratch/server.csr" -CA "$scratch/ca.pem" -CAkey "$scratch/ca.key" -CAcreateserial -days 2 \
        -extfile <(printf 'subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n') \
        -out "$scratch/server.pem" 2>/dev/null
    chmod 600 "$scratch/server.key"
    [ "$(id -u)" != 0 ] || chown postgres "$scratch/server.key" "$scratch/server.pem"
}

start_cluster() {
    [ -x "$postgres_bin/initdb" ] || fail "no PostgreSQL below /usr/lib/postgresql"
    port=$(free_port)
    mkdir "$scratch/cluster"
    [ "$(id -u)" != 0 ] || chown postgres "$scratch/cluster"
    as_postgres "$postgres_bin/initdb" --pgdata "$scratch/cluster" --auth trust --username gateway \
        --encoding UTF8 --locale C --no-sync >/dev/null
    # The server rejects connections without TLS.
    printf 'hostssl all all 127.0.0.1/32 trust\nhostssl all all ::1/128 trust\n' >"$scratch/hba.conf"
    as_postgres "$postgres_bin/pg_ctl" start --pgdata "$scratch/cluster" --wait --timeout 60 --silent \
        --log "$scratch/cluster/log" \
        --options "-p $port -c listen_addresses=localhost -c unix_socket_directories= -c fsync=off -c ssl=on \
            -c ssl_cert_file=$scratch/server.pem -c ssl_key_file=$scratch/server.key -c hba_file=$scratch/hba.conf"
    cluster_runs=yes
}

export ENCRYPTION_KEY
ENCRYPTION_KEY=$(openssl rand -base64 32)
program=target/debug/ownerrez-gateway

reaches() {
    local said
    said=$(DATABASE_URL=$1 timeout 60 "$program" migrate up 2>&1) || fail "$1 does not reach the server: $said"
    echo "reached:     ${1#*@}"
}

# $2 is a word of the error message that gives the operator the reason.
is_kept_out() {
    local said
    ! said=$(DATABASE_URL=$1 timeout 60 "$program" migrate up 2>&1) || fail "$1 reached the server"
    grep -qi -- "$2" <<<"$said" || fail "$1 is kept out without a word about $2: $said"
    echo "kept out:    ${1#*@}"
}

cargo build --quiet --locked
make_certificates
start_cluster
ca="sslrootcert=$scratch/ca.pem"

reaches "postgres://gateway@localhost:$port/postgres?sslmode=verify-full&$ca"
reaches "postgresql://gateway@localhost:$port/postgres?sslmode=verify-full&$ca"
reaches "postgres://gateway@127.0.0.1:$port/postgres?sslmode=verify-ca&$ca"
reaches "postgres://gateway@127.0.0.1:$port/postgres?sslmode=require"
reaches "postgres://gateway@localhost:$port/postgres"
is_kept_out "postgres://gateway@127.0.0.1:$port/postgres?sslmode=verify-full&$ca" "certificate"
is_kept_out "postgres://gateway@localhost:$port/postgres?sslmode=verify-full" "certificate"
is_kept_out "postgres://gateway@localhost:$port/postgres?sslmode=verify-ca" "certificate"
is_kept_out "postgres://gateway@localhost:$port/postgres?sslmode=disable" "encryption"
is_kept_out "postgres://gateway@localhost:$port/postgres?sslmode=full" "sslmode"
is_kept_out "postgres://gateway@localhost:$port/postgres?sslmode=verify-full&sslrootcert=/nowhere.pem" "sslrootcert"

# All connections of a serving gateway: its queries, its lock and its LISTEN connection.
database="postgres://gateway@localhost:$port/postgres?sslmode=verify-full&$ca"
http_port=$(free_port)
background gateway env DATABASE_URL="$database" PORT="$http_port" "$program" serve
wait_until_ready gateway "http://127.0.0.1:$http_port"
curl --silent --show-error --fail "http://127.0.0.1:$http_port/ready" || fail "not ready: $(cat "$scratch/gateway.log")"
echo
PORT=$http_port DATABASE_URL=$database "$program" healthcheck || fail "its own health check fails"
sessions=$(PGSSLMODE=require psql --no-psqlrc --quiet --no-align --tuples-only --host localhost --port "$port" \
    --username gateway --dbname postgres --command \
    "SELECT count(*) || ' sessions, ' || count(*) FILTER (WHERE NOT ssl) || ' in plain text'
     FROM pg_stat_activity JOIN pg_stat_ssl USING (pid) WHERE application_name = 'ownerrez-gateway'")
echo "it holds $sessions"
[[ $sessions =~ ^([3-9]|[1-9][0-9]+)\ sessions,\ 0\ in\ plain\ text$ ]] || fail "expected three or more, all of them encrypted"
stop gateway
if PORT=$http_port DATABASE_URL=$database "$program" healthcheck 2>/dev/null; then
    fail "the health check is content with a gateway that has ended"
fi

echo "TLS to the database works"
