//! A place for one value, which threads put there and take away by one atomic operation.
//!
//! Invariant: a pointer in the place is that of a box which nobody else has. It came out of [`Box::into_raw`], and who swaps it out is the one to
//! make the box again.

use std::{marker::PhantomData, ptr, sync::Mutex};

use crate::sync::atomic::{AtomicPtr, Ordering};

/// A place for a boxed value. All that is done to it stands in one order with other `SeqCst` operations.
pub(crate) struct Place<T> {
    pointer: AtomicPtr<T>,
    /// As a lock around the box would be: it hands values from thread to thread, and no thread sees one that another has.
    holds: PhantomData<Mutex<Option<Box<T>>>>,
}

impl<T> Default for Place<T> {
    fn default() -> Self {
        Self { pointer: AtomicPtr::new(ptr::null_mut()), holds: PhantomData }
    }
}

impl<T> Place<T> {
    /// Puts a value there, or none, and takes what there was.
    pub(crate) fn swap(&self, value: Option<Box<T>>) -> Option<Box<T>> {
        let before = self.pointer.swap(value.map_or(ptr::null_mut(), Box::into_raw), Ordering::SeqCst);
        // SAFETY: what is not null was put there by `into_raw` just above, in another call; swapped out, no other call can come to have
        // it. Its owner's writes happened before, as the swap is a release there and an acquire here.
        (!before.is_null()).then(|| unsafe { Box::from_raw(before) })
    }

    /// Takes the value, if there is one: where there is none, by a look alone.
    pub(crate) fn take(&self) -> Option<Box<T>> {
        if self.pointer.load(Ordering::SeqCst).is_null() { None } else { self.swap(None) }
    }
}

impl<T> Drop for Place<T> {
    fn drop(&mut self) {
        self.take();
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn each_value_that_is_put_into_a_place_comes_out_once_whichever_thread_takes_it() {
        let (place, counted) = (Place::default(), Arc::new(()));
        let turns = 10_000;
        let run = || {
            let takes_one = |turn: &i32| match turn % 3 {
                0 => place.take().is_some(),
                _ => place.swap(Some(Box::new(Arc::clone(&counted)))).is_some(),
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
        drop(place);
        assert_eq!(Arc::strong_count(&counted), 1, "what is left goes with the place");
    }

    #[test]
    fn a_place_can_be_shared_where_its_value_can_be_sent() {
        const fn is_shared<T: Send + Sync>() {}
        is_shared::<Place<std::cell::Cell<u8>>>();
    }
}
