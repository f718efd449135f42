//! Events that host functions publish during an invocation. They are queued if it succeeds, and
//! never published if it fails.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use dormouse::{
    AfterFailure, Context, DeadLetterReason, DeliveryError, DeliveryOutcome, DeployError, Event, EventLimits,
    HostError, InvokeErrorKind, PublishError, Retry, Runtime, Trigger, TriggerInput, WhenFull,
};

use crate::{
    pool::TestClock,
    support::{Scene, guest, wat},
};

fn event(ty: &str, deed: &str) -> Event {
    Event::builder(ty).id("own").source("/own").data_text(deed).build().unwrap()
}

fn on(ty: &str, function: &str) -> Trigger {
    let retry = Retry::fixed(Duration::from_secs(10)).attempts(2).without_jitter();
    Trigger::on(ty).to(function).input(TriggerInput::Data).retry(retry)
}

/// The guest `deed`, whose host function does this.
fn deploy(
    runtime: &Runtime,
    name: &str,
    note: impl Fn(&mut Context<'_>, &str) -> Result<(), HostError> + Send + Sync + 'static,
) -> dormouse::Function {
    let limits = dormouse::Limits { fuel: 10_000, ..dormouse::Limits::default() };
    let note = move |guest: &mut Context<'_>, at: u32, len: u32| -> Result<(), HostError> {
        let text = guest.read_text(at, len)?;
        note(guest, &text)
    };
    runtime.deployment(name, &guest("deed")).limits(limits).host("test", "note", note).deploy().unwrap()
}

/// Functions `deed`, which publishes two events of the type `b`, and `g`, which takes them.
fn scene(limits: EventLimits) -> Scene {
    let scene = Scene::new(limits);
    deploy(&scene.runtime, "f", |guest, _| {
        for deed in ["ok1", "ok2"] {
            assert_eq!(guest.publish(event("b", deed))?, 1);
        }
        assert_eq!(guest.publish(event("nobody", "ok"))?, 0);
        Ok(())
    });
    scene.deploy("g");
    scene.runtime.bind("a", on("a", "f")).unwrap();
    scene.runtime.bind("b", on("b", "g")).unwrap();
    scene
}

#[test]
fn what_a_delivery_publishes_is_queued_with_its_success() {
    let scene = scene(EventLimits::default());
    scene.publish("a", "ok");
    scene.runtime.deliveries().run_pending(1);
    let deliveries = scene.stats();
    assert_eq!((deliveries.matched, deliveries.succeeded, deliveries.queued, deliveries.staged), (3, 1, 2, 0));
    scene.run();
    assert_eq!(scene.seen(), ["g ok1", "g ok2"]);
}

#[test]
fn what_a_failed_delivery_published_never_was() {
    for deed in ["trap", "fuel"] {
        let scene = scene(EventLimits::default());
        scene.publish("a", deed);
        for attempts in 1..=2 {
            assert_eq!(scene.run(), 1);
            let deliveries = scene.stats();
            assert_eq!((deliveries.matched, deliveries.staged, deliveries.pending()), (1, 0, 2 - attempts));
            scene.advance(10);
        }
        assert_eq!(scene.seen(), [""; 0]);
    }
}

#[test]
fn nothing_is_published_beside_a_reply_that_is_refused() {
    let scene = scene(EventLimits::default());
    scene.runtime.bind("emits", on("c", "f").emits(["b"])).unwrap();
    scene.publish("c", "enonsense");
    scene.run();
    let deliveries = scene.stats();
    assert_eq!((deliveries.matched, deliveries.dead_letters, deliveries.staged), (1, 1, 0));
}

#[test]
fn a_reply_and_what_was_published_beside_it_are_queued_together_or_not_at_all() {
    let reply = format!("e{}", String::from_utf8(event("b", "ok3").to_json()).unwrap());
    let publish = |deliveries: usize| {
        let scene = scene(EventLimits { deliveries, ..EventLimits::default() });
        scene.runtime.bind("emits", on("c", "f").emits(["b"])).unwrap();
        scene.publish("c", &reply);
        scene.runtime.deliveries().run_pending(1);
        let deliveries = scene.stats();
        assert_eq!(deliveries.staged, 0);
        (deliveries.succeeded, deliveries.queued)
    };
    // The delivery that ends makes room for one of the three events.
    assert_eq!(publish(3), (1, 3));
    assert_eq!(publish(2), (0, 1), "tried again");
}

