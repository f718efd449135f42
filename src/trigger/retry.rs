//! How often, how long and at what distances a delivery is tried.
//!
//! Invariant: the distances follow from the seed, the delivery and the count of failures alone, so that a run can be repeated
//! whichever threads do the work.

use std::time::Duration;

/// How a failed delivery is tried again: the distance between attempts, and where it ends.
///
/// Ages and distances are times of the runtime's clock: a night that the process is not running ages nothing.
///
/// ```
/// use std::time::Duration;
/// use dormouse::{Retry, Trigger};
///
/// let trigger = Trigger::on("order.created")
///     .to("charge")
///     .retry(Retry::exponential(Duration::from_secs(1)).at_most(Duration::from_secs(60)).attempts(8));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    shape: Shape,
    first: Duration,
    longest: Duration,
    attempts: u32,
    age: Duration,
    jitter: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Fixed,
    Linear,
    Exponential,
}

impl Retry {
    fn new(shape: Shape, first: Duration) -> Self {
        let longest = Duration::from_secs(300).max(first);
        Self { shape, first, longest, attempts: 3, age: Duration::from_secs(3_600), jitter: true }
    }

    /// The same distance each time.
    pub fn fixed(distance: Duration) -> Self {
        Self::new(Shape::Fixed, distance)
    }

    /// Distances of once, twice, three times the first.
    pub fn linear(first: Duration) -> Self {
        Self::new(Shape::Linear, first)
    }

    /// Distances that double, beginning with the first.
    pub fn exponential(first: Duration) -> Self {
        Self::new(Shape::Exponential, first)
    }

    /// One attempt, and no other.
    pub fn never() -> Self {
        Self::fixed(Duration::ZERO).attempts(1)
    }

    /// Runs at most, the first included; default 3, and never less than 1. What is refused before the guest runs, as
    /// [`Busy`](crate::InvokeErrorKind::Busy), is tried again and does not count.
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts.max(1);
        self
    }

    /// How old a delivery may become, counted from its publishing; default 1 hour. Waiting for a function that is not deployed counts.
    pub fn age(mut self, age: Duration) -> Self {
        self.age = age;
        self
    }

    /// The longest distance; default 5 minutes, or the first distance if that is longer.
    pub fn at_most(mut self, longest: Duration) -> Self {
        self.longest = longest;
        self
    }

    /// Distances exactly as computed. By default each is shortened by a random part, up to half of it, so that what failed together is not
    /// tried again together. The random numbers come from [`RuntimeBuilder::seed`](crate::RuntimeBuilder::seed).
    pub fn without_jitter(mut self) -> Self {
        self.jitter = false;
        self
    }

    pub(crate) fn attempts_max(&self) -> u32 {
        self.attempts
    }

    pub(crate) fn age_max(&self) -> Duration {
        self.age
    }

    /// The distance after so many failures, 1 or more.
    pub(crate) fn distance(&self, failures: u32, random: u64) -> Duration {
        let times = match self.shape {
            Shape::Fixed => 1,
            Shape::Linear => failures,
            Shape::Exponential => 1 << (failures - 1).min(31),
        };
        let whole = self.first.saturating_mul(times).min(self.longest);
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

/// A random number that follows from three others: splitmix64 over their mixture.
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

    fn distances(retry: &Retry) -> [u64; 5] {
        [1, 2, 3, 4, 5].map(|failures| retry.distance(failures, 0).as_millis() as u64)
    }

    #[test]
    fn distances_grow_as_their_shape_says_up_to_the_longest() {
        let (first, longest) = (Duration::from_secs(1), Duration::from_secs(4));
        assert_eq!(distances(&Retry::fixed(first).at_most(longest)), [1_000; 5]);
        assert_eq!(distances(&Retry::linear(first).at_most(longest)), [1_000, 2_000, 3_000, 4_000, 4_000]);
        assert_eq!(distances(&Retry::exponential(first).at_most(longest)), [1_000, 2_000, 4_000, 4_000, 4_000]);
        let forever = Retry::exponential(Duration::MAX).at_most(Duration::MAX);
        assert_eq!(forever.without_jitter().distance(u32::MAX, 7), Duration::MAX);
    }

    #[test]
    fn jitter_takes_up_to_half_and_follows_from_the_seed() {
        let retry = Retry::fixed(Duration::from_secs(1));
        let all: Vec<_> = (0..1_000).map(|id| retry.distance(1, random(7, id, 1))).collect();
        assert!(all.iter().all(|time| (Duration::from_millis(500)..=Duration::from_secs(1)).contains(time)));
        let mean = all.iter().sum::<Duration>() / 1_000;
        assert!((Duration::from_millis(730)..Duration::from_millis(770)).contains(&mean), "{mean:?}");
        assert_ne!(random(7, 3, 1), random(8, 3, 1));
        assert_ne!(retry.distance(1, random(7, 3, 1)), retry.distance(1, random(7, 3, 2)));
    }
}
