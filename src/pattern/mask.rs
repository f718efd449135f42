//! Sets of the conditions of one rule.
//!
//! Invariant: a rule has 256 conditions at most, so that a bit stands for each.

/// A set of the rule's conditions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Mask([u64; 4]);

impl Mask {
    pub(super) fn set(&mut self, bit: usize) {
        self.0[bit / 64] |= 1 << (bit % 64);
    }

    pub(super) fn or(self, other: Mask) -> Mask {
        Mask(std::array::from_fn(|at| self.0[at] | other.0[at]))
    }

    pub(super) fn and(self, other: Mask) -> Mask {
        Mask(std::array::from_fn(|at| self.0[at] & other.0[at]))
    }

    pub(super) fn without(self, other: Mask) -> Mask {
        Mask(std::array::from_fn(|at| self.0[at] & !other.0[at]))
    }

    pub(super) fn is_empty(self) -> bool {
        self.0 == [0; 4]
    }
}
