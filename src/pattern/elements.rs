//! Array consistency: two fields of a pattern must not be taken from different elements of the same
//! array.
//!
//! The elements of an event's arrays form a tree: each lies in an element of the array around it,
//! up to the event itself. Each value lies in one element.
//!
//! A rule holds if its conditions can choose values from at most one element of each array, with
//! what lies in that element. A condition that wants a field absent holds if no value of the field
//! agrees with that choice. A value agrees if it lies in a chosen element, or in an array of which
//! no element is chosen.
//!
//! One walk down the tree decides that. At each element, an array must satisfy the conditions that
//! nothing else within the element can. Without repeated keys these are all conditions on that
//! array. So an element satisfies all of them or is useless, and the walk looks at each element
//! once.
//!
//! With repeated keys, two arrays may share the conditions. Then the walk keeps several ways, and
//! drops each way that another is as good as. Finding one can take any number of steps, so the
//! number is bounded.

use std::ops::Range;

use super::{MatchError, Matcher, condition::How, engine::Engine, mask::Mask, matcher::Occurrence, trie::NONE};

/// The most ways that are compared for one event, beyond the one way of an event without repeated
/// keys.
const STEPS_MAX: usize = 1 << 20;

/// An element of an array.
#[derive(Clone, Copy, Debug)]
pub(super) struct Element {
    /// The element around it.
    pub(super) parent: u32,
    pub(super) array: u32,
}

/// The buffers of a search, kept from one to the next.
#[derive(Debug, Default)]
pub(super) struct Elements {
    /// For each element of the event: the number of the last search that met it, and its node in
    /// that search.
    known: Vec<(u64, u32)>,
    searches: u64,
    met: Vec<u32>,
    nodes: Vec<Node>,
    ways: Vec<Way>,
    /// The elements chosen so far, for each condition; [`NONE`] for absence.
    chosen: Vec<u32>,
    steps: usize,
    /// Conditions that hold only if the field is absent.
    never: Mask,
}

/// An element that holds a value of the rule, or has such an element below it.
#[derive(Clone, Copy, Debug)]
struct Node {
    parent: u32,
    array: u32,
    /// The first element within it, and the next one beside it.
    first: u32,
    next: u32,
    /// Conditions that a value of this element itself satisfies, and conditions that want a field
    /// absent which is here.
    own: Here,
    /// The same with all elements below.
    all: Here,
}

#[derive(Clone, Copy, Debug, Default)]
struct Here {
    has: Mask,
    present: Mask,
}

/// A way to choose values.
#[derive(Clone, Copy, Debug, Default)]
struct Way {
    /// Conditions that it satisfies.
    has: Mask,
    /// Conditions that want a field absent of which a value agrees with it.
    present: Mask,
    /// Whether a value was chosen at all.
    chosen: bool,
}

impl Matcher {
    /// Whether conditions that may hold one by one hold together.
    pub(super) fn is_consistent(&mut self, engine: &Engine, conditions: &[u32]) -> Result<bool, MatchError> {
        if self.elements.len() == 1 {
            return Ok(true);
        }
        if let [condition] = conditions {
            return Ok(self.holds(engine, *condition));
        }
        // A value outside all arrays agrees with everything. So does a field that the event does
        // not have.
        let loose = conditions.iter().filter(|&&condition| !self.is_outside(engine, condition)).count();
        if loose < 2 && conditions.iter().all(|&condition| self.holds(engine, condition)) {
            return Ok(true);
        }
        let mut room = std::mem::take(&mut self.consistency);
        let consistent = room.search(self, engine, conditions);
        self.consistency = room;
        consistent
    }

    fn is_outside(&self, engine: &Engine, condition: u32) -> bool {
        let of = &engine.conditions[condition as usize];
        let (met, values) = (self.condition(condition), self.place(of.place));
        let outside = |entry: u32| self.log.get(entry as usize).is_some_and(|entry| entry.element == 0);
        match of.how {
            _ if of.absent && values.count == 0 => true,
            How::Found | How::Tested(_) => outside(met.last),
            How::Any => outside(values.last),
            How::But => met.count == 0 && outside(values.last),
        }
    }

