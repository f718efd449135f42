//! Deliveries: how they are published, dispatched, retried, ordered, parked, expired, given up and
//! counted.

use std::{
    cell::RefCell,
    sync::{Arc, Mutex, mpsc},
    thread,
    time::Duration,
};

use dormouse::{
    AfterFailure, DeadLetterReason, DeliveryError, DeliveryOutcome, Event, EventLimits, InvokeErrorKind, Limits,
    PublishError, RedriveError, Retry, Runtime, StartKind, Timestamp, Trigger, TriggerInput,
};

use crate::support::{Scene, guest, in_use, wat};

fn scene() -> Scene {
    let scene = Scene::new(EventLimits::default());
    scene.deploy("f");
    scene.deploy("g");
    scene
}

/// Two attempts, ten seconds apart, within a minute.
fn twice() -> Retry {
    Retry::fixed(Duration::from_secs(10)).attempts(2).max_age(Duration::from_secs(60)).without_jitter()
}

fn timestamp(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[test]
fn an_event_is_delivered_once_to_each_trigger_that_it_matches() {
    let scene = scene();
    scene.bind("a", "f", twice());
    scene.runtime.bind("also", Trigger::on("a").to("g").input(TriggerInput::Data)).unwrap();
    assert_eq!(scene.publish("a", "ok"), 2);
    assert_eq!(scene.publish("nobody", "ok"), 0);
    assert_eq!(scene.stats().queued, 2);
    assert_eq!(scene.run(), 2);
    assert_eq!(scene.seen(), ["f ok", "g ok"]);
    let deliveries = scene.stats();
    assert_eq!((deliveries.matched, deliveries.succeeded, deliveries.pending()), (2, 2, 0));
    assert_eq!(scene.run(), 0);
    let mut one_is_lost = deliveries;
    one_is_lost.matched += 1;
    assert!(!one_is_lost.is_balanced());
}

#[test]
fn a_function_gets_the_event_its_data_or_fixed_bytes() {
    let scene = scene();
    let event = Event::builder("a").id("1").source("/test").data_binary([7, 8]).build().unwrap();
    let echo =
        wat(r#"(module (memory (export "memory") 1) (func (export "alloc") (param i32) (result i32) (i32.const 0))
        (func (export "handle") (param i32 i32) (result i64) (i64.extend_i32_u (local.get 1))))"#);
    scene.runtime.deploy("echo", &echo).unwrap();
    let inputs = [
        (TriggerInput::Event, event.to_json()),
        (TriggerInput::Data, vec![7, 8]),
        (TriggerInput::Constant(b"fixed"[..].into()), b"fixed".to_vec()),
    ];
    for (number, (input, _)) in inputs.iter().enumerate() {
        scene.runtime.bind(&format!("t{number}"), Trigger::on("a").to("echo").input(input.clone())).unwrap();
    }
    let dispatched = scene.runtime.dispatch(event).unwrap();
    for (dispatched, (_, expected)) in dispatched.iter().zip(&inputs) {
        let DeliveryOutcome::Succeeded(reply) = &dispatched.outcome else { panic!("{dispatched:?}") };
        assert_eq!(reply.output(), expected);
    }
    assert_eq!(dispatched.len(), 3);
}

#[test]
fn a_dispatch_returns_every_outcome_and_a_failure_leaves_its_siblings_alone() {
    let scene = scene();
    scene.bind("a", "f", twice());
    scene.runtime.bind("absent", Trigger::on("a").to("nobody")).unwrap();
    scene.runtime.bind("echo", Trigger::on("a").to("g").input(TriggerInput::Constant(b"ehello"[..].into()))).unwrap();
    let dispatched = scene.runtime.dispatch(scene.event("a", "trap")).unwrap();
    let ids: Vec<_> = dispatched.iter().map(|one| &*one.trigger).collect();
    assert_eq!(ids, ["a", "absent", "echo"]);
    let DeliveryOutcome::Failed { error: DeliveryError::Invoke(error), next } = &dispatched[0].outcome else {
        panic!()
    };
    assert!(matches!(error.kind(), InvokeErrorKind::Trap(_)));
    assert_eq!(*next, AfterFailure::Retry(Duration::from_secs(10)));
    assert!(matches!(dispatched[1].outcome, DeliveryOutcome::Parked));
    let DeliveryOutcome::Succeeded(reply) = &dispatched[2].outcome else { panic!() };
    assert_eq!(reply.output(), b"hello");
    let deliveries = scene.stats();
    assert_eq!((deliveries.succeeded, deliveries.queued, deliveries.parked), (1, 1, 1));
}

#[test]
fn a_failure_is_retried_after_its_delay_and_given_up_after_its_attempts() {
    for deed in ["trap", "fuel"] {
        let scene = scene();
        scene.bind("a", "f", twice());
        scene.publish("a", deed);
        assert_eq!(scene.run(), 1);
        assert_eq!(scene.runtime.deliveries().next_deadline(), Some(Duration::from_secs(10)));
        scene.advance(9);
        assert_eq!(scene.run(), 0, "not yet");
        scene.advance(1);
        assert_eq!(scene.runtime.deliveries().next_deadline(), Some(Duration::ZERO));
        assert_eq!(scene.run(), 1);
        assert_eq!(scene.runtime.deliveries().next_deadline(), None);
        let letters = scene.runtime.deliveries().dead_letters();
        let [letter] = &letters[..] else { panic!("{letters:?}") };
        assert_eq!(
            (letter.reason(), letter.attempts(), letter.trigger(), letter.function()),
            (DeadLetterReason::Attempts, 2, "a", "f")
        );
        assert_eq!(letter.event().data(), Some(deed.as_bytes()));
        assert_eq!(letter.age(), Duration::from_secs(10));
        assert_eq!(letter.version(), scene.runtime.find("f").unwrap().version());
        let error = letter.error().unwrap();
        assert!(error.contains(if deed == "trap" { "unreachable" } else { "out of fuel" }), "{error}");
        assert_eq!(scene.stats().dead_letters, 1);
    }
}

#[test]
fn unless_told_otherwise_a_delivery_has_three_attempts_and_an_hour() {
    let scene = scene();
    scene.runtime.tick(timestamp("2026-01-01T00:00:00Z"));
    for (id, function) in [("a", "f"), ("b", "absent")] {
        scene.runtime.bind(id, Trigger::on(id).to(function).input(TriggerInput::Data)).unwrap();
        scene.publish(id, "trap");
    }
    while let Some(time) = scene.runtime.deliveries().next_deadline() {
        scene.clock.advance(time);
        scene.run();
    }
    let letters = scene.runtime.deliveries().dead_letters();
    let letters: Vec<_> =
        letters.iter().map(|letter| (letter.trigger(), letter.reason(), letter.attempts(), letter.age())).collect();
    let [("a", DeadLetterReason::Attempts, 3, age), ("b", DeadLetterReason::Age, 0, hour)] = letters[..] else {
        panic!("{letters:?}")
    };
    // One second and two seconds, each shortened by up to a half.
    assert!((Duration::from_millis(1_500)..=Duration::from_secs(3)).contains(&age), "{age:?}");
    assert_eq!(hour, Duration::from_secs(3_600));
    let given_up_at = scene.runtime.deliveries().dead_letters()[1].given_up_at();
    assert_eq!(given_up_at, Some(timestamp("2026-01-01T01:00:00Z")));
}

#[test]
fn a_deadline_and_an_error_of_the_host_are_tried_again() {
    let clock = crate::pool::TestClock::default();
    let runtime = Runtime::builder().clock(clock.clone()).build();
    let module = wat(r#"(module (import "h" "f" (func $f)) (memory (export "memory") 1)
        (func (export "alloc") (param i32) (result i32) (i32.const 0))
        (func (export "handle") (param i32 i32) (result i64) (call $f) (i64.const 0)))"#);
    let late = move |_: &mut dormouse::Context<'_>| clock.advance(Duration::from_secs(60));
    runtime.deployment("late", &module).host("h", "f", late).deploy().unwrap();
    let fails = |_: &mut dormouse::Context<'_>| -> Result<(), dormouse::HostError> { Err("no".into()) };
    runtime.deployment("fails", &module).host("h", "f", fails).deploy().unwrap();
    for function in ["late", "fails"] {
        runtime.bind(function, Trigger::on("a").to(function)).unwrap();
    }
    let event = Event::builder("a").id("1").source("/test").build().unwrap();
    for dispatched in runtime.dispatch(event).unwrap() {
        let DeliveryOutcome::Failed { next: AfterFailure::Retry(_), .. } = dispatched.outcome else {
            panic!("{dispatched:?}")
        };
    }
}

#[test]
fn what_another_attempt_would_not_change_is_given_up_at_once() {
    let scene = scene();
    let small = Limits { input_bytes: 3, ..Limits::default() };
    scene.runtime.deployment("small", &guest("echo")).limits(small).deploy().unwrap();
    let small = Limits { output_bytes: 3, ..Limits::default() };
    scene.runtime.deployment("short", &guest("echo")).limits(small).deploy().unwrap();
    scene.runtime.deploy("plain", &wat("(module)")).unwrap();
    for function in ["small", "short", "plain"] {
        scene.bind(function, function, twice());
        scene.publish(function, "large");
        scene.run();
        let letters = scene.runtime.deliveries().drain_dead_letters();
        let [letter] = &letters[..] else { panic!("{letters:?}") };
        assert_eq!((letter.reason(), letter.attempts()), (DeadLetterReason::Permanent, 1), "{letter}");
    }
    assert_eq!(scene.stats().drained, 3);
}

#[test]
fn a_delivery_whose_next_attempt_would_be_too_late_is_given_up_with_that_reason() {
    let scene = scene();
    scene.bind(
        "a",
        "f",
        Retry::fixed(Duration::from_secs(10)).attempts(100).max_age(Duration::from_secs(35)).without_jitter(),
    );
    scene.publish("a", "trap");
    for _ in 0..4 {
        assert_eq!(scene.run(), 1);
        scene.advance(10);
    }
    let letters = scene.runtime.deliveries().dead_letters();
    assert_eq!((letters[0].reason(), letters[0].attempts()), (DeadLetterReason::Age, 4));
}

#[test]
fn a_delivery_that_nobody_runs_grows_too_old() {
    let scene = scene();
    scene.bind("a", "f", twice());
    scene.publish("a", "ok");
    scene.advance(60);
    assert_eq!(scene.run(), 0);
    let letters = scene.runtime.deliveries().dead_letters();
    assert_eq!((letters[0].reason(), letters[0].attempts(), letters[0].error()), (DeadLetterReason::Age, 0, None));
    assert_eq!(scene.seen(), [""; 0]);
    scene.stats();
}

#[test]
fn one_poisonous_event_holds_up_nobody() {
    let scene = scene();
    scene.bind("a", "f", twice());
    for deed in ["trap", "ok1", "ok2"] {
        scene.publish("a", deed);
    }
    assert_eq!(scene.run(), 3);
    assert_eq!(scene.seen(), ["f trap", "f ok1", "f ok2"]);
    assert_eq!(scene.stats().succeeded, 2);
}

#[test]
fn an_ordered_trigger_waits_for_a_delivery_that_is_tried_again() {
    let scene = scene();
    let trigger = Trigger::on("a").to("f").input(TriggerInput::Data).retry(twice()).ordered();
    scene.runtime.bind("a", trigger).unwrap();
    for deed in ["trap", "ok1", "ok2"] {
        scene.publish("a", deed);
    }
    assert_eq!(scene.run(), 1);
    let dispatched = scene.runtime.dispatch(scene.event("a", "ok3")).unwrap();
    assert!(matches!(dispatched[0].outcome, DeliveryOutcome::Queued), "behind the others");
    scene.advance(10);
    assert_eq!(scene.run(), 4, "the last attempt, and then the others");
    assert_eq!(scene.seen(), ["f trap", "f trap", "f ok1", "f ok2", "f ok3"]);
    let dispatched = scene.runtime.dispatch(scene.event("a", "ok4")).unwrap();
    assert!(matches!(dispatched[0].outcome, DeliveryOutcome::Succeeded(_)));
}

#[test]
fn a_blocked_key_blocks_no_other_key() {
    let scene = scene();
    let trigger = Trigger::on("a").to("f").input(TriggerInput::Data).retry(twice()).ordered();
    scene.runtime.bind("a", trigger).unwrap();
    let publish = |key: &str, deed: &str| {
        let event = Event::builder("a").id("1").source("/t").extension("partitionkey", key).data_text(deed);
        scene.runtime.publish(event.build().unwrap()).unwrap();
    };
    publish("k1", "trap1");
    publish("k2", "ok2");
    publish("k1", "ok1");
    publish("k2", "ok22");
    scene.publish("a", "ok-without-a-key");
    scene.run();
    assert_eq!(scene.seen(), ["f trap1", "f ok2", "f ok22", "f ok-without-a-key"]);
    scene.advance(10);
    scene.run();
    assert_eq!(scene.seen(), ["f trap1", "f ok1"]);
}

#[test]
fn deliveries_park_until_their_function_is_deployed() {
    let scene = scene();
    scene.bind("a", "later", twice());
    scene.publish("a", "ok1");
    scene.publish("a", "ok2");
    assert_eq!(scene.run(), 2);
    assert_eq!((scene.stats().parked, scene.run()), (2, 0));
    scene.advance(20);
    assert_eq!(scene.runtime.deliveries().next_deadline(), Some(Duration::from_secs(40)), "when they are too old");
    scene.deploy("later");
    assert_eq!(scene.stats().parked, 0);
    assert_eq!(scene.run(), 2);
    assert_eq!(scene.seen(), ["later ok1", "later ok2"]);
    scene.runtime.undeploy("later");
    scene.publish("a", "ok3");
    scene.run();
    assert_eq!(scene.stats().parked, 1);
}

#[test]
fn parked_deliveries_grow_too_old() {
    let scene = scene();
    scene.bind("a", "never", twice());
    scene.publish("a", "ok");
    scene.run();
    scene.advance(60);
    scene.run();
    let letters = scene.runtime.deliveries().dead_letters();
    assert_eq!((letters[0].reason(), letters[0].attempts()), (DeadLetterReason::Age, 0));
    assert!(letters[0].error().unwrap().contains("never"), "{}", letters[0]);
    assert_eq!(scene.stats().parked, 0);
}

#[test]
fn a_function_that_is_busy_is_tried_again_without_an_attempt_being_counted() {
    let scene = scene();
    let runtime = &scene.runtime;
    let held = runtime.deployment("held", &guest("echo")).instances(0..=1).deploy().unwrap();
    scene.bind("a", "held", twice());
    // This thread holds the only instance.
    let session = held.session(|_| {
        scene.publish("a", "ok");
        assert_eq!(runtime.deliveries().run_pending(1), 1);
        scene.advance(10);
        assert_eq!(runtime.deliveries().run_pending(1), 1);
        scene.advance(10);
        assert_eq!(runtime.deliveries().run_pending(1), 1);
        assert_eq!(scene.stats().queued, 1);
        Ok(())
    });
    session.unwrap();
    scene.advance(10);
    scene.run();
    assert_eq!(scene.stats().succeeded, 1);
}

#[test]
fn an_expired_event_is_never_run() {
    let scene = scene();
    scene.bind("a", "f", twice());
    let event = |deed: &str| {
        let event = Event::builder("a").id("1").source("/t").data_text(deed);
        event.expires(timestamp("2026-01-01T00:01:00Z")).build().unwrap()
    };
    scene.runtime.publish(event("ok1")).unwrap();
    scene.runtime.tick(timestamp("2026-01-01T00:00:00Z"));
    assert_eq!(scene.seen(), ["f ok1"]);
    scene.runtime.publish(event("trap")).unwrap();
    scene.runtime.publish(event("ok2")).unwrap();
    scene.runtime.deliveries().run_pending(1);
    scene.advance(60);
    assert_eq!(scene.run(), 0);
    assert_eq!(scene.seen(), ["f trap"]);
    let dispatched = scene.runtime.dispatch(event("ok3")).unwrap();
    assert!(matches!(dispatched[0].outcome, DeliveryOutcome::Expired));
    let deliveries = scene.stats();
    assert_eq!((deliveries.expired, deliveries.dead_letters, deliveries.pending()), (3, 0, 0));
}

#[test]
fn a_dead_letter_is_delivered_again_by_its_number() {
    let scene = scene();
    scene.bind("a", "f", Retry::never());
    scene.publish("a", "trap");
    scene.run();
    let id = scene.runtime.deliveries().dead_letters()[0].id();
    let again = scene.runtime.deliveries().redrive(id).unwrap();
    assert_ne!(again, id);
    let deliveries = scene.stats();
    assert_eq!((deliveries.matched, deliveries.redriven, deliveries.dead_letters, deliveries.queued), (2, 1, 0, 1));
    assert_eq!(scene.runtime.deliveries().redrive(id).unwrap_err(), RedriveError::NoSuchLetter { id });
    scene.run();
    assert_eq!(scene.runtime.deliveries().dead_letters()[0].id(), again);
    scene.runtime.triggers().unbind("a");
    let error = scene.runtime.deliveries().redrive(again).unwrap_err();
    assert_eq!(error, RedriveError::NoSuchTrigger { trigger: "a".into() });
    assert_eq!(scene.stats().dead_letters, 1);
}

#[test]
fn changes_to_triggers_take_effect_for_the_next_publish() {
    let scene = scene();
    scene.bind("a", "f", twice());
    scene.publish("a", "ok1");
    scene.runtime.triggers().disable("a");
    scene.publish("a", "ok2");
    scene.runtime.triggers().unbind("a");
    scene.run();
    assert_eq!(scene.seen(), ["f ok1"]);
}

#[test]
fn a_budget_bounds_the_attempts() {
    let scene = scene();
    scene.bind("a", "f", twice());
    for _ in 0..5 {
        scene.publish("a", "ok");
    }
    assert_eq!((scene.runtime.deliveries().run_pending(0), scene.runtime.deliveries().run_pending(2)), (0, 2));
    assert_eq!(scene.runtime.deliveries().next_deadline(), Some(Duration::ZERO));
    assert_eq!(scene.runtime.tick(timestamp("2026-01-01T00:00:00Z")).ran, 3);
    assert_eq!(scene.runtime.deliveries().next_deadline(), None);
}

#[test]
fn a_tick_runs_what_was_at_hand_when_it_began() {
    let scene = scene();
    for id in ["a", "b"] {
        scene.bind(id, "f", twice());
    }
    let now = timestamp("2026-01-01T00:00:00Z");
    // One waits for its next attempt. One publishes another.
    scene.publish("a", "trap");
    scene.run();
    scene.publish("a", "ok|b");
    assert_eq!(scene.runtime.tick(now).ran, 1);
    assert_eq!(scene.runtime.tick(now).ran, 1);
    assert_eq!(scene.seen(), ["f trap", "f ok|b", "f ok"]);

    // A running delivery cannot be dropped.
    let (sender, receiver) = mpsc::channel();
    let tick = move |guest: &mut dormouse::Context<'_>, _: u32, _: u32| {
        let deliveries = guest.runtime().deliveries().stats();
        let tick = guest.runtime().tick(now);
        sender.send((deliveries.running, deliveries.queued, tick.ran)).unwrap();
    };
    let runtime = Runtime::new();
    runtime.deployment("ticks", &guest("deed")).host("test", "note", tick).deploy().unwrap();
    let publish = |guest: &mut dormouse::Context<'_>, _: u32, _: u32| -> Result<(), dormouse::HostError> {
        guest.publish(Event::builder("b").id("1").source("/staged").build()?)?;
        Ok(())
    };
    runtime.deployment("publishes", &guest("deed")).host("test", "note", publish).deploy().unwrap();
    runtime.deploy("echo", &guest("echo")).unwrap();
    for (ty, function) in [("t", "ticks"), ("a", "publishes"), ("b", "echo")] {
        runtime.bind(ty, Trigger::on(ty).to(function)).unwrap();
    }
    for ty in ["t", "a"] {
        runtime.publish(Event::builder(ty).id("1").source("/t").build().unwrap()).unwrap();
    }
    assert_eq!(runtime.deliveries().run_pending(1), 1);
    assert_eq!(receiver.recv().unwrap(), (1, 1, 1));
    assert_eq!(runtime.deliveries().stats().queued, 1);
}

