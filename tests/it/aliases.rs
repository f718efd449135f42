//! Aliases of versions, and the concurrency of a function. Both change while the function is in
//! use.

use std::{sync::Barrier, thread, time::Duration};

use dormouse::{AliasError, Busy, Function, InvokeErrorKind, Runtime, Version};

use crate::support::{idle_and_live, in_use};
use crate::{
    pool::TestClock,
    support::{guest, wat},
};

/// A function that answers with its number.
fn numbered(runtime: &Runtime, number: u8) -> (Function, Version) {
    let module = wat(&format!(
        r#"(module (memory (export "memory") 1) (data (i32.const 0) "{number}")
           (func (export "alloc") (param i32) (result i32) (i32.const 16))
           (func (export "handle") (param i32 i32) (result i64) (i64.const 1)))"#
    ));
    let function = runtime.deploy("f", &module).unwrap();
    let version = function.version().unwrap();
    (function.pinned().unwrap(), version)
}

fn answer(function: &Function) -> String {
    String::from_utf8(function.invoke(b"").unwrap().into_output()).unwrap()
}

#[test]
fn an_alias_keeps_its_version_and_is_switched_for_all_its_handles() {
    let runtime = Runtime::new();
    let (_, one) = numbered(&runtime, 1);
    let prod = runtime.alias("prod", "f", one).unwrap();
    let (_, two) = numbered(&runtime, 2);
    assert_eq!((prod.name(), &*answer(&prod)), ("f@prod", "1"), "nothing but the alias keeps it");
    runtime.alias("canary", "f", two).unwrap();
    assert_eq!(answer(&runtime.find("f@canary").unwrap()), "2");
    runtime.alias("prod", "f", two).unwrap();
    assert_eq!(answer(&prod), "2");
    assert_eq!(runtime.aliases("f"), [("canary".to_owned(), two), ("prod".to_owned(), two)]);
    let error = runtime.alias("prod", "f", one).unwrap_err();
    assert_eq!(error, AliasError::NoSuchVersion { function: "f".into(), version: one }, "gone, as nothing kept it");
    assert_eq!(answer(&prod), "2");
}

#[test]
fn an_alias_can_be_switched_back_while_a_handle_keeps_the_version() {
    let runtime = Runtime::new();
    let (_held, one) = numbered(&runtime, 1);
    let (_, two) = numbered(&runtime, 2);
    for version in [one, two, one] {
        let prod = runtime.alias("prod", "f", version).unwrap();
        assert_eq!(prod.version(), Some(version));
    }
}

#[test]
fn an_alias_that_is_removed_is_undeployed_for_its_handles() {
    let runtime = Runtime::new();
    let (_, one) = numbered(&runtime, 1);
    let prod = runtime.alias("prod", "f", one).unwrap();
    assert!(runtime.unalias("prod", "f"));
    assert!(!runtime.unalias("prod", "f"));
    assert!(matches!(prod.invoke(b"").unwrap_err().kind(), InvokeErrorKind::Undeployed { .. }));
    assert!(runtime.find("f@prod").is_none());
    let again = runtime.alias("prod", "f", one).unwrap();
    runtime.undeploy("f");
    assert!(matches!(again.invoke(b"").unwrap_err().kind(), InvokeErrorKind::Undeployed { .. }));
    assert_eq!(runtime.aliases("f"), []);
}

#[test]
fn an_alias_needs_a_name_of_its_own() {
    let runtime = Runtime::new();
    let (_, one) = numbered(&runtime, 1);
    for alias in ["", "a b", "a@b", "0123456", "deadbeef"] {
        let error = runtime.alias(alias, "f", one).unwrap_err();
        assert_eq!(error, AliasError::InvalidName { alias: alias.into() });
    }
    for alias in ["prod", "012345", "v1.2", "DEADBEEF"] {
        runtime.alias(alias, "f", one).unwrap();
    }
    let error = runtime.alias("prod", "g", one).unwrap_err();
    assert_eq!(error, AliasError::NoSuchVersion { function: "g".into(), version: one });
}

#[test]
fn invocations_through_an_alias_never_miss_while_it_is_switched() {
    let runtime = Runtime::new();
    let ((_one, first), (_two, second)) = (numbered(&runtime, 1), numbered(&runtime, 2));
    let prod = runtime.alias("prod", "f", first).unwrap();
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| (0..2_000).for_each(|_| assert!(["1", "2"].contains(&&*answer(&prod)))));
        }
        for number in 0..500 {
            runtime.alias("prod", "f", [first, second][number % 2]).unwrap();
        }
    });
}

#[test]
fn instances_of_versions_behind_aliases_and_pinned_handles_are_trimmed_too() {
    let clock = TestClock::default();
    let runtime = Runtime::builder().clock(clock.clone()).build();
    let (_, first) = numbered(&runtime, 1);
    let aliased = runtime.alias("prod", "f", first).unwrap();
    let pinned = numbered(&runtime, 2).0.pinned().unwrap();
    let (current, _) = numbered(&runtime, 3);
    for function in [&aliased, &pinned, &current] {
        function.prewarm(2).unwrap();
    }
    assert_eq!(in_use(&runtime).0, 6);
    clock.advance(Duration::from_secs(10));
    assert_eq!(runtime.trim(Duration::from_secs(11)), 0);
    assert_eq!(runtime.trim(Duration::from_secs(10)), 6);
    assert_eq!(in_use(&runtime).0, 0);
    assert_eq!(answer(&aliased), "1");
}

