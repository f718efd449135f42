//! The host's clock: deadlines, durations and idle times are read from it and from nothing else.

use std::time::{Duration, SystemTime};

use crate::sys;

/// Monotonic time as the runtime sees it.
///
/// The default reads the machine's monotonic clock. It never goes back on one thread; what two threads read at once may be some hundred nanoseconds apart. A host that has a clock of its own, or a test that wants to be told the time, gives
/// another to [`RuntimeBuilder::clock`](crate::RuntimeBuilder::clock). Guests never see it.
///
/// ```
/// use std::{sync::atomic::{AtomicU64, Ordering::Relaxed}, time::Duration};
///
/// struct Ticks(AtomicU64);
/// impl dormouse::Clock for Ticks {
///     fn now(&self) -> Duration {
///         Duration::from_millis(self.0.load(Relaxed))
///     }
/// }
/// let runtime = dormouse::Runtime::builder().clock(Ticks(AtomicU64::new(0))).build();
/// # let _ = runtime;
/// ```
pub trait Clock: Send + Sync + 'static {
    /// Time since some instant that stays the same as long as the clock lives. Called twice an invocation, once for
    /// each slice of fuel, once for each further call of a session, and once for each call of a function of the host's, WASI's and others of this
    /// library's included, where there is a deadline. Must not go back; if it does, durations
    /// read as zero.
    fn now(&self) -> Duration;

    /// Time since the beginning of 1970 in UTC, for a clock that knows the date. Asked once, when the runtime is made; after that the date is what
    /// the host tells it, and goes on with [`now`](Self::now).
    fn wall(&self) -> Option<Duration> {
        None
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
