//! A condition: a field and its alternatives. Patterns that name the same share one condition.

use super::{
    test::{Scalar, Test},
    values::{Effect, Effects, Values},
};

/// What satisfies a condition.
#[derive(Debug)]
pub(super) enum How {
    /// A value that is looked up.
    Found,
    /// Any value: one alternative is `exists: true`.
    Any,
    /// Any value that its one `anything-but` does not exclude. The excluded values are looked up.
    But,
    /// A value for which one of these holds: several alternatives, `anything-but` among them.
    Tested(Box<[Test]>),
}

#[derive(Debug)]
pub(super) struct Condition {
    pub(super) how: How,
    /// The place that it is about.
    pub(super) place: u32,
    /// One alternative is `exists: false`, so having no value satisfies it too.
    pub(super) absent: bool,
    /// Every alternative is `exists: false`.
    pub(super) never_present: bool,
    /// It stands in a rule with others, so array elements matter.
    pub(super) tracked: bool,
    /// The node of the rules that begin with this condition.
    pub(super) rules: u32,
    /// An estimate of how often it is satisfied: 0 is the least often.
    pub(super) rank: u8,
}

impl Condition {
    /// Whether the walk must look at it, as no value reports it.
    pub(super) fn is_lazy(&self) -> bool {
        self.absent || matches!(self.how, How::Any | How::But)
    }
}

/// A place in events that some pattern asks about.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) node: u32,
    pub(super) values: Values,
    /// Conditions that are tested with each value.
    pub(super) tested: Vec<u32>,
    /// Some condition must know how many values there are.
    pub(super) counts: bool,
    /// Some condition in a rule with others must know in which elements they are.
    pub(super) tracked: bool,
}

impl Place {
    pub(super) fn new(node: u32) -> Self {
        Self { node, values: Values::default(), tested: Vec::new(), counts: false, tracked: false }
    }

    /// Adds the condition with this number.
    pub(super) fn add(
        &mut self,
        own: (u32, u32),
        tests: &[Test],
        effects: &mut Effects,
        wildcards: &mut u32,
    ) -> Condition {
        let (place, condition) = own;
        let absent = tests.contains(&Test::Exists(false));
        let present: Vec<&Test> = tests.iter().filter(|test| **test != Test::Exists(false)).collect();
        let mut look_up = |test: &Test, excludes: bool| {
            self.values.add(test, Effect { condition, excludes }, effects, wildcards);
        };
        let how = if present.contains(&&Test::Exists(true)) {
            How::Any
        } else if let [Test::But(excluded)] = present[..] {
            excluded.iter().for_each(|test| look_up(test, true));
            How::But
        } else if present.iter().any(|test| matches!(test, Test::But(_))) {
            self.tested.push(condition);
            How::Tested(present.iter().map(|test| (*test).clone()).collect())
        } else {
            present.iter().for_each(|test| look_up(test, false));
            How::Found
        };
        let rank = match (&how, &present[..]) {
            (How::Found, [Test::Text(_) | Test::Number(_)]) => 0,
            (How::Found, tests) if !tests.iter().any(|test| matches!(test, Test::Numeric(_))) => 1,
            (How::Found, _) => 2,
            _ => 3,
        };
        self.counts |= absent || matches!(how, How::Any | How::But);
        Condition {
            how,
            place,
            absent,
            never_present: present.is_empty(),
            tracked: false,
            rules: super::trie::NONE,
            rank,
        }
    }
}

/// Whether any of the tests holds.
pub(super) fn any_holds(tests: &[Test], scalar: Scalar<'_>) -> bool {
    tests.iter().any(|test| test.holds(scalar))
}
