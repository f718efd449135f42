//! The instances of one version: bounded, most recently used first.
//!
//! A stack of idle instances under one lock, held for a push or a pop and never while a guest runs, an instance is made
//! or one is dropped. Most recently used first keeps caches warm and lets the rest age, so that they can be trimmed.
//!
//! Invariants: `live` counts the instances that are idle, lent or being made, and is never above `max`; idle instances
//! are clean; the idle stack is ordered by the time since when they have been idle, oldest at the bottom.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};

use crate::{
    contract::Bound,
    error::{Busy, InvokeErrorKind},
    instance::Instance,
    usage::{Evict, Start},
};

/// Failures in a row after which a function is left alone, and for how long: doubling up to the longest.
const QUARANTINE_AFTER: u32 = 3;
const QUARANTINE_FIRST: Duration = Duration::from_secs(1);
const QUARANTINE_LONGEST: Duration = Duration::from_secs(60);

/// An instance and its contract's handles.
pub(super) struct Ready {
    pub(super) instance: Instance,
    pub(super) bound: Bound,
}

/// The pool of one version.
pub(crate) struct Pool {
    min: usize,
    max: usize,
    max_wait: Duration,
    state: Mutex<State>,
    returned: Condvar,
}

#[derive(Default)]
struct State {
    idle: Vec<Idle>,
    live: usize,
    /// Instances that failed to initialise since one succeeded, with the last failure and until when to wait.
    failures: u32,
    quarantine: Option<(Duration, InvokeErrorKind)>,
}

struct Idle {
    ready: Box<Ready>,
    since: Duration,
}

impl Pool {
    pub(super) fn new(min: usize, max: usize, max_wait: Duration) -> Arc<Self> {
        Arc::new(Self { min, max, max_wait, state: Mutex::default(), returned: Condvar::new() })
    }

    /// Its identity, for the invocations under way on a thread.
    pub(super) fn id(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// Idle instances, and all.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let state = self.state.lock();
        (state.idle.len(), state.live)
    }

    /// Lends an instance: an idle one, else a new one from `make`, else one that is given back within `max_wait`, unless
    /// this thread holds one itself and so might wait for itself. Nobody waits past the deadline of a caller.
    pub(super) fn take(
        self: &Arc<Self>,
        holds: bool,
        deadline_at: Duration,
        now: impl Fn() -> Duration,
        make: impl FnOnce() -> Result<Ready, InvokeErrorKind>,
    ) -> Result<Lease, InvokeErrorKind> {
        let mut state = self.state.lock();
        let mut wait_until = None;
        loop {
            if let Some(Idle { ready, .. }) = state.idle.pop() {
                drop(state);
                return Ok(Lease::of(self, Some(ready), Start::Warm));
            }
            if state.live < self.max {
                break;
            }
            let busy = |waited| Err(InvokeErrorKind::Busy(Busy::Instances { max: self.max, waited }));
            if holds || self.max == 0 || self.max_wait.is_zero() {
                return busy(Duration::ZERO);
            }
            // The wait is the one place that reads the machine's time: it is about this thread, not about the guest.
            let (wait, until) = *wait_until.get_or_insert_with(|| {
                let left = if deadline_at == Duration::MAX { deadline_at } else { deadline_at.saturating_sub(now()) };
                let wait = self.max_wait.min(left);
                (wait, Instant::now() + wait.min(WAIT_LONGEST))
            });
            if self.returned.wait_until(&mut state, until).timed_out()
                && state.idle.is_empty()
                && state.live >= self.max
            {
                return busy(wait);
            }
        }
        if let Some((until, cause)) = &state.quarantine {
            let now = now();
            if now < *until {
                // Whoever else waits for the place that this thread leaves free is to hear of it too.
                self.returned.notify_one();
                return Err(InvokeErrorKind::Quarantined {
                    failures: state.failures,
                    remaining: *until - now,
                    cause: Box::new(cause.clone()),
                });
            }
        }
        state.live += 1;
        drop(state);
        // Gives the place back if making fails or panics.
        let mut lease = Lease::of(self, None, Start::Cold);
        match make() {
            Ok(ready) => {
                self.state.lock().succeeded();
                lease.ready = Some(Box::new(ready));
                Ok(lease)
            }
            Err(error) => {
                if matches!(error, InvokeErrorKind::Initialise { .. }) {
                    self.state.lock().failed(now(), &error);
                }
                Err(error)
            }
        }
    }

