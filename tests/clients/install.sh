# Sourced after lib.sh by the scripts that need the packages pinned in tests/clients/: installs them below
# target/clients, once for each content of the lock files. Sets node (22.19 or newer, as the inspector requires), python
# and modules. Needs npm, and Python 3.10 or newer with venv.
# shellcheck shell=bash

clients=$PWD/target/clients
modules=$clients/node_modules
python=$clients/venv/bin/python

# Package install scripts are not run: code from a registry runs only when a test calls it.
install_from_npm() {
    local stamp
    stamp=$(cat tests/clients/package.json tests/clients/package-lock.json | sha256sum)
    [ "$(cat "$clients/npm.stamp" 2>/dev/null)" != "$stamp" ] || return 0
    echo "installing what tests/clients/package-lock.json pins"
    mkdir -p "$clients"
    cp tests/clients/{package.json,package-lock.json,.npmrc} "$clients/"
    # The Node.js that npm runs on may be older than these packages require; the tests run them on another one.
    (cd "$clients" && npm ci --ignore-scripts --no-audit --no-fund --loglevel error) || fail "npm ci failed"
    echo "$stamp" >"$clients/npm.stamp"
}

# Creates a Python environment below target/clients with the packages that a requirements file pins: install_python NAME
# FILE
install_python() {
    local name=$1 requirements=$2 stamp
    stamp=$(sha256sum <"$requirements")
    [ "$(cat "$clients/$name.stamp" 2>/dev/null)" != "$stamp" ] || return 0
    echo "installing what $requirements pins"
    mkdir -p "$clients"
    python3 -m venv --clear "$clients/$name" || fail "no Python environment; is python3-venv installed?"
    "$clients/$name/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps \
        --requirement "$requirements" || fail "pip install failed"
    echo "$stamp" >"$clients/$name.stamp"
}

install_from_pypi() {
    install_python venv tests/clients/requirements.txt
}

# The versions of PyPI mcp that are still in use, each in a separate environment because the package name is the same.
install_older_from_pypi() {
    install_python mcp-1.8.1 tests/clients/requirements-mcp-1.8.1.txt
    install_python mcp-1.15.0 tests/clients/requirements-mcp-1.15.0.txt
}

# Frameworks that generate types from schemas. Their unrelated dependencies are left out.
install_schema_readers() {
    install_python schemas tests/clients/requirements-schemas.txt
}

find_node() {
    local machine
    case $(uname -s)-$(uname -m) in
        Linux-x86_64) machine=linux-x64 ;;
        Linux-aarch64) machine=linux-arm64 ;;
        *) machine= ;;
    esac
    node=$modules/node-$machine/bin/node
    [ -x "$node" ] || node=$(command -v node) || fail "no Node.js for this machine among the packages, and none installed"
    "$node" -e 'const [major, minor] = process.versions.node.split(".").map(Number);
        process.exit(major > 22 || (major == 22 && minor >= 19) ? 0 : 1)' \
        || fail "$node is older than 22.19, which the inspector needs"
}
