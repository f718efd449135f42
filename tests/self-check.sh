#!/usr/bin/env bash
# What the self-check says under the profiles that hosts build with: run by CI, needs nothing but the Rust toolchain.
#
# wasmi's fast dispatch is safe under some profiles and overflows the native stack under others; a library cannot choose
# its host's profile, so the first deployment of a process looks (src/module/self_check.rs). This script builds a small
# host under each profile and holds what deploying answers against what is expected:
#
#   ok       deployed, and real guests then ran to their end on a thread with the 512 KiB of stack that the docs promise
#   refused  `DeployError::UnsafeBuild`, whose message names the remedy
#   either   one of the two: what counts is that the process lives
#
# A crash (an overflowed stack ends the process by a signal) is never as expected.
#
# Usage: tests/self-check.sh [all]     `all` adds profiles that hosts choose more rarely
# SELF_CHECK_TARGET_DIR keeps what is built between runs; without it everything is built in a temporary folder. Given the
# folder in which the tests were built, some of the profiles find their wasmi there.
# Cold, on two cores, each profile takes 30 to 70 s, nearly all of it compiling wasmi; no LTO anywhere.
set -euo pipefail

checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export CARGO_TARGET_DIR=${SELF_CHECK_TARGET_DIR:-$folder/target}
export CARGO_INCREMENTAL=0 CARGO_TERM_COLOR=never
# Without debug information everything compiles faster; the stack frames stay the same. With it, profiles that the tests
# are built with too find what these have built.
export CARGO_PROFILE_DEV_DEBUG=false
as_tests='profile.dev.debug=true'

mkdir "$folder/src"
cat >"$folder/Cargo.toml" <<TOML
[package]
name = "self-check-host"
version = "0.0.0"
edition = "2024"

[features]
portable-dispatch = ["dormouse/portable-dispatch"]

[dependencies]
dormouse = { path = "$checkout", default-features = false }

[workspace]
TOML
# What runs at build time alone need not be optimised with "*": that halves the time of such a profile.
for macro in proc-macro2 quote syn thiserror-impl unicode-ident; do
    printf '\n[profile.dev.package.%s]\nopt-level = 0\ndebug-assertions = false\n' "$macro" >>"$folder/Cargo.toml"
done
# The same versions of all crates as in the checkout.
cp "$checkout/Cargo.lock" "$folder/Cargo.lock"
cat >"$folder/src/main.rs" <<'RUST'
//! Deploys a module, says in one word how that went, and runs real guests if it went well.
use dormouse::{DeployError, Runtime};

fn guest(name: &str) -> Vec<u8> {
    let folder = std::env::args().nth(1).expect("the folder of the guests is the argument");
    std::fs::read(format!("{folder}/{name}.wasm")).expect("the guest is there")
}

