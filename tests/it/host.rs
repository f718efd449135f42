//! Host functions, nested invocations, deadlines, cancelling, and typed payloads.

use std::{fmt, sync::mpsc, thread, time::Duration};

use dormouse::{Cancel, Context, DeployError, HostError, InvokeErrorKind, Json, Runtime, StartKind, Value, ValueType};

use crate::support::idle_and_live;
use crate::{
    pool::TestClock,
    support::{guest, outcome, wat},
};

/// A guest that hands its memory's first bytes to the host.
const CALLER: &str = r#"(module
    (import "env" "take" (func $take (param i32 i32) (result i32)))
    (memory (export "memory") 1) (data (i32.const 8) "hello from the guest")
    (func (export "run") (param i32 i32) (result i32) (call $take (local.get 0) (local.get 1))))"#;

type Take = fn(&mut Context<'_>, u32, u32) -> Result<i32, HostError>;

fn run(take: Take, at: i32, len: i32) -> Result<(Vec<Value>, String, u64), InvokeErrorKind> {
    let runtime = Runtime::new();
    let function = runtime.deployment("caller", &wat(CALLER)).host("env", "take", take).deploy().unwrap();
    let returned = function.call("run", &[Value::I32(at), Value::I32(len)]).map_err(|error| error.into_kind())?;
    Ok((returned.values().to_vec(), returned.log().into_owned(), returned.report().fuel()))
}

#[test]
fn a_host_function_reads_and_writes_the_guests_memory_and_logs() {
    let take: Take = |guest, at, len| {
        let text = guest.read_text(at, len)?;
        guest.write(at, b"HELLO")?;
        let after = guest.read_text(at, 5)?;
        guest.log(&format!("{text} / {after}"))?;
        Ok(text.len() as i32)
    };
    let (values, log, _) = run(take, 8, 20).unwrap();
    assert_eq!((values, &*log), (vec![Value::I32(20)], "hello from the guest / HELLO\n"));
}

#[test]
fn every_byte_that_a_host_function_moves_costs_fuel() {
    let nothing: Take = |_, _, _| Ok(0);
    let read: Take = |guest, at, len| Ok(guest.read(at, len)?.len() as i32);
    let base = run(nothing, 0, 0).unwrap().2;
    assert_eq!(run(read, 0, 0).unwrap().2, base);
    assert_eq!(run(read, 0, 1).unwrap().2, base + 1);
    assert_eq!(run(read, 0, 64).unwrap().2, base + 1);
    assert_eq!(run(read, 0, 65).unwrap().2, base + 2);
    assert_eq!(run(read, 0, 65_536).unwrap().2, base + 1_024);
}

#[test]
fn a_wild_pointer_is_an_error_before_anything_is_allocated() {
    let read: Take = |guest, at, len| Ok(guest.read(at, len)?.len() as i32);
    for (at, len) in [(65_536, 1), (-1, 1), (0, 65_537), (-1, -1), (1, i32::MAX)] {
        let error = run(read, at, len).unwrap_err().to_string();
        assert!(error.contains("env.take failed") && error.contains("outside the guest's memory"), "{error}");
    }
    assert_eq!(run(read, 65_536, 0).unwrap().0, [Value::I32(0)]);
}

#[test]
fn an_error_of_a_host_function_ends_that_invocation_and_names_it() {
    let failing: Take = |_, _, _| Err("the sensor is\nunplugged".into());
    let error = run(failing, 0, 0).unwrap_err();
    assert_eq!(error.to_string(), "the host function env.take failed: the sensor is\\nunplugged");
}

#[test]
fn a_panic_in_a_host_function_ends_that_invocation_and_its_instance_alone() {
    let runtime = Runtime::new();
    let take = |_: &mut Context<'_>, at: u32, _: u32| -> u32 {
        assert!(at != 13, "thirteen of all numbers");
        at
    };
    let function = runtime.deployment("caller", &wat(CALLER)).host("env", "take", take).deploy().unwrap();
    for _ in 0..3 {
        let error = function.call("run", &[Value::I32(13), Value::I32(0)]).unwrap_err();
        let InvokeErrorKind::HostPanic { name, message, .. } = error.kind() else { panic!("{error}") };
        assert_eq!((&**name, &**message), ("take", "thirteen of all numbers"));
        let good = function.call("run", &[Value::I32(1), Value::I32(0)]).unwrap();
        assert_eq!((good.values(), good.report().start()), (&[Value::I32(1)][..], StartKind::Cold));
    }
}

#[test]
fn out_of_fuel_in_a_host_function_cannot_be_swallowed() {
    let swallowing: Take = |guest, _, _| Ok(guest.charge(u64::MAX).map_or(-1, |()| 0));
    assert!(matches!(run(swallowing, 0, 0), Err(InvokeErrorKind::OutOfFuel { .. })));
}

