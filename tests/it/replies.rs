//! Replies that the runtime publishes as events: chains of functions.

use std::time::Duration;

use dormouse::{
    AfterFailure, DeadLetterReason, DeliveryError, DeliveryOutcome, Event, EventLimits, PublishError, Retry, Trigger,
    TriggerInput,
};

use crate::support::Scene;

fn scene(limits: EventLimits) -> Scene {
    let scene = Scene::new(limits);
    scene.deploy("f");
    scene.deploy("g");
    scene
}

/// A deed that answers with an event of this type, whose data is a deed again.
fn answer(ty: &str, deed: &str) -> String {
    let event = Event::builder(ty).id("forged").source("/forged").extension("dormousehops", -5).subject("s");
    let event = event.extension("own", true).data_text(deed).build().unwrap();
    format!("e{}", String::from_utf8(event.to_json()).unwrap())
}

fn on(ty: &str, function: &str) -> Trigger {
    Trigger::on(ty).to(function).input(TriggerInput::Data).retry(Retry::never())
}

#[test]
fn a_reply_is_published_with_an_identity_that_the_function_cannot_choose() {
    let scene = scene(EventLimits::default());
    scene.runtime.bind("first", on("a", "f").emits(["b", "c"])).unwrap();
    scene.runtime.bind("second", Trigger::on("b").to("g")).unwrap();
    scene.publish("a", &answer("b", "ok"));
    assert_eq!(scene.run(), 2);
    let seen = scene.seen();
    let event = Event::parse(seen[1].strip_prefix("g ").unwrap().as_bytes()).unwrap();
    assert_eq!((event.ty(), event.id(), event.source(), event.subject()), ("b", "1", "first", Some("s")));
    let extensions: Vec<_> = event.extensions().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(extensions, ["dormousehops=1", "own=true"]);
    assert_eq!(event.data(), Some(&b"ok"[..]));
    assert_eq!(scene.stats().succeeded, 2);
}

#[test]
fn replies_are_not_published_unless_the_trigger_says_so() {
    let scene = scene(EventLimits::default());
    scene.runtime.bind("first", on("a", "f")).unwrap();
    scene.runtime.bind("second", on("b", "g")).unwrap();
    scene.publish("a", &answer("b", "ok"));
    assert_eq!(scene.run(), 1);
}

#[test]
fn an_empty_answer_publishes_nothing() {
    let scene = scene(EventLimits::default());
    scene.runtime.bind("first", on("a", "f").emits(["b"])).unwrap();
    scene.publish("a", "ok");
    scene.publish("a", "e \n");
    assert_eq!(scene.run(), 2);
    assert_eq!(scene.stats().succeeded, 2);
}

