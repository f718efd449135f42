//! The time between two readings of the kernel's clock, by the processor's counter of ticks (x86-64).
//!
//! The kernel's clock takes 17 ns a reading, the counter and what makes a time of it 8; an invocation reads the time twice, each call of a host function
//! once. A thread keeps the moment at which it last read both, and tells the time from there by the counter alone for [`WINDOW`] ticks. How long a tick is,
//! is measured over 10 ms, and held against the kernel's clock whenever a thread reads both again. Measured over 3 million readings: 30 ns apart
//! at most.
//!
//! What this rests on: the counter runs at one rate, the same on all cores, and goes on while they sleep. CPUID says whether it does (Intel SDM, volume 3,
//! "Invariant TSC"), and the kernel's own clock rests on it too. Where it does not after all, because the machine slept or was moved, a time is wrong by less than a
//! window, as a reading that is not within one asks the kernel; the next such finds out, and until the rate has been measured anew, all ask the
//! kernel.
//!
//! Invariant: on one thread the time goes back only where the counter was wrong.

use std::{
    arch::x86_64::{__cpuid, _rdtsc},
    cell::Cell,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use parking_lot::Mutex;

use super::kernel_time;

/// Ticks for which a moment serves: 0.2 to 1 ms.
const WINDOW: u64 = 1 << 20;

/// Ticks that reading the kernel's clock may take: else the thread was interrupted in it, or the counter is dear to read here.
const GLANCE: u64 = 1 << 10;

/// For how long a rate is measured. Between moments that lie further apart the machine may have slept, or the kernel's clock have been slewed.
const MEASURED_FOR: std::ops::RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(1);

/// How far two ways of telling the time may differ, beside a thousandth.
const APART: Duration = Duration::from_micros(2);

/// Nanoseconds of 2^32 ticks; 0 while that is not known.
static RATE: AtomicU64 = AtomicU64::new(0);

/// Where the measurement of the rate began.
static BASE: Mutex<Option<Moment>> = Mutex::new(None);

thread_local! {
    static LATEST: Cell<Moment> = const { Cell::new(Moment { ticks: 0, time: Duration::ZERO }) };
}

/// One moment on both clocks.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Moment {
    ticks: u64,
    time: Duration,
}

/// Monotonic time since the machine was started, its sleeps left out.
pub(crate) fn now() -> Duration {
    let rate = RATE.load(Relaxed);
    if rate != 0 {
        let latest = LATEST.get();
        let passed = ticks().wrapping_sub(latest.ticks);
        if passed < WINDOW {
            return latest.after(passed, rate);
        }
    }
    look()
}

fn ticks() -> u64 {
    // SAFETY: every x86-64 has the instruction. A process for which it is forbidden could not read the kernel's clock either, which is told by it.
    unsafe { _rdtsc() }
}

/// Reads both clocks.
#[cold]
fn look() -> Duration {
    if !is_steady() {
        return kernel_time();
    }
    let (began, time, ended) = (ticks(), kernel_time(), ticks());
    let glance = ended.wrapping_sub(began);
    if glance > GLANCE {
        return time;
    }
    let mut moment = Moment { ticks: began.wrapping_add(glance / 2), time };
    let (latest, rate) = (LATEST.get(), RATE.load(Relaxed));
    if rate == 0 {
        // Who finds it held leaves it to the other.
        if let Some(mut base) = BASE.try_lock() {
            let (next, measured) = moment.measure(*base);
            *base = next;
            RATE.store(measured, Relaxed);
        }
    } else if latest.ticks != 0 {
        if latest.agrees(moment, rate) {
            // What has been answered since then was not beyond this.
            let passed = moment.ticks.wrapping_sub(latest.ticks).min(WINDOW);
            moment.time = moment.time.max(latest.after(passed, rate));
        } else {
            RATE.store(0, Relaxed);
        }
    }
    LATEST.set(moment);
    moment.time
}

/// Whether the processor says that its counter is a clock.
fn is_steady() -> bool {
    const POWER: u32 = 0x8000_0007;
    static STEADY: OnceLock<bool> = OnceLock::new();
    *STEADY.get_or_init(|| {
        // SAFETY: every x86-64 has the instruction; the highest number that may be asked for is asked first.
        #[allow(unused_unsafe, reason = "safe in newer standard libraries")]
        unsafe {
            __cpuid(0x8000_0000).eax >= POWER && __cpuid(POWER).edx & 1 << 8 != 0
        }
    })
}