    fn entries(&self, last: u32) -> impl Iterator<Item = Occurrence> {
        let mut next = last;
        std::iter::from_fn(move || {
            let entry = *self.log.get(next as usize)?;
            next = entry.before;
            Some(entry)
        })
    }

    /// The elements of the values that satisfy a condition.
    fn elements_of(&self, engine: &Engine, condition: u32) -> impl Iterator<Item = u32> {
        let of = &engine.conditions[condition as usize];
        let (met, values) = (self.condition(condition).last, self.place(of.place).last);
        let (last, excluded) = match of.how {
            How::Found | How::Tested(_) => (met, NONE),
            How::Any => (values, NONE),
            How::But => (values, met),
        };
        // Both logs run from the last value to the first.
        let mut excluded = self.entries(excluded).peekable();
        self.entries(last).filter_map(move |entry| {
            (excluded.next_if(|excluded| excluded.value == entry.value).is_none()).then_some(entry.element)
        })
    }

    /// Whether values of two elements may be taken together: their ways up must part at different
    /// arrays.
    fn agree(&self, mut one: u32, mut other: u32) -> bool {
        let (mut from_one, mut from_other) = (NONE, NONE);
        while one != other {
            // An element has a greater number than the element around it.
            if one > other {
                (from_one, one) = (one, self.elements[one as usize].parent);
            } else {
                (from_other, other) = (other, self.elements[other as usize].parent);
            }
        }
        let array = |from: u32| self.elements.get(from as usize).map(|element| element.array);
        array(from_one).is_none() || array(from_other).is_none() || array(from_one) != array(from_other)
    }

    /// The elements of the values that a condition wants absent.
    fn elements_against(&self, engine: &Engine, condition: u32) -> impl Iterator<Item = u32> {
        let of = &engine.conditions[condition as usize];
        let last = if of.absent { self.place(of.place).last } else { NONE };
        self.entries(last).map(|entry| entry.element)
    }
}

impl Elements {
    /// Begins an event.
    pub(super) fn begin(&mut self) {
        self.steps = 0;
    }

    fn search(&mut self, matcher: &Matcher, engine: &Engine, conditions: &[u32]) -> Result<bool, MatchError> {
        self.plant(matcher, engine, conditions);
        let (mut must, mut may_lack) = (Mask::default(), Mask::default());
        self.never = Mask::default();
        for (bit, &condition) in conditions.iter().enumerate() {
            let of = &engine.conditions[condition as usize];
            if of.never_present {
                self.never.set(bit);
            } else if of.absent {
                may_lack.set(bit);
            } else {
                must.set(bit);
            }
        }
        if self.nodes[0].all.present.is_empty() || !self.overlaps() {
            self.ways.clear();
            self.solve(0, must, must.or(may_lack), may_lack)?;
            return Ok(!self.ways.is_empty());
        }
        self.chosen.clear();
        self.try_all(matcher, engine, conditions)
    }

    /// Whether a condition is satisfied in two arrays of one element, or in one array and in the
    /// element itself. Only repeated keys make that possible.
    fn overlaps(&self) -> bool {
        self.nodes.iter().any(|node| {
            let (mut seen, mut next) = (node.own.has, node.first);
            while next != NONE {
                let (array, after) = self.array(next);
                if !seen.and(array.has).is_empty() {
                    return true;
                }
                seen = seen.or(array.has);
                next = after;
            }
            false
        })
    }

    /// Tries each value for each condition.
    ///
    /// A choice in an array hides the array's other elements. So if a condition has several places
    /// to choose from and another wants a field absent, a larger choice is not better, and nothing
    /// can be pruned.
    fn try_all(&mut self, matcher: &Matcher, engine: &Engine, conditions: &[u32]) -> Result<bool, MatchError> {
        let agrees =
            |chosen: &[u32], element: u32| chosen.iter().all(|&other| other == NONE || matcher.agree(element, other));
        let Some(&condition) = conditions.get(self.chosen.len()) else {
            let gone = |(&condition, &choice): (&u32, &u32)| {
                choice != NONE
                    || !matcher.elements_against(engine, condition).any(|element| agrees(&self.chosen, element))
            };
            return Ok(conditions.iter().zip(&self.chosen).all(gone));
        };
        let absent = engine.conditions[condition as usize].absent.then_some(NONE);
        for element in matcher.elements_of(engine, condition).chain(absent) {
            self.step(1)?;
            if element == NONE || agrees(&self.chosen, element) {
                self.chosen.push(element);
                if self.try_all(matcher, engine, conditions)? {
                    return Ok(true);
                }
                self.chosen.pop();
            }
        }
        Ok(false)
    }

