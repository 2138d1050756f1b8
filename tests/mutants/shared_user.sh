#!/usr/bin/env bash
# Shows that the story of the forty users notices what it is there for: in a copy of this checkout the supervisor keeps
# one session for everybody, as the predecessor kept its current user in a global. The story must fail there.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
cp -r Cargo.toml Cargo.lock clippy.toml config entity migration src tests "$copy"

supervisor="$copy/src/session/supervisor.rs"
original=$(cksum <"$supervisor")
# Whoever asks first becomes the user of all.
sed -i 's/^    fn session(&mut self, user: UserId) -> Addr<UserSession> {$/&\n        let user = self.entries.keys().next().copied().unwrap_or(user);/' "$supervisor"
[ "$original" != "$(cksum <"$supervisor")" ] || { echo "the mutation no longer fits the source" >&2; exit 2; }

# The registry's crates are compiled already where the tests have run.
target=${CARGO_TARGET_DIR:-$PWD/target}
cd "$copy"
CARGO_TARGET_DIR="$target/mutants" cargo test --locked --test gateway --no-run
if CARGO_TARGET_DIR="$target/mutants" cargo test --locked --test gateway -- --exact tenants::forty_users_at_once_get_their_own_answers; then
    echo "a user id shared by all was NOT noticed" >&2
    exit 1
fi
echo "a user id shared by all is noticed"
