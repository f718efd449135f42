//! Random patterns and random events, compared with a naive evaluator that follows the rules word
//! by word. It holds whole events as trees and tries every way to choose values.
//!
//! `DORMOUSE_PATTERN_CASES=10000000 cargo test --release pattern_model` runs longer.
//! `DORMOUSE_FIRST_SEED` begins elsewhere.

use std::fmt::Write;

use dormouse::{Explanation, Pattern, PatternIndex};

use crate::support::{Random, count};

/// How many patterns are matched with each event.
const PATTERNS: u64 = 20;

#[test]
fn the_index_agrees_with_a_naive_evaluator() {
    let (first, cases) = (count("DORMOUSE_FIRST_SEED", 0), count("DORMOUSE_PATTERN_CASES", 100_000));
    let mut matched = 0;
    // A seed makes a handful of patterns and as many events.
    for seed in first..first + cases.div_ceil(PATTERNS * PATTERNS) {
        matched += compare(seed);
    }
    // If patterns always matched, or never, the test would compare nothing.
    assert!(matched > cases / 20 && matched < cases / 2, "{matched} of {cases} match");
}

fn compare(seed: u64) -> u64 {
    let mut random = Random::new(seed + 1);
    let index = PatternIndex::new();
    let mut held: Vec<(u64, Vec<Member>, Pattern)> = Vec::new();
    let mut matched = 0;
    for round in 0..PATTERNS {
        // Patterns come and go between events.
        if round % 4 == 3 && !held.is_empty() {
            let (key, ..) = held.remove(random.below(held.len() as u64) as usize);
            assert!(index.remove(&key));
        }
        while (held.len() as u64) < PATTERNS {
            let members = members(&mut random, 0, &mut 6);
            let text = write_pattern(&members, &mut random);
            let Ok(pattern) = Pattern::parse(&text) else {
                // These are mostly duplicates by dots. Other tests check the rules of parsing.
                continue;
            };
            let key = (round << 32) + held.len() as u64 + random.next() % 1_000_000 * 100;
            if index.add(key, &pattern).is_err() {
                continue;
            }
            held.push((key, members, pattern));
        }
        let event = object(&mut random, 0);
        let mut text = String::new();
        event.write(&mut text, &mut random);
        let leaves = event.leaves();
        let found = index.matches(text.as_bytes()).unwrap_or_else(|error| panic!("seed {seed}: {error}: {text}"));
        let mut expected = Vec::new();
        for (key, members, pattern) in &held {
            let matches = matches(members, &leaves);
            matched += u64::from(matches);
            if matches {
                expected.push(*key);
            }
            if random.below(8) == 0 {
                assert_eq!(pattern.matches(text.as_bytes()), Ok(matches), "seed {seed}: {pattern} alone, on {text}");
                let explained = pattern.explain(text.as_bytes()).unwrap() == Explanation::Matches;
                assert_eq!(explained, matches, "seed {seed}: {pattern} explained, on {text}");
            }
        }
        for (key, _, pattern) in &held {
            let (ours, naive) = (found.contains(key), expected.contains(key));
            assert_eq!(ours, naive, "seed {seed}: {pattern} on {text}");
        }
        assert_eq!(found, expected, "seed {seed}: order");
    }
    matched
}

/// An event, as a tree.
enum Json {
    Object(Vec<(String, Json)>),
    Array(Vec<Json>),
    Scalar(Scalar),
}

