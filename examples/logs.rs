//! A stream of access logs. Each line is an event. A function reads it and tells the host what it
//! has found. Slow requests become events of their own, which invoke another function.
//!
//! The function rejects lines that it cannot read. The runtime does not retry them, and keeps them
//! as dead letters.
//!
//! ```text
//! $ cargo run --release --example logs
//! slow: 203.0.113.0 GET / 500 1000
//! slow: 203.0.113.17 GET /search 200 1281
//! slow: 203.0.113.39 POST /orders 200 1139
//! 30000 lines in 295.4ms, 101557 events a second
//! status 200: 27211 lines, 91 ms on average
//! status 404: 1370 lines, 88 ms on average
//! status 500: 1359 lines, 92 ms on average
//! 156 slow, 60 rejected, as: log.line 242 by lines to analyse: permanent, after 1 attempts: analyse@6d7d294: the guest rejected its input
//! ```
//!
//! On a terminal, a line shows the progress.

use std::{
    collections::BTreeMap,
    io::{IsTerminal, Write},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use dormouse::{Context, Event, HostError, Runtime, Trigger, TriggerInput};

const LINES: u64 = 30_000;

/// The beginning of a slow request's event. Its data is the line.
const HEAD: &str =
    r#"{"specversion":"1.0","id":"-","source":"-","type":"log.slow","datacontenttype":"text/plain","data":""#;

/// Takes `address method path status milliseconds`. It answers -1 if there are not five fields, or
/// if the last two are not numbers. It answers with an event if the request took a second or more,
/// and otherwise with nothing.
fn analyse() -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let text = format!(
        r#"(module (import "stats" "seen" (func $seen (param i32 i32))) (memory (export "memory") 2)
          (data (i32.const 0) "{}")
          ;; The input lies where the end of the answer will be.
          (func (export "alloc") (param i32) (result i32) (i32.const 4096))
          (func (export "handle") (param $at i32) (param $len i32) (result i64)
            (local $to i32) (local $end i32) (local $byte i32) (local $field i32) (local $number i32) (local $status i32)
            (local.set $to (local.get $at))
            (local.set $end (i32.add (local.get $at) (local.get $len)))
            (block $read (loop $next
              (br_if $read (i32.ge_u (local.get $to) (local.get $end)))
              (local.set $byte (i32.load8_u (local.get $to)))
              (local.set $to (i32.add (local.get $to) (i32.const 1)))
              (if (i32.eq (local.get $byte) (i32.const 32))
                (then
                  (if (i32.eq (local.get $field) (i32.const 3)) (then (local.set $status (local.get $number))))
                  (local.set $field (i32.add (local.get $field) (i32.const 1)))
                  (local.set $number (i32.const 0))
                  (br $next)))
              (br_if $next (i32.lt_u (local.get $field) (i32.const 3)))
              (local.set $byte (i32.sub (local.get $byte) (i32.const 48)))
              (if (i32.gt_u (local.get $byte) (i32.const 9)) (then (return (i64.const -1))))
              (local.set $number (i32.add (i32.mul (local.get $number) (i32.const 10)) (local.get $byte)))
              (br $next)))
            (if (i32.ne (local.get $field) (i32.const 4)) (then (return (i64.const -1))))
            (call $seen (local.get $status) (local.get $number))
            (if (i32.lt_u (local.get $number) (i32.const 1000)) (then (return (i64.const 0))))
            (local.set $at (i32.sub (local.get $at) (i32.const {len})))
            (memory.copy (local.get $at) (i32.const 0) (i32.const {len}))
            (i32.store16 (local.get $end) (i32.const 0x7d22))
            (i64.or (i64.shl (i64.extend_i32_u (local.get $at)) (i64.const 32))
              (i64.extend_i32_u (i32.add (local.get $len) (i32.const {})))))) "#,
        HEAD.replace('"', "\\\""),
        HEAD.len() + 2,
        len = HEAD.len(),
    );
    Ok(wat::parse_str(text)?)
}

/// Hands its input to the host.
const REPORT: &str = r#"(module (import "report" "line" (func $line (param i32 i32))) (memory (export "memory") 1)
    (func (export "alloc") (param i32) (result i32) (i32.const 1024))
    (func (export "handle") (param i32 i32) (result i64) (call $line (local.get 0) (local.get 1)) (i64.const 0)))"#;

