//! The limits of triggers, deliveries and dead letters.
//!
//! Invariant: all that the runtime keeps for events is limited: triggers in number, deliveries and
//! dead letters in number and in bytes.

use serde::{Deserialize, Serialize};

/// How many triggers, deliveries and dead letters a runtime holds, and what happens when the queue
/// is full.
///
/// ```
/// use dormouse::{EventLimits, Runtime, WhenFull};
///
/// let limits = EventLimits { deliveries: 1_000, when_full: WhenFull::DropOldest, ..EventLimits::default() };
/// let runtime = Runtime::builder().events(limits).build();
/// # let _ = runtime;
/// ```
///
/// Serde has it as a map, as it has [`Limits`](crate::Limits).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EventLimits {
    /// Triggers that are bound at the same time. Default: 100,000.
    pub triggers: usize,
    /// Deliveries that have not ended: queued, running, parked, or waiting to be tried again.
    /// Default: 65,536.
    pub deliveries: usize,
    /// Bytes of the events of these deliveries. An event counts once for each delivery. Default:
    /// 256 MiB.
    pub delivery_bytes: u64,
    /// Bytes of one event: its attributes and its data. Default: 1 MiB.
    pub event_bytes: u64,
    /// Dead letters that are kept. A new one replaces the oldest. Default: 10,000.
    pub dead_letters: usize,
    /// Bytes of the events of dead letters. Default: 64 MiB.
    pub dead_letter_bytes: u64,
    /// The longest chain of replies that are published as events. A reply beyond it becomes a dead
    /// letter. Default: 16.
    pub hops: u32,
    /// What happens to an event whose deliveries do not all fit. Default: [`WhenFull::Reject`].
    pub when_full: WhenFull,
}

impl Default for EventLimits {
    fn default() -> Self {
        Self {
            triggers: 100_000,
            deliveries: 65_536,
            delivery_bytes: 256 << 20,
            event_bytes: 1 << 20,
            dead_letters: 10_000,
            dead_letter_bytes: 64 << 20,
            hops: 16,
            when_full: WhenFull::Reject,
        }
    }
}

/// What happens to a published event whose deliveries do not all fit the queue.
/// [`DeliveryStats`](crate::DeliveryStats) counts each loss.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum WhenFull {
    /// Publishing fails with [`PublishError::QueueFull`](crate::PublishError::QueueFull), and the
    /// event counts as refused.
    #[default]
    Reject,
    /// The queue drops as many of the oldest deliveries that are not running as needed. It rejects
    /// an event that would not fit even then.
    DropOldest,
    /// The queue drops all deliveries of the new event. Publishing succeeds with 0 deliveries.
    DropNewest,
}
