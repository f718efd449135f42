//! An atomic slot that passes one boxed value between threads.
//!
//! Invariant: a pointer in the slot came out of [`Box::into_raw`], and nobody else owns its box.
//! The thread that swaps the pointer out is the only one that makes the box again.

use std::{marker::PhantomData, ptr, sync::Mutex};

use crate::sync::atomic::{AtomicPtr, Ordering};

/// A slot for a boxed value. Its operations stand in one order with all other `SeqCst` operations.
pub(crate) struct Handoff<T> {
    pointer: AtomicPtr<T>,
    /// The slot is `Send` and `Sync` where a lock around the box would be. It passes values between
    /// threads, and no thread sees a value that another thread owns.
    holds: PhantomData<Mutex<Option<Box<T>>>>,
}

impl<T> Default for Handoff<T> {
    fn default() -> Self {
        Self { pointer: AtomicPtr::new(ptr::null_mut()), holds: PhantomData }
    }
}

impl<T> Handoff<T> {
    /// Puts a value or nothing into the slot, and takes out what was there.
    pub(crate) fn swap(&self, value: Option<Box<T>>) -> Option<Box<T>> {
        let before = self.pointer.swap(value.map_or(ptr::null_mut(), Box::into_raw), Ordering::SeqCst);
        // SAFETY: a pointer that is not null was put there by `into_raw` above, in another call. It
        // is swapped out now, so no other call can get it. The owner's writes happened before: the
        // swap is a release there and an acquire here.
        (!before.is_null()).then(|| unsafe { Box::from_raw(before) })
    }

    /// Takes the value, if there is one. An empty slot is only read.
    pub(crate) fn take(&self) -> Option<Box<T>> {
        if self.pointer.load(Ordering::SeqCst).is_null() { None } else { self.swap(None) }
    }
}

impl<T> Drop for Handoff<T> {
    fn drop(&mut self) {
        self.take();
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn each_value_that_is_put_into_a_slot_comes_out_once_whichever_thread_takes_it() {
        let (slot, counted) = (Handoff::default(), Arc::new(()));
        let turns = 10_000;
        let run = || {
            let takes_one = |turn: &i32| match turn % 3 {
                0 => slot.take().is_some(),
                _ => slot.swap(Some(Box::new(Arc::clone(&counted)))).is_some(),
            };
            (0..turns).filter(takes_one).count()
        };
        let taken = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(run)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap_or(0)).sum::<usize>()
        });
        let put = 4 * (0..turns).filter(|turn| turn % 3 != 0).count();
        let left = Arc::strong_count(&counted) - 1;
        assert!(left <= 1 && taken + left == put, "{put} put, {taken} taken, {left} left");
        drop(slot);
        assert_eq!(Arc::strong_count(&counted), 1, "what is left goes with the slot");
    }

    #[test]
    fn a_slot_can_be_shared_where_its_value_can_be_sent() {
        const fn is_shared<T: Send + Sync>() {}
        is_shared::<Handoff<std::cell::Cell<u8>>>();
    }
}
