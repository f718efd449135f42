//! Which functions zero the interpreter's value stack above them, and how far.
//!
//! wasmi keeps the operands and locals of all calls on one stack of cells. It zeroes a function's
//! locals when the function is entered. The cells of its operands keep what an earlier call left
//! there (fault 9): of this invocation, of another one, or of the host's heap if the stack is new.
//! Right code never reads such a cell. Code that wasmi mistranslates does
//! (`docs/interpreter-faults.md`). So no residue is left to be read:
//!
//! - A *root* is a function that the host calls: an exported function or the start function. Its
//!   trampoline zeroes all cells that its calls can use until the next cleaner.
//! - A *cleaner* does the same for itself, each time that it is entered. Each cycle of calls has
//!   one. So does each path of calls that would use more than [`REACH_MAX`] cells, so that no
//!   trampoline zeroes much for a path that is seldom taken.
//!
//! This needs no knowledge of earlier invocations, of how they ended, or of the stack that an
//! invocation is given.
//!
//! Invariant: between a cell's use in one invocation and in the next, a trampoline or cleaner of
//! the next zeroes it, whichever way calls take.

mod graph;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that unwraps fails with the error")]
mod tests;
mod zeroing;

use graph::{Graph, cut};
pub use zeroing::cleaning;
pub(super) use zeroing::{ZEROED_MAX, chained, rounded};

use super::survey::{How, Survey};

/// Cells that the functions between one cleaner and the next may use.
const REACH_MAX: u32 = 512;

/// Cells that the stub of a growth uses above its caller's operands: for its parameters, which are
/// at most two, and for a number.
const STUB: u32 = 3;

/// Cells of a value: a vector takes two.
pub(super) const CELLS: u32 = if cfg!(feature = "simd") { 2 } else { 1 };

/// A cleaner with up to so many cells copies zeros to them, which is quicker. Others call a
/// function that has the cells as locals.
const COPIED_MAX: u32 = 4;

/// A cleaner with up to so many locals gets one more, to copy from. The interpreter takes 30,000.
const LOCALS_MAX: u32 = 10_000;

/// How a function cleans so many cells above its locals when it is entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cleaner {
    Copies(u32),
    Calls(u32),
}

/// How each function of a module cleans.
pub(super) struct Residue {
    /// For each function that the module defines: how it cleans, if it is a cleaner.
    pub(super) cleaners: Vec<Option<Cleaner>>,
    /// The roots by their index, ascending, with the cells that their trampolines zero. Imported
    /// functions are among them.
    pub(super) roots: Vec<(u32, u32)>,
}

impl Residue {
    pub(super) fn of(survey: &Survey<'_>) -> Self {
        let graph = Graph::of(survey);
        let (order, mut is_cleaner) = cut(&graph);
        // Cells above the begin of its frame that a function, or any function of a type, can use
        // until the next cleaner.
        let mut reach = vec![0; order.len()];
        let above = |reach: &[u32], is_cleaner: &[bool], node: usize| {
            let grows = node < graph.functions() && {
                let mut edits = survey.edits_of(graph.body(node)).iter();
                edits.any(|edit| matches!(edit.how, How::Grow(_)))
            };
            // The interpreter zeroes locals, and a cleaner uses nothing else before it cleans.
            let nodes = graph.nodes(node).map(|next| if is_cleaner[next] { 0 } else { reach[next] });
            nodes.chain(grows.then_some(CELLS * STUB)).max().unwrap_or_default()
        };
        for node in order {
            reach[node] = above(&reach, &is_cleaner, node);
            if node < graph.functions() {
                let body = graph.body(node);
                // A frame of the interpreter has its locals and, above them, room for its operands.
                reach[node] += CELLS * (body.locals + body.operands);
                is_cleaner[node] |= reach[node] > REACH_MAX;
            }
        }
        let cleaners: Vec<_> = (0..graph.functions())
            .map(|function| {
                let body = graph.body(function);
                let cells = CELLS * body.operands + above(&reach, &is_cleaner, function);
                is_cleaner[function].then_some(if cells <= COPIED_MAX && body.locals < LOCALS_MAX {
                    Cleaner::Copies(cells)
                } else {
                    Cleaner::Calls(cells)
                })
            })
            .collect();
        let exported = survey.exports.iter().filter(|export| export.kind == wasmparser::ExternalKind::Func);
        let mut roots: Vec<u32> = exported.map(|export| export.index).chain(survey.start).collect();
        roots.sort_unstable();
        roots.dedup();
        let roots = roots.into_iter().map(|index| {
            let defined = index.checked_sub(survey.imported_functions).map(|defined| defined as usize);
            (index, defined.map_or(0, |function| if is_cleaner[function] { 0 } else { reach[function] }))
        });
        Self { cleaners, roots: roots.collect() }
    }
}
