//! What does a stateless invocation cost, everything included, by the size of the memory and the
//! number of functions?

use std::{hint::black_box, time::Duration};

use criterion::Criterion;
use dormouse::{Function, Reset, Runtime, StartKind};

use crate::{
    Group,
    guests::{EVENT, echo},
    raw::{self, Raw},
};

/// Pages of 64 KiB.
pub(crate) const MEMORIES: [u32; 3] = [1, 17, 256];
pub(crate) const FUNCTIONS: [u32; 3] = [14, 500, 3_000];

/// The techniques of cleaning, each of which the bench forces.
pub(crate) const RESETS: [(&str, Reset); 3] =
    [("warm_gated", Reset::ByFaultCount), ("warm_scanned", Reset::ByPageScan), ("warm_portable", Reset::Portable)];

pub(crate) fn benches(criterion: &mut Criterion) {
    for pages in MEMORIES {
        contenders(criterion.benchmark_group(format!("memory/{pages}")), &echo(pages, 14));
    }
    for functions in FUNCTIONS {
        contenders(criterion.benchmark_group(format!("functions/{functions}")), &echo(1, functions));
    }
}

fn contenders(mut group: Group<'_>, bytes: &[u8]) {
    let event = &EVENT[..];
    floor(&mut group, bytes, event);

    let function = Runtime::new().deploy("echo", bytes).expect("it deploys");
    warm(&mut group, "warm", &function, event);
    group.bench_function("warm_into", |bencher| {
        let mut reply = Vec::new();
        bencher.iter(|| {
            let report = function.invocation(black_box(event)).run_into(&mut reply).expect("it answers");
            assert_eq!((&*reply, report.start()), (event, StartKind::Warm));
        });
    });
    for (name, reset) in RESETS {
        let function = Runtime::builder().reset(reset).build().deploy("echo", bytes).expect("it deploys");
        warm(&mut group, name, &function, event);
    }
    group.bench_function("cold", |bencher| {
        bencher.iter(|| {
            // Dropping the instance is timed, as in `fresh`.
            function.trim(Duration::ZERO);
            answered(&function, black_box(event), StartKind::Cold);
        });
    });
    fresh(&mut group, bytes, event);
    group.finish();
}

/// Raw wasmi with one instance for all events, without cleaning.
pub(crate) fn floor(group: &mut Group<'_>, bytes: &[u8], event: &[u8]) {
    let engine = raw::engine();
    let module = raw::compile(&engine, bytes);
    group.bench_function("floor", |bencher| {
        let (mut raw, mut reply) = (Raw::new(&engine, &module), Vec::new());
        bencher.iter(|| {
            raw.run_again(black_box(event), &mut reply);
            assert_eq!(reply, event);
        });
    });
}

/// Raw wasmi with a new store and instance for each event.
pub(crate) fn fresh(group: &mut Group<'_>, bytes: &[u8], event: &[u8]) {
    let engine = raw::engine();
    let module = raw::compile(&engine, bytes);
    group.bench_function("fresh", |bencher| {
        bencher.iter(|| {
            let mut reply = Vec::new();
            Raw::new(&engine, &module).run(black_box(event), &mut reply);
            assert_eq!(reply, event);
        });
    });
}

/// This library, on a ready instance that has chosen its technique of cleaning.
pub(crate) fn warm(group: &mut Group<'_>, name: &str, function: &Function, event: &[u8]) {
    group.bench_function(name, |bencher| {
        settle(function, event);
        bencher.iter(|| answered(function, black_box(event), StartKind::Warm));
    });
}

/// Invokes the function until its instance stands where it will stay.
pub(crate) fn settle(function: &Function, event: &[u8]) {
    for _ in 0..64 {
        assert_eq!(function.invoke(event).expect("it answers").output(), event);
    }
}

pub(crate) fn answered(function: &Function, event: &[u8], start: StartKind) {
    let reply = function.invoke(event).expect("it answers");
    assert_eq!((reply.output(), reply.report().start()), (event, start));
}
