//! An instance on loan to one invocation.

use std::time::Duration;

use super::{Pool, PooledInstance};
use crate::{sync::atomic::Ordering, usage::Start};

/// An instance on loan. Dropped without being given back, as when a panic unwinds through, it is thrown away.
pub(crate) struct Lease<'a> {
    pool: &'a Pool,
    lane: usize,
    pub(super) ready: Option<Box<PooledInstance>>,
    start: Start,
    /// The instance has gone back to the pool, and its place with it.
    returned: bool,
}

impl<'a> Lease<'a> {
    /// An instance that has been taken out.
    pub(super) fn of(pool: &'a Pool, ready: Box<PooledInstance>) -> Self {
        let start = if ready.is_from_deployment { Start::Cold } else { Start::Warm };
        Self { pool, lane: ready.lane, ready: Some(ready), start, returned: false }
    }

    /// A place in the pool that has been counted, for an instance to come.
    pub(super) fn place(pool: &'a Pool, lane: usize) -> Self {
        Self { pool, lane, ready: None, start: Start::Cold, returned: false }
    }

    pub(crate) fn start(&self) -> Start {
        self.start
    }

    /// The instance and its handles; there from the moment that the lease is handed out.
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
            // The instance first, so that its memory is free before its place is.
            if self.ready.take().is_some() {
                self.pool.lost.fetch_max(self.pool.live.load(Ordering::Relaxed), Ordering::Relaxed);
            }
            self.pool.forget(self.lane);
        }
    }
}
