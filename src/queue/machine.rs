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
//! Invariants: `pending` holds each delivery that has not ended, and its `standing` says in which of the indexes it stands; of a
//! order only the first is not blocked; [`Queue::deliveries`] balances after every call.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use super::{
    Deliveries,
    dead::{DeadLetter, DeadLetters, Reason},
    limits::{EventLimits, WhenFull},
    stage::Room,
};
use crate::{
    event::{Event, Timestamp},
    trigger::Bound,
    usage::Version,
};

/// A trigger's order: the trigger, and the partition key where the event has one.
type Order = (u64, Option<Box<str>>);

pub(crate) struct Queue {
    pub(super) limits: EventLimits,
    pub(super) seed: u64,
    /// An instant by the calendar, and when it was by the runtime's clock.
    pub(super) anchor: Option<(Timestamp, Duration)>,
    pub(super) next: u64,
    pub(super) pending: BTreeMap<u64, Pending>,
    pub(super) ready: BTreeSet<u64>,
    /// When waiting ones are ready again, and when parked ones are too old.
    pub(super) due: BTreeSet<(Duration, u64)>,
    /// By the name of the function that they wait for.
    pub(super) parked: HashMap<Box<str>, BTreeSet<u64>>,
    pub(super) orders: HashMap<Order, VecDeque<u64>>,
    pub(super) running: u64,
    pub(super) bytes: u64,
    /// Room for what is staged.
    pub(super) reserved: Room,
    /// The deliveries that have come, failed or gone since this was last asked, where that is of interest.
    pub(super) touched: Option<BTreeSet<u64>>,
    /// Changes below which writing what may wait is not tried, since it last failed.
    pub(super) save_from: usize,
    /// What was dropped to make room for deliveries that are not on disk yet.
    pub(super) evicted: Vec<(u64, Pending)>,
    pub(super) dead: DeadLetters,
    pub(super) counts: Counts,
}

/// Deliveries by what became of them; those not named here are counted where they stand.
#[derive(Default)]
pub(super) struct Counts {
    pub(super) matched: u64,
    pub(super) succeeded: u64,
    pub(super) expired: u64,
    pub(super) dropped: u64,
    pub(super) refused: u64,
}

pub(super) struct Pending {
    pub(super) bound: Arc<Bound>,
    pub(super) event: Event,
    pub(super) bytes: u64,
    pub(super) born: Duration,
    /// How old it was then: above zero for one that an earlier process had.
    pub(super) aged: Duration,
    /// Runs that failed.
    pub(super) attempts: u32,
    /// Failures, of those that are no runs too: they set the distance to the next attempt.
    pub(super) failures: u32,
    pub(super) version: Option<Version>,
    pub(super) error: Option<Box<str>>,
    pub(super) order: Option<Order>,
    pub(super) standing: Standing,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Ready,
    Running,
    Waiting(Duration),
    /// With the age at which it is given up.
    Parked(Duration),
    /// Behind another of its order.
    Blocked,
}

/// What is to be run.
pub(crate) struct Job {
    pub(crate) id: u64,
    pub(crate) bound: Arc<Bound>,
    pub(crate) event: Event,
    /// 1 for the first.
    pub(crate) attempt: u32,
}

/// An event with the triggers that it woke.
pub(crate) struct Admission<'a> {
    pub(crate) bound: &'a [Arc<Bound>],
    pub(crate) event: Event,
    pub(crate) bytes: u64,
}

/// The queue has no room.
pub(crate) struct Full;

