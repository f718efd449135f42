//! The instances of one version: limited in number, the most recently used first.
//!
//! Idle instances are kept in lanes. A thread looks first into the lane of the core that it runs
//! on. It looks through all other lanes before it makes an instance, so there are never more
//! instances than runs at the same time. A new instance belongs to the lane that has fewest, and
//! returns there after each use. So threads that run at the same time come to use one instance
//! each, and share nothing, however many threads there are. The most recently used instance is
//! taken first. This keeps caches warm and lets the others age, so that they can be trimmed.
//!
//! The latest instance of a lane is on top. One atomic operation puts it there and one takes it, at
//! some 6 ns each. The others are below it, under a lock. They exist only while more runs go on at
//! once than there are lanes. The lock is held for a push, a pop or a look at all, and never while
//! a guest runs or an instance is made or dropped. (A stack under a lock alone took four such
//! operations a run, and 30 ns.) A thread that looks at all instances first moves the one on top
//! down. The next run of the lane takes it from there.
//!
//! Invariants: `live` counts the instances that are idle, lent or being made, in total and for each
//! lane, and never exceeds `max`. Idle instances are clean. Each lane is ordered by the start of
//! idle time, the oldest in front, except an instance whose thread is interrupted while it puts
//! another on top. A thread that frees an instance or a vacancy looks afterwards for waiting
//! threads. A thread that is about to wait adds itself to `waiting`, then looks for both. A vacancy
//! is permission to make one more instance.

mod lane;
mod lease;
mod quarantine;
mod wait;

use std::{collections::VecDeque, time::Duration};

use crossbeam::utils::CachePadded;
use serde::Serialize;

use crate::{
    budget::Evict,
    error::InvokeErrorKind,
    guest::{Handles, Instance},
    sync::{
        Condvar, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    sys::{core_number, thread_number},
    usage::Counter,
};
use lane::Lane;
pub(crate) use lease::Lease;
use quarantine::Failures;
use wait::Found;

/// How many instances a version of a function has at one moment, from
/// [`Function::instances`](crate::Function::instances).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct InstanceCount {
    /// Instances that no invocation uses.
    pub idle: usize,
    /// All instances.
    pub live: usize,
}

/// An instance with the handles of its contract.
pub(crate) struct PooledInstance {
    pub(crate) instance: Instance,
    pub(crate) handles: Handles,
    pub(crate) counter: Counter,
    /// The lane that it belongs to.
    pub(crate) lane: usize,
    /// Deployment left this instance for the first invocation. That invocation is still a cold
    /// start: the host did not ask for an instance ahead of time.
    pub(crate) is_from_deployment: bool,
    /// Since when it has been idle, if it is.
    pub(crate) since: Duration,
}

/// The pool of one version.
pub(crate) struct Pool {
    min: usize,
    max: AtomicUsize,
    max_wait: Duration,
    lanes: Box<[CachePadded<Lane>]>,
    live: CachePadded<AtomicUsize>,
    /// The number of waiting threads, changed under the lock of `failures`. It is one higher while
    /// `max` was lowered and more live than `max` allows: a thread that gives an instance back
    /// reads this number anyway.
    waiting: AtomicUsize,
    returned: Condvar,
    failures: Mutex<Failures>,
    /// The most instances that were live when one was thrown away after a run, since the last
    /// `replenish`.
    lost: AtomicUsize,
    /// `max` was lowered, and more may be live than it allows.
    lowered: AtomicBool,
}

impl Pool {
    pub(crate) fn new(min: usize, max: usize, lanes: usize, max_wait: Duration) -> Self {
        Self {
            min,
            max: AtomicUsize::new(max),
            max_wait,
            lanes: (0..lanes).map(|_| CachePadded::default()).collect(),
            live: CachePadded::default(),
            waiting: AtomicUsize::new(0),
            returned: Condvar::new(),
            failures: Mutex::default(),
            lost: AtomicUsize::new(0),
            lowered: AtomicBool::new(false),
        }
    }

    /// The identity of the pool, for the list of invocations that a thread is in.
    pub(crate) fn id(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    pub(crate) fn max(&self) -> usize {
        self.max.load(Ordering::SeqCst)
    }

    /// Sets the most instances that may be live. Idle ones beyond it are dropped at once, lent ones
    /// when they come back.
    pub(crate) fn set_max(&self, max: usize) {
        {
            let _failures = self.failures.lock();
            self.max.store(max, Ordering::SeqCst);
            if !self.lowered.swap(true, Ordering::SeqCst) {
                self.waiting.fetch_add(1, Ordering::SeqCst);
            }
        }
        self.shed();
        self.returned.notify_all();
    }

    /// Whether more are live than `max` allows since it was lowered. `waiting` is above zero then,
    /// and is read anyway.
    fn is_crowded(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) > 0
            && self.lowered.load(Ordering::SeqCst)
            && self.live.load(Ordering::SeqCst) > self.max()
    }

