//! Patterns at their limits, bounds on the work of matching, and many patterns in one index.

use std::{
    sync::{
        Barrier,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
};

use dormouse::{JsonProblem, MatchError, Matcher, Pattern, PatternError, PatternIndex, TakenKey};

use crate::patterns::{hit, pattern, refused};

#[test]
fn a_pattern_is_256_levels_deep_at_most() {
    let deep = |levels: usize| format!("{}[1]{}", "{\"a\":".repeat(levels - 1), "}".repeat(levels - 1));
    let deepest = pattern(&deep(256));
    assert_eq!(deepest.matches(b"{}"), Ok(false));
    assert!(matches!(refused(&deep(257)), PatternError::Json(error) if error.problem() == JsonProblem::Depth));
}

#[test]
fn a_pattern_has_256_fields_at_most() {
    let fields = |count: usize| (0..count).map(|at| format!("\"f{at}\":[1]")).collect::<Vec<_>>().join(",");
    let most = pattern(&format!("{{{}}}", fields(256)));
    let event = fields(256).replace("[1]", "1");
    assert_eq!(most.matches(format!("{{{event}}}").as_bytes()), Ok(true));
    assert_eq!(most.matches(format!("{{{}}}", event.replace("f255", "f256")).as_bytes()), Ok(false));
    // With arrays, all conditions of the largest rule are reconciled.
    let of_elements = pattern(&format!("{{\"o\":{{{}}}}}", fields(256)));
    assert_eq!(of_elements.matches(format!("{{\"o\":[{{\"f0\":1}},{{{event}}}]}}").as_bytes()), Ok(true));
    let (one, other) = event.split_once(",\"f9").unwrap();
    assert_eq!(of_elements.matches(format!("{{\"o\":[{{{one}}},{{\"f9{other}}}]}}").as_bytes()), Ok(false));
    let refused = refused(&format!("{{{},\"$or\":[{{\"x\":[1]}},{{\"y\":[1]}}]}}", fields(255)));
    assert!(matches!(refused, PatternError::Limit { what: "fields", found: 257, limit: 256, .. }), "{refused}");
}

#[test]
fn a_field_has_1000_alternatives_at_most() {
    let numbers = |count: usize| (0..count).map(|at| at.to_string()).collect::<Vec<_>>().join(",");
    assert!(hit(&format!(r#"{{"a":[{}]}}"#, numbers(1_000)), r#"{"a":999}"#));
    let above = refused(&format!(r#"{{"a":{{"b":[{}]}}}}"#, numbers(1_001)));
    assert_eq!(above, PatternError::Limit { path: "a.b".into(), what: "alternatives", found: 1_001, limit: 1_000 });
    assert!(!hit(&format!(r#"{{"a":[{{"anything-but":[{}]}}]}}"#, numbers(1_000)), r#"{"a":999}"#));
    let above = refused(&format!(r#"{{"a":[null,{{"anything-but":[{}]}}]}}"#, numbers(1_000)));
    assert!(matches!(above, PatternError::Limit { what: "alternatives", .. }), "{above}");
}

#[test]
fn a_pattern_has_64_kib_of_text_at_most() {
    let text = |bytes: usize| format!(r#"{{"a":["{}"]}}"#, "x".repeat(bytes - 10));
    pattern(&text(65_536));
    assert!(matches!(
        refused(&text(65_537)),
        PatternError::Limit { what: "bytes of text", found: 65_537, limit: 65_536, .. }
    ));
}

#[test]
fn a_wildcard_has_64_stars_at_most() {
    let text = |stars: usize| format!(r#"{{"a":[{{"wildcard":"{}"}}]}}"#, "x*".repeat(stars));
    assert!(hit(&text(64), &format!(r#"{{"a":"{}"}}"#, "xy".repeat(64))));
    assert!(matches!(refused(&text(65)), PatternError::Operand { operator: "wildcard", .. }));
}

#[test]
fn or_makes_1000_combinations_at_most() {
    let choice = |name: usize, branches: usize| {
        let branches: Vec<String> = (0..branches).map(|value| format!("{{\"a\":[{name}{value}]}}")).collect();
        format!(r#""n{name}":{{"$or":[{}]}}"#, branches.join(","))
    };
    let most = [choice(1, 10), choice(2, 10), choice(3, 10)].join(",");
    assert!(hit(&format!("{{{most}}}"), r#"{"n1":{"a":19},"n2":{"a":20},"n3":{"a":35}}"#));
    assert!(!hit(&format!("{{{most}}}"), r#"{"n1":{"a":19},"n2":{"a":20},"n3":{"a":45}}"#));
    let above = [choice(1, 10), choice(2, 10), choice(3, 11)].join(",");
    assert!(matches!(
        refused(&format!("{{{above}}}")),
        PatternError::Limit { what: "combinations of $or", found: 1_100, limit: 1_000, .. }
    ));
    // Counting ends before it overflows.
    let many: Vec<String> = (1..129).map(|name| choice(name, 2)).collect();
    assert!(matches!(
        refused(&format!("{{{}}}", many.join(","))),
        PatternError::Limit { what: "combinations of $or", .. }
    ));
}

// Bounds on work.

#[test]
fn many_stars_on_a_long_text_are_no_trouble() {
    let wildcard = format!(r#"{{"a":[{{"wildcard":"{}b"}}]}}"#, "*a".repeat(64));
    let text = "a".repeat(200_000);
    assert!(!hit(&wildcard, &format!(r#"{{"a":"{text}"}}"#)));
    assert!(hit(&wildcard, &format!(r#"{{"a":"{text}b"}}"#)));
}

#[test]
fn keys_repeated_around_arrays_are_searched_within_bounds() {
    // Each of fifteen arrays can give any one of thirty fields. No choice is as good as another.
    let fields: Vec<String> = (0..30).map(|at| format!("\"f{at}\":[1]")).collect();
    let text = pattern(&format!("{{\"o\":{{{}}}}}", fields.join(",")));
    let elements: Vec<String> = (0..30).map(|at| format!("{{\"f{at}\":1}}")).collect();
    let arrays = vec![format!("\"o\":[{}]", elements.join(",")); 15];
    let event = format!("{{{}}}", arrays.join(","));
    let refused = MatchError::Ambiguous { limit: 1 << 20 };
    assert_eq!(text.matches(event.as_bytes()), Err(refused));
    let index = PatternIndex::new();
    index.add(1, &text).unwrap();
    assert_eq!(index.matches(event.as_bytes()), Err(refused));
    // Few of these searches reach their end.
    let pair = pattern(r#"{"o":{"x":[1],"y":[1],"z":[1]}}"#);
    assert_eq!(pair.matches(br#"{"o":[{"x":1},{"y":1}],"o":[{"x":1},{"z":1}],"o":[{"y":1},{"z":1}]}"#), Ok(true));
    assert_eq!(pair.matches(br#"{"o":[{"x":1},{"y":1}],"o":[{"x":1},{"z":1}]}"#), Ok(false));
}

#[test]
fn keys_come_in_the_order_in_which_they_were_added() {
    let index = PatternIndex::new();
    for key in [3, 1, 2] {
        index.add(key, &pattern(r#"{"a":[1],"b":[{"exists":false}]}"#)).unwrap();
    }
    assert_eq!(index.matches(br#"{"a":1}"#).unwrap(), [3, 1, 2]);
    assert_eq!(index.add(1, &pattern(r#"{"z":[1]}"#)), Err(TakenKey));
    assert!(index.remove(&3) && !index.remove(&3));
    assert_eq!(index.matches(br#"{"a":1}"#).unwrap(), [1, 2]);
    index.add(3, &pattern(r#"{"a":[1]}"#)).unwrap();
    assert_eq!(index.matches(br#"{"a":1}"#).unwrap(), [1, 2, 3]);
    assert_eq!((index.len(), index.get(&3).map(|pattern| pattern.to_string()).as_deref()), (3, Some(r#"{"a":[1]}"#)));
    assert!(index.matches(b"{").is_err());
    assert!(index.matches(b"{}").unwrap().is_empty());
}

#[test]
fn ten_thousand_patterns_come_and_go() {
    let index = PatternIndex::new();
    let parsed: Vec<Pattern> =
        (0..10_000).map(|at| pattern(&format!(r#"{{"type":["t"],"id":[{at},{{"prefix":"p{at}-"}}]}}"#))).collect();
    for (key, pattern) in parsed.iter().enumerate() {
        index.add(key, pattern).unwrap();
        // Matching in between does not make adding cost more.
        assert_eq!(index.matches(format!(r#"{{"id":"p{key}-x","type":"t"}}"#).as_bytes()).unwrap(), [key]);
    }
    for key in 0..9_990 {
        assert!(index.remove(&key));
    }
    assert_eq!(index.len(), 10);
    for key in [0, 9_989, 9_990, 9_999] {
        let expected: &[usize] = if key < 9_990 { &[] } else { &[key] };
        assert_eq!(index.matches(format!(r#"{{"id":{key},"type":"t"}}"#).as_bytes()).unwrap(), expected);
    }
}

#[test]
fn hundreds_of_ranges_of_numbers_are_found_as_each_pattern_finds_them() {
    let index = PatternIndex::new();
    let ranges = (0..300i32).map(|at| {
        // The ranges are nested, overlapping, disjoint, open at an end, or of one number. Some are
        // below zero or between integers.
        let (low, high) = (f64::from(at * 37 % 301 - 150) / 2.0, f64::from(at * 53 % 89 % (at % 7 * 9 + 1)) / 2.0);
        let (low, high) = (low, low + high);
        match at % 5 {
            0 => format!(r#"[">",{low}]"#),
            1 => format!(r#"["<=",{high}]"#),
            2 => format!(r#"["=",{low}]"#),
            3 => format!(r#"[">=",{low},"<",{}]"#, high + 1.0),
            _ => format!(r#"[">",{low},"<=",{}]"#, high + 0.5),
        }
    });
    let patterns: Vec<Pattern> = ranges.map(|range| pattern(&format!(r#"{{"a":[{{"numeric":{range}}}]}}"#))).collect();
    for (key, pattern) in patterns.iter().enumerate() {
        index.add(key, pattern).unwrap();
    }
    let mut found = 0;
    for value in -160..160 {
        let event = format!(r#"{{"a":{}}}"#, f64::from(value) / 2.0 + if value % 3 == 0 { 0.25 } else { 0.0 });
        let expected: Vec<usize> =
            (0..patterns.len()).filter(|key| patterns[*key].matches(event.as_bytes()).unwrap()).collect();
        found += expected.len();
        assert_eq!(index.matches(event.as_bytes()).unwrap(), expected, "{event}");
    }
    assert!((10_000..80_000).contains(&found), "{found}");
}

#[test]
fn one_matcher_serves_several_indexes_in_turn() {
    let (one, other) = (PatternIndex::new(), PatternIndex::new());
    one.add("one", &pattern(r#"{"a":[1],"w":[{"wildcard":"x*"}]}"#)).unwrap();
    other.add("b", &pattern(r#"{"b":[1]}"#)).unwrap();
    other.add("w", &pattern(r#"{"w":[{"wildcard":"*y"}]}"#)).unwrap();
    let (mut matcher, mut keys) = (Matcher::new(), Vec::new());
    for _ in 0..3 {
        one.matches_into(br#"{"a":1,"w":"xy"}"#, &mut matcher, &mut keys).unwrap();
        assert_eq!(keys, ["one"]);
        other.matches_into(br#"{"a":1,"w":"xy"}"#, &mut matcher, &mut keys).unwrap();
        assert_eq!(keys, ["w"]);
        assert!(other.matches_into(br#"{"b":1"#, &mut matcher, &mut keys).is_err());
        assert!(keys.is_empty());
        one.matches_into(br#"{"b":1,"w":"xy"}"#, &mut matcher, &mut keys).unwrap();
        assert!(keys.is_empty());
    }
}

#[test]
fn a_match_sees_the_patterns_of_one_moment() {
    // Two patterns are always added and replaced together. No match may see one without the other.
    let index = PatternIndex::new();
    let text = pattern(r#"{"a":[1]}"#);
    index.add(0_u32, &text).unwrap();
    let done = AtomicBool::new(false);
    // The writer begins when both readers run. On a busy machine, they might start after it was
    // done.
    let begin = Barrier::new(3);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                begin.wait();
                loop {
                    let keys = index.matches(br#"{"a":1}"#).unwrap();
                    assert!(keys.windows(2).all(|pair| pair[0] < pair[1]), "{keys:?}");
                    // Keys are added in ascending order and the oldest is removed first, so there
                    // is never a gap.
                    assert!(keys.last().is_some_and(|last| (last - keys[0]) as usize == keys.len() - 1), "{keys:?}");
                    if done.load(Relaxed) {
                        break;
                    }
                }
            });
        }
        begin.wait();
        for key in 1..3_000 {
            index.add(key, &text).unwrap();
            if key >= 20 {
                assert!(index.remove(&(key - 20)));
            }
        }
        done.store(true, Relaxed);
    });
}

#[test]
fn patterns_and_indexes_go_anywhere() {
    fn anywhere<T: Send + Sync + 'static>() {}
    anywhere::<Pattern>();
    anywhere::<PatternIndex<String>>();
    anywhere::<Matcher>();
    anywhere::<PatternError>();
}

#[test]
fn of_what_no_pattern_names_only_strings_and_brackets_are_looked_at() {
    let wanted = pattern(r#"{"a":[1]}"#);
    // The text spans more than one block of the scanner, and begins at each place of a block.
    for before in 0..70 {
        let pad = "1".repeat(before);
        for byte in (0x20..0x7f).map(char::from).filter(|byte| !"[]{}\"\\".contains(*byte)) {
            assert_eq!(
                wanted.matches(format!(r#"{{"skip":[[{pad}{byte}],2],"a":1}}"#).as_bytes()),
                Ok(true),
                "{byte:?}"
            );
        }
        for text in ["]", "}", "[", "{", "y", "_", "\\\"]", "\\\\"] {
            assert_eq!(
                wanted.matches(format!(r#"{{"skip":["{pad}{text}",{{}}],"a":1}}"#).as_bytes()),
                Ok(true),
                "{text:?}"
            );
        }
    }
}
