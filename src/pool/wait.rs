//! Waiting for an instance, or for a place for one.
//!
//! Invariant: a thread that gives an instance or a place back looks afterwards whether another waits, and a thread that
//! waits looks for both after it has said so.

use std::time::{Duration, Instant};

use super::{Pool, PooledInstance};
use crate::{
    error::{Busy, InvokeErrorKind},
    sync::atomic::Ordering,
};

/// The longest wait that is asked of the machine's clock, which cannot add any duration to an instant: a year.
const WAIT_LONGEST: Duration = Duration::from_secs(365 * 24 * 3_600);

/// What a thread has waited for.
pub(super) enum Found {
    Idle(Box<PooledInstance>),
    /// A place in this lane.
    Place(usize),
}

impl Pool {
    /// Waits for an instance, or a place for one.
    #[cold]
    pub(super) fn wait(
        &self,
        own: usize,
        holds: bool,
        deadline_at: Duration,
        now: &impl Fn() -> Duration,
    ) -> Result<Found, InvokeErrorKind> {
        let busy = |max, waited| Err(InvokeErrorKind::Busy(Busy::Instances { max, waited }));
        // Read once: who is refused because the function is off is told so, even if it is on again by then.
        let max = self.max();
        if holds || max == 0 || self.max_wait.is_zero() {
            return busy(max, Duration::ZERO);
        }
        let left = if deadline_at == Duration::MAX { deadline_at } else { deadline_at.saturating_sub(now()) };
        let wait = self.max_wait.min(left);
        // The wait is the one place that reads the machine's time: it is about this thread, not about the guest.
        let until = Instant::now() + wait.min(WAIT_LONGEST);
        let mut failures = self.failures.lock();
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let mut in_time = true;
        let found = loop {
            // Either this finds what is given back, or `give_back` and `forget` find that somebody waits: they put down an instance or a place and
            // look then, this has said so and looks now, and all four are in one order.
            if let Some(ready) = self.pop(own) {
                break Ok(Found::Idle(ready));
            }
            if let Some(lane) = self.claim(own) {
                break Ok(Found::Place(lane));
            }
            if !in_time {
                break busy(self.max(), wait);
            }
            in_time = !self.returned.wait_until(&mut failures, until).timed_out();
        };
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        found
    }

    /// Tells somebody who waits that there is an instance or a place.
    #[cold]
    pub(super) fn notify(&self) {
        if self.lowered.load(Ordering::SeqCst) {
            self.shed();
        }
        // Between its last look and its sleep a waiter holds this lock.
        drop(self.failures.lock());
        self.returned.notify_one();
    }
}
