//! The time between two readings of the kernel's clock, by the processor's counter of ticks
//! (x86-64).
//!
//! A reading of the kernel's clock takes 17 ns. Reading the counter and computing a time from it
//! takes 8. An invocation reads the time twice, and each call of a host function once. A thread
//! keeps the moment at which it last read both. From there it tells the time by the counter alone,
//! for [`WINDOW`] ticks. The length of a tick is measured over 10 ms, and compared with the
//! kernel's clock whenever a thread reads both again. Over 3 million readings the two were 30 ns
//! apart at most.
//!
//! What this rests on: the counter runs at one rate and does not stop, which CPUID says (Intel SDM,
//! volume 3, "Invariant TSC"). The counter is the same on all cores, which the kernel finds out. If
//! it is not, the kernel tells the time by other means. Reading those takes longer than [`GLANCE`],
//! so nothing is told by the counter here either.
//!
//! One of these may fail after all, because the machine slept or was moved. Then a time is wrong by
//! less than a window, as a reading outside of one asks the kernel. The next such reading finds
//! out. Until the rate has been measured anew, all readings ask the kernel.
//!
//! Invariant: on one thread the time never goes back. If a time was told ahead of the kernel's
//! clock, the time stands still until the clock has caught up. (Threads may be apart by as much as
//! each is from the kernel's clock.)

