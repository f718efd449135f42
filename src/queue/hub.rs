//! What the event wing of a runtime shares: the registry of triggers, the queue with its locks, and the store.
//!
//! Invariant: locks are taken in this order: agenda, queue, registry; agenda, queue, store. None is held while a guest
//! runs; the queue's is held while the store writes.

use std::{sync::Arc, time::Duration};

#[cfg(feature = "schedule")]
use super::agenda;
use super::{EventLimits, PublishError, machine::Queue};
#[cfg(feature = "durable")]
use super::{Store, store::Changes};
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

/// Bytes that a delivery takes beside its event, about.
const DELIVERY_BYTES: u64 = 256;

/// What comes of a delivery whose function is not there.
pub(crate) enum Parked {
    Yes,
    /// The function has come meanwhile: the delivery is ready again.
    Ready,
    /// It is too old, and a dead letter.
    TooOld,
}

/// What the event wing of a runtime shares.
pub(crate) struct Hub {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) registry: Registry,
    pub(crate) limits: EventLimits,
    pub(crate) seed: u64,
    pub(crate) queue: Mutex<Queue>,
    /// Locked after the queue.
    #[cfg(feature = "durable")]
    store: Mutex<Option<Box<Commit>>>,
    /// Locked before the queue.
    #[cfg(feature = "schedule")]
    pub(crate) agenda: Mutex<agenda::Agenda>,
    /// Something is ready, or the end has come.
    pub(crate) wake: Condvar,
    /// How often a function has come, changed or been switched on.
    changes: AtomicU64,
    closed: AtomicBool,
    /// Drawn for ids of events that have none.
    pub(crate) drawn: AtomicU64,
    /// When idle instances were last looked for.
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
            #[cfg(feature = "durable")]
            store: Mutex::default(),
            #[cfg(feature = "schedule")]
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

    /// A function of this name can run: what waits for it is ready.
    pub(crate) fn arrived(&self, function: &str) {
        let mut queue = self.queue.lock();
        // With `changes`: who sees the new count sees the function too.
        self.changes.fetch_add(1, Ordering::AcqRel);
        if queue.unpark(function) > 0 {
            self.wake.notify_all();
        }
    }

    pub(crate) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Parks a delivery, unless a function has come since it was looked for.
    pub(crate) fn park(&self, id: u64, error: Box<str>, changes: u64) -> Parked {
        let mut queue = self.queue.lock();
        if self.changes() != changes {
            queue.put_back(id);
            return Parked::Ready;
        }
        if queue.park(id, error, self.clock.now()) { Parked::Yes } else { Parked::TooOld }
    }

    /// A delivery was settled: wakes a worker if there is something for one, and writes what has changed if that is much. `waits` if it becomes due
    /// later, which those who sleep must learn: it may be that nothing was due before.
    pub(crate) fn after(&self, waits: bool) {
        let mut queue = self.queue.lock();
        if queue.unsaved() >= SAVE_AT {
            self.save_later(&mut queue, SAVE_AT, self.clock.now());
        }
        if waits || queue.has_ready(u64::MAX) {
            self.wake.notify_one();
        }
    }

    /// Whether idle instances were last looked for so long ago; if so, that was now.
    pub(crate) fn is_trim_due(&self, every: Duration) -> bool {
        let now = self.clock.now();
        let mut at = self.trimmed_at.lock();
        let is_due = now.saturating_sub(*at) >= every;
        if is_due {
            *at = now;
        }
        is_due
    }

    /// The runtime is gone.
    pub(crate) fn close(&self) {
        let now = self.clock.now();
        let mut queue = self.queue.lock();
        #[cfg(feature = "durable")]
        queue.end_process();
        self.save_later(&mut queue, 0, now);
        // Its file is free for the next runtime, even if somebody still holds the guard of workers that have ended.
        #[cfg(feature = "durable")]
        {
            *self.store.lock() = None;
        }
        self.closed.store(true, Ordering::Relaxed);
        drop(queue);
        self.wake.notify_all();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// The triggers that an event of the host's wakes, and the bytes that it counts for.
    pub(crate) fn prepare(&self, event: &Event) -> Result<(Matched, u64), PublishError> {
        if event.ty().starts_with(RESERVED) {
            return Err(PublishError::Reserved { ty: cut(event.ty()) });
        }
        let bytes = self.size(event)?;
        Ok((self.registry.find(event)?, bytes))
    }

    /// Bytes that an event counts for in the queue.
    pub(crate) fn size(&self, event: &Event) -> Result<u64, PublishError> {
        let (held, limit) = (bytes_of(event), self.limits.event_bytes);
        let bytes = held - DELIVERY_BYTES;
        if bytes > limit {
            return Err(PublishError::TooLarge { bytes, limit });
        }
        Ok(held)
    }

    /// Writes what has changed, if a store is there.
    #[cfg(feature = "durable")]
    fn save(&self, queue: &mut Queue, at_least: usize, now: Duration) -> Result<(), PublishError> {
        if let Some((deliveries, letters)) = queue.changes(at_least, now) {
            if let Some(commit) = &mut *self.store.lock() {
                commit(queue.next_id(), &deliveries, &letters)?;
                queue.saved();
            }
        }
        Ok(())
    }

    #[cfg(not(feature = "durable"))]
    fn save(&self, _: &mut Queue, _: usize, _: Duration) -> Result<(), PublishError> {
        Ok(())
    }

    /// The same after deliveries that have failed or ended. Where it does not work out, a later one does it: when twice as much has
    /// changed, at the next tick, or with the next event that is published. (A disk that refuses takes longer to say so than a function to
    /// run, and the queue is locked meanwhile.) After a crash they would be made again.
    pub(crate) fn save_later(&self, queue: &mut Queue, at_least: usize, now: Duration) {
        if self.save(queue, at_least.max(queue.save_from()), now).is_err() {
            queue.save_failed();
        }
    }

    /// Writes new deliveries, or takes them back.
    pub(crate) fn save_new(
        &self,
        queue: &mut Queue,
        first: u64,
        count: usize,
        now: Duration,
    ) -> Result<(), PublishError> {
        self.save(queue, 0, now).inspect_err(|_| {
            #[cfg(feature = "durable")]
            queue.retract(first, count);
            #[cfg(not(feature = "durable"))]
            let _ = (&queue, first, count);
        })
    }

    /// Takes over what an earlier process has left in a store, and keeps it up to date from now on.
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

/// Writes the number of the next delivery, and what has changed, to the store that it holds. A pointer, so that only who opens a store links
/// one: in a small host it would be a fifth of the whole.
#[cfg(feature = "durable")]
type Commit = dyn FnMut(u64, &Changes, &Changes) -> Result<(), PublishError> + Send;

/// Changes to deliveries that have ended which are written at the latest.
const SAVE_AT: usize = 64;

/// Bytes that a delivery of an event counts for.
pub(super) fn bytes_of(event: &Event) -> u64 {
    let attributes = event.attributes().map(|(name, value)| {
        let value = value.as_str().map_or(4, str::len);
        (name.len() + value) as u64
    });
    attributes.sum::<u64>() + event.data().map_or(0, |data| data.len() as u64) + DELIVERY_BYTES
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.queue.lock().deliveries().fmt(f)
    }
}
