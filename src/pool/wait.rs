//! Waiting for an instance, or for a vacancy to make one.
//!
//! Invariant: a thread that frees an instance or a vacancy looks afterwards for waiting threads. A
//! thread that is about to wait adds itself to `waiting`, then looks for both.

use std::time::{Duration, Instant};

use super::{Pool, PooledInstance};
use crate::{
    error::{Busy, InvokeErrorKind},
    sync::atomic::Ordering,
};

/// The longest wait: a year. The machine's clock cannot add every duration to an instant.
const WAIT_LONGEST: Duration = Duration::from_secs(365 * 24 * 3_600);

/// What a waiting thread has found.
pub(super) enum Found {
    Idle(Box<PooledInstance>),
    /// A vacancy in this lane.
    Vacancy(usize),
}

impl Pool {
    /// Waits for an instance or a vacancy.
    #[cold]
    pub(super) fn wait(
        &self,
        own: usize,
        holds: bool,
        deadline_at: Duration,
        now: &impl Fn() -> Duration,
    ) -> Result<Found, InvokeErrorKind> {
        let busy = |max, waited| Err(InvokeErrorKind::Busy(Busy::Instances { max, waited }));
        // Read once: if the caller is refused because the function is off, the error says so, even
        // if the function is switched on meanwhile.
        let max = self.max();
        if holds || max == 0 || self.max_wait.is_zero() {
            return busy(max, Duration::ZERO);
        }
        let left = if deadline_at == Duration::MAX { deadline_at } else { deadline_at.saturating_sub(now()) };
        let wait = self.max_wait.min(left);
        // Only this wait reads the machine's time, because it concerns this thread and not the
        // guest.
        let until = Instant::now() + wait.min(WAIT_LONGEST);
        let mut failures = self.failures.lock();
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let mut in_time = true;
        let found = loop {
            // Either this look finds what another thread frees, or `give_back` and `forget` see
            // this thread wait. They free first and then look for waiters. This thread has said
            // that it waits and looks now. All four operations are in one order.
            if let Some(ready) = self.pop(own) {
                break Ok(Found::Idle(ready));
            }
            if let Some(lane) = self.claim(own) {
                break Ok(Found::Vacancy(lane));
            }
            if !in_time {
                break busy(self.max(), wait);
            }
            in_time = !self.returned.wait_until(&mut failures, until).timed_out();
        };
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        found
    }

    /// Wakes a waiting thread: there is an instance or a vacancy.
    #[cold]
    pub(super) fn notify(&self) {
        if self.lowered.load(Ordering::SeqCst) {
            self.shed();
        }
        // A waiting thread holds this lock from its last look until it sleeps.
        drop(self.failures.lock());
        self.returned.notify_one();
    }
}
