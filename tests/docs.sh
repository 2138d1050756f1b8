#!/usr/bin/env bash
# Runs the commands of the documents exactly as written, against real processes: the program, a simulated OwnerRez,
# SQLite and PostgreSQL. A page may contain:
#
#   ```sh … ```              is run, in page order, in one shell. GATEWAY, KEY and the settings are set.
#   <!-- prints: TEXT -->    asserts that the block before it printed TEXT
#   <!-- run: COMMAND -->    a command of this script, for a step that the reader does manually or for elapsed time
#   <!-- not run: WHY -->    is required before each ```console block: commands that need something that is missing here
#
# Blocks in other languages are not run; a block without a language is an error. Link targets must exist. A page that
# has blocks to run starts with a separate gateway on a fresh SQLite database. Needs curl, openssl, sqlite3,
# PostgreSQL's client programs and a server at TEST_DATABASE_URL (default postgres://root@127.0.0.1:5432/test).
# Arguments: the pages to run, instead of all.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
project=$PWD
server=${TEST_DATABASE_URL:-postgres://root@127.0.0.1:5432/test}
database=gateway_docs_$$

said=$scratch/said
place="the beginning"
gateway=
database_made=

say_where() {
    echo "docs.sh: failed at $place" >&2
    [ ! -s "$said" ] || { echo "--- it printed:" >&2; cat "$said" >&2; }
    [ ! -s "$scratch/gateway.log" ] || { echo "--- the gateway said last:" >&2; tail -n 20 "$scratch/gateway.log" >&2; }
}
at_failure=say_where

drop_database() {
    [ -z "$database_made" ] || psql --no-psqlrc --quiet "$server" --command "DROP DATABASE IF EXISTS $database WITH (FORCE)"
}
at_end=drop_database

# --- what pages do in addition to the reader's commands -----------------------------------------------------------------

at() {
    place=$1
}

prints() {
    grep -qF -- "$1" "$said" || fail "$place did not print: $1"
}

expect() {
    local text=$1
    shift
    "$@" >"$said"
    prints "$text"
}

start_gateway() {
    background gateway ownerrez-gateway serve
    wait_until_ready gateway "$GATEWAY"
}

stop_gateway() {
    [ -z "$gateway" ] || stop gateway
}

# Starts a gateway with the given database; KEY is the key of a new user.
begin() {
    stop_gateway
    export PORT DATABASE_URL=$1 ENCRYPTION_KEY ENCRYPTION_KEYS_PREVIOUS=
    PORT=$(free_port)
    ENCRYPTION_KEY=$(openssl rand -base64 32)
    GATEWAY=http://127.0.0.1:$PORT
    start_gateway
    KEY=$(register "$GATEWAY" docs.sh | member api_key)
}

on_sqlite() {
    rm -rf data
    begin ""
}

on_postgres() {
    local base=${server%%\?*}
    if [ -z "$database_made" ]; then
        psql --no-psqlrc --quiet "$server" --command "CREATE DATABASE $database"
        database_made=yes
    fi
    begin "${base%/*}/$database"
}

# Prints `name=value` for each hidden field of the page on standard input, in the form that curl takes.
hidden_fields() {
    grep -o '<input[^>]*type="hidden"[^>]*>' | sed 's/.* name="\([^"]*\)".* value="\([^"]*\)".*/\1=\2/' | sed 's/&amp;/\&/g'
}

# Submits the form of the page in $scratch/page, with additional fields, to $1; prints the redirect target.
submit() {
    local to=$1 fields=()
    shift
    while IFS= read -r field; do
        fields+=(--data-urlencode "$field")
    done < <(hidden_fields <"$scratch/page")
    for field in "$@"; do
        fields+=(--data-urlencode "$field")
    done
    curl --silent --show-error --cookie "$scratch/jar" --cookie-jar "$scratch/jar" --output "$scratch/page" \
        --write-out '%{redirect_url}' "${fields[@]}" "$to"
}

# Does what a user does with the printed link: opens it, enters the key and approves at OwnerRez.
approve_in_browser() {
    local link next account
    link=$(member authorization_url <"$said")
    [ -n "$link" ] || fail "no link was printed"
    rm -f "$scratch/jar"
    curl --silent --show-error --cookie-jar "$scratch/jar" --output "$scratch/page" "$link"
    next=$(submit "${link%%\?*}" "api_key=$KEY")
    [ -n "$next" ] || fail "the link's page did not take the key: $(cat "$scratch/page")"
    curl --silent --show-error --output "$scratch/page" "$next"
    account=$(grep -o '<input[^>]*name="account"[^>]*>' "$scratch/page" | sed -n 's/.* value="\([^"]*\)".*/\1/p' | head -n 1)
    next=$(submit "${next%%\?*}" "account=$account" "decision=approve")
    [ -n "$next" ] || fail "OwnerRez did not approve: $(cat "$scratch/page")"
    curl --silent --show-error --fail --cookie "$scratch/jar" --output "$scratch/page" "$next" || fail "OwnerRez's answer was not taken"
    expect '"connected":true' curl --silent "$GATEWAY/api/connect/ownerrez/status" -H "Authorization: Bearer $KEY"
}

connect() {
    curl --silent "$GATEWAY/api/connect/ownerrez/start" -H "Authorization: Bearer $KEY" >"$said"
    approve_in_browser
}

take_personal_token() {
    take_account "$OWNERREZ_API_URL"
}

# Prints the id of the key with that name in the printed list.
key_id() {
    tr '{' '\n' <"$said" | grep "\"name\":\"$1\"" | member id
}

other_user() {
    ID=$(register "$GATEWAY" docs.sh | member user_id)
}

lose_all_users() {
    local id
    for id in $(ownerrez-gateway users list | grep -oE '^[0-9a-f-]{36}'); do
        ownerrez-gateway users delete "$id" >/dev/null
    done
    expect '[]' ownerrez-gateway users list --json
}

lose_the_key() {
    stop_gateway
    ENCRYPTION_KEY=$(openssl rand -base64 32)
    start_gateway
}

change_the_key() {
    stop_gateway
    ENCRYPTION_KEYS_PREVIOUS=$ENCRYPTION_KEY
    ENCRYPTION_KEY=$(openssl rand -base64 32)
    start_gateway
}

# --- reading pages -----------------------------------------------------------------------------------------------------

# Converts the page to a script.
script_of() {
    awk -v page="$1" -v quote="'" '
        function wrong(what) { print page ":" NR ": " what > "/dev/stderr"; bad = 1; exit 1 }
        function quoted(text) { gsub(quote, quote "\\" quote quote, text); return quote text quote }
        function comment(name) { return substr($0, length(name) + 6, length($0) - length(name) - 9) }
        in_block { if ($0 == "```") { if (run) print "} >\"$said\" 2>&1"; in_block = 0 } else if (run) print; next }
        /^```/ {
            language = substr($0, 4); in_block = 1; run = language == "sh"
            if (language == "console" && last !~ /^<!-- not run: .+ -->$/) wrong("a console block without <!-- not run: … --> before it")
            if (language !~ /^(sh|console|text|toml|json|sql|ini|nginx|caddyfile)$/) wrong("a block in the language \"" language "\"")
            if (run) print "at " page ":" NR "\n{"
        }
        /^<!-- prints: .+ -->$/ { print "prints " quoted(comment("prints: ")) }
        /^<!-- run: .+ -->$/ { print "at " page ":" NR "\n" comment("run: ") }
        /^<!--/ && !/^<!-- (prints|run|not run|figures): .+ -->$/ { wrong("a comment that means nothing here") }
        NF { last = $0 }
        END { if (in_block && !bad) wrong("a block without end") }
    ' "$1"
}

# Prints the anchors that GitHub generates from the headings.
anchors() {
    sed -n 's/^##* //p' "$1" | tr '[:upper:]' '[:lower:]' | sed 's/[^a-z0-9 _-]//g; s/ /-/g'
}

check_links() {
    local page=$1 link file anchor
    for link in $(grep -o '](\([^)]*\))' "$page" | sed 's/^](//; s/)$//'); do
        case $link in http://* | https://*) continue ;; esac
        file=${link%%#*}
        [ -z "$file" ] && file=$page || file=$(dirname "$page")/$file
        [ -e "$file" ] || fail "$page links to $link, which is not there"
        case $link in *\#*)
            anchor=${link#*#}
            anchors "$file" | grep -qxF -- "$anchor" || fail "$page links to $link, but there is no such heading"
            ;;
        esac
    done
}

check_names() {
    local command
    for command in $(grep -oh '`ownerrez-gateway [a-z][a-z-]*' "$@" | sed 's/.* //' | sort -u); do
        ownerrez-gateway "$command" --help >/dev/null 2>&1 || fail "the pages name \`ownerrez-gateway $command\`, which does not exist"
    done
}

# --- main ---------------------------------------------------------------------------------------------------------------

cargo build --quiet --locked
mkdir "$scratch/bin"
ln -s "$project/target/debug/ownerrez-gateway" "$scratch/bin/ownerrez-gateway"
PATH=$scratch/bin:$PATH

pages=("$@")
[ ${#pages[@]} != 0 ] || pages=(README.md CONTRIBUTING.md SECURITY.md CHANGELOG.md docs/*.md docs/adr/*.md)
check_names "${pages[@]}"

background simulator ownerrez-gateway simulate-ownerrez --port 0 --json
wait_for simulator client_secret
export OWNERREZ_API_URL OWNERREZ_APP_URL OWNERREZ_CLIENT_ID OWNERREZ_CLIENT_SECRET METRICS_TOKEN
OWNERREZ_API_URL=$(member ownerrez_url <"$scratch/simulator.out")
OWNERREZ_APP_URL=$OWNERREZ_API_URL
OWNERREZ_CLIENT_ID=$(member client_id <"$scratch/simulator.out")
OWNERREZ_CLIENT_SECRET=$(member client_secret <"$scratch/simulator.out")
METRICS_TOKEN=$(openssl rand -hex 32)
[ -n "$OWNERREZ_CLIENT_SECRET" ] || fail "the simulated OwnerRez did not start"

for page in "${pages[@]}"; do
    check_links "$page"
    script_of "$page" >"$scratch/script"
    blocks=$(grep -cx '{' "$scratch/script" || true)
    if [ "$blocks" != 0 ]; then
        place=$page
        mkdir "$scratch/work"
        ln -s "$project/config" "$scratch/work/config"
        cd "$scratch/work"
        on_sqlite
        # shellcheck disable=SC1091
        source "$scratch/script"
        stop_gateway
        cd "$project"
        rm -rf "$scratch/work"
    fi
    echo "$page: $blocks blocks run"
done