#[test]
fn an_answer_that_is_no_event_or_of_another_type_is_given_up_with_its_reason() {
    let scene = scene(EventLimits::default());
    scene.runtime.bind("first", on("a", "f").emits(["b"]).retry(Retry::default())).unwrap();
    scene.publish("a", "enonsense");
    scene.publish("a", &answer("c", "ok"));
    scene.publish("a", &answer("dormouse.schedule", "ok"));
    scene.run();
    let letters = scene.runtime.deliveries().dead_letters();
    assert!(letters.iter().all(|letter| letter.reason() == DeadLetterReason::Permanent));
    assert!(letters[0].error().unwrap().contains("malformed JSON"), "{}", letters[0]);
    assert!(letters[1].error().unwrap().contains(r#"the type "c""#), "{}", letters[1]);
    assert!(letters[2].error().unwrap().contains(r#"the type "dormouse.schedule""#), "{}", letters[2]);
    scene.stats();
}

#[test]
fn a_chain_of_replies_ends_at_the_limit_of_hops_as_a_loop() {
    let scene = scene(EventLimits { hops: 3, ..EventLimits::default() });
    // It answers with the same event for ever.
    let again = answer("a", "anything");
    let trigger = Trigger::on("a").to("f").input(TriggerInput::Constant(again.as_bytes().into())).emits(["a"]);
    scene.runtime.bind("loop", trigger).unwrap();
    scene.publish("a", "ok");
    assert_eq!(scene.run(), 4, "the first, and three hops");
    let letters = scene.runtime.deliveries().dead_letters();
    let [letter] = &letters[..] else { panic!("{letters:?}") };
    assert_eq!((letter.reason(), letter.attempts(), letter.trigger()), (DeadLetterReason::Loop, 0, "loop"));
    assert_eq!((letter.id(), scene.runtime.deliveries().redrive(5).unwrap()), (5, 6), "numbers are not given twice");
    assert_eq!(letter.event().attribute("dormousehops"), Some(4.into()));
    let deliveries = scene.stats();
    assert_eq!((deliveries.matched, deliveries.succeeded, deliveries.redriven), (6, 4, 1));
}

#[test]
fn a_reply_takes_the_bytes_of_the_delivery_that_it_ends() {
    let scene = scene(EventLimits { delivery_bytes: 1_000, ..EventLimits::default() });
    scene.runtime.bind("first", on("a", "f").emits(["b"])).unwrap();
    scene.runtime.bind("second", on("b", "g")).unwrap();
    // Two of these events do not fit.
    scene.publish("a", &answer("b", &"o".repeat(300)));
    assert_eq!((scene.run(), scene.stats().succeeded), (2, 2));
}

#[test]
fn unless_told_otherwise_a_chain_has_sixteen_hops() {
    let limits = EventLimits::default();
    assert_eq!((limits.triggers, limits.deliveries, limits.delivery_bytes), (100_000, 65_536, 256 << 20));
    assert_eq!((limits.dead_letters, limits.dead_letter_bytes, limits.event_bytes), (10_000, 64 << 20, 1 << 20));
    let scene = scene(limits);
    let again = answer("a", "anything");
    let trigger = Trigger::on("a").to("f").input(TriggerInput::Constant(again.as_bytes().into())).emits(["a"]);
    scene.runtime.bind("loop", trigger).unwrap();
    scene.publish("a", "ok");
    assert_eq!(scene.run(), 17);
    assert_eq!(scene.runtime.deliveries().dead_letters()[0].reason(), DeadLetterReason::Loop);
}

#[test]
fn a_reply_that_finds_no_room_makes_its_delivery_fail_and_try_again() {
    let scene = scene(EventLimits { deliveries: 2, ..EventLimits::default() });
    let retry = Retry::fixed(Duration::from_secs(10)).without_jitter();
    scene.runtime.bind("first", on("a", "f").emits(["b"]).retry(retry)).unwrap();
    scene.runtime.bind("one", on("b", "g")).unwrap();
    scene.runtime.bind("two", on("b", "g")).unwrap();
    scene.runtime.bind("other", on("other", "g")).unwrap();
    scene.publish("other", "ok");
    let dispatched = scene.runtime.dispatch(scene.event("a", &answer("b", "ok"))).unwrap();
    let DeliveryOutcome::Failed { error: DeliveryError::ReplyRefused(error), next } = &dispatched[0].outcome else {
        panic!("{dispatched:?}")
    };
    assert!(matches!(error, PublishError::QueueFull { needed: 2, .. }));
    assert_eq!(*next, AfterFailure::Retry(Duration::from_secs(10)));
    assert_eq!(scene.stats().queued, 2);
    scene.run();
    scene.advance(10);
    // The delivery is alone in the queue, so its own place is free for one of them.
    assert_eq!(scene.run(), 3);
    assert_eq!(scene.stats().succeeded, 4);
}

#[test]
fn an_answer_that_is_too_large_for_an_event_is_given_up() {
    let scene = scene(EventLimits { event_bytes: 200, ..EventLimits::default() });
    scene.runtime.bind("first", on("a", "f").emits(["b"])).unwrap();
    let long = Event::builder("b").id("1").source("/s").data_text("x".repeat(100)).build().unwrap();
    let long = long.to_json();
    let constant = TriggerInput::Constant([b"e", &long[..]].concat().into());
    scene.runtime.bind("second", on("c", "f").emits(["b"]).input(constant)).unwrap();
    scene.publish("c", "ok");
    scene.run();
    assert_eq!(scene.stats().succeeded, 1, "within the limit");
    let longer = Event::builder("b").id("1").source("/s").data_text("x".repeat(300)).build().unwrap();
    let constant = TriggerInput::Constant([b"e", &longer.to_json()[..]].concat().into());
    scene.runtime.bind("third", on("d", "f").emits(["b"]).input(constant)).unwrap();
    scene.publish("d", "ok");
    scene.run();
    let letters = scene.runtime.deliveries().dead_letters();
    assert_eq!((letters.len(), letters[0].reason()), (1, DeadLetterReason::Permanent));
    assert!(letters[0].error().unwrap().contains("200"), "{}", letters[0]);
}
