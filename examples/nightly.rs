//! A month of nightly work in a blink. The host supplies the time, so a test can supply it too. The
//! machine sleeps through some nights, and one event stands for the missed ones.
//!
//! ```text
//! $ cargo run --release --example nightly
//! ```

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

use dormouse::{Clock, Context, HostError, Runtime, Timestamp, Trigger};

/// Hands the event to the host, as a job would hand over its report.
const JOB: &str = r#"(module (import "report" "line" (func $line (param i32 i32))) (memory (export "memory") 1)
    (func (export "alloc") (param i32) (result i32) (i32.const 1024))
    (func (export "handle") (param i32 i32) (result i64) (call $line (local.get 0) (local.get 1)) (i64.const 0)))"#;

/// The time since the simulation began, in seconds.
static SIMULATED: AtomicU64 = AtomicU64::new(0);

struct Simulated;

impl Clock for Simulated {
    fn now(&self) -> Duration {
        Duration::from_secs(SIMULATED.load(Relaxed))
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let began = Instant::now();
    let start: Timestamp = "2026-11-01T00:00:00Z".parse()?;
    let runtime = Runtime::builder().clock(Simulated).build();
    let module = wat::parse_str(JOB)?;
    for job in ["rollup", "invoice"] {
        let line = move |guest: &mut Context<'_>, at: u32, len: u32| -> Result<(), HostError> {
            let event = dormouse::Event::parse(guest.read_text(at, len)?.as_bytes())?;
            let data = String::from_utf8_lossy(event.data().unwrap_or_default()).into_owned();
            println!("{}  {job:8} {data}", event.time_text().unwrap_or_default());
            Ok(())
        };
        runtime.deployment(job, &module).host("report", "line", line).deploy()?;
    }
    runtime.tick(start);
    runtime.bind("nightly", Trigger::schedule("30 2 * * *")?.to("rollup"))?;
    runtime.bind("month-end", Trigger::schedule("cron(0 18 L * ? *)")?.to("invoice"))?;

    let month = Duration::from_secs(30 * 86_400);
    let mut now = Duration::ZERO;
    let mut ticks = 0;
    while let Some(sleep) = runtime.deliveries().next_deadline().filter(|sleep| now + *sleep <= month) {
        now += sleep;
        // From the 10th on the host is down for three days.
        if (9 * 86_400..10 * 86_400).contains(&now.as_secs()) {
            now += Duration::from_secs(3 * 86_400);
        }
        SIMULATED.store(now.as_secs(), Relaxed);
        runtime.tick(start.checked_add(now).ok_or("beyond all dates")?);
        ticks += 1;
    }
    println!("30 days, {ticks} ticks, {:?}", began.elapsed());
    assert_eq!(runtime.deliveries().stats().succeeded, 30 - 3 + 1, "27 nights and the end of the month");
    Ok(())
}
