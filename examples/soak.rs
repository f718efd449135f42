//! Mixed load with faults, for as long as you like. Events succeed, trap, run out of fuel and grow
//! their memory. There are retries, chains, a schedule, a queue that gets full, and functions that
//! come and go. At the end it says whether the figures balance and whether memory grew.
//!
//! ```text
//! $ cargo run --release --example soak -- --seconds 60
//! ```

use std::{
    fs,
    time::{Duration, Instant},
};

use dormouse::{Event, EventLimits, Limits, PublishError, Retry, Runtime, Timestamp, Trigger, TriggerInput};

/// Does what the first byte of its input says: t traps, f loops, g grows its memory, a answers with
/// an event. Everything else succeeds.
const DEED: &str = r#"(module (memory (export "memory") 1 8)
    (data (i32.const 16) "{\"specversion\":\"1.0\",\"id\":\"x\",\"source\":\"/x\",\"type\":\"step\",\"data\":\"next\"}")
    (func (export "alloc") (param i32) (result i32) (i32.const 1024))
    (func (export "handle") (param $at i32) (param i32) (result i64) (local $deed i32)
      (local.set $deed (i32.load8_u (local.get $at)))
      (if (i32.eq (local.get $deed) (i32.const 116)) (then unreachable))
      (if (i32.eq (local.get $deed) (i32.const 102)) (then (loop (br 0))))
      (if (i32.eq (local.get $deed) (i32.const 103)) (then (drop (memory.grow (i32.const 1)))))
      (if (i32.eq (local.get $deed) (i32.const 97))
        (then (return (i64.or (i64.shl (i64.const 16) (i64.const 32)) (i64.const 72)))))
      (i64.const 0)))"#;

const DEEDS: [&str; 8] = ["ok", "ok", "ok", "ok", "trap", "fuel", "grow", "answer"];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let seconds: f64 = match std::env::args().skip(1).collect::<Vec<_>>().as_slice() {
        [flag, seconds] if flag == "--seconds" => seconds.parse()?,
        _ => 2.0,
    };
    let limits = EventLimits { deliveries: 2_000, dead_letters: 1_000, ..EventLimits::default() };
    let runtime = Runtime::builder().events(limits).build();
    let module = wat::parse_str(DEED)?;
    let fuel = Limits { fuel: 20_000, ..Limits::default() };
    for function in ["deed", "other"] {
        runtime.deployment(function, &module).limits(fuel.clone()).deploy()?;
    }
    let retry = Retry::exponential(Duration::from_millis(5)).attempts(3).max_age(Duration::from_secs(1));
    let trigger = |source: Trigger, function| source.to(function).input(TriggerInput::Data).retry(retry.clone());
    runtime.bind("deeds", trigger(Trigger::on("deed"), "deed").emits(["step"]))?;
    runtime.bind("steps", trigger(Trigger::on("step"), "other"))?;
    runtime.bind("ordered", trigger(Trigger::topic("subject", "keys/+")?, "deed").ordered())?;
    runtime.bind("traps", trigger(Trigger::pattern(r#"{"data":[{"prefix":"t"}]}"#)?, "other"))?;
    runtime.bind("seconds", Trigger::schedule("* * * * * *")?.to("other"))?;

    let workers = runtime.deliveries().workers(2)?;
    let began = Instant::now();
    let (mut number, mut refused, mut reported, mut after_a_quarter) = (0u64, 0u64, 0u64, None);
    let at_start = resident();
    while began.elapsed().as_secs_f64() < seconds {
        for _ in 0..200 {
            number += 1;
            let deed = DEEDS[(number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 61) as usize];
            let event = Event::builder("deed").subject(format!("keys/{}", number % 16)).data_text(deed);
            let key = (number % 16).to_string();
            match runtime.publish(runtime.event(event.extension("partitionkey", key))?) {
                Ok(_) => {}
                Err(PublishError::QueueFull { .. }) => {
                    refused += 1;
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err(error) => return Err(error.into()),
            }
        }
        match number / 200 % 50 {
            10 => drop(runtime.undeploy("other")),
            20 => drop(runtime.deployment("other", &module).limits(fuel.clone()).deploy()?),
            30 => runtime.find("deed").ok_or("deployed")?.set_max_instances(1)?,
            40 => runtime.find("deed").ok_or("deployed")?.set_max_instances(4)?,
            _ => {}
        }
        if let Some(letter) = runtime.deliveries().dead_letters().first().filter(|_| number % 1_000 == 0) {
            // The letter may have gone in between, and the queue may be full.
            let _ = runtime.deliveries().redrive(letter.id());
        }
        runtime.tick(Timestamp::try_from(std::time::SystemTime::now())?);
        if after_a_quarter.is_none() && began.elapsed().as_secs_f64() > seconds / 4.0 {
            after_a_quarter = Some(resident());
        }
        if began.elapsed().as_secs() >= reported + 10 {
            reported = began.elapsed().as_secs();
            println!("{reported:4} s  {} KiB resident  {:?}", resident(), runtime.deliveries());
        }
    }
    drop(workers);
    let deliveries = runtime.deliveries().stats();
    println!("{number} events, {refused} refused as the queue was full, {:.0} a second", number as f64 / seconds);
    println!("{deliveries:#?}");
    println!(
        "resident: {at_start} KiB at the start, {} KiB after a quarter, {} KiB at the end",
        after_a_quarter.unwrap_or(at_start),
        resident()
    );
    assert!(deliveries.is_balanced(), "the figures do not balance");
    println!("the figures balance");
    Ok(())
}

/// KiB of memory that the process holds, as Linux says. It is 0 on other systems.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}
