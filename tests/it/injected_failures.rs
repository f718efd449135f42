//! Failures at every possible place. Something fails at the first place where it can, then at the
//! second, and so on, until a run passes without a failure.
//!
//! What fails is a call of a host function, a unit of fuel, a growth of memory, or a reading of the
//! clock. After each failure the next invocations are right and find nothing of it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use dormouse::{
    Busy, Clock, Context, DeployError, Function, HostError, InvokeError, InvokeErrorKind, Limits, Reset, Runtime,
    RuntimeLimits, Value, Wasi,
};

use crate::{
    support::{count, idle_and_live, in_use, wat},
    targets::RESETS,
};

/// Writes to three pages of memory, a global and a table, and calls the host or grows its memory in
/// between. It answers with what it found, so that what an earlier run left would show. `look`
/// answers with all of it, and changes nothing.
fn module(initialisation: &str) -> Vec<u8> {
    wat(&format!(
        r#"(module
             (import "host" "step" (func $step (param i32) (result i32)))
             (memory (export "memory") 3 12) (data (i32.const 4000) "pristine") (global $g (mut i64) (i64.const 7))
             (table $t 2 funcref) (elem (i32.const 0) $one $two) (type $number (func (result i32)))
             (func $one (result i32) (i32.const 1)) (func $two (result i32) (i32.const 2))
             (func (export "look") (result i64 i64 i64 i64 i32 i32)
               (global.get $g) (i64.load (i32.const 4000)) (i64.load (i32.const 65536)) (i64.load (i32.const 190000))
               (call_indirect (type $number) (i32.const 0)) (memory.size))
             (func $spoil (param $by i32)
               (global.set $g (i64.mul (i64.add (global.get $g) (i64.extend_i32_u (local.get $by))) (i64.const 31)))
               (i64.store (i32.const 4000) (i64.xor (i64.load (i32.const 4000)) (global.get $g)))
               (i64.store (i32.const 65536) (i64.add (i64.load (i32.const 65536)) (global.get $g)))
               (memory.fill (i32.const 190000) (local.get $by) (i32.const 64))
               (table.copy (i32.const 0) (i32.const 1) (i32.const 1))
               (global.set $g (i64.add (global.get $g) (i64.extend_i32_u (call_indirect (type $number) (i32.const 0))))))
             (func (export "calls") (param $times i32) (result i64)
               (loop
                 (call $spoil (call $step (local.get $times)))
                 (br_if 0 (local.tee $times (i32.sub (local.get $times) (i32.const 1)))))
               (i64.add (global.get $g) (i64.load (i32.const 65536))))
             (func (export "grows") (param $times i32) (result i64)
               (loop
                 (call $spoil (memory.grow (i32.const 1)))
                 (br_if 0 (local.tee $times (i32.sub (local.get $times) (i32.const 1)))))
               (i64.add (global.get $g) (i64.load (i32.const 65536))))
             (func $init {initialisation})
             (start $init))"#
    ))
}

/// What happens at which call of the host function.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    Error,
    Panic,
}

/// A host function that answers with its argument, until the call whose turn it is.
#[derive(Clone, Default)]
struct Host {
    /// Calls until the fault, or 0 for no fault.
    left: Arc<AtomicU64>,
}

impl Host {
    fn step(&self, fault: Fault) -> impl Fn(&mut Context<'_>, i32) -> Result<i32, HostError> + Send + Sync + 'static {
        let left = Arc::clone(&self.left);
        move |guest, number| {
            // What the host writes and logs must disappear too.
            guest.write(8_192, &number.to_le_bytes())?;
            guest.log("a step")?;
            match left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)) {
                Ok(1) if fault == Fault::Error => Err("the fault".into()),
                Ok(1) => panic!("the fault"),
                _ => Ok(number),
            }
        }
    }
}

/// The answer of `look` on a fresh instance.
fn pristine() -> Vec<u64> {
    vec![7, u64::from_le_bytes(*b"pristine"), 0, 0, 1, 3]
}

