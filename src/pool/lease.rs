//! An instance on loan to one invocation.
//!
//! Invariant: the pool counts the instance or the vacancy of a lease as live. Dropping the lease
//! ends that; giving the instance back does not.

use std::time::Duration;

use super::{Pool, PooledInstance};
use crate::{sync::atomic::Ordering, usage::StartKind};

/// An instance on loan. If it is dropped without being given back, as when a panic unwinds, the
/// instance is thrown away.
pub(crate) struct Lease<'a> {
    pool: &'a Pool,
    lane: usize,
    pub(super) ready: Option<Box<PooledInstance>>,
    start: StartKind,
    /// The instance went back to the pool, which counts it.
    returned: bool,
}

impl<'a> Lease<'a> {
    /// Lends an instance that was taken out of the pool.
    pub(super) fn of(pool: &'a Pool, ready: Box<PooledInstance>) -> Self {
        let start = if ready.is_from_deployment { StartKind::Cold } else { StartKind::Warm };
        Self { pool, lane: ready.lane, ready: Some(ready), start, returned: false }
    }

    /// Holds a vacancy: the pool counts an instance that is still to be made.
    pub(super) fn vacant(pool: &'a Pool, lane: usize) -> Self {
        Self { pool, lane, ready: None, start: StartKind::Cold, returned: false }
    }

    pub(crate) fn start(&self) -> StartKind {
        self.start
    }

    /// The instance and its handles. They are present from the moment that the caller gets the
    /// lease.
    pub(crate) fn ready(&mut self) -> &mut PooledInstance {
        self.ready.as_mut().expect("a lease that was handed out holds an instance")
    }

    /// Gives a clean instance back to the pool.
    pub(crate) fn give_back(mut self, now: Duration) {
        if let Some(ready) = self.ready.take() {
            self.returned = true;
            self.pool.give_back(ready, now);
        }
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        if !self.returned {
            // The instance goes first, so that its memory is free before its vacancy is.
            if self.ready.take().is_some() {
                self.pool.lost.fetch_max(self.pool.live.load(Ordering::Relaxed), Ordering::Relaxed);
            }
            self.pool.forget(self.lane);
        }
    }
}
