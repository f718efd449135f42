//! What an invocation costs beside raw wasmi, in one run: see benches/README.md for what the names mean.
//!
//! Each contender checks the answer that it times, and the raw ones are metered as ours are.

use std::{hint::black_box, time::Duration};

use criterion::{BenchmarkGroup, Criterion, Throughput, measurement::WallTime};
use dormouse::{Function, Reset, Runtime, Start, Value};
use wasmi::{
    CompilationMode, Config, CustomFuelCosts, Engine, Global, Instance, Memory, Module, Store, TypedFunc, Val,
};

/// Fuel of each run, as `Limits::default()` has it.
const FUEL: u64 = 1_000_000_000;

/// The event of the echo: 256 bytes.
const EVENT: [u8; 256] = [b'x'; 256];

/// An event for the guests named json, and its answer.
const ORDER: &[u8] = br#"{"user": "ann", "min": 10, "items": [{"name": "pen", "price": 2, "qty": 3}, {"name": "book", "price": 12, "qty": 1}, {"name": "lamp", "price": 5, "qty": 4}]}"#;
const KEPT: &[u8] = br#"{"user":"ann","kept":["book","lamp"],"total":32}"#;

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .sample_size(50)
        .configure_from_args();
    for pages in [1, 17, 256] {
        invoke(criterion.benchmark_group(format!("invoke/memory/{pages}")), &echo(pages, 14));
    }
    for functions in [14, 500, 3_000] {
        invoke(criterion.benchmark_group(format!("invoke/functions/{functions}")), &echo(1, functions));
    }
    threads(criterion.benchmark_group("threads"), &echo(17, 14));
    call(criterion.benchmark_group("call"));
    deploy(criterion.benchmark_group("deploy/echo"), &echo(1, 14), &EVENT, &EVENT);
    let json = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/guests/json.rust.reactor.wasm");
    let json = std::fs::read(json).expect("the guest is part of the repository");
    deploy(criterion.benchmark_group("deploy/json"), &json, ORDER, KEPT);
    criterion.final_summary();
}

/// An echo with the bump allocator of tests/guests/echo.wat, in a memory of `pages` with three pages of 4 KiB that are not
/// zero, and as many functions in all as asked for. It stores one number, as any real guest writes to its memory: where no
/// code does, a reset has less to do.
fn echo(pages: u32, functions: u32) -> Vec<u8> {
    let data: String = ["0x4000", "0x8000", "0xf000"]
        .map(|at| format!("(data (i32.const {at}) \"{}\")", "dormouse".repeat(512)))
        .concat();
    // Each adds its own number to its parameter.
    let others: String = (2..functions)
        .map(|number| format!("(func (param i32) (result i32) (i32.add (local.get 0) (i32.const {number})))"))
        .collect();
    let text = format!(
        r#"(module
          (memory (export "memory") {pages})
          (global $top (export "top") (mut i32) (i32.const 1024))
          (func (export "alloc") (param $len i32) (result i32)
            (local $p i32) (local $short i32)
            (local.set $p (global.get $top))
            (global.set $top (i32.and (i32.add (i32.add (local.get $p) (local.get $len)) (i32.const 7)) (i32.const -8)))
            (local.set $short (i32.sub (global.get $top) (i32.mul (memory.size) (i32.const 65536))))
            (if (i32.gt_s (local.get $short) (i32.const 0))
              (then (if (i32.lt_s (memory.grow (i32.div_u (i32.add (local.get $short) (i32.const 65535)) (i32.const 65536)))
                                  (i32.const 0))
                (then unreachable))))
            (local.get $p))
          (func (export "handle") (param $ptr i32) (param $len i32) (result i64)
            (i32.store (i32.const 512) (local.get $len))
            (i64.or (i64.shl (i64.extend_i32_u (local.get $ptr)) (i64.const 32)) (i64.extend_i32_u (local.get $len))))
          {others} {data})"#
    );
    wat::parse_str(text).expect("the module is written above")
}