    /// Builds the tree of the elements that matter to a rule. Elements have greater numbers than
    /// those around them.
    fn plant(&mut self, matcher: &Matcher, engine: &Engine, conditions: &[u32]) {
        self.searches += 1;
        let Self { known, searches, met, nodes, .. } = self;
        if known.len() < matcher.elements.len() {
            known.resize(matcher.elements.len(), (0, 0));
        }
        met.clear();
        let mut meet = |mut element: u32| {
            while element != NONE && known[element as usize].0 != *searches {
                known[element as usize].0 = *searches;
                met.push(element);
                element = matcher.elements[element as usize].parent;
            }
        };
        meet(0);
        for &condition in conditions {
            matcher.elements_of(engine, condition).for_each(&mut meet);
            matcher.elements_against(engine, condition).for_each(&mut meet);
        }
        met.sort_unstable();
        nodes.clear();
        for (at, &element) in met.iter().enumerate() {
            known[element as usize].1 = at as u32;
            let Element { parent, array } = matcher.elements[element as usize];
            let parent = known.get(parent as usize).map_or(NONE, |known| known.1);
            nodes.push(Node { parent, array, first: NONE, next: NONE, own: Here::default(), all: Here::default() });
        }
        for (bit, &condition) in conditions.iter().enumerate() {
            for element in matcher.elements_of(engine, condition) {
                nodes[known[element as usize].1 as usize].own.has.set(bit);
            }
            for element in matcher.elements_against(engine, condition) {
                nodes[known[element as usize].1 as usize].own.present.set(bit);
            }
        }
        for at in (0..nodes.len()).rev() {
            let node = &mut nodes[at];
            node.all = node.all.or(node.own);
            let Node { all, parent, .. } = *node;
            if parent != NONE {
                let next = std::mem::replace(&mut nodes[parent as usize].first, at as u32);
                nodes[at].next = next;
                let around = &mut nodes[parent as usize];
                around.all = around.all.or(all);
            }
        }
    }

    /// Appends the ways to choose within an element. Each satisfies all of `must`, and as many as
    /// possible of `want`, which includes `must`. Each condition of `settle` is satisfied or absent
    /// in the end.
    fn solve(&mut self, at: u32, must: Mask, want: Mask, settle: Mask) -> Result<(), MatchError> {
        let start = self.ways.len();
        let Node { own, first, .. } = self.nodes[at as usize];
        let has = own.has.and(want);
        let base = Way { has, present: own.present, chosen: !has.is_empty() };
        if !base.present.and(self.never).is_empty() {
            return Ok(());
        }
        // What any array can satisfy, and what more than one can.
        let (mut once, mut twice) = (Here::default(), Here::default());
        let mut next = first;
        while next != NONE {
            let (array, after) = self.array(next);
            twice = twice.or(once.and(array));
            once = once.or(array);
            next = after;
        }
        let (needed, open) = (must.without(has), want.without(has));
        if !needed.without(once.has).is_empty() {
            return Ok(());
        }
        self.ways.push(base);
        let mut next = first;
        while next != NONE {
            let (array, after) = self.array(next);
            let offered = array.has.and(open);
            let only_here = offered.and(needed).without(twice.has);
            let settled_here = settle.and(array.present).without(twice.present).without(base.present);
            let choices = self.ways.len();
            if only_here.is_empty() {
                let mut none = Way { has: Mask::default(), present: array.present, chosen: false };
                if none.settle(settled_here) && none.present.and(self.never).is_empty() {
                    self.ways.push(none);
                }
            }
            if !offered.is_empty() {
                self.choose(next..after, only_here, offered, settled_here, choices)?;
            }
            self.combine(start, choices)?;
            if self.ways.len() == start {
                return Ok(());
            }
            next = after;
        }
        // A way is right if it has what it must.
        let mut kept = start;
        for way in start..self.ways.len() {
            let mut way = self.ways[way];
            if must.without(way.has).is_empty() && way.settle(settle) {
                self.ways[kept] = way;
                kept += 1;
            }
        }
        self.ways.truncate(kept);
        Ok(())
    }

