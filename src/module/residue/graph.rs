//! The graph of calls: functions that the module defines, and types, which stand for what calls
//! through tables reach.
//!
//! Invariant: each cycle of the graph has a function among the cleaners that [`cut`] finds.

use std::collections::HashMap;

use crate::module::{
    calls::Target,
    survey::{Body, Survey},
};

/// The nodes are numbered: first the functions that the module defines, then the types.
pub(super) struct Graph<'a> {
    survey: &'a Survey<'a>,
    /// For each type, the first type that equals it.
    pub(super) canonical: Vec<usize>,
    /// For each type, the functions of that type that a table may hold.
    taken: Vec<Vec<usize>>,
}

impl<'a> Graph<'a> {
    pub(super) fn of(survey: &'a Survey<'a>) -> Self {
        let mut first = HashMap::new();
        let canonical: Vec<usize> =
            survey.types.iter().enumerate().map(|(at, ty)| *first.entry(ty).or_insert(at)).collect();
        let mut taken = vec![Vec::new(); canonical.len()];
        for index in &survey.taken {
            if let Some(defined) = index.checked_sub(survey.imported_functions) {
                taken[canonical[survey.functions[*index as usize] as usize]].push(defined as usize);
            }
        }
        Self { survey, canonical, taken }
    }

    pub(super) fn functions(&self) -> usize {
        self.survey.bodies.len()
    }

    pub(super) fn body(&self, function: usize) -> &Body {
        &self.survey.bodies[function]
    }

    /// The callee of a function, or the function of a type, with this number. `Some(None)` if it is
    /// the host's.
    pub(super) fn next(&self, node: usize, number: usize) -> Option<Option<usize>> {
        if let Some(ty) = node.checked_sub(self.functions()) {
            return self.taken[ty].get(number).map(|function| Some(*function));
        }
        let callees = &self.survey.callees[self.body(node).callees.clone()];
        callees.get(number).map(|callee| match callee.target() {
            Target::Type(ty) => Some(self.functions() + self.canonical[ty as usize]),
            // The host's frames are within the caller's operands.
            Target::Function(index) => {
                index.checked_sub(self.survey.imported_functions).map(|defined| defined as usize)
            }
        })
    }

    pub(super) fn nodes(&self, node: usize) -> impl Iterator<Item = usize> {
        (0..).map_while(move |number| self.next(node, number)).flatten()
    }
}

/// Visits all nodes, and finds cleaners that cut each cycle. Returns the nodes in an order in which
/// each stands behind all that it leads to, except where a cleaner cuts.
pub(super) fn cut(graph: &Graph<'_>) -> (Vec<usize>, Vec<bool>) {
    #[derive(Clone, Copy, PartialEq)]
    enum Visit {
        Not,
        Begun,
        Ended,
    }
    let nodes = graph.functions() + graph.canonical.len();
    let mut visits = vec![Visit::Not; nodes];
    let mut is_cleaner = vec![false; nodes];
    let mut order = Vec::with_capacity(nodes);
    let mut path: Vec<(usize, usize)> = Vec::new();
    for root in 0..nodes {
        if visits[root] == Visit::Not {
            visits[root] = Visit::Begun;
            path.push((root, 0));
        }
        while let Some((node, number)) = path.last_mut() {
            let (node, next) = (*node, graph.next(*node, *number));
            *number += 1;
            match next {
                None => {
                    visits[node] = Visit::Ended;
                    order.push(node);
                    path.pop();
                }
                Some(Some(next)) if visits[next] == Visit::Not => {
                    visits[next] = Visit::Begun;
                    path.push((next, 0));
                }
                // This closes a cycle, on which both nodes are. A type is not code, and only a
                // function leads to it.
                Some(Some(next)) if visits[next] == Visit::Begun => {
                    is_cleaner[if next < graph.functions() { next } else { node }] = true;
                }
                Some(_) => {}
            }
        }
    }
    (order, is_cleaner)
}