/// Raw wasmi's engine, metered as ours are.
fn engine() -> Engine {
    let mut config = Config::default();
    config
        .consume_fuel(true)
        .fuel_cost(CustomFuelCosts {
            bytes_copied_per_fuel: 64,
            fuel_per_bytes_translated: 0,
            fuel_per_bytes_validated: 0,
        })
        .compilation_mode(CompilationMode::LazyTranslation)
        .ignore_custom_sections(true);
    Engine::new(&config)
}

/// A raw instance with the handles of the buffer contract.
struct Raw {
    store: Store<()>,
    memory: Memory,
    top: Option<Global>,
    alloc: TypedFunc<i32, i32>,
    handle: TypedFunc<(i32, i32), i64>,
}

impl Raw {
    fn new(engine: &Engine, module: &Module) -> Self {
        let mut store = Store::new(engine, ());
        store.set_fuel(FUEL).expect("fuel is metered");
        let instance = Instance::new(&mut store, module, &[]).expect("it instantiates");
        let (alloc, handle) = (instance.get_typed_func(&store, "alloc"), instance.get_typed_func(&store, "handle"));
        Self {
            memory: instance.get_memory(&store, "memory").expect("a memory"),
            top: instance.get_global(&store, "top"),
            alloc: alloc.expect("alloc"),
            handle: handle.expect("handle"),
            store,
        }
    }

    fn run(&mut self, event: &[u8], reply: &mut Vec<u8>) {
        let store = &mut self.store;
        store.set_fuel(FUEL).expect("fuel is metered");
        let len = event.len() as i32;
        let at = self.alloc.call(&mut *store, len).expect("alloc");
        self.memory.write(&mut *store, at as usize, event).expect("within bounds");
        let answer = self.handle.call(&mut *store, (at, len)).expect("handle") as u64;
        let (at, len) = ((answer >> 32) as usize, answer as u32 as usize);
        reply.clear();
        reply.extend_from_slice(&self.memory.data(&*store)[at..at + len]);
    }
}

/// One event, in all the ways that there are.
fn invoke(mut group: BenchmarkGroup<'_, WallTime>, bytes: &[u8]) {
    let (engine, event) = (engine(), &EVENT[..]);
    let module = Module::new(&engine, bytes).expect("it compiles");

    group.bench_function("fresh", |bencher| {
        bencher.iter(|| {
            let mut reply = Vec::new();
            Raw::new(&engine, &module).run(black_box(event), &mut reply);
            assert_eq!(reply, event);
        });
    });
    group.bench_function("floor", |bencher| {
        let mut raw = Raw::new(&engine, &module);
        let top = raw.top.expect("the allocator's top is exported");
        let mut reply = Vec::new();
        bencher.iter(|| {
            raw.run(black_box(event), &mut reply);
            // The one thing put back: without it the guest would run out of memory.
            top.set(&mut raw.store, Val::I32(1024)).expect("it is mutable");
            assert_eq!(reply, event);
        });
    });

    let runtime = Runtime::new();
    let function = runtime.deploy("echo", bytes).expect("it deploys");
    function.invoke(event).expect("the first makes an instance");
    group.bench_function("warm", |bencher| {
        bencher.iter(|| answered(&function, black_box(event), Start::Warm));
    });
    group.bench_function("warm_into", |bencher| {
        let mut reply = Vec::new();
        bencher.iter(|| {
            let report = function.invocation(black_box(event)).run_into(&mut reply).expect("it answers");
            assert_eq!((&*reply, report.start()), (event, Start::Warm));
        });
    });
    for (name, reset) in [("warm_portable", Reset::Portable), ("warm_scanned", Reset::Scanned)] {
        let runtime = Runtime::builder().reset(reset).build();
        let function = runtime.deploy("echo", bytes).expect("it deploys");
        function.invoke(event).expect("the first makes an instance");
        group.bench_function(name, |bencher| {
            bencher.iter(|| answered(&function, black_box(event), Start::Warm));
        });
    }
    group.bench_function("cold", |bencher| {
        bencher.iter(|| {
            // Dropping the instance is timed, as it is in `fresh`.
            function.trim(Duration::ZERO);
            answered(&function, black_box(event), Start::Cold);
        });
    });
    group.finish();
}

