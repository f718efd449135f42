//! Every limit of a function and of a runtime: at the limit all is well, one more is refused, with the limit's name and
//! the figures.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use dormouse::{
    Bound, Busy, Cancel, Clock, Context, DeployError, Function, InvokeError, InvokeErrorKind, Limits, Runtime,
    RuntimeLimits, Start, Trap, Value,
};

use crate::support::{guest, wat};

const PAGE: u64 = 65_536;

/// Deploys with limits and host functions `env.a` and `env.b`, which do nothing.
fn deploy(module: &[u8], limits: Limits) -> Result<Function, DeployError> {
    let runtime = Runtime::new();
    let nothing = |_: &mut Context<'_, '_>| {};
    runtime.deployment("f", module).limits(limits).host("env", "a", nothing).host("env", "b", nothing).deploy()
}

/// `module(n)` has n of what `bound` is about, `limits(n)` allows n.
#[track_caller]
fn holds_at(n: u64, bound: Bound, limits: impl Fn(u64) -> Limits, module: impl Fn(u64) -> Vec<u8>) {
    deploy(&module(n), limits(n)).unwrap_or_else(|error| panic!("exactly {n}: {error}"));
    let error = deploy(&module(n + 1), limits(n)).unwrap_err();
    match error {
        DeployError::TooLarge { bound: of, found, limit } => assert_eq!((of, found, limit), (bound, n + 1, n)),
        ref other => panic!("{other:?}"),
    }
    let text = error.to_string();
    for part in [format!(" {} ", n + 1), format!("limit of {n};"), format!("`Limits::{}`", bound.field())] {
        assert!(text.contains(&part), "{text} lacks {part}");
    }
}

/// `part` n times within a module.
fn repeated(before: &str, n: u64, part: impl Fn(u64) -> String) -> Vec<u8> {
    wat(&format!("(module {before} {})", (0..n).map(part).collect::<String>()))
}

#[test]
fn the_defaults_are_the_documented_figures() {
    let Limits {
        fuel,
        deadline,
        input,
        output,
        log,
        memory,
        table_elements,
        stack,
        call_depth,
        module_bytes,
        functions,
        imports,
        exports,
        globals,
        types,
        memories,
        tables,
        data_segments,
        element_segments,
        body_bytes,
        locals,
    } = Limits::default();
    assert_eq!((fuel, deadline), (1_000_000_000, Duration::from_secs(30)));
    assert_eq!((input, output, log), (6 << 20, 6 << 20, 64 << 10));
    assert_eq!((memory, table_elements), (64 << 20, 100_000));
    assert_eq!((stack, call_depth), (1 << 20, 1_000));
    assert_eq!(module_bytes, 32 << 20);
    assert_eq!((functions, imports, exports, globals, types), (100_000, 1_000, 10_000, 10_000, 10_000));
    assert_eq!((memories, tables), (8, 100));
    assert_eq!((data_segments, element_segments), (100_000, 100_000));
    assert_eq!((body_bytes, locals), (1 << 20, 10_000));

    let RuntimeLimits { functions, instances, resident_memory } = RuntimeLimits::default();
    assert_eq!((functions, instances, resident_memory), (10_000, 4_096, 1 << 30));
}

#[test]
fn a_module_of_one_byte_more_is_refused() {
    // A custom section that fills the module up: id, size, an empty name.
    let module = |n: u64| {
        let mut bytes = b"\0asm\x01\0\0\0\0".to_vec();
        bytes.push(n as u8 - 10);
        bytes.resize(n as usize, 0);
        bytes
    };
    holds_at(100, Bound::ModuleBytes, |n| Limits { module_bytes: n, ..Limits::default() }, module);
}

#[test]
fn one_function_more_is_refused() {
    let limits = |n| Limits { functions: n as u32, ..Limits::default() };
    holds_at(5, Bound::Functions, limits, |n| repeated("", n, |_| "(func)".into()));
}