#[test]
fn events_of_reserved_types_are_refused() {
    let scene = scene();
    let error = scene.runtime.publish(scene.event("dormouse.schedule", "ok")).unwrap_err();
    assert_eq!(error, PublishError::Reserved { ty: "dormouse.schedule".into() });
}

#[test]
fn a_host_function_sees_the_delivery_that_it_serves() {
    let runtime = Runtime::builder().clock(crate::pool::TestClock::default()).build();
    let module = wat(r#"(module (import "h" "f" (func $f)) (memory (export "memory") 1)
        (func (export "alloc") (param i32) (result i32) (i32.const 0))
        (func (export "handle") (param i32 i32) (result i64) (call $f) unreachable))"#);
    let (sender, receiver) = mpsc::channel();
    let see = move |guest: &mut dormouse::Context<'_>| sender.send(guest.delivery()).unwrap();
    let limits = Limits { deadline: Duration::from_secs(7), ..Limits::default() };
    let function = runtime.deployment("f", &module).limits(limits).host("h", "f", see).deploy().unwrap();
    runtime.bind("trigger", Trigger::on("a").to("f").retry(Retry::fixed(Duration::ZERO).attempts(2))).unwrap();
    runtime.publish(Event::builder("a").id("1").source("/t").build().unwrap()).unwrap();
    runtime.deliveries().run_pending(usize::MAX);
    for attempt in [1, 2] {
        let delivery = receiver.recv().unwrap().unwrap();
        let seen = (&*delivery.trigger, delivery.id, delivery.attempt, delivery.remaining);
        assert_eq!(seen, ("trigger", 1, attempt, Duration::from_secs(7)));
    }
    function.invoke(b"").unwrap_err();
    assert_eq!(receiver.recv().unwrap(), None, "nobody's delivery");
}

