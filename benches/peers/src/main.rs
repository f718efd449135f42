//! dormouse beside wasmi, Wasmtime, Extism and Wasm3, in one run: `cargo run --release` in this
//! folder.
//!
//! It writes its medians to standard output, in lines of `table row contender nanoseconds` with
//! tabs between.
//!
//! With `DORMOUSE_RECORD=1` it also writes them to `results.tsv`. From there it writes the tables
//! of the README and of benches/README.md, and the chart. `cargo run --release -- draw` does that
//! last step alone.
//!
//! Each contender checks the answer that it times.

mod chart;
mod contenders;
mod measure;
mod results;
mod tables;

#[path = "../../support/guests.rs"]
#[allow(dead_code, reason = "some are for the other benches")]
mod guests;
#[path = "../../support/raw.rs"]
mod raw;
#[path = "../../support/record.rs"]
mod record;

use std::time::Duration;

use contenders::{Guest, Peer};
use guests::{EVENT, KEPT, ORDER, built, echo};
use measure::Pace;
use results::Results;

/// The folder of the package dormouse.
const REPOSITORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// Pages of 64 KiB.
const MEMORIES: [u32; 5] = [1, 4, 17, 64, 256];

/// Rounds of a loop that only computes.
const ROUNDS: u32 = 100_000;

const SHORT: Pace = Pace { rounds: 31, batch: Duration::from_millis(10) };
const LONG: Pace = Pace { rounds: 11, batch: Duration::from_millis(30) };

fn main() {
    if std::env::args().any(|argument| argument == "draw") {
        return publish(&Results::read());
    }
    let mut results = Results::new(record::machine());
    // This comes first, while the allocator is as in a new process.
    for case in cold_guests() {
        results.add("cold", case.name, measure::medians(contenders::cold(&case.guest()), LONG));
    }
    for pages in MEMORIES {
        let guest = Guest { bytes: &echo(pages, 14), event: &EVENT, answer: &EVENT };
        results.add("echo", &pages.to_string(), measure::medians(contenders::echo(&guest, pages), SHORT));
    }
    for case in work() {
        results.add("work", case.name, measure::medians(contenders::stateless(&case.guest()), SHORT));
    }
    let guest = Guest { bytes: &echo(17, 14), event: &EVENT, answer: &EVENT };
    for threads in [1, 2] {
        let peers = [Peer::Dormouse, Peer::WasmtimeScan, Peer::Wasmtime, Peer::WasmiFresh];
        let medians = peers.map(|peer| (peer, contenders::events_on(threads, peer, &guest)));
        results.add("threads", &threads.to_string(), medians.to_vec());
    }
    if record::is_asked_for() {
        results.write();
        publish(&results);
    }
}

/// A guest by name, with its input and its answer.
struct Case {
    name: &'static str,
    bytes: Vec<u8>,
    event: Vec<u8>,
    answer: Vec<u8>,
}

impl Case {
    fn new(name: &'static str, bytes: Vec<u8>, event: &[u8], answer: &[u8]) -> Self {
        Self { name, bytes, event: event.to_vec(), answer: answer.to_vec() }
    }

    fn built(name: &'static str, event: &[u8], answer: &[u8]) -> Self {
        Self::new(name, built(name), event, answer)
    }

    fn guest(&self) -> Guest<'_> {
        Guest { bytes: &self.bytes, event: &self.event, answer: &self.answer }
    }
}

/// From bytes to the first reply: a guest of a few bytes, and real ones.
fn cold_guests() -> [Case; 4] {
    [
        Case::new("echo", echo(1, 14), &EVENT, &EVENT),
        Case::built("echo.rust.reactor", &EVENT, &EVENT),
        Case::built("json.c.reactor", ORDER, KEPT),
        Case::built("json.rust.reactor", ORDER, KEPT),
    ]
}

/// Invocations in which the guest itself works.
fn work() -> [Case; 2] {
    // xorshift, so that no compiler can shorten it.
    let mut expected = 1u64;
    for _ in 0..ROUNDS {
        expected ^= expected << 13;
        expected ^= expected >> 7;
        expected ^= expected << 17;
    }
    let loops = r#"(module
      (memory (export "memory") 1)
      (global (export "top") (mut i32) (i32.const 1024))
      (func (export "alloc") (param i32) (result i32) (i32.const 1024))
      (func (export "handle") (param $at i32) (param $len i32) (result i64) (local $x i64) (local $left i32)
        (local.set $x (i64.const 1))
        (local.set $left (i32.load (local.get $at)))
        (loop $next
          (local.set $x (i64.xor (local.get $x) (i64.shl (local.get $x) (i64.const 13))))
          (local.set $x (i64.xor (local.get $x) (i64.shr_u (local.get $x) (i64.const 7))))
          (local.set $x (i64.xor (local.get $x) (i64.shl (local.get $x) (i64.const 17))))
          (br_if $next (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
        (i64.store (i32.const 512) (local.get $x))
        (i64.or (i64.shl (i64.const 512) (i64.const 32)) (i64.const 8))))"#;
    let loops = wat::parse_str(loops).expect("the module is written above");
    [
        Case::new("json", built("json.rust.reactor"), ORDER, KEPT),
        Case::new("loop", loops, &ROUNDS.to_le_bytes(), &expected.to_le_bytes()),
    ]
}

fn publish(results: &Results) {
    tables::publish(results);
    chart::draw(results);
}
