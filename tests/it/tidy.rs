//! The rules of this repository that a test can check by reading the files.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The most lines of a file, and of one of the library. A longer file holds more than one idea.
const LINES: usize = 700;
const LINES_OF_LIBRARY: usize = 500;

/// Folders with files that are built or fetched, not written.
const NOT_OURS: &[&str] = &[".git", "target", "corpus", "artifacts", "node_modules"];

/// A file of this package: its path from the package's folder, with slashes, and its text. `None`
/// if it is not text.
struct File {
    path: String,
    text: Option<String>,
}

/// All files of the package, sorted.
fn files() -> Vec<File> {
    fn walk(root: &Path, folder: &Path, files: &mut Vec<File>) {
        let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        for entry in entries {
            let path = entry.expect("an entry").path();
            if NOT_OURS.iter().any(|name| path.ends_with(name)) {
                continue;
            }
            if path.is_dir() {
                walk(root, &path, files);
                continue;
            }
            let text = fs::read(&path).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            let path = path.strip_prefix(root).expect("it lies within").to_string_lossy().replace('\\', "/");
            files.push(File { path, text });
        }
    }
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let mut files_found = Vec::new();
    walk(&root, &root, &mut files_found);
    files_found.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(files_found.iter().any(|file| file.path == "src/lib.rs"), "the walk found no src/lib.rs");
    files_found
}

/// Rust sources that are built with the package. Those of guests are left out, as they are written
/// in other styles.
fn sources() -> impl Iterator<Item = (String, String)> {
    let rust = |file: &File| file.path.ends_with(".rs") && !file.path.contains("/guests/");
    files().into_iter().filter(rust).map(|file| (file.path, file.text.expect("Rust sources are text")))
}

/// The lines of a text, numbered as editors number them.
fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(at, line)| (at + 1, line))
}