fn answered(function: &Function, event: &[u8], start: Start) {
    let reply = function.invoke(event).expect("it answers");
    assert_eq!((reply.output(), reply.report().start()), (event, start));
}

/// One function on one and on two threads: the time for 1,000 events on each of them.
fn threads(mut group: BenchmarkGroup<'_, WallTime>, bytes: &[u8]) {
    let runtime = Runtime::new();
    let function = runtime.deploy("echo", bytes).expect("it deploys");
    for threads in [1, 2] {
        group.throughput(Throughput::Elements(1_000 * threads));
        group.bench_function(threads.to_string(), |bencher| {
            bencher.iter(|| {
                std::thread::scope(|scope| {
                    for _ in 0..threads {
                        scope.spawn(|| {
                            let mut reply = Vec::new();
                            for _ in 0..1_000 {
                                function.invocation(black_box(&EVENT)).run_into(&mut reply).expect("it answers");
                                assert_eq!(reply, EVENT);
                            }
                        });
                    }
                });
            });
        });
    }
    group.finish();
}

/// A plain export: two numbers in, one out.
fn call(mut group: BenchmarkGroup<'_, WallTime>) {
    let text = r#"(module (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1))))"#;
    let bytes = wat::parse_str(text).expect("the module is written above");
    let engine = engine();
    let module = Module::new(&engine, &bytes[..]).expect("it compiles");
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &module, &[]).expect("it instantiates");
    let add = instance.get_func(&store, "add").expect("add");
    let typed = add.typed::<(i32, i32), i32>(&store).expect("its type");

    group.bench_function("floor", |bencher| {
        bencher.iter(|| {
            store.set_fuel(FUEL).expect("fuel is metered");
            assert_eq!(typed.call(&mut store, black_box((20, 22))).expect("add"), 42);
        });
    });
    group.bench_function("floor_values", |bencher| {
        let mut sum = [Val::I32(0)];
        bencher.iter(|| {
            store.set_fuel(FUEL).expect("fuel is metered");
            add.call(&mut store, black_box(&[Val::I32(20), Val::I32(22)]), &mut sum).expect("add");
            assert_eq!(sum[0].i32(), Some(42));
        });
    });
    let runtime = Runtime::new();
    let function = runtime.deploy("add", &bytes).expect("it deploys");
    group.bench_function("warm", |bencher| {
        bencher.iter(|| {
            let sum = function.call("add", black_box(&[Value::I32(20), Value::I32(22)])).expect("add");
            assert_eq!(sum.values(), [Value::I32(42)]);
        });
    });
    group.finish();
}

/// From the bytes of a module to its first answer.
fn deploy(mut group: BenchmarkGroup<'_, WallTime>, bytes: &[u8], event: &[u8], answer: &[u8]) {
    group.bench_function("raw", |bencher| {
        bencher.iter(|| {
            let engine = engine();
            let module = Module::new(&engine, black_box(bytes)).expect("it compiles");
            let mut reply = Vec::new();
            Raw::new(&engine, &module).run(event, &mut reply);
            assert_eq!(reply, answer);
        });
    });
    let runtime = Runtime::new();
    // The first of the process checks the build.
    runtime.deploy("f", bytes).expect("it deploys");
    group.bench_function("ours", |bencher| {
        bencher.iter(|| {
            // Replaces the version before it, which is dropped as the raw one is.
            let function = runtime.deploy("f", black_box(bytes)).expect("it deploys");
            assert_eq!(function.invoke(event).expect("it answers").output(), answer);
        });
    });
    group.finish();
}
