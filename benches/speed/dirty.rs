//! Does the cost of cleaning follow the pages that a run wrote to, and nothing else? Does one heavy
//! run slow later ones?

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use criterion::Criterion;
use dormouse::{Reset, Runtime, StartKind};

use crate::{
    Group,
    guests::{write_to, writer},
    invoke::{answered, floor, fresh, settle, warm},
};

/// How many pages of 4 KiB a run writes to, in a memory of so many pages of 64 KiB.
pub(crate) const DIRTY: [(u32, &[u32]); 2] = [(17, &[1, 4, 16, 64]), (256, &[1, 4, 16, 64, 1_024])];

/// Pages that the heavy run writes to, and the light ones before and after it.
const HEAVY: u32 = 1_024;
const LIGHT: u32 = 1;

pub(crate) fn benches(criterion: &mut Criterion) {
    for (memory, counts) in DIRTY {
        let bytes = writer(memory);
        for dirty in counts {
            let mut group = criterion.benchmark_group(format!("dirty/{memory}/{dirty}"));
            let event = &write_to(*dirty)[..];
            floor(&mut group, &bytes, event);
            let resets =
                [("warm", Reset::Auto), ("warm_scanned", Reset::ByPageScan), ("warm_portable", Reset::Portable)];
            for (name, reset) in resets {
                let function = Runtime::builder().reset(reset).build().deploy("writer", &bytes).expect("it deploys");
                warm(&mut group, name, &function, event);
            }
            fresh(&mut group, &bytes, event);
            group.finish();
        }
    }
    heavy(criterion.benchmark_group("heavy"), &writer(256));
}

/// Light runs: without a heavy run before, right after one, and a while after one. Each uses
/// `iter_custom`, so that all three include reading the clock.
fn heavy(mut group: Group<'_>, bytes: &[u8]) {
    let (light, heavy) = (&write_to(LIGHT)[..], &write_to(HEAVY)[..]);
    let function = Runtime::new().deploy("writer", bytes).expect("it deploys");
    settle(&function, light);
    let timed = || {
        let began = Instant::now();
        answered(&function, black_box(light), StartKind::Warm);
        began.elapsed()
    };
    group.bench_function("never", |bencher| bencher.iter_custom(|count| (0..count).map(|_| timed()).sum()));
    let once = || answered(&function, black_box(heavy), StartKind::Warm);
    group.bench_function("next", |bencher| {
        bencher.iter_custom(|count| {
            let after_heavy = |_| {
                once();
                timed()
            };
            (0..count).map(after_heavy).sum()
        });
    });
    // Within so many light runs, pages that were not written to go back to the kernel.
    group.bench_function("later", |bencher| {
        bencher.iter_custom(|count| {
            once();
            settle(&function, light);
            (0..count).map(|_| timed()).sum::<Duration>()
        });
    });
    group.finish();
}
