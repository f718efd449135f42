//! Running deliveries: they are taken from the queue and run, on the caller's thread or on worker
//! threads.
//!
//! Invariant: a caller, a tick and a worker all run a delivery by `Queue::begin` and `run`, so that
//! the same rules hold for each.

mod date;
mod error;
#[cfg(all(test, feature = "durable"))]
mod power;
mod reply;
mod request;
mod run;
mod workers;

use std::sync::Arc;

pub use error::DeliveryError;
pub(crate) use request::request;
pub use request::{Request, Response};
pub use run::DeliveryOutcome;
use run::{Begun, run};
pub use workers::Workers;

use crate::{
    event::Event,
    function::Functions,
    queue::{Admission, Full, NotBegun, PublishError},
    trigger::Bound,
};

/// What [`Runtime::dispatch`](crate::Runtime::dispatch) did for one trigger.
#[derive(Debug)]
#[non_exhaustive]
pub struct Dispatched {
    /// The id of the trigger.
    pub trigger: String,
    /// The number of the delivery. A dead letter has the same number. It is 0 for a delivery that
    /// was dropped.
    pub delivery: u64,
    /// The outcome of the attempt.
    pub outcome: DeliveryOutcome,
}

/// Queues an event, and makes the first attempt of each of its deliveries now, on this thread.
pub(crate) fn dispatch(functions: &Arc<Functions>, event: Event) -> Result<Vec<Dispatched>, PublishError> {
    let (bound, bytes) = functions.hub.prepare(&event)?;
    dispatch_to(functions, &bound, event, bytes)
}

/// Makes the first attempt of an event's deliveries to these triggers.
fn dispatch_to(
    functions: &Arc<Functions>,
    bound: &[Arc<Bound>],
    event: Event,
    bytes: u64,
) -> Result<Vec<Dispatched>, PublishError> {
    let hub = &functions.hub;
    let now = hub.clock.now();
    // All deliveries begin in the step that adds them, so that a worker cannot take one.
    let begun: Vec<(u64, Result<Begun<'_>, NotBegun>)> = {
        let mut queue = hub.queue.lock();
        let admitted = queue.admit(Admission { bound, event, bytes }, now);
        let (first, count) = admitted.map_err(|Full| PublishError::full(bound.len(), &queue.stats()))?;
        hub.save_new(&mut queue, first, count, now)?;
        let ids = first..first + count as u64;
        ids.map(|id| (id, queue.begin(id, now).map(|job| Begun::new(hub, job)))).collect()
    };
    if begun.is_empty() {
        let dropped = |trigger| Dispatched { trigger, delivery: 0, outcome: DeliveryOutcome::Dropped };
        return Ok(bound.iter().map(|bound| dropped(bound.id.to_string())).collect());
    }
    let mut buffer = Vec::new();
    let outcomes = begun.into_iter().zip(bound).map(|((delivery, begun), bound)| {
        let outcome = match begun {
            Ok(begun) => run(functions, begun, &mut buffer),
            Err(NotBegun::Blocked) => DeliveryOutcome::Queued,
            Err(NotBegun::Expired) => DeliveryOutcome::Expired,
            Err(NotBegun::TooOld) => DeliveryOutcome::TooOld,
        };
        Dispatched { trigger: bound.id.to_string(), delivery, outcome }
    });
    let outcomes = outcomes.collect();
    hub.save_later(&mut hub.queue.lock(), 0, hub.clock.now());
    Ok(outcomes)
}

/// Runs ready deliveries on this thread, the oldest first. Makes at most `budget` attempts, and
/// returns how many it made.
pub(crate) fn run_pending(functions: &Arc<Functions>, budget: usize) -> usize {
    let hub = &functions.hub;
    let mut buffer = Vec::new();
    for ran in 0..budget {
        let now = hub.clock.now();
        let begun = {
            let mut queue = hub.queue.lock();
            queue.wake(now);
            queue.take(u64::MAX, now).map(|job| Begun::new(hub, job))
        };
        let Some(begun) = begun else {
            hub.save_later(&mut hub.queue.lock(), 0, now);
            return ran;
        };
        run(functions, begun, &mut buffer);
    }
    hub.save_later(&mut hub.queue.lock(), 0, hub.clock.now());
    budget
}
