//! What invocations, calls, instances and deployments cost beside raw wasmi, in one run:
//! `cargo bench --bench speed`.
//!
//! Each file answers one question. benches/README.md explains the names. Each contender checks the
//! answer that it times. Raw wasmi meters fuel as this library does. With `DORMOUSE_RECORD=1`, the
//! bench writes the tables of benches/README.md again.

use std::time::Duration;

use criterion::{BenchmarkGroup, Criterion, measurement::WallTime};

mod call;
mod cold;
mod dirty;
mod instance;
mod invoke;
mod threads;

#[path = "../support/guests.rs"]
mod guests;
#[path = "../support/raw.rs"]
mod raw;
#[path = "../support/record.rs"]
mod record;
mod tables;

/// The folder of the package.
const REPOSITORY: &str = env!("CARGO_MANIFEST_DIR");

/// The folder of criterion's estimates.
const ESTIMATES: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/criterion");

type Group<'a> = BenchmarkGroup<'a, WallTime>;

fn main() {
    if record::is_asked_for() {
        // No figure of an earlier run may end up in the tables.
        let _ = std::fs::remove_dir_all(ESTIMATES);
    }
    let mut criterion = Criterion::default()
        .output_directory(ESTIMATES.as_ref())
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(30)
        .nresamples(10_000)
        .configure_from_args();
    invoke::benches(&mut criterion);
    dirty::benches(&mut criterion);
    threads::benches(&mut criterion);
    call::benches(&mut criterion);
    instance::benches(&mut criterion);
    cold::benches(&mut criterion);
    criterion.final_summary();
    if record::is_asked_for() {
        tables::record();
    }
}
