//! Callbacks that are no functions of guests, and what a host gives with any callback: its user data.
//!
//! Invariant: user data is freed once, after the last use, if the call that it was given to has succeeded; else never.

use std::{
    ffi::c_void,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use dormouse::Clock;

/// A clock of the host's: nanoseconds since some instant that stays the same. Must not go back; if it does, durations
/// read as zero. Called from any thread, several at once, and often. It must not call this library.
pub type dormouse_clock = Option<unsafe extern "C-unwind" fn(user_data: *mut c_void) -> u64>;

/// The time that a host lets a WASI guest see: nanoseconds since 1970 in UTC. Called with each reading of a clock by
/// the guest, on the thread that invokes it; on several at once if several do.
pub type dormouse_time = Option<unsafe extern "C-unwind" fn(user_data: *mut c_void) -> u64>;

/// A seed for the random numbers of one invocation of a WASI guest: writes all 32 bytes that `seed_out` points to,
/// from a source as secret as the guest's random numbers shall be (`getrandom` for one). Called once in each
/// invocation that draws random numbers, on the thread that invokes; on several at once if several do.
pub type dormouse_seeds = Option<unsafe extern "C-unwind" fn(user_data: *mut c_void, seed_out: *mut u8)>;

/// Frees what a `user_data` points to. Called once, from whichever thread drops the last use: perhaps from within a call
/// on a context or guest that a callback was lent, which it must not use.
pub type dormouse_user_data_free = Option<unsafe extern "C-unwind" fn(user_data: *mut c_void)>;

/// What a host gave with a callback, to be freed when the last use of it goes, once it has been accepted: until then
/// a failed call leaves it with the host.
pub(crate) struct UserData {
    data: *mut c_void,
    free: dormouse_user_data_free,
    accepted: AtomicBool,
}

// SAFETY: the header asks of hosts that callbacks and what they are given can be used from any thread, and freed from any.
unsafe impl Send for UserData {}
// SAFETY: as above: several at once.
unsafe impl Sync for UserData {}

impl UserData {
    pub(crate) fn data(&self) -> *mut c_void {
        self.data
    }
}

impl Drop for UserData {
    fn drop(&mut self) {
        if let (true, Some(free)) = (*self.accepted.get_mut(), self.free) {
            // SAFETY: given together by the host, and this is the one time.
            unsafe { free(self.data) }
        }
    }
}

/// The user data that one call was given, held until it is known whether the call succeeds.
#[derive(Default)]
pub(crate) struct Grants(Vec<Arc<UserData>>);

impl Grants {
    /// Takes user data in.
    pub(crate) fn take(&mut self, data: *mut c_void, free: dormouse_user_data_free) -> Arc<UserData> {
        let user = Arc::new(UserData { data, free, accepted: AtomicBool::new(false) });
        self.0.push(Arc::clone(&user));
        user
    }

    /// The call has succeeded: all of it is the library's now.
    pub(crate) fn accept(self) {
        for user in &self.0 {
            user.accepted.store(true, Ordering::Release);
        }
    }
}

/// A clock of the host's.
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