impl Moment {
    /// The time so many ticks later, at most a window.
    fn after(self, ticks: u64, rate: u64) -> Duration {
        // Below 2^20 times below 2^43, as long as a tick is shorter than 2 us.
        let nanos = (ticks.wrapping_mul(rate) >> 32) as u32;
        Duration::new(self.time.as_secs(), self.time.subsec_nanos().wrapping_add(nanos))
    }

    /// Whether the later moment is where the rate says.
    fn agrees(self, later: Self, rate: u64) -> bool {
        let ticks = later.ticks.wrapping_sub(self.ticks);
        let told = ((u128::from(ticks) * u128::from(rate)) >> 32) as u64;
        let passed = later.time.saturating_sub(self.time);
        passed.abs_diff(Duration::from_nanos(told)) <= APART + passed / 1_024
    }

    /// The rate since `base`, and where the next measurement begins; 0 if there is none yet.
    fn measure(self, base: Option<Self>) -> (Option<Self>, u64) {
        let Some(base) = base else { return (Some(self), 0) };
        let passed = self.time.saturating_sub(base.time);
        if passed < *MEASURED_FOR.start() {
            return (Some(base), 0);
        }
        let ticks = self.ticks.wrapping_sub(base.ticks);
        let rate = (passed.as_nanos() << 32).checked_div(u128::from(ticks)).unwrap_or(0);
        // A tick of more than a microsecond is none.
        if passed > *MEASURED_FOR.end() || rate == 0 || rate > 1_000 << 32 {
            return (Some(self), 0);
        }
        (None, rate as u64)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that unwraps fails with the error")]
mod tests {
    use super::*;

    const GHZ: u64 = 1 << 32;

    fn moment(ticks: u64, nanos: u64) -> Moment {
        Moment { ticks, time: Duration::from_nanos(nanos) }
    }

    /// Reads the time for so long, each time between two readings of the kernel's clock.
    fn watch(length: Duration, allowed: Duration) {
        let (end, mut latest) = (kernel_time() + length, Duration::ZERO);
        loop {
            let (before, told, after) = (kernel_time(), now(), kernel_time());
            assert!(told + allowed >= before && told <= after + allowed, "{before:?} {told:?} {after:?}");
            assert!(told + allowed / 2 >= latest, "{told:?} after {latest:?}");
            latest = told;
            if before > end {
                return;
            }
        }
    }

    #[test]
    fn the_time_is_the_kernels_and_a_rate_that_turns_out_wrong_is_measured_anew() {
        let apart = 5 * APART;
        watch(Duration::from_millis(40), apart);
        if !is_steady() || RATE.load(Relaxed) == 0 {
            return;
        }
        let right = RATE.load(Relaxed);
        for wrong in [right * 2, right / 2, right + right / 100] {
            RATE.store(wrong, Relaxed);
            // Within a window it is believed.
            watch(Duration::from_millis(40), Duration::from_millis(2));
            watch(Duration::from_millis(40), apart);
            let anew = RATE.load(Relaxed);
            assert!(anew.abs_diff(right) < right / 1_000, "{right}, {wrong}, {anew}");
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
    fn moments_agree_unless_the_machine_slept_or_another_rate_holds_between_them() {
        let first = moment(u64::MAX - 10, 5_000_000_000);
        for (ticks, nanos, expected) in [
            (1_000, 1_000, true),
            (1_000, 2_999, true),
            (1_000, 3_100, false),
            (5_000, 1_000, false),
            (1_000_000_000, 1_000_900_000, true),
            (1_000_000_000, 1_002_000_000, false),
            // A counter that went on while the machine slept, and one that began anew.
            (60_000_000_000, 1_000_000, false),
            (u64::MAX - 1_000, 1_000_000, false),
        ] {
            let later = moment(first.ticks.wrapping_add(ticks), 5_000_000_000 + nanos);
            assert_eq!(first.agrees(later, GHZ), expected, "{ticks} {nanos}");
        }
        assert_eq!(first.after(1_000_000, GHZ / 2), Duration::from_nanos(5_000_500_000));
        assert_eq!(moment(0, 1_999_999_999).after(2, GHZ), Duration::from_nanos(2_000_000_001));
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
