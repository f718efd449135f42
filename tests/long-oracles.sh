#!/usr/bin/env bash
# Holds the library against Wasmtime on generated modules, 2,000,000 of them with the default features and as many again with simd and
# memory64: run by hand, as it takes some three hours on two cores. CI runs the same for a minute against Node.
#
# The modules come from fuzz/src/shapes, each from a number of its own; modules of wasm-smith follow, a twentieth of them. Each
# difference is printed, and its module is kept. The run goes on to its end and then fails.
#
# Usage: tests/long-oracles.sh [ARGUMENTS OF oracles...]     such as --modules 100000 --first-seed 2000000
# LONG_ORACLES_TARGET_DIR keeps what is built between runs; without it everything is built in a temporary folder.
# LONG_ORACLES_KEEP is the folder for modules with a difference, oracles-kept by default.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
target=${LONG_ORACLES_TARGET_DIR:-$folder/target}
keep=${LONG_ORACLES_KEEP:-$PWD/oracles-kept}
failed=0

# run FEATURES ARGUMENTS...: builds with these features, and compares.
run() {
    local features=$1 name=${1//,/-}
    shift
    printf '\n=== %s: %s\n' "$features" "$*"
    cargo run --locked --release --quiet --manifest-path fuzz/oracles/Cargo.toml --target-dir "$target" --features "$features" -- \
        wasmtime --keep "$keep/$name" "$@" || failed=1
}

for features in wasmtime wasmtime,simd,memory64; do
    run "$features" --source shapes --modules 2000000 "$@"
    run "$features" --source smith --modules 100000
done
exit "$failed"