use std::{
    arch::x86_64::{__cpuid, _rdtsc},
    cell::Cell,
    sync::{
        OnceLock,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use parking_lot::Mutex;

use super::kernel_time;

/// Ticks for which a moment serves: 0.2 to 1 ms.
const WINDOW: u64 = 1 << 20;

/// Ticks that reading the kernel's clock may take. If it takes more, the thread was interrupted, or
/// the counter or the clock is slow to read here.
const GLANCE: u64 = 1 << 10;

/// How often in a row it may take more before the counter is no longer used.
const MISSES_MAX: u32 = 1_000;

/// For how long a rate is measured. Between moments further apart the kernel's clock may have been
/// slewed.
const MEASURED_FOR: std::ops::RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(1);

/// How far two ways of telling the time may differ, beyond a thousandth.
const APART: Duration = Duration::from_micros(2);

/// Nanoseconds of 2^32 ticks; 0 while the rate is not known.
static RATE: AtomicU64 = AtomicU64::new(0);

/// Where the measurement of the rate began.
static BASE: Mutex<Option<Moment>> = Mutex::new(None);

static MISSES: AtomicU32 = AtomicU32::new(0);

thread_local! {
    static LATEST: Cell<Reading> = const { Cell::new(Reading { ticks: 0, time: Duration::ZERO, ahead: 0, rate: 0 }) };
}

/// One moment on both clocks.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Moment {
    ticks: u64,
    time: Duration,
}

/// The time that a thread told at a moment, and how it goes on from there.
#[derive(Clone, Copy)]
struct Reading {
    ticks: u64,
    time: Duration,
    /// How far ahead of the kernel's clock that was, in ticks: for so long the time stands still.
    ahead: u64,
    rate: u64,
}

/// Monotonic time since the machine was started, its sleeps left out.
pub(crate) fn now() -> Duration {
    let latest = LATEST.get();
    if latest.rate != 0 {
        let passed = ticks().wrapping_sub(latest.ticks);
        if passed < WINDOW {
            return latest.after(passed);
        }
    }
    look(latest)
}

fn ticks() -> u64 {
    // SAFETY: every x86-64 has the instruction. Where a process has forbidden it to itself it ends
    // here, by a signal.
    unsafe { _rdtsc() }
}

/// Reads both clocks.
#[cold]
fn look(latest: Reading) -> Duration {
    if !is_steady() || MISSES.load(Relaxed) > MISSES_MAX {
        return kernel_time().max(latest.after(WINDOW));
    }
    let (began, time, ended) = (ticks(), kernel_time(), ticks());
    let glance = ended.wrapping_sub(began);
    let moment = Moment { ticks: began.wrapping_add(glance / 2), time };
    // The latest time that this thread may have told up to that moment. What it has read from the
    // kernel's clock since is not later than this reading.
    let before = latest.after(moment.ticks.wrapping_sub(latest.ticks).min(WINDOW));
    if glance > GLANCE {
        MISSES.fetch_add(1, Relaxed);
        return time.max(before);
    }
    MISSES.store(0, Relaxed);
    let mut rate = RATE.load(Relaxed);
    if rate == 0 {
        rate = measure(moment);
    } else if rate == latest.rate && !latest.agrees(moment) {
        // This leaves the rate alone if another thread has noticed before, and measured.
        let _ = RATE.compare_exchange(rate, 0, Relaxed, Relaxed);
        rate = 0;
    }
    let reading = Reading::at(moment, before, rate);
    LATEST.set(reading);
    reading.time
}

/// The rate as measured by this moment; 0 while it is not known.
#[cold]
fn measure(moment: Moment) -> u64 {
    // If another thread measures now, this one leaves it to that thread.
    let Some(mut base) = BASE.try_lock() else { return 0 };
    let known = RATE.load(Relaxed);
    if known != 0 {
        return known;
    }
    let (next, rate) = moment.measure(*base);
    *base = next;
    RATE.store(rate, Relaxed);
    rate
}

/// Whether the processor says that its counter is a clock.
fn is_steady() -> bool {
    const POWER: u32 = 0x8000_0007;
    static STEADY: OnceLock<bool> = OnceLock::new();
    *STEADY.get_or_init(|| {
        // SAFETY: every x86-64 has the instruction; the highest number that may be asked for is
        // asked first.
        #[allow(unused_unsafe, reason = "safe in newer standard libraries")]
        unsafe {
            __cpuid(0x8000_0000).eax >= POWER && __cpuid(POWER).edx & 1 << 8 != 0
        }
    })
}

fn nanos(ticks: u64, rate: u64) -> u64 {
    ((u128::from(ticks) * u128::from(rate)) >> 32) as u64
}

impl Reading {
    /// The reading at a moment, if `before` has been told already.
    fn at(moment: Moment, before: Duration, rate: u64) -> Self {
        let ahead = before.saturating_sub(moment.time);
        let ticks = (ahead.as_nanos() << 32).checked_div(u128::from(rate)).unwrap_or(0);
        Self {
            ticks: moment.ticks,
            time: moment.time.max(before),
            ahead: u64::try_from(ticks).unwrap_or(u64::MAX),
            rate,
        }
    }

    /// The time so many ticks later, which are at most a window.
    fn after(self, ticks: u64) -> Duration {
        // Below 2^20 times below 2^42.
        let nanos = (ticks.saturating_sub(self.ahead).wrapping_mul(self.rate) >> 32) as u32;
        Duration::new(self.time.as_secs(), self.time.subsec_nanos().wrapping_add(nanos))
    }

    /// Whether a later moment is as the rate predicts.
    fn agrees(self, later: Moment) -> bool {
        let kernel = self.time.saturating_sub(Duration::from_nanos(nanos(self.ahead, self.rate)));
        let told = nanos(later.ticks.wrapping_sub(self.ticks), self.rate);
        let passed = later.time.saturating_sub(kernel);
        passed.abs_diff(Duration::from_nanos(told)) <= APART + passed / 1_024
    }
}

impl Moment {
    /// Where the next measurement begins, and the rate since `base`: 0 if it is not known yet.
    fn measure(self, base: Option<Self>) -> (Option<Self>, u64) {
        let Some(base) = base else { return (Some(self), 0) };
        let passed = self.time.saturating_sub(base.time);
        if passed < *MEASURED_FOR.start() {
            return (Some(base), 0);
        }
        let ticks = self.ticks.wrapping_sub(base.ticks);
        let rate = (passed.as_nanos() << 32).checked_div(u128::from(ticks)).unwrap_or(0);
        // A rate outside of 1 MHz to 20 GHz is not a processor's: the counter went on while the
        // machine slept, or began anew.
        if passed > *MEASURED_FOR.end() || !((1 << 32) / 20..=1_000 << 32).contains(&rate) {
            return (Some(self), 0);
        }
        (None, rate as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GHZ: u64 = 1 << 32;

    fn moment(ticks: u64, nanos: u64) -> Moment {
        Moment { ticks, time: Duration::from_nanos(nanos) }
    }

    /// Reads the time for so long, each reading between two of the kernel's clock.
    fn watch(length: Duration, allowed: Duration) {
        let (end, mut latest) = (kernel_time() + length, Duration::ZERO);
        loop {
            let (before, told, after) = (kernel_time(), now(), kernel_time());
            assert!(told + allowed >= before && told <= after + allowed, "{before:?} {told:?} {after:?}");
            assert!(told >= latest, "{told:?} after {latest:?}");
            latest = told;
            if before > end {
                return;
            }
        }
    }

    /// The rate, as soon as one other than `wrong` is known; 0 if this processor's counter is not
    /// used.
    fn rate_but(wrong: u64) -> u64 {
        for _ in 0..100 {
            watch(Duration::from_millis(20), Duration::from_millis(2));
            let known = RATE.load(Relaxed);
            if known != 0 && known != wrong {
                return known;
            }
        }
        assert!(!is_steady() || MISSES.load(Relaxed) > MISSES_MAX, "a rate is measured within two seconds");
        0
    }

    #[test]
    fn the_time_is_the_kernels_and_a_rate_that_turns_out_wrong_is_measured_anew() {
        let right = rate_but(0);
        watch(Duration::from_millis(20), 5 * APART);
        for wrong in [right * 2, right / 2, right + right / 10] {
            // Within a window the wrong rate is believed.
            RATE.store(wrong, Relaxed);
            let anew = rate_but(wrong);
            assert!(anew.abs_diff(right) <= right / 1_000, "{right}, {wrong}, {anew}");
            watch(Duration::from_millis(20), 5 * APART);
        }
    }

    #[test]
    fn threads_tell_the_same_time() {
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| watch(Duration::from_millis(20), Duration::from_millis(2)));
            }
        });
    }

    #[test]
    fn what_was_told_ahead_of_the_kernels_clock_is_waited_for_and_does_not_add_up() {
        let mut told = Reading::at(moment(0, 0), Duration::ZERO, GHZ);
        for window in 1..1_000 {
            // The kernel's clock goes slower by 100 ns a window than when the rate was measured.
            let next = moment(window * WINDOW, window * (WINDOW - 100));
            assert!(told.agrees(next));
            let before = told.after(WINDOW);
            told = Reading::at(next, before, GHZ);
            assert_eq!((told.time, told.after(50), told.after(told.ahead)), (before, before, before));
            assert!(told.time.saturating_sub(next.time) <= Duration::from_nanos(100), "{window}");
            assert_eq!(told.after(1_000), next.time + Duration::from_nanos(1_000));
        }
        assert_eq!(Reading::at(moment(5, 7), Duration::from_nanos(9), 0).after(WINDOW), Duration::from_nanos(9));
    }

    #[test]
    fn moments_agree_unless_the_machine_slept_or_another_rate_holds_between_them() {
        let first = Reading::at(moment(u64::MAX - 10, 5_000_000_000), Duration::from_nanos(5_000_000_300), GHZ);
        for (ticks, nanos, expected) in [
            (1_000, 1_000, true),
            (1_000, 2_999, true),
            (1_000, 3_100, false),
            (5_000, 1_000, false),
            (1_000_000_000, 1_000_900_000, true),
            (1_000_000_000, 1_002_000_000, false),
            // A counter that went on while the machine slept, and a counter that began anew.
            (60_000_000_000, 1_000_000, false),
            (u64::MAX - 1_000, 1_000_000, false),
        ] {
            let later = moment(first.ticks.wrapping_add(ticks), 5_000_000_000 + nanos);
            assert_eq!(first.agrees(later), expected, "{ticks} {nanos}");
        }
        let slow = Reading::at(moment(0, 1_999_999_999), Duration::ZERO, GHZ / 2);
        assert_eq!(slow.after(1_000_000), Duration::from_nanos(2_000_499_999));
    }

    #[test]
    fn a_rate_is_measured_between_moments_that_lie_neither_too_near_nor_too_far_apart() {
        let base = moment(7, 1_000);
        let later = |ticks: u64, nanos: u64| moment(base.ticks + ticks, 1_000 + nanos);
        assert_eq!(base.measure(None), (Some(base), 0));
        assert_eq!(later(9_999_999, 9_999_999).measure(Some(base)), (Some(base), 0));
        assert_eq!(later(40_000_000, 10_000_000).measure(Some(base)), (None, GHZ / 4));
        for late in [later(2_000_000_000, 1_000_000_001), later(0, 20_000_000), later(1_000, 20_000_000)] {
            assert_eq!(late.measure(Some(base)), (Some(late), 0), "{late:?}");
        }
    }
}
