//! The limits of the queue, of events and of dead letters. What does not fit is refused, or takes
//! the place of something else.

use std::time::Duration;

use dormouse::{DeliveryOutcome, Event, EventLimits, PublishError, Retry, Trigger, TriggerInput, WhenFull};

use crate::support::Scene;

/// Two attempts, ten seconds apart.
fn twice() -> Retry {
    Retry::fixed(Duration::from_secs(10)).attempts(2).without_jitter()
}

#[test]
fn an_event_that_does_not_fit_is_refused_whole() {
    let scene = Scene::new(EventLimits { deliveries: 3, ..EventLimits::default() });
    scene.deploy("f");
    scene.bind("a", "f", twice());
    scene.runtime.bind("b", Trigger::on("a").to("f").input(TriggerInput::Data)).unwrap();
    scene.publish("a", "ok1");
    let error = scene.runtime.publish(scene.event("a", "ok2")).unwrap_err();
    assert_eq!(error, PublishError::QueueFull { needed: 2, pending: 2, queued: 2, running: 0, parked: 0 });
    assert!(scene.runtime.dispatch(scene.event("a", "ok3")).is_err());
    let deliveries = scene.stats();
    assert_eq!((deliveries.matched, deliveries.refused, deliveries.queued), (2, 4, 2));
    scene.run();
    assert_eq!(scene.seen(), ["f ok1", "f ok1"]);
    scene.publish("a", "ok4");
}

#[test]
fn the_queue_is_bounded_in_bytes_too() {
    let scene = Scene::new(EventLimits { delivery_bytes: 10_000, event_bytes: 5_000, ..EventLimits::default() });
    scene.deploy("f");
    scene.bind("a", "f", twice());
    scene.publish("a", &"o".repeat(4_500));
    scene.publish("a", &"o".repeat(4_500));
    let error = scene.runtime.publish(scene.event("a", &"o".repeat(4_500))).unwrap_err();
    assert!(matches!(error, PublishError::QueueFull { pending: 2, .. }), "{error}");
    let error = scene.runtime.publish(scene.event("a", &"o".repeat(5_500))).unwrap_err();
    assert!(matches!(error, PublishError::TooLarge { limit: 5_000, .. }), "{error}");
    scene.run();
    scene.publish("a", &"o".repeat(4_500));
    scene.stats();
}

#[test]
fn an_event_may_have_as_many_bytes_as_the_limit_says_and_names_count() {
    let event = Event::builder("a").id("1").source("/test").data_text("ok").build().unwrap();
    let attributes = event.attributes().map(|(name, value)| (name.len() + value.as_str().unwrap().len()) as u64);
    let bytes = attributes.sum::<u64>() + 2;
    for event_bytes in [bytes, bytes - 1] {
        let scene = Scene::new(EventLimits { event_bytes, ..EventLimits::default() });
        scene.bind("a", "f", twice());
        let expected =
            if event_bytes == bytes { Ok(1) } else { Err(PublishError::TooLarge { bytes, limit: event_bytes }) };
        assert_eq!(scene.runtime.publish(event.clone()), expected);
    }
}

#[test]
fn a_full_queue_drops_the_oldest_if_told_so() {
    let scene = Scene::new(EventLimits { deliveries: 2, when_full: WhenFull::DropOldest, ..EventLimits::default() });
    scene.deploy("f");
    scene.bind("a", "f", twice());
    for deed in ["ok1", "ok2", "ok3"] {
        assert_eq!(scene.publish("a", deed), 1);
    }
    assert_eq!(scene.stats().dropped, 1);
    scene.run();
    assert_eq!(scene.seen(), ["f ok2", "f ok3"]);
    for id in ["b", "c"] {
        scene.runtime.bind(id, Trigger::on("a").to("f")).unwrap();
    }
    let error = scene.runtime.publish(scene.event("a", "ok4")).unwrap_err();
    assert!(matches!(error, PublishError::QueueFull { needed: 3, .. }), "three never fit two");
    assert_eq!(scene.stats().refused, 3);

    // By their bytes, so many go that the new one fits.
    let limits = EventLimits { delivery_bytes: 10_000, when_full: WhenFull::DropOldest, ..EventLimits::default() };
    let scene = Scene::new(limits);
    scene.bind("a", "f", twice());
    for (bytes, dropped) in [(2_700, 0), (2_700, 0), (2_700, 0), (6_000, 2)] {
        scene.publish("a", &"o".repeat(bytes));
        assert_eq!(scene.stats().dropped, dropped);
    }
}

