//! The instances of one version: bounded, most recently used first.
//!
//! Idle instances lie in lanes. A thread looks into the lane of the core that it runs on first and goes through the others before it makes an
//! instance: so there are never more instances than run at once. A new one is for the lane that has fewest, and goes back there
//! after each use: so threads that run at once come to find one each that they share nothing with, however many threads there are. Most recently used first keeps
//! caches warm and lets the rest age, so that they can be trimmed.
//!
//! The latest of a lane lies on top, where it is put and taken by one atomic operation each, some 6 ns; those below it, which only
//! more runs at once than lanes need, under a lock, held for a push, a pop or a look at all, and never while a guest runs, an instance is made or one is
//! dropped. (A stack under a lock alone took four such operations a run, and 30 ns.) Whoever looks at all moves the one on top down first, and
//! the next run of the lane takes it from there.
//!
//! Invariants: `live` counts the instances that are idle, lent or being made, in all and for each lane, and is never above `max`;
//! idle instances are clean; each lane is ordered by the time since when its instances have been idle, oldest in front, but for one whose thread is
//! interrupted while it puts another on top. Whoever gives an
//! instance or a place back looks afterwards whether somebody waits, and whoever waits looks for both after it has said so.

mod lane;
mod lease;
mod quarantine;
mod wait;

use std::{collections::VecDeque, time::Duration};

use crossbeam::utils::CachePadded;

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

/// An instance and its contract's handles.
pub(crate) struct PooledInstance {
    pub(crate) instance: Instance,
    pub(crate) handles: Handles,
    pub(crate) counter: Counter,
    /// The lane that it was made for.
    pub(crate) lane: usize,
    /// Left by deployment for the first invocation, which is a cold start all the same: nobody has asked for an instance to be
    /// made ahead of time.
    pub(crate) is_from_deployment: bool,
    /// Since when it has been idle, while it is.
    pub(crate) since: Duration,
}

/// The pool of one version.
pub(crate) struct Pool {
    min: usize,
    max: AtomicUsize,
    max_wait: Duration,
    lanes: Box<[CachePadded<Lane>]>,
    live: CachePadded<AtomicUsize>,
    /// Threads that wait, under the lock of `failures`; and one more while more live than may, since `max` was lowered: whoever gives
    /// an instance back looks here anyway.
    waiting: AtomicUsize,
    returned: Condvar,
    failures: Mutex<Failures>,
    /// How many instances lived at most when one was thrown away after a run, since `replenish` last looked.
    lost: AtomicUsize,
    /// More may live than `max` allows, since that was lowered.
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

    /// Its identity, for the invocations under way on a thread.
    pub(crate) fn id(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    pub(crate) fn max(&self) -> usize {
        self.max.load(Ordering::SeqCst)
    }

    /// Lets so many live at most from now on. Idle ones that are too many go at once, lent ones when they come back.
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

    /// Whether more live than may, since `max` was lowered. `waiting` is above zero then, and is read anyway.
    fn is_crowded(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) > 0
            && self.lowered.load(Ordering::SeqCst)
            && self.live.load(Ordering::SeqCst) > self.max()
    }

    /// Drops idle instances while more live than may. Once no more do, nobody has to look any more.
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