fn look() -> String {
    let runtime = Runtime::new();
    match runtime.deploy("echo", &guest("echo.zig.reactor")) {
        Ok(_) => {}
        Err(error @ DeployError::UnsafeBuild { .. }) => {
            let error = error.to_string();
            let remedy = if error.contains("portable-dispatch") { "" } else { " WITHOUT NAMING THE REMEDY" };
            return format!("refused{remedy} {error}");
        }
        Err(error) => return format!("failed {error}"),
    }
    let order = format!(
        r#"{{"user": "ann", "min": 10, "items": [{}]}}"#,
        vec![r#"{"name": "book", "price": 12, "qty": 1, "tags": ["a", {"b": [1, 2]}]}"#; 50].join(", ")
    );
    let text = "The quick brown fox\njumps over\tthe lazy dog.\n".repeat(200);
    let guests: [(&str, &[u8]); 10] = [
        ("echo.rust.reactor", text.as_bytes()),
        ("echo.as.reactor", text.as_bytes()),
        ("json.c.reactor", order.as_bytes()),
        ("json.rust.reactor", order.as_bytes()),
        ("json.zig.reactor", order.as_bytes()),
        ("json.as.reactor", order.as_bytes()),
        ("counter.c.reactor", text.as_bytes()),
        ("alloc.rust.reactor", b"256"),
        ("sha256.zig.reactor", text.as_bytes()),
        ("wordcount.as.reactor", text.as_bytes()),
    ];
    for (name, input) in guests {
        let function = match runtime.deploy(name, &guest(name)) {
            Ok(function) => function,
            Err(error) => return format!("failed {name}: {error}"),
        };
        for _ in 0..2 {
            if let Err(error) = function.invoke(input) {
                return format!("failed {name}: {error}");
            }
        }
    }
    "ok".to_owned()
}

fn main() {
    let thread = std::thread::Builder::new().stack_size(512 << 10).spawn(look).expect("a thread");
    println!("{}", thread.join().unwrap_or_else(|_| "panicked".to_owned()));
}
RUST

star='profile.dev.package."*"'
wasmi='profile.dev.package.wasmi'
count=0 fitting=0
rows=$(printf '%-50s %-9s %-9s %5s  %s' profile expected found build detail)

# profile NAME EXPECTED CARGO-ARGUMENTS...
profile() {
    local name=$1 expected=$2 begun=$SECONDS said status=0 found detail
    shift 2
    printf 'building: %s\n' "$name" >&2
    local debug=false
    [[ " $* " == *" $as_tests "* ]] && debug=true
    if ! CARGO_PROFILE_DEV_DEBUG=$debug cargo build --quiet --manifest-path "$folder/Cargo.toml" "$@"; then
        found=unbuilt detail='cargo build failed'
    else
        local built=$((SECONDS - begun)) place=debug
        [[ " $* " == *' --release '* ]] && place=release
        said=$("$CARGO_TARGET_DIR/$place/self-check-host" "$checkout/tests/guests" 2>"$folder/stderr") || status=$?
        found=${said%% *} detail=${said#"$found"}
        if ((status != 0)); then
            found=CRASHED detail="status $status: $(head -c 200 "$folder/stderr" | tr '\n' ' ')"
        fi
    fi
    count=$((count + 1))
    if [[ $found == "$expected" || ($expected == either && ($found == ok || $found == refused)) ]]; then
        # Of a refusal that names the remedy the figures are enough.
        [[ $found == refused && $detail != *WITHOUT* ]] && detail=${detail#*: its } && detail=${detail%%. *}
        if [[ $detail != *WITHOUT* ]]; then fitting=$((fitting + 1)); fi
    else
        name="! $name"
    fi
    rows+=$(printf '\n%-50s %-9s %-9s %4ss  %s' "$name" "$expected" "$found" "${built:-?}" "$detail")
}

profile 'dev' ok
profile 'release' ok --release
profile 'dev, "*" at opt-level 3' refused --config "$star.opt-level=3"
profile 'dev, "*" at 3 without debug assertions' ok \
    --config "$star.opt-level=3" --config "$star.debug-assertions=false" --config "$as_tests"
profile 'dev, "*" at 3, portable-dispatch' ok --config "$star.opt-level=3" --features portable-dispatch
profile 'dev, wasmi alone at 3' either --config "$wasmi.opt-level=3"
profile 'release at opt-level "s"' either --release --config 'profile.release.opt-level="s"'
if [[ ${1:-} == all ]]; then
    profile 'dev, wasmi alone at 3 without debug assertions' either --config "$wasmi.opt-level=3" --config "$wasmi.debug-assertions=false"
    profile 'dev, "*" at opt-level 1' either --config "$star.opt-level=1"
    profile 'dev, "*" at opt-level 2' either --config "$star.opt-level=2"
    profile 'dev, "*" at opt-level "s"' either --config "$star.opt-level=\"s\""
    profile 'release at opt-level "z"' either --release --config 'profile.release.opt-level="z"'
    profile 'release at opt-level 1' either --release --config 'profile.release.opt-level=1'
    profile 'release at opt-level 2' either --release --config 'profile.release.opt-level=2'
    profile 'release with debug assertions' either --release --config 'profile.release.debug-assertions=true'
    profile 'release with overflow checks' either --release --config 'profile.release.overflow-checks=true'
    profile 'release with lto = "off"' either --release --config 'profile.release.lto="off"'
    profile 'release with thin LTO' ok --release --config 'profile.release.lto="thin"'
    profile 'release with one codegen unit' ok --release --config 'profile.release.codegen-units=1'
fi

printf '\n%s\n\n%d of %d profiles as expected\n' "$rows" "$fitting" "$count"
((fitting == count))
