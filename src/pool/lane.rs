//! The idle instances of one lane: the latest on top, the others below it.
//!
//! Invariant: instances are ordered by the start of their idle time, the oldest in front. The
//! exception is an instance whose thread is interrupted while it puts another on top.

use std::{collections::VecDeque, time::Duration};

use super::PooledInstance;
use crate::{
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    sys::Handoff,
};

#[derive(Default)]
pub(super) struct Lane {
    /// The instance that was given back last.
    pub(super) top: Handoff<PooledInstance>,
    /// The instances that were on top before, and their `count`. Most often there are none. The
    /// count lets a thread that searches the lanes skip the lock.
    below: Mutex<VecDeque<Box<PooledInstance>>>,
    count: AtomicUsize,
    pub(super) live: AtomicUsize,
}

impl Lane {
    /// Takes the instance that was given back last, if any is here.
    pub(super) fn take(&self) -> Option<Box<PooledInstance>> {
        // The giver updates `count`, then reads `waiting`. The waiter updates `waiting`, then reads
        // `count`. So one of them sees the other.
        let below = || (self.count.load(Ordering::SeqCst) > 0).then(|| self.below(VecDeque::pop_back));
        self.top.take().or_else(|| below().flatten())
    }

    pub(super) fn below<T>(&self, change: impl FnOnce(&mut VecDeque<Box<PooledInstance>>) -> T) -> T {
        let mut below = self.below.lock();
        let changed = change(&mut below);
        self.count.store(below.len(), Ordering::SeqCst);
        changed
    }

    /// Looks at all idle instances, after the one on top has been moved down to the others.
    pub(super) fn all<T>(&self, look: impl FnOnce(&mut VecDeque<Box<PooledInstance>>) -> T) -> T {
        self.below(|below| {
            // Counted before it is moved down: a thread that finds the top empty comes here, and
            // waits for the lock.
            self.count.store(below.len() + 1, Ordering::SeqCst);
            below.extend(self.top.take());
            look(below)
        })
    }

    /// Since when the longest idle instance has been idle.
    pub(super) fn oldest(&self) -> Option<Duration> {
        self.all(|idle| idle.front().map(|ready| ready.since))
    }
}