/// Checks that an invocation after a fault finds nothing of it, and that the next ones are right.
#[track_caller]
fn is_clean(function: &Function, right: u64, after: &str) {
    let look = function.call("look", &[]).unwrap_or_else(|error| panic!("{after}: {error}"));
    let found: Vec<u64> = look.values().iter().map(|value| value.as_u64()).collect();
    assert_eq!(found, pristine(), "{after}");
    assert_eq!((look.log(), look.report().host_calls()), ("".into(), 0), "{after}");
    let written = function.session(|guest| guest.read(8_192, 4)).unwrap();
    assert_eq!(written.value(), &[0; 4], "{after}");
    let again = function.call("calls", &[Value::I32(3)]).unwrap_or_else(|error| panic!("{after}: {error}"));
    assert_eq!((again.values()[0].as_u64(), again.report().host_calls()), (right, 3), "{after}");
    assert_eq!(again.log(), "a step\n".repeat(3), "{after}");
    let (idle, live) = idle_and_live(function);
    assert!(idle == live && live <= 1, "{after}: {idle} of {live}");
}

/// A function whose host fails as `fault` says, and the right answer of three steps.
fn deploy(runtime: &Runtime, host: &Host, fault: Fault, limits: Limits) -> (Function, u64) {
    let module = module("");
    let deployment = runtime.deployment("f", &module).host("host", "step", host.step(fault)).instances(0..=1);
    let function = deployment.limits(limits).deploy().unwrap();
    let right = function.call("calls", &[Value::I32(3)]).unwrap().values()[0].as_u64();
    (function, right)
}

fn runtime(reset: Reset) -> Runtime {
    Runtime::builder().reset(reset).build()
}

#[test]
fn whichever_call_of_the_host_fails_or_panics_the_next_invocation_is_right() {
    const CALLS: i32 = 20;
    for reset in RESETS {
        for fault in [Fault::Error, Fault::Panic] {
            let host = Host::default();
            let (function, right) = deploy(&runtime(reset), &host, fault, Limits::default());
            let mut failing = 1;
            loop {
                host.left.store(failing, Relaxed);
                let Err(error) = function.call("calls", &[Value::I32(CALLS)]) else { break };
                let is_it = match error.kind() {
                    InvokeErrorKind::HostFunction { message, .. } => fault == Fault::Error && &**message == "the fault",
                    InvokeErrorKind::HostPanic { message, .. } => fault == Fault::Panic && &**message == "the fault",
                    _ => false,
                };
                assert!(is_it, "{error}");
                assert_eq!(error.report().unwrap().host_calls(), failing);
                let kept = usize::from(fault == Fault::Error);
                assert_eq!(idle_and_live(&function), (kept, kept), "host code that panicked spoils its instance");
                host.left.store(0, Relaxed);
                is_clean(&function, right, &format!("{reset:?}, {fault:?} at call {failing}"));
                failing += 1;
            }
            assert_eq!(failing, CALLS as u64 + 1, "each call has failed once");
        }
    }
}

#[test]
fn whichever_call_of_the_host_fails_in_initialisation_nothing_is_left_of_the_deployment() {
    for fault in [Fault::Error, Fault::Panic] {
        let runtime = Runtime::new();
        let module = module("(call $spoil (i32.add (call $step (i32.const 1)) (call $step (i32.const 2))))");
        let host = Host::default();
        let deploy = || runtime.deployment("f", &module).host("host", "step", host.step(fault)).deploy();
        let mut failing = 1;
        loop {
            host.left.store(failing, Relaxed);
            // A module that writes its table initialises each instance anew, which may not call the
            // host.
            match deploy() {
                Err(DeployError::Initialise { step: "the start function", cause }) => {
                    assert!(cause.to_string().contains("the fault"), "{cause}");
                }
                Err(DeployError::UnrepeatableInitialisation { calls: 2 }) => break,
                other => panic!("{other:?}"),
            }
            assert_eq!((in_use(&runtime), runtime.functions().len()), ((0, 0), 0), "{fault:?} at call {failing}");
            failing += 1;
        }
        assert_eq!(failing, 3);
    }
}

