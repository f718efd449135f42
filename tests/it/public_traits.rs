//! Public types as Rust values: their equality, their texts, and what serde makes of them.

use std::{collections::HashSet, fmt, str::FromStr, time::Duration};

use dormouse::{
    Busy, ContractKind, DataKind, DeadLetter, DeadLetterReason, DeliveryError, DeliveryStats, DeployError,
    DeployReport, Event, EventError, EventLimits, Explanation, FunctionUsage, InvokeError, InvokeErrorKind, Ledger,
    Limits, MatchError, Mismatch, ParseError, Pattern, PatternError, PatternIndex, PublishError, RedriveError, Reply,
    Report, Reset, Retry, Runtime, RuntimeLimits, SessionReply, StartKind, TakenKey, Timestamp, TimestampError, Trap,
    Trigger, TriggerError, Value, Verdict, Version, WhenFull, kv,
};
use serde::{Serialize, de::DeserializeOwned};

use crate::support::guest;

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
fn an_error_of_the_function_wing_is_serialised_as_its_kind_and_its_text() {
    let runtime = Runtime::new();
    assert_eq!(json(&runtime.deploy("a b", b"").unwrap_err()).0, "invalid_name");
    let traps = runtime.deploy("traps", &guest("traps")).unwrap();
    let error = traps.call("unreachable", &[]).unwrap_err();
    assert_eq!(json(&error), ("trap".into(), error.to_string()));
    assert_eq!(json(error.kind()).0, "trap");
    assert_eq!(json(&Trap::StackOverflow).0, "stack_overflow");
    assert_eq!(json(&Busy::RuntimeInstances { limit: 1 }).0, "runtime_instances");
    assert_eq!(json(&"x".parse::<Reset>().unwrap_err()).0, "word");
    let publish = PublishError::TooLarge { bytes: 2, limit: 1 };
    assert_eq!(json(&publish).0, "too_large");
    assert_eq!(json(&runtime.deliveries().redrive(7).unwrap_err()).0, "no_such_letter");
    assert_eq!(json(&DeliveryError::from(publish)).0, "reply_refused");
    assert_eq!(json(&DeliveryError::from(error)).0, "invoke");
    let key = kv::CommitError::Conflict { key: (*b"k").into() };
    assert_eq!(json(&key).0, "conflict");
    let full = kv::Error::Full { namespace: "n".into(), size: kv::Size::MAX, quota: kv::Size::default() };
    assert_eq!(json(&full).0, "kv_full");
}

#[test]
fn errors_and_what_invocations_give_are_cloned_and_compared() {
    fn exact<T: Clone + Eq + fmt::Debug>() {}
    exact::<InvokeError>();
    exact::<InvokeErrorKind>();
    exact::<DeployError>();
    exact::<DeliveryError>();
    exact::<PublishError>();
    exact::<RedriveError>();
    exact::<ParseError>();
    exact::<Reply>();
    exact::<SessionReply<u8>>();
    exact::<Report>();
    exact::<DeployReport>();
    exact::<Ledger>();
    exact::<FunctionUsage>();
    exact::<DeadLetter>();
    let echo = Runtime::new().deploy("echo", &guest("echo")).unwrap();
    let reply = echo.invoke(b"hello").unwrap();
    assert_eq!(reply.clone(), reply);
    assert_eq!(AsRef::<[u8]>::as_ref(&reply), b"hello");
    assert_ne!(reply, echo.invoke(b"world").unwrap());
    let error = echo.call("none", &[]).unwrap_err();
    assert_eq!(error.clone(), error);
}

