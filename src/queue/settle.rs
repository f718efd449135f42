//! A delivery's way from ready to its end: it begins, succeeds, fails, waits, parks, or is given
//! up.
//!
//! Invariant: before and after each of these steps, a delivery is in the index of its standing and
//! in no other.

use std::{sync::Arc, time::Duration};

use super::{
    dead::{DeadLetter, DeadLetterReason},
    machine::{Job, NotBegun, Pending, Queue, Standing},
};
use crate::{trigger::random, usage::Version};

/// The kind of a failure.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The guest ran and failed. This counts as an attempt.
    Run,
    /// The runtime refused before the guest ran. This does not count as an attempt.
    Refused,
    /// Another attempt would fail in the same way.
    Permanent,
}

/// What happens next with a delivery that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AfterFailure {
    /// The delivery is tried again after this time of the runtime's clock.
    Retry(Duration),
    /// The delivery is given up and kept as a dead letter.
    DeadLetter(DeadLetterReason),
}

/// The shortest delay after a refusal by a busy pool or a quarantined function.
const REFUSED_AGAIN: Duration = Duration::from_millis(100);

impl Queue {
    /// Begins the oldest delivery that is ready and whose number is below `before`.
    pub(crate) fn take(&mut self, before: u64, now: Duration) -> Option<Job> {
        loop {
            let id = self.ready.first().copied().filter(|id| *id < before)?;
            if let Ok(job) = self.begin(id, now) {
                return Some(job);
            }
        }
    }

    /// Begins a delivery if it is ready, has not expired and is not too old.
    pub(crate) fn begin(&mut self, id: u64, now: Duration) -> Result<Job, NotBegun> {
        let ready = self.pending.get(&id).filter(|pending| pending.standing == Standing::Ready);
        let pending = ready.ok_or(NotBegun::Blocked)?;
        if self.is_expired(pending, now) {
            self.remove(id);
            self.counts.expired += 1;
            return Err(NotBegun::Expired);
        }
        if now >= age_limit(pending) {
            self.give_up(id, DeadLetterReason::Age, now);
            return Err(NotBegun::TooOld);
        }
        let (bound, event) = (Arc::clone(&pending.bound), pending.event.clone());
        let attempt = pending.attempts.saturating_add(1);
        self.unindex(id);
        self.index(id, Standing::Running);
        Ok(Job { id, bound, event, attempt })
    }

    pub(super) fn is_expired(&self, pending: &Pending, now: Duration) -> bool {
        pending.event.expires().is_some_and(|end| self.date(now).is_some_and(|date| date >= end))
    }

    /// Ends a delivery that succeeded.
    pub(crate) fn succeed(&mut self, id: u64) {
        if self.remove(id).is_some() {
            self.counts.succeeded += 1;
        }
    }

    /// Records that an attempt failed. Returns what happens next.
    pub(crate) fn fail(
        &mut self,
        id: u64,
        failure: Failure,
        error: Box<str>,
        version: Option<Version>,
        now: Duration,
    ) -> Option<AfterFailure> {
        let seed = self.seed;
        self.touch(id);
        let pending = self.pending.get_mut(&id)?;
        let retry = &pending.bound.trigger.delivery.retry;
        pending.failures = pending.failures.saturating_add(1);
        pending.attempts = pending.attempts.saturating_add(u32::from(failure != Failure::Refused));
        pending.version = version.or(pending.version);
        pending.error = Some(error);
        let after = retry.delay_after(pending.failures, random(seed, id, u64::from(pending.failures)));
        // A refusal does not count as an attempt. Without this delay, a caller that runs all that
        // is due would not stop while the refusals last.
        let after = if failure == Failure::Refused { after.max(REFUSED_AGAIN) } else { after };
        let at = now.saturating_add(after);
        let reason = match failure {
            Failure::Permanent => DeadLetterReason::Permanent,
            Failure::Run if pending.attempts >= retry.attempts_max() => DeadLetterReason::Attempts,
            _ if at >= age_limit(pending) => DeadLetterReason::Age,
            _ => {
                self.unindex(id);
                self.index(id, Standing::Waiting(at));
                return Some(AfterFailure::Retry(after));
            }
        };
        self.give_up(id, reason, now);
        Some(AfterFailure::DeadLetter(reason))
    }

    /// Parks a delivery whose function is missing, until the function is deployed or the delivery
    /// becomes too old. Returns `false` if the delivery was given up at once.
    pub(super) fn park(&mut self, id: u64, error: Box<str>, now: Duration) -> bool {
        let Some(pending) = self.pending.get_mut(&id) else { return false };
        pending.error = Some(error);
        let until = age_limit(pending);
        if now >= until {
            self.give_up(id, DeadLetterReason::Age, now);
            return false;
        }
        self.unindex(id);
        self.index(id, Standing::Parked(until));
        // Its age, which is on disk, grows while it waits.
        self.touch(id);
        true
    }

    /// Makes a delivery ready again whose run was cut short, as if it had not begun.
    pub(crate) fn put_back(&mut self, id: u64) {
        self.unindex(id);
        self.index(id, Standing::Ready);
    }

    /// Makes the deliveries ready that wait for this function. Returns their number.
    pub(super) fn unpark(&mut self, function: &str) -> usize {
        let Some(parked) = self.parked.remove(function) else { return 0 };
        for id in &parked {
            if let Some(Standing::Parked(until)) = self.pending.get(id).map(|pending| pending.standing) {
                self.due.remove(&(until, *id));
                self.index(*id, Standing::Ready);
            }
        }
        parked.len()
    }

    /// Handles all that has become due: waiting deliveries become ready, parked ones are too old.
    pub(crate) fn wake(&mut self, now: Duration) {
        while let Some((_, id)) = self.due.first().copied().filter(|(at, _)| *at <= now) {
            let Some(pending) = self.pending.get(&id) else { break };
            if matches!(pending.standing, Standing::Waiting(_)) {
                self.unindex(id);
                self.index(id, Standing::Ready);
            } else if self.is_expired(pending, now) {
                self.remove(id);
                self.counts.expired += 1;
            } else {
                self.give_up(id, DeadLetterReason::Age, now);
            }
        }
    }

    /// Gives a delivery up: it becomes a dead letter.
    pub(super) fn give_up(&mut self, id: u64, reason: DeadLetterReason, now: Duration) {
        let Some(pending) = self.remove(id) else { return };
        let letter = DeadLetter {
            id,
            age: age(&pending, now),
            bytes: pending.bytes,
            trigger: Arc::clone(&pending.bound.id),
            function: pending.bound.trigger.target.clone(),
            version: pending.version,
            reason,
            attempts: pending.attempts,
            error: pending.error,
            at: self.date(now),
            event: pending.event,
        };
        self.dead.keep(letter, self.limits.dead_letters, self.limits.dead_letter_bytes);
    }
}

/// The time at which a delivery becomes too old.
fn age_limit(pending: &Pending) -> Duration {
    let left = pending.bound.trigger.delivery.retry.age_max().saturating_sub(pending.aged);
    pending.born.saturating_add(left)
}

pub(super) fn age(pending: &Pending, now: Duration) -> Duration {
    now.saturating_sub(pending.born).saturating_add(pending.aged)
}
