//! Triggers: which events they match, their ids, and what is refused.

use dormouse::{Event, EventLimits, Runtime, Trigger, TriggerError, TriggerInput, Verdict};

fn event(ty: &str, subject: &str) -> Event {
    Event::builder(ty).id("1").source("/test").subject(subject).build().unwrap()
}

fn matches(runtime: &Runtime, event: &Event) -> Vec<String> {
    runtime.triggers().matches(event).unwrap()
}

fn runtime_with(triggers: impl IntoIterator<Item = (&'static str, Trigger)>) -> Runtime {
    let runtime = Runtime::new();
    for (id, trigger) in triggers {
        runtime.bind(id, trigger.to("f")).unwrap();
    }
    runtime
}

#[track_caller]
fn fails(runtime: &Runtime, event: &Event, id: &str) -> (String, String) {
    match runtime.triggers().explain(event, id) {
        Some(Verdict::Fails { field, reason, .. }) => (field, reason),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_type_matches_exactly() {
    let runtime = runtime_with([("a", Trigger::on("order.created")), ("b", Trigger::on("order"))]);
    assert_eq!(matches(&runtime, &event("order.created", "x")), ["a"]);
    assert_eq!(matches(&runtime, &event("order", "x")), ["b"]);
    assert_eq!(matches(&runtime, &event("Order", "x")), [""; 0]);
    let (field, reason) = fails(&runtime, &event("order", "x"), "a");
    assert_eq!((&*field, &*reason), ("type", r#"the trigger asks for "order.created", the event has "order""#));
}

#[test]
fn a_pattern_matches_and_says_which_field_fails() {
    let pattern = r#"{"type":["order"],"subject":[{"prefix":"shop/"}]}"#;
    let runtime = runtime_with([("p", Trigger::pattern(pattern).unwrap())]);
    assert_eq!(matches(&runtime, &event("order", "shop/1")), ["p"]);
    assert_eq!(matches(&runtime, &event("order", "mall/1")), [""; 0]);
    let (field, reason) = fails(&runtime, &event("order", "mall/1"), "p");
    assert_eq!((&*field, &*reason), ("subject", r#"must be one of [{"prefix":"shop/"}], but is "mall/1""#));
    assert!(matches!(Trigger::pattern("{}"), Err(TriggerError::Pattern(_))));
}

#[test]
fn a_topic_filter_matches_as_mqtt_says() {
    // From MQTT 5, sections 4.7.1 and 4.7.2, and the cases between them.
    let cases = [
        ("sport/tennis/player1/#", "sport/tennis/player1", true),
        ("sport/tennis/player1/#", "sport/tennis/player1/ranking", true),
        ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true),
        ("sport/tennis/player1/#", "sport/tennis/player2", false),
        ("sport/#", "sport", true),
        ("#", "a/b/c", true),
        ("#", "/", true),
        ("sport/tennis/+", "sport/tennis/player1", true),
        ("sport/tennis/+", "sport/tennis/player1/ranking", false),
        ("sport/+", "sport", false),
        ("sport/+", "sport/", true),
        ("+/+", "/finance", true),
        ("/+", "/finance", true),
        ("+", "/finance", false),
        ("+/tennis/#", "sport/tennis/x/y", true),
        ("+/+/#", "a", false),
        ("a//b", "a//b", true),
        ("a//b", "a/x/b", false),
        ("a/+/b", "a//b", true),
        ("#", "$SYS/uptime", false),
        ("+/monitor/Clients", "$SYS/monitor/Clients", false),
        ("$SYS/#", "$SYS/uptime", true),
        ("$SYS/#", "$SYS", true),
        ("$SYS/monitor/+", "$SYS/monitor/Clients", true),
        ("a/#", "a/$b", true),
        ("Sport", "sport", false),
        // A topic has no wildcards itself.
        ("#", "a/+", false),
        ("a/#", "a/#", false),
    ];
    for (filter, topic, expected) in cases {
        let runtime = runtime_with([("t", Trigger::topic("subject", filter).unwrap())]);
        let event = event("any", topic);
        assert_eq!(matches(&runtime, &event) == ["t"], expected, "{filter} and {topic}");
        assert_eq!(runtime.triggers().explain(&event, "t") == Some(Verdict::Matches), expected, "{filter} and {topic}");
    }
}

#[test]
fn a_topic_may_be_any_attribute_and_needs_it_to_be_there() {
    let runtime = runtime_with([("t", Trigger::topic("room", "#").unwrap())]);
    let with = |builder: dormouse::EventBuilder| builder.id("1").source("/test").build().unwrap();
    assert_eq!(matches(&runtime, &with(Event::builder("any").extension("room", "a/b"))), ["t"]);
    let number = with(Event::builder("any").extension("room", 5));
    assert_eq!(fails(&runtime, &number, "t"), ("room".into(), "5 is not a string, so it is not a topic".into()));
    let without = with(Event::builder("any"));
    assert_eq!(fails(&runtime, &without, "t"), ("room".into(), "the event has no such attribute".into()));
    assert_eq!(matches(&runtime, &without), [""; 0]);
}

#[test]
fn a_filter_that_mqtt_forbids_is_refused_with_its_place() {
    let long = "a".repeat(65_536);
    let deep = vec!["a"; 129].join("/");
    let cases = [
        ("", "is empty; to match every topic use #"),
        ("a/#/b", "has # at level 2; only the last level may be #"),
        ("a/b#", r##"has "b#" at level 2; a wildcard must fill its level alone"##),
        ("+a", r#"has "+a" at level 1; a wildcard must fill its level alone"#),
        ("a\0", "contains U+0000, which no topic may contain"),
        (&*long, "has 65536 bytes, above the limit of 65535"),
        (&*deep, "has 129 levels, above the limit of 128"),
    ];
    for (filter, expected) in cases {
        let Err(TriggerError::Topic { problem, .. }) = Trigger::topic("subject", filter) else { panic!("{filter}") };
        assert_eq!(&*problem, expected);
    }
    assert!(Trigger::topic("subject", &long[1..]).is_ok());
    assert!(Trigger::topic("subject", &deep[2..]).is_ok());
    let error = Trigger::topic("Sub.ject", "#").unwrap_err();
    assert_eq!(error, TriggerError::Attribute { name: "Sub.ject".into() });
}

#[test]
fn a_dry_run_names_matches_of_all_sources_in_the_order_of_binding() {
    let runtime = runtime_with([
        ("pattern", Trigger::pattern(r#"{"type":["order"]}"#).unwrap()),
        ("topic", Trigger::topic("subject", "a/#").unwrap()),
        ("type", Trigger::on("order")),
        ("other", Trigger::on("else")),
        ("again", Trigger::topic("subject", "+/b").unwrap()),
    ]);
    assert_eq!(matches(&runtime, &event("order", "a/b")), ["pattern", "topic", "type", "again"]);
    assert_eq!(runtime.triggers().ids(), ["pattern", "topic", "type", "other", "again"]);
    assert_eq!(runtime.deliveries().stats(), dormouse::DeliveryStats::default(), "nothing is delivered by looking");
}

#[test]
fn a_taken_id_names_its_holder_and_changes_nothing() {
    let runtime = runtime_with([("a", Trigger::on("order"))]);
    let error = runtime.bind("a", Trigger::topic("subject", "x").unwrap().to("g")).unwrap_err();
    assert_eq!(error, TriggerError::Taken { id: "a".into(), holder: "type order to f".into() });
    assert_eq!(
        error.to_string(),
        r#"the trigger id "a" is taken, by type order to f; unbind it first, or choose another id"#
    );
    assert_eq!(matches(&runtime, &event("order", "x")), ["a"]);
    assert_eq!(matches(&runtime, &event("else", "x")), [""; 0]);
}

#[test]
fn an_unbound_trigger_matches_nothing_and_its_id_is_free() {
    let sources = [
        Trigger::on("order"),
        Trigger::topic("subject", "a/+").unwrap(),
        Trigger::topic("subject", "#").unwrap(),
        Trigger::pattern(r#"{"type":["order"]}"#).unwrap(),
    ];
    for source in sources {
        let runtime = runtime_with([("a", source.clone()), ("b", source.clone())]);
        let event = event("order", "a/b");
        assert_eq!(matches(&runtime, &event), ["a", "b"]);
        assert!(runtime.triggers().unbind("a"));
        assert!(!runtime.triggers().unbind("a"));
        assert_eq!(matches(&runtime, &event), ["b"], "{source}");
        assert!(runtime.triggers().explain(&event, "a").is_none());
        runtime.bind("a", source.to("f")).unwrap();
        assert_eq!(matches(&runtime, &event), ["b", "a"]);
    }
}

#[test]
fn a_disabled_trigger_keeps_its_id_and_matches_nothing() {
    let runtime = runtime_with([("a", Trigger::on("order").disabled()), ("b", Trigger::on("order"))]);
    let event = event("order", "x");
    assert_eq!(matches(&runtime, &event), ["b"]);
    assert_eq!(fails(&runtime, &event, "a"), ("enabled".into(), "the trigger is disabled".into()));
    assert!(runtime.triggers().enable("a"));
    assert_eq!(matches(&runtime, &event), ["a", "b"]);
    assert!(runtime.triggers().disable("b"));
    assert_eq!(matches(&runtime, &event), ["a"]);
    assert!(!runtime.triggers().get("b").unwrap().is_enabled());
    assert!(runtime.bind("b", Trigger::on("order").to("f")).is_err());
    assert!(!runtime.triggers().enable("c") && !runtime.triggers().disable("c"));
}

#[test]
fn ids_targets_and_types_are_checked_when_a_trigger_is_bound() {
    let runtime = Runtime::new();
    let on = || Trigger::on("order").to("f");
    for id in ["", "a b", "a/b", "ä", &"x".repeat(65)] {
        assert_eq!(runtime.bind(id, on()).unwrap_err(), TriggerError::InvalidId { id: id.into() });
    }
    for target in ["", "a b", "@prod", "f@", "f@a@b"] {
        let error = runtime.bind("t", Trigger::on("order").to(target)).unwrap_err();
        assert_eq!(error, TriggerError::Target { target: target.into() });
    }
    let ty = |error| match error {
        TriggerError::Type { ty, .. } => ty.into_string(),
        other => panic!("{other}"),
    };
    assert_eq!(ty(runtime.bind("t", Trigger::on("").to("f")).unwrap_err()), "");
    assert_eq!(ty(runtime.bind("t", on().emits([""])).unwrap_err()), "");
    assert_eq!(ty(runtime.bind("t", on().emits(["ok", "dormouse.schedule"])).unwrap_err()), "dormouse.schedule");
    assert_eq!(runtime.triggers().ids(), [""; 0]);
    for (id, target) in [("A-Z_0.9", "f"), ("b", "f@prod"), ("c", "f@0123456789abcdef")] {
        runtime.bind(id, Trigger::on("order").to(target)).unwrap();
    }
}

#[test]
fn more_triggers_than_the_limit_are_refused() {
    let runtime = Runtime::builder().events(EventLimits { triggers: 2, ..EventLimits::default() }).build();
    runtime.bind("a", Trigger::on("x").to("f")).unwrap();
    runtime.bind("b", Trigger::on("x").to("f")).unwrap();
    assert_eq!(runtime.bind("c", Trigger::on("x").to("f")).unwrap_err(), TriggerError::TooMany { limit: 2 });
    runtime.triggers().unbind("a");
    runtime.bind("c", Trigger::on("x").to("f")).unwrap();
}

#[test]
fn a_trigger_can_be_looked_at() {
    let runtime = runtime_with([("a", Trigger::on("order").ordered().input(TriggerInput::Data))]);
    let trigger = runtime.triggers().get("a").unwrap();
    assert_eq!((trigger.target(), trigger.is_enabled(), trigger.is_ordered()), ("f", true, true));
    assert_eq!(trigger.to_string(), "type order to f");
    assert!(runtime.triggers().get("b").is_none());
}

#[test]
fn ten_thousand_triggers_of_each_source_find_the_one() {
    let runtime = Runtime::new();
    for number in 0..10_000 {
        runtime.bind(&format!("type-{number}"), Trigger::on(&format!("t{number}")).to("f")).unwrap();
        let filter = format!("room/{number}/+");
        runtime.bind(&format!("topic-{number}"), Trigger::topic("subject", &filter).unwrap().to("f")).unwrap();
    }
    assert_eq!(matches(&runtime, &event("t77", "room/4711/x")), ["type-77", "topic-4711"]);
}

#[test]
fn a_topic_that_was_unbound_wakes_nothing_and_its_id_and_filter_can_be_bound_anew() {
    let runtime = runtime_with([("a", Trigger::topic("subject", "x/#").unwrap())]);
    assert!(runtime.triggers().unbind("a"));
    assert_eq!(matches(&runtime, &event("t", "x/y")), [""; 0]);
    runtime.bind("a", Trigger::topic("subject", "x/+").unwrap().to("f")).unwrap();
    assert_eq!(matches(&runtime, &event("t", "x/y")), ["a"]);
}

#[test]
fn a_taken_id_names_its_holder_by_source_and_target() {
    let mut sources = vec![
        (Trigger::on("image.uploaded"), "type image.uploaded to f"),
        (Trigger::topic("subject", "a/+").unwrap(), "topic subject a/+ to f"),
        (Trigger::pattern(r#"{"type":["x"]}"#).unwrap(), r#"pattern {"type":["x"]} to f"#),
        (Trigger::route("GET", "/a/{b}").unwrap(), "route GET /a/{b} to f"),
    ];
    #[cfg(feature = "schedule")]
    sources.push((Trigger::schedule("rate(1 minute)").unwrap(), "schedule rate(1 minute) to f"));
    for (trigger, holder) in sources {
        let runtime = runtime_with([("id", trigger)]);
        let error = runtime.bind("id", Trigger::on("other").to("g")).unwrap_err().to_string();
        assert!(error.contains(holder), "{error}");
    }
}

#[test]
fn what_no_published_event_wakes_says_what_does() {
    let runtime = runtime_with([("route", Trigger::route("GET", "/").unwrap())]);
    assert_eq!(fails(&runtime, &event("t", "x"), "route").1, "only requests reach the trigger");
    #[cfg(feature = "schedule")]
    {
        runtime.bind("schedule", Trigger::schedule("rate(1 minute)").unwrap().to("f")).unwrap();
        assert_eq!(fails(&runtime, &event("t", "x"), "schedule").1, "only its schedule fires the trigger");
    }
    assert_eq!(runtime.triggers().explain(&event("t", "x"), "nobody"), None);
}
