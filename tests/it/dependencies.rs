//! What a host links with this crate: each crate by name and licence. None of them can open a
//! socket.
//!
//! The lists are kept by hand on purpose, as a new dependency is a decision, even one of a
//! dependency's. Only linked crates count, not those that only tests, build scripts and macros use.

use std::{collections::BTreeMap, env, fs, process::Command};

use serde_json::Value as Json;

/// The crates that may be linked with all features on, and the licences in their manifests.
const LINKED: &[(&str, &str)] = &[
    ("arc-swap", "MIT OR Apache-2.0"),
    ("base64", "MIT OR Apache-2.0"),
    ("bincode", "MIT"),
    ("block-buffer", "MIT OR Apache-2.0"),
    ("bitflags", "MIT OR Apache-2.0"),
    ("bytemuck", "Zlib OR Apache-2.0 OR MIT"),
    ("cfg-if", "MIT OR Apache-2.0"),
    ("chrono", "MIT OR Apache-2.0"),
    ("cpufeatures", "MIT OR Apache-2.0"),
    ("croner", "MIT"),
    ("crossbeam", "MIT OR Apache-2.0"),
    ("crossbeam-channel", "MIT OR Apache-2.0"),
    ("crossbeam-deque", "MIT OR Apache-2.0"),
    ("crossbeam-epoch", "MIT OR Apache-2.0"),
    ("crossbeam-queue", "MIT OR Apache-2.0"),
    ("crossbeam-utils", "MIT OR Apache-2.0"),
    ("crypto-common", "MIT OR Apache-2.0"),
    ("derive_builder", "MIT OR Apache-2.0"),
    ("digest", "MIT OR Apache-2.0"),
    ("generic-array", "MIT"),
    ("itoa", "MIT OR Apache-2.0"),
    ("leb128fmt", "MIT OR Apache-2.0"),
    ("libc", "MIT OR Apache-2.0"),
    ("libm", "MIT"),
    ("lock_api", "MIT OR Apache-2.0"),
    ("matchit", "MIT AND BSD-3-Clause"),
    ("memchr", "Unlicense OR MIT"),
    ("num-traits", "MIT OR Apache-2.0"),
    ("once_cell", "MIT OR Apache-2.0"),
    ("parking_lot", "MIT OR Apache-2.0"),
    ("parking_lot_core", "MIT OR Apache-2.0"),
    ("pin-project-lite", "Apache-2.0 OR MIT"),
    ("redb", "MIT OR Apache-2.0"),
    ("rustc-hash", "Apache-2.0 OR MIT"),
    ("safe_arch", "Zlib OR Apache-2.0 OR MIT"),
    ("scopeguard", "MIT OR Apache-2.0"),
    ("serde", "MIT OR Apache-2.0"),
    ("serde_core", "MIT OR Apache-2.0"),
    ("serde_json", "MIT OR Apache-2.0"),
    ("sha2", "MIT OR Apache-2.0"),
    ("smallvec", "MIT OR Apache-2.0"),
    ("spin", "MIT"),
    ("strum", "MIT"),
    ("thiserror", "MIT OR Apache-2.0"),
    ("tracing", "MIT"),
    ("tracing-core", "MIT"),
    ("typenum", "MIT OR Apache-2.0"),
    ("unty", "MIT OR Apache-2.0"),
    ("wasm-encoder", "Apache-2.0 WITH LLVM-exception OR Apache-2.0 OR MIT"),
    ("wasmi", "MIT/Apache-2.0"),
    ("wasmi_collections", "MIT/Apache-2.0"),
    ("wasmi_core", "MIT/Apache-2.0"),
    ("wasmi_ir", "MIT/Apache-2.0"),
    ("wasmparser", "Apache-2.0 WITH LLVM-exception OR Apache-2.0 OR MIT"),
    ("wide", "Zlib OR Apache-2.0 OR MIT"),
    // On Windows only, under parking_lot.
    ("windows-link", "MIT OR Apache-2.0"),
    ("zmij", "MIT"),
];

/// The allowed licences. A crate must offer an alternative that consists of these alone.
const LICENCES: &[&str] = &["MIT", "Apache-2.0", "BSD-3-Clause"];

