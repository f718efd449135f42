//! The counts of all deliveries by outcome and by standing.
//!
//! Invariant: the counts balance, see [`DeliveryStats::is_balanced`].

use serde::Serialize;

/// How many deliveries of a runtime are in which state, from
/// [`Deliveries::stats`](crate::Deliveries::stats). All counts are of the same moment.
///
/// Each delivery that was ever matched is counted in exactly one of the states:
/// [`is_balanced`](Self::is_balanced) checks this. A dead letter that is redriven counts as
/// redriven, and as matched a second time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct DeliveryStats {
    /// Deliveries that were made: one for each trigger that a published event matched.
    pub matched: u64,
    /// Deliveries that succeeded.
    pub succeeded: u64,
    /// Dead letters that are held now.
    pub dead_letters: u64,
    /// Dead letters that were delivered again.
    pub redriven: u64,
    /// Dead letters that the host drained.
    pub drained: u64,
    /// Dead letters that were removed because their ring was full.
    pub evicted: u64,
    /// Deliveries that were not run because the event's `expirytime` had come.
    pub expired: u64,
    /// Deliveries that were dropped because the queue was full.
    pub dropped: u64,
    /// Deliveries that are ready, wait for another attempt, or are behind others of their order.
    pub queued: u64,
    /// Deliveries that a function runs now.
    pub running: u64,
    /// Deliveries that wait until their function is deployed.
    pub parked: u64,
    /// Deliveries that a full queue refused, with an error to the publisher. They do not count as
    /// matched.
    pub refused: u64,
    /// Deliveries of events that host functions published in invocations that have not ended. They
    /// count as matched when the invocation succeeds. The queue keeps room for them.
    pub staged: u64,
    /// Changes that a durable runtime has not written yet: deliveries that failed or ended since
    /// the last write. After a crash these deliveries would be made again. The runtime writes them
    /// when the queue has been run, with the next published event, and at 64 changes at the latest,
    /// unless the disk refuses.
    pub unsaved: u64,
}

impl DeliveryStats {
    /// The deliveries that have not ended.
    pub fn pending(&self) -> u64 {
        self.queued + self.running + self.parked
    }

    /// The conservation law: every matched delivery is in exactly one state.
    pub fn is_balanced(&self) -> bool {
        let dead = self.dead_letters + self.redriven + self.drained + self.evicted;
        self.matched == self.succeeded + dead + self.expired + self.dropped + self.pending()
    }
}
