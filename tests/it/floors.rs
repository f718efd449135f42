//! The floors of the house: a room uses rooms below it, never one beside or above it.
//!
//! The rooms stand in `FLOORS`, the lowest first. A room is a folder or a file of `src`; where a room lies within
//! another, its longer name counts. The test reads every `use` line and every path that begins with `crate::`.

use std::{collections::BTreeSet, fs, path::Path};

/// Rooms of one line do not use each other either.
const FLOORS: &[&[&str]] = &[
    &["limits", "host_error", "sync", "value", "codec"],
    &["sys"],
    &["clock"],
    &["text"],
    &["json", "disk", "usage"],
    &["event", "kv"],
    &["pattern", "error"],
    &["trigger", "budget"],
    &["module", "queue"],
    &["instance"],
    // What the host keeps for each kind of guest lies below the functions that the guest calls. Both are in the
    // room of the kind.
    &["guest/state"],
    &["host"],
    &["guest"],
    &["pool"],
    &["function"],
    &["delivery"],
    &["runtime"],
];

/// Files of the rooms of guest kinds that belong to the floor `guest/state`.
const GUEST_STATE: &[&str] = &[
    "guest/state",
    "guest/wasi/state",
    "guest/wasi/options",
    "guest/extism/state",
    "guest/extism/options",
    "guest/extism/area",
    "guest/extism/vars",
];

/// The rooms that import nothing else of the crate, so that they could stand alone.
const ALONE: &[(&str, &[&str])] = &[("json", &[]), ("event", &["json"]), ("pattern", &["event", "json"])];

/// The floor of a module and the name of its room. `None` for the root and for tests.
fn room(module: &str) -> Option<(usize, &'static str)> {
    let module = if GUEST_STATE.contains(&module) { "guest/state" } else { module };
    let is_in = |room: &str| module == room || module.strip_prefix(room).is_some_and(|rest| rest.starts_with('/'));
    let rooms = FLOORS.iter().enumerate().flat_map(|(floor, rooms)| rooms.iter().map(move |room| (floor, *room)));
    rooms.filter(|(_, room)| is_in(room)).max_by_key(|(_, room)| room.len())
}

/// The modules under `src` by their paths with slashes, each with its text.
fn modules() -> Vec<(String, String)> {
    fn walk(root: &Path, folder: &Path, modules: &mut Vec<(String, String)>) {
        for entry in fs::read_dir(folder).expect("a folder of sources") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                walk(root, &path, modules);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root).expect("below it").with_extension("");
                let name = name.to_string_lossy().replace('\\', "/");
                let name = name.strip_suffix("/mod").unwrap_or(&name).to_owned();
                modules.push((name, fs::read_to_string(&path).expect("sources are text")));
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    walk(&root, &root, &mut found);
    found.sort();
    found
}

/// The code of a file without its unit tests and its comments.
fn code(text: &str) -> String {
    let mut code = String::new();
    for line in text.lines() {
        if line.starts_with("#[cfg(") && line.contains("test") && !line.contains("not(test") {
            // Unit tests stand at the end of a file, or one item is for tests alone.
            if text.contains(&format!("{line}\nmod ")) {
                break;
            }
        }
        if !line.trim_start().starts_with("//") {
            code.push_str(line);
            code.push('\n');
        }
    }
    code
}

/// The paths of a `use` tree, each from its first segment.
fn paths(tree: &str, prefix: &str, found: &mut Vec<String>) {
    let (mut depth, mut begin) = (0, 0);
    let bytes = tree.as_bytes();
    for at in 0..=bytes.len() {
        match bytes.get(at) {
            Some(b'{') => depth += 1,
            Some(b'}') => depth -= 1,
            Some(b',') | None if depth == 0 => {
                let part = &tree[begin..at];
                begin = at + 1;
                match part.split_once('{') {
                    Some((head, rest)) => {
                        let inner = rest.strip_suffix('}').unwrap_or(rest);
                        paths(inner, &format!("{prefix}{head}"), found);
                    }
                    None if part.is_empty() => {}
                    None => found.push(format!("{prefix}{part}")),
                }
            }
            _ => {}
        }
    }
}