/// Why a delivery was not begun.
pub(crate) enum NotBegun {
    /// It is not its turn.
    Blocked,
    Expired,
    TooOld,
}

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
            orders: HashMap::new(),
            running: 0,
            bytes: 0,
            reserved: Room::default(),
            touched: None,
            save_from: 0,
            evicted: Vec::new(),
            dead: DeadLetters::default(),
            counts: Counts::default(),
        }
    }

    pub(crate) fn set_date(&mut self, date: Timestamp, now: Duration) {
        self.anchor = Some((date, now));
    }

    /// The date at an instant of the runtime's clock, as far as it is known.
    pub(crate) fn date(&self, at: Duration) -> Option<Timestamp> {
        let (date, when) = self.anchor?;
        date.checked_add(at.saturating_sub(when))
    }

    /// Makes the deliveries of an event: all or none. Returns the number of the first and how many there are; the numbers of the others
    /// follow.
    pub(crate) fn admit(&mut self, admission: Admission<'_>, now: Duration) -> Result<(u64, usize), Full> {
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
    pub(super) fn insert(&mut self, bound: &Arc<Bound>, event: &Event, bytes: u64, now: Duration) {
        let id = self.next;
        self.next += 1;
        self.counts.matched += 1;
        self.bytes += bytes;
        let order = bound.trigger.delivery.order(event).map(|key| (bound.number, key));
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
            order: order.clone(),
            standing: Standing::Blocked,
        };
        self.pending.insert(id, pending);
        self.touch(id);
        let is_first = order.is_none_or(|order| {
            let ids = self.orders.entry(order).or_default();
            ids.push_back(id);
            ids.len() == 1
        });
        if is_first {
            self.index(id, Standing::Ready);
        }
    }

    /// Deliveries that take room, and their bytes: those that have not ended, without this one, and those that are staged.
    pub(super) fn held_beside(&self, ended: Option<u64>) -> (usize, u64) {
        let own = ended.and_then(|id| self.pending.get(&id)).map(|pending| pending.bytes);
        let (count, bytes) = (self.pending.len() - usize::from(own.is_some()), self.bytes - own.unwrap_or(0));
        (count + self.reserved.count, bytes.saturating_add(self.reserved.bytes))
    }

    /// Keeps room for deliveries that are made when an invocation has succeeded, that of the delivery `ended` where it belongs to one. Where a full
    /// queue drops something, it does so then.
    pub(super) fn keep_room(&mut self, new: Room, ended: Option<u64>) -> Result<(), Full> {
        let (count, bytes) = match self.limits.when_full {
            WhenFull::Reject => self.held_beside(ended),
            WhenFull::DropOldest | WhenFull::DropNewest => (self.reserved.count, self.reserved.bytes),
        };
        if !self.fits(count + new.count, bytes.saturating_add(new.bytes)) {
            self.counts.refused += new.count as u64;
            return Err(Full);
        }
        self.reserved.count += new.count;
        self.reserved.bytes += new.bytes;
        Ok(())
    }

    pub(super) fn release_room(&mut self, room: Room) {
        self.reserved.count -= room.count;
        self.reserved.bytes -= room.bytes;
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

    pub(super) fn fits(&self, count: usize, bytes: u64) -> bool {
        count <= self.limits.deliveries && bytes <= self.limits.delivery_bytes
    }

    /// Drops the oldest that are not running until beside `left` deliveries of `held` bytes there is room for so many more; nothing, if there
    /// would be none even so.
    pub(super) fn make_room(&mut self, mut left: usize, mut held: u64, count: usize, bytes: u64) -> bool {
        let mut gone = Vec::new();
        for (id, pending) in self.pending.iter().filter(|(_, pending)| pending.standing != Standing::Running) {
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

    pub(super) fn touch(&mut self, id: u64) {
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
    pub(crate) fn save_anew(&mut self) {
        self.save_from = 0;
    }

    /// Changes that are not on disk.
    pub(super) fn unsaved(&self) -> usize {
        let count = |touched: &Option<BTreeSet<u64>>| touched.as_ref().map_or(0, BTreeSet::len);
        count(&self.touched) + count(&self.dead.touched)
    }

    /// Puts a delivery that stands in no index into the one of its standing.
    pub(super) fn index(&mut self, id: u64, standing: Standing) {
        let Some(pending) = self.pending.get_mut(&id) else { return };
        pending.standing = standing;
        match standing {
            Standing::Ready => drop(self.ready.insert(id)),
            Standing::Waiting(at) => drop(self.due.insert((at, id))),
            Standing::Parked(until) => {
                self.due.insert((until, id));
                let function = pending.bound.function();
                if !self.parked.contains_key(function) {
                    self.parked.insert(function.into(), BTreeSet::new());
                }
                self.parked.get_mut(function).expect("just inserted").insert(id);
            }
            Standing::Running => self.running += 1,
            Standing::Blocked => {}
        }
    }

    /// Takes it out of that index.
    pub(super) fn unindex(&mut self, id: u64) {
        let Some(pending) = self.pending.get(&id) else { return };
        match pending.standing {
            Standing::Ready => drop(self.ready.remove(&id)),
            Standing::Waiting(at) => drop(self.due.remove(&(at, id))),
            Standing::Parked(until) => {
                self.due.remove(&(until, id));
                let function = pending.bound.function();
                if let Some(parked) = self.parked.get_mut(function) {
                    parked.remove(&id);
                    if parked.is_empty() {
                        self.parked.remove(function);
                    }
                }
            }
            Standing::Running => self.running -= 1,
            Standing::Blocked => {}
        }
    }

    /// Ends a delivery: the next of its order is ready.
    pub(super) fn remove(&mut self, id: u64) -> Option<Pending> {
        self.unindex(id);
        let pending = self.pending.remove(&id)?;
        self.touch(id);
        self.bytes -= pending.bytes;
        if let Some(key) = &pending.order {
            if let Some(ids) = self.orders.get_mut(key) {
                let was_first = ids.front() == Some(&id);
                if was_first {
                    ids.pop_front();
                } else {
                    ids.retain(|other| *other != id);
                }
                match ids.front().copied() {
                    None => drop(self.orders.remove(key)),
                    Some(next) if was_first => self.index(next, Standing::Ready),
                    Some(_) => {}
                }
            }
        }
        Some(pending)
    }

    #[cfg(feature = "schedule")]
    pub(super) fn is_pending(&self, id: u64) -> bool {
        self.pending.contains_key(&id)
    }

    /// The number that the next delivery gets.
    pub(crate) fn next_id(&self) -> u64 {
        self.next
    }

    /// Whether there is anything for [`Self::take`].
    pub(crate) fn has_ready(&self, before: u64) -> bool {
        self.ready.first().is_some_and(|id| *id < before)
    }

    /// How many are ready, or will be as soon as those before them in their order have ended.
    pub(crate) fn at_hand(&self) -> usize {
        self.pending.len() - self.running as usize - self.due.len()
    }

    /// When something becomes due, by the runtime's clock.
    pub(crate) fn next_due(&self) -> Option<Duration> {
        self.due.first().map(|(at, _)| *at)
    }

    pub(crate) fn deliveries(&self) -> Deliveries {
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
            staged: self.reserved.count as u64,
            unsaved: self.unsaved() as u64,
        }
    }
}
