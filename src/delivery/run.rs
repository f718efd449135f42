//! Runs one delivery: finds its function, gives it the event, and settles the outcome.
//!
//! Invariants: no lock is held while a guest runs. A delivery that began is settled, even when a
//! panic unwinds through this file.

use std::sync::Arc;

use super::{DeliveryError, reply};
use crate::{
    error::{Busy, InvokeError, InvokeErrorKind},
    event::Event,
    function::{Functions, Reply},
    guest::EXIT_REJECTED,
    queue::{AfterFailure, Failure, Hub, Job, Parked, PublishError, Staged, StagedEvent, hops},
    text::cut,
    trigger::{Source, TriggerInput},
    usage::Origin,
};

/// The outcome of one attempt to deliver an event.
#[derive(Debug)]
#[non_exhaustive]
pub enum DeliveryOutcome {
    /// The function succeeded, with this reply.
    Succeeded(Reply),
    /// The attempt failed.
    Failed {
        /// Why the attempt failed.
        error: DeliveryError,
        /// What happens next with the delivery.
        next: AfterFailure,
    },
    /// The function is not deployed, or is switched off. The delivery waits in the queue for the
    /// function.
    Parked,
    /// The trigger is ordered and other deliveries are before this one, or the function was
    /// deployed while the worker looked for it. The delivery waits in the queue for its turn.
    Queued,
    /// The event's `expirytime` had come, so the delivery was not run.
    Expired,
    /// The delivery became too old before its next attempt, and is a dead letter.
    TooOld,
    /// The queue was full, and its policy is [`WhenFull::DropNewest`](crate::WhenFull::DropNewest).
    Dropped,
}

/// A delivery that has begun. If it is dropped unsettled, as when a panic unwinds, the delivery is
/// ready again.
pub(super) struct Begun<'a> {
    hub: &'a Hub,
    job: Job,
    settled: bool,
}

impl<'a> Begun<'a> {
    pub(super) fn new(hub: &'a Hub, job: Job) -> Self {
        Self { hub, job, settled: false }
    }
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        if !self.settled {
            self.hub.queue.lock().put_back(self.job.id);
            self.hub.wake.notify_all();
        }
    }
}

/// Runs a delivery that has begun, and settles it. `buffer` is used for the input.
pub(super) fn run(functions: &Arc<Functions>, mut begun: Begun<'_>, buffer: &mut Vec<u8>) -> DeliveryOutcome {
    let (hub, job) = (begun.hub, &begun.job);
    // Read before the function is looked up: a deployment after this line is noticed when the
    // delivery would park.
    let changes = hub.changes();
    let mut staged = None;
    let outcome = match invoke(functions, job, buffer, &mut staged) {
        Ok(reply) => settle(hub, job, reply, staged),
        Err(error) => match class(error.kind(), job) {
            Some(failure) => fail(hub, job, failure, error.into()),
            None => match hub.park(job.id, cut(&error.to_string()), changes) {
                Parked::Yes => DeliveryOutcome::Parked,
                Parked::Ready => DeliveryOutcome::Queued,
                Parked::TooOld => DeliveryOutcome::TooOld,
            },
        },
    };
    begun.settled = true;
    let waits =
        matches!(outcome, DeliveryOutcome::Failed { next: AfterFailure::Retry(_), .. } | DeliveryOutcome::Parked);
    hub.after(waits);
    outcome
}

fn invoke(
    functions: &Arc<Functions>,
    job: &Job,
    buffer: &mut Vec<u8>,
    staged: &mut Option<Staged>,
) -> Result<Reply, InvokeError> {
    let trigger = &job.bound.trigger;
    let Some(function) = functions.find(&trigger.target) else {
        return Err(InvokeErrorKind::Undeployed { name: trigger.target.clone() }.into());
    };
    let input = match &trigger.delivery.input {
        TriggerInput::Event => {
            buffer.clear();
            job.event.write_json(buffer);
            buffer
        }
        TriggerInput::Data => job.event.data().unwrap_or_default(),
        TriggerInput::Constant(bytes) => bytes,
    };
    let (trigger, hop_count) = (job.bound.id.clone(), hops(&job.event));
    let origin = Origin { trigger, delivery: job.id, attempt: job.attempt, hops: hop_count };
    function.invocation(input).delivering(origin, staged).run()
}

