//! What matching events costs beside the crate quamina, in one run. benches/README.md explains the
//! names.
//!
//! Before anything is timed, both contenders must find the same patterns for each event.

use std::{fmt::Write, hint::black_box, time::Duration};

use criterion::{Criterion, Throughput};
use dormouse::{Matcher, Pattern, PatternIndex};
use quamina::Quamina;

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .sample_size(40)
        .configure_from_args();
    let lots = lots(500);
    let bytes: usize = lots.iter().map(|lot| lot.json.len()).sum();
    println!("{} events of {} bytes on average", lots.len(), bytes / lots.len());
    for (name, patterns) in groups(&lots) {
        compare(&mut criterion, name, &lots, &patterns, true);
    }
    // The first one matches about one event in five hundred and the others match none, so that only
    // their number differs.
    for count in [1, 100, 10_000] {
        let nowhere = (1..count).map(|number| format!("\"NOWHERE {number}\""));
        let streets = std::iter::once(format!("{:?}", lots[0].street)).chain(nowhere);
        let patterns: Vec<String> = streets.map(|street| properties("STREET", &street)).collect();
        compare(&mut criterion, &format!("exact_of/{count}"), &lots, &patterns, true);
    }
    for elements in [500, 2_000] {
        let event = [long(elements)];
        let last = elements - 1;
        let both = [
            format!(r#"{{"items":{{"x":[{last}],"y":[{}]}}}}"#, last * 2),
            format!(r#"{{"items":{{"x":[{last}],"y":[0]}}}}"#),
        ];
        compare(&mut criterion, &format!("elements/{elements}"), &event, &both, true);
        let any = [r#"{"items":{"x":[{"numeric":[">=",0]}],"y":[{"numeric":["<",0]}]}}"#.to_owned()];
        compare(&mut criterion, &format!("elements_all/{elements}"), &event, &any, elements < 1_000);
    }
    let mut large = long(256 * 1_024 / 20);
    large.json.truncate(large.json.len() - 1);
    large.json.push_str(r#","name":"large"}"#);
    println!("the large event has {} bytes", large.json.len());
    let patterns = [r#"{"name":["large"]}"#, r#"{"items":{"x":[7],"y":[14]}}"#].map(str::to_owned);
    compare(&mut criterion, "large", &[large], &patterns, true);
    criterion.final_summary();
}

/// One parcel of land, in the shape of the public set "citylots".
struct Lot {
    street: String,
    block: String,
    lot: String,
    json: String,
}

const TYPES: [&str; 6] = ["ST", "AVE", "BLVD", "CT", "DR", "WAY"];
const STREETS: [&str; 12] = [
    "CRANLEIGH",
    "CIRCULAR",
    "MISSION",
    "VALENCIA",
    "GUERRERO",
    "DOLORES",
    "CHURCH",
    "SANCHEZ",
    "NOE",
    "CASTRO",
    "DIAMOND",
    "UNKNOWN",
];

fn lots(count: usize) -> Vec<Lot> {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    (0..count).map(|_| lot(&mut random)).collect()
}

fn lot(random: &mut Random) -> Lot {
    let block = format!("{:04}", random.below(8_000));
    let lot = format!("{:03}", random.below(400));
    let street = format!("{} {}", STREETS[random.below(12)], random.below(40));
    let number = random.below(3_000);
    let odd_even = if number % 2 == 0 { "E" } else { "O" };
    let ty = TYPES[random.below(6)];
    let mut json = format!(
        r#"{{"type":"Feature","properties":{{"MAPBLKLOT":"{block}{lot}","BLKLOT":"{block}{lot}","BLOCK_NUM":"{block}","LOT_NUM":"{lot}","FROM_ST":"{number}","TO_ST":"{number}","STREET":"{street}","ST_TYPE":"{ty}","ODD_EVEN":"{odd_even}","AREA":{}}},"geometry":{{"type":"Polygon","coordinates":["#,
        random.below(5_000)
    );
    for corner in 0..8 + random.below(4) {
        let comma = if corner > 0 { "," } else { "" };
        let (x, y) = (random.below(1_000_000_000), random.below(1_000_000_000));
        let z = random.below(50);
        write!(json, r#"{comma}{{"x":-122.422{x:09}252,"y":37.80{y:09}725,"z":{z}}}"#).expect("a string takes all");
    }
    json.push_str("]}}");
    Lot { street, block, lot, json }
}

/// An event with an array of so many objects.
fn long(elements: usize) -> Lot {
    let items: Vec<String> = (0..elements).map(|x| format!(r#"{{"x":{x},"y":{}}}"#, x * 2)).collect();
    let json = format!(r#"{{"items":[{}]}}"#, items.join(","));
    Lot { street: String::new(), block: String::new(), lot: String::new(), json }
}

fn properties(field: &str, test: &str) -> String {
    format!(r#"{{"properties":{{"{field}":[{test}]}}}}"#)
}

/// Groups of patterns in a language that both contenders read.
fn groups(lots: &[Lot]) -> Vec<(&'static str, Vec<String>)> {
    let some = || lots.iter().step_by(50);
    let exact: Vec<String> = some().map(|lot| properties("BLOCK_NUM", &format!("{:?}", lot.block))).collect();
    let prefix: Vec<String> =
        STREETS.iter().map(|street| properties("STREET", &format!(r#"{{"prefix":"{}"}}"#, &street[..3]))).collect();
    let suffix: Vec<String> =
        some().map(|lot| properties("MAPBLKLOT", &format!(r#"{{"suffix":"{}"}}"#, lot.lot))).collect();
    let wildcard: Vec<String> = ["M*N *", "*A*", "C*C*", "*1", "*O*H 1*", "D*3"]
        .iter()
        .map(|text| properties("STREET", &format!(r#"{{"wildcard":"{text}"}}"#)))
        .collect();
    let ignore_case: Vec<String> = some()
        .map(|lot| properties("STREET", &format!(r#"{{"equals-ignore-case":"{}"}}"#, lot.street.to_lowercase())))
        .collect();
    let numeric: Vec<String> = (0..10)
        .map(|step| properties("AREA", &format!(r#"{{"numeric":[">=",{},"<",{}]}}"#, step * 500, step * 500 + 300)))
        .collect();
    let anything_but: Vec<String> =
        TYPES.iter().map(|ty| properties("ST_TYPE", &format!(r#"{{"anything-but":["{ty}","LN"]}}"#))).collect();
    let arrays: Vec<String> = (0..10)
        .map(|z| format!(r#"{{"geometry":{{"coordinates":{{"z":[{z}],"x":[{{"numeric":["<",-122.4225]}}]}}}}}}"#))
        .collect();
    let mut mix: Vec<String> = Vec::new();
    for group in [&exact, &prefix, &suffix, &wildcard, &ignore_case, &numeric, &anything_but, &arrays] {
        mix.extend(group.iter().take(5).cloned());
    }
    vec![
        ("exact", exact),
        ("prefix", prefix),
        ("suffix", suffix),
        ("wildcard", wildcard),
        ("ignore_case", ignore_case),
        ("numeric", numeric),
        ("anything_but", anything_but),
        ("array_objects", arrays),
        ("mix", mix),
    ]
}

fn compare(criterion: &mut Criterion, name: &str, lots: &[Lot], patterns: &[String], with_quamina: bool) {
    let ours = PatternIndex::new();
    let mut theirs = Quamina::new();
    for (key, pattern) in (0_u32..).zip(patterns) {
        let parsed = Pattern::parse(pattern).expect("the patterns are written above");
        ours.add(key, &parsed).expect("keys are counted up");
        if with_quamina {
            theirs.add_pattern(key, pattern).expect("quamina reads it too");
        }
    }
    let mut found = 0;
    for Lot { json, .. } in lots {
        let keys = ours.matches(json.as_bytes()).expect("the events are written above");
        found += keys.len();
        if with_quamina {
            let mut others = theirs.matches_for_event(json.as_bytes()).expect("quamina reads it too");
            others.sort_unstable();
            others.dedup();
            assert_eq!(keys, others, "{name}: {json}");
        }
    }
    assert!(found > 0 || name.starts_with("elements_all"), "{name}: nothing matches");
    let mut group = criterion.benchmark_group(format!("patterns/{name}"));
    group.throughput(Throughput::Elements(lots.len() as u64));
    let (mut matcher, mut keys) = (Matcher::new(), Vec::new());
    group.bench_function("ours", |bencher| {
        bencher.iter(|| {
            for lot in lots {
                ours.matches_into(black_box(lot.json.as_bytes()), &mut matcher, &mut keys).expect("as before");
                black_box(&keys);
            }
        });
    });
    if with_quamina {
        group.bench_function("quamina", |bencher| {
            bencher.iter(|| {
                for lot in lots {
                    black_box(theirs.matches_for_event(black_box(lot.json.as_bytes())).expect("as before"));
                }
            });
        });
    }
    group.finish();
}

/// xorshift64*, so that all runs are alike.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16) as usize % bound
    }
}
