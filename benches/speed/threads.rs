//! Do two threads do twice as much on one function?
//!
//! Each thread handles so many events. The bench reports the time that one event on each thread
//! takes. So with two threads, an equal time means twice the events a second. The threads start and
//! meet before the clock runs.

use std::{
    hint::black_box,
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

use criterion::{Criterion, Throughput};
use dormouse::Runtime;

use crate::{
    guests::{EVENT, echo},
    invoke::settle,
    raw::{self, Raw},
};

pub(crate) const THREADS: [u32; 3] = [1, 2, 4];

pub(crate) fn benches(criterion: &mut Criterion) {
    let bytes = echo(17, 14);
    let engine = raw::engine();
    let module = raw::compile(&engine, &bytes);
    let function = Runtime::new().deployment("echo", &bytes).instances(0..=8).deploy().expect("it deploys");
    for threads in THREADS {
        let mut group = criterion.benchmark_group(format!("threads/{threads}"));
        group.throughput(Throughput::Elements(threads.into()));
        let meet = Barrier::new(threads as usize);
        group.bench_function("warm", |bencher| {
            bencher.iter_custom(|count| {
                on_each(threads, || {
                    // Each thread has its own instance, which stands where it will stay.
                    settle(&function, &EVENT);
                    meet.wait();
                    let mut reply = Vec::new();
                    timed(count, || {
                        function.invocation(black_box(&EVENT)).run_into(&mut reply).expect("it answers");
                        assert_eq!(reply, EVENT);
                    })
                })
            });
        });
        for (name, own_engine) in [("floor", false), ("floor_own_engine", true)] {
            group.bench_function(name, |bencher| {
                bencher.iter_custom(|count| {
                    on_each(threads, || {
                        let (mut raw, mut reply) = if own_engine {
                            let engine = raw::engine();
                            (Raw::new(&engine, &raw::compile(&engine, &bytes)), Vec::new())
                        } else {
                            (Raw::new(&engine, &module), Vec::new())
                        };
                        meet.wait();
                        timed(count, || {
                            raw.run_again(black_box(&EVENT), &mut reply);
                            assert_eq!(reply, EVENT);
                        })
                    })
                });
            });
        }
        group.bench_function("fresh", |bencher| {
            bencher.iter_custom(|count| {
                on_each(threads, || {
                    let mut reply = Vec::new();
                    meet.wait();
                    timed(count, || {
                        Raw::new(&engine, &module).run(black_box(&EVENT), &mut reply);
                        assert_eq!(reply, EVENT);
                    })
                })
            });
        });
        group.finish();
    }
}

/// The time from when the first thread began until the last one ended.
fn on_each(threads: u32, work: impl Fn() -> (Instant, Instant) + Sync) -> Duration {
    let spans: Vec<_> = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(&work)).collect();
        workers.into_iter().map(|worker| worker.join().expect("no contender panics")).collect()
    });
    let began = spans.iter().map(|(began, _)| *began).min();
    let ended = spans.iter().map(|(_, ended)| *ended).max();
    ended.zip(began).map(|(ended, began)| ended - began).unwrap_or_default()
}

fn timed(count: u64, mut event: impl FnMut()) -> (Instant, Instant) {
    let began = Instant::now();
    for _ in 0..count {
        event();
    }
    (began, Instant::now())
}
