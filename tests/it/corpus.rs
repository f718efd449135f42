//! The corpus of the fuzz targets, replayed: see `fuzz/`.

use std::{fs, path::PathBuf};

#[allow(unreachable_pub, reason = "elsewhere it is a library")]
#[path = "../../fuzz/src/lib.rs"]
mod targets;

fn replay(target: &str, run: fn(&[u8])) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut files = 0;
    for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.unwrap().path();
        println!("{}", path.display());
        run(&fs::read(path).unwrap());
        files += 1;
    }
    assert!(files >= 10, "{files} files in {}", folder.display());
}

#[test]
fn the_corpus_of_events_passes() {
    replay("event", targets::event);
}

#[test]
fn the_corpus_of_patterns_passes() {
    replay("pattern", targets::pattern);
}

#[test]
fn the_corpus_of_matching_passes() {
    replay("matching", targets::matching);
}
