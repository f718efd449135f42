//! What the warm paths allocate: invocations only their output, matches nothing.
//!
//! This is its own binary, without the test harness, so that no other thread allocates while it
//! counts.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with the error")]

#[cfg(feature = "events")]
use dormouse::{Event, Matcher, Pattern, PatternIndex};
use dormouse::{Function, Reset, Runtime, StartKind, Value};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<std::alloc::System> = &INSTRUMENTED_SYSTEM;

const EVENT: [u8; 256] = [b'x'; 256];

fn main() {
    a_warm_invocation_allocates_nothing_but_its_output();
    #[cfg(feature = "extism")]
    what_a_plug_in_has_its_host_keep_is_within_the_limit();
    #[cfg(feature = "events")]
    a_warm_match_allocates_nothing();
    println!("allocations: ok");
}

fn a_warm_invocation_allocates_nothing_but_its_output() {
    for reset in [Reset::Auto, Reset::Portable, Reset::ByFaultCount, Reset::ByPageScan] {
        let runtime = Runtime::builder().reset(reset).build();
        let bytes = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/guests/echo.wat")).expect("the guest");
        let echo = runtime.deploy("echo", &wat::parse_bytes(&bytes).expect("the guest is text")).expect("it deploys");
        let mut output = Vec::with_capacity(EVENT.len());
        expect(&format!("invoke_into, {reset:?}"), &echo, 0, || {
            let report = echo.invoke_into(&EVENT, &mut output).expect("it echoes");
            assert_eq!((&output[..], report.start()), (&EVENT[..], StartKind::Warm));
        });
        expect(&format!("invoke, {reset:?}"), &echo, 1, || {
            assert_eq!(echo.invoke(&EVENT).expect("it echoes").output(), EVENT);
        });
        let pinned = echo.pinned().expect("it is deployed");
        expect(&format!("pinned, {reset:?}"), &echo, 0, || {
            pinned.invoke_into(&EVENT, &mut output).expect("it echoes");
        });
    }

    #[cfg(feature = "extism")]
    {
        let env = |name: &str, ty: &str| format!(r#"(import "extism:host/env" "{name}" (func ${name} {ty}))"#);
        let imports = [
            env("input_length", "(result i64)"),
            env("input_load_u64", "(param i64) (result i64)"),
            env("alloc", "(param i64) (result i64)"),
            env("free", "(param i64)"),
            env("store_u64", "(param i64 i64)"),
            env("output_set", "(param i64 i64)"),
        ];
        let copy = r#"(func (export "echo") (local $len i64) (local $to i64) (local $at i64)
            (local.set $len (call $input_length)) (local.set $to (call $alloc (local.get $len)))
            (loop (call $store_u64 (i64.add (local.get $to) (local.get $at)) (call $input_load_u64 (local.get $at)))
              (br_if 0 (i64.lt_u (local.tee $at (i64.add (local.get $at) (i64.const 8))) (local.get $len))))
            (call $output_set (local.get $to) (local.get $len)) (call $free (local.get $to)))"#;
        let plugin = wat::parse_str(format!("(module {} {copy})", imports.concat())).expect("the module is text");
        let echo = Runtime::new().deploy("plugin", &plugin).expect("it deploys");
        let mut output = Vec::with_capacity(EVENT.len());
        expect("an Extism plug-in", &echo, 0, || {
            echo.invoke_into(&EVENT, &mut output).expect("it echoes");
            assert_eq!(output, EVENT);
        });
    }

    let runtime = Runtime::new();
    let text = r#"(module (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1))))"#;
    let adder = runtime.deploy("adder", &wat::parse_str(text).expect("the module is text")).expect("it deploys");
    expect("call", &adder, 0, || {
        let sum = adder.call("add", &[Value::I32(1), Value::I32(2)]).expect("it adds");
        assert_eq!(sum.values(), [Value::I32(3)]);
    });
}

/// Runs warm and counts. Each run makes this many allocations, and frees all of them.
fn expect(what: &str, function: &Function, each: usize, mut run: impl FnMut()) {
    const RUNS: usize = 500;
    function.prewarm(1).expect("there is room");
    // Instances move, and buffers find their size.
    for _ in 0..200 {
        run();
    }
    let region = Region::new(ALLOCATOR);
    for _ in 0..RUNS {
        run();
    }
    let change = region.change();
    assert_eq!(
        (change.allocations + change.reallocations, change.allocations),
        (each * RUNS, change.deallocations),
        "{what}: allocations, and as many as were given back: {change:?}"
    );
}