/// Crates that open sockets, crates that depend on such crates, and executors for them.
const BANNED: &[&str] = &[
    "async-io",
    "async-net",
    "async-std",
    "attohttpc",
    "cap-net-ext",
    "cap-std",
    "curl",
    "curl-sys",
    "h2",
    "hyper",
    "hyper-util",
    "isahc",
    "mio",
    "native-tls",
    "openssl",
    "openssl-sys",
    "polling",
    "quinn",
    "reqwest",
    "rustls",
    "smol",
    "socket2",
    "surf",
    "tokio",
    "tonic",
    "tungstenite",
    "ureq",
    "wasi-common",
    "wasmi_wasi",
    "wasmtime-wasi",
];

/// A linked crate.
struct Linked {
    name: String,
    version: String,
    licence: String,
    features: Vec<String>,
}

/// Runs cargo on this package without network. If it fails, `Err` has its words.
fn cargo(args: &[&str]) -> Result<String, String> {
    let output = Command::new(env!("CARGO"))
        .args(args)
        .args(["--offline", "--locked", "--manifest-path", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")])
        .env("CARGO_TERM_COLOR", "never")
        .output()
        .map_err(|error| error.to_string())?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

/// The same with all features on.
///
/// A machine that has only run `cargo test` lacks the crates of features that are off by default.
/// There the default features are enough, unless CI asks for all. If those fail too, `Err` has
/// cargo's words.
fn cargo_all_features(args: &[&str]) -> Result<String, String> {
    let with_all = [args, &["--all-features"]].concat();
    cargo(&with_all).or_else(|all| {
        assert!(
            env::var_os("DORMOUSE_ALL_FEATURES").is_none(),
            "cargo {} failed: run `cargo fetch` first?\n{all}",
            with_all.join(" ")
        );
        println!("the default features alone are looked at; `cargo fetch` brings the rest. cargo said:\n{all}");
        cargo(args)
    })
}

/// What is linked into a host on this platform, except this package.
///
/// It comes from `cargo tree`. `cargo metadata` counts the features that dependencies of tests turn
/// on, such as hashbrown, which no host gets.
fn linked() -> Vec<Linked> {
    let tree = cargo_all_features(&[
        "tree",
        "--edges=normal,no-proc-macro",
        "--prefix=none",
        "--no-dedupe",
        "--format={p}|{l}|{f}",
        "--package=dormouse",
    ])
    .unwrap_or_else(|error| panic!("cargo tree failed: {error}"));
    let mut linked: BTreeMap<(String, String), Linked> = BTreeMap::new();
    for line in tree.lines().filter(|line| !line.is_empty()) {
        let parts: Vec<&str> = line.split('|').collect();
        let [package, licence, features] = parts[..] else { panic!("a line of `cargo tree`: {line:?}") };
        let mut words = package.split(' ');
        let (name, version) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        if name == "dormouse" {
            continue;
        }
        let features = features.split(',').map(str::to_owned).collect();
        let (name, version, licence) = (name.to_owned(), version.to_owned(), licence.to_owned());
        linked.insert((name.clone(), version.clone()), Linked { name, version, licence, features });
    }
    assert!(linked.keys().any(|(name, _)| name == "wasmi"), "`cargo tree` names no wasmi:\n{tree}");
    linked.into_values().collect()
}

/// Whether one alternative of a licence expression consists of allowed licences alone.
fn is_allowed(licence: &str) -> bool {
    let alternatives = licence.split(" OR ").flat_map(|part| part.split('/'));
    alternatives.into_iter().any(|all| all.split(" AND ").all(|one| LICENCES.contains(&one.trim_matches(['(', ')']))))
}

#[test]
fn every_linked_crate_is_one_that_was_chosen() {
    let mut problems = Vec::new();
    for Linked { name, version, licence, .. } in linked() {
        match LINKED.iter().find(|(known, _)| *known == name) {
            None => problems.push(format!(
                "{name} {version} is new ({licence}). If hosts are to link it: say in docs/dependencies.md what for and \
                 what else was weighed, then add (\"{name}\", \"{licence}\") to LINKED. `cargo tree -e normal -i {name}` shows \
                 who wants it; a feature may turn it off"
            )),
            Some((_, known)) if *known != licence => problems.push(format!(
                "{name} {version} comes under {licence:?}, LINKED says {known:?}. If that is acceptable, correct LINKED"
            )),
            Some(_) if !is_allowed(&licence) => problems.push(format!(
                "{name} {version} comes under {licence:?}, which offers nothing of LICENCES. Do without the crate"
            )),
            Some(_) => {}
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn no_crate_is_linked_in_two_versions() {
    let mut versions: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for Linked { name, version, .. } in linked() {
        versions.entry(name).or_default().push(version);
    }
    versions.retain(|_, versions| versions.len() > 1);
    assert!(
        versions.is_empty(),
        "linked twice: {versions:?}. See `cargo tree -e normal -d`; keep to the version that wasmi links, in Cargo.toml \
         or with `cargo update -p <crate> --precise <version>`"
    );
}

#[test]
fn nothing_that_can_open_a_socket_is_linked() {
    for Linked { name, version, features, .. } in linked() {
        assert!(
            !BANNED.contains(&&*name),
            "{name} {version} is linked, which opens sockets or is there for crates that do: this library never does. \
             `cargo tree -e normal -i {name}` shows who wants it"
        );
        assert!(
            name != "rustix" || !features.iter().any(|feature| feature == "net"),
            "rustix is linked with its feature `net`: leave it off (`cargo tree -e features -i rustix` shows who turns it on)"
        );
    }
    // If cargo-deny is installed, it checks the same from its own list.
    let policy = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/deny.toml")).unwrap_or_default();
    for banned in policy.lines().filter_map(|line| line.trim().strip_prefix("{ crate = \"")?.split('"').next()) {
        assert!(BANNED.contains(&banned), "deny.toml bans {banned}: add it to BANNED");
    }
    let listed = LINKED.iter().find(|(name, _)| BANNED.contains(name));
    assert!(listed.is_none(), "{listed:?} is in LINKED and in BANNED: take it out of LINKED");
}

#[test]
fn the_manifest_asks_for_a_compiler_that_all_linked_crates_accept() {
    let version = Command::new(env!("CARGO")).arg("-vV").output().expect("cargo tells its version");
    let version = String::from_utf8_lossy(&version.stdout);
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).expect("cargo names its host");
    let filter = format!("--filter-platform={host}");
    let text = match cargo_all_features(&["metadata", "--format-version=1", &filter]) {
        Ok(text) => text,
        // It needs all packages of the workspace. A machine that has built only this one lacks what
        // the C library turns on.
        Err(problem) => return println!("not looked at before `cargo fetch`, except in CI. cargo said:\n{problem}"),
    };
    let metadata: Json = serde_json::from_str(&text).expect("cargo writes JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    let wanted = |name: &str, version: Option<&str>| {
        let package = packages.iter().find(|package| {
            package["name"] == name
                && version.is_none_or(|version| package["version"] == version.trim_start_matches('v'))
        });
        let package = package.unwrap_or_else(|| panic!("`cargo metadata` does not know {name} {version:?}"));
        let numbers = package["rust_version"].as_str().map(|text| {
            let mut numbers = text.split('.').map(|number| number.parse::<u32>().expect("a number"));
            (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
        });
        numbers.unwrap_or_default()
    };
    let ours = wanted("dormouse", None);
    assert!(ours > (1, 0, 0), "Cargo.toml has no rust-version");
    for Linked { name, version, .. } in linked() {
        let theirs = wanted(&name, Some(&version));
        assert!(
            theirs <= ours,
            "{name} {version} wants Rust {theirs:?}, Cargo.toml says {ours:?}: raise rust-version there (a decision), or keep \
             to an older {name} with `cargo update -p {name} --precise <version>`"
        );
    }
}

#[test]
fn every_dependency_has_its_reason() {
    let read = |path: &str| fs::read_to_string(format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))).expect(path);
    let (manifest, page) = (read("Cargo.toml"), read("docs/dependencies.md"));
    let rows: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("| ")?.split(" |").next()).collect();
    let mut in_dependencies = false;
    let mut problems = Vec::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            in_dependencies = line.trim_end_matches(']').ends_with("dependencies");
            continue;
        }
        let Some((name, _)) = line.split_once(" = ").filter(|_| in_dependencies && !line.starts_with('#')) else {
            continue;
        };
        if !rows.iter().any(|row| row.split([',', ' ']).any(|word| word == name)) {
            problems
                .push(format!("docs/dependencies.md has no row for {name}: say what for and what else was weighed"));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn licence_expressions_are_read_by_their_alternatives() {
    for allowed in ["MIT", "MIT/Apache-2.0", "GPL-3.0 OR MIT", "MIT AND Apache-2.0", "(MIT AND Apache-2.0) OR GPL-3.0"]
    {
        assert!(is_allowed(allowed), "{allowed}");
    }
    for refused in ["", "GPL-3.0", "MIT AND GPL-3.0", "MPL-2.0 OR GPL-3.0", "Apache-2.0 WITH Other-exception"] {
        assert!(!is_allowed(refused), "{refused}");
    }
}
