//! The pattern language: each rule, with patterns that follow it and patterns that break it, and
//! each place where Amazon's event-ruler is odd and this library is not.

use dormouse::{Event, Explanation, Mismatch, Pattern, PatternError};

pub(crate) fn pattern(text: &str) -> Pattern {
    let pattern = Pattern::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    // Every accepted pattern can be read again as it is written.
    assert_eq!(Pattern::parse(&pattern.to_string()).as_ref(), Ok(&pattern), "{text}");
    pattern
}

pub(crate) fn refused(text: &str) -> PatternError {
    Pattern::parse(text).expect_err(text)
}

pub(crate) fn hit(text: &str, event: &str) -> bool {
    pattern(text).matches(event.as_bytes()).unwrap_or_else(|error| panic!("{event}: {error}"))
}

/// Checks the tests of one field with values of it, all as JSON.
#[track_caller]
fn field(tests: &str, hits: &[&str], misses: &[&str]) {
    let pattern = pattern(&format!(r#"{{"a":[{tests}]}}"#));
    for (values, expected) in [(hits, true), (misses, false)] {
        for value in values {
            let event = format!(r#"{{"a":{value}}}"#);
            assert_eq!(pattern.matches(event.as_bytes()), Ok(expected), "{tests} on {value}");
        }
    }
    assert_eq!(pattern.matches(b"{}"), Ok(tests.contains(r#""exists":false"#)), "{tests} on no field");
}

/// Checks that a field's test is refused, with its path and what was found in the message.
#[track_caller]
fn bad(test: &str, found: &str) {
    let error = refused(&format!(r#"{{"outer":{{"a":[{test}]}}}}"#)).to_string();
    assert!(error.contains("outer.a") && error.contains(found), "{test}: {error}");
}

#[test]
fn exact_values_match_values_of_their_type() {
    field(
        r#""x""#,
        &[r#""x""#, r#""\u0078""#, r#"["y","x"]"#],
        &[r#""X""#, r#""""#, r#""xx""#, "1", "null", "{}", "[]"],
    );
    field("5", &["5", "5.0", "5e0", "0.5E1", "[4,5]"], &[r#""5""#, "6", "-5", "true", "null"]);
    field("true", &["true"], &["false", r#""true""#, "1", "null"]);
    field("false", &["false"], &["true", r#""false""#, "0", "null"]);
    field("null", &["null", "[1,null]"], &[r#""null""#, r#""""#, "0", "false", "{}", "[]"]);
    field(r#""x",5,null"#, &[r#""x""#, "5", "null"], &["6", "true"]);
    field(r#""""#, &[r#""""#], &[r#"" ""#, "null"]);
}

#[test]
fn numbers_compare_as_doubles() {
    field("0", &["0", "-0", "0.0", "-0.0", "0e5", "1e-400"], &["1", r#""0""#]);
    field("-0.0", &["0"], &["1"]);
    field("300", &["3e2", "300.00", "3.0E+2"], &["300.0000001"]);
    field("9007199254740993", &["9007199254740992"], &["9007199254740994"]);
    field("0.1", &["0.1", "1e-1", "0.1000000000000000055511151231257827"], &["0.10000000000000002"]);
}

#[test]
fn a_number_that_no_double_holds_matches_its_own_text_alone() {
    field("1e400", &["1e400"], &["1e401", "1E400", "10e399", "1e308", r#""1e400""#]);
    field("-1e400", &["-1e400"], &["1e400"]);
    field(r#"{"numeric":[">",0]}"#, &["1e308"], &["1e400", "-1e400"]);
    field("5", &[], &["1e400"]);
    field(r#"{"exists":true}"#, &["1e400"], &[]);
    // Whatever this number is, it is not 5.
    field(r#"{"anything-but":5}"#, &["1e400"], &["5"]);
    field(r#"{"anything-but":1e400}"#, &["5", "1e401"], &["1e400"]);
    bad(r#"{"numeric":["<",1e400]}"#, "1e400");
}

#[test]
fn prefixes_and_suffixes_are_of_strings() {
    field(r#"{"prefix":"ab"}"#, &[r#""ab""#, r#""abc""#], &[r#""a""#, r#""Ab""#, r#""cab""#, "1", "null"]);
    field(r#"{"suffix":"ab"}"#, &[r#""ab""#, r#""cab""#], &[r#""b""#, r#""aB""#, r#""abc""#, "1", "null"]);
    field(r#"{"prefix":"1"}"#, &[r#""1""#], &["1", "12"]);
    field(r#"{"prefix":"t"}"#, &[], &["true"]);
    field(r#"{"prefix":""}"#, &[r#""""#, r#""x""#], &["1", "null", "true"]);
    field(r#"{"suffix":""}"#, &[r#""""#, r#""x""#], &["1", "null", "true"]);
    field(r#"{"prefix":{"equals-ignore-case":"ÖL"}}"#, &[r#""öl""#, r#""Ölig""#, r#""ÖLIG""#], &[r#""ol""#, r#""ö""#]);
    field(r#"{"suffix":{"equals-ignore-case":"öL"}}"#, &[r#""ÖL""#, r#""HEIZÖL""#], &[r#""ol""#, r#""öle""#]);
    for operator in ["prefix", "suffix"] {
        for operand in [
            "5",
            "null",
            "true",
            r#"["a"]"#,
            "{}",
            r#"{"prefix":"a"}"#,
            r#"{"equals-ignore-case":5}"#,
            r#"{"equals-ignore-case":"a","b":1}"#,
        ] {
            bad(&format!(r#"{{"{operator}":{operand}}}"#), operator);
        }
    }
}

#[test]
fn case_is_ignored_by_simple_pairs() {
    field(
        r#"{"equals-ignore-case":"Größe 1"}"#,
        &[r#""größe 1""#, r#""GRÖßE 1""#],
        &[r#""GRÖSSE 1""#, r#""grosse 1""#, r#""größe""#, "1"],
    );
    field(r#"{"equals-ignore-case":"σ"}"#, &[r#""Σ""#], &[r#""ς""#]);
    field(r#"{"equals-ignore-case":"k"}"#, &[r#""K""#], &["\"\u{212a}\""]);
    field(r#"{"equals-ignore-case":"ⱥ"}"#, &[r#""Ⱥ""#], &[r#""A""#]);
    field(r#"{"equals-ignore-case":""}"#, &[r#""""#], &[r#""x""#]);
    for operand in ["5", "null", r#"["a"]"#, "{}"] {
        bad(&format!(r#"{{"equals-ignore-case":{operand}}}"#), "equals-ignore-case");
    }
}

#[test]
fn a_star_stands_for_any_run() {
    field(
        r#"{"wildcard":"a*b*c"}"#,
        &[r#""abc""#, r#""a-b-c""#, r#""abbcbc""#],
        &[r#""ab""#, r#""xabc""#, r#""abcx""#, "1"],
    );
    field(r#"{"wildcard":"*"}"#, &[r#""""#, r#""x""#], &["1", "null"]);
    field(r#"{"wildcard":"abc"}"#, &[r#""abc""#], &[r#""ab""#, r#""abcd""#]);
    field(r#"{"wildcard":""}"#, &[r#""""#], &[r#""x""#]);
    field(r#"{"wildcard":"a*a"}"#, &[r#""aa""#, r#""aba""#], &[r#""a""#]);
    field(r#"{"wildcard":"*ö*"}"#, &[r#""größe""#], &[r#""grosse""#]);
    field(r#"{"wildcard":"*ab*ba*"}"#, &[r#""xabbay""#], &[r#""aba""#]);
    field(r#"{"wildcard":"a\\*b\\\\c"}"#, &[r#""a*b\\c""#], &[r#""axb\\c""#, r#""a*bc""#]);
    field(r#"{"wildcard":"\\**"}"#, &[r#""*x""#], &[r#""x""#]);
    for wrong in ["**", "a**b", "a\\\\b", "a\\\\"] {
        bad(&format!(r#"{{"wildcard":"{wrong}"}}"#), "wildcard");
    }
    for operand in ["5", r#"["a*"]"#, "null"] {
        bad(&format!(r#"{{"wildcard":{operand}}}"#), "wildcard");
    }
}

#[test]
fn anything_but_leaves_values_out() {
    field(
        r#"{"anything-but":"x"}"#,
        &[r#""y""#, "1", "true", "null", r#"["x","y"]"#],
        &[r#""x""#, r#"["x"]"#, r#"["x","x"]"#, "[]", "{}"],
    );
    field(r#"{"anything-but":5}"#, &["6", r#""5""#, "null"], &["5", "5.0"]);
    field(r#"{"anything-but":["x","y"]}"#, &[r#""z""#, "1"], &[r#""x""#, r#""y""#]);
    field(r#"{"anything-but":[1,2]}"#, &["3", r#""1""#], &["1", "2.0"]);
    field(r#"{"anything-but":{"prefix":"a"}}"#, &[r#""b""#, "1", "null"], &[r#""a""#, r#""ab""#]);
    field(r#"{"anything-but":{"prefix":["a","ab","b"]}}"#, &[r#""c""#], &[r#""abc""#, r#""b""#]);
    field(r#"{"anything-but":{"suffix":["a","b"]}}"#, &[r#""c""#, "true"], &[r#""xa""#]);
    field(r#"{"anything-but":{"wildcard":["a*c","*d"]}}"#, &[r#""ab""#, "1"], &[r#""abc""#, r#""d""#]);
    field(r#"{"anything-but":{"equals-ignore-case":["A","ö"]}}"#, &[r#""b""#, "1"], &[r#""a""#, r#""Ö""#]);
    field(r#"{"anything-but":"x"},{"anything-but":"y"}"#, &[r#""x""#, r#""y""#, "1"], &["[]"]);
    field(r#""x",{"anything-but":{"prefix":"x"}}"#, &[r#""x""#, r#""y""#], &[r#""xy""#]);
    let wrong = [
        "true",
        "null",
        "[]",
        "{}",
        "[null]",
        "[true]",
        r#"["x",1]"#,
        r#"[1,"x"]"#,
        r#"[["x"]]"#,
        r#"{"prefix":""}"#,
        r#"{"suffix":["a",""]}"#,
        r#"{"prefix":[]}"#,
        r#"{"prefix":5}"#,
        r#"{"numeric":["=",1]}"#,
        r#"{"anything-but":"x"}"#,
        r#"{"cidr":"::/0"}"#,
        r#"{"exists":true}"#,
        r#"{"prefix":"a","suffix":"b"}"#,
        r#"{"prefix":{"equals-ignore-case":"a"}}"#,
        r#"{"wildcard":"**"}"#,
    ];
    for operand in wrong {
        bad(&format!(r#"{{"anything-but":{operand}}}"#), "");
    }
}

#[test]
fn numeric_takes_one_bound_or_two() {
    field(r#"{"numeric":["=",5]}"#, &["5", "5.0"], &["6", r#""5""#, "null"]);
    field(r#"{"numeric":["<",5]}"#, &["4.999", "-1e300"], &["5", "6"]);
    field(r#"{"numeric":["<=",5]}"#, &["5"], &["5.0000001"]);
    field(r#"{"numeric":[">",5]}"#, &["5.0000001"], &["5"]);
    field(r#"{"numeric":[">=",5]}"#, &["5", "1e308"], &["4.9999999"]);
    field(r#"{"numeric":[">",0,"<=",5]}"#, &["5", "1e-300"], &["0", "-0", "5.1"]);
    field(r#"{"numeric":[">=",-5,"<",0]}"#, &["-5", "-1e-320"], &["0", "-0.0", "-5.1"]);
    let wrong = [
        "5",
        "[]",
        r#"["="]"#,
        r#"[5]"#,
        r#"["!=",5]"#,
        r#"["==",5]"#,
        r#"["=","5"]"#,
        r#"["<",5,">",0]"#,
        r#"[">",0,">",5]"#,
        r#"["=",0,"<",5]"#,
        r#"[">",0,"<"]"#,
        r#"[">",0,"<",5,"<",6]"#,
        r#"[">",5,"<",5]"#,
        r#"[">=",5,"<",5]"#,
        r#"[">",5,"<=",5]"#,
        r#"[">",6,"<",5]"#,
        r#"["<",null]"#,
        r#"{">":5}"#,
        r#"[["=",5]]"#,
    ];
    for operand in wrong {
        bad(&format!(r#"{{"numeric":{operand}}}"#), "numeric");
    }
}

#[test]
fn exists_is_about_values() {
    field(
        r#"{"exists":true}"#,
        &["1", "null", r#""""#, "[1]", "[[],[1]]"],
        &["{}", r#"{"b":1}"#, "[]", "[[]]", "[{}]"],
    );
    field(
        r#"{"exists":false}"#,
        &["{}", r#"{"b":1}"#, "[]", "[[]]", "[{}]"],
        &["1", "null", r#""""#, "[1]", "[[],[1]]"],
    );
    field(r#"{"exists":false},"x""#, &["{}", r#""x""#], &["1"]);
    field(r#"{"exists":false},{"exists":true}"#, &["{}", "1"], &[]);
    for operand in [r#""true""#, "1", "null", "[true]"] {
        bad(&format!(r#"{{"exists":{operand}}}"#), "exists");
    }
}

#[test]
fn cidr_is_about_addresses() {
    field(
        r#"{"cidr":"10.0.0.0/8"}"#,
        &[r#""10.1.2.3""#],
        &[r#""11.0.0.1""#, r#""10.1.2""#, r#""010.1.2.3""#, r#""::ffff:10.1.2.3""#, r#""10.1.2.3/32""#, "10"],
    );
    // Host bits are ignored.
    field(r#"{"cidr":"10.1.2.3/8"}"#, &[r#""10.9.9.9""#], &[r#""11.0.0.1""#]);
    field(r#"{"cidr":"0.0.0.0/0"}"#, &[r#""255.255.255.255""#], &[r#""::1""#]);
    field(r#"{"cidr":"::/0"}"#, &[r#""::1""#, r#""::ffff:10.1.2.3""#], &[r#""10.1.2.3""#]);
    field(r#"{"cidr":"2001:db8::/32"}"#, &[r#""2001:0db8:0::9""#, r#""2001:DB8::1""#], &[r#""2001:db9::""#]);
    field(r#"{"cidr":"10.0.0.0/31"}"#, &[r#""10.0.0.1""#], &[r#""10.0.0.2""#]);
    // Without `cidr` an address is a string like any other.
    field(r#""2001:db8::1""#, &[r#""2001:db8::1""#], &[r#""2001:DB8::1""#, r#""2001:db8:0::1""#]);
    for wrong in [
        "10.0.0.0",
        "10.0.0.0/33",
        "::/129",
        "10.0.0.0/",
        "10.0.0.0/-1",
        "10.0.0.0/+8",
        "10.0.0.0/08",
        "10.0.0/8",
        "x/8",
        "/8",
        "",
        "10.0.0.0/8/8",
    ] {
        bad(&format!(r#"{{"cidr":"{wrong}"}}"#), "cidr");
    }
    bad(r#"{"cidr":5}"#, "cidr");
}

#[test]
fn an_operator_stands_alone_in_its_object() {
    bad("{}", "0");
    bad(r#"{"prefix":"a","suffix":"b"}"#, "2");
    for name in ["Prefix", "PREFIX", "contains", "prefix ", "", "anything_but", "$or", "equals"] {
        let error = refused(&format!(r#"{{"a":[{{"{name}":"x"}}]}}"#));
        assert_eq!(error, PatternError::UnknownOperator { path: "a".into(), name: name.into() });
    }
    bad("[1]", "[1]");
}

#[test]
fn fields_are_all_needed_and_alternatives_one() {
    let text = r#"{"a":[1,2],"b":{"c":["x"]}}"#;
    assert!(hit(text, r#"{"a":2,"b":{"c":"x","d":0}}"#));
    assert!(!hit(text, r#"{"a":2,"b":{"c":"y"}}"#));
    assert!(!hit(text, r#"{"a":3,"b":{"c":"x"}}"#));
    assert!(!hit(text, r#"{"a":2}"#));
}

#[test]
fn a_pattern_that_could_match_nothing_is_refused_with_its_path() {
    assert_eq!(refused("{}"), PatternError::Empty { path: "(the pattern)".into(), what: "object" });
    assert_eq!(refused(r#"{"a":{"b":{}}}"#), PatternError::Empty { path: "a.b".into(), what: "object" });
    assert_eq!(refused(r#"{"a":{"b":[]}}"#), PatternError::Empty { path: "a.b".into(), what: "array" });
    for (value, found) in [("5", "a number"), (r#""x""#, "a string"), ("null", "null"), ("true", "a boolean")] {
        let error = refused(&format!(r#"{{"a":{{"b":{value}}}}}"#));
        assert_eq!(error, PatternError::NotAnArray { path: "a.b".into(), found, text: value.into() });
        assert!(error.to_string().contains(&format!("[{value}]")), "{error}");
    }
    for (text, found) in [("[]", "an array"), ("5", "a number"), ("null", "null"), (r#""{}""#, "a string")] {
        assert_eq!(refused(text), PatternError::NotAnObject { found });
    }
}

#[test]
fn malformed_patterns_are_reported_with_their_offset() {
    for (text, offset) in [
        ("", 0),
        ("{", 1),
        (r#"{"a":[1,]}"#, 8),
        (r#"{"a":[1]} x"#, 10),
        (r#"{"a":["\ud800"]}"#, 7),
        (r#"{"a":[01]}"#, 7),
        (r#"{a:[1]}"#, 1),
    ] {
        assert!(
            matches!(refused(text), PatternError::Json(error) if error.offset() == offset),
            "{text}: {}",
            refused(text)
        );
    }
}

#[test]
fn duplicate_keys_are_refused_in_patterns() {
    for text in [
        r#"{"a":[1],"a":[2]}"#,
        r#"{"a":{"b":[1],"b":[1]}}"#,
        r#"{"a.b":[1],"a":{"b":[2]}}"#,
        r#"{"a":{"b":[1]},"a":{"c":[1]}}"#,
        r#"{"a":[1],"\u0061":[2]}"#,
    ] {
        assert!(matches!(refused(text), PatternError::Duplicate { .. }), "{text}");
    }
    assert!(
        matches!(refused(r#"{"$or":[{"a":[1],"a":[2]},{"b":[1]}]}"#), PatternError::Duplicate { path } if *path == *"a")
    );
}

#[test]
fn duplicate_keys_in_events_both_count() {
    field("1", &["0,\"a\":1", "1,\"a\":0"], &["0,\"a\":2"]);
    let both = r#"{"a":{"x":[1],"y":[2]}}"#;
    assert!(hit(both, r#"{"a":{"x":1},"a":{"y":2}}"#));
    assert!(hit(both, r#"{"a":[{"x":1}],"a":[{"y":2}]}"#));
    assert!(!hit(both, r#"{"a":[{"x":1},{"y":2}],"a":[]}"#));
}

#[test]
fn dots_in_keys_are_nesting_both_ways() {
    for text in [r#"{"a.b.c":[1]}"#, r#"{"a":{"b":{"c":[1]}}}"#, r#"{"a.b":{"c":[1]}}"#, r#"{"a":{"b.c":[1]}}"#] {
        for event in [
            r#"{"a.b.c":1}"#,
            r#"{"a":{"b":{"c":1}}}"#,
            r#"{"a.b":{"c":1}}"#,
            r#"{"a":{"b.c":1}}"#,
            r#"{"a\u002eb":[{"c":1}]}"#,
        ] {
            assert!(hit(text, event), "{text} on {event}");
        }
        for event in [r#"{"a.b":1}"#, r#"{"a":{"c":1}}"#, r#"{"a..b.c":1}"#, r#"{"a.b.c.d":1}"#, r#"{".a.b.c":1}"#] {
            assert!(!hit(text, event), "{text} on {event}");
        }
    }
    assert!(hit(r#"{"":{"":[1]}}"#, r#"{".":1}"#));
    assert!(hit(r#"{"a.":[1]}"#, r#"{"a":{"":1}}"#));
}

#[test]
fn nested_arrays_are_flattened() {
    field("1", &["[[[1]]]", "[0,[2,[1]]]"], &["[[[2]]]"]);
    assert!(hit(r#"{"a":{"b":[1]}}"#, r#"{"a":[[{"b":[[1]]}]]}"#));
}

#[test]
fn an_array_matches_if_an_element_does() {
    field(r#""x""#, &[r#"["y","x"]"#], &[r#"["y"]"#, "[]"]);
    field(r#"{"anything-but":"x"}"#, &[r#"["x","y"]"#, r#"["x",1]"#], &[r#"["x"]"#, "[]"]);
    field(r#"{"anything-but":["x","y"]}"#, &[r#"["x","z"]"#], &[r#"["x","y"]"#]);
}

#[test]
fn two_fields_come_from_one_element() {
    let text = r#"{"a":{"x":[1],"y":[2]}}"#;
    assert!(hit(text, r#"{"a":[{"x":1,"y":2}]}"#));
    assert!(hit(text, r#"{"a":[{"x":1},{"x":1,"y":2}]}"#));
    assert!(!hit(text, r#"{"a":[{"x":1},{"y":2}]}"#));
    assert!(!hit(text, r#"{"a":[{"x":1,"y":3},{"x":3,"y":2}]}"#));
    // At any depth.
    let deep = r#"{"a":{"b":{"x":[1],"y":[2]},"z":[3]}}"#;
    assert!(hit(deep, r#"{"a":[{"b":[{"x":1},{"x":1,"y":2}],"z":3}]}"#));
    assert!(!hit(deep, r#"{"a":[{"b":[{"x":1},{"y":2}],"z":3}]}"#));
    assert!(!hit(deep, r#"{"a":[{"b":[{"x":1,"y":2}]},{"z":3}]}"#));
    assert!(hit(text, r#"{"a":[[{"x":9}],[{"y":2,"x":1}]]}"#));
    assert!(!hit(text, r#"{"a":[[{"x":1}],[{"y":2}]]}"#));
    // Different arrays are independent.
    let apart = r#"{"a":{"x":[1]},"b":{"x":[2]}}"#;
    assert!(hit(apart, r#"{"a":[{"x":0},{"x":1}],"b":[{"x":2},{"x":0}]}"#));
    let inner = r#"{"a":{"b":{"x":[1]},"c":{"x":[2]}}}"#;
    assert!(hit(inner, r#"{"a":[{"b":[{"x":0},{"x":1}],"c":[{"x":2}]}]}"#));
    assert!(!hit(inner, r#"{"a":[{"b":[{"x":1}]},{"c":[{"x":2}]}]}"#));
}

#[test]
fn two_conditions_on_one_field_need_one_value() {
    let text = r#"{"a":[{"prefix":"x"}],"$or":[{"a":[{"suffix":"y"}]},{"b":[1]}]}"#;
    assert!(hit(text, r#"{"a":["x","xy"]}"#));
    assert!(!hit(text, r#"{"a":["x","y"]}"#));
    assert!(hit(text, r#"{"a":["x","y"],"b":1}"#));
}

#[test]
fn or_takes_one_branch() {
    let text = r#"{"a":[1],"$or":[{"b":[2]},{"c":[3],"d":[4]}]}"#;
    assert!(hit(text, r#"{"a":1,"b":2}"#));
    assert!(hit(text, r#"{"a":1,"c":3,"d":4}"#));
    assert!(!hit(text, r#"{"a":1,"c":3}"#));
    assert!(!hit(text, r#"{"b":2}"#));
    let nested = r#"{"o":{"$or":[{"a":[1]},{"$or":[{"b":[2]},{"c":{"$or":[{"d":[3]},{"e":[4]}]}}]}]}}"#;
    for event in [r#"{"o":{"a":1}}"#, r#"{"o":{"b":2}}"#, r#"{"o":{"c":{"d":3}}}"#, r#"{"o":{"c":{"e":4}}}"#] {
        assert!(hit(nested, event), "{event}");
    }
    assert!(!hit(nested, r#"{"o":{"c":{"d":4,"e":3}},"a":1}"#));
}

#[test]
fn or_that_is_no_choice_between_patterns_is_a_field() {
    assert!(hit(r#"{"$or":["x"]}"#, r#"{"$or":"x"}"#));
    assert!(hit(r#"{"$or":[{"prefix":"x"},{"suffix":"y"}]}"#, r#"{"$or":"xz"}"#));
    assert!(hit(r#"{"$or":{"a":[1]}}"#, r#"{"$or":{"a":1}}"#));
    // One object, or objects with values, are not a choice. Then `a` is not an operator.
    assert!(matches!(refused(r#"{"$or":[{"a":[1]}]}"#), PatternError::UnknownOperator { path, .. } if *path == *"$or"));
    assert!(matches!(refused(r#"{"$or":[{"a":[1]},5]}"#), PatternError::UnknownOperator { .. }));
    assert!(matches!(refused(r#"{"$or":[{"a":[1]},{"prefix":"x"}]}"#), PatternError::UnknownOperator { .. }));
    assert!(matches!(refused(r#"{"$or":[{"a":[1]},{}]}"#), PatternError::Empty { .. }));
    assert!(matches!(refused(r#"{"$or":[]}"#), PatternError::Empty { .. }));
}

#[test]
fn a_value_in_an_array_hides_what_stands_in_other_elements_of_that_array_alone() {
    let text = r#"{"a":{"a":[{"exists":false}]},"$or":[{"a":["x"]},{"b":[1]}]}"#;
    // `x` may be taken from outside, or from the array. The array then hides its other element.
    assert!(hit(text, r#"{"a":[{"a":1},"x"],"a":"x"}"#));
    assert!(!hit(text, r#"{"a":[{"a":1}],"a":"x"}"#));
    // One value is hidden in one array.
    assert!(!hit(text, r#"{"a":[{"a":1},"x"],"a":[{"a":1},"x"]}"#));
    assert!(!hit(text, r#"{"a":[{"a":1},"y"],"b":1}"#));
}

// Cases in which event-ruler 2.0.1 is odd.

#[test]
fn unlike_event_ruler_absence_does_not_depend_on_the_order_of_names() {
    // The element whose one field matches has no other field, whichever name comes first.
    for (there, gone) in [("a", "b"), ("b", "a")] {
        let text = format!(r#"{{"o":{{"{there}":[1],"{gone}":[{{"exists":false}}]}}}}"#);
        assert!(hit(&text, &format!(r#"{{"o":[{{"{there}":1}},{{"{there}":2,"{gone}":3}}]}}"#)), "{text}");
        assert!(!hit(&text, &format!(r#"{{"o":[{{"{there}":1,"{gone}":3}},{{"{there}":2}}]}}"#)), "{text}");
    }
    // Without a field that chooses an element, it must be absent from all.
    assert!(!hit(r#"{"o":{"b":[{"exists":false}]}}"#, r#"{"o":[{"a":1},{"b":1}]}"#));
    assert!(hit(r#"{"o":{"b":[{"exists":false}]}}"#, r#"{"o":[{"a":1},{"c":1}]}"#));
}

#[test]
fn unlike_event_ruler_or_does_not_replace_a_condition_outside() {
    let text = r#"{"a":[1,2],"$or":[{"a":[2,3]},{"b":[1]}]}"#;
    assert!(hit(text, r#"{"a":2}"#));
    assert!(!hit(text, r#"{"a":3}"#));
    assert!(hit(text, r#"{"a":1,"b":1}"#));
    assert!(!hit(text, r#"{"b":1}"#));
}

#[test]
fn unlike_event_ruler_whole_addresses_and_closed_points_are_accepted() {
    field(r#"{"cidr":"10.0.0.1/32"}"#, &[r#""10.0.0.1""#], &[r#""10.0.0.2""#]);
    field(r#"{"cidr":"2001:db8::1/128"}"#, &[r#""2001:db8::1""#], &[r#""2001:db8::2""#]);
    field(r#"{"numeric":[">=",5,"<=",5]}"#, &["5"], &["5.1", "4.9"]);
}

// Events.

#[test]
fn events_match_by_attributes_and_json_data() {
    let event = Event::builder("order.created")
        .id("1")
        .source("/shop")
        .subject("größe")
        .extension("n", -2147483648)
        .extension("flag", true)
        .data_json(r#"{"total":120,"items":[{"sku":"A","count":1},{"sku":"B","count":2}]}"#)
        .build()
        .unwrap();
    let hits = [
        r#"{"type":["order.created"]}"#,
        r#"{"specversion":["1.0"],"id":["1"],"source":[{"prefix":"/"}],"subject":[{"suffix":"ße"}]}"#,
        r#"{"n":[{"numeric":["<",0]}],"flag":[true]}"#,
        r#"{"data":{"total":[{"numeric":[">",100]}],"items":{"sku":["B"],"count":[2]}}}"#,
        r#"{"time":[{"exists":false}],"data":{"x":[{"exists":false}]}}"#,
        r#"{"data.items.sku":["A"]}"#,
    ];
    let misses = [
        r#"{"type":["order"]}"#,
        r#"{"time":[{"exists":true}]}"#,
        r#"{"data":{"items":{"sku":["B"],"count":[1]}}}"#,
        r#"{"data":[{"exists":true}]}"#,
    ];
    for (texts, expected) in [(&hits[..], true), (&misses, false)] {
        for text in texts {
            assert_eq!(pattern(text).matches_event(&event), Ok(expected), "{text}");
            assert_eq!(pattern(text).matches(&event.to_json()), Ok(expected), "{text}");
            assert_eq!(pattern(text).explain_event(&event).unwrap() == Explanation::Matches, expected, "{text}");
        }
    }
}

#[test]
fn text_is_one_string_and_binary_data_is_not_seen() {
    let begin = || Event::builder("t").id("1").source("/");
    let text = begin().data_text("hello").build().unwrap();
    assert_eq!(pattern(r#"{"data":["hello"]}"#).matches_event(&text), Ok(true));
    let json = begin().data_json(r#""hel\u006co""#).build().unwrap();
    assert_eq!(pattern(r#"{"data":["hello"]}"#).matches_event(&json), Ok(true));
    let binary = begin().data_binary(b"hello").build().unwrap();
    for name in ["data", "data_base64"] {
        assert_eq!(pattern(&format!(r#"{{"{name}":[{{"exists":true}}]}}"#)).matches_event(&binary), Ok(false));
    }
    assert_eq!(pattern(r#"{"type":["t"],"data":[{"exists":false}]}"#).matches_event(&binary), Ok(true));
}

// Explaining.

#[test]
fn an_explanation_names_the_first_field_that_fails() {
    let explain = |text: &str, event: &str| match pattern(text).explain(event.as_bytes()).unwrap() {
        Explanation::Fails { field, reason, .. } => (field, reason),
        other => panic!("{text} on {event}: {other}"),
    };
    let value = |found: &str, count| Mismatch::Value { found: found.to_owned(), count };
    let text = r#"{"type":["order"],"data":{"total":[{"numeric":[">",100]}],"gone":[{"exists":false}]}}"#;
    assert_eq!(explain(text, r#"{"data":{"total":5}}"#), ("type".into(), Mismatch::Missing));
    assert_eq!(explain(text, r#"{"type":"x","data":{"total":5}}"#), ("type".into(), value("\"x\"", 1)));
    assert_eq!(explain(text, r#"{"type":"order","data":{"total":[80,90]}}"#), ("data.total".into(), value("80", 2)));
    assert_eq!(explain(text, r#"{"type":"order","data":{"total":{}}}"#), ("data.total".into(), Mismatch::Missing));
    assert_eq!(
        explain(text, r#"{"type":"order","data":{"total":120,"gone":null}}"#),
        ("data.gone".into(), value("null", 1))
    );
    let pair = r#"{"o":{"x":[1],"y":[2]}}"#;
    assert_eq!(explain(pair, r#"{"o":[{"x":1},{"y":2}]}"#), ("o.y".into(), Mismatch::Element));
    assert_eq!(
        explain(r#"{"o":{"y":[{"exists":false}]}}"#, r#"{"o":[{"x":1},{"y":2}]}"#),
        ("o.y".into(), value("2", 1))
    );
    // The branch that gets furthest.
    let or = r#"{"a":[1],"$or":[{"b":[1]},{"c":[1],"d":[1]}]}"#;
    assert_eq!(explain(or, r#"{"a":1,"c":1,"d":2}"#), ("d".into(), value("2", 1)));
    assert_eq!(pattern(or).explain(br#"{"a":1,"b":1}"#).unwrap(), Explanation::Matches);
    let words = pattern(text).explain(br#"{"type":"order","data":{"total":[80,90]}}"#).unwrap().to_string();
    assert_eq!(words, r#"data.total must be one of [{"numeric":[">",100]}], but is 80 and 1 more"#);
}

#[test]
fn patterns_are_written_without_space_and_read_again() {
    let text = r#" { "a" : [ "x\u0022" , 1.50 , null , { "anything-but" : [ "y" ] } ] , "b" : { "c" : [ { "wildcard" : "a\\*\\\\*" } , {"cidr":"10.1.2.3/8"} ] } } "#;
    let written =
        r#"{"a":["x\"",1.50,null,{"anything-but":"y"}],"b":{"c":[{"wildcard":"a\\*\\\\*"},{"cidr":"10.0.0.0/8"}]}}"#;
    assert_eq!(pattern(text).to_string(), written);
    assert_eq!(written.parse::<Pattern>().unwrap(), pattern(text));
}
