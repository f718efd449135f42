//! Where all deliveries are, in figures, and the law that they keep.

/// Where the deliveries of a runtime are, from [`Runtime::deliveries`](crate::Runtime::deliveries): figures of one moment.
///
/// Each that was ever matched stands in exactly one of the terms, which is what [`is_balanced`](Self::is_balanced) says. A dead letter that is
/// redriven counts as redriven, and as matched once more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Deliveries {
    /// Deliveries made: one for each trigger that a published event matched.
    pub matched: u64,
    /// Ended well.
    pub succeeded: u64,
    /// Dead letters held now.
    pub dead_letters: u64,
    /// Dead letters delivered again.
    pub redriven: u64,
    /// Dead letters that the host took out.
    pub drained: u64,
    /// Dead letters that went when their ring was full.
    pub evicted: u64,
    /// Not run any more, as the event's `expirytime` had come.
    pub expired: u64,
    /// Dropped when the queue was full.
    pub dropped: u64,
    /// Not ended: ready, waiting for another attempt, or behind others of their order.
    pub queued: u64,
    /// Not ended: with a function.
    pub running: u64,
    /// Not ended: waiting until their function is deployed.
    pub parked: u64,
    /// Refused when the queue was full, with an error to whoever published them: never matched.
    pub refused: u64,
    /// Published by host functions in invocations that have not ended: matched when these succeed. The queue keeps room for them.
    pub staged: u64,
    /// Changes that a durable runtime has not written yet: what failed or ended since. After a crash these deliveries would be made again. They are
    /// written when the queue has been run, with the next event that is published, and 64 at the latest, unless the disk refuses.
    pub unsaved: u64,
}

impl Deliveries {
    /// Those that have not ended.
    pub fn pending(&self) -> u64 {
        self.queued + self.running + self.parked
    }

    /// The conservation law: what was matched is somewhere, once.
    pub fn is_balanced(&self) -> bool {
        let dead = self.dead_letters + self.redriven + self.drained + self.evicted;
        self.matched == self.succeeded + dead + self.expired + self.dropped + self.pending()
    }
}
