//! Real guests, in several languages: each answers as its source says, cold and warm, with the same
//! fuel.

use dormouse::{Runtime, StartKind};

use crate::support::guest;

const ORDER: &str = r#"{"user": "ann", "min": 10, "items": [{"name": "pen", "price": 2, "qty": 3}, {"name": "book", "price": 12, "qty": 1}, {"name": "lamp", "price": 5, "qty": 4, "tags": ["a", {"b": [1, 2]}]}], "extra": {"x": [null, true, "s"]}}"#;

fn check(name: &str, input: &[u8], output: &[u8]) {
    let runtime = Runtime::new();
    let function = runtime.deploy(name, &guest(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    let mut fuel = None;
    for round in 0..4 {
        let reply = function.invoke(input).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(String::from_utf8_lossy(reply.output()), String::from_utf8_lossy(output), "{name}, round {round}");
        assert_eq!(*fuel.get_or_insert(reply.report().fuel()), reply.report().fuel(), "{name}, round {round}");
        // An instance whose memory grew beyond the image cannot be used again.
        let grew = reply.report().memory_bytes() > function.deploy_report().unwrap().memory_bytes();
        let start = if round == 0 || grew { StartKind::Cold } else { StartKind::Warm };
        assert_eq!(reply.report().start(), start, "{name}, round {round}");
    }
}

#[test]
fn echoes_in_five_languages_answer_the_same_cold_and_warm() {
    for name in ["echo", "echo.c.reactor", "echo.rust.reactor", "echo.zig.reactor", "echo.as.reactor"] {
        check(name, b"hello, world", b"hello, world");
        check(name, b"", b"");
        check(name, &[0xff; 300], &[0xff; 300]);
    }
}

#[test]
fn counters_that_keep_state_never_get_past_one() {
    for name in ["counter.c.reactor", "counter.rust.reactor", "counter.zig.reactor", "counter.as.reactor"] {
        check(name, b"click", b"count=1 seen=5");
        // Other events may come between. Some make the guest's memory grow.
        let function = Runtime::new().deploy(name, &guest(name)).unwrap();
        for len in [0, 1, 100_000, 5, 1_000, 200_000, 3] {
            let reply = function.invoke(&vec![b'c'; len]).unwrap();
            assert_eq!(String::from_utf8_lossy(reply.output()), format!("count=1 seen={len}"), "{name}");
        }
    }
}

#[test]
fn json_handlers_filter_an_order() {
    for name in ["json.c.reactor", "json.rust.reactor", "json.zig.reactor", "json.as.reactor"] {
        check(name, ORDER.as_bytes(), br#"{"user":"ann","kept":["book","lamp"],"total":32}"#);
    }
}

#[test]
fn other_handlers_answer_as_their_sources_say() {
    check("alloc.rust.reactor", b"1", b"kib=1 sum=0");
    check("sha256.zig.reactor", b"abc", b"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    check(
        "wordcount.as.reactor",
        b"The quick brown fox\njumps over\tthe lazy dog.\n\n  end",
        br#"{"lines":3,"words":10,"bytes":51}"#,
    );
}

/// The guests of the example `polyglot`: all languages answer the same.
#[test]
fn the_handlers_of_the_examples_answer_alike() {
    let texts: [(&[u8], &str); 4] = [
        (b"", r#"{"lines":0,"words":0,"bytes":0}"#),
        (b"A dormouse sleeps,\nuntil an event wakes it.\n", r#"{"lines":2,"words":8,"bytes":44}"#),
        (b" \x0b\x0c one\r\n\ttwo\xff \xc2\xa0", r#"{"lines":1,"words":3,"bytes":17}"#),
        (&[b'x'; 70_000], r#"{"lines":0,"words":1,"bytes":70000}"#),
    ];
    let languages: &[&str] = if cfg!(feature = "wasi") { &["c", "rust", "zig", "as"] } else { &["rust", "zig", "as"] };
    for language in languages {
        let path = format!("{}/examples/guests/wordcount.{language}.wasm", env!("CARGO_MANIFEST_DIR"));
        let module = std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let function = Runtime::new().deploy("wordcount", &module).unwrap();
        for (text, answer) in texts.iter().chain(&texts) {
            let reply = function.invoke(text).unwrap_or_else(|error| panic!("{language}: {error}"));
            assert_eq!(String::from_utf8_lossy(reply.output()), *answer, "{language}");
        }
    }
}
