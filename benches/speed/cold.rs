//! How long from the bytes of a module to its first reply?

use std::hint::black_box;

use criterion::Criterion;
use dormouse::Runtime;

use crate::{
    guests::{EVENT, KEPT, ORDER, built, echo},
    raw::{self, Raw},
};

/// Guests of tests/guests, each with its language, its input and its answer.
pub(crate) const BUILT: [(&str, &[u8], &[u8]); 6] = [
    ("echo.zig.reactor", &EVENT, &EVENT),
    ("echo.rust.reactor", &EVENT, &EVENT),
    ("json.as.reactor", ORDER, KEPT),
    ("json.c.reactor", ORDER, KEPT),
    ("json.rust.reactor", ORDER, KEPT),
    ("json.zig.reactor", ORDER, KEPT),
];

/// The echo of the other benches, with so many functions.
pub(crate) const WRITTEN: [(&str, u32); 2] = [("echo-14", 14), ("echo-3000", 3_000)];

pub(crate) fn benches(criterion: &mut Criterion) {
    for (name, functions) in WRITTEN {
        contenders(criterion, name, &echo(1, functions), &EVENT, &EVENT);
    }
    for (name, event, answer) in BUILT {
        contenders(criterion, name, &built(name), event, answer);
    }
}

fn contenders(criterion: &mut Criterion, name: &str, bytes: &[u8], event: &[u8], answer: &[u8]) {
    let mut group = criterion.benchmark_group(format!("cold/{name}"));
    group.bench_function("raw", |bencher| {
        bencher.iter(|| {
            let engine = raw::engine();
            let module = raw::compile(&engine, black_box(bytes));
            let mut reply = Vec::new();
            Raw::new(&engine, &module).run(event, &mut reply);
            assert_eq!(reply, answer);
        });
    });
    let runtime = Runtime::new();
    // The first deployment of a process checks the build.
    runtime.deploy("f", bytes).expect("it deploys");
    let once = || {
        let function = runtime.deploy("f", black_box(bytes)).expect("it deploys");
        assert_eq!(function.invoke(event).expect("it answers").output(), answer);
    };
    group.bench_function("ours", |bencher| {
        bencher.iter(|| {
            once();
            // The raw contender drops everything before the next begins, and so does this one.
            assert!(runtime.undeploy("f"));
        });
    });
    // The last version lives until this one is deployed. That costs more if their memories do not
    // fit the allocator's gaps.
    group.bench_function("replacing", |bencher| bencher.iter(once));
    group.finish();
}
