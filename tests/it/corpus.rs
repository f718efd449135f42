//! The corpus of the fuzz targets, replayed: see `fuzz/`.
//!
//! Targets that make something of any bytes get random bytes too. That runs many times faster than
//! under libFuzzer: `DORMOUSE_PROGRAMS=100000 cargo test --release random_programs`.

use std::{fs, path::PathBuf};

use crate::{
    support::{Random, count},
    targets,
};

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

#[cfg(feature = "extism")]
#[test]
fn the_corpus_of_extism_calls_passes() {
    replay("extism_calls", targets::extism_calls);
}

#[cfg(feature = "schedule")]
#[test]
fn the_corpus_of_schedules_passes() {
    replay("schedule", targets::schedule);
}

/// Runs a target with random bytes, as many times as the variable says.
fn at_random(variable: &str, default: u64, most: u64, run: fn(&[u8])) {
    let first = count("DORMOUSE_FIRST_SEED", 0);
    for seed in first..first + count(variable, default) {
        // This shows only if the test fails.
        println!("seed {seed}");
        let mut random = Random::new(seed);
        let len = random.below(most) as usize;
        run(&random.bytes(len));
    }
}

#[test]
fn random_programs_do_as_the_model_says() {
    at_random("DORMOUSE_PROGRAMS", 60, 800, targets::program);
}

#[cfg(feature = "wasi")]
#[test]
fn random_wasi_calls_are_contained_and_repeatable() {
    at_random("DORMOUSE_WASI_CALLS", 100, 900, targets::wasi_calls);
}

#[cfg(feature = "extism")]
#[test]
fn random_extism_calls_answer_as_the_model_says() {
    at_random("DORMOUSE_EXTISM_CALLS", 100, 4_000, targets::extism_calls);
}
