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

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use crossbeam::utils::CachePadded;

use crate::{
    contract::Bound,
    error::{Busy, InvokeErrorKind},
    instance::Instance,
    sync::{
        Condvar, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    sys::{Handoff, core_number, thread_number},
    usage::{Counter, Evict, Start},
};

/// Failures in a row after which a function is left alone, and for how long: doubling up to the longest.
const QUARANTINE_AFTER: u32 = 3;
const QUARANTINE_FIRST: Duration = Duration::from_secs(1);
const QUARANTINE_LONGEST: Duration = Duration::from_secs(60);

/// The longest wait that is asked of the machine's clock, which cannot add any duration to an instant: a year.
const WAIT_LONGEST: Duration = Duration::from_secs(365 * 24 * 3_600);

/// An instance and its contract's handles.
pub(super) struct Ready {
    pub(super) instance: Instance,
    pub(super) bound: Bound,
    pub(super) counter: Counter,
    /// The lane that it was made for.
    pub(super) lane: usize,
    /// Left by deployment for the first invocation, which is a cold start all the same: nobody has asked for an instance to be
    /// made ahead of time.
    pub(super) is_newborn: bool,
    /// Since when it has been idle, while it is.
    pub(super) since: Duration,
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

#[derive(Default)]
struct Lane {
    /// The instance that came back last.
    top: Handoff<Ready>,
    /// Those that lay there before, and how many they are: most often none, and whoever looks through the lanes need not lock them.
    below: Mutex<VecDeque<Box<Ready>>>,
    count: AtomicUsize,
    live: AtomicUsize,
}

/// Instances that failed to initialise since one succeeded, with the last failure and until when to wait.
#[derive(Default)]
struct Failures {
    count: u32,
    quarantine: Option<(Duration, InvokeErrorKind)>,
}

impl Pool {
    pub(super) fn new(min: usize, max: usize, lanes: usize, max_wait: Duration) -> Self {
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
    pub(super) fn id(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    fn max(&self) -> usize {
        self.max.load(Ordering::SeqCst)
    }

    /// Lets so many live at most from now on. Idle ones that are too many go at once, lent ones when they come back.
    pub(super) fn set_max(&self, max: usize) {
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
    pub(super) fn live(&self) -> usize {
        self.live.load(Ordering::Relaxed)
    }

    fn idle(&self) -> usize {
        self.lanes.iter().map(|lane| lane.all(|idle| idle.len())).sum()
    }

    /// Lends an instance: an idle one, else a new one from `make`, else one that is given back within `max_wait`, unless
    /// this thread holds one itself and so might wait for itself. Nobody waits past the deadline of a caller.
    pub(super) fn take(
        &self,
        holds: bool,
        deadline_at: Duration,
        now: impl Fn() -> Duration,
        make: impl FnOnce(usize) -> Result<Ready, InvokeErrorKind>,
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
        self.check_quarantine(&now)?;
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
    fn pop(&self, own: usize) -> Option<Box<Ready>> {
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

    /// `Err` while the function is left alone. The clock, which may be the host's, is read outside the lock.
    fn check_quarantine(&self, now: &impl Fn() -> Duration) -> Result<(), InvokeErrorKind> {
        let (failures, (until, cause)) = {
            let failures = self.failures.lock();
            let Some(quarantine) = &failures.quarantine else { return Ok(()) };
            (failures.count, quarantine.clone())
        };
        match until.checked_sub(now()) {
            Some(remaining) if !remaining.is_zero() => {
                Err(InvokeErrorKind::Quarantined { failures, remaining, cause: Box::new(cause) })
            }
            _ => Ok(()),
        }
    }

    /// Waits for an instance, or a place for one.
    #[cold]
    fn wait(
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
    fn notify(&self) {
        if self.lowered.load(Ordering::SeqCst) {
            self.shed();
        }
        // Between its last look and its sleep a waiter holds this lock.
        drop(self.failures.lock());
        self.returned.notify_one();
    }

    /// Puts a clean instance on top of its lane.
    fn give_back(&self, mut ready: Box<Ready>, since: Duration) {
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
    pub(super) fn prewarm(
        &self,
        count: usize,
        now: impl Fn() -> Duration,
        make: impl Fn(usize) -> Result<Ready, InvokeErrorKind>,
    ) -> Result<usize, InvokeErrorKind> {
        // What deployment left counts, and is from now on one that was made ahead of time.
        for lane in &self.lanes {
            lane.all(|idle| idle.iter_mut().for_each(|ready| ready.is_newborn = false));
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
    #[cfg(feature = "events")]
    pub(crate) fn has_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed) > 0
    }

    /// Makes instances in place of those that were thrown away after a run: until as many live as did then. Returns how many.
    #[cfg(feature = "events")]
    pub(super) fn replenish(
        &self,
        now: impl Fn() -> Duration,
        make: impl Fn(usize) -> Result<Ready, InvokeErrorKind>,
    ) -> usize {
        let missing = self.lost.swap(0, Ordering::Relaxed).saturating_sub(self.live.load(Ordering::Relaxed));
        let before = self.idle();
        // What fails here fails again where it matters, in the invocation that makes its instance itself.
        let _ = self.prewarm(before + missing, now, make);
        self.idle().saturating_sub(before)
    }

    /// Takes a sealed instance in, the one that deployment made.
    pub(super) fn adopt(&self, ready: Ready, now: Duration) {
        self.live.fetch_add(1, Ordering::SeqCst);
        self.lanes[ready.lane].live.fetch_add(1, Ordering::Relaxed);
        Lease::of(self, Box::new(ready)).give_back(now);
    }

    /// Drops the instance that deployment left, if nothing has used it.
    pub(crate) fn drop_newborn(&self) {
        let find = |idle: &mut VecDeque<Box<Ready>>| idle.remove(idle.iter().position(|ready| ready.is_newborn)?);
        let found = self.lanes.iter().find_map(|lane| lane.all(find));
        if let Some(newborn) = found {
            let lane = newborn.lane;
            drop(newborn);
            self.forget(lane);
        }
    }

    /// Drops instances that have been idle since `before` or longer, down to the minimum.
    pub(super) fn trim(&self, before: Duration) -> usize {
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
    fn take_oldest(&self, before: Duration) -> Option<Box<Ready>> {
        loop {
            let lanes = self.lanes.iter().filter_map(|lane| Some((lane.oldest()?, lane)));
            let (since, lane) = lanes.min_by_key(|(since, _)| *since)?;
            if since > before {
                return None;
            }
            // Taken by somebody else in between: look again.
            let still = |idle: &mut VecDeque<Box<Ready>>| match idle.front() {
                Some(ready) if ready.since <= before => idle.pop_front(),
                _ => None,
            };
            if let Some(oldest) = lane.all(still) {
                return Some(oldest);
            }
        }
    }
}

/// What a thread has waited for.
enum Found {
    Idle(Box<Ready>),
    /// A place in this lane.
    Place(usize),
}

impl Lane {
    /// The instance that came back last, of those that are here.
    fn take(&self) -> Option<Box<Ready>> {
        // Who puts one there counts it before it looks whether somebody waits, and who waits looks here after it has said so.
        let below = || (self.count.load(Ordering::SeqCst) > 0).then(|| self.below(VecDeque::pop_back));
        self.top.take().or_else(|| below().flatten())
    }

    fn below<T>(&self, change: impl FnOnce(&mut VecDeque<Box<Ready>>) -> T) -> T {
        let mut below = self.below.lock();
        let changed = change(&mut below);
        self.count.store(below.len(), Ordering::SeqCst);
        changed
    }

    /// Looks at all idle instances, the one on top having been moved down to the others.
    fn all<T>(&self, look: impl FnOnce(&mut VecDeque<Box<Ready>>) -> T) -> T {
        self.below(|below| {
            // Counted before it is taken down: whoever finds the top empty comes here, and waits for the lock.
            self.count.store(below.len() + 1, Ordering::SeqCst);
            below.extend(self.top.take());
            look(below)
        })
    }

    /// Since when the instance that has been idle longest has been so.
    fn oldest(&self) -> Option<Duration> {
        self.all(|idle| idle.front().map(|ready| ready.since))
    }
}

impl Failures {
    fn succeeded(&mut self) {
        self.count = 0;
        self.quarantine = None;
    }

    fn failed(&mut self, now: Duration, error: &InvokeErrorKind) {
        self.count = self.count.saturating_add(1);
        if let Some(times) = self.count.checked_sub(QUARANTINE_AFTER) {
            let time = QUARANTINE_FIRST.saturating_mul(1 << times.min(6)).min(QUARANTINE_LONGEST);
            self.quarantine = Some((now.saturating_add(time), error.clone()));
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

/// An instance on loan. Dropped without being given back, as when a panic unwinds through, it is thrown away.
pub(super) struct Lease<'a> {
    pool: &'a Pool,
    lane: usize,
    ready: Option<Box<Ready>>,
    start: Start,
    /// The instance has gone back to the pool, and its place with it.
    returned: bool,
}

impl<'a> Lease<'a> {
    /// An instance that has been taken out.
    fn of(pool: &'a Pool, ready: Box<Ready>) -> Self {
        let start = if ready.is_newborn { Start::Cold } else { Start::Warm };
        Self { pool, lane: ready.lane, ready: Some(ready), start, returned: false }
    }

    /// A place in the pool that has been counted, for an instance to come.
    fn place(pool: &'a Pool, lane: usize) -> Self {
        Self { pool, lane, ready: None, start: Start::Cold, returned: false }
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

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        if !self.returned {
            // The instance first, so that its memory is free before its place is.
            if self.ready.take().is_some() {
                self.pool.lost.fetch_max(self.pool.live.load(Ordering::Relaxed), Ordering::Relaxed);
            }
            self.pool.forget(self.lane);
        }
    }
}
