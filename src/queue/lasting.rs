//! Durability of the queue: loads what an earlier process has left, and says what has changed since
//! the last write.
//!
//! Invariant: only deliveries and letters that are `touched` can differ from the disk.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use super::{
    DeadLetter,
    hub::Changes,
    hub::bytes_of,
    machine::{Pending, Queue, Standing},
    record::{self, Record},
    settle::age,
    store::Saved,
};
use crate::{disk::StoreError, trigger::Bound};

/// The largest delivery number that is accepted from a file. No process gives as many numbers, and
/// counting on from it cannot overflow.
const NUMBER_MAX: u64 = u64::MAX / 2;

impl Queue {
    /// Loads what an earlier process has left. Each delivery waits until its trigger is bound, for
    /// the longest age that any trigger allows by default.
    pub(super) fn restore(&mut self, saved: &Saved, now: Duration) -> Result<(), StoreError> {
        let numbers = saved.letters.iter().chain(&saved.deliveries).map(|(id, _)| *id).chain([saved.next]);
        if numbers.max().unwrap_or(0) > NUMBER_MAX {
            return Err(StoreError::corrupt("reading the store", "it contains a delivery number that is too large"));
        }
        self.next = saved.next;
        for (id, bytes) in &saved.letters {
            let mut letter = record::read_letter(*id, bytes)?;
            letter.bytes = bytes_of(&letter.event);
            self.counts.matched += 1;
            self.next = self.next.max(id + 1);
            self.dead.keep(letter, self.limits.dead_letters, self.limits.dead_letter_bytes);
        }
        for (id, bytes) in &saved.deliveries {
            let Record { trigger, attempts, failures, age, version, error, event } = Record::read(bytes)?;
            let bytes = bytes_of(&event);
            let bound = Arc::new(Bound::absent(&trigger));
            self.counts.matched += 1;
            self.next = self.next.max(id + 1);
            self.bytes += bytes;
            let (aged, order, standing) = (age, None, Standing::Blocked);
            let pending =
                Pending { bound, event, bytes, born: now, aged, attempts, failures, version, error, order, standing };
            // The age counts from now on: the limit of its trigger is not known before the trigger
            // is bound.
            let until = now.saturating_add(pending.bound.trigger.delivery.retry.age_max());
            self.pending.insert(*id, pending);
            self.index(*id, Standing::Parked(until));
        }
        self.touched = Some(BTreeSet::new());
        // Letters that do not fit smaller limits are removed from the disk by the next write.
        let held: BTreeSet<u64> = self.dead.held().map(DeadLetter::id).collect();
        self.dead.touched = Some(saved.letters.iter().map(|(id, _)| *id).filter(|id| !held.contains(id)).collect());
        Ok(())
    }

    /// Hands a trigger the deliveries that an earlier process had made for it. Returns their
    /// number.
    pub(super) fn adopt(&mut self, bound: &Arc<Bound>) -> usize {
        let absent = self.parked.get(Bound::ABSENT).into_iter().flatten();
        let ids: Vec<u64> = absent
            .copied()
            .filter(|id| self.pending.get(id).is_some_and(|pending| pending.bound.id == bound.id))
            .collect();
        for id in &ids {
            self.unindex(*id);
            let Some(pending) = self.pending.get_mut(id) else { continue };
            pending.bound = Arc::clone(bound);
            pending.standing = Standing::Blocked;
            pending.order = bound.trigger.delivery.order(&pending.event).map(|key| (bound.number, key));
            let order = pending.order.clone();
            let is_first = order.is_none_or(|order| {
                let ids = self.orders.entry(order).or_default();
                ids.push_back(*id);
                ids.len() == 1
            });
            if is_first {
                self.index(*id, Standing::Ready);
            }
        }
        ids.len()
    }

    /// Takes back deliveries that could not be written, as if they had never been added.
    pub(super) fn retract(&mut self, first: u64, count: usize) {
        for id in first..first + count as u64 {
            if self.remove(id).is_some() {
                self.counts.matched -= 1;
            }
        }
        // Deliveries that were dropped for them return. The last one goes first, as each stood
        // behind those before it.
        for (id, pending) in std::mem::take(&mut self.evicted).into_iter().rev() {
            self.bring_back(id, pending);
        }
        // No caller was told these numbers, so they are given again. Otherwise a disk that stays
        // full would leave more of them touched each time.
        if self.next == first + count as u64 {
            self.next = first;
        }
    }

    /// Returns a removed delivery to its old standing.
    fn bring_back(&mut self, id: u64, pending: Pending) {
        self.counts.dropped -= 1;
        self.bytes += pending.bytes;
        let (standing, order) = (pending.standing, pending.order.clone());
        self.pending.insert(id, pending);
        if let Some(order) = order {
            // Sorted by number, as they were added.
            let ids = self.orders.entry(order).or_default();
            let at = ids.partition_point(|other| *other < id);
            ids.insert(at, id);
            if let Some(next) = ids.get(1).copied().filter(|_| at == 0) {
                self.unindex(next);
                self.index(next, Standing::Blocked);
            }
        }
        self.index(id, standing);
    }

    /// The process ends: marks all deliveries to be written once more, with their present age.
    pub(super) fn end_process(&mut self) {
        self.save_anew();
        if let Some(touched) = &mut self.touched {
            touched.extend(self.pending.keys());
        }
    }

    /// The changes that are not on disk, if there are at least `at_least`.
    pub(super) fn changes(&self, at_least: usize, now: Duration) -> Option<(Changes, Changes)> {
        let (Some(touched), Some(letters)) = (&self.touched, &self.dead.touched) else { return None };
        if self.unsaved() < at_least.max(1) {
            return None;
        }
        let deliveries =
            touched.iter().map(|id| (*id, self.pending.get(id).map(|pending| record(pending, now).write())));
        let letters = letters.iter().map(|id| (*id, self.dead.get(*id).map(record::write_letter)));
        Some((deliveries.collect(), letters.collect()))
    }

    /// All changes are on disk now.
    pub(super) fn saved(&mut self) {
        self.save_anew();
        self.evicted.clear();
        self.touched.as_mut().map(BTreeSet::clear);
        self.dead.touched.as_mut().map(BTreeSet::clear);
    }
}

/// A delivery in the form in which it is written.
fn record(pending: &Pending, now: Duration) -> Record {
    Record {
        trigger: (*pending.bound.id).into(),
        attempts: pending.attempts,
        failures: pending.failures,
        age: age(pending, now),
        version: pending.version,
        error: pending.error.clone(),
        event: pending.event.clone(),
    }
}
