#!/usr/bin/env bash
# Attacks that occupy connections, request heads and bodies, against the real program with 1,024 open files. Prints the
# measured values and fails if a bound is exceeded. Needs python3, curl, openssl and nginx.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

nginx=$(command -v nginx || echo /usr/sbin/nginx)
[ -x "$nginx" ] || fail "no nginx"

export ENCRYPTION_KEY
ENCRYPTION_KEY=$(openssl rand -base64 32)
cargo build --quiet --locked

port=$(free_port)
cat >"$scratch/gateway.toml" <<TOML
[server]
header_timeout_seconds = 3
body_timeout_seconds = 5
trusted_proxies = ["127.0.0.1"]
[keys]
bcrypt_cost = 4
[registration]
per_hour_and_address = 100000
[oauth]
registrations_per_hour_and_address = 100000
TOML
# shellcheck disable=SC2016  # The inner shell expands these.
background gateway bash -c 'ulimit -n 1024; exec "$@"' gateway \
    env PORT="$port" DATABASE_URL="sqlite://$scratch/gateway.db" RUST_LOG=warn \
    OWNERREZ_CLIENT_ID=c_attacked OWNERREZ_CLIENT_SECRET=s_attacked \
    target/debug/ownerrez-gateway --config "$scratch/gateway.toml" serve
wait_until_ready gateway "http://127.0.0.1:$port"

proxy_port=$(free_port)
mkdir "$scratch/nginx"
cat >"$scratch/nginx.conf" <<NGINX
daemon off;
pid $scratch/nginx/pid;
error_log $scratch/nginx/error.log;
worker_processes 1;
worker_rlimit_nofile 4096;
events { worker_connections 4000; }
http {
    access_log off;
    client_body_temp_path $scratch/nginx/body;
    proxy_temp_path $scratch/nginx/proxy;
    fastcgi_temp_path $scratch/nginx/fastcgi;
    uwsgi_temp_path $scratch/nginx/uwsgi;
    scgi_temp_path $scratch/nginx/scgi;
    upstream gateway { server 127.0.0.1:$port; keepalive 32; }
    server {
        listen 127.0.0.1:$proxy_port backlog=2048;
        location / {
            proxy_pass http://gateway;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host \$host;
            proxy_set_header X-Forwarded-For \$proxy_add_x_forwarded_for;
        }
    }
}
NGINX
background nginx "$nginx" -c "$scratch/nginx.conf" -e "$scratch/nginx/error.log"
# An nginx that is killed leaves its worker process running, so it is stopped with SIGTERM, also when this script fails.
end_nginx() {
    kill -TERM "$nginx" 2>/dev/null && wait "$nginx" || true
}
at_failure=end_nginx
for _ in $(seq 100); do
    ! is_open "$proxy_port" || break
    sleep 0.1
done

timeout 170 python3 tests/attacks/play.py "$port" "$proxy_port" "$gateway" ||
    fail "a bound does not hold; the gateway's log: $(tail -n 20 "$scratch/gateway.log")"

if grep -E "Too many open files|panicked|stream error" "$scratch/gateway.log"; then
    fail "the gateway ran out of open files, or failed"
fi
stop nginx
[ -z "$(jobs -p | grep -x "$gateway")" ] || wait "$gateway" || fail "the gateway ended with an error"
echo "the bounds hold"