#[derive(Clone, Debug)]
enum Scalar {
    Text(&'static str),
    Number(&'static str),
    Literal(&'static str),
}

/// A value without parts: its path, and the position in each array around it.
struct Leaf<'a> {
    path: String,
    value: &'a Scalar,
    positions: Vec<(usize, usize)>,
}

const KEYS: [&str; 9] = ["a", "b", "a", "c", "b", "a.b", "b.c", "", "ä\""];
const TEXTS: [&str; 24] = [
    "x",
    "xy",
    "Xy",
    "",
    "yx",
    "xyx",
    "öl",
    "ÖL",
    "ß",
    "SS",
    "ẞ",
    "ς",
    "Σ",
    "σ",
    "K",
    "k",
    "5",
    "null",
    "*",
    "x*y",
    "\\",
    "10.1.2.3",
    "2001:db8::1",
    "::ffff:10.1.2.3",
];
const NUMBERS: [&str; 18] = [
    "5",
    "5.0",
    "5e0",
    "50e-1",
    "-5",
    "0",
    "-0",
    "-0.0",
    "0.1",
    "100",
    "1E2",
    "9007199254740993",
    "9007199254740992",
    "1e400",
    "1e401",
    "-1e400",
    "1e-400",
    "4.999999999999999999999",
];
const LITERALS: [&str; 3] = ["true", "false", "null"];

/// One of these. The first ones are more frequent.
fn pick<T: Copy>(random: &mut Random, of: &[T]) -> T {
    // Half of the time it is one of the first few, so that patterns and events match.
    let few = if random.below(2) == 0 { of.len().min(3) } else { of.len() };
    of[random.below(few as u64) as usize]
}

fn scalar(random: &mut Random) -> Scalar {
    match random.below(8) {
        0..4 => Scalar::Text(pick(random, &TEXTS)),
        4..7 => Scalar::Number(pick(random, &NUMBERS)),
        _ => Scalar::Literal(pick(random, &LITERALS)),
    }
}

fn object(random: &mut Random, level: u32) -> Json {
    let len = if level == 0 { 1 + random.below(4) } else { random.below(3) };
    Json::Object((0..len).map(|_| (pick(random, &KEYS).to_string(), value(random, level + 1))).collect())
}

fn value(random: &mut Random, level: u32) -> Json {
    match random.below(if level < 4 { 8 } else { 3 }) {
        0..3 => Json::Scalar(scalar(random)),
        3..6 => Json::Array((0..random.below(4)).map(|_| value(random, level + 1)).collect()),
        _ => object(random, level),
    }
}

impl Json {
    fn leaves(&self) -> Vec<Leaf<'_>> {
        let mut leaves = Vec::new();
        self.walk(None, &mut Vec::new(), &mut 0, &mut leaves);
        leaves
    }

    fn walk<'a>(
        &'a self,
        path: Option<&str>,
        positions: &mut Vec<(usize, usize)>,
        arrays: &mut usize,
        leaves: &mut Vec<Leaf<'a>>,
    ) {
        match self {
            Json::Scalar(value) => {
                leaves.push(Leaf { path: path.unwrap_or_default().to_owned(), value, positions: positions.clone() });
            }
            Json::Object(members) => {
                for (key, value) in members {
                    let path = path.map_or(key.clone(), |path| format!("{path}.{key}"));
                    value.walk(Some(&path), positions, arrays, leaves);
                }
            }
            Json::Array(elements) => {
                *arrays += 1;
                let array = *arrays;
                for (at, element) in elements.iter().enumerate() {
                    positions.push((array, at));
                    element.walk(path, positions, arrays, leaves);
                    positions.pop();
                }
            }
        }
    }

    fn write(&self, out: &mut String, random: &mut Random) {
        space(out, random);
        match self {
            Json::Scalar(value) => value.write(out, random),
            Json::Object(members) => {
                out.push('{');
                for (at, (key, value)) in members.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    space(out, random);
                    quote(key, out, random);
                    space(out, random);
                    out.push(':');
                    value.write(out, random);
                }
                out.push('}');
            }
            Json::Array(elements) => {
                out.push('[');
                for (at, element) in elements.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    element.write(out, random);
                }
                space(out, random);
                out.push(']');
            }
        }
        space(out, random);
    }
}

impl Scalar {
    fn write(&self, out: &mut String, random: &mut Random) {
        match self {
            Scalar::Text(text) => quote(text, out, random),
            Scalar::Number(text) | Scalar::Literal(text) => out.push_str(text),
        }
    }
}

fn space(out: &mut String, random: &mut Random) {
    if random.below(8) == 0 {
        out.push(pick(random, &[' ', '\n', '\r', '\t']));
    }
}

/// A string, with some needless escapes.
fn quote(text: &str, out: &mut String, random: &mut Random) {
    out.push('"');
    for character in text.chars() {
        if random.below(8) == 0 {
            for unit in character.encode_utf16(&mut [0; 2]) {
                write!(out, "\\u{unit:04x}").unwrap();
            }
        } else if matches!(character, '"' | '\\') {
            out.push('\\');
            out.push(character);
        } else {
            out.push(character);
        }
    }
    out.push('"');
}

/// A pattern, as a tree.
enum Member {
    Field(String, Vec<Test>),
    Inner(String, Vec<Member>),
    Or(Vec<Vec<Member>>),
}

