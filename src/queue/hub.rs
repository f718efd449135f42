//! What the parts of a runtime share for events: the registry of triggers, the queue with its
//! locks, and the store.
//!
//! Invariant: locks are taken in one of two orders: agenda, queue, registry; or agenda, queue,
//! store. No lock is held while a guest runs. The queue's lock is held while the store writes.

use std::{sync::Arc, time::Duration};

#[cfg(feature = "durable")]
use super::Store;
use super::agenda;
use super::{EventLimits, PublishError, machine::Queue};
use crate::{
    clock::Clock,
    event::{Event, Timestamp},
    sync::{
        Condvar, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    text::cut,
    trigger::{Matched, RESERVED, Registry},
};

/// Bytes that a delivery takes beside its event, roughly.
const DELIVERY_BYTES: u64 = 256;

/// What happened to a delivery whose function is missing.
pub(crate) enum Parked {
    Yes,
    /// The function was deployed in the meantime: the delivery is ready again.
    Ready,
    /// The delivery is too old, and became a dead letter.
    TooOld,
}

/// What the parts of a runtime share for events.
pub(crate) struct Hub {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) registry: Registry,
    pub(crate) limits: EventLimits,
    pub(crate) seed: u64,
    pub(crate) queue: Mutex<Queue>,
    /// Taken after the queue's lock.
    store: Mutex<Option<Box<Commit>>>,
    /// Taken before the queue's lock.
    pub(crate) agenda: Mutex<agenda::Agenda>,
    /// Signalled when a delivery is ready, or when the workers have to end.
    pub(crate) wake: Condvar,
    /// Counts how often any function was deployed, changed or switched on.
    changes: AtomicU64,
    closed: AtomicBool,
    /// Counts the ids that were drawn for events without one.
    pub(crate) drawn: AtomicU64,
    /// When the runtime last looked for idle instances.
    trimmed_at: Mutex<Duration>,
}

impl Hub {
    pub(crate) fn new(limits: EventLimits, seed: u64, clock: Arc<dyn Clock>) -> Arc<Self> {
        let now = clock.now();
        let date = clock.wall().and_then(|wall| Timestamp::UNIX_EPOCH.checked_add(wall));
        Arc::new(Self {
            clock,
            registry: Registry::default(),
            queue: Mutex::new(Queue::new(limits.clone(), seed, date.map(|date| (date, now)))),
            store: Mutex::default(),
            agenda: Mutex::default(),
            limits,
            seed,
            wake: Condvar::new(),
            changes: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            drawn: AtomicU64::new(0),
            trimmed_at: Mutex::new(now),
        })
    }

    /// A function of this name can run: makes the deliveries ready that wait for it.
    pub(crate) fn arrived(&self, function: &str) {
        let mut queue = self.queue.lock();
        // Under the queue's lock: a thread that reads the new count also finds the function.
        self.changes.fetch_add(1, Ordering::AcqRel);
        if queue.unpark(function) > 0 {
            self.wake.notify_all();
        }
    }

    pub(crate) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Parks a delivery, unless a function was deployed after this one was looked up.
    pub(crate) fn park(&self, id: u64, error: Box<str>, changes: u64) -> Parked {
        // The clock may be the host's, so it is read outside the lock.
        let now = self.clock.now();
        let mut queue = self.queue.lock();
        if self.changes() != changes {
            queue.put_back(id);
            return Parked::Ready;
        }
        if queue.park(id, error, now) { Parked::Yes } else { Parked::TooOld }
    }

    /// Called when a delivery was settled. Wakes a worker if a delivery is ready, and writes the
    /// changes if they are many. `waits` says that the delivery becomes due later: a sleeping
    /// worker must learn this, as it may know of no due time yet.
    pub(crate) fn after(&self, waits: bool) {
        let mut queue = self.queue.lock();
        if queue.unsaved() >= SAVE_AT {
            self.save_later(&mut queue, SAVE_AT, self.clock.now());
        }
        if waits || queue.has_ready(u64::MAX) {
            self.wake.notify_one();
        }
    }