    /// Idle instances, and all. A moment's figures: the lanes are looked at one after the other.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.idle(), self.live())
    }

    /// How many live.
    pub(crate) fn live(&self) -> usize {
        self.live.load(Ordering::Relaxed)
    }

    fn idle(&self) -> usize {
        self.lanes.iter().map(|lane| lane.all(|idle| idle.len())).sum()
    }

    /// Lends an instance: an idle one, else a new one from `make`, else one that is given back within `max_wait`, unless
    /// this thread holds one itself and so might wait for itself. Nobody waits past the deadline of a caller.
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
                Found::Place(lane) => lane,
            },
        };
        // Gives the place back if making fails or panics.
        let mut lease = Lease::place(self, lane);
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

    /// The lane of the core that this thread runs on. Where there are fewer lanes than cores, as in a container that may use a part of each, the
    /// further cores have none: there the thread's number decides.
    fn own(&self) -> usize {
        let core = core_number();
        if core < self.lanes.len() { core } else { thread_number() % self.lanes.len() }
    }

    /// An idle instance: of this lane, else of another.
    fn pop(&self, own: usize) -> Option<Box<PooledInstance>> {
        let lanes = self.lanes[own..].iter().chain(&self.lanes[..own]);
        lanes.into_iter().find_map(|lane| lane.take())
    }

    /// Takes a place for an instance to come, in the lane that has fewest, this one among equals.
    fn claim(&self, own: usize) -> Option<usize> {
        let one_more = |live: usize| (live < self.max()).then(|| live + 1);
        let before = self.live.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_more).ok()?;
        // `max` may have been lowered since it was read. Either this sees it, or `shed` sees this place.
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
            // Nobody is to find it.
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

    /// An instance of this lane is gone.
    fn forget(&self, lane: usize) {
        self.lanes[lane].live.fetch_sub(1, Ordering::Relaxed);
        self.live.fetch_sub(1, Ordering::SeqCst);
        if self.waiting.load(Ordering::SeqCst) > 0 {
            self.notify();
        }
    }

    /// Makes instances until `count` are idle or no more may live, for each lane in turn.
    ///
    /// They are held until all are made: an idle one could be dropped to make room for the next, without end.
    pub(crate) fn prewarm(
        &self,
        count: usize,
        now: impl Fn() -> Duration,
        make: impl Fn(usize) -> Result<PooledInstance, InvokeErrorKind>,
    ) -> Result<usize, InvokeErrorKind> {
        // What deployment left counts, and is from now on one that was made ahead of time.
        for lane in &self.lanes {
            lane.all(|idle| idle.iter_mut().for_each(|ready| ready.is_from_deployment = false));
        }
        let mut made = Vec::new();
        let outcome = loop {
            if self.idle() + made.len() >= count {
                break Ok(());
            }
            let Some(lane) = self.claim(self.own()) else { break Ok(()) };
            // Gives the place back if making fails or panics.
            let mut lease = Lease::place(self, lane);
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

    /// Whether an instance was thrown away after a run since `replenish` last looked.
    pub(crate) fn has_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed) > 0
    }

    /// Makes instances in place of those that were thrown away after a run: until as many live as did then. Returns how many.
    pub(crate) fn replenish(
        &self,
        now: impl Fn() -> Duration,
        make: impl Fn(usize) -> Result<PooledInstance, InvokeErrorKind>,
    ) -> usize {
        let missing = self.lost.swap(0, Ordering::Relaxed).saturating_sub(self.live.load(Ordering::Relaxed));
        let before = self.idle();
        // What fails here fails again where it matters, in the invocation that makes its instance itself.
        let _ = self.prewarm(before + missing, now, make);
        self.idle().saturating_sub(before)
    }

    /// Takes a sealed instance in, the one that deployment made.
    pub(crate) fn adopt(&self, ready: PooledInstance, now: Duration) {
        self.live.fetch_add(1, Ordering::SeqCst);
        self.lanes[ready.lane].live.fetch_add(1, Ordering::Relaxed);
        Lease::of(self, Box::new(ready)).give_back(now);
    }

    /// Drops the instance that deployment left, if nothing has used it.
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
                // Others went in between.
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

    /// Takes out the instance that has been idle longest, if that began no later than `before`.
    fn take_oldest(&self, before: Duration) -> Option<Box<PooledInstance>> {
        loop {
            let lanes = self.lanes.iter().filter_map(|lane| Some((lane.oldest()?, lane)));
            let (since, lane) = lanes.min_by_key(|(since, _)| *since)?;
            if since > before {
                return None;
            }
            // Taken by somebody else in between: look again.
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
