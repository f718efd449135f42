//! The idle instances of one lane: the latest on top, the others below it.
//!
//! Invariant: instances are ordered by the time since when they have been idle, oldest in front, except for one whose
//! thread is interrupted while it puts another on top.

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
    /// The instance that came back last.
    pub(super) top: Handoff<PooledInstance>,
    /// Those that lay there before, and how many they are: most often none, and whoever looks through the lanes need not lock them.
    below: Mutex<VecDeque<Box<PooledInstance>>>,
    count: AtomicUsize,
    pub(super) live: AtomicUsize,
}

impl Lane {
    /// The instance that came back last, of those that are here.
    pub(super) fn take(&self) -> Option<Box<PooledInstance>> {
        // Who puts one there counts it before it looks whether somebody waits, and who waits looks here after it has said so.
        let below = || (self.count.load(Ordering::SeqCst) > 0).then(|| self.below(VecDeque::pop_back));
        self.top.take().or_else(|| below().flatten())
    }

    pub(super) fn below<T>(&self, change: impl FnOnce(&mut VecDeque<Box<PooledInstance>>) -> T) -> T {
        let mut below = self.below.lock();
        let changed = change(&mut below);
        self.count.store(below.len(), Ordering::SeqCst);
        changed
    }

    /// Looks at all idle instances, the one on top having been moved down to the others.
    pub(super) fn all<T>(&self, look: impl FnOnce(&mut VecDeque<Box<PooledInstance>>) -> T) -> T {
        self.below(|below| {
            // Counted before it is taken down: whoever finds the top empty comes here, and waits for the lock.
            self.count.store(below.len() + 1, Ordering::SeqCst);
            below.extend(self.top.take());
            look(below)
        })
    }

    /// Since when the instance that has been idle longest has been so.
    pub(super) fn oldest(&self) -> Option<Duration> {
        self.all(|idle| idle.front().map(|ready| ready.since))
    }
}
