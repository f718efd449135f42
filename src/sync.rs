//! What the pool, the budget and the event wing share between threads: locks, condition variables, atomics, and the threads
//! themselves. Under `--cfg shuttle`, for tests alone, they are those of the crate shuttle, whose scheduler decides at each of them which thread goes on:
//! see `interleavings.rs`.
//!
//! Invariant: in any other build they are parking_lot's and std's own, under another name.

#[cfg(not(shuttle))]
mod real {
    #[cfg(feature = "events")]
    pub(crate) use std::thread;
    use std::{
        cell::Cell,
        sync::atomic::{AtomicUsize, Ordering},
    };
    pub(crate) use std::{sync::atomic, thread_local};

    pub(crate) use parking_lot::{Condvar, Mutex, RwLock};

    /// This thread's number: they are counted as they come by here first.
    pub(crate) fn thread_number() -> usize {
        static NUMBERS: AtomicUsize = AtomicUsize::new(0);
        thread_local! {
            static NUMBER: Cell<Option<usize>> = const { Cell::new(None) };
        }
        NUMBER.get().unwrap_or_else(|| {
            let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
            NUMBER.set(Some(number));
            number
        })
    }
}
#[cfg(not(shuttle))]
pub(crate) use real::*;

#[cfg(shuttle)]
mod explored;
#[cfg(shuttle)]
pub(crate) use explored::*;
