//! A chain of functions: an upload invokes `validate`, its answer invokes `resize`, and that answer
//! invokes `tag`.
//!
//! Each function answers with an event. The runtime sets the event's source, so that no function
//! can pretend to be another. A broken upload takes another way.
//!
//! ```text
//! $ cargo run --release --example uploads
//! ```

use dormouse::{Context, Event, HostError, Retry, Runtime, Trigger, TriggerInput};

/// A function that answers with an event of one type if its input begins with `P`, as PNG files do,
/// and otherwise with an event of another type. The data of its answer is its input.
fn step(good: &str, bad: &str) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let head = |ty: &str| {
        format!(r#"{{"specversion":"1.0","id":"-","source":"-","datacontenttype":"text/plain","type":"{ty}","data":""#)
    };
    let (good, bad) = (head(good), head(bad));
    let quoted = |text: &str| text.replace('"', "\\\"");
    let text = format!(
        r#"(module (import "log" "line" (func $line (param i32 i32))) (memory (export "memory") 2)
          (data (i32.const 0) "{}") (data (i32.const 256) "{}")
          ;; The input lies where the end of the answer will be.
          (func (export "alloc") (param i32) (result i32) (i32.const 4096))
          (func (export "handle") (param $at i32) (param $len i32) (result i64) (local $head i32) (local $size i32)
            (call $line (local.get $at) (local.get $len))
            (local.set $size (i32.const {}))
            (if (i32.ne (i32.load8_u (local.get $at)) (i32.const 80))
              (then (local.set $head (i32.const 256)) (local.set $size (i32.const {}))))
            (memory.copy (i32.sub (local.get $at) (local.get $size)) (local.get $head) (local.get $size))
            (i32.store16 (i32.add (local.get $at) (local.get $len)) (i32.const 0x7d22))
            (i64.or (i64.shl (i64.extend_i32_u (i32.sub (local.get $at) (local.get $size))) (i64.const 32))
              (i64.extend_i32_u (i32.add (i32.add (local.get $len) (local.get $size)) (i32.const 2))))))"#,
        quoted(&good),
        quoted(&bad),
        good.len(),
        bad.len(),
    );
    Ok(wat::parse_str(text)?)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let runtime = Runtime::new();
    let steps = [
        ("validate", "image.uploaded", "image.valid", "image.broken"),
        ("resize", "image.valid", "image.resized", "image.broken"),
        ("tag", "image.resized", "image.tagged", "image.broken"),
        ("reject", "image.broken", "image.rejected", "image.rejected"),
    ];
    for (function, on, good, bad) in steps {
        let line = move |guest: &mut Context<'_>, at: u32, len: u32| -> Result<(), HostError> {
            let trigger = guest.delivery().map_or_else(String::new, |delivery| delivery.trigger);
            println!("{function:9} got {:14} through the trigger {trigger}", guest.read_text(at, len)?);
            Ok(())
        };
        runtime.deployment(function, &step(good, bad)?).host("log", "line", line).deploy()?;
        let trigger = Trigger::on(on).to(function).input(TriggerInput::Data).retry(Retry::never()).emits([good, bad]);
        runtime.bind(&format!("{on}-to-{function}"), trigger)?;
    }
    for image in ["PNG cat", "JUNK", "PNG dog"] {
        runtime.publish(runtime.event(Event::builder("image.uploaded").data_text(image))?)?;
    }
    let ran = runtime.deliveries().run_pending(usize::MAX);
    let deliveries = runtime.deliveries().stats();
    println!("{ran} deliveries, {} dead letters", deliveries.dead_letters);
    for letter in runtime.deliveries().dead_letters() {
        println!("{letter}");
    }
    assert_eq!((ran, deliveries.succeeded), (8, 8), "three steps for each cat and dog, two for the junk");
    Ok(())
}