#[test]
fn an_invocation_by_handle_publishes_when_it_has_succeeded() {
    let scene = scene(EventLimits::default());
    let f = scene.runtime.find("f").unwrap();
    f.invoke(b"ok").unwrap();
    assert_eq!(scene.stats().queued, 2);
    f.invoke(b"trap").unwrap_err();
    assert_eq!((scene.stats().matched, scene.stats().staged), (2, 0));
    let failed = f.session(|guest| {
        guest.write(1024, b"ok")?;
        guest.call("handle", &[1024i32.into(), 2i32.into()])?;
        assert_eq!((scene.stats().queued, scene.stats().staged), (2, 2), "not yet");
        Err::<(), _>(InvokeErrorKind::Cancelled)
    });
    failed.unwrap_err();
    assert_eq!((scene.stats().matched, scene.stats().staged), (2, 0));
    scene.run();
    assert_eq!(scene.seen(), ["g ok1", "g ok2"]);
}

#[test]
fn workers_wake_for_what_an_invocation_has_published() {
    let runtime = Runtime::new();
    let (sender, receiver) = std::sync::mpsc::channel();
    deploy(&runtime, "f", |guest, _| {
        guest.publish(event("b", "ok"))?;
        Ok(())
    });
    deploy(&runtime, "g", move |_, text| Ok(sender.send(text.to_owned())?));
    runtime.bind("b", on("b", "g")).unwrap();
    let workers = runtime.deliveries().workers(1).unwrap();
    runtime.find("f").unwrap().invoke(b"ok").unwrap();
    assert_eq!(receiver.recv().unwrap(), "ok");
    drop(workers);
}

#[test]
fn a_chain_by_way_of_host_functions_ends_at_the_limit_of_hops() {
    let scene = Scene::new(EventLimits { hops: 3, ..EventLimits::default() });
    deploy(&scene.runtime, "again", |guest, _| {
        guest.publish(event("a", "ok"))?;
        Ok(())
    });
    // The same by a function that it invokes.
    deploy(&scene.runtime, "around", |guest, _| {
        guest.runtime().find("again").unwrap().invoke(b"ok")?;
        Ok(())
    });
    // The data is not what its media type says. A reader accepts that, and a builder does not.
    deploy(&scene.runtime, "odd", |guest, _| {
        let json =
            br#"{"specversion":"1.0","type":"a","id":"own","source":"/own","datacontenttype":"text/plain","data":{}}"#;
        guest.publish(Event::parse(json)?)?;
        Ok(())
    });
    for function in ["again", "around", "odd"] {
        let input = TriggerInput::Constant(b"ok"[..].into());
        scene.runtime.bind("a", on("a", function).input(input)).unwrap();
        scene.publish("a", "ok");
        assert_eq!(scene.run(), 4, "the first, and three hops, by {function}");
        let letters = scene.runtime.deliveries().drain_dead_letters();
        let [letter] = &letters[..] else { panic!("{letters:?}") };
        assert_eq!((letter.reason(), letter.attempts(), letter.trigger()), (DeadLetterReason::Loop, 0, "a"));
        let event = letter.event();
        assert_eq!((event.id(), event.source(), event.attribute("dormousehops")), ("own", "/own", Some(4.into())));
        assert_eq!(scene.stats().succeeded % 4, 0);
        scene.runtime.triggers().unbind("a");
    }
}

#[test]
fn an_event_that_belongs_to_no_delivery_has_no_hops() {
    let scene = scene(EventLimits::default());
    scene.runtime.triggers().unbind("b");
    scene.runtime.bind("whole", Trigger::on("b").to("g")).unwrap();
    scene.runtime.find("f").unwrap().invoke(b"ok").unwrap();
    scene.run();
    let seen = scene.seen();
    let (_, json) = seen[0].split_once(' ').unwrap();
    assert_eq!(Event::parse(json.as_bytes()).unwrap(), event("b", "ok1"), "as the host made it");
}

#[test]
fn room_is_kept_for_what_is_staged_and_given_back_when_the_invocation_fails() {
    let scene = Scene::new(EventLimits { deliveries: 3, ..EventLimits::default() });
    let refusals = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&refusals);
    deploy(&scene.runtime, "f", move |guest, _| {
        let mut refusals = seen.lock().unwrap();
        guest.publish(event("b", "ok"))?;
        guest.publish(event("b", "ok"))?;
        // Two are staged. The third place is free for the next event.
        refusals.push(guest.runtime().publish(event("two", "ok")).unwrap_err());
        guest.runtime().publish(event("b", "ok"))?;
        refusals.push(guest.publish(event("b", "ok")).unwrap_err());
        Ok(())
    });
    scene.runtime.bind("b", on("b", "g")).unwrap();
    for id in ["two-1", "two-2"] {
        scene.runtime.bind(id, on("two", "g")).unwrap();
    }
    let f = scene.runtime.find("f").unwrap();
    f.invoke(b"trap").unwrap_err();
    for error in refusals.lock().unwrap().drain(..) {
        assert!(matches!(error, PublishError::QueueFull { .. }), "{error}");
    }
    let deliveries = scene.stats();
    assert_eq!((deliveries.queued, deliveries.refused, deliveries.staged), (1, 3, 0));
    scene.publish("two", "ok");
    assert_eq!(scene.stats().queued, 3);
}