    /// Whether the last look for idle instances is at least `every` ago. If so, this call counts as
    /// the next look.
    pub(crate) fn is_trim_due(&self, every: Duration) -> bool {
        let now = self.clock.now();
        let mut at = self.trimmed_at.lock();
        let is_due = now.saturating_sub(*at) >= every;
        if is_due {
            *at = now;
        }
        is_due
    }

    /// The runtime was dropped.
    pub(crate) fn close(&self) {
        let now = self.clock.now();
        let mut queue = self.queue.lock();
        queue.end_process();
        self.save_later(&mut queue, 0, now);
        // The next runtime can open the file, even if a host still holds the guard of workers that
        // have ended.
        *self.store.lock() = None;
        self.closed.store(true, Ordering::Relaxed);
        drop(queue);
        self.wake.notify_all();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// The triggers that an event from the host matches, and the bytes that it counts for.
    pub(crate) fn prepare(&self, event: &Event) -> Result<(Matched, u64), PublishError> {
        if event.ty().starts_with(RESERVED) {
            return Err(PublishError::Reserved { ty: cut(event.ty()) });
        }
        let bytes = self.size(event)?;
        Ok((self.registry.find(event)?, bytes))
    }

    /// The bytes that an event counts for in the queue.
    pub(crate) fn size(&self, event: &Event) -> Result<u64, PublishError> {
        let (held, limit) = (bytes_of(event), self.limits.event_bytes);
        let bytes = held - DELIVERY_BYTES;
        if bytes > limit {
            return Err(PublishError::TooLarge { bytes, limit });
        }
        Ok(held)
    }

    /// Writes the changes if there is a store.
    fn save(&self, queue: &mut Queue, at_least: usize, now: Duration) -> Result<(), PublishError> {
        if let Some((deliveries, letters)) = queue.changes(at_least, now) {
            if let Some(commit) = &mut *self.store.lock() {
                commit(queue.next_id(), &deliveries, &letters)?;
                queue.saved();
            }
        }
        Ok(())
    }

    /// Writes changes to deliveries that failed or ended. A failed write is tried again: when twice
    /// as much has changed, at the next tick, or with the next event. A disk that refuses is slower
    /// than a function that runs, and the queue is locked meanwhile. After a crash, deliveries that
    /// were not written would be made again.
    pub(crate) fn save_later(&self, queue: &mut Queue, at_least: usize, now: Duration) {
        if self.save(queue, at_least.max(queue.save_from()), now).is_err() {
            queue.save_failed();
        }
    }

    /// Writes new deliveries. If this fails, takes them back.
    pub(crate) fn save_new(
        &self,
        queue: &mut Queue,
        first: u64,
        count: usize,
        now: Duration,
    ) -> Result<(), PublishError> {
        self.save(queue, 0, now).inspect_err(|_| {
            queue.retract(first, count);
        })
    }

    /// Loads what an earlier process has left in a store, and keeps the store up to date from now
    /// on.
    #[cfg(feature = "durable")]
    pub(crate) fn attach(&self, store: Store) -> Result<(), crate::disk::StoreError> {
        let saved = store.load()?;
        let now = self.clock.now();
        self.queue.lock().restore(&saved, now)?;
        let commit = move |next, deliveries: &Changes, letters: &Changes| Ok(store.commit(next, deliveries, letters)?);
        *self.store.lock() = Some(Box::new(commit));
        Ok(())
    }
}

/// Records by number. `None` for those that are to go.
pub(crate) type Changes = Vec<(u64, Option<Vec<u8>>)>;

/// Writes the number of the next delivery and the changes to a store. It is a pointer so that only
/// hosts that open a store link one. In a small host the store would be a fifth of the binary.
type Commit = dyn FnMut(u64, &Changes, &Changes) -> Result<(), PublishError> + Send;

/// Changes to ended deliveries are written at this number at the latest.
const SAVE_AT: usize = 64;

/// The bytes that a delivery of an event counts for.
pub(super) fn bytes_of(event: &Event) -> u64 {
    let attributes = event.attributes().map(|(name, value)| {
        let value = value.as_str().map_or(4, str::len);
        (name.len() + value) as u64
    });
    attributes.sum::<u64>() + event.data().map_or(0, |data| data.len() as u64) + DELIVERY_BYTES
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.queue.lock().stats().fmt(f)
    }
}
