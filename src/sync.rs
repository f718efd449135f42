//! What the pool, the budget and the event wing share between threads: locks, condition variables,
//! atomics, and the threads themselves.
//!
//! Under `--cfg shuttle`, for tests alone, these are the types of the crate shuttle. Its scheduler
//! decides at each of them which thread goes on: see `interleavings.rs`.
//!
//! Invariant: in any other build they are parking_lot's and std's own, under another name. `sync`
//! uses nothing else of this library.

#[cfg(not(shuttle))]
mod real {
    #[cfg(feature = "events")]
    pub(crate) use std::thread;
    pub(crate) use std::{sync::atomic, thread_local};

    pub(crate) use parking_lot::{Condvar, Mutex, RwLock};
}
#[cfg(not(shuttle))]
pub(crate) use real::*;

#[cfg(shuttle)]
mod explored;
#[cfg(shuttle)]
pub(crate) use explored::*;
