//! Why an event is not queued, and why a dead letter is not redriven.
//!
//! Invariant: after any of these errors nothing was queued, and a dead letter is still held.

use serde::{Serialize, Serializer};

use super::DeliveryStats;
use crate::{pattern::MatchError, text::kind_and_message};

/// Why an event was not published. None of its deliveries was added.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The deliveries do not all fit the queue.
    #[error(
        "the queue is full: {needed} more deliveries do not fit beside the {pending} that have not \
         ended ({queued} queued, {running} running, {parked} parked); run them, or raise \
         `EventLimits::deliveries` or `delivery_bytes`"
    )]
    QueueFull {
        /// The triggers that the event matches.
        needed: usize,
        /// The deliveries that have not ended.
        pending: u64,
        /// Of these, the ones that are ready or wait for their turn.
        queued: u64,
        /// Of these, the ones that a function runs.
        running: u64,
        /// Of these, the ones that wait for a function that is not deployed.
        parked: u64,
    },
    /// The event is too large.
    #[error(
        "the event has {bytes} bytes, above the limit of {limit}; make it smaller, or raise \
         `EventLimits::event_bytes`"
    )]
    TooLarge {
        /// Bytes of the event's attributes and data.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// The runtime cannot say whether the event matches a pattern.
    #[error(transparent)]
    Match(#[from] MatchError),
    /// The event could not be written to disk.
    #[cfg(feature = "durable")]
    #[error("the event was not stored: {0}")]
    Store(#[from] crate::disk::StoreError),
    /// A host function published while its caller was being initialised. See
    /// [`Context::publish`](crate::Context::publish).
    #[error(
        "a function cannot publish while it is being initialised, because all its invocations share \
         the result; publish from its handler"
    )]
    Initialising,
    /// Only the runtime itself publishes events of this type.
    #[error(
        "the event type {ty:?} is reserved: only the runtime publishes types that begin with \
         `dormouse.`; choose another type"
    )]
    Reserved {
        /// The type.
        ty: Box<str>,
    },
}

impl PublishError {
    pub(crate) fn full(needed: usize, deliveries: &DeliveryStats) -> Self {
        let DeliveryStats { queued, running, parked, .. } = *deliveries;
        Self::QueueFull { needed, pending: deliveries.pending(), queued, running, parked }
    }
}

/// Why a dead letter was not delivered again. The letter is still held.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RedriveError {
    /// No dead letter has this number.
    #[error("no dead letter has the number {id}; it was drained, redriven or evicted")]
    NoSuchLetter {
        /// The number.
        id: u64,
    },
    /// The letter's trigger is no longer bound.
    #[error("the trigger {trigger:?} is not bound; bind it, or drain the letter and publish its event")]
    NoSuchTrigger {
        /// The id of the trigger.
        trigger: Box<str>,
    },
    /// The queue did not take the event.
    #[error(transparent)]
    Publish(#[from] PublishError),
}

impl PublishError {
    /// The kind in one word: `queue_full`, `too_large`, …
    pub fn name(&self) -> &'static str {
        match self {
            Self::QueueFull { .. } => "queue_full",
            Self::TooLarge { .. } => "too_large",
            Self::Match(_) => "match",
            #[cfg(feature = "durable")]
            Self::Store(_) => "store",
            Self::Initialising => "initialising",
            Self::Reserved { .. } => "reserved",
        }
    }
}

impl RedriveError {
    /// The kind in one word: `no_such_letter`, `no_such_trigger`, `publish`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::NoSuchLetter { .. } => "no_such_letter",
            Self::NoSuchTrigger { .. } => "no_such_trigger",
            Self::Publish(_) => "publish",
        }
    }
}

/// As `{"kind": …, "message": …}`: the name and the text.
impl Serialize for PublishError {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        kind_and_message(self.name(), self, serializer)
    }
}

/// As `{"kind": …, "message": …}`: the name and the text.
impl Serialize for RedriveError {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        kind_and_message(self.name(), self, serializer)
    }
}
