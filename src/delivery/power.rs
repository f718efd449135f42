//! What is left when the power fails: a disk that forgets what was not written through, cut at every write in turn, and one that is
//! full.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with the error")]

use std::{
    collections::BTreeSet,
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use redb::{Builder, StorageBackend};

use super::{PublishError, Store};
use crate::{
    Context, Event, HostError, Input, Retry, Runtime, Trigger,
    disk::{StoreError, StoreProblem},
};

/// A disk in memory.
#[derive(Debug, Default)]
struct Disk {
    /// What a reader sees.
    now: Vec<u8>,
    /// What is there after a power cut: as of the last time that all was written through.
    safe: Vec<u8>,
    /// Writes until the power fails.
    left: Option<u64>,
    writes: u64,
    /// Bytes that fit.
    capacity: Option<u64>,
}

#[derive(Clone, Debug, Default)]
struct Shared(Arc<Mutex<Disk>>);

impl Shared {
    fn write(&self, write: impl FnOnce(&mut Disk) -> io::Result<()>) -> io::Result<()> {
        let mut disk = self.0.lock().unwrap();
        disk.writes += 1;
        match &mut disk.left {
            Some(0) => return Err(io::Error::other("the power has failed")),
            Some(left) => *left -= 1,
            None => {}
        }
        write(&mut disk)
    }

    /// The disk after a power cut.
    fn after_the_cut(&self) -> Self {
        let disk = self.0.lock().unwrap();
        Self(Arc::new(Mutex::new(Disk { now: disk.safe.clone(), safe: disk.safe.clone(), ..Disk::default() })))
    }

    fn store(&self) -> Result<Store, StoreError> {
        let disk = self.clone();
        Store::with(move || Builder::new().set_cache_size(1 << 20).create_with_backend(disk.clone()))
    }
}

impl StorageBackend for Shared {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().now.len() as u64)
    }

    fn read(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let disk = self.0.lock().unwrap();
        disk.now
            .get(offset as usize..offset as usize + len)
            .map(<[u8]>::to_vec)
            .ok_or(io::ErrorKind::UnexpectedEof.into())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.write(|disk| {
            if disk.capacity.is_some_and(|capacity| len > capacity) {
                return Err(io::ErrorKind::StorageFull.into());
            }
            disk.now.resize(len as usize, 0);
            Ok(())
        })
    }

    fn sync_data(&self, _: bool) -> io::Result<()> {
        self.write(|disk| {
            disk.safe.clone_from(&disk.now);
            Ok(())
        })
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        Shared::write(self, |disk| {
            disk.now[offset as usize..offset as usize + data.len()].copy_from_slice(data);
            Ok(())
        })
    }
}

/// Tells the host what it is given; traps on `t`.
const GUEST: &str = r#"(module (import "test" "note" (func $note (param i32 i32))) (memory (export "memory") 8)
    (func (export "alloc") (param i32) (result i32) (i32.const 0))
    (func (export "handle") (param $at i32) (param $len i32) (result i64)
      (call $note (local.get $at) (local.get $len))
      (if (i32.eq (i32.load8_u (local.get $at)) (i32.const 116)) (then unreachable))
      (i64.const 0)))"#;

type Seen = Arc<Mutex<BTreeSet<String>>>;

fn runtime(disk: &Shared, seen: &Seen) -> Option<Runtime> {
    let runtime = Runtime::builder().build_on(disk.store().ok()?).ok()?;
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
fn work(disk: &Shared, seen: &Seen) -> Vec<String> {
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
    let whole = Shared::default();
    work(&whole, &Seen::default());
    let writes = whole.0.lock().unwrap().writes;
    assert!(writes > 100, "{writes}");
    for left in 0..writes {
        let disk = Shared::default();
        // The file is made before the power can fail.
        drop(disk.store().unwrap());
        let seen = Seen::default();
        disk.0.lock().unwrap().left = Some(left);
        let acknowledged = work(&disk, &seen);
        let disk = disk.after_the_cut();
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
    let disk = Shared::default();
    let seen = Seen::default();
    let runtime = runtime(&disk, &seen).unwrap();
    publish(&runtime, "ok-before").unwrap();
    {
        let mut disk = disk.0.lock().unwrap();
        disk.capacity = Some(disk.now.len() as u64);
    }
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
    disk.0.lock().unwrap().capacity = None;
    publish(&runtime, "ok-after").unwrap();
    runtime.run_pending(usize::MAX);
    let seen = seen.lock().unwrap();
    assert!(seen.contains("ok-before") && seen.contains("ok-after"));
    assert_eq!(seen.len(), published.len() + 2, "what was refused was not delivered");
    assert_eq!(runtime.deliveries().unsaved, 0);
}