#[test]
fn workers_deliver_from_several_threads_and_drain_when_their_guard_drops() {
    let runtime = Runtime::new();
    runtime.deploy("echo", &guest("echo")).unwrap();
    runtime.bind("a", Trigger::on("a").to("echo")).unwrap();
    let workers = runtime.deliveries().workers(3).unwrap();
    thread::scope(|scope| {
        for publisher in 0..3 {
            let runtime = &runtime;
            scope.spawn(move || {
                for number in 0..300 {
                    let event = Event::builder("a").id(format!("{publisher}-{number}")).source("/t").build().unwrap();
                    runtime.publish(event).unwrap();
                }
            });
        }
    });
    drop(workers);
    let deliveries = runtime.deliveries().stats();
    assert_eq!((deliveries.matched, deliveries.succeeded), (900, 900), "{deliveries:?}");
}

#[test]
fn workers_keep_the_order_of_each_key() {
    let runtime = Runtime::new();
    let (sender, receiver) = mpsc::channel();
    let note = move |guest: &mut dormouse::Context<'_>, at: u32, len: u32| -> Result<(), dormouse::HostError> {
        sender.send(guest.read_text(at, len)?).unwrap();
        Ok(())
    };
    runtime.deployment("f", &guest("deed")).host("test", "note", note).deploy().unwrap();
    let retry = Retry::fixed(Duration::ZERO).attempts(2);
    runtime.bind("a", Trigger::on("a").to("f").input(TriggerInput::Data).retry(retry).ordered()).unwrap();
    let workers = runtime.deliveries().workers(4).unwrap();
    for number in 0..400 {
        let key = number % 4;
        let deed = if number % 7 == 0 { "trap" } else { "ok" };
        let event = Event::builder("a").id(number.to_string()).source("/t").extension("partitionkey", key);
        runtime.publish(event.data_text(format!("{deed} {key} {number}")).build().unwrap()).unwrap();
    }
    while runtime.deliveries().stats().pending() > 0 {
        thread::yield_now();
    }
    drop(workers);
    drop(runtime);
    let mut last = [-1; 4];
    for text in receiver {
        let words: Vec<_> = text.split(' ').collect();
        let (key, number): (usize, i32) = (words[1].parse().unwrap(), words[2].parse().unwrap());
        assert!(number >= last[key], "{number} came after {}", last[key]);
        last[key] = number;
    }
    assert_eq!(last, [396, 397, 398, 399]);
}

