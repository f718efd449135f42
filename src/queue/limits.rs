//! The bounds of the event wing.

/// How many triggers, deliveries and dead letters a runtime holds, and what happens when the queue is full.
///
/// ```
/// use dormouse::{EventLimits, Runtime, WhenFull};
///
/// let limits = EventLimits { deliveries: 1_000, when_full: WhenFull::DropOldest, ..EventLimits::default() };
/// let runtime = Runtime::builder().events(limits).build();
/// # let _ = runtime;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventLimits {
    /// Triggers bound at once; default 100,000.
    pub triggers: usize,
    /// Deliveries that have not ended, whether they are queued, running, parked or waiting to be tried again; default 65,536.
    pub deliveries: usize,
    /// Bytes of the events of these deliveries, an event counted once for each; default 256 MiB.
    pub delivery_bytes: u64,
    /// Bytes of one event, its attributes and its data; default 1 MiB.
    pub event_bytes: u64,
    /// Dead letters kept; default 10,000. A new one takes the place of the oldest.
    pub dead_letters: usize,
    /// Bytes of their events; default 64 MiB.
    pub dead_letter_bytes: u64,
    /// How long a chain of replies may become that are published as events; default 16. What would be one longer becomes a dead letter.
    pub hops: u32,
    /// What happens to an event whose deliveries do not all fit; default [`WhenFull::Reject`].
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

/// What happens when an event is published whose deliveries do not all fit the queue. Each loss is counted, in
/// [`Deliveries`](crate::Deliveries).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhenFull {
    /// Publishing fails with [`PublishError::QueueFull`](crate::PublishError::QueueFull), and the event counts as refused.
    #[default]
    Reject,
    /// The oldest deliveries that are not running go, as many as it takes. An event that would not fit even then is rejected.
    DropOldest,
    /// The deliveries of the new event go, all of them: publishing succeeds, with 0 deliveries.
    DropNewest,
}
