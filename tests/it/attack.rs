//! Attacks on what the library promises, each named after the behaviour that withstands it.

use std::{
    fmt,
    hint::black_box,
    sync::{Arc, Barrier, Mutex},
    thread,
    time::{Duration, Instant},
};

use dormouse::{Context, DeployError, Function, HostError, InvokeErrorKind, Limits, Runtime, RuntimeLimits, Value};

use crate::{pool::TestClock, support::wat};

/// All of an outcome that must be the same cold and warm: values and log or the error, fuel, host calls.
fn outcome(function: &Function, fuel: u64, export: &str, args: &[Value]) -> (String, u64, u64) {
    match function.invocation(b"").fuel(fuel).call(export, args) {
        Ok(returned) => {
            let report = returned.report();
            (format!("{:?} {}", returned.values(), returned.log()), report.fuel(), report.host_calls())
        }
        Err(error) => {
            let report = error.report().unwrap_or_else(|| panic!("no report: {error}"));
            (format!("{:?}", error.kind()), report.fuel(), report.host_calls())
        }
    }
}

fn leb(mut number: usize, out: &mut Vec<u8>) {
    while number > 0x7f {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn section(id: u8, content: &[u8], out: &mut Vec<u8>) {
    out.push(id);
    leb(content.len(), out);
    out.extend_from_slice(content);
}

/// A module of types 0, `() -> ()`, and 1, `() -> (16 times i32)`, whose `run` has this code and ten locals of type i32.
fn with_code(code: &[u8]) -> Vec<u8> {
    let mut module = b"\0asm\x01\0\0\0".to_vec();
    section(1, &[&[2, 0x60, 0, 0, 0x60, 0, 16][..], &[0x7f; 16]].concat(), &mut module);
    section(3, &[1, 0], &mut module);
    section(7, b"\x01\x03run\0\0", &mut module);
    let mut bodies = vec![1];
    leb(code.len() + 4, &mut bodies);
    bodies.extend_from_slice(&[1, 10, 0x7f]);
    bodies.extend_from_slice(code);
    bodies.push(0x0b);
    section(10, &bodies, &mut module);
    module
}

/// Initialises itself anew for each instance, as it changes its table, for longer than a slice of fuel.
const SLOW: &str = r#"(module (import "host" "hold" (func $hold)) (table 1 funcref)
    (func $start (local i32)
      (loop (local.set 0 (i32.add (local.get 0) (i32.const 1))) (br_if 0 (i32.lt_u (local.get 0) (i32.const 60000)))))
    (start $start)
    (func (export "hold") (call $hold))
    (func (export "run") (table.set (i32.const 0) (ref.null func))))"#;

#[test]
fn a_function_that_the_interpreter_cannot_translate_fails_the_same_each_time() {
    let code = [[0x41, 0].repeat(65_530), [0x1a].repeat(65_530)].concat();
    let function = Runtime::new().deploy("f", &with_code(&code)).unwrap();
    let first = outcome(&function, u64::MAX, "run", &[]);
    assert!(first.0.contains("too large"), "{first:?}");
    for _ in 0..2 {
        assert_eq!(outcome(&function, u64::MAX, "run", &[]), first);
    }
}

/// Translation on first use is paid by no fuel and meets no deadline.
#[test]
fn no_code_takes_more_than_a_moment_to_translate() {
    let fill: [&[u8]; 3] = [&[0x20, 0], &[0x41, 0], &[0x20, 0, 0x45]];
    // A block, a loop, an if with else, a branch, local.set, local.tee.
    let churn: [&[u8]; 6] = [
        &[0x02, 0x40, 0x0b],
        &[0x03, 0x40, 0x0b],
        &[0x20, 0, 0x04, 0x40, 0x05, 0x0b],
        &[0x02, 0x40, 0x20, 0, 0x0d, 0, 0x0b],
        &[0x41, 0, 0x21, 0],
        &[0x20, 0, 0x20, 1, 0x21, 0, 0x1a],
    ];
    for fill in fill {
        for churn in churn {
            let mut code = fill.repeat(29_000);
            code.extend_from_slice(&churn.repeat(500_000 / churn.len()));
            code.extend_from_slice(&[0x1a].repeat(29_000));
            let function = Runtime::new().deploy("f", &with_code(&code)).unwrap();
            let began = Instant::now();
            function.call("run", &[]).unwrap();
            assert!(began.elapsed() < Duration::from_secs(5), "{fill:x?}, {churn:x?}: {:?}", began.elapsed());
        }
    }
}

#[test]
fn branch_tables_that_move_operands_without_end_are_refused() {
    // A target is one byte and moves 16 operands.
    let mut code = Vec::new();
    for _ in 0..12 {
        code.extend_from_slice(&[0x02, 1]);
        code.extend_from_slice(&[0x41, 3].repeat(16));
        code.extend_from_slice(&[0x20, 0, 0x0e]);
        leb(65_000, &mut code);
        code.extend_from_slice(&[0; 65_001]);
        code.push(0x0b);
        code.extend_from_slice(&[0x1a; 16]);
    }
    let error = Runtime::new().deploy("f", &with_code(&code)).unwrap_err();
    assert!(matches!(error, DeployError::Refused { .. }), "{error}");
}

/// A module may move 4,000,000 operands and 8 for each of its bytes.
#[test]
fn as_many_operands_as_a_module_may_move_are_accepted_and_one_operator_more_is_refused() {
    let (wide, results) = ((300, 700), (0, 1_000));
    for (ty, around, operator, moves) in [
        (wide, "", "call $f", 1_000),
        (results, "", "call $f", 1_000),
        (wide, "", "return_call $f", 1_000),
        (wide, "", "call_indirect (type $w)", 1_000),
        (wide, "", "return_call_indirect (type $w)", 1_000),
        (wide, "", "return", 1_000),
        (wide, "", "block (type $w) unreachable end", 2_000),
        (wide, "", "loop (type $w) unreachable end", 2_000),
        (wide, "", "if (type $w) unreachable else unreachable end", 2_000),
        // A branch moves the results of a block, and the parameters of a loop.
        (wide, "block (type $w)", "br 0", 1_400),
        (wide, "loop (type $w)", "br 0", 600),
        (wide, "block (type $w)", "br_if 0", 1_400),
        (wide, "block (type $w)", "br_table 0 0 0", 2_800),
    ] {
        let before = if around.is_empty() { 0 } else { 2_000 };
        let module = |count: usize| {
            let (params, results, code) =
                ("i32 ".repeat(ty.0), "i32 ".repeat(ty.1), format!("unreachable {operator} ").repeat(count));
            let end = if around.is_empty() { "" } else { "unreachable end" };
            wat(&format!(
                "(module (type $w (func (param {params}) (result {results}))) (table 1 funcref) (func $f (type $w) unreachable)
                   (func (type $w) unreachable {around} {code} {end} unreachable))"
            ))
        };
        let most = |bytes: usize| (4_000_000 + 8 * bytes - before) / moves;
        let count = (0..3).fold(0, |count, _| most(module(count).len()));
        for count in [count, count + 2] {
            let module = module(count);
            let deployed = Runtime::new().deploy("f", &module);
            assert_eq!(deployed.is_ok(), count <= most(module.len()), "{around} {operator} {count}: {deployed:?}");
        }
    }
}

