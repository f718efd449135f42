//! The host's clock. The runtime reads deadlines, durations and idle times from it and from nothing
//! else.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use crate::sys;

/// Monotonic time as the runtime sees it.
///
/// The default reads the machine's monotonic clock. It never goes back on one thread. Two threads
/// that read it at once may see times some hundred nanoseconds apart.
///
/// A host that has its own clock, or a test that sets the time, gives another clock to
/// [`RuntimeBuilder::clock`](crate::RuntimeBuilder::clock). Guests never see it. A host that keeps
/// its clock gives an [`Arc`] of it.
///
/// ```
/// use std::{sync::{Arc, atomic::{AtomicU64, Ordering::Relaxed}}, time::Duration};
///
/// struct Ticks(AtomicU64);
/// impl dormouse::Clock for Ticks {
///     fn now(&self) -> Duration {
///         Duration::from_millis(self.0.load(Relaxed))
///     }
/// }
/// let clock = Arc::new(Ticks(AtomicU64::new(0)));
/// let runtime = dormouse::Runtime::builder().clock(Arc::clone(&clock)).build();
/// clock.0.store(5, Relaxed);
/// # let _ = runtime;
/// ```
pub trait Clock: Send + Sync + 'static {
    /// The time since some instant, which stays the same as long as the clock lives.
    ///
    /// The runtime calls it twice an invocation, and once more for each slice of fuel and for each
    /// further call of a session. Where there is a deadline, it also calls it once for each call of
    /// a host function, WASI's and the library's own included.
    ///
    /// It must not go back. If it does, durations read as zero.
    fn now(&self) -> Duration;

    /// The time since the beginning of 1970 in UTC, for a clock that knows the date.
    ///
    /// The runtime asks once, when it is made. After that the date is what the host sets, and goes
    /// on with [`now`](Self::now).
    fn wall(&self) -> Option<Duration> {
        None
    }
}

impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn now(&self) -> Duration {
        (**self).now()
    }

    fn wall(&self) -> Option<Duration> {
        (**self).wall()
    }
}

/// The clock of the machine, 8 to 20 ns a reading.
#[derive(Debug)]
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Duration {
        sys::now()
    }

    fn wall(&self) -> Option<Duration> {
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok()
    }
}