#[test]
fn what_is_staged_is_bounded_in_bytes_too() {
    let scene = Scene::new(EventLimits { delivery_bytes: 10_000, ..EventLimits::default() });
    let large = "o".repeat(4_500);
    deploy(&scene.runtime, "f", move |guest, _| {
        guest.publish(event("b", &large))?;
        guest.publish(event("b", &large))?;
        let error = guest.publish(event("b", &large)).unwrap_err();
        assert!(matches!(error, PublishError::QueueFull { needed: 1, .. }), "{error}");
        Ok(())
    });
    scene.runtime.bind("b", on("b", "g")).unwrap();
    scene.runtime.find("f").unwrap().invoke(b"ok").unwrap();
    assert_eq!(scene.stats().queued, 2);
}

#[test]
fn a_full_queue_that_drops_does_so_when_the_invocation_has_succeeded() {
    for (when_full, queued, left) in
        [(WhenFull::DropOldest, 3, ["g old2", "g ok1", "g ok2"]), (WhenFull::DropNewest, 2, ["g old1", "g old2", ""])]
    {
        let scene = scene(EventLimits { deliveries: 3, when_full, ..EventLimits::default() });
        let f = scene.runtime.find("f").unwrap();
        for deed in ["old1", "old2"] {
            scene.publish("b", deed);
        }
        f.invoke(b"trap").unwrap_err();
        assert_eq!((scene.stats().queued, scene.stats().dropped), (2, 0));
        f.invoke(b"ok").unwrap();
        assert_eq!(scene.stats().queued, queued);
        assert_eq!(scene.stats().dropped, 4 - queued);
        scene.run();
        assert_eq!(scene.seen(), left[..queued as usize]);
    }
}

#[test]
fn an_event_that_may_not_be_published_is_refused_at_once() {
    let scene = Scene::new(EventLimits { event_bytes: 1_000, ..EventLimits::default() });
    deploy(&scene.runtime, "f", |guest, _| {
        let error = guest.publish(event("dormouse.schedule", "ok")).unwrap_err();
        assert!(matches!(error, PublishError::Reserved { .. }), "{error}");
        let error = guest.publish(event("b", &"o".repeat(1_000))).unwrap_err();
        assert!(matches!(error, PublishError::TooLarge { limit: 1_000, .. }), "{error}");
        Ok(())
    });
    scene.runtime.find("f").unwrap().invoke(b"ok").unwrap();
    assert_eq!(scene.stats().matched, 0);
}

#[test]
fn initialisation_publishes_nothing() {
    let runtime = Runtime::new();
    runtime.bind("b", on("b", "g")).unwrap();
    let module = wat(r#"(module (import "h" "f" (func $f)) (func $start (call $f)) (start $start))"#);
    let publish = |guest: &mut Context<'_>| -> Result<(), HostError> {
        assert_eq!(guest.publish(event("b", "ok")), Err(PublishError::Initialising));
        Ok(guest.publish(event("b", "ok")).map(drop)?)
    };
    let error = runtime.deployment("f", &module).host("h", "f", publish).deploy().unwrap_err();
    let DeployError::Initialise { cause, .. } = error else { panic!("{error}") };
    let InvokeErrorKind::HostFunction { message, .. } = &*cause else { panic!("{cause}") };
    assert!(message.contains("publish from its handler"), "{message}");
    assert_eq!(runtime.deliveries().stats().matched, 0);
}

#[test]
fn a_panic_of_the_host_publishes_nothing() {
    let scene = Scene::new(EventLimits::default());
    deploy(&scene.runtime, "f", |guest, _| {
        guest.publish(event("b", "ok"))?;
        panic!("in the middle of it")
    });
    scene.runtime.bind("b", on("b", "g")).unwrap();
    scene.runtime.find("f").unwrap().invoke(b"ok").unwrap_err();
    assert_eq!((scene.stats().matched, scene.stats().staged), (0, 0));
}

#[test]
fn an_invocation_within_another_publishes_with_its_own_success() {
    let scene = scene(EventLimits::default());
    deploy(&scene.runtime, "outer", |guest, _| {
        let f = guest.runtime().find("f").unwrap();
        f.invoke(b"trap").unwrap_err();
        assert_eq!((guest.runtime().deliveries().stats().matched, guest.runtime().deliveries().stats().staged), (0, 0));
        f.invoke(b"ok")?;
        assert_eq!(guest.runtime().deliveries().stats().queued, 2);
        Ok(())
    });
    scene.runtime.find("outer").unwrap().invoke(b"trap").unwrap_err();
    assert_eq!(scene.stats().queued, 2);
}