#[test]
fn the_type_of_an_unknown_import_is_cut_too() {
    let types = "i32 ".repeat(1_000);
    let text = format!(r#"(module (import "m" "n" (func (param {types}) (result {types}))))"#);
    let error = Runtime::new().deploy("f", &wat(&text)).unwrap_err();
    let DeployError::UnknownImports { imports } = error else { panic!("{error}") };
    assert_eq!(imports[0].ty.len(), 4 << 10);
}

#[test]
fn a_caller_that_is_out_of_time_does_not_quarantine_what_it_calls() {
    let clock = TestClock::default();
    let runtime = Runtime::builder().clock(clock.clone()).build();
    let module = wat(SLOW);
    let deployment = runtime.deployment("slow", &module).host("host", "hold", |_: &mut Context<'_>| ());
    let slow = deployment.deploy().unwrap();
    let late = move |guest: &mut Context<'_>| -> Result<(), HostError> {
        clock.advance(Duration::from_secs(2));
        guest.runtime().find("slow").ok_or("gone")?.call("run", &[])?;
        Ok(())
    };
    let module = wat(r#"(module (import "host" "late" (func $late)) (func (export "run") (call $late)))"#);
    let limits = Limits { deadline: Duration::from_secs(1), ..Limits::default() };
    let caller = runtime.deployment("caller", &module).limits(limits).host("host", "late", late).deploy().unwrap();
    for _ in 0..5 {
        let error = caller.call("run", &[]).unwrap_err();
        assert!(error.to_string().contains("deadline exceeded"), "{error}");
    }
    slow.call("run", &[]).unwrap();
}

#[test]
fn a_quarantined_function_is_told_to_all_who_wait() {
    let clock = TestClock::default();
    let runtime = Runtime::builder().clock(clock.clone()).build();
    let (entered, leave) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
    let hold = {
        let (entered, leave) = (Arc::clone(&entered), Arc::clone(&leave));
        move |_: &mut Context<'_>| -> () {
            entered.wait();
            leave.wait();
            panic!("gives its place up");
        }
    };
    let limits = Limits { deadline: Duration::from_millis(1), ..Limits::default() };
    let module = wat(SLOW);
    let deployment = runtime.deployment("slow", &module).limits(limits).host("host", "hold", hold);
    let function = deployment.instances(0..=1).max_wait(Duration::from_secs(60)).deploy().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| function.call("hold", &[]).map(|_| ()).unwrap_err());
        entered.wait();
        let began = Instant::now();
        let waiting: Vec<_> =
            (0..8).map(|_| scope.spawn(|| function.call("run", &[]).map(|_| ()).unwrap_err())).collect();
        // Time for all of them to wait; a clock that runs from now on, so that each initialisation takes too long.
        thread::sleep(Duration::from_millis(50));
        clock.step(Duration::from_millis(1));
        leave.wait();
        let errors: Vec<_> = waiting.into_iter().map(|waiting| waiting.join().unwrap()).collect();
        let told = errors.iter().filter(|error| matches!(error.kind(), InvokeErrorKind::Quarantined { .. })).count();
        assert_eq!(told, 5, "three fail: {errors:?}");
        assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    });
}