#[test]
fn whichever_unit_of_fuel_is_missing_the_next_invocation_is_right() {
    let step = count("DORMOUSE_FUEL_STEP", 7);
    for reset in RESETS {
        for (export, times) in [("calls", 4), ("grows", 3)] {
            let (function, right) = deploy(&runtime(reset), &Host::default(), Fault::Error, Limits::default());
            let args = [Value::I32(times)];
            let mut fuel = 0;
            loop {
                match function.invocation(b"").fuel(fuel).call(export, &args) {
                    Ok(_) => break,
                    Err(error) => {
                        assert_eq!(*error.kind(), InvokeErrorKind::OutOfFuel { limit: fuel }, "{export}");
                        assert!(error.report().unwrap().fuel() <= fuel, "{export} with {fuel}: {error}");
                    }
                }
                is_clean(&function, right, &format!("{reset:?}, {export} with {fuel} fuel"));
                // A growth costs a thousand units.
                fuel += if export == "calls" { 1 } else { step };
            }
            let whole = function.call(export, &args).unwrap().report().fuel();
            assert!(fuel >= whole && fuel < whole + step, "{export}: passes with {fuel}, uses {whole}");
        }
    }
}

#[test]
fn whichever_growth_its_limit_refuses_the_next_invocation_is_right() {
    for reset in RESETS {
        let mut answers = Vec::new();
        for pages in 3..=12 {
            let limits = Limits { memory_bytes: pages << 16, ..Limits::default() };
            let (function, right) = deploy(&runtime(reset), &Host::default(), Fault::Error, limits);
            for _ in 0..3 {
                let grown = function.call("grows", &[Value::I32(9)]).unwrap();
                assert_eq!(grown.report().memory_bytes(), pages << 16, "as far as it may");
                answers.push(grown.values()[0].as_u64());
                is_clean(&function, right, &format!("{reset:?}, {pages} pages"));
            }
        }
        // The guest sees which growth failed, the same each time.
        assert!(answers.chunks(3).all(|same| same.iter().all(|answer| *answer == same[0])), "{answers:?}");
        answers.dedup();
        assert_eq!(answers.len(), 10, "each limit shows");
    }
}

#[test]
fn whichever_growth_the_runtime_has_no_room_for_the_next_invocation_is_right() {
    for reset in RESETS {
        let mut refused = 0;
        // There is room for three pages and for the rest of an instance, and then for more each
        // time.
        for pages in 4.. {
            let limits = RuntimeLimits { resident_memory: pages << 16, ..RuntimeLimits::default() };
            let runtime = Runtime::builder().reset(reset).limits(limits).build();
            let (function, right) = deploy(&runtime, &Host::default(), Fault::Error, Limits::default());
            let Err(error) = function.call("grows", &[Value::I32(9)]) else { break };
            let is_full = matches!(error.kind(), InvokeErrorKind::Busy(Busy::RuntimeMemory { wanted: 65_536, .. }));
            assert!(is_full && error.report().is_some(), "{error}");
            refused += 1;
            is_clean(&function, right, &format!("{reset:?}, {pages} pages in all"));
            assert!(runtime.undeploy("f"));
            drop(function);
            assert_eq!(in_use(&runtime), (0, 0));
        }
        assert_eq!(refused, 9, "each of nine growths was refused once");
    }
}

/// A clock that stands still for a number of readings, and then is an hour ahead.
#[derive(Clone, Default)]
struct Jumping {
    left: Arc<AtomicU64>,
    hours: Arc<AtomicU64>,
}

impl Clock for Jumping {
    fn now(&self) -> Duration {
        if self.left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)) == Ok(1) {
            self.hours.fetch_add(1, Relaxed);
        }
        Duration::from_secs(3_600 * self.hours.load(Relaxed))
    }
}