/// All paths that a module names: those of its `use` lines, and those in its code that begin with `crate::`.
fn named(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for statement in code.split(';') {
        let statement = statement.trim_start();
        let begin =
            ["use ", "\nuse ", " use "].iter().filter_map(|word| statement.rfind(word).map(|at| at + word.len())).max();
        if let Some(begin) = begin {
            let tree: String = statement[begin..].split(" as ").next().unwrap_or_default().split_whitespace().collect();
            if ["crate::", "super::", "self::"].iter().any(|head| tree.starts_with(head)) {
                paths(&tree, "", &mut found);
            }
        }
    }
    for (at, _) in code.match_indices("crate::") {
        let path: String = code[at..].chars().take_while(|c| c.is_alphanumeric() || matches!(c, '_' | ':')).collect();
        found.push(path);
    }
    found
}

/// The module that a path leads to from another: its longest beginning that is one.
fn target(from: &str, path: &str, modules: &BTreeSet<&str>) -> Option<String> {
    let mut base: Vec<&str> = from.split('/').collect();
    let mut rest = path.split("::").peekable();
    match rest.next()? {
        "crate" => base.clear(),
        "super" => {
            base.pop();
            while rest.peek() == Some(&"super") {
                rest.next();
                base.pop();
            }
        }
        _ => {}
    }
    base.extend(rest);
    (1..=base.len()).rev().map(|len| base[..len].join("/")).find(|name| modules.contains(&**name))
}

/// Every arrow from one room to another, as "module: path".
fn arrows() -> Vec<(String, String, String)> {
    let modules = modules();
    let names: BTreeSet<&str> = modules.iter().map(|(name, _)| &**name).collect();
    let mut arrows = Vec::new();
    // Files of unit tests may use anything.
    let is_test = |name: &str| name.split('/').any(|part| matches!(part, "tests" | "power" | "interleavings"));
    for (name, text) in modules.iter().filter(|(name, _)| !is_test(name)) {
        for path in named(&code(text)) {
            if let Some(target) = target(name, &path, &names) {
                arrows.push((name.clone(), path, target));
            }
        }
    }
    arrows
}

#[test]
fn no_room_uses_one_beside_it_or_above_it() {
    let mut problems = BTreeSet::new();
    for (from, path, to) in arrows() {
        let (Some((floor, room)), Some((other_floor, other))) = (self::room(&from), self::room(&to)) else { continue };
        if room != other && other_floor >= floor {
            problems.insert(format!("src/{from}: `{path}`: {other} is not below {room}"));
        }
    }
    let problems: Vec<_> = problems.into_iter().collect();
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

#[test]
fn every_room_has_a_floor() {
    // The root, the tests of which thread goes on, and documentation.
    let apart = ["lib", "interleavings", "guide"];
    let homeless: Vec<_> = modules()
        .into_iter()
        .map(|(name, _)| name)
        .filter(|name| room(name).is_none() && !apart.contains(&&**name))
        .collect();
    assert!(homeless.is_empty(), "no floor of `FLOORS` has {homeless:?}");
}

#[test]
fn events_patterns_and_json_stand_alone() {
    let mut problems = BTreeSet::new();
    for (from, path, to) in arrows() {
        let (Some((_, room)), Some((_, other))) = (self::room(&from), self::room(&to)) else { continue };
        if let Some((_, may)) = ALONE.iter().find(|(alone, _)| *alone == room) {
            if room != other && !may.contains(&other) {
                problems.insert(format!("src/{from}: `{path}`: {room} may use {may:?} alone"));
            }
        }
    }
    let problems: Vec<_> = problems.into_iter().collect();
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

#[test]
fn arrows_are_seen_in_nested_and_in_bare_paths() {
    let mut found = Vec::new();
    paths("crate::{a::{b,c::D},e}", "", &mut found);
    assert_eq!(found, ["crate::a::b", "crate::a::c::D", "crate::e"]);
    let code = "pub(crate) use super::{x, y::Z};\nfn f() -> crate::runtime::Error {}\nuse std::fmt;\n";
    assert_eq!(named(code), ["super::x", "super::y::Z", "crate::runtime::Error"]);
    let arrows = arrows();
    let has = |from: &str, to: &str| arrows.iter().any(|(f, _, t)| f == from && t == to);
    assert!(has("runtime", "function") && has("guest/wasi/calls", "guest/wasi/state") && has("pool", "guest"));
}
