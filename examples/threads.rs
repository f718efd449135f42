//! One function under load from several threads. Each invocation has an instance to itself, and the
//! runtime reuses instances. The example checks every answer.
//!
//! ```text
//! $ cargo run --release --example threads
//! 2 cores
//! threads  invocations  per second  cold starts  instances
//!       1         6171       10282            1          1
//!       2         6488       10737            2          2
//!       4         6253       10413            4          4
//! all answers were right
//! ```
//!
//! The figures are from a busy machine with two cores. Yours will differ.

use std::{
    io::{IsTerminal, Write},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use dormouse::{Function, Runtime, StartKind};

/// Keeps the items of an order that are worth a minimum, and adds them up: JSON in, JSON out. Its
/// source is `tests/guests/rust/handlers.rs`, in Rust.
const GUEST: &[u8] = include_bytes!("../tests/guests/json.rust.reactor.wasm");

const TIME_PER_ROUND: Duration = Duration::from_millis(600);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let runtime = Runtime::new();
    let filter = runtime.deployment("filter", GUEST).instances(0..=4).deploy()?;
    let orders: Vec<_> = (0..64).map(order).collect();

    println!("{} cores", thread::available_parallelism()?);
    println!("threads  invocations  per second  cold starts  instances");
    for threads in [1, 2, 4] {
        filter.trim(Duration::ZERO); // each round begins without instances
        let began = Instant::now();
        let (done, cold) = load(&filter, &orders, threads);
        let per_second = done as f64 / began.elapsed().as_secs_f64();
        let instances = filter.instances().live;
        println!("{threads:7}  {done:11}  {per_second:10.0}  {cold:11}  {instances:9}");
    }
    println!("all answers were right");
    Ok(())
}

/// One of many orders, and what the function must answer to it.
fn order(number: u32) -> (String, String) {
    let (pens, lamps) = (number % 5, 2 + number % 7);
    let order = format!(
        r#"{{"user":"user {number}","min":10,"items":[
            {{"name":"pen","price":2,"qty":{pens}}},{{"name":"lamp","price":5,"qty":{lamps}}}]}}"#
    );
    // Four pens cost 8, less than the minimum. Two lamps cost enough.
    (order, format!(r#"{{"user":"user {number}","kept":["lamp"],"total":{}}}"#, 5 * lamps))
}

/// Invokes the function from several threads until the time is over. It returns the number of
/// invocations, and of cold starts among them.
fn load(filter: &Function, orders: &[(String, String)], threads: usize) -> (u64, u64) {
    let (done, cold) = (AtomicU64::new(0), AtomicU64::new(0));
    let until = Instant::now() + TIME_PER_ROUND;
    thread::scope(|scope| {
        for number in 0..threads {
            let (done, cold) = (&done, &cold);
            // A `Function` may be shared between threads, as here, or cloned.
            scope.spawn(move || {
                for (order, answer) in orders.iter().cycle().skip(number) {
                    let reply = filter.invoke(order.as_bytes()).expect("the guest answers");
                    assert_eq!(reply.output(), answer.as_bytes(), "the answer to {order}");
                    cold.fetch_add(u64::from(reply.report().start() == StartKind::Cold), Relaxed);
                    done.fetch_add(1, Relaxed);
                    if Instant::now() >= until {
                        break;
                    }
                }
            });
        }
        if std::io::stderr().is_terminal() {
            while Instant::now() < until {
                eprint!("\r{threads} threads: {} invocations ", done.load(Relaxed));
                let _ = std::io::stderr().flush();
                thread::sleep(Duration::from_millis(50));
            }
            eprint!("\r{:40}\r", "");
        }
    });
    (done.into_inner(), cold.into_inner())
}
