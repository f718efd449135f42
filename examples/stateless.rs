//! A guest that tries to remember, in every place that WebAssembly has, and fails. Each invocation
//! finds the guest as it was deployed, even after a trap.
//!
//! ```text
//! $ cargo run --release --example stateless
//!              two calls of one  two invocations    another one,
//! counts in    invocation        and their starts   after a trap
//! global       1 2               1 1 (warm, warm)   1
//! memory word  1 2               1 1 (warm, warm)   1
//! memory size  1 2               1 1 (cold, cold)   1
//! table entry  1 2               1 1 (warm, warm)   1
//!
//! No invocation got past 1. A memory cannot shrink, so an instance whose memory grew is thrown away.
//! ```

use dormouse::{Function, Guest, InvokeErrorKind, Runtime};

/// Counts in a global, in memory, by the size of its memory, and in a table, in which it replaces a
/// function by the next.
const COUNTER: &str = r#"
(module
  (memory (export "memory") 1)
  (global $count (mut i32) (i32.const 0))
  (type $number (func (result i32)))
  (table $numbers 1 funcref)
  (elem (i32.const 0) $zero)
  (elem declare func $one $two)
  (func $zero (result i32) (i32.const 0))
  (func $one (result i32) (i32.const 1))
  (func $two (result i32) (i32.const 2))

  (func $global (export "global") (result i32)
    (global.set $count (i32.add (global.get $count) (i32.const 1)))
    (global.get $count))

  (func $memory (export "memory word") (result i32)
    (i32.store (i32.const 64) (i32.add (i32.load (i32.const 64)) (i32.const 1)))
    (i32.load (i32.const 64)))

  (func (export "memory size") (result i32)
    (memory.grow (i32.const 1)))

  (func $table (export "table entry") (result i32)
    (if (call_indirect (type $number) (i32.const 0))
      (then (table.set $numbers (i32.const 0) (ref.func $two)))
      (else (table.set $numbers (i32.const 0) (ref.func $one))))
    (call_indirect (type $number) (i32.const 0)))

  ;; Counts in three of them, and then fails.
  (func (export "count and trap")
    (drop (call $global)) (drop (call $memory)) (drop (call $table))
    unreachable))
"#;

const PLACES: [&str; 4] = ["global", "memory word", "memory size", "table entry"];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let runtime = Runtime::new();
    let counter = runtime.deploy("counter", &wat::parse_str(COUNTER)?)?;

    println!("             two calls of one  two invocations    another one,");
    println!("counts in    invocation        and their starts   after a trap");
    for place in PLACES {
        // Within one invocation the guest does count. A session is one invocation with several
        // calls.
        let within = counter.session(|guest| Ok([count(guest, place)?, count(guest, place)?]))?.into_value();

        // Every invocation starts again.
        let calls = [counter.call(place, &[])?, counter.call(place, &[])?];
        let counts = calls.each_ref().map(|call| call.values()[0].as_i32());
        let starts = calls.each_ref().map(|call| call.report().start());

        let after_a_trap = trap_and_count(&counter, place)?;

        println!(
            "{place:11}  {:16}  {:17}  {after_a_trap}",
            format!("{} {}", within[0], within[1]),
            format!("{} {} ({}, {})", counts[0], counts[1], starts[0], starts[1]),
        );
        assert_eq!(within, [1, 2]);
        assert_eq!(counts, [1, 1]);
        assert_eq!(after_a_trap, 1);
    }
    println!("\nNo invocation got past 1. A memory cannot shrink, so an instance whose memory grew is thrown away.");
    Ok(())
}

fn count(guest: &mut Guest<'_>, place: &str) -> Result<i32, InvokeErrorKind> {
    Ok(guest.call(place, &[])?[0].as_i32())
}

/// Lets the guest count and trap, then count once more.
fn trap_and_count(counter: &Function, place: &str) -> Result<i32, Box<dyn std::error::Error>> {
    let trap = counter.call("count and trap", &[]).expect_err("it ends in `unreachable`");
    assert!(matches!(trap.kind(), InvokeErrorKind::Trap(_)));
    Ok(counter.call(place, &[])?.values()[0].as_i32())
}