#[test]
fn a_guest_that_only_calls_the_host_runs_out_of_fuel_too() {
    let module = wat(r#"(module (import "env" "nop" (func $nop)) (func (export "run") (loop (call $nop) (br 0))))"#);
    let runtime = Runtime::new();
    let function = runtime.deployment("f", &module).host("env", "nop", |_: &mut Context<'_>| ()).deploy().unwrap();
    let error = function.invocation(b"").fuel(300_000).call("run", &[]).unwrap_err();
    assert_eq!(*error.kind(), InvokeErrorKind::OutOfFuel { limit: 300_000 });
    // Each turn costs 1 for the loop, the call, the branch and the host function each.
    assert_eq!(error.report().unwrap().host_calls(), 75_000);
}

#[test]
fn scalars_of_every_type_pass_through_a_host_function() {
    let module =
        wat(r#"(module (import "env" "turn" (func $turn (param i32 i64 f32 f64 i32) (result f64 f32 i64 i32)))
             (func (export "run") (param i32 i64 f32 f64) (result f64 f32 i64 i32)
               (call $turn (local.get 0) (local.get 1) (local.get 2) (local.get 3) (i32.const -1))))"#);
    let runtime = Runtime::new();
    let turn = |_: &mut Context<'_>, a: i32, b: u64, c: f32, d: f64, e: u32| {
        assert_eq!(e, u32::MAX);
        (d, c, b, a)
    };
    let function = runtime.deployment("f", &module).host("env", "turn", turn).deploy().unwrap();
    let args = [Value::I32(-5), Value::I64(i64::MIN), Value::F32(1.5), Value::F64(-0.0)];
    let returned = function.call("run", &args).unwrap();
    let turned: Vec<u64> = args.iter().rev().map(|value| value.as_u64()).collect();
    assert_eq!(returned.values().iter().map(|value| value.as_u64()).collect::<Vec<_>>(), turned);
}

#[test]
fn a_host_function_invokes_another_function_within_the_callers_deadline() {
    let clock = TestClock::default();
    let runtime = Runtime::builder().clock(clock.clone()).build();
    let spin = runtime.deploy("spin", &guest("loop")).unwrap();
    let call = move |guest: &mut Context<'_>| -> Result<(), HostError> {
        // The inner function may run for 30 s by itself. The outer one has 1 s.
        clock.step(Duration::from_millis(100));
        let error = guest.runtime().find("spin").ok_or("gone")?.call("spin", &[]).unwrap_err();
        guest.log(&error.to_string())?;
        clock.step(Duration::ZERO);
        Ok(())
    };
    let module = wat(r#"(module (import "host" "call" (func $call)) (func (export "run") (call $call)))"#);
    let outer = runtime.deployment("outer", &module).host("host", "call", call).deploy().unwrap();
    let error = outer.invocation(b"").deadline(Duration::from_secs(1)).call("run", &[]).unwrap_err();
    assert!(matches!(error.kind(), InvokeErrorKind::DeadlineExceeded { .. }), "{error}");
    assert!(error.report().unwrap().host_calls() == 1);
    drop(spin);
}

#[test]
fn an_invocation_is_cancelled_from_another_thread() {
    let module = wat(r#"(module (import "test" "begun" (func $begun))
        (func (export "spin") (call $begun) (loop $again (br $again))))"#);
    let (begun, waits) = mpsc::channel();
    let begun = move |_: &mut Context<'_>| {
        let _ = begun.send(());
    };
    let function = Runtime::new().deployment("spin", &module).host("test", "begun", begun).deploy().unwrap();
    let cancel = Cancel::new();
    let ends = cancel.clone();
    thread::scope(|scope| {
        scope.spawn(move || {
            waits.recv().unwrap();
            ends.cancel();
        });
        let error = function.invocation(b"").cancel(&cancel).call("spin", &[]).unwrap_err();
        assert_eq!(*error.kind(), InvokeErrorKind::Cancelled);
        assert!(error.report().unwrap().fuel() > 0);
    });
    // The next one is not cancelled, as the instance has forgotten the handle.
    let error = function.invocation(b"").fuel(200_000).call("spin", &[]).unwrap_err();
    assert_eq!(*error.kind(), InvokeErrorKind::OutOfFuel { limit: 200_000 });
}

