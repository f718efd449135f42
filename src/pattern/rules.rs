//! Rules: which conditions satisfy which pattern. Each combination of a pattern's `$or` is one
//! rule.
//!
//! A rule is a set of conditions in a fixed order. First come those that a value reports, the
//! rarest in front. Then come those that the walk looks at only when all before them hold.
//!
//! Rules that begin alike share nodes. So the walk from the conditions that an event satisfies
//! meets only beginnings that hold.

use super::{trie::NONE, values::Map};

#[derive(Debug, Default)]
pub(super) struct Rules {
    pub(super) nodes: Vec<Node>,
    /// From a node and a condition to the next node.
    edges: Map<(u32, u32), u32>,
    pub(super) rules: Vec<Rule>,
}

#[derive(Debug, Default)]
pub(super) struct Node {
    /// Conditions that values report, each with the node that it leads to.
    pub(super) reported: Vec<(u32, u32)>,
    /// Conditions that the walk looks at here, each with the node that it leads to.
    pub(super) lazy: Vec<(u32, u32)>,
    /// Rules that end here.
    pub(super) ends: Vec<u32>,
}

#[derive(Debug)]
pub(super) struct Rule {
    /// The pattern that it belongs to.
    pub(super) slot: u32,
    pub(super) conditions: Box<[u32]>,
}

impl Rules {
    /// No rules, and the node of rules whose first condition no value reports.
    pub(super) fn new() -> Self {
        Self { nodes: vec![Node::default()], ..Self::default() }
    }

    pub(super) fn new_node(&mut self) -> u32 {
        self.nodes.push(Node::default());
        self.nodes.len() as u32 - 1
    }

    /// The node that a condition leads to from another. It is made if it does not exist.
    pub(super) fn step(&mut self, at: u32, condition: u32, lazy: bool) -> u32 {
        if let Some(&to) = self.edges.get(&(at, condition)) {
            return to;
        }
        let to = self.new_node();
        let node = &mut self.nodes[at as usize];
        if lazy { &mut node.lazy } else { &mut node.reported }.push((condition, to));
        self.edges.insert((at, condition), to);
        to
    }

    pub(super) fn edge(&self, at: u32, condition: u32) -> u32 {
        self.edges.get(&(at, condition)).copied().unwrap_or(NONE)
    }

    pub(super) fn end(&mut self, at: u32, slot: u32, conditions: Vec<u32>) {
        self.nodes[at as usize].ends.push(self.rules.len() as u32);
        self.rules.push(Rule { slot, conditions: conditions.into_boxed_slice() });
    }
}
