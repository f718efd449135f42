//! Events, patterns and triggers as Rust values: their equality, their texts, and what serde makes
//! of them.

use std::{collections::HashSet, time::Duration};

use dormouse::{
    DataKind, Event, EventError, Explanation, MatchError, Mismatch, Pattern, PatternError, PatternIndex, Retry,
    Runtime, TakenKey, Timestamp, TimestampError, Trigger, TriggerError, Value, Verdict,
};
use serde::Serialize;

/// An error as JSON: its kind and its text.
fn json(error: &(impl Serialize + std::error::Error)) -> (String, String) {
    let value = serde_json::to_value(error).unwrap();
    let (kind, message) = (value["kind"].as_str().unwrap(), value["message"].as_str().unwrap());
    assert_eq!(value.as_object().unwrap().len(), 2, "{value}");
    assert_eq!(message, error.to_string());
    (kind.to_owned(), message.to_owned())
}

#[test]
fn an_error_is_serialised_as_its_kind_and_its_text() {
    let event: EventError = "{}".parse::<Event>().unwrap_err();
    assert_eq!(json(&event).0, "missing");
    assert_eq!(json(&"[".parse::<Event>().unwrap_err()).0, "json");
    assert_eq!(json(&"x".parse::<Timestamp>().unwrap_err()).0, "form");
    assert_eq!(json(&TimestampError::Range { part: "month" }), ("range".into(), "there is no such month".into()));
    let pattern: PatternError = "{}".parse::<Pattern>().unwrap_err();
    assert_eq!(json(&pattern).0, "empty");
    let matching: MatchError = Pattern::parse(r#"{"a":[1]}"#).unwrap().matches(b"[").unwrap_err();
    assert_eq!(json(&matching).0, "json");
    assert_eq!(json(&f64::try_from(Value::I32(1)).unwrap_err()).0, "type");
    assert_eq!(json(&"i31".parse::<Value>().unwrap_err()).0, "text");
    assert_eq!(json(&TakenKey).0, "taken_key");
    let trigger: TriggerError = Trigger::topic("subject", "a#").unwrap_err();
    assert_eq!(json(&trigger).0, "topic");
    assert_eq!(json(&Trigger::pattern("{}").unwrap_err()).0, "pattern");
}

#[test]
fn an_error_has_the_name_of_its_variant() {
    let in_batch = Event::parse_batch(b"[{}]").unwrap_err();
    assert_eq!(in_batch.name(), "in_batch");
    assert_eq!(EventError::TwoPayloads.name(), "two_payloads");
    assert_eq!(Pattern::parse("[]").unwrap_err().name(), "not_an_object");
    assert_eq!(Pattern::parse(r#"{"a":1}"#).unwrap_err().name(), "not_an_array");
    assert_eq!(MatchError::Ambiguous { limit: 1 }.name(), "ambiguous");
    assert_eq!(Runtime::new().bind("a b", Trigger::on("a").to("f")).unwrap_err().name(), "invalid_id");
}

#[test]
fn an_event_is_written_and_read_as_its_json_form() {
    let event = Event::builder("t").id("1").source("/s").data_text("ü").build().unwrap();
    assert_eq!(event.to_string().as_bytes(), event.to_json());
    assert_eq!(event.to_string().parse::<Event>().unwrap(), event);
    assert_eq!(event.data_kind().map(|kind| kind.to_string()).as_deref(), Some("text"));
    assert_eq!([DataKind::Json, DataKind::Binary].map(|kind| kind.to_string()), ["json", "binary"]);
}

#[test]
fn what_can_be_compared_exactly_says_so() {
    fn exact<T: Eq>() {}
    exact::<Event>();
    exact::<Pattern>();
    exact::<Trigger>();
    let distinct: HashSet<Retry> = [Retry::default(), Retry::never(), Retry::default()].into();
    assert_eq!(distinct.len(), 2);
    let on = |pattern: &str| Trigger::pattern(pattern).unwrap().to("f");
    assert_eq!(on(r#"{"a":[1]}"#), on(r#"{ "a" : [1] }"#));
    assert_ne!(on(r#"{"a":[1]}"#), on(r#"{"a":[2]}"#));
    assert_ne!(on(r#"{"a":[1]}"#), on(r#"{"a":[1]}"#).ordered());
    assert_ne!(Trigger::route("GET", "/a").unwrap(), Trigger::route("PUT", "/a").unwrap());
    #[cfg(feature = "schedule")]
    assert_ne!(Trigger::schedule("rate(1 minute)").unwrap(), Trigger::schedule("rate(2 minutes)").unwrap());
}

#[test]
fn an_explanation_and_a_verdict_say_the_same_as_their_parts() {
    let pattern = Pattern::parse(r#"{"type":["order"]}"#).unwrap();
    let explanation = pattern.explain(br#"{"type":["a","b"]}"#).unwrap();
    let Explanation::Fails { field, wanted, reason, .. } = &explanation else { panic!("{explanation}") };
    assert_eq!(reason.to_string(), r#"is "a" and 1 more"#);
    assert_eq!(explanation.to_string(), format!("{field} must be one of {wanted}, but {reason}"));
    assert_eq!(Mismatch::Missing.to_string(), "has no value");

    let runtime = Runtime::new();
    runtime.bind("t", Trigger::on("a").to("f")).unwrap();
    let verdict =
        |ty| runtime.triggers().explain(&Event::builder(ty).id("1").source("/s").build().unwrap(), "t").unwrap();
    assert_eq!(verdict("a").to_string(), "the trigger matches");
    let Verdict::Fails { field, reason, .. } = verdict("b") else { panic!() };
    assert_eq!(verdict("b").to_string(), format!("{field}: {reason}"));
}

#[test]
fn a_retry_is_read_from_what_it_was_written_as() {
    let chosen = Retry::linear(Duration::from_millis(1_500)).max_delay(Duration::from_secs(9));
    let chosen = chosen.attempts(7).max_age(Duration::from_secs(60)).without_jitter();
    for retry in [Retry::default(), Retry::never(), chosen] {
        let json = serde_json::to_string(&retry).unwrap();
        assert_eq!(serde_json::from_str::<Retry>(&json).unwrap(), retry, "{json}");
        #[cfg(feature = "bincode")]
        {
            use dormouse::{Bincode, Codec};
            assert_eq!(Bincode.decode::<Retry>(&Bincode.encode(&retry).unwrap()).unwrap(), retry);
        }
    }
}

#[test]
fn a_retry_that_leaves_fields_out_keeps_their_defaults() {
    let read = |json: &str| serde_json::from_str::<Retry>(json);
    assert_eq!(read("{}").unwrap(), Retry::default());
    assert_eq!(read(r#"{"attempts":0}"#).unwrap(), Retry::default().attempts(1));
    assert_eq!(
        read(r#"{"shape":"fixed","delay":{"secs":600,"nanos":0}}"#).unwrap(),
        Retry::fixed(Duration::from_secs(600))
    );
    for wrong in [r#"{"delays":1}"#, r#"{"shape":"round"}"#, r#"{"attempts":-1}"#] {
        assert!(read(wrong).is_err(), "{wrong}");
    }
    assert!(read(r#"{"at_most":1}"#).unwrap_err().to_string().contains("unknown field"));
}

#[cfg(feature = "schedule")]
#[test]
fn what_becomes_of_missed_instants_is_a_word_or_a_number() {
    use dormouse::Missed;
    for (missed, text) in
        [(Missed::Skip, r#""skip""#), (Missed::Coalesce, r#""coalesce""#), (Missed::All(5), r#"{"all":5}"#)]
    {
        assert_eq!(serde_json::to_string(&missed).unwrap(), text);
        assert_eq!(serde_json::from_str::<Missed>(text).unwrap(), missed);
    }
    for wrong in [r#""none""#, r#"{"all":5,"some":1}"#, r#"{"all":-1}"#] {
        assert!(serde_json::from_str::<Missed>(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn every_public_type_can_be_printed_for_debugging() {
    fn debug<T: std::fmt::Debug>(_: &T) {}
    let index: PatternIndex<&str> = PatternIndex::new();
    index.add("a", &Pattern::parse(r#"{"a":[1]}"#).unwrap()).unwrap();
    assert_eq!(format!("{index:?}"), r#"{"a": "{\"a\":[1]}"}"#);
    debug(&dormouse::Matcher::new());
    debug(&Event::builder("t"));
    debug(&dormouse::Json);
    debug(&Trigger::on("a"));
}