#[test]
fn typed_payloads_go_through_json_and_bincode() {
    #[derive(serde::Serialize, serde::Deserialize, PartialEq, Debug, Clone)]
    struct Order {
        user: String,
        totals: Vec<u64>,
        note: Option<String>,
    }
    let order = Order { user: "ann".into(), totals: vec![1, 1 << 40], note: None };
    let echo = Runtime::new().deploy("echo", &guest("echo")).unwrap();
    assert_eq!(echo.invoke_as::<_, Order>(Json, &order).unwrap(), order);
    #[cfg(feature = "bincode")]
    assert_eq!(echo.invoke_as::<_, Order>(dormouse::Bincode, &order).unwrap(), order);
    let error = echo.invoke_as::<_, u32>(Json, &order).unwrap_err();
    assert!(matches!(error.kind(), InvokeErrorKind::Codec { side: "output", .. }), "{error}");
    assert!(error.report().is_some());
    #[cfg(feature = "bincode")]
    {
        let error = echo.invoke_as::<_, (u8, u8)>(dormouse::Bincode, &order).unwrap_err().to_string();
        assert!(error.contains("left over"), "{error}");
    }
}

#[test]
fn a_replys_buffer_is_used_again_and_empty_after_an_error() {
    let function = Runtime::new().deploy("echo", &guest("echo")).unwrap();
    let mut output = b"something of before".to_vec();
    function.invocation(b"hello").run_into(&mut output).unwrap();
    assert_eq!(output, b"hello");
    function.invocation(b"hello").fuel(3).run_into(&mut output).unwrap_err();
    assert_eq!(output, b"");
}

#[test]
fn the_runtime_may_go_before_its_functions() {
    let function = {
        let runtime = Runtime::new();
        runtime.deploy("echo", &guest("echo")).unwrap()
    };
    assert_eq!(function.invoke(b"still here").unwrap().output(), b"still here");
}

#[test]
fn a_host_function_that_deploys_its_own_caller_comes_to_an_end() {
    let module = wat(r#"(module (import "host" "again" (func $again)) (start $again))"#);
    fn deploy(runtime: &Runtime, module: Vec<u8>) -> Result<dormouse::Function, dormouse::DeployError> {
        let again = {
            let module = module.clone();
            move |guest: &mut Context<'_>| deploy(&guest.runtime(), module.clone()).map(drop)
        };
        runtime.deployment("again", &module).host("host", "again", again).deploy()
    }
    let error = deploy(&Runtime::new(), module).unwrap_err().to_string();
    assert!(error.contains("nested 5 deep"), "{error}");
}

#[test]
fn a_host_function_whose_type_is_known_at_run_time_alone_is_held_to_it() {
    let module = wat(r#"(module (import "env" "turn" (func $turn (param i32 i64 f32 f64) (result f64 f32 i64 i32)))
             (func (export "run") (param i32 i64 f32 f64) (result f64 f32 i64 i32)
               (call $turn (local.get 0) (local.get 1) (local.get 2) (local.get 3))))"#);
    let (params, mut results) = ([ValueType::I32, ValueType::I64, ValueType::F32, ValueType::F64], Vec::new());
    results.extend(params.iter().rev().copied());
    let args = [Value::I32(-5), Value::I64(i64::MIN), Value::F32(1.5), Value::F64(-0.0)];
    type Turn = fn(&mut Context<'_>, &[Value], &mut [Value]) -> Result<(), HostError>;
    let run = |turn: Turn| {
        let runtime = Runtime::new();
        let deployment = runtime.deployment("f", &module).host_dynamic("env", "turn", &params, &results, turn);
        deployment.deploy().unwrap().call("run", &args).map(|returned| Vec::from(returned.into_value()))
    };
    let turned = run(|_, args, results| {
        results.iter_mut().zip(args.iter().rev()).for_each(|(result, arg)| *result = *arg);
        Ok(())
    });
    assert_eq!(turned.unwrap(), [args[3], args[2], args[1], args[0]]);
    let zeros = [Value::F64(0.0), Value::F32(0.0), Value::I64(0), Value::I32(0)];
    assert_eq!(run(|_, _, _| Ok(())).unwrap(), zeros, "what it is given to overwrite");
    let error = run(|_, _, results| {
        results[2] = Value::F64(1.0);
        Ok(())
    });
    let error = error.unwrap_err().to_string();
    assert!(error.contains("env.turn") && error.contains("result 2 has the type f64, but i64 is declared"), "{error}");
    assert!(run(|_, _, _| Err("not today".into())).unwrap_err().to_string().contains("not today"));
}

#[test]
fn values_say_their_type_and_number() {
    let values = [Value::from(-1), Value::from(u64::MAX), Value::from(0.5_f32), Value::from(1e300)];
    let said: Vec<String> = values.iter().map(ToString::to_string).collect();
    assert_eq!(said, ["i32:-1", "i64:-1", "f32:0.5", &format!("f64:{}", 1e300)]);
    assert_eq!(values.map(Value::as_i64)[..2], [-1, -1], "a number of 32 bits keeps its value");
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

/// A failure here kills the test process, as no panic can pass through the interpreter.
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
    assert_eq!(idle_and_live(&function), (0, 0));
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
            // One charges up to the end of a slice of fuel, the other beyond it.
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

/// A failure here kills the test process, as wasmi 2.0.0 returns from such a call with a dangling
/// stack pointer.
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
