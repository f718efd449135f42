//! shuttle's types behind the functions of parking_lot's, for `--cfg shuttle`.
//!
//! Invariant: a wait ends by itself only if it is a short one, and then at any moment. A thread
//! that relies on the end of a longer wait, or is forgotten in one, sleeps for good.

use std::{
    ops::{Deref, DerefMut},
    sync::PoisonError,
    time::{Duration, Instant},
};

use shuttle::{rand::Rng, sync};
pub(crate) use shuttle::{sync::atomic, thread, thread_local};

/// A wait up to this length may time out at any moment. A longer one never does: a thread that is
/// forgotten in it sleeps for good, which shuttle reports.
const SHORT: Duration = Duration::from_secs(60);

#[derive(Default)]
pub(crate) struct Mutex<T>(sync::Mutex<T>);

/// `None` only while the thread waits.
pub(crate) struct MutexGuard<'a, T>(Option<sync::MutexGuard<'a, T>>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        MutexGuard(Some(self.0.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_ref().expect("the lock is held")
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.as_mut().expect("the lock is held")
    }
}

#[derive(Default)]
pub(crate) struct RwLock<T>(sync::RwLock<T>);

impl<T> RwLock<T> {
    pub(crate) fn read(&self) -> sync::RwLockReadGuard<'_, T> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write(&self) -> sync::RwLockWriteGuard<'_, T> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) struct Condvar(sync::Condvar);

pub(crate) struct WaitTimeoutResult(bool);

impl WaitTimeoutResult {
    pub(crate) fn timed_out(&self) -> bool {
        self.0
    }
}

impl Condvar {
    pub(crate) fn new() -> Self {
        Self(sync::Condvar::new())
    }

    pub(crate) fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        guard.0 = guard.0.take().map(|guard| self.0.wait(guard).unwrap_or_else(PoisonError::into_inner));
    }

    pub(crate) fn wait_until<T>(&self, guard: &mut MutexGuard<'_, T>, until: Instant) -> WaitTimeoutResult {
        let times_out =
            until.saturating_duration_since(Instant::now()) < SHORT && shuttle::rand::thread_rng().gen_bool(0.5);
        if !times_out {
            self.wait(guard);
        }
        WaitTimeoutResult(times_out)
    }

    /// Waits without an end: no thread may rely on it.
    pub(crate) fn wait_for<T>(&self, guard: &mut MutexGuard<'_, T>, _: Duration) -> WaitTimeoutResult {
        self.wait(guard);
        WaitTimeoutResult(false)
    }

    pub(crate) fn notify_one(&self) -> bool {
        self.0.notify_one();
        true
    }

    pub(crate) fn notify_all(&self) -> usize {
        self.0.notify_all();
        0
    }
}

/// Each thread has a core of its own.
pub(crate) fn core_number() -> usize {
    thread_number()
}

pub(crate) fn thread_number() -> usize {
    shuttle::current::me().into()
}