#[test]
fn workers_wake_for_retries_and_for_functions_that_come() {
    let runtime = Runtime::new();
    runtime.bind("a", Trigger::on("a").to("late")).unwrap();
    let workers = runtime.deliveries().workers(1).unwrap();
    runtime.publish(Event::builder("a").id("1").source("/t").build().unwrap()).unwrap();
    while runtime.deliveries().stats().parked == 0 {
        thread::yield_now();
    }
    let (sender, receiver) = mpsc::channel();
    let note = move |guest: &mut dormouse::Context<'_>, _: u32, _: u32| -> Result<(), dormouse::HostError> {
        let attempt = guest.delivery().map_or(0, |delivery| delivery.attempt);
        sender.send(attempt).unwrap();
        if attempt == 1 { Err("once".into()) } else { Ok(()) }
    };
    runtime.deployment("late", &guest("deed")).host("test", "note", note).deploy().unwrap();
    assert_eq!((receiver.recv(), receiver.recv()), (Ok(1), Ok(2)));
    drop(workers);
    assert_eq!(runtime.deliveries().stats().succeeded, 1);
}

#[test]
fn workers_wake_for_a_retry_of_what_the_host_ran_itself() {
    let runtime = Runtime::new();
    let (sender, receiver) = mpsc::channel();
    let note = move |guest: &mut dormouse::Context<'_>, _: u32, _: u32| -> Result<(), dormouse::HostError> {
        let attempt = guest.delivery().map_or(0, |delivery| delivery.attempt);
        sender.send(attempt).unwrap();
        if attempt == 1 { Err("once".into()) } else { Ok(()) }
    };
    runtime.deployment("f", &guest("deed")).host("test", "note", note).deploy().unwrap();
    runtime.bind("a", Trigger::on("a").to("f").retry(Retry::fixed(Duration::from_millis(5)))).unwrap();
    let workers = runtime.deliveries().workers(1).unwrap();
    // This must hold whether the worker sleeps by then or not.
    for _ in 0..20 {
        let dispatched = runtime.dispatch(Event::builder("a").id("1").source("/t").build().unwrap()).unwrap();
        assert!(
            matches!(dispatched[0].outcome, DeliveryOutcome::Failed { next: AfterFailure::Retry(_), .. }),
            "{dispatched:?}"
        );
        assert_eq!((receiver.recv(), receiver.recv_timeout(Duration::from_secs(30))), (Ok(1), Ok(2)));
    }
    drop(workers);
    assert_eq!(runtime.deliveries().stats().succeeded, 20);
}