#[cfg(feature = "extism")]
fn what_a_plug_in_has_its_host_keep_is_within_the_limit() {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    };

    // Takes blocks until there are no more, then reads what the process holds.
    let text = r#"(module
        (import "extism:host/env" "alloc" (func $alloc (param i64) (result i64)))
        (import "extism:host/env" "input_length" (func $len (result i64)))
        (import "test" "look" (func $look))
        (func (export "hoard") (loop (br_if 0 (i64.ne (call $alloc (call $len)) (i64.const 0)))) (call $look)))"#;
    const LIMIT: usize = 16 << 20;
    let held = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&held);
    let net = || {
        let stats = ALLOCATOR.stats();
        stats.bytes_allocated - stats.bytes_deallocated
    };
    let function = Runtime::new()
        .deployment("hoard", &wat::parse_str(text).expect("the module is text"))
        .limits(dormouse::Limits { memory_bytes: LIMIT as u64, ..dormouse::Limits::default() })
        .host("test", "look", move |_: &mut dormouse::Context<'_>| seen.store(net(), Relaxed))
        .deploy()
        .expect("it deploys");
    for len in [1, 16, 17, 1_000, 65_536, 1_000_000] {
        let before = net();
        function.invoke(&vec![0; len]).expect("it ends");
        let (most, after) = (held.load(Relaxed) - before, net() - before);
        assert!(most > LIMIT / 2 && most < LIMIT + LIMIT / 8 + len + 100_000, "blocks of {len}: {most} bytes");
        assert!(after < 200_000, "blocks of {len}: {after} bytes are left");
    }
}

#[cfg(feature = "events")]
fn a_warm_match_allocates_nothing() {
    let patterns = [
        r#"{"type":["order.created"]}"#,
        r#"{"type":[{"prefix":"order."}],"data":{"total":[{"numeric":[">",100,"<",500]}]}}"#,
        r#"{"source":[{"suffix":{"equals-ignore-case":"/SHOP"}}],"subject":[{"wildcard":"*ö*e"}]}"#,
        r#"{"data":{"items":{"sku":[{"anything-but":"C"}],"count":[2],"gone":[{"exists":false}]}}}"#,
        r#"{"data":{"items":{"sku":["A"],"count":[2]}}}"#,
        r#"{"data":{"items":{"sku":["A",{"exists":false}],"tags":[{"equals-ignore-case":"NEW"}]}}}"#,
        r#"{"data":{"address":[{"cidr":"10.0.0.0/8"}]},"$or":[{"data":{"a.b":[true]}},{"type":[{"exists":true}]}]}"#,
        r#"{"data":{"name":[{"anything-but":{"prefix":["x","y"]}},"xy"]}}"#,
    ];
    let index = PatternIndex::new();
    for (key, pattern) in (0_u32..).zip(patterns) {
        index.add(key, &Pattern::parse(pattern).unwrap()).unwrap();
    }
    let data = r#"{"total":1.2e2,"a":{"b":true},"address":"10.1.2.3","name":"\u0061bc","esc\u0061ped":[{"x":[]}],
        "items":[{"sku":"A","count":1,"tags":["old","New"]},{"sku":"B","count":2},[{"sku":"C","count":2}]],
        "items":[{"sku":"A","tags":["new"]}]}"#;
    let event = Event::builder("order.created").id("1").source("/shop").subject("größe").extension("n", 5);
    let event = event.data_json(data).build().unwrap();
    let json = event.to_json();
    let (mut matcher, mut keys) = (Matcher::new(), Vec::new());
    let mut run = |expected: &[u32]| {
        index.matches_into(&json, &mut matcher, &mut keys).unwrap();
        assert_eq!(keys, expected);
        index.matches_event_into(&event, &mut matcher, &mut keys).unwrap();
        assert_eq!(keys, expected);
    };
    let expected = [0, 1, 2, 3, 4, 5, 6, 7];
    run(&expected);
    let region = Region::new(ALLOCATOR);
    for _ in 0..100 {
        run(&expected);
    }
    let change = region.change();
    assert_eq!((change.allocations, change.reallocations), (0, 0), "{change:?}");
    // This checks that the counter works.
    let region = Region::new(ALLOCATOR);
    drop(std::hint::black_box(Vec::<u8>::with_capacity(10)));
    assert_eq!(region.change().allocations, 1);
}