    /// Drops idle instances while more are live than `max` allows. Afterwards, threads no longer
    /// have to check.
    fn shed(&self) {
        while self.live.load(Ordering::SeqCst) > self.max() {
            let Some(gone) = self.take_oldest(Duration::MAX) else { return };
            let lane = gone.lane;
            drop(gone);
            self.lanes[lane].live.fetch_sub(1, Ordering::Relaxed);
            self.live.fetch_sub(1, Ordering::SeqCst);
        }
        let _failures = self.failures.lock();
        if self.live.load(Ordering::SeqCst) <= self.max() && self.lowered.swap(false, Ordering::SeqCst) {
            self.waiting.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// The number of idle instances, and of all. They are approximate: the lanes are read one after
    /// the other.
    pub(crate) fn counts(&self) -> InstanceCount {
        InstanceCount { idle: self.idle(), live: self.live() }
    }

    /// The number of live instances.
    pub(crate) fn live(&self) -> usize {
        self.live.load(Ordering::Relaxed)
    }

    fn idle(&self) -> usize {
        self.lanes.iter().map(|lane| lane.all(|idle| idle.len())).sum()
    }

    /// Lends an instance: an idle one; otherwise a new one from `make`; otherwise one that is given
    /// back within `max_wait`. A thread that holds an instance itself does not wait, because it
    /// might wait for itself. No thread waits past its caller's deadline.
    pub(crate) fn take(
        &self,
        holds: bool,
        deadline_at: Duration,
        now: impl Fn() -> Duration,
        make: impl FnOnce(usize) -> Result<PooledInstance, InvokeErrorKind>,
    ) -> Result<Lease<'_>, InvokeErrorKind> {
        let own = self.own();
        if let Some(ready) = self.pop(own) {
            return Ok(Lease::of(self, ready));
        }
        let lane = match self.claim(own) {
            Some(lane) => lane,
            None => match self.wait(own, holds, deadline_at, &now)? {
                Found::Idle(ready) => return Ok(Lease::of(self, ready)),
                Found::Vacancy(lane) => lane,
            },
        };
        // Returns the vacancy if making fails or panics.
        let mut lease = Lease::vacant(self, lane);
        quarantine::check(&self.failures, &now)?;
        match make(lane) {
            Ok(ready) => {
                self.failures.lock().succeeded();
                lease.ready = Some(Box::new(ready));
                Ok(lease)
            }
            Err(error) => {
                if matches!(error, InvokeErrorKind::Initialise { .. }) {
                    let now = now();
                    self.failures.lock().failed(now, &error);
                }
                Err(error)
            }
        }
    }

    /// The lane of the core that this thread runs on. There may be fewer lanes than cores, as in a
    /// container that may use a part of each. On a core without a lane, the thread's number
    /// decides.
    fn own(&self) -> usize {
        let core = core_number();
        if core < self.lanes.len() { core } else { thread_number() % self.lanes.len() }
    }

    /// Takes an idle instance, from this lane or from another.
    fn pop(&self, own: usize) -> Option<Box<PooledInstance>> {
        let lanes = self.lanes[own..].iter().chain(&self.lanes[..own]);
        lanes.into_iter().find_map(|lane| lane.take())
    }

    /// Takes a vacancy in the lane that has fewest instances. Among equals, this lane comes first.
    fn claim(&self, own: usize) -> Option<usize> {
        let one_more = |live: usize| (live < self.max()).then(|| live + 1);
        let before = self.live.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_more).ok()?;
        // `max` may have been lowered since it was read. Either this sees it, or `shed` sees this
        // vacancy.
        if before >= self.max() {
            self.live.fetch_sub(1, Ordering::SeqCst);
            return None;
        }
        let lanes = (own..self.lanes.len()).chain(0..own);
        let lane = lanes.min_by_key(|lane| self.lanes[*lane].live.load(Ordering::Relaxed)).unwrap_or(own);
        self.lanes[lane].live.fetch_add(1, Ordering::Relaxed);
        Some(lane)
    }

    /// Puts a clean instance on top of its lane.
    fn give_back(&self, mut ready: Box<PooledInstance>, since: Duration) {
        debug_assert!(ready.instance.is_clean(), "idle instances are clean");
        ready.since = since;
        if self.is_crowded() {
            // No other thread may find it.
            let lane = ready.lane;
            drop(ready);
            return self.forget(lane);
        }
        let lane = &self.lanes[ready.lane];
        if let Some(before) = lane.top.swap(Some(ready)) {
            lane.below(|below| below.push_back(before));
        }
        let waiting = self.waiting.load(Ordering::SeqCst);
        if waiting > 0 {
            self.notify();
        }
    }

    /// Counts an instance of this lane as gone.
    fn forget(&self, lane: usize) {
        self.lanes[lane].live.fetch_sub(1, Ordering::Relaxed);
        self.live.fetch_sub(1, Ordering::SeqCst);
        if self.waiting.load(Ordering::SeqCst) > 0 {
            self.notify();
        }
    }

