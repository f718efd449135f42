//! The corpus of the fuzz targets, replayed: see `fuzz/`.

use std::{fs, path::PathBuf};

use crate::targets;

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

#[cfg(feature = "events")]
#[test]
fn the_corpus_of_events_passes() {
    replay("event", targets::event);
}

#[cfg(feature = "events")]
#[test]
fn the_corpus_of_patterns_passes() {
    replay("pattern", targets::pattern);
}

#[cfg(feature = "events")]
#[test]
fn the_corpus_of_matching_passes() {
    replay("matching", targets::matching);
}

#[test]
fn the_corpus_of_deployments_passes() {
    replay("deploy", targets::deploy);
}

#[test]
fn the_corpus_of_generated_deployments_passes() {
    replay("deploy_smith", targets::deploy_smith);
}

#[test]
fn the_corpus_of_programs_passes() {
    replay("program", targets::program);
}

#[cfg(feature = "wasi")]
#[test]
fn the_corpus_of_wasi_calls_passes() {
    replay("wasi_calls", targets::wasi_calls);
}

#[cfg(feature = "schedule")]
#[test]
fn the_corpus_of_schedules_passes() {
    replay("schedule", targets::schedule);
}