#[test]
fn a_full_queue_drops_the_newest_if_told_so() {
    let scene = Scene::new(EventLimits { deliveries: 1, when_full: WhenFull::DropNewest, ..EventLimits::default() });
    scene.deploy("f");
    scene.bind("a", "f", twice());
    assert_eq!((scene.publish("a", "ok1"), scene.publish("a", "ok2")), (1, 0));
    let dispatched = scene.runtime.dispatch(scene.event("a", "ok3")).unwrap();
    assert!(matches!(dispatched[0].outcome, DeliveryOutcome::Dropped));
    assert_eq!(scene.stats().dropped, 2);
    scene.run();
    assert_eq!(scene.seen(), ["f ok1"]);
}

#[test]
fn a_dropped_delivery_frees_the_next_of_its_order() {
    let scene = Scene::new(EventLimits { deliveries: 2, when_full: WhenFull::DropOldest, ..EventLimits::default() });
    scene.deploy("f");
    scene.runtime.bind("a", Trigger::on("a").to("f").input(TriggerInput::Data).retry(twice()).ordered()).unwrap();
    scene.publish("a", "trap");
    scene.run();
    for deed in ["ok1", "ok2"] {
        scene.publish("a", deed);
    }
    scene.run();
    assert_eq!(scene.seen(), ["f trap", "f ok1", "f ok2"]);
}

#[test]
fn the_ring_of_dead_letters_is_bounded_and_counts_what_it_loses() {
    let scene = Scene::new(EventLimits { dead_letters: 2, dead_letter_bytes: 5_000, ..EventLimits::default() });
    scene.deploy("f");
    scene.bind("a", "f", Retry::never());
    for deed in ["trap1", "trap2", "trap3"] {
        scene.publish("a", deed);
    }
    scene.run();
    let held: Vec<_> = scene
        .runtime
        .deliveries()
        .dead_letters()
        .iter()
        .map(|letter| letter.event().data().unwrap().to_vec())
        .collect();
    assert_eq!(held, [b"trap2", b"trap3"]);
    assert_eq!(scene.stats().evicted, 1);
    scene.publish("a", &"t".repeat(4_500));
    scene.run();
    assert_eq!(scene.runtime.deliveries().dead_letters().len(), 1, "by their bytes");
    scene.publish("a", &"t".repeat(6_000));
    scene.run();
    let deliveries = scene.stats();
    assert_eq!((deliveries.dead_letters, deliveries.evicted), (1, 4));
}

#[test]
fn dead_letters_may_take_as_many_bytes_as_the_limit_says_and_give_them_back_when_they_go() {
    let scene = |dead_letter_bytes| {
        let scene = Scene::new(EventLimits { dead_letter_bytes, ..EventLimits::default() });
        scene.deploy("f");
        scene.bind("a", "f", Retry::never());
        scene
    };
    let fail = |scene: &Scene| {
        scene.publish("a", "trap");
        scene.run();
        scene.runtime.deliveries().dead_letters().len()
    };
    let limits: Vec<u64> = (0..1_000).collect();
    let one = limits.partition_point(|limit| fail(&scene(*limit)) == 0) as u64;
    for (limit, kept) in [(2 * one - 1, [1, 1]), (2 * one, [1, 2])] {
        let scene = scene(limit);
        assert_eq!([fail(&scene), fail(&scene)], kept);
    }
    let scene = scene(2 * one + 10);
    assert_eq!([fail(&scene), fail(&scene)], [1, 2]);
    scene.runtime.deliveries().redrive(scene.runtime.deliveries().dead_letters()[0].id()).unwrap();
    scene.run();
    assert_eq!((scene.runtime.deliveries().dead_letters().len(), scene.stats().evicted), (2, 0));
    assert_eq!((fail(&scene), scene.stats().evicted), (2, 1));
}
