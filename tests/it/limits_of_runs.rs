//! Every limit of an invocation and of a function's pool. The limit itself is accepted. One more is
//! cut or refused.

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
    Busy, Cancel, Clock, Context, DeployError, Function, InvokeError, InvokeErrorKind, Limits, Runtime, StartKind,
    Value,
};

use crate::support::{guest, idle_and_live, in_use, wat};

use crate::limits::deploy;

/// Runs `run` with exactly the fuel that it needs, with one unit less, and within a function's
/// limit of one unit less.
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
    // Earlier runs cost later ones nothing.
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
    // This is longer than one slice.
    needs_its_fuel(&guest("fib"), call("fib", &[Value::I32(22)]));
    needs_its_fuel(&guest("bomb"), call("grow", &[Value::I32(3)]));
    needs_its_fuel(&guest("bomb"), call("grow", &[Value::I32(-1)]));
    // The last operator takes more than a slice.
    needs_its_fuel(&guest("bomb"), call("grow", &[Value::I32(200)]));
    let fill = wat(r#"(module (memory 200)
        (func (export "fill") (memory.fill (i32.const 0) (i32.const 1) (i32.const 13_000_000))))"#);
    needs_its_fuel(&fill, call("fill", &[]));
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
pub(crate) struct Hands {
    pub(crate) now: Arc<AtomicU64>,
    pub(crate) each_reading: u64,
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

pub(crate) const fn ms(ms: u64) -> Duration {
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
        .host("env", "wait", move |_: &mut Context<'_>, ms: u32| host.forward(u64::from(ms)))
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
    let function = deploy(&guest("echo"), Limits { input_bytes: 10, ..Limits::default() }).unwrap();
    assert_eq!(function.invoke(&[7; 10]).unwrap().output(), [7; 10]);
    let error = function.invoke(&[7; 11]).unwrap_err();
    assert_eq!(*error.kind(), InvokeErrorKind::InputTooLarge { size: 11, limit: 10 });
    assert!(error.report().is_none());
    let text = error.to_string();
    assert!(
        text.contains("11 bytes") && text.contains("limit of 10") && text.contains("Limits::input_bytes"),
        "{text}"
    );

    let none = deploy(&guest("echo"), Limits { input_bytes: 0, output_bytes: 0, ..Limits::default() }).unwrap();
    assert_eq!(none.invoke(b"").unwrap().output(), b"");
    assert_eq!(*none.invoke(b"1").unwrap_err().kind(), InvokeErrorKind::InputTooLarge { size: 1, limit: 0 });
}

#[test]
fn one_byte_of_output_more_is_refused_after_the_guest_ran() {
    let function = deploy(&guest("echo"), Limits { output_bytes: 10, ..Limits::default() }).unwrap();
    assert_eq!(function.invoke(&[7; 10]).unwrap().output(), [7; 10]);
    let mut output = vec![1, 2, 3];
    let error = function.invocation(&[7; 11]).run_into(&mut output).unwrap_err();
    assert_eq!(*error.kind(), InvokeErrorKind::OutputTooLarge { size: 11, limit: 10 });
    assert!(output.is_empty());
    let report = error.report().unwrap();
    assert_eq!((report.outcome(), report.input_bytes(), report.output_bytes()), ("output_too_large", 11, 0));
    assert!(report.fuel() > 0);
    let text = error.to_string();
    assert!(
        text.contains("11 bytes") && text.contains("limit of 10") && text.contains("Limits::output_bytes"),
        "{text}"
    );
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
    let function = deploy(&module, Limits { output_bytes: u64::MAX, ..Limits::default() }).unwrap();
    let error = function.invoke(b"").unwrap_err();
    assert!(matches!(error.kind(), InvokeErrorKind::Contract { .. }), "{error:?}");
}

#[test]
fn a_log_is_cut_after_its_last_byte_and_the_invocation_goes_on() {
    let runtime = Runtime::new();
    // log(n) logs a line of n bytes, then a line of one byte, and answers n.
    let module = wat(r#"(module (import "env" "log" (func $log (param i32)))
        (func (export "log") (param i32) (result i32)
            (call $log (local.get 0)) (call $log (i32.const 1)) (local.get 0)))"#);
    let function = runtime
        .deployment("log", &module)
        .limits(Limits { log_bytes: 10, ..Limits::default() })
        .host("env", "log", |guest: &mut Context<'_>, n: u32| guest.log(&"x".repeat(n as usize)))
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
        .limits(Limits { log_bytes: 4, ..Limits::default() })
        .host("env", "log", |guest: &mut Context<'_>| guest.log("aöö"))
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
    assert_eq!(idle_and_live(&function), (2, 2));
}

#[test]
fn a_function_with_no_instances_is_off() {
    let runtime = Runtime::new();
    let off = runtime.deployment("fib", &guest("fib")).instances(0..=0).max_wait(Duration::MAX).deploy().unwrap();
    let error = off.call("fib", &[Value::I32(1)]).unwrap_err();
    assert_eq!(*error.kind(), InvokeErrorKind::Busy(Busy::Instances { max: 0, waited: Duration::ZERO }));
    assert!(error.report().is_none());
    assert_eq!(in_use(&runtime), (0, 0));
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
        assert_eq!(returned.report().start(), StartKind::Warm);
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
    assert_eq!(in_use(&runtime), (0, 0));
    assert_eq!(function.call("fib", &[Value::I32(10)]).unwrap().values(), [Value::I64(55)]);
}