/// Lines as a web server writes them. Every five hundredth is cut short.
fn line(number: u64) -> String {
    let random = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16;
    let path = ["GET /", "GET /search", "GET /cart", "POST /orders"][(random % 4) as usize];
    let status = [500, 404][(random / 4 % 2) as usize];
    let status = if random / 8 % 11 == 0 { status } else { 200 };
    let millis = if random / 88 % 200 == 0 { 1_000 + random % 900 } else { random / 7 % 170 };
    if number % 500 == 242 {
        format!("203.0.113.9 {path}")
    } else {
        format!("203.0.113.{} {path} {status} {millis}", random % 64)
    }
}

/// Lines and milliseconds for each status.
type Stats = BTreeMap<u32, (u64, u64)>;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let runtime = Runtime::new();
    let (stats, slow) = (Arc::new(Mutex::new(Stats::new())), Arc::new(Mutex::new(Vec::new())));
    let to = Arc::clone(&stats);
    let seen = move |_: &mut Context<'_>, status: u32, millis: u32| {
        let mut stats = to.lock().expect("no panic while it is held");
        let (lines, time) = stats.entry(status).or_default();
        (*lines, *time) = (*lines + 1, *time + u64::from(millis));
    };
    let to = Arc::clone(&slow);
    let keep = move |guest: &mut Context<'_>, at: u32, len: u32| -> Result<(), HostError> {
        let line = guest.read_text(at, len)?;
        to.lock().expect("no panic while it is held").push(line);
        Ok(())
    };
    runtime.deployment("analyse", &analyse()?).host("stats", "seen", seen).deploy()?;
    runtime.deployment("report", &wat::parse_str(REPORT)?).host("report", "line", keep).deploy()?;
    runtime.bind("lines", Trigger::on("log.line").to("analyse").input(TriggerInput::Data).emits(["log.slow"]))?;
    runtime.bind("slow", Trigger::on("log.slow").to("report").input(TriggerInput::Data))?;

    let (began, mut shown) = (Instant::now(), Instant::now());
    let rate = |lines: u64| lines as f64 / began.elapsed().as_secs_f64();
    let mut expected = Stats::new();
    for number in 0..LINES {
        let line = line(number);
        if let [_, _, _, status, millis] = line.split(' ').collect::<Vec<_>>()[..] {
            let (lines, time) = expected.entry(status.parse()?).or_default();
            (*lines, *time) = (*lines + 1, *time + millis.parse::<u64>()?);
        }
        let event = Event::builder("log.line").id(number.to_string()).source("/web").data_text(line).build()?;
        runtime.publish(event)?;
        if number % 1_000 == 999 {
            runtime.deliveries().run_pending(usize::MAX);
            if std::io::stderr().is_terminal() && shown.elapsed() > Duration::from_millis(100) {
                shown = Instant::now();
                eprint!("\r{number:6} of {LINES} lines, {:6.0} events a second ", rate(number));
                std::io::stderr().flush()?;
            }
        }
    }
    let elapsed = began.elapsed();
    if std::io::stderr().is_terminal() {
        eprint!("\r{:60}\r", "");
    }
    let (stats, slow) = (stats.lock().expect("no panic"), slow.lock().expect("no panic"));
    slow.iter().take(3).for_each(|line| println!("slow: {line}"));
    println!("{LINES} lines in {elapsed:.1?}, {:.0} events a second", LINES as f64 / elapsed.as_secs_f64());
    for (status, (lines, time)) in &*stats {
        println!("status {status}: {lines} lines, {} ms on average", time / lines);
    }
    let letters = runtime.deliveries().dead_letters();
    println!("{} slow, {} rejected, as: {}", slow.len(), letters.len(), letters.first().ok_or("some are cut short")?);

    assert_eq!(*stats, expected, "the functions have found what the host knows");
    let deliveries = runtime.deliveries().stats();
    assert_eq!((letters.len() as u64, deliveries.pending()), (LINES / 500, 0));
    assert!(deliveries.is_balanced());
    Ok(())
}
