//! Events that host functions publish during an invocation. They are queued when the invocation
//! succeeds, and dropped when it fails.
//!
//! Invariants: the queue keeps room for each event from staging until its release or drop. The
//! events of one invocation are queued all or none, in one step with the success of their delivery.

use std::{sync::Arc, time::Duration};

use super::{
    Admission, Hub, PublishError,
    hops::{hops, with_hops},
    machine::Full,
};
use crate::{event::Event, text::cut, trigger::Matched};

/// The events that one invocation has published.
pub(crate) struct Staged {
    hub: Arc<Hub>,
    events: Vec<StagedEvent>,
    room: Room,
}

/// An event, with the triggers that it matched when it was published.
pub(crate) struct StagedEvent {
    pub(crate) bound: Matched,
    pub(crate) event: Event,
    /// Bytes of one delivery.
    pub(crate) bytes: u64,
}

/// Room in the queue: a number of deliveries, and their bytes.
#[derive(Clone, Copy, Default)]
pub(crate) struct Room {
    pub(super) count: usize,
    pub(super) bytes: u64,
}

impl StagedEvent {
    fn admission(&self) -> Admission<'_> {
        Admission { bound: &self.bound, event: self.event.clone(), bytes: self.bytes }
    }
}

impl Staged {
    pub(crate) fn new(hub: Arc<Hub>) -> Self {
        Self { hub, events: Vec::new(), room: Room::default() }
    }

    /// Stages an event that has this many hops. Returns how many deliveries it will make. `ended`
    /// is the delivery that the invocation belongs to, if any.
    pub(crate) fn publish(
        staged: &mut Option<Self>,
        hub: &Arc<Hub>,
        event: &Event,
        hops: u32,
        ended: Option<u64>,
    ) -> Result<usize, PublishError> {
        let event = if hops > 0 { with_hops(event, hops) } else { event.clone() };
        let (bound, bytes) = hub.prepare(&event)?;
        if bound.is_empty() {
            return Ok(0);
        }
        let staged = staged.get_or_insert_with(|| Self::new(Arc::clone(hub)));
        staged.add(StagedEvent { bound, event, bytes }, ended)
    }

    fn add(&mut self, staged: StagedEvent, ended: Option<u64>) -> Result<usize, PublishError> {
        let count = staged.bound.len();
        let room = Room { count, bytes: staged.bytes.saturating_mul(count as u64) };
        let mut queue = self.hub.queue.lock();
        queue.keep_room(room, ended).map_err(|Full| PublishError::full(count, &queue.stats()))?;
        drop(queue);
        self.room.count += room.count;
        self.room.bytes += room.bytes;
        self.events.push(staged);
        Ok(count)
    }

    /// Takes all that is staged. The caller becomes responsible for the room that the queue keeps
    /// for it.
    pub(crate) fn take(&mut self) -> (Room, Vec<StagedEvent>) {
        (std::mem::take(&mut self.room), std::mem::take(&mut self.events))
    }

    /// The invocation has succeeded: queues all events, or none and returns the reason.
    pub(crate) fn release(mut self) -> Result<(), Box<str>> {
        let (room, events) = self.take();
        match self.hub.release(room, &events, None) {
            Ok(()) => {
                self.hub.wake.notify_all();
                Ok(())
            }
            Err(error) => Err(cut(&error.to_string())),
        }
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if self.room.count > 0 {
            self.hub.queue.lock().release_room(self.room);
        }
    }
}

impl Hub {
    /// Queues these events in one step, all or none; `room` was kept for them. The delivery `ended`
    /// succeeds in the same step and is written to disk together with them. Without such a
    /// delivery, the events are on disk when this returns. Events that exceed the limit of hops
    /// become dead letters; they are written now if the disk allows it.
    pub(crate) fn release(&self, room: Room, events: &[StagedEvent], ended: Option<u64>) -> Result<(), PublishError> {
        let now: Duration = self.clock.now();
        let is_looped = |staged: &&StagedEvent| hops(&staged.event) > self.limits.hops;
        let (looped, others): (Vec<&StagedEvent>, Vec<&StagedEvent>) = events.iter().partition(is_looped);
        let admissions: Vec<_> = others.into_iter().map(StagedEvent::admission).collect();
        let mut queue = self.queue.lock();
        queue.release_room(room);
        let admitted = queue.admit_all(&admissions, ended, now).map_err(|Full| {
            let needed = admissions.iter().map(|admission| admission.bound.len()).sum();
            PublishError::full(needed, &queue.stats())
        });
        let (first, count) = admitted?;
        if ended.is_none() {
            self.save_new(&mut queue, first, count, now)?;
        }
        let is_any_looped = !looped.is_empty();
        looped.into_iter().for_each(|staged| queue.admit_looped(&staged.admission(), self.limits.hops, now));
        if is_any_looped {
            self.save_later(&mut queue, 0, now);
        }
        Ok(())
    }
}
