//! The ledger: what functions used over time, by all their callers.

use std::{thread, time::Duration};

use dormouse::{DeployError, FunctionUsage, Limits, Runtime, RuntimeLimits};

use crate::{
    pool::TestClock,
    support::{guest, wat},
};

/// Traps on `t`, loops on `f`, and otherwise answers with two bytes.
const GUEST: &str = r#"(module (memory (export "memory") 1)
    (func (export "alloc") (param i32) (result i32) (i32.const 16))
    (func (export "handle") (param $at i32) (param i32) (result i64)
      (if (i32.eq (i32.load8_u (local.get $at)) (i32.const 116)) (then unreachable))
      (if (i32.eq (i32.load8_u (local.get $at)) (i32.const 102)) (then (loop (br 0))))
      (i64.const 2)))"#;

fn usage(runtime: &Runtime, name: &str) -> FunctionUsage {
    let ledger = runtime.ledger();
    ledger.functions().iter().find(|usage| usage.function() == name).unwrap().clone()
}

#[test]
fn every_invocation_is_counted_with_what_it_used() {
    let clock = TestClock::default();
    let runtime = Runtime::builder().clock(clock.clone()).build();
    let limits = Limits { fuel: 1_000, input_bytes: 8, ..Limits::default() };
    let function = runtime.deployment("f", &wat(GUEST)).limits(limits).deploy().unwrap();
    clock.step(Duration::from_micros(1));
    let mut fuel = 0;
    for input in ["a", "bcd", "t", "f", "ef"] {
        fuel += match function.invoke(input.as_bytes()) {
            Ok(reply) => reply.report().fuel(),
            Err(error) => error.report().unwrap().fuel(),
        };
    }
    function.invoke(b"more than eight").unwrap_err();
    let usage = usage(&runtime, "f");
    assert_eq!((usage.invocations(), usage.refused(), usage.cold_starts()), (6, 1, 1));
    let errors: Vec<_> = usage.errors().collect();
    assert_eq!(errors, [("input_too_large", 1), ("out_of_fuel", 1), ("trap", 1)]);
    assert_eq!(
        (usage.fuel(), usage.input_bytes(), usage.output_bytes(), usage.memory_peak_bytes()),
        (fuel, 8, 6, 64 << 10)
    );
    assert_eq!(usage.durations().map(|(_, count)| count).sum::<u64>(), 5);
    assert!(usage.duration() >= Duration::from_micros(5), "{usage:?}");
    assert_eq!(usage.version(), function.version());
}

#[test]
fn a_version_that_could_not_be_deployed_has_no_entry_unless_it_was_deployed_before() {
    let limits = RuntimeLimits { functions: 2, ..RuntimeLimits::default() };
    let runtime = Runtime::builder().limits(limits).build();
    let names = || runtime.ledger().functions().iter().map(|usage| usage.function().to_owned()).collect::<Vec<_>>();
    runtime.deploy("before", &guest("echo")).unwrap();
    assert!(runtime.undeploy("before"));
    for name in ["f", "g"] {
        runtime.deploy(name, &guest("echo")).unwrap();
    }
    for name in ["new", "before"] {
        let error = runtime.deploy(name, &guest("echo")).unwrap_err();
        assert!(matches!(error, DeployError::TooManyFunctions { .. }), "{error:?}");
        assert_eq!(names(), ["before", "f", "g"]);
    }
}

#[test]
fn sessions_and_calls_are_counted_too() {
    let runtime = Runtime::new();
    let function = runtime.deploy("counter", &guest("counter")).unwrap();
    function.session(|_| Ok(())).unwrap();
    function.call("hidden_global", &[]).unwrap();
    assert_eq!(usage(&runtime, "counter").invocations(), 2);
}

#[test]
fn threads_lose_no_count() {
    let runtime = Runtime::new();
    let function = runtime.deployment("echo", &guest("echo")).instances(0..=4).deploy().unwrap();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..1_000).for_each(|_| drop(function.invoke(b"hello").unwrap())));
        }
    });
    let usage = usage(&runtime, "echo");
    assert_eq!((usage.invocations(), usage.input_bytes(), usage.output_bytes()), (4_000, 20_000, 20_000));
}