/// The kind of failure that an error is. `None` if the function is missing: the delivery then waits
/// for it.
fn class(error: &InvokeErrorKind, job: &Job) -> Option<Failure> {
    use InvokeErrorKind as Kind;
    // A client waits for the answer to a request.
    let at_once = matches!(job.bound.trigger.source, Source::Route(_));
    let class = match error {
        Kind::Undeployed { .. } | Kind::Busy(Busy::Instances { max: 0, .. }) => None,
        Kind::Busy(_) | Kind::Quarantined { .. } | Kind::NestedTooDeep { .. } => Some(Failure::Refused),
        Kind::InputTooLarge { .. }
        | Kind::OutputTooLarge { .. }
        | Kind::MemoryLimit { .. }
        | Kind::Contract { .. }
        | Kind::NotInvocable { .. }
        | Kind::NoSuchExport { .. }
        | Kind::Signature { .. }
        | Kind::Codec { .. }
        | Kind::Rejected { .. }
        | Kind::Exit { code: EXIT_REJECTED, .. } => Some(Failure::Permanent),
        #[cfg(feature = "extism")]
        Kind::GuestError { code, .. } if i64::from(*code) == i64::from(EXIT_REJECTED) => Some(Failure::Permanent),
        _ => Some(Failure::Run),
    };
    if at_once && matches!(class, None | Some(Failure::Refused)) { Some(Failure::Permanent) } else { class }
}

fn fail(hub: &Hub, job: &Job, failure: Failure, error: DeliveryError) -> DeliveryOutcome {
    let version = match &error {
        DeliveryError::Invoke(error) => error.report().map(|report| report.version()),
        _ => None,
    };
    let (text, now) = (cut(&error.to_string()), hub.clock.now());
    let next = hub.queue.lock().fail(job.id, failure, text, version, now);
    // A running delivery is in the queue, so `next` is not `None` here.
    next.map_or(DeliveryOutcome::TooOld, |next| DeliveryOutcome::Failed { error, next })
}

/// The function has succeeded: the delivery ends. In the same step, the queue takes its reply and
/// the events that were published during it.
fn settle(hub: &Hub, job: &Job, reply: Reply, staged: Option<Staged>) -> DeliveryOutcome {
    let event = match reply::read(job, reply.output()) {
        Ok(event) => event,
        Err(error) => return fail(hub, job, Failure::Permanent, error),
    };
    let event = match event.map(|event| staged_event(hub, event)).transpose() {
        Ok(event) => event,
        Err(error) => return fail(hub, job, Failure::Permanent, error.into()),
    };
    let (room, mut events) = staged.map_or_else(Default::default, |mut staged| staged.take());
    events.extend(event);
    if events.is_empty() {
        hub.queue.lock().succeed(job.id);
        return DeliveryOutcome::Succeeded(reply);
    }
    match hub.release(room, &events, Some(job.id)) {
        Ok(()) => DeliveryOutcome::Succeeded(reply),
        // The event is part of the function's result. Without room for it, the function has to run
        // again.
        Err(error @ PublishError::QueueFull { .. }) => fail(hub, job, Failure::Run, error.into()),
        Err(error) => fail(hub, job, Failure::Permanent, error.into()),
    }
}

/// A reply, with the triggers that it matches.
fn staged_event(hub: &Hub, event: Event) -> Result<StagedEvent, PublishError> {
    Ok(StagedEvent { bytes: hub.size(&event)?, bound: hub.registry.find(&event)?, event })
}