#[test]
fn a_nested_invocation_waits_no_longer_than_its_callers_deadline() {
    let runtime = Runtime::new();
    let empty = wat(r#"(module (func (export "run")))"#);
    let held = runtime.deployment("held", &empty).instances(0..=1).max_wait(Duration::from_secs(60)).deploy().unwrap();
    let call = |guest: &mut Context<'_>| -> Result<(), HostError> {
        guest.runtime().find("held").ok_or("gone")?.call("run", &[])?;
        Ok(())
    };
    let module = wat(r#"(module (import "host" "call" (func $call)) (func (export "run") (call $call)))"#);
    let limits = Limits { deadline: Duration::from_millis(50), ..Limits::default() };
    let caller = runtime.deployment("caller", &module).limits(limits).host("host", "call", call).deploy().unwrap();
    let (entered, leave) = (Barrier::new(2), Barrier::new(2));
    thread::scope(|scope| {
        scope.spawn(|| {
            held.session(|_| {
                entered.wait();
                leave.wait();
                Ok(())
            })
        });
        entered.wait();
        let began = Instant::now();
        let error = caller.call("run", &[]).unwrap_err();
        let took = began.elapsed();
        leave.wait();
        assert!(took < Duration::from_secs(30), "{took:?}: {error}");
    });
}

/// An error that cannot be printed.
#[derive(Debug)]
struct Unprintable;

impl fmt::Display for Unprintable {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("out of ink")
    }
}