#[derive(Clone)]
enum Test {
    Is(Scalar),
    Prefix(&'static str),
    Suffix(&'static str),
    PrefixFolded(&'static str),
    SuffixFolded(&'static str),
    Folded(&'static str),
    Wildcard(&'static str),
    Not(Vec<Test>),
    /// Operators and bounds.
    Numeric(Vec<(&'static str, &'static str)>),
    Exists(bool),
    Cidr(&'static str),
}

const WILDCARDS: [&str; 12] =
    ["*", "x*", "*x", "*y*", "x*x", "x", "\\**", "*\\\\", "*:db8:*", "10.*.*.3", "Ö*", "x\\*y"];
const CIDRS: [&str; 9] = [
    "10.0.0.0/8",
    "10.1.2.3/32",
    "10.1.2.2/31",
    "0.0.0.0/0",
    "10.1.2.77/24",
    "::/0",
    "2001:db8::/32",
    "2001:db8::1/128",
    "::ffff:0:0/96",
];

fn members(random: &mut Random, level: u32, room: &mut u32) -> Vec<Member> {
    let wanted = 1 + random.below(if level == 0 { 3 } else { 2 });
    let mut members: Vec<Member> = Vec::new();
    let mut keys = vec!["$or"];
    while members.is_empty() || (members.len() as u64) < wanted && *room > 0 {
        let key = pick(random, &KEYS);
        match random.below(10) {
            0 if *room > 2 && !members.iter().any(|member| matches!(member, Member::Or(_))) => {
                let branches = 2 + random.below(2);
                members.push(Member::Or((0..branches).map(|_| self::members(random, level + 1, room)).collect()));
            }
            _ if keys.contains(&key) => continue,
            1..4 if level < 3 => members.push(Member::Inner(key.to_owned(), self::members(random, level + 1, room))),
            _ => {
                *room = room.saturating_sub(1);
                let alternatives = 1 + random.below(2);
                members.push(Member::Field(key.to_owned(), (0..alternatives).map(|_| test(random)).collect()));
            }
        }
        keys.push(key);
    }
    members
}

fn test(random: &mut Random) -> Test {
    let finite = |random: &mut Random| loop {
        let number = pick(random, &NUMBERS);
        if number.parse::<f64>().unwrap().is_finite() {
            return number;
        }
    };
    match random.below(16) {
        0..4 => Test::Is(scalar(random)),
        4 => Test::Prefix(pick(random, &TEXTS)),
        5 => Test::Suffix(pick(random, &TEXTS)),
        6 => Test::PrefixFolded(pick(random, &TEXTS)),
        7 => Test::SuffixFolded(pick(random, &TEXTS)),
        8 => Test::Folded(pick(random, &TEXTS)),
        9 => Test::Wildcard(pick(random, &WILDCARDS)),
        10 => {
            let number = finite(random);
            Test::Numeric(vec![(pick(random, &["=", "<", "<=", ">", ">="]), number)])
        }
        11 => loop {
            let (low, high) = (finite(random), finite(random));
            if low.parse::<f64>().unwrap() < high.parse::<f64>().unwrap() {
                return Test::Numeric(vec![(pick(random, &[">", ">="]), low), (pick(random, &["<", "<="]), high)]);
            }
        },
        12 => Test::Exists(random.below(3) == 0),
        13 => Test::Cidr(pick(random, &CIDRS)),
        _ => {
            let kind = random.below(6);
            let len = 1 + random.below(2);
            Test::Not((0..len).map(|_| excluded(random, kind)).collect())
        }
    }
}

fn excluded(random: &mut Random, kind: u64) -> Test {
    // The empty string is not allowed here.
    let text = TEXTS[1 + random.below(TEXTS.len() as u64 - 1) as usize];
    match kind {
        0 => Test::Is(Scalar::Text(text)),
        1 => Test::Is(Scalar::Number(pick(random, &NUMBERS))),
        2 => Test::Prefix(text),
        3 => Test::Suffix(text),
        4 => Test::Folded(text),
        _ => Test::Wildcard(pick(random, &WILDCARDS)),
    }
}

fn write_pattern(members: &[Member], random: &mut Random) -> String {
    let members = members.iter().map(|member| match member {
        Member::Field(key, tests) => {
            let tests: Vec<String> = tests.iter().map(|test| write_test(test, random)).collect();
            format!("{}:[{}]", quoted(key, random), tests.join(","))
        }
        Member::Inner(key, members) => format!("{}:{}", quoted(key, random), write_pattern(members, random)),
        Member::Or(branches) => {
            let branches: Vec<String> = branches.iter().map(|branch| write_pattern(branch, random)).collect();
            format!("\"$or\":[{}]", branches.join(","))
        }
    });
    let members: Vec<String> = members.collect();
    format!("{{{}}}", members.join(","))
}

fn quoted(text: &str, random: &mut Random) -> String {
    let mut out = String::new();
    quote(text, &mut out, random);
    out
}

fn write_test(test: &Test, random: &mut Random) -> String {
    match test {
        Test::Is(value) => {
            let mut out = String::new();
            value.write(&mut out, random);
            out
        }
        Test::Prefix(text) => format!(r#"{{"prefix":{}}}"#, quoted(text, random)),
        Test::Suffix(text) => format!(r#"{{"suffix":{}}}"#, quoted(text, random)),
        Test::PrefixFolded(text) => format!(r#"{{"prefix":{{"equals-ignore-case":{}}}}}"#, quoted(text, random)),
        Test::SuffixFolded(text) => format!(r#"{{"suffix":{{"equals-ignore-case":{}}}}}"#, quoted(text, random)),
        Test::Folded(text) => format!(r#"{{"equals-ignore-case":{}}}"#, quoted(text, random)),
        Test::Wildcard(text) => format!(r#"{{"wildcard":{}}}"#, quoted(text, random)),
        Test::Cidr(text) => format!(r#"{{"cidr":"{text}"}}"#),
        Test::Exists(exists) => format!(r#"{{"exists":{exists}}}"#),
        Test::Numeric(bounds) => {
            let bounds: Vec<String> = bounds.iter().map(|(sign, number)| format!("{sign:?},{number}")).collect();
            format!(r#"{{"numeric":[{}]}}"#, bounds.join(","))
        }
        Test::Not(tests) => {
            // The operand of `{"operator": operand}`, or the value itself.
            let parts: Vec<String> = tests.iter().map(|test| write_test(test, random)).collect();
            let operator = ["prefix", "suffix", "equals-ignore-case", "wildcard"]
                .into_iter()
                .find(|operator| parts[0].starts_with(&format!("{{\"{operator}\"")));
            let operands: Vec<&str> = match operator {
                Some(operator) => parts.iter().map(|part| &part[operator.len() + 4..part.len() - 1]).collect(),
                None => parts.iter().map(String::as_str).collect(),
            };
            let operands =
                if operands.len() == 1 { operands[0].to_owned() } else { format!("[{}]", operands.join(",")) };
            match operator {
                Some(operator) => format!(r#"{{"anything-but":{{"{operator}":{operands}}}}}"#),
                None => format!(r#"{{"anything-but":{operands}}}"#),
            }
        }
    }
}

/// The rules, word by word.
fn matches(members: &[Member], leaves: &[Leaf<'_>]) -> bool {
    combinations(members, None).iter().any(|fields| choose(fields, leaves, &mut Vec::new()))
}

type Field<'a> = (String, &'a [Test]);

/// The pattern without `$or`.
fn combinations<'a>(members: &'a [Member], path: Option<&str>) -> Vec<Vec<Field<'a>>> {
    let mut all: Vec<Vec<Field<'a>>> = vec![Vec::new()];
    let below = |key: &str| path.map_or(key.to_owned(), |path| format!("{path}.{key}"));
    for member in members {
        let choices = match member {
            Member::Field(key, tests) => vec![vec![(below(key), &tests[..])]],
            Member::Inner(key, members) => combinations(members, Some(&below(key))),
            Member::Or(branches) => branches.iter().flat_map(|branch| combinations(branch, path)).collect(),
        };
        let mut next = Vec::new();
        for some in &all {
            for choice in &choices {
                next.push(some.iter().chain(choice).cloned().collect());
            }
        }
        all = next;
    }
    all
}

/// Tries each value for each field, and absence if the field may be absent. It judges absence when
/// all values are chosen.
fn choose<'a>(fields: &[Field<'_>], leaves: &'a [Leaf<'a>], chosen: &mut Vec<Option<&'a Leaf<'a>>>) -> bool {
    let agree = |a: &Leaf<'_>, b: &Leaf<'_>| {
        a.positions.iter().all(|(array, at)| b.positions.iter().all(|(other, there)| array != other || at == there))
    };
    let Some((path, tests)) = fields.get(chosen.len()) else {
        return fields.iter().zip(chosen.iter()).filter(|(_, choice)| choice.is_none()).all(|((path, _), _)| {
            let contradicts =
                |leaf: &&Leaf<'_>| leaf.path == *path && chosen.iter().flatten().all(|other| agree(leaf, other));
            leaves.iter().find(contradicts).is_none()
        });
    };
    for leaf in leaves.iter().filter(|leaf| leaf.path == *path) {
        let holds = tests.iter().any(|test| !matches!(test, Test::Exists(false)) && holds(test, leaf.value));
        if holds && chosen.iter().flatten().all(|other| agree(leaf, other)) {
            chosen.push(Some(leaf));
            if choose(fields, leaves, chosen) {
                return true;
            }
            chosen.pop();
        }
    }
    if tests.iter().any(|test| matches!(test, Test::Exists(false))) {
        chosen.push(None);
        if choose(fields, leaves, chosen) {
            return true;
        }
        chosen.pop();
    }
    false
}

fn holds(test: &Test, value: &Scalar) -> bool {
    match (test, value) {
        (Test::Exists(exists), _) => *exists,
        (Test::Not(tests), _) => !tests.iter().any(|test| holds(test, value)),
        (Test::Is(Scalar::Text(a)), Scalar::Text(b)) => a == b,
        (Test::Is(Scalar::Literal(a)), Scalar::Literal(b)) => a == b,
        (Test::Is(Scalar::Number(a)), Scalar::Number(b)) => {
            let (x, y) = (a.parse::<f64>().unwrap(), b.parse::<f64>().unwrap());
            if x.is_finite() || y.is_finite() { x == y } else { a == b }
        }
        (Test::Prefix(a), Scalar::Text(b)) => b.starts_with(a),
        (Test::Suffix(a), Scalar::Text(b)) => b.ends_with(a),
        (Test::Folded(a), Scalar::Text(b)) => {
            a.chars().count() == b.chars().count() && a.chars().zip(b.chars()).all(|(a, b)| same_letter(a, b))
        }
        (Test::PrefixFolded(a), Scalar::Text(b)) => {
            a.chars().count() <= b.chars().count() && a.chars().zip(b.chars()).all(|(a, b)| same_letter(a, b))
        }
        (Test::SuffixFolded(a), Scalar::Text(b)) => {
            a.chars().count() <= b.chars().count()
                && a.chars().rev().zip(b.chars().rev()).all(|(a, b)| same_letter(a, b))
        }
        (Test::Wildcard(a), Scalar::Text(b)) => wild(&a.chars().collect::<Vec<_>>(), &b.chars().collect::<Vec<_>>()),
        (Test::Numeric(bounds), Scalar::Number(b)) => {
            let value: f64 = b.parse().unwrap();
            value.is_finite()
                && bounds.iter().all(|(sign, bound)| {
                    let bound: f64 = bound.parse().unwrap();
                    match *sign {
                        "=" => value == bound,
                        "<" => value < bound,
                        "<=" => value <= bound,
                        ">" => value > bound,
                        _ => value >= bound,
                    }
                })
        }
        (Test::Cidr(block), Scalar::Text(text)) => in_block(block, text),
        _ => false,
    }
}

/// Whether one character is the other's only capital, and the other is its only small letter.
fn same_letter(a: char, b: char) -> bool {
    let pair = |small: char, capital: char| {
        small.to_uppercase().collect::<Vec<_>>() == [capital] && capital.to_lowercase().collect::<Vec<_>>() == [small]
    };
    a == b || pair(a, b) || pair(b, a)
}

fn wild(wildcard: &[char], text: &[char]) -> bool {
    match wildcard {
        [] => text.is_empty(),
        ['*', rest @ ..] => (0..=text.len()).any(|skipped| wild(rest, &text[skipped..])),
        ['\\', escaped, rest @ ..] => text.first() == Some(escaped) && wild(rest, &text[1..]),
        [plain, rest @ ..] => text.first() == Some(plain) && wild(rest, &text[1..]),
    }
}

fn in_block(block: &str, text: &str) -> bool {
    use std::net::IpAddr;
    let bits = |address: IpAddr| -> String {
        match address {
            IpAddr::V4(address) => address.octets().iter().map(|byte| format!("{byte:08b}")).collect(),
            IpAddr::V6(address) => address.octets().iter().map(|byte| format!("{byte:08b}")).collect(),
        }
    };
    let (address, len) = block.split_once('/').unwrap();
    let (Ok(address), Ok(text)) = (address.parse::<IpAddr>(), text.parse::<IpAddr>()) else { return false };
    let len: usize = len.parse().unwrap();
    address.is_ipv4() == text.is_ipv4() && bits(address)[..len] == bits(text)[..len]
}
