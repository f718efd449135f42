//! What does one more instance of a deployed function cost?

use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput};
use dormouse::Runtime;

use crate::{
    guests::{EVENT, echo},
    raw::{self, Raw},
};

/// Pages of 64 KiB.
pub(crate) const MEMORIES: [u32; 3] = [1, 17, 256];

/// How many instances are made and kept at a time. 64 of 16 MiB would take 1 GiB.
const KEPT: usize = 16;

pub(crate) fn benches(criterion: &mut Criterion) {
    for pages in MEMORIES {
        let bytes = echo(pages, 14);
        let engine = raw::engine();
        let module = raw::compile(&engine, &bytes);
        let function = Runtime::new().deployment("echo", &bytes).instances(0..=2 * KEPT).deploy().expect("it deploys");
        let mut group = criterion.benchmark_group(format!("instance/{pages}"));

        // Each is made and dropped, on addresses that the one before has touched.
        group.bench_function("raw", |bencher| {
            bencher.iter(|| drop(Raw::new(&engine, &module)));
        });
        group.bench_function("ours", |bencher| {
            bencher.iter(|| {
                assert_eq!(function.prewarm(1).expect("there is room"), 1);
                assert_eq!(function.trim(Duration::ZERO), 1);
            });
        });

        // Each is made and kept, as a pool keeps instances. Dropping them is not timed.
        group.throughput(Throughput::Elements(1));
        group.bench_function("raw_kept", |bencher| {
            bencher.iter_custom(|count| {
                in_batches(count, |size| {
                    let began = Instant::now();
                    let mut kept: Vec<_> = (0..size).map(|_| Raw::new(&engine, &module)).collect();
                    let took = began.elapsed();
                    let mut reply = Vec::new();
                    for raw in &mut kept {
                        raw.run(&EVENT, &mut reply);
                        assert_eq!(reply, EVENT);
                    }
                    took
                })
            });
        });
        group.bench_function("ours_kept", |bencher| {
            bencher.iter_custom(|count| {
                in_batches(count, |size| {
                    let began = Instant::now();
                    assert_eq!(function.prewarm(size).expect("there is room"), size);
                    let took = began.elapsed();
                    assert_eq!(function.invoke(&EVENT).expect("it answers").output(), EVENT);
                    assert_eq!(function.trim(Duration::ZERO), size);
                    took
                })
            });
        });
        group.finish();
    }
}

fn in_batches(count: u64, mut batch: impl FnMut(usize) -> Duration) -> Duration {
    let whole = count / KEPT as u64;
    let rest = (count % KEPT as u64) as usize;
    let mut total: Duration = (0..whole).map(|_| batch(KEPT)).sum();
    if rest > 0 {
        total += batch(rest);
    }
    total
}