/// The delivery that the only worker runs drops the guard, and also publishes. So there is only one
/// order.
#[test]
fn what_is_published_after_their_guard_has_gone_is_left_to_others() {
    struct Ends(mpsc::Sender<()>);
    impl Drop for Ends {
        fn drop(&mut self) {
            self.0.send(()).unwrap();
        }
    }
    thread_local! {
        static ENDS: RefCell<Option<Ends>> = const { RefCell::new(None) };
    }
    let runtime = Runtime::new();
    let (sender, ended) = mpsc::channel();
    let workers = Arc::new(Mutex::new(None));
    let guard = Arc::clone(&workers);
    let event = |id: &str| Event::builder("a").id(id).source("/t").build().unwrap();
    let note = move |guest: &mut dormouse::Context<'_>, _: u32, _: u32| -> Result<(), dormouse::HostError> {
        if let Some(guard) = guard.lock().unwrap().take() {
            ENDS.set(Some(Ends(sender.clone())));
            drop::<dormouse::Workers>(guard);
            guest.runtime().publish(event("2"))?;
        }
        Ok(())
    };
    runtime.deployment("f", &guest("deed")).host("test", "note", note).deploy().unwrap();
    runtime.bind("a", Trigger::on("a").to("f")).unwrap();
    let mut place = workers.lock().unwrap();
    *place = Some(runtime.deliveries().workers(1).unwrap());
    runtime.publish(event("1")).unwrap();
    drop(place);
    ended.recv_timeout(Duration::from_secs(30)).unwrap();
    let deliveries = runtime.deliveries().stats();
    assert_eq!((deliveries.succeeded, deliveries.pending()), (1, 1), "{deliveries:?}");
    assert_eq!(runtime.deliveries().run_pending(usize::MAX), 1);
}