#[test]
fn whichever_reading_of_the_clock_is_past_the_deadline_the_next_invocation_is_right() {
    for reset in RESETS {
        let clock = Jumping::default();
        let runtime = Runtime::builder().reset(reset).clock(clock.clone()).build();
        let (function, right) = deploy(&runtime, &Host::default(), Fault::Error, Limits::default());
        let mut exceeded = 0;
        // One reading when it begins, one after each call of the host, and one when it has ended.
        for reading in 1.. {
            clock.left.store(reading, Relaxed);
            let ran: Result<_, InvokeError> = function.call("calls", &[Value::I32(6)]);
            if clock.left.swap(0, Relaxed) > 0 {
                assert!(ran.is_ok());
                break;
            }
            if let Err(error) = ran {
                assert!(matches!(error.kind(), InvokeErrorKind::DeadlineExceeded { .. }), "{error}");
                exceeded += 1;
            }
            is_clean(&function, right, &format!("{reset:?}, reading {reading}"));
        }
        assert_eq!(exceeded, 6, "after each call of the host");
    }
}

/// The functions that a host grants through WASI are host code too.
#[cfg(feature = "wasi")]
#[test]
fn whichever_reading_of_a_granted_clock_panics_the_next_invocation_is_right() {
    let module = wat(r#"(module
        (import "wasi_snapshot_preview1" "clock_time_get" (func $time (param i32 i64 i32) (result i32)))
        (memory (export "memory") 1) (global $sum (mut i64) (i64.const 0))
        (func (export "run") (result i64) (local $left i32)
          (local.set $left (i32.const 10))
          (loop
            (drop (call $time (i32.const 0) (i64.const 0) (i32.const 16)))
            (global.set $sum (i64.add (global.get $sum) (i64.load (i32.const 16))))
            (br_if 0 (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
          (global.get $sum)))"#);
    let left = Arc::new(AtomicU64::new(0));
    let time = {
        let left = Arc::clone(&left);
        move || {
            let fails = left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)) == Ok(1);
            assert!(!fails, "the fault");
            std::time::UNIX_EPOCH
        }
    };
    let function =
        Runtime::new().deployment("f", &module).wasi(Wasi::new().time(time)).instances(0..=1).deploy().unwrap();
    let sum = || function.call("run", &[]).map(|returned| returned.values()[0].as_u64());
    let right = sum().unwrap();
    let mut failing = 1;
    loop {
        left.store(failing, Relaxed);
        let Err(error) = sum() else { break };
        assert!(matches!(error.kind(), InvokeErrorKind::HostPanic { .. }), "{error}");
        assert_eq!(idle_and_live(&function), (0, 0));
        assert_eq!((sum().unwrap(), sum().unwrap()), (right, right), "after a panic at reading {failing}");
        failing += 1;
    }
    assert_eq!(failing, 11, "each reading has failed once");
}

/// A clock that panics at a reading.
#[cfg(feature = "events")]
#[derive(Clone)]
struct Breaks(Arc<std::sync::atomic::AtomicI64>);

#[cfg(feature = "events")]
impl Clock for Breaks {
    fn now(&self) -> Duration {
        assert_ne!(self.0.fetch_sub(1, Relaxed), 0, "the clock breaks");
        Duration::from_secs(1)
    }
}

#[cfg(feature = "events")]
#[test]
fn a_delivery_that_a_panic_unwinds_through_is_run_again() {
    let mut readings = 0;
    loop {
        let clock = Breaks(Arc::new((-1).into()));
        let runtime = Runtime::builder().clock(clock.clone()).build();
        runtime.deploy("f", &crate::support::guest("echo")).unwrap();
        runtime.bind("a", dormouse::Trigger::on("a").to("f")).unwrap();
        runtime.publish(dormouse::Event::builder("a").id("1").source("/test").build().unwrap()).unwrap();
        clock.0.store(readings, Relaxed);
        let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| runtime.deliveries().run_pending(1)));
        clock.0.store(-1, Relaxed);
        while runtime.deliveries().run_pending(usize::MAX) > 0 {}
        let deliveries = runtime.deliveries().stats();
        assert!(deliveries.is_balanced(), "after reading {readings}: {deliveries:?}");
        assert_eq!((deliveries.succeeded, deliveries.pending()), (1, 0), "after reading {readings}: {deliveries:?}");
        // Only runs that ended count: the ledger has those alone.
        assert_eq!(runtime.ledger().functions()[0].invocations(), 1, "after reading {readings}");
        if ran.is_ok() {
            break;
        }
        readings += 1;
    }
    assert!(readings >= 2, "a delivery reads the clock at least before and after its run");
}