impl std::error::Error for Unprintable {}

/// A failure here kills the test process: no panic can pass through the interpreter.
#[test]
fn a_host_error_that_panics_when_it_is_printed_ends_that_invocation_alone() {
    let module = wat(r#"(module (import "host" "f" (func $f)) (func (export "run") (call $f)))"#);
    let fail = |_: &mut Context<'_>| -> Result<(), Unprintable> { Err(Unprintable) };
    let function = Runtime::new().deployment("f", &module).host("host", "f", fail).deploy().unwrap();
    for _ in 0..2 {
        let error = function.call("run", &[]).unwrap_err();
        let InvokeErrorKind::HostPanic { message, .. } = error.kind() else { panic!("{error}") };
        assert_eq!(&**message, "out of ink");
    }
    assert_eq!(function.instances(), (0, 0));
}

#[test]
fn a_host_function_does_the_same_however_it_is_called() {
    let module = wat(r#"(module (import "host" "f" (func $f (param i32) (result i32)))
        (type $t (func (param i32) (result i32)))
        (table 1 funcref) (elem (i32.const 0) $f)
        (export "exported" (func $f))
        (func (export "call") (param i32) (result i32) (call $f (local.get 0)))
        (func (export "indirect") (param i32) (result i32) (call_indirect (type $t) (local.get 0) (i32.const 0)))
        (func $tail (export "tail") (param i32) (result i32) (return_call $f (local.get 0)))
        (func (export "tail_indirect") (param i32) (result i32) (return_call_indirect (type $t) (local.get 0) (i32.const 0)))
        (func (export "below") (param i32) (result i32) (local i32) (i32.or (i32.const 0) (call $tail (local.get 0)))))"#);
    let f = |guest: &mut Context<'_>, what: i32| -> Result<i32, HostError> {
        match what {
            0 => return Err("no".into()),
            1 => panic!("boom"),
            // Up to the end of a slice of fuel, and beyond it.
            2 => guest.charge(99_990)?,
            3 => guest.charge(150_000)?,
            4 => drop(guest.charge(u64::MAX)),
            _ => guest.log("x")?,
        }
        Ok(what)
    };
    let function = Runtime::new().deployment("f", &module).host("host", "f", f).deploy().unwrap();
    for what in 0..6 {
        let args = [Value::I32(what)];
        let called = outcome(&function, u64::MAX, "call", &args).0;
        for export in ["exported", "indirect", "tail", "tail_indirect", "below"] {
            assert_eq!(outcome(&function, u64::MAX, export, &args).0, called, "{export}, {what}");
            for fuel in (0..12).chain(99_990..100_002) {
                let first = outcome(&function, fuel, export, &args);
                assert_eq!(outcome(&function, fuel, export, &args), first, "{export}, {what}, {fuel} fuel");
                assert!(first.1 <= fuel, "{export}, {what}: {first:?} with {fuel}");
            }
        }
    }
}

/// How far apart the native stack stood in calls of a host function.
#[derive(Clone, Default)]
struct Span(Arc<Mutex<Vec<usize>>>);

impl Span {
    fn note(&self) {
        let here = 0u8;
        self.0.lock().unwrap().push(std::ptr::from_ref(black_box(&here)).addr());
    }

    fn bytes(&self) -> usize {
        let noted = self.0.lock().unwrap();
        noted.iter().max().unwrap() - noted.iter().min().unwrap()
    }
}

