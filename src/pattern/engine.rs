//! The index without its keys. It holds patterns by number, and adds them one after the other.
//!
//! Invariant: equal conditions have one number, and no number ever changes.

use std::collections::HashMap;

use super::{
    ast::{Group, List},
    condition::{Condition, Place},
    rules::Rules,
    test::Test,
    trie::{NONE, Trie},
    values::{Effects, Map},
};

#[derive(Debug)]
pub(super) struct Engine {
    pub(super) trie: Trie,
    pub(super) places: Vec<Place>,
    pub(super) conditions: Vec<Condition>,
    /// Conditions by node and alternatives.
    known: Map<(u32, Box<str>), u32>,
    pub(super) effects: Effects,
    pub(super) rules: Rules,
    /// How many wildcards there are.
    pub(super) wildcards: u32,
    /// How many patterns were added.
    pub(super) slots: u32,
}

impl Engine {
    pub(super) fn new() -> Self {
        Self {
            trie: Trie::new(),
            places: Vec::new(),
            conditions: Vec::new(),
            known: HashMap::default(),
            effects: Effects::default(),
            rules: Rules::new(),
            wildcards: 0,
            slots: 0,
        }
    }

    /// Adds a pattern under the next number.
    pub(super) fn add(&mut self, pattern: &Group) {
        let fields: Vec<u32> = pattern.fields().iter().map(|field| self.condition(&field.path, field.tests)).collect();
        for combination in pattern.combinations() {
            let mut conditions: Vec<u32> = combination.iter().map(|&field| fields[field]).collect();
            self.add_rule(&mut conditions);
        }
        self.slots += 1;
    }

    /// The condition of a field that has been added.
    pub(super) fn known(&self, path: &str, tests: &[Test]) -> u32 {
        let own = (self.trie.node(path), List(tests).to_string().into_boxed_str());
        self.known.get(&own).copied().unwrap_or(NONE)
    }

    fn condition(&mut self, path: &str, tests: &[Test]) -> u32 {
        let node = self.trie.add(path);
        let own = (node, List(tests).to_string().into_boxed_str());
        if let Some(&condition) = self.known.get(&own) {
            return condition;
        }
        let condition = self.conditions.len() as u32;
        self.known.insert(own, condition);
        let places = &mut self.places;
        let place = *self.trie.nodes[node as usize].place.get_or_insert_with(|| {
            places.push(Place::new(node));
            places.len() as u32 - 1
        });
        let own = (place, condition);
        let added = self.places[place as usize].add(own, tests, &mut self.effects, &mut self.wildcards);
        self.conditions.push(added);
        condition
    }

    fn add_rule(&mut self, conditions: &mut Vec<u32>) {
        let all = &mut self.conditions;
        conditions.sort_unstable_by_key(|&condition| {
            let of = &all[condition as usize];
            (of.is_lazy(), of.rank, condition)
        });
        conditions.dedup();
        if conditions.len() > 1 {
            for &condition in &*conditions {
                let condition = &mut all[condition as usize];
                condition.tracked = true;
                let place = &mut self.places[condition.place as usize];
                place.tracked |= condition.is_lazy();
                self.trie.track(place.node);
            }
        }
        let mut at = 0;
        for (position, &condition) in conditions.iter().enumerate() {
            let of = &mut all[condition as usize];
            at = match of.is_lazy() {
                // A rule's first condition holds its first node, so that needs no look-up.
                false if position == 0 => {
                    if of.rules == NONE {
                        of.rules = self.rules.new_node();
                    }
                    of.rules
                }
                lazy => self.rules.step(at, condition, lazy),
            };
        }
        let conditions = std::mem::take(conditions);
        self.rules.end(at, self.slots, conditions);
    }
}
