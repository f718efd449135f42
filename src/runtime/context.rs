//! What host functions reach through their context that lies above them: the runtime, and its
//! events.

#[cfg(feature = "events")]
use std::{sync::Arc, time::Duration};

use super::Runtime;
#[cfg(feature = "events")]
use crate::{
    event::Event,
    host::Service,
    queue::{PublishError, Staged},
};
use crate::{function::Functions, host::Context};

/// The delivery that an invocation belongs to, from [`Context::delivery`].
#[cfg(feature = "events")]
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeliveryInfo {
    /// The id of the trigger.
    pub trigger: String,
    /// The number of the delivery: the same at each attempt.
    pub id: u64,
    /// 1 at the first attempt.
    pub attempt: u32,
    /// Time until the invocation's deadline, by the runtime's clock.
    pub remaining: Duration,
}

impl Context<'_> {
    /// The runtime that the invocation belongs to, to invoke other functions with: up to four
    /// levels deep, each within the caller's deadline. Not to be kept by the host function's
    /// closure, which would keep the runtime alive for ever. What it publishes is queued whatever
    /// becomes of this invocation; `Context::publish` waits for its success.
    pub fn runtime(&self) -> Runtime {
        // The invocation was begun through a `Function` or a `Runtime`, which is borrowed until it
        // ends.
        let functions = self.runtime_ref().upgrade().and_then(|runtime| runtime.downcast::<Functions>().ok());
        Runtime(functions.expect("an invocation holds its runtime"))
    }
}

#[cfg(feature = "events")]
impl Context<'_> {
    /// Publishes an event if the invocation succeeds, and returns how many deliveries it will make,
    /// by the triggers that are bound now.
    ///
    /// Until then the event is staged: if the invocation fails, in whatever way, it was never
    /// published. If the invocation belongs to a delivery, the delivery's success and all that was
    /// published in it are one step, on disk too. An event that is published for a delivery counts
    /// one hop more than the event that was delivered, as a reply does: see
    /// [`EventLimits::hops`](crate::EventLimits::hops).
    ///
    /// Room in the queue is kept from now on
    /// ([`DeliveryStats::staged`](crate::DeliveryStats::staged)). If the events cannot be queued
    /// all the same, when the disk is full or [`WhenFull`](crate::WhenFull) is not `Reject`, the
    /// invocation fails: as
    /// [`InvokeErrorKind::Unpublished`](crate::InvokeErrorKind::Unpublished), or as an attempt of its delivery.
    ///
    /// What is published through [`Context::runtime`] is queued at once, whatever becomes of the
    /// invocation.
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
    /// assert_eq!(runtime.deliveries().stats().matched, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As for [`Runtime::publish`], and [`PublishError::Initialising`]; the event is not staged
    /// then.
    pub fn publish(&mut self, event: Event) -> Result<usize, PublishError> {
        let hub = Arc::clone(&self.runtime().0.hub);
        let Some(Service { origin, hops, staged }) = self.service() else { return Err(PublishError::Initialising) };
        let ended = origin.as_ref().map(|origin| origin.delivery);
        Staged::publish(staged, &hub, &event, *hops, ended)
    }

    /// The delivery that the invocation belongs to; none if it was invoked by its function's
    /// handle.
    pub fn delivery(&self) -> Option<DeliveryInfo> {
        let (origin, deadline_at) = self.origin()?;
        Some(DeliveryInfo {
            trigger: origin.trigger.to_string(),
            id: origin.delivery,
            attempt: origin.attempt,
            remaining: deadline_at.saturating_sub(self.runtime().0.clock.now()),
        })
    }
}
