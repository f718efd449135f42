//! What the rewriting adds, held against the interpreter's limits, and how much of the
//! interpreter's stack it takes.
//!
//! Invariants: a valid module is still valid when it is rewritten, or it is refused. A guest that
//! keeps its limits has all of the stack that they say.

use wasmparser::ExternalKind;

use super::{
    names::Names,
    residue::{CELLS, Cleaner, Residue, ZEROED_MAX, chained, rounded},
    survey::Survey,
};
use crate::error::DeployError;

/// What the interpreter's validator accepts: types, functions, imports and exports each; tables;
/// element segments.
const ITEMS_MAX: usize = 1_000_000;
const TABLES_MAX: usize = 100;
const SEGMENTS_MAX: usize = 100_000;

/// The size of a module's type that the validator accepts. Each import and export counts 1. One
/// that is a function counts 2, and its parameters and results.
const TYPE_SIZE_MAX: usize = 999_998;

/// What the functions that are added need of the interpreter's stack.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Extra {
    /// Nested calls.
    pub(crate) calls: u32,
    /// Cells.
    pub(crate) cells: u32,
    /// Whether each call of some function takes a cell more.
    pub(crate) cell_each: bool,
}

impl Extra {
    pub(super) fn of(survey: &Survey<'_>, residue: &Residue) -> Self {
        // The interpreter's frames have room for their locals twice.
        let zeroing = residue.called().map(rounded).map(|cells| cells + cells.min(ZEROED_MAX));
        let trampolines = residue.roots.iter().map(|(index, zeroed)| {
            let ty = survey.function_type(*index);
            let (params, results) = (ty.params().len() as u32, ty.results().len() as u32);
            2 * (zeroed + CELLS * params) + CELLS * params.max(results)
        });
        let copies = |cleaner: &Cleaner| matches!(cleaner, Cleaner::Copies(_));
        Self {
            calls: residue.called().map(chained).max().unwrap_or_default(),
            cells: zeroing.chain(trampolines).max().unwrap_or_default(),
            cell_each: residue.cleaners.iter().flatten().any(copies),
        }
    }
}

/// Holds what is added against the interpreter's limits.
pub(super) fn has_room(
    survey: &Survey<'_>,
    names: &Names,
    stubs: usize,
    zeroing: usize,
    roots: usize,
) -> Result<(), DeployError> {
    let function = |index| {
        let ty = survey.function_type(index);
        2 + ty.params().len() + ty.results().len()
    };
    let imported = (0..survey.imported_functions).map(function);
    let exported = survey.exports.iter().map(|export| match export.kind {
        ExternalKind::Func => function(export.index),
        _ => 1,
    });
    // The start function has neither parameters nor results.
    let type_size = survey.memories.len() + names.count() + usize::from(survey.start.is_some());
    for (what, had, added, limit) in [
        ("types", survey.types.len(), stubs + survey.block_types.len() + usize::from(zeroing > 0), ITEMS_MAX),
        ("functions", survey.functions.len(), stubs + zeroing + roots, ITEMS_MAX),
        ("imports", survey.imports.len(), survey.memories.len(), ITEMS_MAX),
        ("exports", survey.exports.len(), names.count(), ITEMS_MAX),
        ("tables", survey.tables.len(), usize::from(stubs > 0), TABLES_MAX),
        ("element segments", survey.segments as usize, usize::from(survey.takes_references && roots > 0), SEGMENTS_MAX),
        ("parts in the types of its imports and exports", imported.chain(exported).sum(), type_size, TYPE_SIZE_MAX),
    ] {
        if had + added > limit {
            let problem = format!(
                "the module has {had} {what}; the runtime adds {added}, over the interpreter's limit of {limit}"
            );
            return Err(DeployError::Refused { problem: problem.into() });
        }
    }
    Ok(())
}