#[test]
fn imported_functions_count_as_functions() {
    let limits = |n| Limits { functions: n as u32, ..Limits::default() };
    let two = r#"(import "env" "a" (func)) (import "env" "b" (func))"#;
    holds_at(5, Bound::Functions, limits, |n| repeated(two, n - 2, |_| "(func)".into()));
    // Also where they are all that there is.
    holds_at(2, Bound::Functions, limits, |n| repeated("", n, |_| r#"(import "env" "a" (func))"#.into()));
}

#[test]
fn one_import_more_is_refused() {
    let limits = |n| Limits { imports: n as u32, ..Limits::default() };
    holds_at(5, Bound::Imports, limits, |n| repeated("", n, |_| r#"(import "env" "a" (func))"#.into()));
}

#[test]
fn one_export_more_is_refused() {
    let limits = |n| Limits { exports: n as u32, ..Limits::default() };
    let export = |n| format!(r#"(export "{n}" (func $f))"#);
    holds_at(5, Bound::Exports, limits, |n| repeated("(func $f)", n, export));
}

#[test]
fn one_global_more_is_refused() {
    let limits = |n| Limits { globals: n as u32, ..Limits::default() };
    holds_at(5, Bound::Globals, limits, |n| repeated("", n, |_| "(global i32 (i32.const 0))".into()));
}

#[test]
fn one_type_more_is_refused() {
    let limits = |n| Limits { types: n as u32, ..Limits::default() };
    holds_at(5, Bound::Types, limits, |n| repeated("", n, |_| "(type (func))".into()));
    // Types that the growth of memory needs behind the scenes are not the guest's.
    let grows = "(memory 1) (type $f (func)) (func (type $f) (drop (memory.grow (i32.const 1))))";
    holds_at(5, Bound::Types, limits, |n| repeated(grows, n - 1, |_| "(type (func))".into()));
}

#[test]
fn one_memory_more_is_refused() {
    let limits = |n| Limits { memories: n as u32, ..Limits::default() };
    holds_at(3, Bound::Memories, limits, |n| repeated("", n, |_| "(memory 1)".into()));
}

#[test]
fn one_table_more_is_refused() {
    let limits = |n| Limits { tables: n as u32, ..Limits::default() };
    holds_at(3, Bound::Tables, limits, |n| repeated("", n, |_| "(table 1 funcref)".into()));
}

#[test]
fn the_default_of_tables_is_the_most_and_growing_memory_takes_one_of_them() {
    let grows = r#"(memory 1) (func (export "grow") (result i32) (memory.grow (i32.const 1)))"#;
    let module = |before, n| repeated(before, n, |_| "(table 1 funcref)".into());
    deploy(&module("", 100), Limits::default()).unwrap();
    let function = deploy(&module(grows, 99), Limits::default()).unwrap();
    assert_eq!(function.call("grow", &[]).unwrap().values(), [Value::I32(1)]);
    let error = deploy(&module(grows, 100), Limits::default()).unwrap_err();
    assert!(matches!(error, DeployError::Refused { .. }), "{error:?}");
    assert!(error.to_string().contains("100 tables and grows its memory"), "{error}");
}

#[test]
fn one_data_segment_more_is_refused() {
    let limits = |n| Limits { data_segments: n as u32, ..Limits::default() };
    let active = |_| r#"(data (i32.const 0) "x")"#.into();
    holds_at(5, Bound::DataSegments, limits, |n| repeated("(memory 1)", n, active));
    // Announced by a data count section, before the code.
    let named = "(memory 1) (func (memory.init 0 (i32.const 0) (i32.const 0) (i32.const 1)))";
    holds_at(5, Bound::DataSegments, limits, |n| repeated(named, n, |_| r#"(data "x")"#.into()));
}

#[test]
fn one_element_segment_more_is_refused() {
    let limits = |n| Limits { element_segments: n as u32, ..Limits::default() };
    let segment = |_| "(elem (i32.const 0) func)".into();
    holds_at(5, Bound::ElementSegments, limits, |n| repeated("(table 1 funcref)", n, segment));
}

#[test]
fn a_body_of_one_byte_more_is_refused() {
    let limits = |n| Limits { body_bytes: n as u32, ..Limits::default() };
    // One byte for no locals, one for the end.
    let module = |n| wat(&format!("(module (func) (func {}) (func))", "nop ".repeat(n as usize - 2)));
    holds_at(20, Bound::BodyBytes, limits, module);
}

#[test]
fn one_local_more_is_refused_and_parameters_do_not_count() {
    let limits = |n| Limits { locals: n as u32, ..Limits::default() };
    let module = |n| {
        let locals = "(local i64) (local i32) ".repeat(n as usize / 2);
        let odd = if n % 2 == 1 { "(local f64)" } else { "" };
        wat(&format!("(module (func (local i32)) (func (param i32 i32 i32 i64) {locals} {odd}))"))
    };
    holds_at(8, Bound::Locals, limits, module);
}

#[test]
fn operands_by_the_million_are_refused_before_room_is_made_for_them() {
    // Each call is two bytes and puts 1,000 operands on the stack: 20 MB of them from 10 KB of code.
    let results = "i32 ".repeat(1_000);
    let module = |calls| {
        let calls = "call $g ".repeat(calls);
        wat(&format!("(module (func $g (result {results}) unreachable) (func {calls} unreachable))"))
    };
    deploy(&module(65), Limits::default()).unwrap();
    let error = deploy(&module(5_000), Limits::default()).unwrap_err();
    assert!(matches!(error, DeployError::Refused { .. }), "{error:?}");
    assert!(error.to_string().contains("function 1 puts more than 65535 operands"), "{error}");
}

#[test]
fn locals_by_the_billion_are_refused_before_room_is_made_for_them() {
    // Two groups of 2^32 - 1 locals each: a body of 14 bytes.
    let count = [0xff, 0xff, 0xff, 0xff, 0x0f, 0x7f];
    let body = [&[2][..], &count[..], &count[..], &[0x0b][..]].concat();
    let mut module = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03\x02\x01\0\x0a".to_vec();
    module.extend([body.len() as u8 + 2, 1, body.len() as u8]);
    module.extend(body);
    let error = deploy(&module, Limits::default()).unwrap_err();
    assert!(matches!(error, DeployError::TooLarge { bound: Bound::Locals, limit: 10_000, .. }), "{error}");
}

#[test]
fn a_count_of_billions_is_refused_before_room_is_made_for_it() {
    // Each section that is a vector, announcing 2^32 - 1 entries and having none.
    for (id, bound) in [
        (1, Bound::Types),
        (2, Bound::Imports),
        (3, Bound::Functions),
        (4, Bound::Tables),
        (5, Bound::Memories),
        (6, Bound::Globals),
        (7, Bound::Exports),
        (9, Bound::ElementSegments),
        (11, Bound::DataSegments),
        (12, Bound::DataSegments),
    ] {
        let mut module = b"\0asm\x01\0\0\0".to_vec();
        module.extend([id, 5, 0xff, 0xff, 0xff, 0xff, 0x0f]);
        match deploy(&module, Limits::default()) {
            Err(DeployError::TooLarge { bound: of, found: 0xffff_ffff, .. }) => assert_eq!(of, bound),
            other => panic!("section {id}: {other:?}"),
        }
    }
}

#[test]
fn initial_memory_above_the_limit_is_refused() {
    let limits = |memory| Limits { memory, ..Limits::default() };
    let module = wat("(module (memory 3))");
    deploy(&module, limits(3 * PAGE)).unwrap();
    let error = deploy(&module, limits(3 * PAGE - 1)).unwrap_err();
    assert!(
        matches!(error, DeployError::TooLarge { bound: Bound::Memory, found, limit }
            if found == 3 * PAGE && limit == 3 * PAGE - 1),
        "{error:?}"
    );
    assert!(error.to_string().contains("`Limits::memory`"), "{error}");
}

#[test]
fn initial_memories_count_together() {
    let limits = |memory| Limits { memory, ..Limits::default() };
    let module = wat("(module (memory 1) (memory 0) (memory 2))");
    deploy(&module, limits(3 * PAGE)).unwrap();
    let error = deploy(&module, limits(3 * PAGE - 1)).unwrap_err();
    assert!(matches!(error, DeployError::TooLarge { bound: Bound::Memory, found: 196_608, .. }), "{error:?}");
    // Sums that do not fit into 64 bits are no way around it.
    let huge = wat("(module (memory 65536) (memory 65536) (memory 65536))");
    let error = deploy(&huge, Limits::default()).unwrap_err();
    assert!(
        matches!(error, DeployError::TooLarge { bound: Bound::Memory, found, .. } if found == 3 << 32),
        "{error:?}"
    );
}

#[test]
fn memory_grows_to_the_limit_and_then_answers_minus_one() {
    for memory in [3 * PAGE, 4 * PAGE - 1] {
        let function = deploy(&guest("bomb"), Limits { memory, ..Limits::default() }).unwrap();
        let grow = |pages| function.call("grow", &[Value::I32(pages)]).unwrap();
        assert_eq!(grow(2).values(), [Value::I32(1)]);
        assert_eq!(grow(2).report().memory(), 3 * PAGE);
        assert_eq!(grow(3).values(), [Value::I32(-1)]);
        assert_eq!(grow(3).report().memory(), PAGE);
        assert_eq!(grow(-1).values(), [Value::I32(-1)]);
        assert_eq!(function.call("grow_all", &[]).unwrap().values(), [Value::I32(3)]);
        assert_eq!(function.call("touch_all", &[]).unwrap().values(), [Value::I32(3)]);
        function
            .session(|guest| {
                assert_eq!(guest.call("grow", &[Value::I32(1)])?[0], Value::I32(1));
                assert_eq!(guest.call("grow", &[Value::I32(1)])?[0], Value::I32(2));
                assert_eq!(guest.call("grow", &[Value::I32(1)])?[0], Value::I32(-1));
                assert_eq!(guest.call("grow", &[Value::I32(0)])?[0], Value::I32(3));
                Ok(())
            })
            .unwrap();
    }
}

#[test]
fn memories_grow_together_to_the_limit() {
    let module = wat(r#"(module (memory $a 1) (memory $b 1)
        (func (export "a") (param i32) (result i32) (memory.grow $a (local.get 0)))
        (func (export "b") (param i32) (result i32) (memory.grow $b (local.get 0))))"#);
    let function = deploy(&module, Limits { memory: 4 * PAGE, ..Limits::default() }).unwrap();
    function
        .session(|guest| {
            assert_eq!(guest.call("b", &[Value::I32(3)])?[0], Value::I32(-1));
            assert_eq!(guest.call("a", &[Value::I32(1)])?[0], Value::I32(1));
            assert_eq!(guest.call("b", &[Value::I32(2)])?[0], Value::I32(-1));
            assert_eq!(guest.call("b", &[Value::I32(1)])?[0], Value::I32(1));
            assert_eq!(guest.call("a", &[Value::I32(1)])?[0], Value::I32(-1));
            Ok(())
        })
        .unwrap();
}

#[test]
fn initialisation_grows_memory_within_the_limit_too() {
    let ready = |pages| {
        let function = deploy(&guest("start"), Limits { memory: pages * PAGE, ..Limits::default() });
        function.map(|function| function.call("pages", &[]).unwrap().values()[0])
    };
    assert_eq!(ready(2).unwrap(), Value::I32(2));
    // The guest writes to the page that it did not get.
    let error = ready(1).unwrap_err();
    assert!(
        matches!(&error, DeployError::Initialise { step: "the start function", cause }
            if **cause == InvokeErrorKind::Trap(Trap::MemoryOutOfBounds)),
        "{error:?}"
    );
}

#[test]
fn table_elements_count_together() {
    let limits = |n| Limits { table_elements: n, ..Limits::default() };
    holds_at(5, Bound::TableElements, limits, |n| repeated("", 1, |_| format!("(table {n} 1000000 funcref)")));
    let two = |n| repeated("(table 2 funcref)", 1, |_| format!("(table {} externref)", n - 2));
    holds_at(5, Bound::TableElements, limits, two);
    let huge = wat("(module (table 0xffff_ffff funcref) (table 0xffff_ffff funcref))");
    assert!(deploy(&huge, Limits::default()).is_err());
}

#[track_caller]
fn is_overflow(result: Result<impl std::fmt::Debug, InvokeError>) -> bool {
    match result {
        Ok(_) => false,
        Err(error) => {
            assert_eq!(*error.kind(), InvokeErrorKind::Trap(Trap::StackOverflow));
            true
        }
    }
}

#[test]
fn as_many_nested_calls_as_the_limit_work_and_one_more_traps() {
    for call_depth in [1, 2, 10, 1_000] {
        let function = deploy(&guest("recurse"), Limits { call_depth, ..Limits::default() }).unwrap();
        // depth(n) is n + 1 frames: n calls within the guest, and the host's of the export.
        let last = call_depth as i32;
        for (n, overflows) in [(last - 1, false), (last, true)] {
            let result = function.call("depth", &[Value::I32(n)]);
            if let Ok(returned) = &result {
                assert_eq!(returned.values(), [Value::I32(n)]);
            }
            assert_eq!(is_overflow(result), overflows, "depth({n}) at {call_depth}");
        }
        for (export, args) in [("forever", &[][..]), ("wide", &[Value::I64(0)]), ("mutual", &[Value::I32(0)])] {
            assert!(is_overflow(function.call(export, args)), "{export}");
        }
    }
}

#[test]
fn growing_memory_counts_as_a_call() {
    let function = |call_depth| deploy(&guest("bomb"), Limits { call_depth, ..Limits::default() }).unwrap();
    assert!(is_overflow(function(1).call("grow", &[Value::I32(1)])));
    assert_eq!(function(2).call("grow", &[Value::I32(1)]).unwrap().values(), [Value::I32(1)]);
}

#[test]
fn a_value_stack_of_one_cell_less_traps() {
    let module = guest("recurse");
    let overflows = |stack, export, args: &[Value]| {
        let limits = Limits { stack, call_depth: 1_000_000, ..Limits::default() };
        is_overflow(deploy(&module, limits).unwrap().call(export, args))
    };
    // The least stack with which depth(n) works.
    let needed = |n| {
        let (mut below, mut enough) = (4_096, 1 << 20);
        assert!(!overflows(enough, "depth", &[Value::I32(n)]));
        assert!(overflows(below, "depth", &[Value::I32(n)]));
        while enough - below > 1 {
            let middle = (below + enough) / 2;
            if overflows(middle, "depth", &[Value::I32(n)]) { below = middle } else { enough = middle }
        }
        enough
    };
    let (some, twice) = (needed(1_000), needed(2_000));
    // A frame has its parameter and what is on its stack, in cells of 8 bytes; the limit is in bytes.
    let frame = (twice - some) / 1_000;
    assert_eq!((twice - some) % 1_000, 0);
    assert!(frame % 8 == 0 && (8..=64).contains(&frame), "{frame} bytes a frame");
    assert!(overflows(1 << 20, "forever", &[]));
    assert!(overflows(1 << 20, "wide", &[Value::I64(0)]));
}

#[test]
fn extreme_stacks_and_depths_are_no_way_to_crash() {
    let module = guest("recurse");
    for limits in [
        Limits { stack: 4_096, ..Limits::default() },
        Limits { call_depth: 0, ..Limits::default() },
        Limits { stack: u64::MAX, call_depth: 10_000, ..Limits::default() },
        Limits { call_depth: u32::MAX, ..Limits::default() },
    ] {
        let function = deploy(&module, limits.clone()).unwrap();
        for (export, args) in [("forever", &[][..]), ("wide", &[Value::I64(0)]), ("mutual", &[Value::I32(0)])] {
            assert!(is_overflow(function.call(export, args)), "{export} with {limits:?}");
        }
    }
    // The host's own call of an export is a frame as well.
    let none = deploy(&module, Limits { call_depth: 0, ..Limits::default() }).unwrap();
    assert!(is_overflow(none.call("depth", &[Value::I32(0)])));
}

/// Runs `run` with exactly the fuel that it needs, with one less, and within a function's limit of one less.
#[track_caller]
fn needs_its_fuel(module: &[u8], run: impl Fn(dormouse::Invocation<'_>) -> Result<u64, InvokeError>) {
    let function = deploy(module, Limits::default()).unwrap();
    let fuel = run(function.invocation(b"hello")).unwrap();
    assert_eq!(run(function.invocation(b"hello").fuel(fuel)).unwrap(), fuel);
    let out = |result: Result<u64, InvokeError>| {
        let error = result.unwrap_err();
        assert_eq!(*error.kind(), InvokeErrorKind::OutOfFuel { limit: fuel - 1 });
        let report = error.report().unwrap();
        assert_eq!(report.outcome(), "out_of_fuel");
        assert!(report.fuel() < fuel, "{} of {fuel}", report.fuel());
    };
    out(run(function.invocation(b"hello").fuel(fuel - 1)));
    // What went before costs nothing afterwards.
    assert_eq!(run(function.invocation(b"hello").fuel(fuel)).unwrap(), fuel);

    let function = deploy(module, Limits { fuel: fuel - 1, ..Limits::default() }).unwrap();
    out(run(function.invocation(b"hello")));
    out(run(function.invocation(b"hello").fuel(fuel)));
    out(run(function.invocation(b"hello").fuel(u64::MAX)));
}

#[test]
fn exactly_enough_fuel_is_enough_and_an_invocation_cannot_ask_for_more() {
    let call = |export: &'static str, args: &'static [Value]| {
        move |invocation: dormouse::Invocation<'_>| Ok(invocation.call(export, args)?.report().fuel())
    };
    needs_its_fuel(&guest("fib"), call("fib", &[Value::I32(10)]));
    // Longer than one slice.
    needs_its_fuel(&guest("fib"), call("fib", &[Value::I32(22)]));
    needs_its_fuel(&guest("bomb"), call("grow", &[Value::I32(3)]));
    needs_its_fuel(&guest("bomb"), call("grow", &[Value::I32(-1)]));
    needs_its_fuel(&guest("echo"), |invocation| Ok(invocation.run()?.report().fuel()));
    let twice = wat(r#"(module (import "env" "a" (func $a)) (func (export "twice") (call $a) (call $a)))"#);
    needs_its_fuel(&twice, call("twice", &[]));
}

#[test]
fn no_fuel_at_all_runs_nothing() {
    let function = deploy(&guest("fib"), Limits { fuel: 0, ..Limits::default() }).unwrap();
    let error = function.call("fib", &[Value::I32(1)]).unwrap_err();
    assert_eq!(*error.kind(), InvokeErrorKind::OutOfFuel { limit: 0 });
    assert_eq!(error.report().unwrap().fuel(), 0);
}

#[test]
fn all_the_fuel_that_a_number_holds_is_no_more_than_that() {
    let function = deploy(&guest("bomb"), Limits { fuel: u64::MAX, ..Limits::default() }).unwrap();
    let returned = function.invocation(b"").fuel(u64::MAX).call("grow_all", &[]).unwrap();
    assert_eq!(returned.values(), [Value::I32(1_024)]);
    assert!(returned.report().fuel() < 10_000_000, "{}", returned.report());
}

#[test]
fn the_calls_of_a_session_share_one_invocations_fuel() {
    let function = deploy(&guest("fib"), Limits::default()).unwrap();
    let fuel = function.call("fib", &[Value::I32(10)]).unwrap().report().fuel();
    let error = function
        .invocation(b"")
        .fuel(2 * fuel - 1)
        .session(|guest| {
            guest.call("fib", &[Value::I32(10)])?;
            guest.call("fib", &[Value::I32(10)])
        })
        .unwrap_err();
    assert_eq!(*error.kind(), InvokeErrorKind::OutOfFuel { limit: 2 * fuel - 1 });
}

/// A clock that a test moves, in milliseconds, and that can move by itself at each reading.
#[derive(Clone, Default)]
struct Hands {
    now: Arc<AtomicU64>,
    each_reading: u64,
}

impl Hands {
    fn forward(&self, ms: u64) {
        self.now.fetch_add(ms, Relaxed);
    }
}

impl Clock for Hands {
    fn now(&self) -> Duration {
        Duration::from_millis(self.now.fetch_add(self.each_reading, Relaxed))
    }
}

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A guest whose export `wait(n)` calls a host function that takes n ms.
fn waiting(deadline: Duration, start: &str) -> (Hands, Result<Function, DeployError>) {
    let hands = Hands::default();
    let runtime = Runtime::builder().clock(hands.clone()).build();
    let module = wat(&format!(
        r#"(module (import "env" "wait" (func $wait (param i32)))
            (func (export "wait") (param i32) (call $wait (local.get 0)))
            (func $start {start})
            (start $start))"#
    ));
    let host = hands.clone();
    let function = runtime
        .deployment("waiting", &module)
        .limits(Limits { deadline, ..Limits::default() })
        .host("env", "wait", move |_: &mut Context<'_, '_>, ms: u32| host.forward(u64::from(ms)))
        .deploy();
    (hands, function)
}

fn deadline_exceeded(result: Result<impl std::fmt::Debug, InvokeError>, deadline: Duration) {
    let error = result.unwrap_err();
    assert_eq!(*error.kind(), InvokeErrorKind::DeadlineExceeded { deadline });
    assert_eq!(error.report().unwrap().outcome(), "deadline_exceeded");
}

#[test]
fn a_host_function_that_takes_until_the_deadline_is_cut() {
    let (_, function) = waiting(ms(10), "");
    let function = function.unwrap();
    let returned = function.call("wait", &[Value::I32(9)]).unwrap();
    assert_eq!(returned.report().duration(), ms(9));
    deadline_exceeded(function.call("wait", &[Value::I32(10)]), ms(10));
    // Each invocation has its own time.
    for _ in 0..3 {
        function.call("wait", &[Value::I32(9)]).unwrap();
    }
}

#[test]
fn an_invocation_can_have_an_earlier_deadline_and_no_later_one() {
    let (_, function) = waiting(ms(10), "");
    let function = function.unwrap();
    let wait = |deadline, n| function.invocation(b"").deadline(deadline).call("wait", &[Value::I32(n)]);
    wait(ms(5), 4).unwrap();
    deadline_exceeded(wait(ms(5), 5), ms(5));
    wait(ms(11), 9).unwrap();
    deadline_exceeded(wait(ms(11), 10), ms(10));
    deadline_exceeded(wait(Duration::MAX, 10), ms(10));
    deadline_exceeded(wait(Duration::ZERO, 0), Duration::ZERO);
}

#[test]
fn no_deadline_is_none_even_on_an_old_clock() {
    let (hands, function) = waiting(Duration::MAX, "");
    let function = function.unwrap();
    hands.forward(u64::from(u32::MAX));
    function.call("wait", &[Value::I32(-1)]).unwrap();
}

#[test]
fn initialisation_has_a_deadline_too() {
    let (_, function) = waiting(ms(10), "(call $wait (i32.const 9))");
    function.unwrap();
    let (_, function) = waiting(ms(10), "(call $wait (i32.const 10))");
    let error = function.unwrap_err();
    assert!(
        matches!(&error, DeployError::Initialise { step: "the start function", cause }
            if **cause == InvokeErrorKind::DeadlineExceeded { deadline: ms(10) }),
        "{error:?}"
    );
}

#[test]
fn a_loop_is_cut_at_the_first_slice_past_its_deadline() {
    let hands = Hands { each_reading: 1, ..Hands::default() };
    let runtime = Runtime::builder().clock(hands).build();
    let limits = Limits { deadline: ms(10), ..Limits::default() };
    let function = runtime.deployment("loop", &guest("loop")).limits(limits).deploy().unwrap();
    for export in ["spin", "work"] {
        deadline_exceeded(function.call(export, &[]), ms(10));
        let error = function.invocation(b"").deadline(ms(3)).call(export, &[]).unwrap_err();
        assert_eq!(*error.kind(), InvokeErrorKind::DeadlineExceeded { deadline: ms(3) });
        // One reading at the beginning, one a slice of 100,000.
        let fuel = error.report().unwrap().fuel();
        assert!((200_000..=300_000).contains(&fuel), "{fuel}");
    }
    deadline_exceeded(function.invoke(b""), ms(10));
}

#[test]
fn the_calls_of_a_session_share_one_invocations_deadline() {
    let hands = Hands::default();
    let runtime = Runtime::builder().clock(hands.clone()).build();
    let limits = Limits { deadline: ms(10), ..Limits::default() };
    let function = runtime.deployment("fib", &guest("fib")).limits(limits).deploy().unwrap();
    let mut calls = 0;
    let result = function.session(|guest| {
        // Each call is shorter than a slice, and time passes between them.
        while calls < 100 {
            guest.call("fib", &[Value::I32(1)])?;
            calls += 1;
            hands.forward(1);
        }
        Ok(())
    });
    deadline_exceeded(result, ms(10));
    assert_eq!(calls, 10);
}

#[test]
fn a_handle_that_was_used_ends_invocations_begun_later_however_short() {
    let function = deploy(&guest("fib"), Limits::default()).unwrap();
    let cancel = Cancel::new();
    let fib = || function.invocation(b"").cancel(&cancel).call("fib", &[Value::I32(1)]);
    fib().unwrap();
    cancel.cancel();
    assert_eq!(*fib().unwrap_err().kind(), InvokeErrorKind::Cancelled);
    function.call("fib", &[Value::I32(1)]).unwrap();
}

#[test]
fn a_session_that_is_cancelled_makes_no_further_call() {
    let function = deploy(&guest("fib"), Limits::default()).unwrap();
    let cancel = Cancel::new();
    let result = function.invocation(b"").cancel(&cancel).session(|guest| {
        guest.call("fib", &[Value::I32(1)])?;
        cancel.cancel();
        guest.call("fib", &[Value::I32(1)])
    });
    let error = result.unwrap_err();
    assert_eq!(*error.kind(), InvokeErrorKind::Cancelled);
    assert_eq!(error.report().unwrap().outcome(), "cancelled");
}

#[test]
fn a_nested_invocation_ends_at_its_callers_deadline() {
    let (hands, function) = waiting(ms(100), "");
    let inner = function.unwrap();
    let result = inner.invocation(b"").deadline(ms(10)).session(|_| {
        hands.forward(4);
        inner.call("wait", &[Value::I32(5)]).map_err(InvokeError::into_kind)?;
        assert_eq!(hands.now(), ms(9));
        inner.call("wait", &[Value::I32(1)]).map_err(InvokeError::into_kind)
    });
    // The caller had 1 ms left.
    deadline_exceeded(result, ms(1));
}

#[test]
fn one_byte_of_input_more_is_refused_before_the_guest_runs() {
    let function = deploy(&guest("echo"), Limits { input: 10, ..Limits::default() }).unwrap();
    assert_eq!(function.invoke(&[7; 10]).unwrap().output(), [7; 10]);
    let error = function.invoke(&[7; 11]).unwrap_err();
    assert_eq!(*error.kind(), InvokeErrorKind::InputTooLarge { size: 11, limit: 10 });
    assert!(error.report().is_none());
    let text = error.to_string();
    assert!(text.contains("11 bytes") && text.contains("limit of 10") && text.contains("Limits::input"), "{text}");

    let none = deploy(&guest("echo"), Limits { input: 0, output: 0, ..Limits::default() }).unwrap();
    assert_eq!(none.invoke(b"").unwrap().output(), b"");
    assert_eq!(*none.invoke(b"1").unwrap_err().kind(), InvokeErrorKind::InputTooLarge { size: 1, limit: 0 });
}

#[test]
fn one_byte_of_output_more_is_refused_after_the_guest_ran() {
    let function = deploy(&guest("echo"), Limits { output: 10, ..Limits::default() }).unwrap();
    assert_eq!(function.invoke(&[7; 10]).unwrap().output(), [7; 10]);
    let mut output = vec![1, 2, 3];
    let error = function.invocation(&[7; 11]).run_into(&mut output).unwrap_err();
    assert_eq!(*error.kind(), InvokeErrorKind::OutputTooLarge { size: 11, limit: 10 });
    assert!(output.is_empty());
    let report = error.report().unwrap();
    assert_eq!((report.outcome(), report.input(), report.output()), ("output_too_large", 11, 0));
    assert!(report.fuel() > 0);
    let text = error.to_string();
    assert!(text.contains("11 bytes") && text.contains("limit of 10") && text.contains("Limits::output"), "{text}");
}

#[test]
fn an_output_of_gigabytes_is_refused_without_making_room_for_it() {
    // An answer of 2^32 - 1 bytes at 0, from a guest with 64 KiB.
    let module = wat(r#"(module (memory (export "memory") 1)
        (func (export "alloc") (param i32) (result i32) (i32.const 0))
        (func (export "handle") (param i32 i32) (result i64) (i64.const 0xffffffff)))"#);
    let function = deploy(&module, Limits::default()).unwrap();
    let error = function.invoke(b"").unwrap_err();
    assert_eq!(*error.kind(), InvokeErrorKind::OutputTooLarge { size: 0xffff_ffff, limit: 6 << 20 });
    let function = deploy(&module, Limits { output: u64::MAX, ..Limits::default() }).unwrap();
    let error = function.invoke(b"").unwrap_err();
    assert!(matches!(error.kind(), InvokeErrorKind::Contract { .. }), "{error:?}");
}

#[test]
fn a_log_is_cut_after_its_last_byte_and_the_invocation_goes_on() {
    let runtime = Runtime::new();
    // log(n) logs a line of n bytes, then one of one, and answers n.
    let module = wat(r#"(module (import "env" "log" (func $log (param i32)))
        (func (export "log") (param i32) (result i32)
            (call $log (local.get 0)) (call $log (i32.const 1)) (local.get 0)))"#);
    let function = runtime
        .deployment("log", &module)
        .limits(Limits { log: 10, ..Limits::default() })
        .host("env", "log", |guest: &mut Context<'_, '_>, n: u32| guest.log(&"x".repeat(n as usize)))
        .deploy()
        .unwrap();
    let log = |n| {
        let returned = function.call("log", &[Value::I32(n)]).unwrap();
        assert_eq!(returned.values(), [Value::I32(n)]);
        assert_eq!(returned.report().to_string().contains("log=cut"), returned.report().log_cut());
        (returned.log().into_owned(), returned.report().log_cut())
    };
    assert_eq!(log(7), ("xxxxxxx\nx\n".into(), false));
    assert_eq!(log(8), ("xxxxxxxx\nx".into(), true));
    assert_eq!(log(9), ("xxxxxxxxx\n".into(), true));
    assert_eq!(log(10), ("xxxxxxxxxx".into(), true));
    assert_eq!(log(1_000), ("xxxxxxxxxx".into(), true));
    // Nothing is left for the next invocation.
    assert_eq!(log(0), ("\nx\n".into(), false));
}

#[test]
fn a_log_is_cut_between_characters() {
    let runtime = Runtime::new();
    let module = wat(r#"(module (import "env" "log" (func $log)) (func (export "log") (call $log)))"#);
    let function = runtime
        .deployment("log", &module)
        .limits(Limits { log: 4, ..Limits::default() })
        .host("env", "log", |guest: &mut Context<'_, '_>| guest.log("aöö"))
        .deploy()
        .unwrap();
    let returned = function.call("log", &[]).unwrap();
    assert_eq!((&*returned.log(), returned.report().log_cut()), ("aö", true));
}

#[test]
fn as_many_instances_as_the_maximum_run_at_once_and_one_more_is_busy() {
    let runtime = Runtime::new();
    let function = runtime.deployment("fib", &guest("fib")).instances(0..=2).max_wait(Duration::ZERO).deploy().unwrap();
    let fib = || function.call("fib", &[Value::I32(1)]).map_err(InvokeError::into_kind);
    let nested = function.session(|_| {
        fib()?;
        let inner = function.session(|_| {
            let busy = thread::scope(|scope| scope.spawn(fib).join().unwrap()).unwrap_err();
            assert_eq!(busy, InvokeErrorKind::Busy(Busy::Instances { max: 2, waited: Duration::ZERO }));
            Ok(())
        });
        inner.map_err(InvokeError::into_kind)?;
        fib()
    });
    nested.unwrap();
    assert_eq!(function.instances(), (2, 2));
}

#[test]
fn a_function_with_no_instances_is_off() {
    let runtime = Runtime::new();
    let off = runtime.deployment("fib", &guest("fib")).instances(0..=0).max_wait(Duration::MAX).deploy().unwrap();
    let error = off.call("fib", &[Value::I32(1)]).unwrap_err();
    assert_eq!(*error.kind(), InvokeErrorKind::Busy(Busy::Instances { max: 0, waited: Duration::ZERO }));
    assert!(error.report().is_none());
    assert_eq!(runtime.in_use(), (0, 0));
    assert_eq!(off.prewarm(3).unwrap(), 0);
}

#[test]
fn an_invocation_does_not_wait_for_what_its_own_thread_holds() {
    let runtime = Runtime::new();
    let fib = runtime.deployment("fib", &guest("fib")).instances(0..=1).max_wait(Duration::MAX).deploy().unwrap();
    let error = fib.session(|_| fib.call("fib", &[Value::I32(1)]).map_err(InvokeError::into_kind)).unwrap_err();
    assert_eq!(*error.kind(), InvokeErrorKind::Busy(Busy::Instances { max: 1, waited: Duration::ZERO }));
}

#[test]
fn an_invocation_waits_no_longer_than_it_may() {
    let runtime = Runtime::new();
    let function = runtime.deployment("fib", &guest("fib")).instances(0..=1).max_wait(ms(20)).deploy().unwrap();
    function
        .session(|_| {
            let waited = thread::scope(|scope| {
                let began = Instant::now();
                let error = scope.spawn(|| function.call("fib", &[Value::I32(1)]).unwrap_err()).join().unwrap();
                assert_eq!(*error.kind(), InvokeErrorKind::Busy(Busy::Instances { max: 1, waited: ms(20) }));
                began.elapsed()
            });
            assert!(waited >= ms(20), "{waited:?}");
            Ok(())
        })
        .unwrap();
}

#[test]
fn an_invocation_that_waits_gets_the_instance_that_is_given_back() {
    let runtime = Runtime::new();
    let function = runtime.deployment("fib", &guest("fib")).instances(0..=1).max_wait(Duration::MAX).deploy().unwrap();
    let (begins, begun) = mpsc::channel();
    thread::scope(|scope| {
        let held = function.session(|_| {
            let waiting = scope.spawn(|| {
                begins.send(()).unwrap();
                function.call("fib", &[Value::I32(10)]).unwrap()
            });
            begun.recv().unwrap();
            thread::sleep(ms(5));
            assert!(!waiting.is_finished());
            Ok(waiting)
        });
        let returned = held.unwrap().into_value().join().unwrap();
        assert_eq!(returned.values(), [Value::I64(55)]);
        assert_eq!(returned.report().start(), Start::Warm);
    });
}

#[test]
fn a_panic_of_the_host_gives_its_instance_back() {
    let runtime = Runtime::new();
    let function = runtime.deployment("fib", &guest("fib")).instances(0..=1).deploy().unwrap();
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _ = function.session(|_| -> Result<(), InvokeErrorKind> { std::panic::resume_unwind(Box::new(())) });
    }));
    assert!(panicked.is_err());
    assert_eq!(runtime.in_use(), (0, 0));
    assert_eq!(function.call("fib", &[Value::I32(10)]).unwrap().values(), [Value::I64(55)]);
}

#[test]
fn one_function_more_than_the_runtime_may_hold_is_refused() {
    let runtime = Runtime::builder().limits(RuntimeLimits { functions: 2, ..RuntimeLimits::default() }).build();
    let module = guest("fib");
    runtime.deploy("a", &module).unwrap();
    let b = runtime.deploy("b", &module).unwrap();
    let error = runtime.deploy("c", &module).unwrap_err();
    assert!(matches!(error, DeployError::TooManyFunctions { limit: 2 }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains(" 2 ") && text.contains("RuntimeLimits::functions"), "{text}");
    assert!(runtime.find("c").is_none());
    assert_eq!(runtime.in_use(), (0, 0));
    // A redeployment needs no room, and an undeployed function leaves its own, though handles to it remain.
    runtime.deploy("a", &guest("echo")).unwrap();
    assert!(runtime.undeploy("b"));
    runtime.deploy("c", &module).unwrap();
    let error = runtime.deploy("b", &module).unwrap_err();
    assert!(matches!(error, DeployError::TooManyFunctions { limit: 2 }), "{error:?}");
    assert!(b.version().is_none());
}

/// A runtime of `limits` with the functions a, b and c, each of one page and with any number of instances.
fn three(limits: RuntimeLimits) -> (Runtime, Hands, [Function; 3]) {
    let hands = Hands { each_reading: 1, ..Hands::default() };
    let runtime = Runtime::builder().limits(limits).clock(hands.clone()).build();
    let module = guest("bomb");
    let functions = ["a", "b", "c"].map(|name| runtime.deployment(name, &module).instances(0..=9).deploy().unwrap());
    (runtime, hands, functions)
}

fn size(function: &Function) -> Result<Start, InvokeErrorKind> {
    function.call("size", &[]).map(|returned| returned.report().start()).map_err(InvokeError::into_kind)
}

/// What one instance of those functions holds.
fn one_instance() -> u64 {
    let (runtime, _, [a, ..]) = three(RuntimeLimits::default());
    size(&a).unwrap();
    let (1, bytes) = runtime.in_use() else { panic!("{:?}", runtime.in_use()) };
    assert!(bytes > PAGE, "memory and bookkeeping");
    bytes
}

#[test]
fn one_instance_more_than_the_runtime_may_have_costs_the_least_recently_used() {
    let (runtime, _, [a, b, c]) = three(RuntimeLimits { instances: 2, ..RuntimeLimits::default() });
    for function in [&a, &b] {
        assert_eq!(size(function), Ok(Start::Cold));
    }
    assert_eq!(size(&a), Ok(Start::Warm));
    assert_eq!((a.instances(), b.instances()), ((1, 1), (1, 1)));
    // b has been idle for longer.
    assert_eq!(size(&c), Ok(Start::Cold));
    assert_eq!((a.instances(), b.instances(), c.instances()), ((1, 1), (0, 0), (1, 1)));
    assert_eq!(runtime.in_use().0, 2);

    let in_use = runtime.in_use();
    let nested = a.session(|_| {
        let inner = c.session(|_| {
            let limit = InvokeErrorKind::Busy(Busy::RuntimeInstances { limit: 2 });
            assert_eq!(size(&b), Err(limit.clone()));
            assert_eq!(size(&a), Err(limit));
            let refused = runtime.deploy("d", &guest("fib")).unwrap_err();
            assert!(matches!(refused, DeployError::Busy(Busy::RuntimeInstances { limit: 2 })), "{refused:?}");
            Ok(())
        });
        inner.map_err(InvokeError::into_kind)?;
        // c is idle again, and has to go.
        assert_eq!(size(&b), Ok(Start::Cold));
        Ok(())
    });
    nested.unwrap();
    assert_eq!(runtime.in_use(), in_use);
}

#[test]
fn a_runtime_with_no_instances_refuses_to_deploy() {
    let runtime = Runtime::builder().limits(RuntimeLimits { instances: 0, ..RuntimeLimits::default() }).build();
    let error = runtime.deploy("fib", &guest("fib")).unwrap_err();
    assert!(matches!(error, DeployError::Busy(Busy::RuntimeInstances { limit: 0 })), "{error:?}");
    assert_eq!(runtime.in_use(), (0, 0));
}

#[test]
fn one_byte_more_than_the_resident_memory_costs_the_least_recently_used() {
    let one = one_instance();
    let (runtime, _, [a, b, c]) = three(RuntimeLimits { resident_memory: 2 * one, ..RuntimeLimits::default() });
    size(&a).unwrap();
    size(&b).unwrap();
    assert_eq!(runtime.in_use(), (2, 2 * one));
    size(&c).unwrap();
    assert_eq!((a.instances(), b.instances(), c.instances()), ((0, 0), (1, 1), (1, 1)));

    let limit = 2 * one - 1;
    let (runtime, _, [a, b, _]) = three(RuntimeLimits { resident_memory: limit, ..RuntimeLimits::default() });
    size(&a).unwrap();
    size(&b).unwrap();
    assert_eq!((a.instances(), b.instances()), ((0, 0), (1, 1)));
    let error = b.session(|_| size(&a)).unwrap_err();
    assert_eq!(*error.kind(), InvokeErrorKind::Busy(Busy::RuntimeMemory { wanted: one, limit }));
    assert_eq!(runtime.in_use(), (1, one));

    let runtime = Runtime::builder().limits(RuntimeLimits { resident_memory: one - 1, ..RuntimeLimits::default() });
    let error = runtime.build().deploy("bomb", &guest("bomb")).unwrap_err();
    assert!(
        matches!(error, DeployError::Busy(Busy::RuntimeMemory { wanted, limit }) if wanted == one && limit == one - 1),
        "{error:?}"
    );
}

#[test]
fn tables_and_element_segments_count_as_resident_memory() {
    let held = |text: &str| {
        let runtime = Runtime::new();
        runtime.deployment("f", &wat(text)).instances(1..=1).deploy().unwrap();
        runtime.in_use().1
    };
    let none = held("(module (func $f))");
    // Four bytes an element, measured; each instance has its own.
    let table = held("(module (func $f) (table 100000 funcref))");
    assert!((400_000..2_000_000).contains(&(table - none)), "{}", table - none);
    let segment = held(&format!("(module (func $f) (elem func {}))", "$f ".repeat(100_000)));
    assert!((400_000..2_000_000).contains(&(segment - none)), "{}", segment - none);
}

#[test]
fn a_running_guest_that_grows_beyond_the_budget_ends_as_busy() {
    let one = one_instance();
    let limit = one + 2 * PAGE;
    let (runtime, _, [a, ..]) = three(RuntimeLimits { resident_memory: limit, ..RuntimeLimits::default() });
    let grow = |pages| a.call("grow", &[Value::I32(pages)]);
    assert_eq!(runtime.in_use(), (0, 0));
    assert_eq!(grow(2).unwrap().values(), [Value::I32(1)]);
    // It grew, so it was thrown away.
    assert_eq!(runtime.in_use(), (0, 0));
    size(&a).unwrap();
    assert_eq!(runtime.in_use(), (1, one));
    let error = grow(3).unwrap_err();
    assert_eq!(*error.kind(), InvokeErrorKind::Busy(Busy::RuntimeMemory { wanted: 3 * PAGE, limit }));
    assert_eq!(error.report().unwrap().outcome(), "busy");
    assert_eq!(runtime.in_use(), (1, one));
    // Page by page it is the third that fails, and all is given back.
    let error = a.call("grow_all", &[]).unwrap_err();
    assert_eq!(*error.kind(), InvokeErrorKind::Busy(Busy::RuntimeMemory { wanted: PAGE, limit }));
    assert_eq!(error.report().unwrap().memory(), 3 * PAGE);
    assert_eq!(runtime.in_use(), (0, 0));
    assert_eq!(size(&a), Ok(Start::Cold));
    assert_eq!(runtime.in_use(), (1, one));
}

#[test]
fn a_running_guest_that_grows_takes_the_room_of_idle_instances_first() {
    let one = one_instance();
    let limits = RuntimeLimits { resident_memory: 3 * one, ..RuntimeLimits::default() };
    let (runtime, _, [a, b, c]) = three(limits);
    for function in [&b, &c, &a] {
        size(function).unwrap();
    }
    assert_eq!(runtime.in_use(), (3, 3 * one));
    a.session(|guest| {
        assert_eq!(guest.call("grow", &[Value::I32(1)])?[0], Value::I32(1));
        assert_eq!((b.instances(), c.instances()), ((0, 0), (1, 1)));
        assert_eq!(runtime.in_use(), (2, 2 * one + PAGE));
        Ok(())
    })
    .unwrap();
    assert_eq!(runtime.in_use(), (1, one));
}

#[test]
fn what_all_instances_held_is_given_back() {
    let (runtime, _, [a, b, c]) = three(RuntimeLimits::default());
    for function in [&a, &b, &c] {
        function.prewarm(3).unwrap();
    }
    assert_eq!(runtime.in_use().0, 9);
    assert_eq!(runtime.trim(Duration::ZERO), 9);
    assert_eq!(runtime.in_use(), (0, 0));
    // By undeploying, and by being replaced.
    for function in [&a, &b, &c] {
        function.prewarm(3).unwrap();
    }
    runtime.undeploy("a");
    assert_eq!(runtime.in_use().0, 6);
    runtime.deploy("b", &guest("fib")).unwrap();
    assert_eq!(runtime.in_use().0, 3);
    drop(c);
    assert_eq!(runtime.in_use().0, 3);
    runtime.undeploy("c");
    assert_eq!(runtime.in_use(), (0, 0));
}

#[test]
fn prewarming_more_than_the_runtime_may_have_is_busy() {
    let (runtime, _, [a, b, _]) = three(RuntimeLimits { instances: 3, ..RuntimeLimits::default() });
    size(&b).unwrap();
    // The idle one of b goes, and then there is nothing to gain by dropping one's own.
    let error = a.prewarm(4).unwrap_err();
    assert_eq!(*error.kind(), InvokeErrorKind::Busy(Busy::RuntimeInstances { limit: 3 }));
    assert_eq!((a.instances(), b.instances()), ((3, 3), (0, 0)));
    assert_eq!(runtime.in_use().0, 3);
    assert_eq!(a.prewarm(3).unwrap(), 3);

    let four = runtime.deployment("d", &guest("bomb")).instances(4..=4).deploy().unwrap_err();
    assert!(matches!(four, DeployError::Busy(Busy::RuntimeInstances { limit: 3 })), "{four:?}");
    assert!(runtime.in_use().0 <= 3, "{:?}", runtime.in_use());
}

/// Deploys `down`: `down(n)` calls the host, which calls `down(n - 1)` of the same function, and answers the depth.
fn nesting(runtime: &Runtime, instances: usize) -> Function {
    let module = wat(r#"(module (import "env" "down" (func $down (param i32) (result i32)))
        (func (export "down") (param i32) (result i32)
            (if (result i32) (local.get 0)
                (then (i32.add (i32.const 1) (call $down (i32.sub (local.get 0) (i32.const 1)))))
                (else (i32.const 1)))))"#);
    runtime
        .deployment("down", &module)
        .instances(0..=instances)
        .host("env", "down", |guest: &mut Context<'_, '_>, n: i32| {
            let function = guest.runtime().find("down").ok_or("undeployed")?;
            Ok::<_, dormouse::HostError>(function.call("down", &[Value::I32(n)])?.values()[0].as_i32())
        })
        .deploy()
        .unwrap()
}

#[test]
fn invocations_nest_four_below_the_outermost_and_no_deeper() {
    let runtime = Runtime::new();
    let function = nesting(&runtime, 9);
    assert_eq!(function.call("down", &[Value::I32(4)]).unwrap().values(), [Value::I32(5)]);
    let error = function.call("down", &[Value::I32(5)]).unwrap_err();
    match error.kind() {
        InvokeErrorKind::HostFunction { message, .. } => assert!(message.contains("nested 5 deep"), "{message}"),
        other => panic!("{other:?}"),
    }
    // By type, where the embedder's own code nests.
    fn down(function: &Function, levels: usize) -> Result<(), InvokeErrorKind> {
        if levels == 0 {
            return Ok(());
        }
        function.session(|_| down(function, levels - 1)).map(|_| ()).map_err(InvokeError::into_kind)
    }
    assert_eq!(down(&function, 5), Ok(()));
    assert_eq!(down(&function, 6), Err(InvokeErrorKind::NestedTooDeep { limit: 5 }));
    assert_eq!(down(&function, 5), Ok(()));
    assert_eq!(runtime.in_use().0, 5);
}

#[test]
fn a_function_that_invokes_itself_uses_another_instance_or_is_busy_at_once() {
    let runtime = Runtime::new();
    let function = nesting(&runtime, 2);
    assert_eq!(function.call("down", &[Value::I32(1)]).unwrap().values(), [Value::I32(2)]);
    let began = Instant::now();
    let error = function.call("down", &[Value::I32(2)]).unwrap_err();
    assert!(error.to_string().contains("all 2 instances"), "{error}");
    assert!(began.elapsed() < ms(900), "it did not wait");
}

#[test]
fn modules_at_the_default_figures_are_accepted() {
    let body = format!("(func (export \"f\") {})", "nop ".repeat((1 << 20) - 2));
    let modules = [
        repeated("(memory 1)", 100_000, |_| r#"(data (i32.const 0) "x")"#.into()),
        repeated("(table 1 funcref)", 100_000, |_| "(elem (i32.const 0) func)".into()),
        repeated("", 1, |_| "(table 100000 funcref)".into()),
        repeated("", 1, |_| format!("(func (export \"f\") {})", "(local i32)".repeat(10_000))),
        repeated("", 1, |_| body.clone()),
    ];
    for (index, module) in modules.iter().enumerate() {
        let function = deploy(module, Limits::default()).unwrap_or_else(|error| panic!("module {index}: {error}"));
        if index >= 3 {
            function.call("f", &[]).unwrap_or_else(|error| panic!("module {index}: {error}"));
        }
    }
}