#[test]
fn a_queue_that_has_become_full_makes_the_delivery_fail_and_try_again() {
    let clock = TestClock::default();
    let limits = EventLimits { deliveries: 2, when_full: WhenFull::DropOldest, ..EventLimits::default() };
    let runtime = Runtime::builder().clock(clock.clone()).events(limits).build();
    // A running delivery cannot be dropped. So the two events that are published here never fit
    // beside two that run.
    deploy(&runtime, "f", |guest, _| {
        guest.publish(event("b", "ok"))?;
        guest.publish(event("b", "ok"))?;
        let nested = guest.runtime().dispatch(event("c", "ok"))?;
        assert!(matches!(nested[0].outcome, DeliveryOutcome::Succeeded(_)), "{nested:?}");
        Ok(())
    });
    deploy(&runtime, "g", |_, _| Ok(()));
    for (ty, function) in [("a", "f"), ("b", "g"), ("c", "g")] {
        runtime.bind(ty, on(ty, function)).unwrap();
    }
    let dispatched = runtime.dispatch(event("a", "ok")).unwrap();
    let DeliveryOutcome::Failed { error: DeliveryError::Invoke(_), next: AfterFailure::Retry(_) } =
        &dispatched[0].outcome
    else {
        panic!("{dispatched:?}")
    };
    let deliveries = runtime.deliveries().stats();
    assert!(deliveries.is_balanced() && deliveries.staged == 0, "{deliveries:?}");
    assert_eq!((deliveries.queued, deliveries.matched), (1, 1));
}

#[test]
fn invocations_that_publish_from_several_threads_lose_nothing() {
    let runtime = Runtime::new();
    deploy(&runtime, "f", |guest, text| {
        guest.publish(event("b", text))?;
        Ok(())
    });
    deploy(&runtime, "g", |_, _| Ok(()));
    runtime.bind("b", on("b", "g")).unwrap();
    let workers = runtime.deliveries().workers(2).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let f = runtime.find("f").unwrap();
                for number in 0..200 {
                    let deed: &[u8] = if number % 4 == 0 { b"trap" } else { b"ok" };
                    assert_eq!(f.invoke(deed).is_ok(), number % 4 != 0);
                }
            });
        }
    });
    drop(workers);
    let deliveries = runtime.deliveries().stats();
    assert_eq!((deliveries.matched, deliveries.succeeded, deliveries.staged), (450, 450, 0), "{deliveries:?}");
}

#[test]
fn what_is_refused_at_once_is_not_tried_again_at_once() {
    let clock = TestClock::default();
    let runtime = Runtime::builder().clock(clock.clone()).build();
    let function =
        runtime.deployment("only", &guest("echo")).instances(0..=1).max_wait(Duration::ZERO).deploy().unwrap();
    runtime.bind("a", Trigger::on("a").to("only").retry(Retry::never())).unwrap();
    let ran = function.session(|_| {
        runtime.publish(event("a", "x")).unwrap();
        Ok(runtime.deliveries().run_pending(usize::MAX))
    });
    assert_eq!(*ran.unwrap().value(), 1, "the only instance is this one");
    assert_eq!(runtime.deliveries().run_pending(usize::MAX), 0);
    // From now on each reading of the clock is so much later than the last one.
    clock.step(Duration::from_millis(100));
    assert_eq!(runtime.deliveries().run_pending(usize::MAX) + runtime.deliveries().run_pending(usize::MAX), 1);
    assert_eq!(runtime.deliveries().stats().succeeded, 1);
}

#[test]
fn those_that_stay_of_an_order_keep_to_it_when_a_full_queue_drops_one_in_their_midst() {
    let limits = EventLimits { deliveries: 3, when_full: WhenFull::DropOldest, ..EventLimits::default() };
    let scene = Scene::new(limits);
    scene.deploy("f");
    let note = |guest: &mut Context<'_>, at: u32, len: u32| -> Result<(), HostError> {
        if guest.read_text(at, len)? == "1" {
            let more = Event::builder("more").id("1").source("/test").data_text("more").build()?;
            guest.runtime().publish(more)?;
        }
        Ok(())
    };
    scene.runtime.deployment("ordered", &guest("deed")).host("test", "note", note).deploy().unwrap();
    scene.runtime.bind("a", Trigger::on("a").to("ordered").input(TriggerInput::Data).ordered()).unwrap();
    scene.runtime.bind("more", on("more", "f")).unwrap();
    // The first one fills the queue while it runs. It blocks the second, which is the oldest that
    // can be dropped.
    for number in ["1", "2", "3"] {
        scene.publish("a", number);
    }
    assert_eq!(scene.run(), 3);
    let deliveries = scene.stats();
    assert_eq!((deliveries.succeeded, deliveries.dropped, deliveries.pending()), (3, 1, 0));
    assert_eq!(scene.seen(), ["f more"]);
}
