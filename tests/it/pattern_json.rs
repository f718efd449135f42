//! Matching of JSON: what is malformed and where, what matching steps over, and how deep events may
//! be.

use dormouse::{JsonProblem, MatchError, Pattern};

use crate::patterns::pattern;

fn problem(pattern: &Pattern, event: &[u8]) -> (usize, JsonProblem) {
    match pattern.matches(event) {
        Err(MatchError::Json(error)) => (error.offset(), error.problem()),
        other => panic!("{}: {other:?}", String::from_utf8_lossy(event)),
    }
}

#[test]
fn events_are_one_json_object() {
    let pattern = pattern(r#"{"a":[1]}"#);
    let problem = |event: &[u8]| problem(&pattern, event);
    for (event, offset, expected) in [
        ("", 0, JsonProblem::End),
        ("  ", 2, JsonProblem::End),
        ("[]", 0, JsonProblem::Object),
        (" 1", 1, JsonProblem::Object),
        ("{} {}", 3, JsonProblem::Trailing),
        (r#"{"a":1}x"#, 7, JsonProblem::Trailing),
        (r#"{"a":1"#, 6, JsonProblem::End),
        (r#"{"a":1,}"#, 7, JsonProblem::Key),
        (r#"{"a" 1}"#, 5, JsonProblem::Colon),
        (r#"{"a":1 "b":1}"#, 7, JsonProblem::Comma),
        (r#"{"b":}"#, 5, JsonProblem::Value),
        (r#"{"b":nul}"#, 8, JsonProblem::Value),
        (r#"{"b":tru"#, 8, JsonProblem::End),
        (r#"{"b":01}"#, 6, JsonProblem::Number),
        (r#"{"b":-}"#, 6, JsonProblem::Number),
        (r#"{"b":1.}"#, 7, JsonProblem::Number),
        (r#"{"b":.5}"#, 5, JsonProblem::Value),
        (r#"{"b":1e}"#, 7, JsonProblem::Number),
        (r#"{"b":+1}"#, 5, JsonProblem::Value),
        (r#"{"b":NaN}"#, 5, JsonProblem::Value),
        ("{\"b\":\"\n\"}", 6, JsonProblem::Control),
        (r#"{"b":"\x"}"#, 6, JsonProblem::Escape),
        (r#"{"b":"\u12g4"}"#, 6, JsonProblem::Escape),
        (r#"{"b":"\ud800"}"#, 6, JsonProblem::Surrogate),
        (r#"{"b":"\ud800\u0041"}"#, 6, JsonProblem::Surrogate),
        (r#"{"b":"\udc00"}"#, 6, JsonProblem::Surrogate),
        (r#"{"b":"abc"#, 9, JsonProblem::End),
        (r#"{"b":"abc\"#, 10, JsonProblem::End),
        (r#"{'b':1}"#, 1, JsonProblem::Key),
        ("\u{feff}{}", 0, JsonProblem::Value),
    ] {
        assert_eq!(problem(event.as_bytes()), (offset, expected), "{event}");
        // The same in the part that a pattern names.
        let named = event.replace("\"b\"", "\"a\"");
        assert_eq!(problem(named.as_bytes()), (offset, expected), "{named}");
    }
    for bytes in [&b"\xff"[..], b"a\xc3", b"\xc0\x80", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"12345678\xe2\x82"] {
        for key in [b'a', b'b'] {
            let event = [&[b'{', b'"', key, b'"', b':', b'"'], bytes, b"\"}"].concat();
            let (offset, what) = problem(&event);
            assert!(
                what == JsonProblem::Utf8 && offset >= 6 && offset < 6 + bytes.len(),
                "{bytes:x?}: {offset} {what}"
            );
        }
    }
    for good in [
        "{}",
        " { \"b\" : [ ] , \"c\" : { } } \r\n\t",
        r#"{"b":"\ud83d\ude00\/\b\f\n\r\t\"\\"}"#,
        r#"{"b":-0.0e-0}"#,
        "{\"b\":\"\u{7f}ä€😀\"}",
    ] {
        assert_eq!(pattern.matches(good.as_bytes()), Ok(false), "{good}");
    }
}

#[test]
fn members_are_read_alike_with_space_around_them_and_without() {
    let pattern = pattern(r#"{"want":["yes"]}"#);
    // This leaves out the spaces of `event`, which stand only between members.
    let outcome = |event: &str| match pattern.matches(event.as_bytes()) {
        Err(MatchError::Json(error)) => {
            let spaces = event.as_bytes()[..error.offset()].iter().filter(|&&byte| byte == b' ').count();
            Err((error.offset() - spaces, error.problem()))
        }
        other => Ok(other.unwrap()),
    };
    let long = "r".repeat(40);
    let mut sound = 0;
    // The scanner looks at 32 bytes from the key on.
    for (key, value) in (0..36).flat_map(|key| (0..36).step_by(3).map(move |value| (key, value))) {
        let (key, value) = ("k".repeat(key), "v".repeat(value));
        for odd in ["", "\u{1}", "\\n", "\\\"", "\\x", "\u{e4}", "\"", "\":", "\",", "\\", "]", "}"] {
            for member in [
                format!(r#""{key}{odd}":"{value}""#),
                format!(r#""{key}":"{odd}{value}""#),
                format!(r#""{key}":"{value}{odd}""#),
                format!(r#""{key}"{odd}:{odd}"{value}""#),
                format!(r#""{key}":"{value}"{odd}"#),
            ] {
                let dense = format!(r#"{{{member},"want":"yes","{long}":1}}"#);
                let spaced = format!(r#"{{ {member}, "want":"yes", "{long}":1}}"#);
                assert_eq!(outcome(&dense), outcome(&spaced), "{dense}");
                sound += usize::from(outcome(&dense) == Ok(true));
                let dense = format!(r#"{{"want":"yes",{member},"{long}":1}}"#);
                let spaced = format!(r#"{{ "want":"yes", {member}, "{long}":1}}"#);
                assert_eq!(outcome(&dense), outcome(&spaced), "{dense}");
            }
        }
    }
    assert!(sound > 3_000, "{sound}");
}

#[test]
fn of_an_array_or_object_that_no_pattern_names_the_end_is_found_and_no_more() {
    let pattern = pattern(r#"{"a":[1],"c":{"d":[2]}}"#);
    let rest = r#","a":1,"c":{"d":2}}"#;
    let words = "a must be one of [1], but is 2";
    let long = format!("[{}]", r#"{"k":"]}\\","l":[-1.5e3,"\"]"]},"#.repeat(20).trim_end_matches(','));
    let inner = [
        "[]",
        "{}",
        "[[{}],{}]",
        r#"["]"]"#,
        r#"{"\"}":"\\"}"#,
        r#"["\\\"]"]"#,
        r#"[{"a":2,"c":{"d":3}}]"#,
        &long,
        "[1 2]",
        "[nonsense,]",
        "[\u{ff}\u{1}]",
    ];
    for inner in inner {
        // At each distance from where blocks begin.
        for shift in 0..70 {
            let event = format!(r#"{{"{}":{inner}{rest}"#, "s".repeat(shift));
            assert_eq!(pattern.matches(event.as_bytes()), Ok(true), "{event}");
            assert_eq!(pattern.explain(event.replace("\"a\":1", "\"a\":2").as_bytes()).unwrap().to_string(), words);
        }
    }
    for (event, offset) in [(r#"{"b":[1"#, 7), (r#"{"b":["]"#, 8), (r#"{"b":["\"]"#, 10), (r#"{"b":[{}"#, 8)] {
        assert_eq!(problem(&pattern, event.as_bytes()), (offset, JsonProblem::End), "{event}");
    }
    // Where a pattern looks, matching checks every byte.
    for (event, offset, expected) in [
        (r#"{"a":[1 2]}"#, 8, JsonProblem::Comma),
        (r#"{"a":[1,]}"#, 8, JsonProblem::Value),
        (r#"{"c":{"x":01}}"#, 11, JsonProblem::Number),
    ] {
        assert_eq!(problem(&pattern, event.as_bytes()), (offset, expected), "{event}");
    }
}

#[test]
fn events_are_256_levels_deep_at_most() {
    for key in ["a", "b"] {
        let deep = |levels: usize| format!("{{\"{key}\":{}1{}}}", "[".repeat(levels - 1), "]".repeat(levels - 1));
        let pattern = pattern(r#"{"a":[1]}"#);
        assert_eq!(pattern.matches(deep(256).as_bytes()), Ok(key == "a"));
        let error = pattern.matches(deep(257).as_bytes()).unwrap_err();
        assert!(
            matches!(error, MatchError::Json(error) if error.problem() == JsonProblem::Depth && error.offset() == 260),
            "{error}"
        );
    }
}
