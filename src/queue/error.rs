//! Why an event is not queued.

use super::Deliveries;
use crate::pattern::MatchError;

/// Why an event was not published. None of its deliveries exists then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The deliveries do not all fit.
    #[error(
        "the queue is full: {needed} deliveries more do not fit the {pending} that have not ended ({queued} queued, {running} running, {parked} parked); \
         run them, or raise `EventLimits::deliveries` or `delivery_bytes`"
    )]
    QueueFull {
        /// Triggers that the event matches.
        needed: usize,
        /// Deliveries that have not ended.
        pending: u64,
        /// Of these, ready or waiting for their turn.
        queued: u64,
        /// Of these, with a function.
        running: u64,
        /// Of these, waiting for a function that is not deployed.
        parked: u64,
    },
    /// The event is too large.
    #[error(
        "the event has {bytes} bytes, above the limit of {limit}; raise `EventLimits::event_bytes` if that is meant"
    )]
    TooLarge {
        /// Bytes of its attributes and its data.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// Whether it matches a pattern cannot be said.
    #[error(transparent)]
    Match(#[from] MatchError),
    /// It could not be written to disk.
    #[cfg(feature = "durable")]
    #[error("the event was not stored: {0}")]
    Store(#[from] crate::disk::StoreError),
    /// A host function publishes while the function that calls it is initialised. See [`Context::publish`](crate::Context::publish).
    #[error(
        "a function cannot publish while it is initialised, as all its invocations share what comes of that; publish from its handler"
    )]
    Initialising,
    /// The type is one that only the runtime itself publishes.
    #[error("the event type {ty:?} is reserved: types that begin with dormouse. are the runtime's own")]
    Reserved {
        /// The type.
        ty: Box<str>,
    },
}

impl PublishError {
    pub(crate) fn full(needed: usize, deliveries: &Deliveries) -> Self {
        let Deliveries { queued, running, parked, .. } = *deliveries;
        Self::QueueFull { needed, pending: deliveries.pending(), queued, running, parked }
    }
}

/// Why a dead letter was not delivered again. It is held as before.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RedriveError {
    /// No letter of this number is held.
    #[error("no dead letter has the number {id}; it was drained, redriven or evicted")]
    NoSuchLetter {
        /// The number as given.
        id: u64,
    },
    /// Its trigger is no longer bound.
    #[error("the trigger {trigger:?} is not bound; bind it, or drain the letter and publish its event")]
    NoSuchTrigger {
        /// The id of the trigger.
        trigger: Box<str>,
    },
    /// There is no room.
    #[error(transparent)]
    Publish(#[from] PublishError),
}
