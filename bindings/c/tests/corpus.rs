//! Replays the corpus of the fuzz target `c_api`, and runs random sequences of calls, many times
//! faster than libFuzzer: `DORMOUSE_C_CALLS=100000 DORMOUSE_FIRST_SEED=0 cargo test --release -p
//! dormouse-c --test corpus`.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with the error")]

use std::{env, fs, path::PathBuf};

mod c_api;
#[path = "../../../fuzz/src/random.rs"]
mod random;

fn count(variable: &str, default: u64) -> u64 {
    env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
fn the_corpus_passes() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/c_api");
    let files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() >= 10, "{} files", files.len());
    for file in files {
        println!("{}", file.display());
        c_api::c_api(&fs::read(file).unwrap());
    }
}

#[test]
fn random_calls_answer_as_the_model_says() {
    let first = count("DORMOUSE_FIRST_SEED", 0);
    for seed in first..first + count("DORMOUSE_C_CALLS", 200) {
        // Shown if a test fails.
        println!("seed {seed}");
        let mut random = random::Random::new(seed);
        let len = random.below(2_000) as usize;
        c_api::c_api(&random.bytes(len));
    }
}
