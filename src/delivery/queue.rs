//! The deliveries that have not ended, and what becomes of each: a state machine that knows no clock, no lock and no guest.
//!
//! ```text
//!            ┌──────────── retry ◄───────────┐
//!            ▼                               │
//! admit ► ready ► running ──► succeeded      ├── waiting
//!   │        ▲        ├──────────────────────┘
//!   │        │        ├─────► parked ─ deployed ─► ready
//!   └► blocked        └─────► dead letter, expired
//! ```
//!
//! Invariants: `pending` holds each delivery that has not ended, and its `place` says in which of the indexes it stands; of a
//! lane only the first is not blocked; [`Queue::deliveries`] balances after every call.

#[cfg(feature = "durable")]
mod lasting;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use super::{
    Deliveries,
    dead::{DeadLetter, DeadLetters, Reason},
    limits::{EventLimits, WhenFull},
    stage::Kept,
};
use crate::{
    event::{Event, Timestamp},
    trigger::{Bound, random},
    usage::Version,
};

/// A trigger's order: the trigger, and the partition key where the event has one.
type Lane = (u64, Option<Box<str>>);

pub(super) struct Queue {
    limits: EventLimits,
    seed: u64,
    /// An instant by the calendar, and when it was by the runtime's clock.
    anchor: Option<(Timestamp, Duration)>,
    next: u64,
    pending: BTreeMap<u64, Pending>,
    ready: BTreeSet<u64>,
    /// When waiting ones are ready again, and when parked ones are too old.
    due: BTreeSet<(Duration, u64)>,
    /// By the name of the function that they wait for.
    parked: HashMap<Box<str>, BTreeSet<u64>>,
    lanes: HashMap<Lane, VecDeque<u64>>,
    running: u64,
    bytes: u64,
    /// Room for what is staged.
    kept: Kept,
    /// The deliveries that have come, failed or gone since this was last asked, where that is of interest.
    touched: Option<BTreeSet<u64>>,
    /// Changes below which writing what may wait is not tried, since it last failed.
    save_from: usize,
    /// What was dropped to make room for deliveries that are not on disk yet.
    evicted: Vec<(u64, Pending)>,
    pub(super) dead: DeadLetters,
    counts: Counts,
}

/// Deliveries by what became of them; those not named here are counted where they stand.
#[derive(Default)]
struct Counts {
    matched: u64,
    succeeded: u64,
    expired: u64,
    dropped: u64,
    refused: u64,
}

struct Pending {
    bound: Arc<Bound>,
    event: Event,
    bytes: u64,
    born: Duration,
    /// How old it was then: above zero for one that an earlier process had.
    aged: Duration,
    /// Runs that failed.
    attempts: u32,
    /// Failures, of those that are no runs too: they set the distance to the next attempt.
    failures: u32,
    version: Option<Version>,
    error: Option<Box<str>>,
    lane: Option<Lane>,
    place: Place,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Ready,
    Running,
    Waiting(Duration),
    /// With the age at which it is given up.
    Parked(Duration),
    /// Behind another of its lane.
    Blocked,
}

/// What is to be run.
pub(super) struct Job {
    pub(super) id: u64,
    pub(super) bound: Arc<Bound>,
    pub(super) event: Event,
    /// 1 for the first.
    pub(super) attempt: u32,
}

/// An event with the triggers that it woke.
pub(super) struct Admission<'a> {
    pub(super) bound: &'a [Arc<Bound>],
    pub(super) event: Event,
    pub(super) bytes: u64,
}

/// The queue has no room.
pub(super) struct Full;

/// Why a delivery was not begun.
pub(super) enum NotBegun {
    /// It is not its turn.
    Blocked,
    Expired,
    TooOld,
}

/// What kind of failure it was.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// A run that failed.
    Run,
    /// Refused before the guest ran: no attempt.
    Refused,
    /// Another attempt would not change it.
    Permanent,
}

/// What becomes of a failed delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Next {
    /// It is tried again after this time of the runtime's clock.
    Retry(Duration),
    /// It is given up and kept as a dead letter.
    DeadLetter(Reason),
}

/// How soon a delivery is tried again at the soonest that was refused: by a busy pool, or a function that is left alone.
const REFUSED_AGAIN: Duration = Duration::from_millis(100);

