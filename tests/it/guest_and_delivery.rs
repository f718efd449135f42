//! What passes between a guest and its delivery: the environment of the guest, and its request not
//! to be retried.

use std::time::Duration;

use dormouse::{
    AfterFailure, Context, DeadLetterReason, DeliveryError, DeliveryOutcome, DeployError, Event, Extism, HostError,
    InvokeErrorKind, Limits, LogLevel, Retry, Runtime, StartKind, Trigger, TriggerInput, Wasi,
};

use crate::{
    pool::TestClock,
    support::{guest, wat},
};

/// A program that logs its environment, and ends with the code that is the first byte of its input.
fn program() -> Vec<u8> {
    wat(r#"(module
        (import "wasi_snapshot_preview1" "environ_sizes_get" (func $sizes (param i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "environ_get" (func $get (param i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
        (memory (export "memory") 3)
        (func (export "_start")
          (drop (call $sizes (i32.const 0) (i32.const 4)))
          (drop (call $get (i32.const 1024) (i32.const 2048)))
          (i32.store (i32.const 8) (i32.const 2048))
          (i32.store (i32.const 12) (i32.load (i32.const 4)))
          (drop (call $write (i32.const 2) (i32.const 8) (i32.const 1) (i32.const 16)))
          (i32.store (i32.const 8) (i32.const 32))
          (i32.store (i32.const 12) (i32.const 1))
          (drop (call $read (i32.const 0) (i32.const 8) (i32.const 1) (i32.const 16)))
          (call $exit (i32.load8_u (i32.const 32)))))"#)
}

fn event(byte: u8) -> Event {
    Event::builder("a").id("1").source("/test").data_binary([byte]).build().unwrap()
}

fn twice() -> Retry {
    Retry::fixed(Duration::from_secs(10)).attempts(2).without_jitter()
}

fn on_a(function: &str) -> Trigger {
    Trigger::on("a").to(function).input(TriggerInput::Data).retry(twice())
}

/// The lines of an environment.
fn lines(env: &str) -> Vec<&str> {
    env.split_terminator('\0').collect()
}

#[test]
fn a_program_finds_its_delivery_in_its_environment() {
    let clock = TestClock::default();
    let runtime = Runtime::builder().clock(clock.clone()).build();
    let limits = Limits { deadline: Duration::from_millis(7_500), ..Limits::default() };
    let function =
        runtime.deployment("teller", &program()).limits(limits).wasi(Wasi::new().env("OWN", "1")).deploy().unwrap();
    runtime.bind("some-trigger", on_a("teller")).unwrap();
    let version = function.version().unwrap();
    let expected = |delivery: u64, attempt: u32| {
        [
            "OWN=1".to_owned(),
            "DORMOUSE_FUNCTION=teller".to_owned(),
            format!("DORMOUSE_VERSION={version}"),
            "DORMOUSE_TRIGGER=some-trigger".to_owned(),
            format!("DORMOUSE_DELIVERY={delivery}"),
            format!("DORMOUSE_ATTEMPT={attempt}"),
            "DORMOUSE_DEADLINE_MS=7500".to_owned(),
        ]
    };
    let dispatched = runtime.dispatch(event(0)).unwrap();
    let DeliveryOutcome::Succeeded(reply) = &dispatched[0].outcome else { panic!("{dispatched:?}") };
    assert_eq!(lines(&reply.log()), expected(1, 1));
    // The same delivery, retried.
    let dispatched = runtime.dispatch(event(9)).unwrap();
    let DeliveryOutcome::Failed { error: DeliveryError::Invoke(error), .. } = &dispatched[0].outcome else { panic!() };
    let InvokeErrorKind::Exit { code: 9, log } = error.kind() else { panic!("{error}") };
    assert_eq!(lines(log), expected(2, 1));
    clock.advance(Duration::from_secs(10));
    assert_eq!(runtime.deliveries().run_pending(1), 1);
    let letters = runtime.deliveries().dead_letters();
    let error = letters[0].error().unwrap();
    assert!(error.contains(r"DORMOUSE_DELIVERY=2\0DORMOUSE_ATTEMPT=2\0"), "{error}");
}

#[test]
fn a_program_gets_the_event_in_its_json_form_unless_told_otherwise() {
    let runtime = Runtime::new();
    runtime.deploy("echo", &guest("echo.c.command")).unwrap();
    runtime.bind("t", Trigger::on("a").to("echo")).unwrap();
    let dispatched = runtime.dispatch(event(7)).unwrap();
    let DeliveryOutcome::Succeeded(reply) = &dispatched[0].outcome else { panic!("{dispatched:?}") };
    assert_eq!(Event::parse(reply.output()).unwrap(), event(7));
}

#[test]
fn an_invocation_by_handle_is_told_of_no_delivery_whatever_ran_before() {
    let runtime = Runtime::builder().clock(TestClock::default()).build();
    let function = runtime.deployment("teller", &program()).wasi(Wasi::new().env("OWN", "1")).deploy().unwrap();
    runtime.bind("t", on_a("teller")).unwrap();
    let first = function.invoke(&[0]).unwrap();
    assert_eq!(lines(&first.log()), ["OWN=1"]);
    for code in [0, 9] {
        runtime.dispatch(event(code)).unwrap();
        let again = function.invoke(&[0]).unwrap();
        assert_eq!((lines(&again.log()), again.report().start()), (vec!["OWN=1"], StartKind::Warm));
        assert_eq!(again.report().fuel(), first.report().fuel());
    }
}

#[test]
fn a_delivery_burns_the_same_fuel_cold_and_warm() {
    let runtime = Runtime::builder().clock(TestClock::default()).build();
    runtime.deploy("teller", &program()).unwrap();
    runtime.bind("t", on_a("teller")).unwrap();
    let mut reports = Vec::new();
    for _ in 0..3 {
        runtime.trim(Duration::ZERO);
        for _ in 0..2 {
            let dispatched = runtime.dispatch(event(0)).unwrap();
            let DeliveryOutcome::Succeeded(reply) = &dispatched[0].outcome else { panic!("{dispatched:?}") };
            reports.push((reply.report().start(), reply.report().fuel()));
        }
    }
    let fuel = reports[0].1;
    assert!(reports.iter().all(|(_, same)| *same == fuel), "{reports:?}");
    assert!(reports.chunks(2).all(|pair| (pair[0].0, pair[1].0) == (StartKind::Cold, StartKind::Warm)), "{reports:?}");
}

#[test]
fn within_another_invocation_the_deadline_is_what_that_has_left() {
    let clock = TestClock::default();
    let runtime = Runtime::builder().clock(clock.clone()).build();
    runtime.deploy("teller", &program()).unwrap();
    runtime.bind("t", on_a("teller")).unwrap();
    let outer = wat(r#"(module (import "h" "f" (func $f)) (func (export "run") (call $f)))"#);
    let inner = move |guest: &mut Context<'_>| -> Result<(), HostError> {
        clock.advance(Duration::from_secs(2));
        let dispatched = guest.runtime().dispatch(event(0))?;
        let DeliveryOutcome::Succeeded(reply) = &dispatched[0].outcome else { panic!("{dispatched:?}") };
        Ok(guest.log(&reply.log())?)
    };
    let outer = runtime.deployment("outer", &outer).host("h", "f", inner).deploy().unwrap();
    let returned = outer.invocation(b"").deadline(Duration::from_secs(5)).call("run", &[]).unwrap();
    assert!(returned.log().contains("DORMOUSE_DEADLINE_MS=3000\0"), "{}", returned.log());
}

#[test]
fn the_environment_keeps_its_bound_and_its_reserved_names() {
    let runtime = Runtime::new();
    let deploy = |name: &str, bytes: usize| {
        runtime.deployment("f", &program()).wasi(Wasi::new().env(name, &"x".repeat(bytes))).deploy()
    };
    let refused = |name: &str, bytes: usize| match deploy(name, bytes) {
        Err(DeployError::InvalidOption { option: "env", problem }) => problem,
        other => panic!("{other:?}"),
    };
    assert!(refused("DORMOUSE_TRIGGER", 1).contains("reserved"));
    assert!(refused("DORMOUSE_", 1).contains("reserved"));
    deploy("DORMOUSE", 1).unwrap();
    // `A=`, the value and its end.
    let most = (64 << 10) - 512;
    assert_eq!(&*refused("A", most - 2), format!("{} bytes, above the limit of {most}", most + 1));
    deploy("A", most - 3).unwrap();
    runtime.bind("t", on_a("f")).unwrap();
    let dispatched = runtime.dispatch(event(0)).unwrap();
    let DeliveryOutcome::Succeeded(reply) = &dispatched[0].outcome else { panic!("{dispatched:?}") };
    assert!((most + 1..=64 << 10).contains(&reply.log().len()), "{}", reply.log().len());
    assert!(reply.log().ends_with("DORMOUSE_DEADLINE_MS=30000\0"));
}

/// Answers -1 after telling the host, or exits with the code that is the first byte of its input.
fn buffer(body: &str) -> Vec<u8> {
    wat(&format!(
        r#"(module (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
            (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
            (memory (export "memory") 1) (data (i32.const 16) "no such order\n")
            (data (i32.const 0) "\10\00\00\00\0e\00\00\00")
            (func (export "alloc") (param i32) (result i32) (i32.const 1024))
            (func (export "handle") (param $at i32) (param i32) (result i64)
              (drop (call $write (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 8)))
              {body}))"#
    ))
}

#[test]
fn a_guest_that_asks_not_to_be_tried_again_is_not() {
    let exit = buffer("(call $exit (i32.load8_u (local.get $at))) unreachable");
    let rejects = buffer("(i64.const -1)");
    for (name, module, code, words) in [
        ("program", &program(), 65, "exited with code 65"),
        ("exits", &exit, 65, "exited with code 65, having logged: no such order"),
        ("rejects", &rejects, 0, "the guest rejected its input, having logged: no such order"),
    ] {
        let runtime = Runtime::builder().clock(TestClock::default()).build();
        runtime.deploy(name, module).unwrap();
        runtime.bind("t", on_a(name)).unwrap();
        let dispatched = runtime.dispatch(event(code)).unwrap();
        let DeliveryOutcome::Failed { next, .. } = &dispatched[0].outcome else { panic!("{dispatched:?}") };
        assert_eq!(*next, AfterFailure::DeadLetter(DeadLetterReason::Permanent), "{name}");
        let letters = runtime.deliveries().dead_letters();
        assert_eq!((letters[0].reason(), letters[0].attempts()), (DeadLetterReason::Permanent, 1), "{name}");
        assert!(letters[0].error().unwrap().contains(words), "{}", letters[0]);
        assert!(runtime.deliveries().stats().is_balanced());
    }
}

#[test]
fn any_other_exit_code_and_any_trap_are_tried_again() {
    let exit = buffer("(call $exit (i32.load8_u (local.get $at))) unreachable");
    let traps = buffer("unreachable");
    for (module, code) in [(&program(), 1), (&program(), 64), (&program(), 66), (&exit, 0), (&exit, 75), (&traps, 0)] {
        let runtime = Runtime::builder().clock(TestClock::default()).build();
        runtime.deploy("f", module).unwrap();
        runtime.bind("t", on_a("f")).unwrap();
        let dispatched = runtime.dispatch(event(code)).unwrap();
        let DeliveryOutcome::Failed { next: AfterFailure::Retry(_), .. } = dispatched[0].outcome else {
            panic!("{dispatched:?}")
        };
    }
}

#[test]
fn a_rejection_is_an_error_of_its_own_kind_and_leaves_the_instance_as_good_as_any() {
    let function = Runtime::new().deploy("f", &buffer("(i64.const -1)")).unwrap();
    for start in [StartKind::Cold, StartKind::Warm] {
        let error = function.invoke(b"x").unwrap_err();
        assert_eq!(*error.kind(), InvokeErrorKind::Rejected { log: "no such order".into() });
        let report = error.report().unwrap();
        assert_eq!((report.outcome(), report.start()), ("rejected", start));
    }
    // This holds for that answer alone. Another length of that kind is still too large.
    let error = Runtime::new().deploy("bad", &guest("bad-answer")).unwrap().invoke(b"w").unwrap_err();
    assert_eq!(error.kind().name(), "output_too_large");
}

#[test]
fn a_plug_in_finds_its_delivery_in_its_configuration_and_asks_not_to_be_tried_again() {
    // Logs the value of a key at the level of information, and answers with the first byte of its
    // input.
    let plug_in = wat(r#"(module
        (import "extism:host/env" "alloc" (func $alloc (param i64) (result i64)))
        (import "extism:host/env" "store_u8" (func $store (param i64 i32)))
        (import "extism:host/env" "config_get" (func $config (param i64) (result i64)))
        (import "extism:host/env" "log_info" (func $log (param i64)))
        (import "extism:host/env" "input_load_u8" (func $input (param i64) (result i32)))
        (memory (export "memory") 1)
        (data (i32.const 0) "DORMOUSE_TRIGGER")
        (func (export "handle") (result i32)
          (local $key i64) (local $at i32)
          (local.set $key (call $alloc (i64.const 16)))
          (loop $more
            (call $store
              (i64.add (local.get $key) (i64.extend_i32_u (local.get $at))) (i32.load8_u (local.get $at)))
            (br_if $more (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 1))) (i32.const 16))))
          (call $log (call $config (local.get $key)))
          (call $input (i64.const 0))))"#);
    let runtime = Runtime::new();
    let function =
        runtime.deployment("plug-in", &plug_in).extism(Extism::new().log_level(LogLevel::Info)).deploy().unwrap();
    runtime.bind("some-trigger", on_a("plug-in")).unwrap();

    let dispatched = runtime.dispatch(event(0)).unwrap();
    let DeliveryOutcome::Succeeded(reply) = &dispatched[0].outcome else { panic!("{dispatched:?}") };
    assert!(reply.log().contains("some-trigger"), "{}", reply.log());
    assert!(!function.invoke(&[0]).unwrap().log().contains("some-trigger"));

    let next = |code| match &runtime.dispatch(event(code)).unwrap()[0].outcome {
        DeliveryOutcome::Failed { next, .. } => *next,
        other => panic!("{other:?}"),
    };
    assert!(matches!(next(1), AfterFailure::Retry(_)));
    assert_eq!(next(65), AfterFailure::DeadLetter(DeadLetterReason::Permanent));

    let refused =
        runtime.deployment("plug-in", &plug_in).extism(Extism::new().config("DORMOUSE_TRIGGER", "x")).deploy();
    assert!(matches!(refused, Err(DeployError::InvalidOption { option: "config", .. })), "{refused:?}");
}
