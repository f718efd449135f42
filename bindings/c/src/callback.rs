//! Callbacks for clock, time and seeds, and the user data that a host gives with any callback.
//!
//! Invariant: the library frees user data once, after the last use, if the call that it was given
//! to has succeeded. Otherwise it never frees it.

use std::{
    ffi::c_void,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use dormouse::Clock;

/// The host's clock: nanoseconds since some fixed instant. It must not go back. If it does,
/// durations read as zero. The library calls it often, from any thread, on several at once. It must
/// not call this library.
pub type dormouse_clock = Option<unsafe extern "C-unwind" fn(user_data: *mut c_void) -> u64>;

/// The time that a host lets a WASI guest see: nanoseconds since 1970 in UTC. The library calls it
/// with each of the guest's readings of a clock, on the invoking thread, and on several threads at
/// once if several invoke.
pub type dormouse_time = Option<unsafe extern "C-unwind" fn(user_data: *mut c_void) -> u64>;

/// A seed for the random numbers of one invocation of a WASI guest. It writes all 32 bytes that
/// `seed_out` points to. Their source must be as secret as the guest's random numbers should be,
/// for example `getrandom`. The library calls it once in each invocation that draws random numbers,
/// on the invoking thread, and on several threads at once if several invoke.
pub type dormouse_seeds = Option<unsafe extern "C-unwind" fn(user_data: *mut c_void, seed_out: *mut u8)>;

/// Frees what a `user_data` points to. The library calls it once, from the thread that drops the
/// last use. That may be within a call on a context or guest that a callback was lent, which it
/// must not use.
pub type dormouse_user_data_free = Option<unsafe extern "C-unwind" fn(user_data: *mut c_void)>;

/// What a host gave with a callback. It is freed with its last use, once it has been accepted.
/// Until then a failed call leaves it with the host.
pub(crate) struct UserData {
    data: *mut c_void,
    free: dormouse_user_data_free,
    accepted: AtomicBool,
}

// SAFETY: the header demands that callbacks and their user data can be used and freed from any
// thread.
unsafe impl Send for UserData {}
// SAFETY: as above, from several threads at once.
unsafe impl Sync for UserData {}

impl UserData {
    pub(crate) fn data(&self) -> *mut c_void {
        self.data
    }
}

impl Drop for UserData {
    fn drop(&mut self) {
        if let (true, Some(free)) = (*self.accepted.get_mut(), self.free) {
            // SAFETY: the host gave both together, and this is the only call.
            unsafe { free(self.data) }
        }
    }
}

/// The user data that one call was given, kept until it is known whether the call succeeds.
#[derive(Default)]
pub(crate) struct PendingUserData(Vec<Arc<UserData>>);

impl PendingUserData {
    /// Takes user data in.
    pub(crate) fn take(&mut self, data: *mut c_void, free: dormouse_user_data_free) -> Arc<UserData> {
        let user = Arc::new(UserData { data, free, accepted: AtomicBool::new(false) });
        self.0.push(Arc::clone(&user));
        user
    }

    /// The call has succeeded: the library owns all of it now.
    pub(crate) fn accept(self) {
        for user in &self.0 {
            user.accepted.store(true, Ordering::Release);
        }
    }
}

/// The host's clock.
pub(crate) struct HostClock {
    pub(crate) now: unsafe extern "C-unwind" fn(*mut c_void) -> u64,
    pub(crate) user: Arc<UserData>,
}

impl Clock for HostClock {
    fn now(&self) -> Duration {
        // SAFETY: the function and its user data were given together, for use from any thread.
        Duration::from_nanos(unsafe { (self.now)(self.user.data()) })
    }
}
