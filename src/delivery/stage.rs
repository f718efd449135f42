//! Events that host functions publish during an invocation: held back until it has succeeded, gone if it has not.
//!
//! Invariants: the queue keeps room for each from the moment that it is staged until it is released or dropped; of one invocation all are
//! queued, in one step with the success of the delivery that it belongs to, or none.

use std::any::Any;

use super::{Admission, Hub, PublishError, queue::Full, reply};
use crate::{capability::Context, event::Event, instance::Staged, runtime::Runtime, trigger::Matched};

/// What was published in one invocation.
struct Stage {
    runtime: Runtime,
    entries: Vec<Entry>,
    kept: Kept,
}

/// An event with the triggers that it wakes, found when it was published.
pub(super) struct Entry {
    pub(super) bound: Matched,
    pub(super) event: Event,
    /// Of one delivery.
    pub(super) bytes: u64,
}

/// Deliveries, and their bytes, that the queue keeps room for.
#[derive(Clone, Copy, Default)]
pub(super) struct Kept {
    pub(super) count: usize,
    pub(super) bytes: u64,
}

impl Entry {
    fn admission(&self) -> Admission<'_> {
        Admission { bound: &self.bound, event: self.event.clone(), bytes: self.bytes }
    }
}

impl Stage {
    fn add(&mut self, entry: Entry, ended: Option<u64>) -> Result<usize, PublishError> {
        let count = entry.bound.len();
        let kept = Kept { count, bytes: entry.bytes.saturating_mul(count as u64) };
        let mut queue = self.runtime.hub().queue.lock();
        queue.keep_room(kept, ended).map_err(|Full| PublishError::full(count, &queue.deliveries()))?;
        drop(queue);
        self.kept.count += kept.count;
        self.kept.bytes += kept.bytes;
        self.entries.push(entry);
        Ok(count)
    }

    /// What is staged; the room that is kept for it is the caller's now.
    fn take(&mut self) -> (Kept, Vec<Entry>) {
        (std::mem::take(&mut self.kept), std::mem::take(&mut self.entries))
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if self.kept.count > 0 {
            self.runtime.hub().queue.lock().give_room(self.kept);
        }
    }
}

impl Staged for Stage {
    fn release(mut self: Box<Self>) -> Result<(), Box<str>> {
        let (kept, entries) = self.take();
        let (hub, now) = (self.runtime.hub(), self.runtime.clock().now());
        match hub.release(kept, &entries, None, now) {
            Ok(()) => {
                hub.wake.notify_all();
                Ok(())
            }
            Err(error) => Err(crate::error::cut(&error.to_string())),
        }
    }
}

/// What is staged in an invocation, for who settles its delivery.
pub(super) fn take(staged: Option<Box<dyn Staged>>) -> (Kept, Vec<Entry>) {
    let staged: Option<Box<dyn Any>> = staged.map(|staged| staged as Box<dyn Any>);
    // There is no other kind.
    let stage = staged.and_then(|staged| staged.downcast::<Stage>().ok());
    stage.map_or_else(Default::default, |mut stage| stage.take())
}

impl Hub {
    /// Queues all these events, for which room is kept, in one step: or none. The delivery `ended` succeeds in the same step, and is written to disk
    /// together with them; where there is none, they are on disk when this returns. Dead letters of events that are one hop too far are
    /// written where that works out now.
    pub(super) fn release(
        &self,
        kept: Kept,
        entries: &[Entry],
        ended: Option<u64>,
        now: std::time::Duration,
    ) -> Result<(), PublishError> {
        let is_looped = |entry: &&Entry| reply::hops(&entry.event) > self.limits.hops;
        let (looped, others): (Vec<&Entry>, Vec<&Entry>) = entries.iter().partition(is_looped);
        let admissions: Vec<_> = others.into_iter().map(Entry::admission).collect();
        let mut queue = self.queue.lock();
        queue.give_room(kept);
        let admitted = queue.admit_all(&admissions, ended, now).map_err(|Full| {
            let needed = admissions.iter().map(|admission| admission.bound.len()).sum();
            PublishError::full(needed, &queue.deliveries())
        });
        let (first, count) = admitted?;
        if ended.is_none() {
            self.save_new(&mut queue, first, count, now)?;
        }
        let is_any_looped = !looped.is_empty();
        looped.into_iter().for_each(|entry| queue.admit_looped(&entry.admission(), self.limits.hops, now));
        if is_any_looped {
            self.save_later(&mut queue, 0, now);
        }
        Ok(())
    }
}

impl Context<'_> {
    /// Publishes an event if the invocation succeeds, and returns how many deliveries it will make, by the triggers that are bound now.
    ///
    /// Until then the event is staged: if the invocation fails, in whatever way, it was never published. If the invocation belongs to a
    /// delivery, the delivery's success and all that was published in it are one step, on disk too. An event that is published for
    /// a delivery counts one hop more than the event that was delivered, as a reply does: see
    /// [`EventLimits::hops`](crate::EventLimits::hops).
    ///
    /// Room in the queue is kept from now on ([`Deliveries::staged`](crate::Deliveries::staged)). If the events cannot be queued all the same, when the disk
    /// is full or [`WhenFull`](crate::WhenFull) is not `Reject`, the invocation fails: as
    /// [`InvokeErrorKind::Unpublished`](crate::InvokeErrorKind::Unpublished), or as an attempt of its delivery.
    ///
    /// What is published through [`Context::runtime`] is queued at once, whatever becomes of the invocation.
    ///
    /// ```
    /// # let module = wat::parse_str(r#"(module (import "shop" "order" (func $order (param i32)))
    /// #   (func (export "buy") (param i32) (call $order (local.get 0)) (if (i32.eqz (local.get 0)) (then unreachable))))"#).unwrap();
    /// use dormouse::{Context, Event, HostError, Runtime, Trigger, Value};
    ///
    /// let runtime = Runtime::new();
    /// runtime.bind("charge", Trigger::on("order.created").to("charge"))?;
    /// let order = |guest: &mut Context<'_>, item: u32| -> Result<(), HostError> {
    ///     let event = guest.runtime().event(Event::builder("order.created").data_value(&item))?;
    ///     guest.publish(event)?;
    ///     Ok(())
    /// };
    /// let shop = runtime.deployment("shop", &module).host("shop", "order", order).deploy()?;
    /// shop.call("buy", &[Value::I32(7)])?;
    /// assert!(shop.call("buy", &[Value::I32(0)]).is_err());
    /// assert_eq!(runtime.deliveries().matched, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As for [`Runtime::publish`], and [`PublishError::Initialising`]; the event is not staged then.
    pub fn publish(&mut self, event: Event) -> Result<usize, PublishError> {
        let runtime = self.runtime();
        let Some(service) = self.service() else { return Err(PublishError::Initialising) };
        let event = if service.hops > 0 { reply::with_hops(&event, service.hops) } else { event };
        let (bound, bytes) = runtime.hub().prepare(&event)?;
        if bound.is_empty() {
            return Ok(0);
        }
        let ended = service.origin.as_ref().map(|origin| origin.delivery);
        let new = || -> Box<dyn Staged> { Box::new(Stage { runtime, entries: Vec::new(), kept: Kept::default() }) };
        let staged: &mut dyn Any = &mut **service.staged.get_or_insert_with(new);
        // There is no other kind.
        let stage = staged.downcast_mut::<Stage>().ok_or(PublishError::Initialising)?;
        stage.add(Entry { bound, event, bytes }, ended)
    }
}