    /// Everything in the elements of the array that begins with this element, and the first element
    /// of the next array.
    fn array(&self, first: u32) -> (Here, u32) {
        let array = self.nodes[first as usize].array;
        let (mut all, mut next) = (Here::default(), first);
        while let Some(node) = self.nodes.get(next as usize).filter(|node| node.array == array) {
            all = all.or(node.all);
            next = node.next;
        }
        (all, next)
    }

    /// Adds the ways to choose from one element of an array to the ways from `choices` on.
    /// `elements` goes from the array's first element to before the next array's.
    fn choose(
        &mut self,
        elements: Range<u32>,
        must: Mask,
        want: Mask,
        settle: Mask,
        choices: usize,
    ) -> Result<(), MatchError> {
        let mut next = elements.start;
        while next != elements.end {
            let at = next;
            let Node { all, next: after, .. } = self.nodes[at as usize];
            next = after;
            if !must.without(all.has).is_empty() || all.has.and(want).is_empty() {
                continue;
            }
            let added = self.ways.len();
            self.solve(at, must, want, settle)?;
            let mut chosen = added;
            for way in added..self.ways.len() {
                let way = self.ways[way];
                if way.chosen {
                    self.ways[chosen] = way;
                    chosen += 1;
                }
            }
            self.ways.truncate(chosen);
            self.prune(choices, added)?;
            let best = |way: &Way| want.or(settle).without(way.has).is_empty() && way.present.is_empty();
            if self.ways[choices..].iter().any(best) {
                break;
            }
        }
        Ok(())
    }

    /// Joins each way from `start` on with each way from `choices` on.
    fn combine(&mut self, start: usize, choices: usize) -> Result<(), MatchError> {
        let end = self.ways.len();
        self.step((choices - start) * (end - choices).saturating_sub(1))?;
        for one in start..choices {
            for other in choices..end {
                let (one, other) = (self.ways[one], self.ways[other]);
                self.ways.push(Way {
                    has: one.has.or(other.has),
                    present: one.present.or(other.present),
                    chosen: one.chosen || other.chosen,
                });
            }
        }
        self.ways.drain(start..end);
        self.prune(start, start)
    }

    /// Drops each way from `start` on that another is as good as. None of those before `unsure` is
    /// such a way.
    fn prune(&mut self, start: usize, unsure: usize) -> Result<(), MatchError> {
        let mut kept = unsure;
        for way in unsure..self.ways.len() {
            let way = self.ways[way];
            self.step(kept - start)?;
            if self.ways[start..kept].iter().any(|other| other.is_as_good_as(&way)) {
                continue;
            }
            let mut at = start;
            while at < kept {
                if way.is_as_good_as(&self.ways[at]) {
                    kept -= 1;
                    self.ways[at] = self.ways[kept];
                } else {
                    at += 1;
                }
            }
            self.ways[kept] = way;
            kept += 1;
        }
        self.ways.truncate(kept);
        Ok(())
    }

    fn step(&mut self, steps: usize) -> Result<(), MatchError> {
        self.steps = self.steps.saturating_add(steps);
        if self.steps > STEPS_MAX { Err(MatchError::Ambiguous { limit: STEPS_MAX }) } else { Ok(()) }
    }
}

impl Way {
    fn is_as_good_as(&self, other: &Way) -> bool {
        other.has.without(self.has).is_empty()
            && self.present.without(other.present).is_empty()
            && (self.chosen || !other.chosen)
    }

    /// Settles conditions that nothing further can change. `false` if one of them is neither
    /// satisfied nor absent.
    fn settle(&mut self, conditions: Mask) -> bool {
        let lost = self.present.and(conditions).without(self.has);
        self.has = self.has.or(conditions);
        self.present = self.present.without(conditions);
        lost.is_empty()
    }
}

impl Here {
    fn or(self, other: Here) -> Here {
        Here { has: self.has.or(other.has), present: self.present.or(other.present) }
    }

    fn and(self, other: Here) -> Here {
        Here { has: self.has.and(other.has), present: self.present.and(other.present) }
    }
}