#[test]
fn no_operator_that_succeeds_or_fails_and_goes_on_leaks_native_stack() {
    let module = wat(r#"(module (import "host" "f" (func $f (param i32))) (type $t (func (param i32)))
        (memory 1) (memory $m 1) (table 2 funcref) (table $x 2 externref)
        (elem (i32.const 0) $f $g) (elem $p func $f) (elem $q func $g) (data $d "abc") (data $e "x")
        (func $g (param i32))
        (func $tail (return_call $f (i32.const 1)))
        (func $tail_indirect (return_call_indirect (type $t) (i32.const 1) (i32.const 0)))
        (func $turn (param $n i32)
          (call $f (i32.const 1)) (drop (memory.grow (i32.const 70000)))
          (if (local.get $n) (then (return_call $turn (i32.sub (local.get $n) (i32.const 1))))))
        (func (export "run") (local i32)
          (call $turn (i32.const 5000))
          (loop
            (call $f (i32.const 1)) (call $tail) (call $tail_indirect)
            (call_indirect (type $t) (i32.const 1) (i32.const 0))
            (memory.fill (i32.const 65536) (i32.const 0) (i32.const 0))
            (memory.init $d (i32.const 0) (i32.const 0) (i32.const 3))
            (memory.copy $m 0 (i32.const 65536) (i32.const 0) (i32.const 0))
            (table.init $p (i32.const 1) (i32.const 0) (i32.const 1))
            (table.copy (i32.const 0) (i32.const 0) (i32.const 2))
            (table.fill $x (i32.const 0) (ref.null extern) (i32.const 2))
            (table.set (i32.const 1) (table.get (i32.const 1)))
            (table.set (i32.const 1) (ref.func $g))
            (drop (memory.grow (i32.const 0))) (drop (memory.grow $m (i32.const -1)))
            (data.drop $e) (elem.drop $q)
            (br_if 0 (i32.lt_u (local.tee 0 (i32.add (local.get 0) (i32.const 1))) (i32.const 5000))))))"#);
    let span = Span::default();
    let note = {
        let span = span.clone();
        move |_: &mut Context<'_>, _: i32| span.note()
    };
    let function = Runtime::new().deployment("f", &module).host("host", "f", note).deploy().unwrap();
    function.call("run", &[]).unwrap();
    assert!(span.bytes() < 4_096, "{} bytes", span.bytes());
}

#[test]
fn calls_that_trap_within_a_session_leak_no_native_stack() {
    let module = wat(r#"(module (import "host" "f" (func $f)) (type $t (func)) (memory 1 1) (table 1 funcref)
        (func $deep (param i32)
          (if (local.get 0) (then (call $deep (i32.sub (local.get 0) (i32.const 1)))) (else unreachable)))
        (func (export "deep") (call $f) (call $deep (i32.const 100)))
        (func (export "load") (call $f) (drop (i32.load (i32.const 65536))))
        (func (export "null") (call $f) (call_indirect (type $t) (i32.const 0)))
        (func (export "grow") (call $f) (drop (memory.grow (i32.const 1))) (drop (i32.div_u (i32.const 1) (i32.const 0))))
        (func $endless (export "endless") (call $f) (call $endless)))"#);
    let span = Span::default();
    let note = {
        let span = span.clone();
        move |_: &mut Context<'_>| span.note()
    };
    let function = Runtime::new().deployment("f", &module).host("host", "f", note).deploy().unwrap();
    let session = function.session(|guest| {
        for turn in 0..1_000 {
            for export in ["deep", "load", "null", "grow"] {
                guest.call(export, &[]).unwrap_err();
            }
            if turn % 100 == 0 {
                guest.call("endless", &[]).unwrap_err();
            }
        }
        Ok(())
    });
    session.unwrap();
    assert!(span.bytes() < 4_096, "{} bytes", span.bytes());
}