    /// Puts a clean instance on top of the stack.
    fn give_back(&self, ready: Box<Ready>, since: Duration) {
        debug_assert!(ready.instance.is_clean(), "idle instances are clean");
        self.state.lock().idle.push(Idle { ready, since });
        self.returned.notify_one();
    }

    /// An instance is gone.
    fn forget(&self) {
        self.state.lock().live -= 1;
        self.returned.notify_one();
    }

    /// Makes instances until `count` are idle or no more may live.
    ///
    /// They are held until all are made: an idle one could be dropped to make room for the next, without end.
    pub(super) fn prewarm(
        self: &Arc<Self>,
        count: usize,
        now: impl Fn() -> Duration,
        make: impl Fn() -> Result<Ready, InvokeErrorKind>,
    ) -> Result<usize, InvokeErrorKind> {
        let mut made = Vec::new();
        let outcome = loop {
            let mut state = self.state.lock();
            if state.idle.len() + made.len() >= count || state.live >= self.max {
                break Ok(());
            }
            state.live += 1;
            drop(state);
            // Gives the place back if making fails or panics.
            let mut lease = Lease::of(self, None, Start::Cold);
            match make() {
                Ok(ready) => lease.ready = Some(Box::new(ready)),
                Err(error) => break Err(error),
            }
            made.push(lease);
        };
        for lease in made {
            lease.give_back(now());
        }
        outcome.map(|()| self.state.lock().idle.len())
    }

    /// Takes a sealed instance in, the one that deployment made.
    pub(super) fn adopt(self: &Arc<Self>, ready: Ready, now: Duration) {
        self.state.lock().live += 1;
        Lease::of(self, Some(Box::new(ready)), Start::Cold).give_back(now);
    }

    /// Drops instances that have been idle since `before` or longer, down to the minimum.
    pub(super) fn trim(&self, before: Duration) -> usize {
        let mut state = self.state.lock();
        let old = state.idle.partition_point(|idle| idle.since <= before);
        let spare = state.live.saturating_sub(self.min);
        let gone: Vec<_> = state.idle.drain(..old.min(spare)).collect();
        state.live -= gone.len();
        drop(state);
        gone.len()
    }
}

/// The longest wait that is asked of the machine's clock, which cannot add any duration to an instant: a year.
const WAIT_LONGEST: Duration = Duration::from_secs(365 * 24 * 3_600);

impl State {
    fn succeeded(&mut self) {
        self.failures = 0;
        self.quarantine = None;
    }

    fn failed(&mut self, now: Duration, error: &InvokeErrorKind) {
        self.failures = self.failures.saturating_add(1);
        if let Some(times) = self.failures.checked_sub(QUARANTINE_AFTER) {
            let time = QUARANTINE_FIRST.saturating_mul(1 << times.min(6)).min(QUARANTINE_LONGEST);
            self.quarantine = Some((now.saturating_add(time), error.clone()));
        }
    }
}

impl Evict for Pool {
    fn oldest(&self) -> Option<Duration> {
        self.state.lock().idle.first().map(|idle| idle.since)
    }

    fn evict_oldest(&self) -> bool {
        let mut state = self.state.lock();
        if state.idle.is_empty() {
            return false;
        }
        let gone = state.idle.remove(0);
        state.live -= 1;
        drop(state);
        drop(gone);
        self.returned.notify_one();
        true
    }
}

/// An instance on loan. Dropped without being given back, as when a panic unwinds through, it is thrown away.
pub(super) struct Lease {
    pool: Arc<Pool>,
    ready: Option<Box<Ready>>,
    start: Start,
    /// The instance has gone back to the pool, and its place with it.
    returned: bool,
}

impl Lease {
    /// A place in the pool that has been counted, for an instance to come.
    fn of(pool: &Arc<Pool>, ready: Option<Box<Ready>>, start: Start) -> Self {
        Self { pool: Arc::clone(pool), ready, start, returned: false }
    }

    pub(super) fn start(&self) -> Start {
        self.start
    }

    /// The instance and its handles; there from the moment that the lease is handed out.
    pub(super) fn ready(&mut self) -> &mut Ready {
        self.ready.as_mut().expect("a lease that was handed out holds an instance")
    }

    /// Gives a clean instance back to the pool.
    pub(super) fn give_back(mut self, now: Duration) {
        if let Some(ready) = self.ready.take() {
            self.returned = true;
            self.pool.give_back(ready, now);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if !self.returned {
            // The instance first, so that its memory is free before its place is.
            drop(self.ready.take());
            self.pool.forget();
        }
    }
}
