#!/usr/bin/env bash
# Measures which lines of src/ the unit tests and tests/it run, and prints the figure of each file and the lines that none has run: by
# cargo-tarpaulin (`cargo install cargo-tarpaulin`), whose llvm engine reads what the compiler counts and so needs no llvm tools. It counts in
# the processes that tests start as well, which its ptrace engine does not.
#
# Only this library is built with counters, and what it links is that of `cargo test`: a cargo in between takes the flags away that tarpaulin gives
# all crates. With counters in it the interpreter would be several times slower.
#
# Usage: tests/coverage.sh [ARGUMENTS OF cargo tarpaulin...]
# COVERAGE_TARGET_DIR keeps what is built between runs; without it everything is built in a temporary folder.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cargo=$(command -v cargo)
cat >"$folder/cargo" <<EOF
#!/usr/bin/env bash
unset CARGO_ENCODED_RUSTFLAGS
export RUSTC_WORKSPACE_WRAPPER=$folder/counting
exec "$cargo" "\$@"
EOF
cat >"$folder/counting" <<'EOF'
#!/usr/bin/env bash
exec "$@" -Cinstrument-coverage
EOF
chmod +x "$folder/cargo" "$folder/counting"
export PATH=$folder:$PATH CARGO_INCREMENTAL=0

cargo tarpaulin --engine llvm --skip-clean --locked --target-dir "${COVERAGE_TARGET_DIR:-$folder/target}" \
    --features "simd memory64 tracing durable" --lib --test it --include-files 'src/*' --exclude-files '*/tests.rs' --exclude-files src/sync/explored.rs \
    --timeout 3600 --no-fail-fast "$@"
