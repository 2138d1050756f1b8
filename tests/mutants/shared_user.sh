#!/usr/bin/env bash
# Proves that the test with forty tenants can fail.
#
# Makes the user id global, as in the gateway's predecessor: in a copy of this checkout, every tool call goes to the
# session of the first caller. Then runs tests/gateway/tenants.rs there, which must fail.
#
#   tests/mutants/shared_user.sh
#
# Exit code 0: the test failed, as expected. 1: it passed, so it proves nothing. 2: the mutant could not be built. The
# build artifacts of this checkout are copied, so that only the gateway itself is compiled.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
story=tenants::forty_users_over_four_connections_get_their_own_answers
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT

cd "$root"
git ls-files -z --cached --others --exclude-standard | tar --null --files-from=- --create --file=- | tar --extract --file=- --directory="$copy"

cd "$copy"
sed -i 's/sessions\.call(caller\.user,/sessions.call(*FIRST.get_or_init(|| caller.user),/' src/tools/run.rs
echo 'static FIRST: std::sync::OnceLock<crate::domain::UserId> = std::sync::OnceLock::new();' >>src/tools/run.rs
if cmp --quiet "$root/src/tools/run.rs" src/tools/run.rs || ! grep --quiet 'FIRST.get_or_init' src/tools/run.rs; then
    echo "The line that this script changes is not in src/tools/run.rs any more: correct the script." >&2
    exit 2
fi

# Never use the target directory of the checkout itself: cargo names its artifacts by paths within the workspace, so the
# mutant would replace the real gateway there.
export CARGO_TARGET_DIR="$copy/target"
if [[ -d "$root/target/debug/deps" ]]; then
    mkdir -p "$CARGO_TARGET_DIR/debug"
    cp --archive --reflink=auto "$root"/target/debug/{deps,build,.fingerprint} "$CARGO_TARGET_DIR/debug/"
fi
# SQLite only: one database is enough to detect the failure.
unset TEST_DATABASE_URL
cargo test --test gateway --no-run || exit 2
if cargo test --test gateway "$story" -- --exact; then
    echo "The story passed although all users share one session: it proves nothing." >&2
    exit 1
fi
echo "The story failed, as it should."