#[test]
fn the_last_handle_ends_the_workers() {
    let runtime = Runtime::new();
    let workers = runtime.deliveries().workers(2).unwrap();
    assert_eq!(workers.count(), 2);
    drop(runtime);
    drop(workers);
}

#[test]
fn a_tick_trims_what_is_idle_and_replaces_what_grew() {
    let scene = scene();
    scene.bind("a", "f", twice());
    let now = timestamp("2026-01-01T00:00:00Z");
    // The instance that deployment left has not been idle for long, and is not made again.
    let left = scene.deploy("left");
    scene.runtime.tick(now);
    assert_eq!(left.invoke(b"ok").unwrap().report().start(), StartKind::Cold);
    scene.runtime.trim(Duration::ZERO);
    scene.publish("a", "grow");
    let tick = scene.runtime.tick(now);
    assert_eq!((tick.ran, tick.replaced), (1, 1), "its instance was lost, and made anew");
    let dispatched = scene.runtime.dispatch(scene.event("a", "ok")).unwrap();
    let DeliveryOutcome::Succeeded(reply) = &dispatched[0].outcome else { panic!() };
    assert_eq!(reply.report().start(), StartKind::Warm);
    scene.advance(299);
    assert_eq!(scene.runtime.tick(now).trimmed, 0);
    scene.advance(2);
    assert_eq!(scene.runtime.tick(now).trimmed, 0, "it looks once a minute");
    scene.advance(59);
    assert_eq!(scene.runtime.tick(now).trimmed, 1);
    assert_eq!(in_use(&scene.runtime).0, 0);
}