/// Each value is written as its word, and read from it alone.
#[track_caller]
fn words<T: fmt::Display + fmt::Debug + FromStr<Err = ParseError> + PartialEq>(all: &[(T, &str)], what: &str) {
    for (value, word) in all {
        assert_eq!(value.to_string(), *word);
        assert_eq!(word.parse::<T>().as_ref(), Ok(value));
    }
    let known: Vec<_> = all.iter().map(|(_, word)| *word).collect();
    let error = "x\n".parse::<T>().unwrap_err().to_string();
    assert_eq!(error, format!(r#""x\n" is not a {what}; use one of {}"#, known.join(", ")));
}

#[test]
fn a_word_is_read_as_what_is_written_as_it() {
    use ContractKind::{Buffer, Command, Extism, Plain};
    words(&[(Extism, "extism"), (Command, "command"), (Buffer, "buffer"), (Plain, "plain")], "contract");
    words(&[(StartKind::Cold, "cold"), (StartKind::Warm, "warm")], "start of an invocation");
    use Reset::{Auto, ByFaultCount, ByPageScan, Portable};
    let all = [(Auto, "auto"), (Portable, "portable"), (ByFaultCount, "by_fault_count"), (ByPageScan, "by_page_scan")];
    words(&all, "technique of cleaning");
    #[cfg(feature = "extism")]
    {
        use dormouse::LogLevel::{Debug, Error, Info, Off, Trace, Warn};
        let all = [(Trace, "trace"), (Debug, "debug"), (Info, "info"), (Warn, "warn"), (Error, "error"), (Off, "off")];
        words(&all, "log level");
    }
}

#[test]
fn a_version_is_read_from_its_64_digits_alone() {
    let version = Runtime::new().deploy("echo", &guest("echo")).unwrap().version().unwrap();
    let text = version.to_string();
    assert_eq!(text.parse::<Version>(), Ok(version));
    assert_eq!(text.to_uppercase().parse::<Version>(), Ok(version));
    assert_eq!(serde_json::to_string(&version).unwrap(), format!("{text:?}"));
    for wrong in [&text[1..], &format!("{text}0"), &format!("+{}", &text[1..]), &"ö".repeat(32), ""] {
        let error = wrong.parse::<Version>().unwrap_err();
        assert_eq!(error.to_string(), format!("{wrong:?} is not a version; give all 64 hexadecimal digits"));
    }
}

#[test]
fn limits_as_text_are_the_fields_that_differ_from_the_default() {
    assert_eq!(Limits::default().to_string(), "");
    assert_eq!("".parse(), Ok(Limits::default()));
    let limits = Limits { fuel: 50_000_000, memory_bytes: 8 << 20, ..Limits::default() };
    assert_eq!(limits.to_string(), "fuel=50000000 memory_bytes=8388608");
    for text in [
        "fuel=50000000 memory_bytes=8388608",
        "memory_bytes=8388608,fuel=50000000",
        " fuel=50000000 , memory_bytes=8388608,",
    ] {
        assert_eq!(text.parse(), Ok(limits.clone()), "{text}");
    }
    for (deadline, text) in [(Duration::from_millis(250), "deadline=250ms"), (Duration::MAX, "deadline=none")] {
        let limits = Limits { deadline, locals: 1, ..Limits::default() };
        assert_eq!(limits.to_string(), format!("{text} locals=1"));
        assert_eq!(limits.to_string().parse(), Ok(limits));
    }
}

#[test]
fn limits_that_cannot_be_read_say_what_where_and_what_to_do() {
    let says = |text: &str| text.parse::<Limits>().unwrap_err().to_string();
    let unknown = says("fuel=1 feul=2");
    assert!(unknown.starts_with(r#"no limit is named "feul"; the limits are fuel, deadline, "#), "{unknown}");
    assert!(unknown.ends_with(", locals"), "{unknown}");
    assert_eq!(says("fuel"), r#""fuel" is not a limit; write each as field=value, as in fuel=50000000"#);
    assert_eq!(says("fuel=1 fuel=1"), "the limit fuel is given twice; give it once");
    let fuel = r#"the limit fuel cannot be "-1"; give a whole number, 18446744073709551615 at most"#;
    assert_eq!(says("fuel=-1"), fuel);
    let deadline = "a whole number and a unit of ns, us, ms and s, as in 250ms, or none";
    assert_eq!(says("deadline=1h"), format!(r#"the limit deadline cannot be "1h"; give {deadline}"#));
    let locals = says("locals=4294967296");
    assert!(locals.ends_with("give a whole number, 4294967295 at most"), "{locals}");
    assert!(says(&"x".repeat(10_000)).len() < 400);
}

/// Serde gives the value back, an empty map is the default, and an unknown field is an error.
#[track_caller]
fn configures<T: Serialize + DeserializeOwned + Default + PartialEq + fmt::Debug>(changed: &T, json: &str) {
    assert_ne!(*changed, T::default());
    assert_eq!(serde_json::from_str::<T>(json).unwrap(), *changed);
    for value in [changed, &T::default()] {
        let text = serde_json::to_string(value).unwrap();
        assert_eq!(serde_json::from_str::<T>(&text).unwrap(), *value, "{text}");
        #[cfg(feature = "bincode")]
        {
            use dormouse::{Bincode, Codec};
            assert_eq!(Bincode.decode::<T>(&Bincode.encode(value).unwrap()).unwrap(), *value);
        }
    }
    assert_eq!(serde_json::from_str::<T>("{}").unwrap(), T::default());
    let error = serde_json::from_str::<T>(r#"{"x": 1}"#).unwrap_err().to_string();
    assert!(error.contains("unknown field"), "{error}");
}

#[test]
fn limits_are_read_from_what_they_were_written_as_and_keep_defaults() {
    let limits = Limits { fuel: 7, deadline: Duration::MAX, ..Limits::default() };
    configures(&limits, r#"{"fuel": 7, "deadline": "none"}"#);
    let limits = RuntimeLimits { idle_for: Duration::from_millis(1_500), ..RuntimeLimits::default() };
    configures(&limits, r#"{"idle_for": "1500ms"}"#);
    let limits = EventLimits { hops: 3, when_full: WhenFull::DropOldest, ..EventLimits::default() };
    configures(&limits, r#"{"hops": 3, "when_full": "drop_oldest"}"#);
    configures(&kv::Limits { list: 3, ..kv::Limits::default() }, r#"{"list": 3}"#);
    let error = serde_json::from_str::<Limits>(r#"{"deadline": "soon"}"#).unwrap_err().to_string();
    assert!(error.contains(r#"string "soon""#) && error.contains("250ms"), "{error}");
}

#[test]
fn reports_and_counts_are_serialised_with_the_names_of_their_methods() {
    let runtime = Runtime::new();
    let echo = runtime.deploy("echo", &guest("echo")).unwrap();
    let reply = echo.invoke(b"hello").unwrap();
    let (report, version) = (reply.report(), echo.version().unwrap().to_string());
    let value = serde_json::to_value(report).unwrap();
    assert_eq!((&value["function"], &value["version"]), (&"echo".into(), &version.clone().into()));
    assert_eq!((&value["start"], &value["outcome"], &value["log_cut"]), (&"cold".into(), &"ok".into(), &false.into()));
    assert_eq!(value["duration_ns"], report.duration().as_nanos() as u64);
    let figures = ["fuel", "memory", "input", "output", "host_calls"].map(|name| value[name].as_u64().unwrap());
    assert_eq!(figures, [report.fuel(), report.memory_bytes(), 5, 5, 0]);

    let report = echo.deploy_report().unwrap();
    let value = serde_json::to_value(&report).unwrap();
    assert_eq!((&value["version"], &value["contract"]), (&version.into(), &"buffer".into()));
    assert_eq!((&value["reset"], &value["functions"]), (&report.reset().into(), &report.functions().into()));
    assert_eq!(value["duration_ns"], report.duration().as_nanos() as u64);

    let ledger = runtime.ledger();
    assert_eq!(serde_json::to_string(&ledger).unwrap(), ledger.to_json());
    let value = serde_json::to_value(DeliveryStats::default()).unwrap();
    assert_eq!((&value["matched"], &value["dead_letters"]), (&0.into(), &0.into()));
    for reason in
        [DeadLetterReason::Attempts, DeadLetterReason::Age, DeadLetterReason::Permanent, DeadLetterReason::Loop]
    {
        assert_eq!(serde_json::to_value(reason).unwrap(), reason.name());
    }
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