#[test]
fn concurrency_is_lowered_switched_off_and_raised_while_running() {
    let runtime = Runtime::new();
    let function =
        runtime.deployment("echo", &guest("echo")).instances(0..=4).max_wait(Duration::ZERO).deploy().unwrap();
    function.prewarm(4).unwrap();
    function.set_max_instances(2).unwrap();
    assert_eq!(idle_and_live(&function), (2, 2), "idle ones that are too many go at once");
    let (entered, leave) = (Barrier::new(2), Barrier::new(2));
    thread::scope(|scope| {
        let held = scope.spawn(|| {
            function.session(|_| {
                entered.wait();
                leave.wait();
                Ok(())
            })
        });
        entered.wait();
        function.set_max_instances(0).unwrap();
        assert_eq!(idle_and_live(&function), (0, 1));
        let error = function.invoke(b"x").unwrap_err();
        assert_eq!(*error.kind(), InvokeErrorKind::Busy(Busy::Instances { max: 0, waited: Duration::ZERO }));
        leave.wait();
        held.join().unwrap().unwrap();
    });
    assert_eq!(idle_and_live(&function), (0, 0), "a lent one goes when it comes back");
    assert_eq!(in_use(&runtime), (0, 0));
    function.set_max_instances(1).unwrap();
    for _ in 0..3 {
        function.invoke(b"x").unwrap();
    }
    assert_eq!(idle_and_live(&function), (1, 1));
    function.set_max_instances(3).unwrap();
    assert_eq!(function.prewarm(9).unwrap(), 3);
}

#[test]
fn instances_that_are_too_many_once_the_maximum_is_lowered_go_as_they_come_back() {
    let function = Runtime::new().deployment("echo", &guest("echo")).instances(0..=4).deploy().unwrap();
    let outer = function.session(|_| {
        let inner = function.session(|_| {
            function.set_max_instances(1).unwrap();
            Ok(idle_and_live(&function))
        });
        Ok((inner.unwrap().into_value(), idle_and_live(&function)))
    });
    assert_eq!(outer.unwrap().into_value(), ((0, 2), (0, 1)));
    assert_eq!(idle_and_live(&function), (1, 1));
}

#[cfg(feature = "events")]
#[test]
fn deliveries_to_an_alias_or_a_function_that_is_off_wait_for_it() {
    use dormouse::{Event, Trigger};
    let runtime = Runtime::new();
    let (_, one) = numbered(&runtime, 1);
    let function = runtime.find("f").unwrap();
    runtime.bind("by-alias", Trigger::on("a").to("f@prod")).unwrap();
    runtime.bind("by-name", Trigger::on("a").to("f")).unwrap();
    function.set_max_instances(0).unwrap();
    runtime.publish(Event::builder("a").id("1").source("/t").build().unwrap()).unwrap();
    assert_eq!(runtime.deliveries().run_pending(usize::MAX), 2);
    assert_eq!(runtime.deliveries().stats().parked, 2);
    function.set_max_instances(1).unwrap();
    runtime.deliveries().run_pending(usize::MAX);
    assert_eq!((runtime.deliveries().stats().succeeded, runtime.deliveries().stats().parked), (1, 1));
    runtime.alias("prod", "f", one).unwrap();
    runtime.deliveries().run_pending(usize::MAX);
    assert_eq!(runtime.deliveries().stats().succeeded, 2);
}

#[cfg(feature = "events")]
#[test]
fn deliveries_to_a_version_stay_with_it() {
    use dormouse::{DeliveryOutcome, Event, Trigger};
    let runtime = Runtime::new();
    let (_, one) = numbered(&runtime, 1);
    let kept = runtime.find("f").unwrap().pinned().unwrap();
    let (_, two) = numbered(&runtime, 2);
    for (id, target) in
        [("one", format!("f@{one}")), ("two", format!("f@{}", two.short())), ("current", "f".to_owned())]
    {
        runtime.bind(id, Trigger::on("a").to(&target)).unwrap();
    }
    let event = Event::builder("a").id("1").source("/t").build().unwrap();
    let dispatched = runtime.dispatch(event.clone()).unwrap();
    let versions = dispatched.iter().map(|one| match &one.outcome {
        DeliveryOutcome::Succeeded(reply) => reply.report().version(),
        other => panic!("{other:?}"),
    });
    assert_eq!(versions.collect::<Vec<_>>(), [one, two, two]);
    drop(kept);
    let dispatched = runtime.dispatch(event).unwrap();
    assert!(matches!(dispatched[0].outcome, DeliveryOutcome::Parked), "{dispatched:?}");
}
