//! What all instances of a runtime use now, compared with the runtime's limits.
//!
//! Invariant: the counters are the sums over all live [`Reservation`]s, and never above the limits.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use crossbeam::utils::CachePadded;
use serde::Serialize;

use crate::{
    error::Busy,
    limits::RuntimeLimits,
    sync::{
        Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

/// A holder of idle instances that can be dropped to make room.
pub(crate) trait Evict: Send + Sync {
    /// Since when its longest idle instance has been idle.
    fn oldest(&self) -> Option<Duration>;
    /// Drops that instance. Returns `false` if there is none any more.
    fn evict_oldest(&self) -> bool;
}

/// What all instances of a runtime hold at one moment, from
/// [`Runtime::in_use`](crate::Runtime::in_use).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct InUse {
    /// Live instances of all functions.
    pub instances: usize,
    /// Bytes of their memories, tables and bookkeeping.
    pub bytes: u64,
}

/// Counters and limits of one runtime.
pub(crate) struct Budget {
    limits: RuntimeLimits,
    // On separate cache lines, because threads that make instances write to both.
    instances: CachePadded<AtomicUsize>,
    memory: CachePadded<AtomicU64>,
    pools: Mutex<Vec<Weak<dyn Evict>>>,
}

impl Budget {
    pub(crate) fn new(limits: RuntimeLimits) -> Arc<Self> {
        Arc::new(Self {
            limits,
            instances: CachePadded::default(),
            memory: CachePadded::default(),
            pools: Mutex::default(),
        })
    }

    pub(crate) fn limits(&self) -> &RuntimeLimits {
        &self.limits
    }

    /// The number of live instances, and the bytes that they hold.
    pub(crate) fn in_use(&self) -> InUse {
        let (instances, bytes) = (self.instances.load(Ordering::Relaxed), self.memory.load(Ordering::Relaxed));
        InUse { instances, bytes }
    }

    /// Registers a pool whose idle instances can be dropped. Before the list would have to grow,
    /// pools that are gone are removed. So each registration is cheap.
    pub(crate) fn register(&self, pool: Weak<dyn Evict>) {
        let mut pools = self.pools.lock();
        if pools.len() == pools.capacity() {
            pools.retain(|pool| pool.strong_count() > 0);
        }
        pools.push(pool);
    }

    /// Reserves room for one more instance that holds `bytes`. If there is no room, idle instances
    /// are dropped.
    pub(crate) fn reserve(self: &Arc<Self>, bytes: u64) -> Result<Reservation, Busy> {
        self.reserve_or(bytes, Self::evict)
    }

    /// Does the same only if there is room, and drops no instance.
    pub(crate) fn reserve_spare(self: &Arc<Self>, bytes: u64) -> Result<Reservation, Busy> {
        self.reserve_or(bytes, |_| false)
    }

    fn reserve_or(self: &Arc<Self>, bytes: u64, make_room: fn(&Self) -> bool) -> Result<Reservation, Busy> {
        let limit = self.limits.instances;
        let one_more = |count: usize| (count < limit).then(|| count + 1);
        while self.instances.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_err() {
            if !make_room(self) {
                return Err(Busy::RuntimeInstances { limit });
            }
        }
        let mut reservation = Reservation { budget: Arc::clone(self), bytes: 0 };
        reservation.grow_or(bytes, make_room)?;
        Ok(reservation)
    }

    /// Drops the longest idle instance of the runtime. It looks at each pool. Only an instance's
    /// start that finds no room pays for this, never a warm invocation.
    fn evict(&self) -> bool {
        // An instance, or the last handle of a pool, is dropped outside the lock.
        let pools: Vec<_> = self.pools.lock().iter().filter_map(Weak::upgrade).collect();
        loop {
            let oldest = pools.iter().filter_map(|pool| Some((pool.oldest()?, pool))).min_by_key(|(since, _)| *since);
            match oldest {
                None => return false,
                // Another thread took the instance in the meantime: look again.
                Some((_, pool)) if !pool.evict_oldest() => {}
                Some(_) => return true,
            }
        }
    }
}

/// One instance's share of a budget. It is returned when dropped.
pub(crate) struct Reservation {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Reservation {
    /// Takes `bytes` more. If there is no room, idle instances are dropped.
    pub(crate) fn grow(&mut self, bytes: u64) -> Result<(), Busy> {
        self.grow_or(bytes, Budget::evict)
    }

    fn grow_or(&mut self, bytes: u64, make_room: fn(&Budget) -> bool) -> Result<(), Busy> {
        let limit = self.budget.limits.resident_memory;
        let more = |held: u64| held.checked_add(bytes).filter(|total| *total <= limit);
        while self.budget.memory.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_err() {
            if bytes > limit || !make_room(&self.budget) {
                return Err(Busy::RuntimeMemory { wanted: bytes, limit });
            }
        }
        self.bytes += bytes;
        Ok(())
    }

    /// Returns `bytes`.
    pub(crate) fn shrink(&mut self, bytes: u64) {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        self.budget.memory.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.memory.fetch_sub(self.bytes, Ordering::Relaxed);
        self.budget.instances.fetch_sub(1, Ordering::Relaxed);
    }
}
