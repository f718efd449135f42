#!/bin/sh
# Rebuilds the modules in this folder: all, or those of the languages named.
#
#   ./build.sh [c] [rust] [zig] [as] [go]
#
# A compiler that is not on the path under its usual name can be given: CLANG, RUSTC, ZIG, ASC, GO. README.md says where each
# comes from. Go's module is large and is left out of the repository; once built, the example `polyglot` runs it too.
set -eu
cd "$(dirname "$0")"

build() {
    case $1 in
    c) ${CLANG:-clang} --target=wasm32-wasi -O2 -s -o wordcount.c.wasm wordcount.c ;;
    rust)
        ${RUSTC:-rustc} --target wasm32-unknown-unknown --crate-type cdylib --edition 2021 \
            -O -C panic=abort -C strip=symbols -o wordcount.rust.wasm wordcount.rs
        ;;
    zig)
        ${ZIG:-zig} build-exe -target wasm32-freestanding -OReleaseSmall -fno-entry -rdynamic -fstrip \
            -femit-bin=wordcount.zig.wasm wordcount.zig
        ;;
    as) ${ASC:-asc} wordcount.ts -O2 --use abort= --runtime incremental -o wordcount.as.wasm ;;
    go) GOOS=wasip1 GOARCH=wasm ${GO:-go} build -buildmode=c-shared -trimpath -ldflags='-s -w' -o wordcount.go.wasm wordcount.go ;;
    *)
        echo "$1: not one of c, rust, zig, as, go" >&2
        exit 2
        ;;
    esac
}

[ $# -gt 0 ] || set -- c rust zig as go
for language; do
    build "$language"
done
chmod 644 ./*.wasm
