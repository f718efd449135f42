//! How often and for how long a delivery is retried, and the delays between its attempts.
//!
//! Invariant: a delay follows from the seed, the delivery and its count of failures alone. So a run
//! can be repeated, whichever threads do the work.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How a failed delivery is retried: the delay before each attempt, and when the runtime gives up.
///
/// Ages and delays are times of the runtime's clock. They do not grow while the process is not
/// running.
///
/// ```
/// use std::time::Duration;
/// use dormouse::{Retry, Trigger};
///
/// let (delay, max_delay) = (Duration::from_secs(1), Duration::from_secs(60));
/// let retry = Retry::exponential(delay).max_delay(max_delay).attempts(8);
/// let trigger = Trigger::on("order.created").to("charge").retry(retry);
/// ```
///
/// Serde has it as a map, in which each field that is absent keeps its default and an unknown field
/// is an error. The durations are in the form that serde has for [`Duration`].
///
/// ```
/// # use {dormouse::Retry, std::time::Duration};
/// let json = r#"{"shape": "fixed", "delay": {"secs": 5, "nanos": 0}, "attempts": 8}"#;
/// assert_eq!(serde_json::from_str::<Retry>(json)?, Retry::fixed(Duration::from_secs(5)).attempts(8));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "Given", into = "Given")]
pub struct Retry {
    shape: Shape,
    delay: Duration,
    max_delay: Duration,
    attempts: u32,
    max_age: Duration,
    jitter: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Shape {
    Fixed,
    Linear,
    Exponential,
}

impl Retry {
    fn new(shape: Shape, delay: Duration) -> Self {
        let max_delay = Duration::from_secs(300).max(delay);
        Self { shape, delay, max_delay, attempts: 3, max_age: Duration::from_secs(3_600), jitter: true }
    }

    /// The same delay before each attempt.
    pub fn fixed(delay: Duration) -> Self {
        Self::new(Shape::Fixed, delay)
    }

    /// Delays of once, twice, three times the given one.
    pub fn linear(delay: Duration) -> Self {
        Self::new(Shape::Linear, delay)
    }

    /// Delays that double, beginning with the given one.
    pub fn exponential(delay: Duration) -> Self {
        Self::new(Shape::Exponential, delay)
    }

    /// One attempt, without retries.
    pub fn never() -> Self {
        Self::fixed(Duration::ZERO).attempts(1)
    }

    /// How often the function may run, the first attempt included. The default is 3, and 0 counts
    /// as 1.
    ///
    /// An attempt that is refused before the guest runs, as [`Busy`](crate::InvokeErrorKind::Busy)
    /// is, does not count.
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts.max(1);
        self
    }

    /// How old a delivery may become after its publishing. The default is 1 hour. The time that a
    /// delivery waits for a function that is not deployed counts.
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = age;
        self
    }

    /// The longest delay. The default is 5 minutes, or the first delay if that is longer.
    pub fn max_delay(mut self, delay: Duration) -> Self {
        self.max_delay = delay;
        self
    }

    /// Uses the delays exactly as computed.
    ///
    /// By default each delay is shortened by a random part, up to half of it. So deliveries that
    /// failed together are not retried together. The random numbers come from
    /// [`RuntimeBuilder::seed`](crate::RuntimeBuilder::seed).
    pub fn without_jitter(mut self) -> Self {
        self.jitter = false;
        self
    }

    pub(crate) fn attempts_max(&self) -> u32 {
        self.attempts
    }

    pub(crate) fn age_max(&self) -> Duration {
        self.max_age
    }

    /// The delay after so many failures, 1 or more.
    pub(crate) fn delay_after(&self, failures: u32, random: u64) -> Duration {
        let times = match self.shape {
            Shape::Fixed => 1,
            Shape::Linear => failures,
            Shape::Exponential => 1 << (failures - 1).min(31),
        };
        let whole = self.delay.saturating_mul(times).min(self.max_delay);
        if !self.jitter {
            return whole;
        }
        // The upper 32 bits of the random number, as a part of one half.
        whole - whole.mul_f64((random >> 32) as f64 / (1u64 << 33) as f64)
    }
}

/// Exponential from 1 s up to 5 minutes, 3 attempts within 1 hour.
impl Default for Retry {
    fn default() -> Self {
        Self::exponential(Duration::from_secs(1))
    }
}

/// A [`Retry`] as serde has it: the same fields, each optional, for formats that name no fields as
/// well.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    shape: Option<Shape>,
    delay: Option<Duration>,
    max_delay: Option<Duration>,
    attempts: Option<u32>,
    max_age: Option<Duration>,
    jitter: Option<bool>,
}

impl From<Given> for Retry {
    fn from(given: Given) -> Self {
        let default = Self::default();
        let mut retry = Self::new(given.shape.unwrap_or(default.shape), given.delay.unwrap_or(default.delay));
        retry.max_delay = given.max_delay.unwrap_or(retry.max_delay);
        retry.max_age = given.max_age.unwrap_or(retry.max_age);
        retry.jitter = given.jitter.unwrap_or(retry.jitter);
        let attempts = given.attempts.unwrap_or(retry.attempts);
        retry.attempts(attempts)
    }
}

impl From<Retry> for Given {
    fn from(retry: Retry) -> Self {
        Self {
            shape: Some(retry.shape),
            delay: Some(retry.delay),
            max_delay: Some(retry.max_delay),
            attempts: Some(retry.attempts),
            max_age: Some(retry.max_age),
            jitter: Some(retry.jitter),
        }
    }
}

/// A random number that follows from three others alone: splitmix64 over their mixture.
pub(crate) fn random(seed: u64, a: u64, b: u64) -> u64 {
    let mut mixed = seed;
    for part in [a, b] {
        mixed = mixed.wrapping_add(part).wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
    }
    mixed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delays(retry: &Retry) -> [u64; 5] {
        [1, 2, 3, 4, 5].map(|failures| retry.delay_after(failures, 0).as_millis() as u64)
    }

    #[test]
    fn delays_grow_as_their_shape_says_up_to_the_longest() {
        let (first, longest) = (Duration::from_secs(1), Duration::from_secs(4));
        assert_eq!(delays(&Retry::fixed(first).max_delay(longest)), [1_000; 5]);
        assert_eq!(delays(&Retry::linear(first).max_delay(longest)), [1_000, 2_000, 3_000, 4_000, 4_000]);
        assert_eq!(delays(&Retry::exponential(first).max_delay(longest)), [1_000, 2_000, 4_000, 4_000, 4_000]);
        let forever = Retry::exponential(Duration::MAX).max_delay(Duration::MAX);
        assert_eq!(forever.without_jitter().delay_after(u32::MAX, 7), Duration::MAX);
    }

    #[test]
    fn jitter_takes_up_to_half_and_follows_from_the_seed() {
        let retry = Retry::fixed(Duration::from_secs(1));
        let all: Vec<_> = (0..1_000).map(|id| retry.delay_after(1, random(7, id, 1))).collect();
        assert!(all.iter().all(|time| (Duration::from_millis(500)..=Duration::from_secs(1)).contains(time)));
        let mean = all.iter().sum::<Duration>() / 1_000;
        assert!((Duration::from_millis(730)..Duration::from_millis(770)).contains(&mean), "{mean:?}");
        assert_ne!(random(7, 3, 1), random(8, 3, 1));
        assert_ne!(retry.delay_after(1, random(7, 3, 1)), retry.delay_after(1, random(7, 3, 2)));
    }
}