fn report(problems: &[String]) {
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

#[test]
fn unsafe_code_lives_under_sys_alone() {
    // In two parts, so that this file does not find itself.
    let keyword = concat!("un", "safe");
    let forms = [" {", " fn ", " impl ", " trait ", " extern ", "("].map(|after| format!("{keyword}{after}"));
    let allowances = ["allow", "expect"].map(|word| format!("{word}({keyword}_code"));
    let mut problems = Vec::new();
    for (path, text) in sources() {
        // An allocator, which needs it.
        let is_allocator = path == "tests/exhaustion.rs";
        let may = path.starts_with("src/sys/") || path.starts_with("bindings/c/") || is_allocator;
        for (number, line) in numbered(&text) {
            let code = line.trim_start();
            if may || code.starts_with("//") {
                continue;
            }
            if let Some(found) = forms.iter().chain(&allowances).find(|form| code.contains(&***form)) {
                problems.push(format!("{path}:{number}: `{found}`: move it behind a safe function in src/sys"));
            }
        }
    }
    let manifest = files().into_iter().find(|file| file.path == "Cargo.toml").and_then(|file| file.text);
    let manifest = manifest.expect("Cargo.toml");
    let lint = manifest.lines().find(|line| line.starts_with(&format!("{keyword}_code")));
    if !lint.is_some_and(|lint| lint.contains("forbid") || lint.contains("deny")) {
        problems.push(format!("Cargo.toml: the lint `{keyword}_code` is neither at forbid nor at deny"));
    }
    report(&problems);
}

/// The interpreter does not validate such a module again.
#[test]
fn the_rewriting_alone_vouches_for_modules() {
    let word = concat!("vouched", "_for");
    let mut places = sources().filter(|(_, text)| text.contains(word)).map(|(path, _)| path).collect::<Vec<_>>();
    places.retain(|path| path != "src/sys/valid.rs");
    assert_eq!(places, ["src/module/rewrite.rs"]);
}

#[test]
fn nothing_is_left_for_later() {
    let words = [
        concat!("to", "do!"),
        concat!("unimpl", "emented!"),
        concat!("db", "g!("),
        concat!("#[ig", "nore"),
        concat!("FIX", "ME"),
        concat!("TO", "DO"),
        concat!("XX", "X:"),
    ];
    let folders = ["src/", "tests/", "examples/", "benches/", "bindings/", "fuzz/", ".ci/"];
    let mut problems = Vec::new();
    for File { path, text } in files() {
        let Some(text) = text.filter(|_| folders.iter().any(|folder| path.starts_with(folder))) else { continue };
        for (number, line) in numbered(&text) {
            if let Some(word) = words.iter().find(|word| line.contains(**word)) {
                problems.push(format!("{path}:{number}: `{word}`: do it now, or open an issue and take the mark out"));
            }
        }
    }
    report(&problems);
}

#[test]
fn every_source_file_says_what_it_is() {
    let mut problems = Vec::new();
    for (path, text) in sources() {
        // The crate's own documentation is the README.
        let readme = path == "src/lib.rs" && text.starts_with("#![doc = include_str!(");
        if !text.starts_with("//! ") && !readme {
            problems.push(format!("{path}:1: the first line is not a `//!` sentence that says what the file is"));
        }
    }
    report(&problems);
}

#[test]
fn no_source_file_is_longer_than_one_idea() {
    let mut problems = Vec::new();
    for (path, text) in sources() {
        let lines = text.lines().count();
        let most = if path.starts_with("src/") { LINES_OF_LIBRARY } else { LINES };
        if lines > most {
            problems.push(format!("{path}: {lines} lines, more than {most}: split it by idea"));
        }
    }
    report(&problems);
}

#[test]
fn no_file_knows_the_machine_it_was_written_on() {
    let places = [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/"), concat!("/Us", "ers/")];
    let mut problems = Vec::new();
    for File { path, text } in files() {
        for (number, line) in text.as_deref().map(numbered).into_iter().flatten() {
            let own =
                |at: usize| !line[..at].ends_with(|before: char| before.is_alphanumeric() || "._-".contains(before));
            for place in places {
                if line.match_indices(place).any(|(at, _)| own(at)) {
                    problems.push(format!("{path}:{number}: a path under `{place}`: other machines have none"));
                }
            }
        }
    }
    report(&problems);
}

#[test]
fn every_file_of_the_integration_tests_is_run() {
    let main = files().into_iter().find(|file| file.path == "tests/it/main.rs").and_then(|file| file.text);
    let main = main.expect("tests/it/main.rs");
    let mut problems = Vec::new();
    for (path, _) in sources() {
        let Some(module) = path.strip_prefix("tests/it/").and_then(|name| name.strip_suffix(".rs")) else { continue };
        let module = module.strip_suffix("/mod").unwrap_or(module);
        // The `mod.rs` of a folder below declares its files.
        if module != "main" && !module.contains('/') && !main.lines().any(|line| line == format!("mod {module};")) {
            problems.push(format!("{path}: tests/it/main.rs has no `mod {module};`, so its tests never run"));
        }
    }
    report(&problems);
}

/// `tests/planted-faults.sh` plants its faults by text, so the texts must stand in the sources.
#[test]
fn each_planted_fault_can_still_be_planted() {
    let files = files();
    let text_of = |path: &str| files.iter().find(|file| file.path == path).and_then(|file| file.text.as_deref());
    let list = text_of("tests/planted-faults.txt").expect("tests/planted-faults.txt");
    let faults: Vec<&str> = list.split("\n\n").filter(|block| block.starts_with("fault ")).collect();
    assert!(faults.len() >= 24, "{}", faults.len());
    let mut problems = Vec::new();
    for block in faults {
        let mut lines = block.lines();
        let mut field =
            |name: &str| lines.next().and_then(|line| line.strip_prefix(name)).and_then(|rest| rest.strip_prefix(' '));
        let fields = [field("fault"), field("file"), field("find"), field("with"), field("run")];
        let [Some(name), Some(path), Some(find), Some(_), Some(run)] = fields else {
            problems.push(format!("{block}\n: needs one line each of fault, file, find, with, run"));
            continue;
        };
        match text_of(path).map(|text| text.matches(find).count()) {
            Some(1) => {}
            Some(count) => problems.push(format!("{name}: `{find}` stands {count} times in {path}, not once")),
            None => problems.push(format!("{name}: there is no {path}")),
        }
        let room = run.strip_prefix("--test it ").map(|filter| filter.trim_end_matches(':'));
        if room.is_some_and(|room| text_of(&format!("tests/it/{room}.rs")).is_none()) {
            problems.push(format!("{name}: `{run}` names no file of tests/it"));
        }
    }
    report(&problems);
}
