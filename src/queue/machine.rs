//! The deliveries that have not ended, and what becomes of each. The queue is a state machine: it
//! does not know clocks, locks or guests.
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
//! Invariants: `pending` holds each delivery that has not ended, and its `standing` says in which
//! of the indexes it is. Of an order only the first delivery is not blocked. [`Queue::stats`]
//! balances after every call.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use super::{
    DeliveryStats,
    dead::{DeadLetter, DeadLetterReason, DeadLetters},
    limits::{EventLimits, WhenFull},
    stage::Room,
};
use crate::{
    event::{Event, Timestamp},
    trigger::Bound,
    usage::Version,
};

/// The order that a delivery belongs to: the trigger's number, and the partition key if the event
/// has one.
type Order = (u64, Option<Box<str>>);

pub(crate) struct Queue {
    pub(super) limits: EventLimits,
    pub(super) seed: u64,
    /// A calendar date, and the time of the runtime's clock at that date.
    pub(super) anchor: Option<(Timestamp, Duration)>,
    pub(super) next: u64,
    pub(super) pending: BTreeMap<u64, Pending>,
    pub(super) ready: BTreeSet<u64>,
    /// Two kinds of deadlines: when a waiting delivery is ready again, and when a parked one
    /// becomes too old.
    pub(super) due: BTreeSet<(Duration, u64)>,
    /// Parked deliveries by the name of the function that they wait for.
    pub(super) parked: HashMap<Box<str>, BTreeSet<u64>>,
    pub(super) orders: HashMap<Order, VecDeque<u64>>,
    pub(super) running: u64,
    pub(super) bytes: u64,
    /// Room that the queue keeps for staged events.
    pub(super) reserved: Room,
    /// The deliveries that were added, that failed or that ended since the last write. `None`
    /// without a store.
    pub(super) touched: Option<BTreeSet<u64>>,
    /// Writes that may wait are not tried below this number of changes. It is above zero after a
    /// write has failed.
    pub(super) save_from: usize,
    /// Deliveries that were dropped to make room for new ones that are not on disk yet.
    pub(super) evicted: Vec<(u64, Pending)>,
    pub(super) dead: DeadLetters,
    pub(super) counts: Counts,
}

/// Ended deliveries, counted by outcome. The queue counts all others in its indexes.
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
    /// The age at `born`. It is above zero for a delivery that an earlier process made.
    pub(super) aged: Duration,
    /// Attempts that failed.
    pub(super) attempts: u32,
    /// All failures, including refusals that do not count as attempts. They set the delay before
    /// the next attempt.
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
    /// Until the time at which the delivery becomes too old.
    Parked(Duration),
    /// Behind another delivery of its order.
    Blocked,
}

/// A delivery that is to be run.
pub(crate) struct Job {
    pub(crate) id: u64,
    pub(crate) bound: Arc<Bound>,
    pub(crate) event: Event,
    /// The first attempt has the number 1.
    pub(crate) attempt: u32,
}

/// An event, with the triggers that it matches.
pub(crate) struct Admission<'a> {
    pub(crate) bound: &'a [Arc<Bound>],
    pub(crate) event: Event,
    pub(crate) bytes: u64,
}

/// The queue does not have enough room.
pub(crate) struct Full;

/// Why a delivery did not begin.
pub(crate) enum NotBegun {
    /// It is not ready: others of its order are before it.
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

    /// The calendar date at a time of the runtime's clock. `None` while the date is not known.
    pub(crate) fn date(&self, at: Duration) -> Option<Timestamp> {
        let (date, when) = self.anchor?;
        date.checked_add(at.saturating_sub(when))
    }

    /// Adds the deliveries of an event, all or none. Returns the number of the first delivery and
    /// how many there are. Their numbers are consecutive.
    pub(crate) fn admit(&mut self, admission: Admission<'_>, now: Duration) -> Result<(u64, usize), Full> {
        self.admit_all(&[admission], None, now)
    }

    /// Adds the deliveries of several events, all or none. On success, the delivery `ended`
    /// succeeds in the same step: these events follow from it.
    pub(super) fn admit_all(
        &mut self,
        admissions: &[Admission<'_>],
        ended: Option<u64>,
        now: Duration,
    ) -> Result<(u64, usize), Full> {
        // Deliveries that were dropped for earlier events stay dropped. Only those dropped from
        // here on can be taken back.
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

    /// Adds one delivery.
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

    /// The deliveries that take room, and their bytes: all that have not ended except `ended`, and
    /// all that are staged.
    pub(super) fn held_beside(&self, ended: Option<u64>) -> (usize, u64) {
        let own = ended.and_then(|id| self.pending.get(&id)).map(|pending| pending.bytes);
        let (count, bytes) = (self.pending.len() - usize::from(own.is_some()), self.bytes - own.unwrap_or(0));
        (count + self.reserved.count, bytes.saturating_add(self.reserved.bytes))
    }

    /// Keeps room for deliveries that the queue adds when an invocation succeeds. `ended` is the
    /// delivery that this invocation belongs to, if any. A queue that drops deliveries when it is
    /// full drops them at that later moment.
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

    /// Adds the deliveries of a reply that exceeds the limit of hops, and gives them up.
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
                reason: DeadLetterReason::Loop,
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

    /// Drops the oldest deliveries that are not running until the new ones fit beside the `left`
    /// deliveries of `held` bytes. Drops nothing if the new ones would not fit even then.
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
                // Without a store, no delivery is ever taken back.
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

    /// The number of changes from which a write that may wait is tried.
    pub(super) fn save_from(&self) -> usize {
        self.save_from
    }

    /// A write has failed. The next one is tried when there are twice as many changes.
    pub(super) fn save_failed(&mut self) {
        self.save_from = self.unsaved().saturating_mul(2);
        self.evicted.clear();
    }

    /// Lets the next write be tried at any number of changes.
    pub(crate) fn save_anew(&mut self) {
        self.save_from = 0;
    }

    /// The number of changes that are not on disk.
    pub(super) fn unsaved(&self) -> usize {
        let count = |touched: &Option<BTreeSet<u64>>| touched.as_ref().map_or(0, BTreeSet::len);
        count(&self.touched) + count(&self.dead.touched)
    }

    /// Adds a delivery that is in no index to the index of its new standing.
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

    /// Removes a delivery from the index of its standing.
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

    /// Ends a delivery, and makes the next one of its order ready.
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

    pub(super) fn is_pending(&self, id: u64) -> bool {
        self.pending.contains_key(&id)
    }

    /// The number that the next new delivery gets.
    pub(crate) fn next_id(&self) -> u64 {
        self.next
    }

    /// Whether [`Self::take`] has a delivery to return.
    pub(crate) fn has_ready(&self, before: u64) -> bool {
        self.ready.first().is_some_and(|id| *id < before)
    }

    /// The number of deliveries that are ready, or become ready when those before them in their
    /// order have ended.
    pub(crate) fn at_hand(&self) -> usize {
        self.pending.len() - self.running as usize - self.due.len()
    }

    /// The earliest time, by the runtime's clock, at which a waiting or parked delivery becomes
    /// due.
    pub(crate) fn next_due(&self) -> Option<Duration> {
        self.due.first().map(|(at, _)| *at)
    }

    pub(crate) fn stats(&self) -> DeliveryStats {
        let running = self.running;
        let parked = self.parked.values().map(BTreeSet::len).sum::<usize>() as u64;
        let Counts { matched, succeeded, expired, dropped, refused } = self.counts;
        DeliveryStats {
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
