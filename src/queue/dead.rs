//! Dead letters: deliveries that were given up, kept with their reason, in a ring that is limited
//! by number and by bytes.
//!
//! Invariant: each letter that was ever added is held, or counted as redriven, drained or evicted.

use std::{
    collections::{BTreeSet, VecDeque},
    fmt,
    sync::Arc,
    time::Duration,
};

use serde::Serialize;

use crate::{
    event::{Event, Timestamp},
    usage::Version,
};

/// A delivery that was given up, with all that is known about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    pub(super) id: u64,
    pub(super) event: Event,
    pub(super) bytes: u64,
    pub(super) trigger: Arc<str>,
    pub(super) function: Box<str>,
    pub(super) version: Option<Version>,
    pub(super) reason: DeadLetterReason,
    pub(super) attempts: u32,
    pub(super) error: Option<Box<str>>,
    pub(super) age: Duration,
    pub(super) at: Option<Timestamp>,
}

/// Why a delivery was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DeadLetterReason {
    /// As many attempts as [`Retry::attempts`](crate::Retry::attempts) allows have failed.
    Attempts,
    /// The delivery is older than [`Retry::max_age`](crate::Retry::max_age) allows, or would be at
    /// the next attempt.
    Age,
    /// The delivery failed in a way that another attempt would not change. Examples are a payload
    /// that is too large, a function that does not take events, and a reply that its trigger must
    /// not emit.
    Permanent,
    /// The event is a reply at the end of a chain that is longer than
    /// [`EventLimits::hops`](crate::EventLimits::hops) allows.
    Loop,
}

impl DeadLetterReason {
    /// The reason in one word: `attempts`, `age`, `permanent`, `loop`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Attempts => "attempts",
            Self::Age => "age",
            Self::Permanent => "permanent",
            Self::Loop => "loop",
        }
    }
}

impl fmt::Display for DeadLetterReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl DeadLetter {
    /// The number of the delivery. [`Deliveries::redrive`](crate::Deliveries::redrive) takes it.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The event as it was published.
    pub fn event(&self) -> &Event {
        &self.event
    }

    /// The id of the trigger.
    pub fn trigger(&self) -> &str {
        &self.trigger
    }

    /// The name of the function that the trigger targets.
    pub fn function(&self) -> &str {
        &self.function
    }

    /// The version that ran last. `None` if none ever ran.
    pub fn version(&self) -> Option<Version> {
        self.version
    }

    /// Why the delivery was given up.
    pub fn reason(&self) -> DeadLetterReason {
        self.reason
    }

    /// How often the function ran.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// The text of the last error.
    pub fn error(&self) -> Option<&str> {
        self.error.as_deref()
    }

    /// The time between publishing and giving up, by the runtime's clock.
    pub fn age(&self) -> Duration {
        self.age
    }

    /// When the delivery was given up. `None` if the runtime does not know the date: see
    /// [`Runtime::tick`](crate::Runtime::tick).
    pub fn given_up_at(&self) -> Option<Timestamp> {
        self.at
    }
}

/// `order.created A-1 by audit to check: attempts, after 3 attempts: out of fuel…`
impl fmt::Display for DeadLetter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { event, trigger, function, reason, attempts, .. } = self;
        write!(f, "{} {} by {trigger} to {function}: {reason}, after {attempts} attempts", event.ty(), event.id())?;
        self.error().map_or(Ok(()), |error| write!(f, ": {error}"))
    }
}

/// The letters that are held, the oldest first, and counts of all others.
#[derive(Default)]
pub(super) struct DeadLetters {
    held: VecDeque<DeadLetter>,
    bytes: u64,
    /// The letters that were added or removed since the last write. `None` without a store.
    pub(super) touched: Option<BTreeSet<u64>>,
    pub(super) redriven: u64,
    pub(super) drained: u64,
    pub(super) evicted: u64,
}

impl DeadLetters {
    /// Adds a letter, and evicts the oldest until all limits hold. A letter that would exceed the
    /// limits alone is evicted itself.
    pub(super) fn keep(&mut self, letter: DeadLetter, count_max: usize, bytes_max: u64) {
        if count_max == 0 || letter.bytes > bytes_max {
            self.evicted += 1;
            return;
        }
        self.touch(letter.id);
        self.bytes += letter.bytes;
        self.held.push_back(letter);
        while self.held.len() > count_max || self.bytes > bytes_max {
            let Some(gone) = self.held.pop_front() else { break };
            self.bytes -= gone.bytes;
            self.evicted += 1;
            self.touch(gone.id);
        }
    }

    pub(super) fn get(&self, id: u64) -> Option<&DeadLetter> {
        self.held.iter().find(|letter| letter.id == id)
    }

    /// Removes a letter that is to be delivered again.
    pub(super) fn redrive(&mut self, id: u64) {
        if let Some(letter) = self.held.iter().position(|letter| letter.id == id).and_then(|at| self.held.remove(at)) {
            self.bytes -= letter.bytes;
            self.redriven += 1;
            self.touch(id);
        }
    }

    pub(super) fn drain(&mut self) -> Vec<DeadLetter> {
        self.bytes = 0;
        self.drained += self.held.len() as u64;
        let drained: Vec<DeadLetter> = std::mem::take(&mut self.held).into();
        drained.iter().for_each(|letter| self.touch(letter.id));
        drained
    }

    fn touch(&mut self, id: u64) {
        if let Some(touched) = &mut self.touched {
            touched.insert(id);
        }
    }

    pub(crate) fn held(&self) -> impl ExactSizeIterator<Item = &DeadLetter> {
        self.held.iter()
    }
}