    /// Makes instances, for each lane in turn, until `count` are idle or no more may be live.
    ///
    /// All are held until the last is made. An idle one could be dropped to make room for the next,
    /// without end.
    pub(crate) fn prewarm(
        &self,
        count: usize,
        now: impl Fn() -> Duration,
        make: impl Fn(usize) -> Result<PooledInstance, InvokeErrorKind>,
    ) -> Result<usize, InvokeErrorKind> {
        // The instance that deployment left counts, and counts as made ahead of time from now on.
        for lane in &self.lanes {
            lane.all(|idle| idle.iter_mut().for_each(|ready| ready.is_from_deployment = false));
        }
        let mut made = Vec::new();
        let outcome = loop {
            if self.idle() + made.len() >= count {
                break Ok(());
            }
            let Some(lane) = self.claim(self.own()) else { break Ok(()) };
            // Returns the vacancy if making fails or panics.
            let mut lease = Lease::vacant(self, lane);
            match make(lane) {
                Ok(ready) => lease.ready = Some(Box::new(ready)),
                Err(error) => break Err(error),
            }
            made.push(lease);
        };
        for lease in made {
            lease.give_back(now());
        }
        outcome.map(|()| self.idle())
    }

    /// Whether an instance was thrown away after a run since the last `replenish`.
    pub(crate) fn has_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed) > 0
    }

    /// Makes instances to replace those that were thrown away after a run, until as many are live
    /// as then. Returns the number of new ones.
    pub(crate) fn replenish(
        &self,
        now: impl Fn() -> Duration,
        make: impl Fn(usize) -> Result<PooledInstance, InvokeErrorKind>,
    ) -> usize {
        let missing = self.lost.swap(0, Ordering::Relaxed).saturating_sub(self.live.load(Ordering::Relaxed));
        let before = self.idle();
        // A failure is ignored here. It shows again in the invocation that has to make its instance
        // itself.
        let _ = self.prewarm(before + missing, now, make);
        self.idle().saturating_sub(before)
    }

    /// Adds the sealed instance that deployment has made.
    pub(crate) fn adopt(&self, ready: PooledInstance, now: Duration) {
        self.live.fetch_add(1, Ordering::SeqCst);
        self.lanes[ready.lane].live.fetch_add(1, Ordering::Relaxed);
        Lease::of(self, Box::new(ready)).give_back(now);
    }

    /// Drops the instance that deployment left, if no invocation has used it.
    pub(crate) fn drop_unused(&self) {
        let find = |idle: &mut VecDeque<Box<PooledInstance>>| {
            idle.remove(idle.iter().position(|ready| ready.is_from_deployment)?)
        };
        let found = self.lanes.iter().find_map(|lane| lane.all(find));
        if let Some(unused) = found {
            let lane = unused.lane;
            drop(unused);
            self.forget(lane);
        }
    }

    /// Drops instances that have been idle since `before` or longer, down to the minimum.
    pub(crate) fn trim(&self, before: Duration) -> usize {
        let mut gone = 0;
        while self.live.load(Ordering::SeqCst) > self.min {
            let Some(idle) = self.take_oldest(before) else { break };
            let spare = |live: usize| (live > self.min).then(|| live - 1);
            if self.live.fetch_update(Ordering::SeqCst, Ordering::SeqCst, spare).is_err() {
                // Other threads dropped instances in the meantime.
                self.lanes[idle.lane].below(|below| below.push_front(idle));
                self.notify();
                break;
            }
            self.lanes[idle.lane].live.fetch_sub(1, Ordering::Relaxed);
            drop(idle);
            self.notify();
            gone += 1;
        }
        gone
    }

    /// Takes out the longest idle instance, if it has been idle since `before` or longer.
    fn take_oldest(&self, before: Duration) -> Option<Box<PooledInstance>> {
        loop {
            let lanes = self.lanes.iter().filter_map(|lane| Some((lane.oldest()?, lane)));
            let (since, lane) = lanes.min_by_key(|(since, _)| *since)?;
            if since > before {
                return None;
            }
            // Another thread may have taken it in the meantime: then look again.
            let still = |idle: &mut VecDeque<Box<PooledInstance>>| match idle.front() {
                Some(ready) if ready.since <= before => idle.pop_front(),
                _ => None,
            };
            if let Some(oldest) = lane.all(still) {
                return Some(oldest);
            }
        }
    }
}

impl Evict for Pool {
    fn oldest(&self) -> Option<Duration> {
        self.lanes.iter().filter_map(|lane| lane.oldest()).min()
    }

    fn evict_oldest(&self) -> bool {
        let Some(gone) = self.take_oldest(Duration::MAX) else { return false };
        let lane = gone.lane;
        drop(gone);
        self.forget(lane);
        true
    }
}