#[test]
fn figures_at_their_extremes_panic_nowhere() {
    let module = wat(r#"(module (memory (export "memory") 0)
        (func (export "run") (param i32) (result i32) (memory.grow (local.get 0)))
        (func (export "alloc") (param i32) (result i32) (i32.const 0))
        (func (export "handle") (param i32 i32) (result i64) (i64.const -1)))"#);
    let limits = |wide: u64, narrow: u32, deadline: Duration| Limits {
        fuel: wide,
        deadline,
        input: wide,
        output: wide,
        log: wide,
        memory: wide,
        table_elements: wide,
        stack: wide.max(4 << 10),
        call_depth: narrow,
        module_bytes: wide,
        functions: narrow,
        imports: narrow,
        exports: narrow,
        globals: narrow,
        types: narrow,
        memories: narrow,
        tables: narrow,
        data_segments: narrow,
        element_segments: narrow,
        body_bytes: narrow,
        locals: narrow,
    };
    let most = RuntimeLimits {
        functions: usize::MAX,
        instances: usize::MAX,
        resident_memory: u64::MAX,
        idle_for: Duration::MAX,
    };
    let none = RuntimeLimits { functions: 0, instances: 0, resident_memory: 0, idle_for: Duration::ZERO };
    for of_runtime in [RuntimeLimits::default(), most, none] {
        for age in [0, u64::MAX / 2] {
            let clock = TestClock::default();
            clock.advance(Duration::from_nanos(age));
            let runtime = Runtime::builder().limits(of_runtime.clone()).clock(clock).build();
            for (wide, narrow, deadline) in [
                (u64::MAX, u32::MAX, Duration::MAX),
                (u64::MAX, u32::MAX, Duration::ZERO),
                (1 << 20, 1_000, Duration::MAX),
                (1, 1, Duration::MAX),
                (0, 0, Duration::ZERO),
            ] {
                for instances in [0..=0, 0..=usize::MAX, 1..=usize::MAX] {
                    let deployment = runtime.deployment("f", &module).limits(limits(wide, narrow, deadline));
                    let Ok(function) = deployment.instances(instances).max_wait(Duration::MAX).deploy() else {
                        continue;
                    };
                    for pages in [0, 1, -1] {
                        let invocation = function.invocation(b"x").fuel(u64::MAX).deadline(Duration::MAX);
                        let _ = invocation.call("run", &[Value::I32(pages)]);
                    }
                    let _ = function.invocation(b"x").fuel(0).deadline(Duration::ZERO).run();
                    let _ = function.invoke(b"hello");
                    let _ = function.session(|guest| {
                        assert!(guest.read(u32::MAX, usize::MAX).is_err());
                        assert!(guest.write(u32::MAX, b"x").is_err());
                        guest.read(0, usize::MAX)
                    });
                    if of_runtime.instances <= 4_096 {
                        let _ = function.prewarm(usize::MAX);
                    }
                    assert_eq!(function.trim(Duration::MAX), 0);
                    let _ = runtime.trim(Duration::ZERO);
                }
            }
        }
    }
}