#[test]
fn each_version_has_an_entry_that_outlives_it_and_goes_on_when_it_comes_again() {
    let runtime = Runtime::new();
    runtime.deploy("f", &wat(GUEST)).unwrap().invoke(b"x").unwrap();
    runtime.deploy("f", &guest("echo")).unwrap().invoke(b"x").unwrap();
    runtime.undeploy("f");
    let counts: Vec<_> = runtime.ledger().functions().iter().map(FunctionUsage::invocations).collect();
    assert_eq!(counts, [1, 1]);
    runtime.deploy("f", &wat(GUEST)).unwrap().invoke(b"x").unwrap();
    let mut counts: Vec<_> = runtime.ledger().functions().iter().map(FunctionUsage::invocations).collect();
    counts.sort_unstable();
    assert_eq!(counts, [1, 2]);
}

#[test]
fn the_ledger_is_json() {
    let runtime = Runtime::builder().clock(TestClock::default()).build();
    let function = runtime.deploy("f", &wat(GUEST)).unwrap();
    function.invoke(b"abc").unwrap();
    function.invoke(b"t").unwrap_err();
    let ledger: serde_json::Value = serde_json::from_str(&runtime.ledger().to_json()).unwrap();
    let entry = &ledger["functions"][0];
    assert_eq!(entry["function"], "f");
    assert_eq!(entry["version"], function.version().unwrap().to_string());
    assert_eq!((entry["invocations"].as_u64(), entry["errors"]["trap"].as_u64()), (Some(2), Some(1)));
    assert_eq!((entry["input"].as_u64(), entry["output"].as_u64()), (Some(4), Some(2)));
    assert_eq!(entry["durations"][0], serde_json::json!({ "below_ns": 256, "count": 2 }));
    assert_eq!(ledger["retired"]["invocations"], 0);
}

#[test]
fn a_deployment_and_a_run_say_in_one_line_what_they_were() {
    let clock = TestClock::default();
    let runtime = Runtime::builder().clock(clock.clone()).build();
    clock.step(Duration::from_secs(2));
    let module = wat(GUEST);
    let limits = Limits { deadline: Duration::from_secs(3_600), ..Limits::default() };
    let function = runtime.deployment("f", &module).limits(limits).deploy().unwrap();
    let report = function.deploy_report().unwrap();
    assert_eq!((report.function(), report.version(), report.functions()), ("f", function.version().unwrap(), 2));
    assert_eq!((report.module_bytes(), report.memory_bytes(), report.image_bytes()), (module.len() as u64, 65_536, 0));
    assert!(report.duration() >= Duration::from_secs(2) && report.duration().as_secs() % 2 == 0);
    let said = report.to_string();
    let begin = format!("DEPLOY f@{} contract=buffer module={}B functions=2 ", report.version().short(), module.len());
    assert!(said.starts_with(&begin) && said.contains(" memory=64KiB image=0B reset="), "{said}");
    assert!(said.contains(&format!(" duration={}.0s ", report.duration().as_secs())), "{said}");
    let reply = function.invoke(b"a").unwrap();
    let seconds = reply.report().duration().as_secs();
    assert!(reply.report().to_string().contains(&format!(" duration={seconds}.0s memory=64KiB in=1B out=2B ")));
}

#[test]
fn what_is_printed_for_debugging_names_functions_and_figures() {
    let runtime = Runtime::new();
    let function = runtime.deploy("f", &wat(GUEST)).unwrap();
    let name = format!("Function(f@{})", function.version().unwrap().short());
    assert_eq!((format!("{function:?}"), format!("{runtime:?}")), (name.clone(), format!("Runtime([{name}])")));
    function.invoke(b"a").unwrap();
    let printed = format!("{:?}", usage(&runtime, "f"));
    assert!(printed.contains("invocations") && printed.contains("\"f\""), "{printed}");
    runtime.undeploy("f");
    assert_eq!(format!("{function:?}"), "Function(f, undeployed)");
}
