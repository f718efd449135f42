//! What is left when the power fails: a disk that forgets what was not written through, cut at every write in turn, and one that is
//! full.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with the error")]

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use super::{PublishError, Store};
use crate::{
    Context, Event, HostError, Input, Retry, Runtime, Trigger,
    disk::{Simulated, StoreProblem, Survive},
};

/// Tells the host what it is given; traps on `t`.
const GUEST: &str = r#"(module (import "test" "note" (func $note (param i32 i32))) (memory (export "memory") 8)
    (func (export "alloc") (param i32) (result i32) (i32.const 0))
    (func (export "handle") (param $at i32) (param $len i32) (result i64)
      (call $note (local.get $at) (local.get $len))
      (if (i32.eq (i32.load8_u (local.get $at)) (i32.const 116)) (then unreachable))
      (i64.const 0)))"#;

type Seen = Arc<Mutex<BTreeSet<String>>>;

fn runtime(disk: &Simulated, seen: &Seen) -> Option<Runtime> {
    let runtime = Runtime::builder().build_on(Store::on(disk.open().ok()?)).ok()?;
    let seen = Arc::clone(seen);
    let note = move |guest: &mut Context<'_>, at: u32, len: u32| -> Result<(), HostError> {
        let text = guest.read_text(at, len)?;
        seen.lock().unwrap().insert(text);
        Ok(())
    };
    let module = wat::parse_str(GUEST).unwrap();
    runtime.deployment("f", &module).host("test", "note", note).deploy().unwrap();
    let retry = Retry::fixed(Duration::ZERO).attempts(2);
    runtime.bind("a", Trigger::on("a").to("f").input(Input::Data).retry(retry)).unwrap();
    Some(runtime)
}

fn publish(runtime: &Runtime, text: &str) -> Result<usize, PublishError> {
    runtime.publish(Event::builder("a").id(text).source("/t").data_text(text).build().unwrap())
}

/// Publishes and runs until the power fails. Returns what was acknowledged.
fn work(disk: &Simulated, seen: &Seen) -> Vec<String> {
    let mut acknowledged = Vec::new();
    let Some(runtime) = runtime(disk, seen) else { return acknowledged };
    for number in 0..12 {
        let text = format!("{}{number}", if number % 5 == 3 { "trap" } else { "ok" });
        if publish(&runtime, &text).is_ok() {
            acknowledged.push(text);
        }
        if number % 4 == 2 {
            runtime.run_pending(2);
        }
        assert!(runtime.deliveries().is_balanced());
    }
    acknowledged
}

#[test]
fn a_power_cut_at_any_write_loses_no_event_that_was_acknowledged() {
    let whole = Simulated::default();
    work(&whole, &Seen::default());
    let writes = whole.writes();
    assert!(writes > 100, "{writes}");
    for left in 0..writes {
        let disk = Simulated::default();
        // The file is made before the power can fail.
        drop(disk.open().unwrap());
        let seen = Seen::default();
        disk.cut_after(left);
        let acknowledged = work(&disk, &seen);
        let disk = disk.after_the_cut(Survive::Nothing);
        let runtime = runtime(&disk, &seen).unwrap_or_else(|| panic!("cut at {left}: the store does not open"));
        while runtime.run_pending(usize::MAX) > 0 {}
        let seen = seen.lock().unwrap();
        let lost: Vec<_> = acknowledged.iter().filter(|text| !seen.contains(*text)).collect();
        assert!(lost.is_empty(), "cut at {left}: {lost:?} of {acknowledged:?}");
        let deliveries = runtime.deliveries();
        assert!(deliveries.is_balanced() && deliveries.pending() == 0, "cut at {left}: {deliveries:?}");
    }
}

#[test]
fn a_full_disk_is_an_error_of_publish_and_it_goes_on_when_there_is_room() {
    let disk = Simulated::default();
    let seen = Seen::default();
    let runtime = runtime(&disk, &seen).unwrap();
    publish(&runtime, "ok-before").unwrap();
    disk.fill();
    let large = |number: usize| format!("ok{number}{}", "x".repeat(200_000));
    let mut published = Vec::new();
    let error = (0..200).find_map(|number| match publish(&runtime, &large(number)) {
        Ok(_) => {
            published.push(number);
            None
        }
        Err(error) => Some(error),
    });
    let Some(PublishError::Store(error)) = error else { panic!("{error:?}") };
    assert_eq!(error.problem(), StoreProblem::Full, "{error}");
    let deliveries = runtime.deliveries();
    assert_eq!((deliveries.is_balanced(), deliveries.queued), (true, published.len() as u64 + 1));
    disk.make_room();
    publish(&runtime, "ok-after").unwrap();
    runtime.run_pending(usize::MAX);
    let seen = seen.lock().unwrap();
    assert!(seen.contains("ok-before") && seen.contains("ok-after"));
    assert_eq!(seen.len(), published.len() + 2, "what was refused was not delivered");
    assert_eq!(runtime.deliveries().unsaved, 0);
}
