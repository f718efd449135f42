//! CPU samples come in, and a function sleeps until one is too high. A pattern with numbers says
//! which samples wake it. It writes a notification, which the host sends. The host can ask why a
//! sample matched no trigger.
//!
//! ```text
//! $ cargo run --release --example alerts
//! notice: web-3: CPU at 90 %
//! notice: web-3: CPU at 91 %
//! notice: web-3: CPU at 92 %
//! …
//! page:   web-3: CPU at 98 %
//! …
//! 1080 samples, 27 at 90 % or more, 6 at 98 % or more; 33 invocations, 3.5 us each
//! web-1 at 20 % woke nobody: data.load must be one of [{"numeric":[">=",90]}], but is 20
//! ```

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use dormouse::{Context, Event, HostError, Runtime, Trigger, TriggerInput, Verdict};

/// Takes `{"host":"…","load":…}`, in this order, and tells the host `…: CPU at … %`. It rejects
/// everything else.
const ALERT: &str = r#"(module (import "notify" "send" (func $send (param i32 i32))) (memory (export "memory") 1)
    (data (i32.const 0) "{\"host\":\"")
    (data (i32.const 16) "\",\"load\":")
    (data (i32.const 32) ": CPU at ")
    (func (export "alloc") (param i32) (result i32) (i32.const 8192))
    ;; Whether so many bytes are the same here and there.
    (func $same (param $at i32) (param $to i32) (param $len i32) (result i32)
      (loop $next
        (if (i32.ne (i32.load8_u (local.get $at)) (i32.load8_u (local.get $to))) (then (return (i32.const 0))))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (local.set $to (i32.add (local.get $to) (i32.const 1)))
        (br_if $next (local.tee $len (i32.sub (local.get $len) (i32.const 1)))))
      (i32.const 1))
    ;; How many bytes there are up to this one.
    (func $until (param $at i32) (param $byte i32) (param $end i32) (result i32) (local $to i32)
      (local.set $to (local.get $at))
      (block $found (loop $next
        (br_if $found (i32.ge_u (local.get $to) (local.get $end)))
        (br_if $found (i32.eq (i32.load8_u (local.get $to)) (local.get $byte)))
        (local.set $to (i32.add (local.get $to) (i32.const 1)))
        (br $next)))
      (i32.sub (local.get $to) (local.get $at)))
    (func (export "handle") (param $at i32) (param $len i32) (result i64) (local $end i32) (local $name i32) (local $digits i32)
      (local.set $end (i32.add (local.get $at) (local.get $len)))
      (if (i32.eqz (call $same (i32.const 0) (local.get $at) (i32.const 9))) (then (return (i64.const -1))))
      (local.set $at (i32.add (local.get $at) (i32.const 9)))
      (local.set $name (call $until (local.get $at) (i32.const 34) (local.get $end)))
      (if (i32.gt_u (local.get $name) (i32.const 64)) (then (return (i64.const -1))))
      (memory.copy (i32.const 1024) (local.get $at) (local.get $name))
      (local.set $at (i32.add (local.get $at) (local.get $name)))
      (if (i32.eqz (call $same (i32.const 16) (local.get $at) (i32.const 9))) (then (return (i64.const -1))))
      (local.set $at (i32.add (local.get $at) (i32.const 9)))
      (local.set $digits (call $until (local.get $at) (i32.const 125) (local.get $end)))
      (if (i32.gt_u (local.get $digits) (i32.const 20)) (then (return (i64.const -1))))
      (local.set $name (i32.add (i32.const 1024) (local.get $name)))
      (memory.copy (local.get $name) (i32.const 32) (i32.const 9))
      (local.set $name (i32.add (local.get $name) (i32.const 9)))
      (memory.copy (local.get $name) (local.get $at) (local.get $digits))
      (local.set $name (i32.add (local.get $name) (local.get $digits)))
      (i32.store16 (local.get $name) (i32.const 0x2520))
      (call $send (i32.const 1024) (i32.sub (i32.add (local.get $name) (i32.const 2)) (i32.const 1024)))
      (i64.const 0)))"#;

/// The load of each host in percent, every ten seconds of an hour: a slow wave, and a peak for the
/// third host.
fn load(host: u32, step: u32) -> u32 {
    let wave = (step + host * 40) % 120;
    let wave = 20 + wave.min(120 - wave) / 2;
    let peak = if host == 3 && (200..260).contains(&step) { 75 - step.abs_diff(230) } else { 0 };
    (wave + peak).min(100)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let runtime = Runtime::new();
    let module = wat::parse_str(ALERT)?;
    let sent = Arc::new(AtomicU64::new(0));
    for (function, label) in [("notice", "notice:"), ("page", "page:  ")] {
        let sent = Arc::clone(&sent);
        let send = move |guest: &mut Context<'_>, at: u32, len: u32| -> Result<(), HostError> {
            let text = guest.read_text(at, len)?;
            sent.fetch_add(1, Relaxed);
            println!("{label} {text}");
            Ok(())
        };
        runtime.deployment(function, &module).host("notify", "send", send).deploy()?;
    }
    let pattern = |bound: u32| format!(r#"{{"type":["cpu.sample"],"data":{{"load":[{{"numeric":[">=",{bound}]}}]}}}}"#);
    runtime.bind("hot", Trigger::pattern(&pattern(90))?.to("notice").input(TriggerInput::Data))?;
    runtime.bind("overheated", Trigger::pattern(&pattern(98))?.to("page").input(TriggerInput::Data))?;

    let sample = |host: u32, step: u32| {
        let data = format!(r#"{{"host":"web-{host}","load":{}}}"#, load(host, step));
        Event::builder("cpu.sample").id(format!("{host}-{step}")).source("/fleet").data_json(data).build()
    };
    let (mut samples, mut hot, mut overheated) = (0, 0, 0);
    for step in 0..360 {
        for host in 1..=3 {
            (samples, hot) = (samples + 1, hot + u64::from(load(host, step) >= 90));
            overheated += u64::from(load(host, step) >= 98);
            runtime.publish(sample(host, step)?)?;
        }
        runtime.deliveries().run_pending(usize::MAX);
    }
    let (mut invocations, mut time) = (0, Duration::ZERO);
    for usage in runtime.ledger().functions() {
        (invocations, time) = (invocations + usage.invocations(), time + usage.duration());
    }
    let each = time.as_secs_f64() * 1e6 / invocations as f64;
    println!(
        "{samples} samples, {hot} at 90 % or more, {overheated} at 98 % or more; {invocations} invocations, {each:.1} us each"
    );
    let quiet = sample(1, 80)?;
    match runtime.triggers().explain(&quiet, "hot") {
        Some(Verdict::Fails { field, reason, .. }) => {
            println!("web-1 at {} % woke nobody: {field} {reason}", load(1, 80));
        }
        other => return Err(format!("{other:?}").into()),
    }
    assert!(hot > 0 && overheated > 0);
    assert_eq!(sent.load(Relaxed), hot + overheated, "a notification for each, and none beside");
    assert_eq!(runtime.deliveries().stats().succeeded, hot + overheated);
    Ok(())
}