/// A failure here kills the test process: wasmi 2.0.0 returns from such a call with a dangling stack pointer.
#[test]
fn tail_calls_of_imports_without_parameters_and_results_are_refused() {
    let deploy = |tail: &str| {
        let module = wat(&format!(
            r#"(module (import "host" "f" (func $f)) (import "host" "g" (func $g (param i32)))
            (type $t (func)) (type $n (func (param i32))) (table 2 funcref) (elem (i32.const 0) $f $g)
            (global $x (mut i32) (i32.const 5))
            (func $tail {tail})
            (func $add (param i32 i32 i32) (result i32) (i32.add (local.get 0) (i32.add (local.get 1) (local.get 2))))
            (func (export "run") (result i32)
              (call $tail)
              (call $add (global.get $x) (i32.mul (global.get $x) (global.get $x)) (i32.sub (global.get $x) (i32.const 1)))))"#
        ));
        let runtime = Runtime::new();
        let deployment = runtime.deployment("f", &module).host("host", "f", |_: &mut Context<'_>| ());
        let function = deployment.host("host", "g", |_: &mut Context<'_>, _: i32| ()).deploy()?;
        Ok::<_, DeployError>(function.call("run", &[]).unwrap().values().to_vec())
    };
    for tail in ["(return_call $f)", "(return_call_indirect (type $t) (i32.const 0))"] {
        let error = deploy(tail).unwrap_err();
        assert!(matches!(error, DeployError::Refused { .. }) && error.to_string().contains("tail call"), "{error}");
    }
    for tail in [
        "(call $f)",
        "(call_indirect (type $t) (i32.const 0))",
        "(return_call $g (i32.const 1))",
        "(return_call_indirect (type $n) (i32.const 1) (i32.const 1))",
    ] {
        assert_eq!(deploy(tail).unwrap(), [Value::I32(34)], "{tail}");
    }
    let no_imports = wat(r#"(module (type $t (func)) (table 1 funcref) (func $f) (elem (i32.const 0) $f)
        (func (export "run") (return_call_indirect (type $t) (i32.const 0))))"#);
    Runtime::new().deploy("f", &no_imports).unwrap().call("run", &[]).unwrap();
}

/// Counts of sections and the memory's index after `memory.grow` may be longer than they need be.
#[test]
fn numbers_in_more_bytes_than_they_need_are_rewritten_right() {
    let mut module = b"\0asm\x01\0\0\0".to_vec();
    section(1, &[0x81, 0x80, 0x00, 0x60, 0, 1, 0x7f], &mut module);
    section(3, &[0x82, 0x80, 0x80, 0x80, 0x00, 0, 0], &mut module);
    section(5, &[0x82, 0x00, 1, 1, 5, 1, 0, 9], &mut module);
    section(7, b"\x02\x06second\0\0\x05first\0\x01", &mut module);
    // grow 1, grow 2, size of the second memory, added up; grow 3, size, grow -1 of the first.
    let second = [
        &[0, 0x41, 1, 0x40, 0x81, 0x80, 0x80, 0x80, 0x00][..],
        &[0x41, 2, 0x40, 0x81, 0x00, 0x6a, 0x3f, 0x81, 0x00, 0x6a, 0x0b],
    ];
    let first = [&[0, 0x41, 3, 0x40, 0x80, 0x00, 0x3f, 0x80, 0x00, 0x6a][..], &[0x41, 0x7f, 0x40, 0, 0x6a, 0x0b]];
    let mut code = vec![2];
    for body in [second.concat(), first.concat()] {
        leb(body.len(), &mut code);
        code.extend_from_slice(&body);
    }
    section(10, &code, &mut module);
    let function = Runtime::new().deploy("f", &module).unwrap();
    for (export, sum) in [("second", 1 + 3), ("first", 1 + 4 - 1)] {
        let returned = function.call(export, &[]).unwrap();
        assert_eq!((returned.values(), returned.report().fuel()), (&[Value::I32(sum)][..], 3_080), "{export}");
    }
}

/// A memory of 64 bits is asked for more than any machine has, with limits that allow it.
#[cfg(feature = "memory64")]
#[test]
fn growths_by_more_than_any_machine_has_are_answered() {
    let module = wat(r#"(module (memory i64 1) (memory 1 3)
        (func (export "run") (param i64) (result i64 i64) (memory.grow (local.get 0)) (memory.size))
        (func (export "small") (param i32) (result i32 i32) (memory.grow 1 (local.get 0)) (memory.size 1)))"#);
    let most = RuntimeLimits { resident_memory: u64::MAX, ..RuntimeLimits::default() };
    let runtime = Runtime::builder().limits(most).build();
    let limits = Limits { memory: u64::MAX, fuel: u64::MAX, ..Limits::default() };
    let function = runtime.deployment("f", &module).limits(limits).deploy().unwrap();
    for pages in [-1, i64::MIN, i64::MAX, 1 << 48, (1 << 48) - 1, 1 << 47, 1 << 46] {
        let returned = function.call("run", &[Value::I64(pages)]).unwrap();
        assert_eq!(returned.values(), [Value::I64(-1), Value::I64(1)], "{pages}");
    }
    assert_eq!(function.call("run", &[Value::I64(2)]).unwrap().values(), [Value::I64(1), Value::I64(3)]);
    assert_eq!(function.call("small", &[Value::I32(2)]).unwrap().values(), [Value::I32(1), Value::I32(3)]);
    assert_eq!(function.call("small", &[Value::I32(3)]).unwrap().values(), [Value::I32(-1), Value::I32(1)]);
    assert_eq!(runtime.trim(Duration::ZERO), 1);
    assert_eq!(runtime.in_use(), (0, 0));
}
