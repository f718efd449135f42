//! Events: each rule of CloudEvents 1.0 and of its JSON form, with events that follow it and events
//! that break it.

use dormouse::{Attribute, DataKind, Event, EventError, Timestamp};

/// An event with members added to the required ones.
fn with(members: &str) -> String {
    format!(r#"{{"specversion":"1.0","id":"1","source":"/s","type":"t"{members}}}"#)
}

fn parse(members: &str) -> Result<Event, EventError> {
    Event::parse(with(members).as_bytes())
}

/// The attribute that an error is about.
fn named(error: &EventError) -> &str {
    match error {
        EventError::Character { attribute, .. }
        | EventError::Duplicate { attribute }
        | EventError::Empty { attribute }
        | EventError::Invalid { attribute, .. }
        | EventError::Time { attribute, .. }
        | EventError::Type { attribute, .. } => attribute,
        EventError::Missing { attribute } => attribute,
        EventError::ExtensionName { name, .. } => name,
        EventError::SpecVersion { .. } => "specversion",
        other => panic!("no attribute is named: {other}"),
    }
}

fn refused(members: &str) -> EventError {
    let error = parse(members).expect_err(members);
    assert!(error.to_string().contains(named(&error)), "{error}");
    error
}

#[test]
fn the_required_attributes_suffice() {
    let event = parse("").unwrap();
    assert_eq!((event.id(), event.source(), event.ty()), ("1", "/s", "t"));
    assert_eq!(
        (event.subject(), event.time_text(), event.data_content_type(), event.data_schema()),
        (None, None, None, None)
    );
    assert_eq!((event.data(), event.data_kind(), event.expires()), (None, None, None));
    assert_eq!(event.extensions().count(), 0);
    assert_eq!(event.to_json(), with("").as_bytes());
}

#[test]
fn all_attributes_are_read_and_written_again() {
    let members = concat!(
        r#","datacontenttype":"application/json; charset=utf-8","dataschema":"https://example.com/schema#1","#,
        r#""subject":"größe/1","time":"2026-11-21T10:00:00.120+02:00","a":true,"b1":-5,"zone":"x \"y\"","data":{"n":[1, 2.50]}"#
    );
    let event = parse(members).unwrap();
    assert_eq!(event.data_content_type(), Some("application/json; charset=utf-8"));
    assert_eq!(event.data_schema(), Some("https://example.com/schema#1"));
    assert_eq!(event.subject(), Some("größe/1"));
    assert_eq!(event.time_text(), Some("2026-11-21T10:00:00.120+02:00"));
    assert_eq!(event.time(), Some("2026-11-21T08:00:00.12Z".parse().unwrap()));
    assert_eq!(event.data(), Some(&br#"{"n":[1, 2.50]}"#[..]));
    assert_eq!(String::from_utf8(event.to_json()).unwrap(), with(members));
    assert_eq!(Event::parse(&event.to_json()).unwrap(), event);
}

#[test]
fn attributes_are_found_by_name() {
    let event = parse(r#","subject":"u","time":"2026-01-01T00:00:00Z","flag":false,"n":7,"partitionkey":"k""#).unwrap();
    let text = |name: &str| event.attribute(name).map(|value| value.to_string());
    for (name, value) in [("specversion", "1.0"), ("id", "1"), ("source", "/s"), ("type", "t"), ("subject", "u")] {
        assert_eq!(text(name).as_deref(), Some(value), "{name}");
    }
    assert_eq!(text("time").as_deref(), Some("2026-01-01T00:00:00Z"));
    assert_eq!(event.attribute("flag"), Some(Attribute::Boolean(false)));
    assert_eq!(event.attribute("n"), Some(Attribute::Integer(7)));
    assert_eq!(event.attribute("partitionkey"), Some("k".into()));
    assert_eq!(event.attribute("dataschema"), None);
    assert_eq!(event.attribute("other"), None);
    let names: Vec<&str> = event.attributes().map(|(name, _)| name).collect();
    assert_eq!(names, ["specversion", "id", "source", "type", "subject", "time", "flag", "n", "partitionkey"]);
}

#[test]
fn each_required_attribute_is_required() {
    let all = [("specversion", r#""1.0""#), ("id", r#""1""#), ("source", r#""/s""#), ("type", r#""t""#)];
    for (left_out, _) in all {
        let kept = all.iter().filter(|(name, _)| *name != left_out);
        let members: Vec<String> = kept.map(|(name, value)| format!("{name:?}:{value}")).collect();
        for null in ["", &format!(",{left_out:?}:null")] {
            let text = format!("{{{}{null}}}", members.join(","));
            assert_eq!(Event::parse(text.as_bytes()), Err(EventError::Missing { attribute: left_out }), "{text}");
        }
    }
}

#[test]
fn no_attribute_may_be_empty() {
    for name in ["id", "source", "type"] {
        let text = with("").replace(&format!("{name:?}:"), &format!("{name:?}:\"\",\"x{name}\":"));
        assert_eq!(named(&Event::parse(text.as_bytes()).unwrap_err()), name);
    }
    for name in ["datacontenttype", "dataschema", "subject", "time"] {
        let error = refused(&format!(r#",{name:?}:"""#));
        assert_eq!(error, EventError::Empty { attribute: name.into() });
    }
    // An extension may be so.
    assert_eq!(parse(r#","x":"""#).unwrap().attribute("x"), Some("".into()));
}

#[test]
fn attributes_of_another_type_are_refused() {
    for value in ["5", "{}", "[]", "true"] {
        for name in ["subject", "time", "datacontenttype", "dataschema", "data_base64"] {
            let error = refused(&format!(",{name:?}:{value}"));
            assert!(matches!(error, EventError::Type { .. }), "{error}");
            assert_eq!(named(&error), name);
        }
        let text = with("").replace(r#""id":"1""#, &format!(r#""id":{value}"#));
        let error = Event::parse(text.as_bytes()).unwrap_err();
        assert!(matches!(error, EventError::Type { .. }) && named(&error) == "id", "{error}");
    }
    for value in ["{}", "[]", "[1]"] {
        assert!(matches!(refused(&format!(r#","x":{value}"#)), EventError::Type { .. }));
    }
}

#[test]
fn only_version_1_0_is_read() {
    for version in ["1", "1.0.2", "0.3", "2.0", ""] {
        let text = with("").replace("1.0", version);
        assert_eq!(Event::parse(text.as_bytes()), Err(EventError::SpecVersion { found: version.into() }));
    }
}

#[test]
fn a_null_attribute_is_an_absent_one() {
    let event = parse(r#","subject":null,"time":null,"x":null,"data_base64":null,"data":1"#).unwrap();
    assert_eq!(event, parse(r#","data":1"#).unwrap());
}

#[test]
fn a_member_may_not_stand_there_twice() {
    for members in
        [r#","id":"2""#, r#","x":1,"x":1"#, r#","x":null,"x":1"#, r#","data":1,"data":1"#, r#","\u0069d":"2""#]
    {
        assert!(matches!(refused(members), EventError::Duplicate { .. }), "{members}");
    }
}

#[test]
fn data_is_kept_byte_for_byte() {
    for json in [r#"{"a": 1.0e0,"a":2}"#, "[ ]", "12345678901234567890", "true", r#""\u00e4""#, "1e400"] {
        let event = parse(&format!(r#","data": {json} "#)).unwrap();
        assert_eq!((event.data(), event.data_kind()), (Some(json.as_bytes()), Some(DataKind::Json)));
        assert_eq!(Event::parse(&event.to_json()).unwrap(), event);
    }
}

#[test]
fn null_is_data_and_no_data_is_not() {
    let null = parse(r#","data":null"#).unwrap();
    assert_eq!(null.data(), Some(&b"null"[..]));
    assert_ne!(null, parse("").unwrap());
    assert_eq!(Event::parse(&null.to_json()).unwrap(), null);
}

#[test]
fn a_string_is_json_or_text_as_its_media_type_says() {
    for ty in ["application/json", "application/JSON", "text/json; charset=\"a;\\\"b\"", "application/vnd.x+Json"] {
        let ty = format!("{ty:?}");
        let event = parse(&format!(r#","datacontenttype":{ty},"data":"a\"b""#)).unwrap();
        assert_eq!((event.data(), event.data_kind()), (Some(&br#""a\"b""#[..]), Some(DataKind::Json)), "{ty}");
    }
    for ty in ["text/plain", "application/xml", "application/jsonx", "application/x-json", "json/x"] {
        let event = parse(&format!(r#","datacontenttype":"{ty}","data":"a\"b\u00e4""#)).unwrap();
        assert_eq!((event.data(), event.data_kind()), (Some("a\"bä".as_bytes()), Some(DataKind::Text)), "{ty}");
        assert_eq!(Event::parse(&event.to_json()).unwrap(), event);
    }
    // A value other than a string is kept unchanged.
    let event = parse(r#","datacontenttype":"application/xml","data":{"a":1}"#).unwrap();
    assert_eq!(event.data_kind(), Some(DataKind::Json));
    assert_eq!(Event::parse(&event.to_json()).unwrap(), event);
}

/// RFC 8259, section 7: each escape is read. What must be escaped is written so that other readers
/// find the same.
#[test]
fn each_escape_is_read_and_each_character_is_written_as_other_readers_have_it() {
    let escapes = r#"\"\\\/\b\f\n\r\t\u0041\u00e9\u20AC\uD83d\uDE00"#;
    let event = parse(&format!(r#","datacontenttype":"text/plain","data":"{escapes}""#)).unwrap();
    assert_eq!(event.data(), Some("\"\\/\u{8}\u{c}\n\r\tA\u{e9}\u{20ac}\u{1f600}".as_bytes()));
    let all: String = (0..0x100).chain([0x20ac, 0xffff, 0x1f600]).filter_map(char::from_u32).collect();
    let event = Event::builder("t").id("1").source("/s").data_text(&all).build().unwrap();
    let json: serde_json::Value = serde_json::from_slice(&event.to_json()).unwrap();
    assert_eq!(json["data"], *all);
    assert_eq!(Event::parse(&event.to_json()).unwrap().data(), Some(all.as_bytes()));
}

#[test]
fn binary_data_is_base64() {
    let event = parse(r#","data_base64":"AAEC/w==""#).unwrap();
    assert_eq!((event.data(), event.data_kind()), (Some(&[0, 1, 2, 255][..]), Some(DataKind::Binary)));
    assert_eq!(Event::parse(&event.to_json()).unwrap(), event);
    assert_eq!(parse(r#","data_base64":"""#).unwrap().data(), Some(&[][..]));
    for bad in ["AAEC/w", "AAEC/w=", "AA EC", "AAE_", "=", "A"] {
        let error = parse(&format!(r#","data_base64":"{bad}""#)).unwrap_err();
        assert!(
            matches!(&error, EventError::Base64 { .. }) && error.to_string().contains("data_base64"),
            "{bad}: {error}"
        );
    }
    for both in [r#","data":null,"data_base64":"""#, r#","data_base64":"AA==","data":1"#] {
        assert_eq!(parse(both), Err(EventError::TwoPayloads));
    }
}

#[test]
fn extensions_are_booleans_integers_and_strings() {
    let event = parse(r#","t":true,"lo":-2147483648,"hi":2147483647,"s":"1.5","zero":-0"#).unwrap();
    assert_eq!(event.attribute("lo"), Some(i32::MIN.into()));
    assert_eq!(event.attribute("hi"), Some(i32::MAX.into()));
    assert_eq!(event.attribute("zero"), Some(0.into()));
    for number in ["2147483648", "-2147483649", "1.0", "1e0", "0.5", "99999999999999999999"] {
        assert!(matches!(refused(&format!(r#","x":{number}"#)), EventError::Type { .. }), "{number}");
    }
}

#[test]
fn extension_names_are_small_letters_and_digits() {
    assert!(parse(r#","0a9z":"1""#).is_ok());
    for name in ["A", "aB", "a.b", "a-b", "a_b", "", "ä", "a b", "Data", "ID"] {
        for value in ["1", "null"] {
            let error = parse(&format!(",{name:?}:{value}")).expect_err(name);
            assert!(matches!(&error, EventError::ExtensionName { name: named, .. } if **named == *name), "{error}");
        }
    }
    for own in ["data", "id", "specversion", "data_base64", "time"] {
        let error = Event::builder("t").id("1").source("/").extension(own, 1).build().unwrap_err();
        assert!(matches!(error, EventError::ExtensionName { .. }), "{error}");
    }
}

#[test]
fn strings_hold_no_control_characters_and_no_non_characters() {
    for bad in [
        r"\u0000",
        r"\u001f",
        r"\u007f",
        r"\u0085",
        r"\ufffe",
        r"\uffff",
        r"\ufdd0",
        r"\ufdef",
        r"\ud83f\udffe",
        "\u{10ffff}",
    ] {
        for name in ["subject", "x"] {
            let error = refused(&format!(r#",{name:?}:"a{bad}""#));
            assert!(matches!(error, EventError::Character { .. }) && named(&error) == name, "{bad}: {error}");
        }
    }
    for good in [r"\u00a0", r"\ue000", r"\ud83d\ude00", "\u{fffd}", "\u{fdf0}", r#"\\ \" \/"#] {
        assert!(parse(&format!(r#","subject":"a{good}""#)).is_ok(), "{good}");
    }
    for lone in [r"\ud800", r"\udc00", r"\ud800\u0041", r"\udc00\ud800"] {
        assert!(matches!(parse(&format!(r#","subject":"a{lone}""#)), Err(EventError::Json(_))), "{lone}");
    }
    // Data may hold them, as they are escaped there.
    assert!(parse(r#","data":"\u0000\uffff""#).is_ok());
}

#[test]
fn sources_are_uri_references() {
    for good in [
        "/",
        "a",
        "https://h:1/p?q#f",
        "urn:uuid:1-2",
        "mailto:a@b.c",
        "1-555-123-4567",
        "//h/x",
        "?q",
        "#f",
        "../a:b",
        "http://[::1]/",
        "a%20b",
        "a//b",
    ] {
        let event = Event::builder("t").id("1").source(good).build();
        assert_eq!(event.as_ref().map(Event::source), Ok(good));
    }
    for bad in ["a b", "a%2", "a%zz", "<a>", "a\\b", "1:b", ":a", "a^b", "ä", "a#b#c", "[a]", "a|b", "a\"b"] {
        let error = Event::builder("t").id("1").source(bad).build().expect_err(bad);
        assert!(matches!(&error, EventError::Invalid { attribute, .. } if **attribute == *"source"), "{error}");
    }
}

#[test]
fn schemas_are_absolute_uris() {
    assert!(parse(r#","dataschema":"urn:x:y""#).is_ok());
    for bad in ["/schema", "schema", "//h/s", "?a:b", "1a:b", "http://a b"] {
        assert_eq!(named(&refused(&format!(r#","dataschema":"{bad}""#))), "dataschema", "{bad}");
    }
}

#[test]
fn content_types_are_media_types() {
    for good in ["a/b", "application/vnd.x.y+json", "text/plain;charset=utf-8", "text/plain ; a=b ; c=\\\"d e\\\""] {
        assert!(parse(&format!(r#","datacontenttype":"{good}""#)).is_ok(), "{good}");
    }
    for bad in
        ["json", "/json", "a/", "a/b/c", "a b/c", "a/b;", "a/b;c", "a/b;c=", "a/b;=d", "a/b;c=\\\"d", "ä/b", "a/b c"]
    {
        assert_eq!(named(&refused(&format!(r#","datacontenttype":"{bad}""#))), "datacontenttype", "{bad}");
    }
}

#[test]
fn times_are_rfc_3339() {
    let same = [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01t00:00:00z", 0),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1969-12-31T23:30:00-00:30", 0),
        ("1969-12-31T23:59:59.5Z", -500_000_000),
        ("2000-02-29T12:00:00.123456789Z", 951_825_600_123_456_789),
        ("2000-02-29T12:00:00.12345678999Z", 951_825_600_123_456_789),
        ("2016-12-31T23:59:60Z", 1_483_228_800_000_000_000),
        ("2017-01-01T00:59:60.7+01:00", 1_483_228_800_000_000_000),
        ("0000-01-01T00:00:00Z", -62_167_219_200_000_000_000),
        ("9999-12-31T23:59:59.999999999Z", 253_402_300_799_999_999_999),
    ];
    for (text, nanos) in same {
        let event = parse(&format!(r#","time":"{text}""#)).unwrap();
        assert_eq!(event.time().map(Timestamp::unix_nanos), Some(nanos), "{text}");
        assert_eq!(event.time_text(), Some(text));
    }
    let bad = [
        "2026-11-21",
        "2026-11-21T10:00Z",
        "2026-11-21T10:00:00",
        "2026-11-21 10:00:00Z",
        "2026-11-21T10:00:00.Z",
        "2026-11-21T10:00:00+2:00",
        "2026-11-21T10:00:00+0200",
        "2026-11-21T10:00:00+24:00",
        "2026-11-21T10:00:00+01:60",
        "2026-13-01T00:00:00Z",
        "2026-00-01T00:00:00Z",
        "2026-02-29T00:00:00Z",
        "1900-02-29T00:00:00Z",
        "2026-04-31T00:00:00Z",
        "2026-01-00T00:00:00Z",
        "2026-01-01T24:00:00Z",
        "2026-01-01T00:60:00Z",
        "2026-01-01T00:00:61Z",
        "2026-01-01T00:00:60Z",
        "0000-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        "26-01-01T00:00:00Z",
        "+026-01-01T00:00:00Z",
        "٢026-01-01T00:00:00Z",
        "2026-01-01T00:00:00Zjunk",
        "yesterday",
    ];
    for text in bad {
        let error = refused(&format!(r#","time":"{text}""#));
        assert!(matches!(error, EventError::Time { .. }) && named(&error) == "time", "{text}: {error}");
    }
}

#[test]
fn timestamps_are_written_as_they_are_read() {
    let mut nanos: i128 = -62_167_219_200_000_000_000;
    // Steps of some 97 days meet each month and many leap years.
    while let Some(instant) = Timestamp::from_unix_nanos(nanos) {
        assert_eq!(instant.to_string().parse(), Ok(instant), "{nanos}");
        nanos += 97 * 86_400_000_000_000 + 3_599_001_000_000;
    }
    assert!(nanos > 253_402_300_799_999_999_999);
    let epoch = Timestamp::UNIX_EPOCH;
    let later = epoch.checked_add(std::time::Duration::from_millis(1_500)).unwrap();
    assert_eq!(later.to_string(), "1970-01-01T00:00:01.5Z");
    assert_eq!(later.duration_since(epoch), Some(std::time::Duration::from_millis(1_500)));
    assert_eq!(epoch.duration_since(later), None);
}

#[test]
fn an_expiry_time_is_a_time() {
    assert_eq!(
        parse(r#","expirytime":"2026-01-01T00:00:00Z""#).unwrap().expires(),
        Some("2026-01-01T00:00:00Z".parse().unwrap())
    );
    for bad in [r#""soon""#, "5", "true", r#""""#] {
        assert_eq!(named(&refused(&format!(r#","expirytime":{bad}"#))), "expirytime");
    }
    let event = Event::builder("t").id("1").source("/").expires(Timestamp::UNIX_EPOCH).build().unwrap();
    assert_eq!(event.expires(), Some(Timestamp::UNIX_EPOCH));
}

#[test]
fn malformed_json_is_reported_with_its_offset() {
    for (text, offset) in
        [("", 0), ("{", 1), ("[]", 0), ("1", 0), (r#"{"id":}"#, 6), (r#"{"data":[1,]}"#, 11), ("{} {}", 3)]
    {
        match Event::parse(text.as_bytes()) {
            Err(EventError::Json(error)) => assert_eq!(error.offset(), offset, "{text}: {error}"),
            Err(EventError::Missing { .. }) if text == "{} {}" => {}
            other => panic!("{text}: {other:?}"),
        }
    }
    let text = with("") + "x";
    assert!(matches!(Event::parse(text.as_bytes()), Err(EventError::Json(error)) if error.offset() == text.len() - 1));
    let text = [with("").as_bytes(), b"\xff"].concat();
    assert!(matches!(Event::parse(&text), Err(EventError::Json(_))));
    let deep = format!(r#","data":{}{}"#, "[".repeat(255), "]".repeat(255));
    assert!(parse(&deep).is_ok());
    let deep = format!(r#","data":{}{}"#, "[".repeat(256), "]".repeat(256));
    assert!(matches!(parse(&deep), Err(EventError::Json(_))));
}

#[test]
fn an_event_has_a_mebibyte_at_most_unless_said_otherwise() {
    let room = Event::BYTES_MAX - with(r#","data":"""#).len();
    let fits = with(&format!(r#","data":"{}""#, "x".repeat(room)));
    assert_eq!(fits.len(), 1 << 20);
    assert!(Event::parse(fits.as_bytes()).is_ok());
    let above = with(&format!(r#","data":"{}""#, "x".repeat(room + 1)));
    let refused = EventError::TooLarge { bytes: (1 << 20) + 1, limit: 1 << 20 };
    assert_eq!(Event::parse(above.as_bytes()), Err(refused.clone()));
    assert!(Event::parse_within(above.as_bytes(), 2 << 20).is_ok());
    assert!(Event::parse_batch(format!("[{fits},{fits}]").as_bytes()).is_ok());
    let error = Event::parse_batch(format!("[{fits},{above}]").as_bytes()).unwrap_err();
    assert_eq!(error, EventError::InBatch { position: 1, error: Box::new(refused.clone()) });

    let build = |bytes: usize| Event::builder("t").id("1").source("/s").data_value(&"x".repeat(bytes));
    assert!(build(room).build().is_ok());
    assert_eq!(build(room + 1).build(), Err(refused));
    assert!(build(room + 1).bytes_max(2 << 20).build().is_ok());
}

#[test]
fn batches_are_arrays_of_events() {
    let events = Event::parse_batch(format!(" [ {} , {} ] ", with(""), with(r#","data":[1]"#)).as_bytes()).unwrap();
    assert_eq!(events, [parse("").unwrap(), parse(r#","data":[1]"#).unwrap()]);
    assert_eq!(Event::parse_batch(&Event::batch_to_json(&events)).unwrap(), events);
    assert_eq!(Event::parse_batch(b"[]").unwrap(), []);
    assert_eq!(Event::batch_to_json(&[]), b"[]");
    let bad = format!("[{},{}]", with(""), r#"{"id":1}"#);
    match Event::parse_batch(bad.as_bytes()) {
        Err(EventError::InBatch { position: 1, error }) => assert_eq!(named(&error), "id"),
        other => panic!("{other:?}"),
    }
    for bad in ["{}", "[1]", "[{}", "[,]", "[] []", "null"] {
        assert!(Event::parse_batch(bad.as_bytes()).is_err(), "{bad}");
    }
}

#[test]
fn a_built_event_is_the_one_that_is_read() {
    let when: Timestamp = "2026-11-21T10:00:00Z".parse().unwrap();
    let event = Event::builder("t")
        .id("1")
        .source("/s")
        .subject("u")
        .time(when)
        .data_schema("urn:s")
        .data_content_type("application/json")
        .extension("b", true)
        .extension("a", "x")
        .extension("when", when)
        .extension("raw", Attribute::binary(&[1, 2]))
        .data_json(" {\"n\": 1} ")
        .build()
        .unwrap();
    assert_eq!(event.data(), Some(&b"{\"n\": 1}"[..]));
    assert_eq!(event.attribute("raw").and_then(|raw| raw.to_binary()), Some(vec![1, 2]));
    assert_eq!(event.attribute("when").and_then(|text| text.to_timestamp()), Some(when));
    assert_eq!(Event::parse(&event.to_json()).unwrap(), event);
}

#[test]
fn a_builder_wants_id_and_source_or_takes_them_from_its_caller() {
    assert_eq!(Event::builder("t").source("/s").build(), Err(EventError::Missing { attribute: "id" }));
    assert_eq!(Event::builder("t").id("1").build(), Err(EventError::Missing { attribute: "source" }));
    let epoch = Timestamp::UNIX_EPOCH;
    let filled = Event::builder("t").build_with("drawn", "/runtime", epoch).unwrap();
    assert_eq!((filled.id(), filled.source(), filled.time()), ("drawn", "/runtime", Some(epoch)));
    let given = Event::builder("t").id("1").source("/s").time_text("2026-01-01T00:00:00-05:00");
    let given = given.build_with("drawn", "/runtime", epoch).unwrap();
    assert_eq!((given.id(), given.source(), given.time_text()), ("1", "/s", Some("2026-01-01T00:00:00-05:00")));
}

#[test]
fn a_builder_refuses_what_a_reader_would() {
    let begin = || Event::builder("t").id("1").source("/s");
    assert!(matches!(Event::builder("").id("1").source("/s").build(), Err(EventError::Empty { .. })));
    assert!(matches!(begin().subject("").build(), Err(EventError::Empty { .. })));
    assert!(matches!(begin().subject("a\u{7}").build(), Err(EventError::Character { .. })));
    assert!(matches!(begin().extension("x", 1).extension("x", 2).build(), Err(EventError::Duplicate { .. })));
    assert!(matches!(begin().data_json("{").build(), Err(EventError::Json(error)) if error.offset() == 1));
    assert!(matches!(begin().data_json("1 2").build(), Err(EventError::Json(error)) if error.offset() == 2));
    assert!(matches!(begin().data_json("").build(), Err(EventError::Json(_))));
    assert!(matches!(
        begin().data_json("1").data_content_type("text/plain").build(),
        Err(EventError::ContentType { .. })
    ));
    assert!(matches!(
        begin().data_text("1").data_content_type("a/b+json").build(),
        Err(EventError::ContentType { .. })
    ));
    let text = begin().data_text("1").build().unwrap();
    assert_eq!((text.data_content_type(), text.data_kind()), (Some("text/plain"), Some(DataKind::Text)));
    assert_eq!(Event::parse(&text.to_json()).unwrap(), text);
    let map = std::collections::BTreeMap::from([([1, 2], 3)]);
    assert!(matches!(begin().data_value(&map).build(), Err(EventError::Serialize { .. })));
}

#[test]
fn events_are_shared_not_copied() {
    fn anywhere<T: Clone + Send + Sync + 'static>(_: &T) {}
    let event = parse(r#","data":[1,2,3]"#).unwrap();
    anywhere(&event);
    let copy = event.clone();
    assert_eq!(copy.data().unwrap().as_ptr(), event.data().unwrap().as_ptr());
    assert_eq!(copy, event);
}

#[test]
fn the_systems_time_is_a_date_from_the_year_0_to_9999() {
    use std::time::{Duration, SystemTime};
    let date = |time: SystemTime| Timestamp::try_from(time).map(|date| date.to_string());
    assert_eq!(date(SystemTime::UNIX_EPOCH + Duration::from_millis(1_500)).unwrap(), "1970-01-01T00:00:01.5Z");
    assert_eq!(date(SystemTime::UNIX_EPOCH - Duration::from_millis(500)).unwrap(), "1969-12-31T23:59:59.5Z");
    let years = |years: u64| Duration::from_secs(years * 365 * 86_400);
    for time in [SystemTime::UNIX_EPOCH + years(9_000), SystemTime::UNIX_EPOCH - years(2_000)] {
        assert!(date(time).unwrap_err().to_string().contains("year"));
    }
}

#[test]
fn an_attribute_says_what_its_text_can_be_read_as() {
    let event = parse(r#","a":"https://x.org/y","b":"../y","c":"a b","d":7,"e":true"#).unwrap();
    let kinds = ["a", "b", "c", "d", "e"].map(|name| {
        let value = event.attribute(name).unwrap();
        (value.is_uri(), value.is_uri_reference(), value.into_string())
    });
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(
        kinds,
        [
            (true, true, text("https://x.org/y")),
            (false, true, text("../y")),
            (false, false, text("a b")),
            (false, false, None),
            (false, false, None)
        ]
    );
}
