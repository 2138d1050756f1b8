# Short names for the commands of this repository. `just` without a recipe lists them. `.ci/run` runs all checks.

# A database on a server on which the tests may create databases.
postgres := env("TEST_DATABASE_URL", "postgres://root@127.0.0.1:5432/test")

[private]
default:
    @just --list

# Format the code
fmt:
    cargo fmt --all

# Check formatting and lints
lint:
    cargo fmt --all --check
    cargo clippy --locked --workspace --all-targets -- -D warnings

# Check the prose of comments and documents
prose:
    tests/prose_check.py

# Check the licences, versions and sources of the dependencies
deny:
    .ci/cargo-deny --locked check licenses bans sources

# Run the tests on SQLite; arguments go to `cargo test`
test *arguments:
    env -u TEST_DATABASE_URL cargo test --locked --workspace {{ arguments }}

# Run the tests on SQLite and on the PostgreSQL server at TEST_DATABASE_URL; arguments go to `cargo test`
test-postgres *arguments:
    TEST_DATABASE_URL={{ quote(postgres) }} cargo test --locked --workspace {{ arguments }}

# Build the API documentation
docs:
    RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps

# Run the commands in the documents (needs PostgreSQL, see tests/docs.sh); arguments are pages
docs-commands *pages:
    tests/docs.sh {{ pages }}

# Measure the gateway and print the tables of docs/BENCHMARKS.md
bench:
    cargo bench --bench gateway

# Run every check that a change must pass
ci:
    .ci/run

# Start the gateway with a simulated OwnerRez; arguments go to the command
sandbox *arguments:
    cargo run --release -- sandbox {{ arguments }}