#[test]
fn an_event_gets_its_identity_from_the_runtimes_seed_and_clock() {
    let make = |seed: u64| {
        let clock = crate::pool::TestClock::default();
        clock.advance(Duration::from_secs(5));
        let runtime = Runtime::builder().seed(seed).clock(clock).build();
        let first = runtime.event(Event::builder("a")).unwrap();
        assert_eq!((first.source(), first.time_text()), ("/dormouse", Some("1970-01-01T00:00:05Z")));
        runtime.tick(timestamp("2026-01-01T00:00:00Z"));
        let second = runtime.event(Event::builder("a")).unwrap();
        assert_eq!(second.time_text(), Some("2026-01-01T00:00:00Z"));
        let kept = runtime.event(Event::builder("a").id("mine")).unwrap();
        assert_eq!(kept.id(), "mine");
        [first.id().to_owned(), second.id().to_owned()]
    };
    let ids = make(1);
    assert_ne!(ids[0], ids[1]);
    assert!(ids == make(1) && ids != make(2), "a run can be repeated, and another seed draws others");
}

#[test]
fn a_parked_delivery_whose_event_has_expired_by_then_is_no_dead_letter() {
    let scene = scene();
    scene.bind("a", "never", twice());
    scene.runtime.tick(timestamp("2026-01-01T00:00:00Z"));
    for expiry in ["2026-01-01T00:00:30Z", "2026-01-01T00:02:00Z"] {
        let event = Event::builder("a").id("1").source("/test").extension("expirytime", expiry).build().unwrap();
        scene.runtime.publish(event).unwrap();
    }
    assert_eq!((scene.run(), scene.stats().parked), (2, 2));
    scene.advance(60);
    scene.run();
    let deliveries = scene.stats();
    assert_eq!((deliveries.expired, deliveries.dead_letters, deliveries.pending()), (1, 1, 0));
    assert_eq!(scene.runtime.deliveries().dead_letters()[0].reason(), DeadLetterReason::Age);
}

#[test]
fn a_delivery_that_grows_too_old_while_its_function_is_looked_for_is_given_up() {
    let scene = scene();
    scene.bind("a", "never", twice());
    scene.publish("a", "ok");
    // Each reading of the clock is a minute later than the one before.
    scene.clock.step(Duration::from_secs(60));
    scene.runtime.deliveries().run_pending(1);
    scene.clock.step(Duration::ZERO);
    assert_eq!(scene.stats().parked, 0);
    let letter = &scene.runtime.deliveries().dead_letters()[0];
    assert_eq!((letter.reason(), letter.attempts()), (DeadLetterReason::Age, 0));
    let said = letter.to_string();
    assert!(said.starts_with("a 0 by a to never: age, after 0 attempts: the function never "), "{said}");
}

#[test]
fn a_dispatch_that_may_grow_no_older_than_it_is_is_too_old() {
    let scene = scene();
    scene.bind("a", "f", twice().max_age(Duration::ZERO));
    assert!(matches!(scene.runtime.dispatch(scene.event("a", "ok")).unwrap()[0].outcome, DeliveryOutcome::TooOld));
    assert_eq!((scene.seen(), scene.stats().dead_letters), (vec![], 1));
}