impl Queue {
    pub(super) fn new(limits: EventLimits, seed: u64, anchor: Option<(Timestamp, Duration)>) -> Self {
        Self {
            limits,
            seed,
            anchor,
            next: 1,
            pending: BTreeMap::new(),
            ready: BTreeSet::new(),
            due: BTreeSet::new(),
            parked: HashMap::new(),
            lanes: HashMap::new(),
            running: 0,
            bytes: 0,
            kept: Kept::default(),
            touched: None,
            save_from: 0,
            evicted: Vec::new(),
            dead: DeadLetters::default(),
            counts: Counts::default(),
        }
    }

    pub(super) fn set_date(&mut self, date: Timestamp, now: Duration) {
        self.anchor = Some((date, now));
    }

    /// The date at an instant of the runtime's clock, as far as it is known.
    pub(super) fn date(&self, at: Duration) -> Option<Timestamp> {
        let (date, when) = self.anchor?;
        date.checked_add(at.saturating_sub(when))
    }

    /// Makes the deliveries of an event: all or none. Returns the number of the first and how many there are; the numbers of the others
    /// follow.
    pub(super) fn admit(&mut self, admission: Admission<'_>, now: Duration) -> Result<(u64, usize), Full> {
        self.admit_all(&[admission], None, now)
    }

