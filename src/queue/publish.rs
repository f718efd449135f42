//! How events enter the queue: the host publishes them, or redrives dead letters.
//!
//! Invariant: an event is queued for all triggers that it matches, or for none. When `publish`
//! returns, a durable queue has written it.

use super::{Admission, DeadLetter, Hub, PublishError, RedriveError, machine::Full};
use crate::{
    event::{Event, EventBuilder, EventError, Timestamp},
    sync::atomic::Ordering,
    trigger::random,
};

impl Hub {
    /// Builds an event. Fills in the attributes that the builder was not given.
    pub(crate) fn event(&self, builder: EventBuilder) -> Result<Event, EventError> {
        let now = self.clock.now();
        let drawn = self.drawn.fetch_add(1, Ordering::Relaxed);
        let id = format!("{:016x}{:016x}", random(self.seed, drawn, u64::MAX), random(self.seed, drawn, u64::MAX - 1));
        let date = self.queue.lock().date(now).or_else(|| Timestamp::UNIX_EPOCH.checked_add(now));
        builder.build_with(id, "/dormouse", date.unwrap_or(Timestamp::UNIX_EPOCH))
    }

    /// Queues a delivery for each trigger that the event matches. Returns the number of deliveries.
    pub(crate) fn publish(&self, event: Event) -> Result<usize, PublishError> {
        let (bound, bytes) = self.prepare(&event)?;
        if bound.is_empty() {
            return Ok(0);
        }
        let now = self.clock.now();
        let mut queue = self.queue.lock();
        let admitted = queue.admit(Admission { bound: &bound, event, bytes }, now);
        let (first, count) = admitted.map_err(|Full| PublishError::full(bound.len(), &queue.stats()))?;
        self.save_new(&mut queue, first, count, now)?;
        drop(queue);
        match count {
            1 => drop(self.wake.notify_one()),
            _ => drop(self.wake.notify_all()),
        }
        Ok(count)
    }

    /// The dead letters, the oldest first.
    pub(crate) fn dead_letters(&self) -> Vec<DeadLetter> {
        self.queue.lock().dead.held().cloned().collect()
    }

    /// Removes and returns all dead letters, the oldest first.
    pub(crate) fn drain_dead_letters(&self) -> Vec<DeadLetter> {
        let now = self.clock.now();
        let mut queue = self.queue.lock();
        let drained = queue.dead.drain();
        self.save_later(&mut queue, 0, now);
        drained
    }

    /// Queues a dead letter's event again for its trigger. Returns the number of this new delivery.
    pub(crate) fn redrive(&self, id: u64) -> Result<u64, RedriveError> {
        let now = self.clock.now();
        let letter = self.queue.lock().dead.get(id).cloned().ok_or(RedriveError::NoSuchLetter { id })?;
        let Some(bound) = self.registry.get(letter.trigger()) else {
            return Err(RedriveError::NoSuchTrigger { trigger: letter.trigger().into() });
        };
        let admission = Admission { bound: &[bound], event: letter.event, bytes: letter.bytes };
        let mut queue = self.queue.lock();
        // Another thread may have taken the letter in the meantime.
        if queue.dead.get(id).is_none() {
            return Err(RedriveError::NoSuchLetter { id });
        }
        let (delivery, count) = queue.admit(admission, now).map_err(|Full| PublishError::full(1, &queue.stats()))?;
        if count == 0 {
            // The queue's policy dropped the delivery. The letter stays.
            return Err(PublishError::full(1, &queue.stats()).into());
        }
        self.save_new(&mut queue, delivery, count, now)?;
        queue.dead.redrive(id);
        self.save_later(&mut queue, 0, now);
        drop(queue);
        self.wake.notify_one();
        Ok(delivery)
    }
}
