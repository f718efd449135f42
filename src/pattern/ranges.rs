//! Ranges of numbers. The time to find those that hold a number follows how many these are.
//!
//! The ranges are in the order of their lower bounds. A tree over them, kept without pointers,
//! knows the highest upper bound of each part. New ranges wait unordered at the end until they are
//! enough to pay for sorting.
//!
//! Invariant: `highest` is up to date for the ordered ranges.

use super::{test::Endpoint, values::Map};

#[derive(Debug, Default)]
pub(super) struct Ranges {
    known: Map<(u64, u64), u32>,
    ranges: Vec<Range>,
    /// How many of them are in order, from the first.
    ordered: usize,
    /// For the middle of each ordered part: the highest upper bound of the part.
    highest: Vec<u64>,
}

/// A range that includes both bounds. Doubles are mapped to integers that have the same order.
#[derive(Clone, Copy, Debug)]
struct Range {
    low: u64,
    high: u64,
    list: u32,
}

impl Ranges {
    pub(super) fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The list of a range that is known already. `None` if the range is new, and then it has the
    /// list that `new` makes.
    pub(super) fn list(
        &mut self,
        low: Option<&Endpoint>,
        high: Option<&Endpoint>,
        new: impl FnOnce() -> u32,
    ) -> Option<u32> {
        let low = low.map_or(0, |bound| key(bound.number.value) + u64::from(!bound.inclusive));
        let high = high.map_or(u64::MAX, |bound| key(bound.number.value) - u64::from(!bound.inclusive));
        if let Some(&list) = self.known.get(&(low, high)) {
            return Some(list);
        }
        let list = new();
        self.known.insert((low, high), list);
        self.ranges.push(Range { low, high, list });
        if self.ranges.len() - self.ordered > 16 + self.ordered / 4 {
            self.order();
        }
        None
    }

    fn order(&mut self) {
        self.ranges.sort_unstable_by_key(|range| range.low);
        self.ordered = self.ranges.len();
        self.highest.clear();
        self.highest.resize(self.ordered, 0);
        fill(&self.ranges, &mut self.highest);
    }

    pub(super) fn find(&self, value: f64, found: &mut impl FnMut(u32)) {
        let value = key(value);
        let (ordered, waiting) = self.ranges.split_at(self.ordered);
        stab(ordered, &self.highest, value, found);
        waiting.iter().filter(|range| range.low <= value && value <= range.high).for_each(|range| found(range.list));
    }
}

fn fill(ranges: &[Range], highest: &mut [u64]) -> u64 {
    if ranges.is_empty() {
        return 0;
    }
    let middle = ranges.len() / 2;
    let (before, rest) = highest.split_at_mut(middle);
    let left = fill(&ranges[..middle], before);
    let right = fill(&ranges[middle + 1..], &mut rest[1..]);
    rest[0] = left.max(right).max(ranges[middle].high);
    rest[0]
}

fn stab(ranges: &[Range], highest: &[u64], value: u64, found: &mut impl FnMut(u32)) {
    let middle = ranges.len() / 2;
    if ranges.is_empty() || highest[middle] < value {
        return;
    }
    stab(&ranges[..middle], &highest[..middle], value, found);
    let range = ranges[middle];
    if range.low <= value {
        if value <= range.high {
            found(range.list);
        }
        stab(&ranges[middle + 1..], &highest[middle + 1..], value, found);
    }
}

/// A number that grows with the double. It is neither 0 nor `u64::MAX` for finite doubles, so a
/// bound may step by one.
fn key(value: f64) -> u64 {
    let bits = value.to_bits();
    if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }
}