    /// The same for several events: all or none. If it works out, the delivery `ended` has succeeded in the same step: what it leads to
    /// this is.
    pub(super) fn admit_all(
        &mut self,
        admissions: &[Admission<'_>],
        ended: Option<u64>,
        now: Duration,
    ) -> Result<(u64, usize), Full> {
        // What went for earlier ones is gone: only these can still be taken back.
        self.evicted.clear();
        let count = admissions.iter().map(|admission| admission.bound.len()).sum::<usize>();
        let totals = admissions.iter().map(|admission| admission.bytes.saturating_mul(admission.bound.len() as u64));
        let total = totals.fold(0, u64::saturating_add);
        let first = self.next;
        let (others, held) = self.held_beside(ended);
        if count > 0 && !self.fits(others + count, held.saturating_add(total)) {
            let when_full = self.limits.when_full;
            match when_full {
                WhenFull::DropNewest => {
                    ended.into_iter().for_each(|id| self.succeed(id));
                    self.counts.matched += count as u64;
                    self.counts.dropped += count as u64;
                    return Ok((first, 0));
                }
                when_full if when_full == WhenFull::DropOldest && self.make_room(others, held, count, total) => {}
                _ => {
                    self.counts.refused += count as u64;
                    return Err(Full);
                }
            }
        }
        ended.into_iter().for_each(|id| self.succeed(id));
        for Admission { bound, event, bytes } in admissions {
            for bound in *bound {
                self.insert(bound, event, *bytes, now);
            }
        }
        Ok((first, count))
    }

    /// A new delivery.
    fn insert(&mut self, bound: &Arc<Bound>, event: &Event, bytes: u64, now: Duration) {
        let id = self.next;
        self.next += 1;
        self.counts.matched += 1;
        self.bytes += bytes;
        let lane = bound.trigger.delivery.order(event).map(|key| (bound.number, key));
        let pending = Pending {
            bound: Arc::clone(bound),
            event: event.clone(),
            bytes,
            born: now,
            aged: Duration::ZERO,
            attempts: 0,
            failures: 0,
            version: None,
            error: None,
            lane: lane.clone(),
            place: Place::Blocked,
        };
        self.pending.insert(id, pending);
        self.touch(id);
        let is_first = lane.is_none_or(|lane| {
            let lane = self.lanes.entry(lane).or_default();
            lane.push_back(id);
            lane.len() == 1
        });
        if is_first {
            self.put(id, Place::Ready);
        }
    }

    /// Deliveries that take room, and their bytes: those that have not ended, without this one, and those that are staged.
    fn held_beside(&self, ended: Option<u64>) -> (usize, u64) {
        let own = ended.and_then(|id| self.pending.get(&id)).map(|pending| pending.bytes);
        let (count, bytes) = (self.pending.len() - usize::from(own.is_some()), self.bytes - own.unwrap_or(0));
        (count + self.kept.count, bytes.saturating_add(self.kept.bytes))
    }

    /// Keeps room for deliveries that are made when an invocation has succeeded, that of the delivery `ended` where it belongs to one. Where a full
    /// queue drops something, it does so then.
    pub(super) fn keep_room(&mut self, new: Kept, ended: Option<u64>) -> Result<(), Full> {
        let (count, bytes) = match self.limits.when_full {
            WhenFull::Reject => self.held_beside(ended),
            WhenFull::DropOldest | WhenFull::DropNewest => (self.kept.count, self.kept.bytes),
        };
        if !self.fits(count + new.count, bytes.saturating_add(new.bytes)) {
            self.counts.refused += new.count as u64;
            return Err(Full);
        }
        self.kept.count += new.count;
        self.kept.bytes += new.bytes;
        Ok(())
    }

    pub(super) fn give_room(&mut self, kept: Kept) {
        self.kept.count -= kept.count;
        self.kept.bytes -= kept.bytes;
    }

    /// Makes the deliveries of a reply that is one hop too far, and gives them up.
    pub(super) fn admit_looped(&mut self, admission: &Admission<'_>, hops: u32, now: Duration) {
        for bound in admission.bound {
            let id = self.next;
            self.next += 1;
            self.counts.matched += 1;
            let letter = DeadLetter {
                id,
                event: admission.event.clone(),
                bytes: admission.bytes,
                trigger: Arc::clone(&bound.id),
                function: bound.trigger.target.clone(),
                version: None,
                reason: Reason::Loop,
                attempts: 0,
                error: Some(format!("a chain of {hops} replies, the limit, would become longer").into()),
                age: Duration::ZERO,
                at: self.date(now),
            };
            self.dead.keep(letter, self.limits.dead_letters, self.limits.dead_letter_bytes);
        }
    }

    fn fits(&self, count: usize, bytes: u64) -> bool {
        count <= self.limits.deliveries && bytes <= self.limits.delivery_bytes
    }

    /// Drops the oldest that are not running until beside `left` deliveries of `held` bytes there is room for so many more; nothing, if there
    /// would be none even so.
    fn make_room(&mut self, mut left: usize, mut held: u64, count: usize, bytes: u64) -> bool {
        let mut gone = Vec::new();
        for (id, pending) in self.pending.iter().filter(|(_, pending)| pending.place != Place::Running) {
            if self.fits(left + count, held.saturating_add(bytes)) {
                break;
            }
            gone.push(*id);
            left -= 1;
            held -= pending.bytes;
        }
        let fits = self.fits(left + count, held.saturating_add(bytes));
        if fits {
            self.counts.dropped += gone.len() as u64;
            for id in gone {
                let pending = self.remove(id);
                // Without a store nothing is taken back.
                if self.touched.is_some() {
                    self.evicted.extend(pending.map(|pending| (id, pending)));
                }
            }
        }
        fits
    }

    fn touch(&mut self, id: u64) {
        if let Some(touched) = &mut self.touched {
            touched.insert(id);
        }
    }

    /// How many changes there must be for writing to be tried that may wait.
    pub(super) fn save_from(&self) -> usize {
        self.save_from
    }

    /// Writing has failed: not again before there is twice as much.
    pub(super) fn save_failed(&mut self) {
        self.save_from = self.unsaved().saturating_mul(2);
        self.evicted.clear();
    }

    /// Lets writing be tried anew.
    pub(super) fn save_anew(&mut self) {
        self.save_from = 0;
    }

    /// Changes that are not on disk.
    pub(super) fn unsaved(&self) -> usize {
        let count = |touched: &Option<BTreeSet<u64>>| touched.as_ref().map_or(0, BTreeSet::len);
        count(&self.touched) + count(&self.dead.touched)
    }

    /// Puts a delivery that stands in no index into the one of its place.
    fn put(&mut self, id: u64, place: Place) {
        let Some(pending) = self.pending.get_mut(&id) else { return };
        pending.place = place;
        match place {
            Place::Ready => drop(self.ready.insert(id)),
            Place::Waiting(at) => drop(self.due.insert((at, id))),
            Place::Parked(until) => {
                self.due.insert((until, id));
                let function = pending.bound.function();
                if !self.parked.contains_key(function) {
                    self.parked.insert(function.into(), BTreeSet::new());
                }
                self.parked.get_mut(function).expect("just inserted").insert(id);
            }
            Place::Running => self.running += 1,
            Place::Blocked => {}
        }
    }

    /// Takes it out of that index.
    fn lift(&mut self, id: u64) {
        let Some(pending) = self.pending.get(&id) else { return };
        match pending.place {
            Place::Ready => drop(self.ready.remove(&id)),
            Place::Waiting(at) => drop(self.due.remove(&(at, id))),
            Place::Parked(until) => {
                self.due.remove(&(until, id));
                let function = pending.bound.function();
                if let Some(parked) = self.parked.get_mut(function) {
                    parked.remove(&id);
                    if parked.is_empty() {
                        self.parked.remove(function);
                    }
                }
            }
            Place::Running => self.running -= 1,
            Place::Blocked => {}
        }
    }

    /// Ends a delivery: the next of its lane is ready.
    fn remove(&mut self, id: u64) -> Option<Pending> {
        self.lift(id);
        let pending = self.pending.remove(&id)?;
        self.touch(id);
        self.bytes -= pending.bytes;
        if let Some(key) = &pending.lane {
            if let Some(lane) = self.lanes.get_mut(key) {
                let was_first = lane.front() == Some(&id);
                if was_first {
                    lane.pop_front();
                } else {
                    lane.retain(|other| *other != id);
                }
                match lane.front().copied() {
                    None => drop(self.lanes.remove(key)),
                    Some(next) if was_first => self.put(next, Place::Ready),
                    Some(_) => {}
                }
            }
        }
        Some(pending)
    }

    /// Begins the oldest delivery that is ready and was made before the number `before`.
    pub(super) fn take(&mut self, before: u64, now: Duration) -> Option<Job> {
        loop {
            let id = self.ready.first().copied().filter(|id| *id < before)?;
            if let Ok(job) = self.begin(id, now) {
                return Some(job);
            }
        }
    }

    /// Begins a delivery if it is ready, and neither expired nor too old.
    pub(super) fn begin(&mut self, id: u64, now: Duration) -> Result<Job, NotBegun> {
        let ready = self.pending.get(&id).filter(|pending| pending.place == Place::Ready);
        let pending = ready.ok_or(NotBegun::Blocked)?;
        if self.is_expired(pending, now) {
            self.remove(id);
            self.counts.expired += 1;
            return Err(NotBegun::Expired);
        }
        if now >= age_limit(pending) {
            self.bury(id, Reason::Age, now);
            return Err(NotBegun::TooOld);
        }
        let (bound, event) = (Arc::clone(&pending.bound), pending.event.clone());
        let attempt = pending.attempts.saturating_add(1);
        self.lift(id);
        self.put(id, Place::Running);
        Ok(Job { id, bound, event, attempt })
    }

    fn is_expired(&self, pending: &Pending, now: Duration) -> bool {
        pending.event.expires().is_some_and(|end| self.date(now).is_some_and(|date| date >= end))
    }

    /// A delivery has ended well.
    pub(super) fn succeed(&mut self, id: u64) {
        if self.remove(id).is_some() {
            self.counts.succeeded += 1;
        }
    }

    /// An attempt has failed.
    pub(super) fn fail(
        &mut self,
        id: u64,
        failure: Failure,
        error: Box<str>,
        version: Option<Version>,
        now: Duration,
    ) -> Option<Next> {
        let seed = self.seed;
        self.touch(id);
        let pending = self.pending.get_mut(&id)?;
        let retry = &pending.bound.trigger.delivery.retry;
        pending.failures = pending.failures.saturating_add(1);
        pending.attempts = pending.attempts.saturating_add(u32::from(failure != Failure::Refused));
        pending.version = version.or(pending.version);
        pending.error = Some(error);
        let after = retry.delay_after(pending.failures, random(seed, id, u64::from(pending.failures)));
        // It costs no attempt, so it must not come at once: whoever runs what is due would go on for as long as it is refused.
        let after = if failure == Failure::Refused { after.max(REFUSED_AGAIN) } else { after };
        let at = now.saturating_add(after);
        let reason = match failure {
            Failure::Permanent => Reason::Permanent,
            Failure::Run if pending.attempts >= retry.attempts_max() => Reason::Attempts,
            _ if at >= age_limit(pending) => Reason::Age,
            _ => {
                self.lift(id);
                self.put(id, Place::Waiting(at));
                return Some(Next::Retry(after));
            }
        };
        self.bury(id, reason, now);
        Some(Next::DeadLetter(reason))
    }

    /// The function is not there: the delivery waits until it is, or too old. `false` if it is given up at once.
    pub(super) fn park(&mut self, id: u64, error: Box<str>, now: Duration) -> bool {
        let Some(pending) = self.pending.get_mut(&id) else { return false };
        pending.error = Some(error);
        let until = age_limit(pending);
        if now >= until {
            self.bury(id, Reason::Age, now);
            return false;
        }
        self.lift(id);
        self.put(id, Place::Parked(until));
        // Its age counts on while it waits.
        self.touch(id);
        true
    }

    /// A run was cut short: ready again, as if it had not begun.
    pub(super) fn put_back(&mut self, id: u64) {
        self.lift(id);
        self.put(id, Place::Ready);
    }

    /// A function is there: what waits for it is ready. Returns how many.
    pub(super) fn unpark(&mut self, function: &str) -> usize {
        let Some(parked) = self.parked.remove(function) else { return 0 };
        for id in &parked {
            if let Some(Place::Parked(until)) = self.pending.get(id).map(|pending| pending.place) {
                self.due.remove(&(until, *id));
                self.put(*id, Place::Ready);
            }
        }
        parked.len()
    }

    /// What has become due: waiting deliveries are ready, parked ones too old.
    pub(super) fn wake(&mut self, now: Duration) {
        while let Some((_, id)) = self.due.first().copied().filter(|(at, _)| *at <= now) {
            let Some(pending) = self.pending.get(&id) else { break };
            if matches!(pending.place, Place::Waiting(_)) {
                self.lift(id);
                self.put(id, Place::Ready);
            } else if self.is_expired(pending, now) {
                self.remove(id);
                self.counts.expired += 1;
            } else {
                self.bury(id, Reason::Age, now);
            }
        }
    }

    /// Gives a delivery up.
    fn bury(&mut self, id: u64, reason: Reason, now: Duration) {
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

    #[cfg(feature = "schedule")]
    pub(super) fn is_pending(&self, id: u64) -> bool {
        self.pending.contains_key(&id)
    }

    /// The number that the next delivery gets.
    pub(super) fn next_id(&self) -> u64 {
        self.next
    }

    /// Whether there is anything for [`Self::take`].
    pub(super) fn has_ready(&self, before: u64) -> bool {
        self.ready.first().is_some_and(|id| *id < before)
    }

    /// How many are ready, or will be as soon as those before them in their order have ended.
    pub(super) fn at_hand(&self) -> usize {
        self.pending.len() - self.running as usize - self.due.len()
    }

    /// When something becomes due, by the runtime's clock.
    pub(super) fn next_due(&self) -> Option<Duration> {
        self.due.first().map(|(at, _)| *at)
    }

    pub(super) fn deliveries(&self) -> Deliveries {
        let running = self.running;
        let parked = self.parked.values().map(BTreeSet::len).sum::<usize>() as u64;
        let Counts { matched, succeeded, expired, dropped, refused } = self.counts;
        Deliveries {
            matched,
            succeeded,
            dead_letters: self.dead.held().len() as u64,
            redriven: self.dead.redriven,
            drained: self.dead.drained,
            evicted: self.dead.evicted,
            expired,
            dropped,
            queued: self.pending.len() as u64 - running - parked,
            running,
            parked,
            refused,
            staged: self.kept.count as u64,
            unsaved: self.unsaved() as u64,
        }
    }
}

/// When a delivery is too old.
fn age_limit(pending: &Pending) -> Duration {
    let left = pending.bound.trigger.delivery.retry.age_max().saturating_sub(pending.aged);
    pending.born.saturating_add(left)
}

fn age(pending: &Pending, now: Duration) -> Duration {
    now.saturating_sub(pending.born).saturating_add(pending.aged)
}
