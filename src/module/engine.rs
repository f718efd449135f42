//! How the interpreter is set up.
//!
//! Invariant: [`config`] turns on all of [`features`]. wasmi does not validate again (cost 10 in
//! `docs/interpreter-faults.md`), so it must read a module as the survey has validated it. wasmi
//! may have simd or memory64 on as well, if another crate of the host asks for them. A module that
//! is valid without them means the same with them.

use wasmi::{CompilationMode, Config, CustomFuelCosts};
use wasmparser::WasmFeatures;

use super::{features::features, room::Extra};
use crate::limits::Limits;

/// The interpreter's configuration for a function with these limits.
///
/// - Translation and validation cost no fuel. At wasmi's prices the first call of a function would
///   burn more than later ones, and a cold start more than a warm one.
/// - Functions are translated when they are first called. The survey has validated them.
/// - The library runs start functions, in slices of fuel. wasmi refuses a module that still has
///   one.
/// - The functions that the rewriting adds take some of the stack. The guest gets as much more.
pub(crate) fn config(limits: &Limits, stacks: usize, extra: Extra) -> Config {
    const CELL: usize = 8;
    let stack = usize::try_from(limits.stack_bytes).unwrap_or(usize::MAX);
    let depth = limits.call_depth as usize;
    // A frame has at least one cell.
    let each = if extra.cell_each { depth.min(stack / CELL) } else { 0 };
    let added = (extra.cells as usize + each).saturating_mul(CELL);
    let mut config = Config::default();
    let features = features();
    let has = |feature| features.contains(feature);
    config
        .wasm_mutable_global(has(WasmFeatures::MUTABLE_GLOBAL))
        .wasm_multi_value(has(WasmFeatures::MULTI_VALUE))
        .wasm_multi_memory(has(WasmFeatures::MULTI_MEMORY))
        .wasm_saturating_float_to_int(has(WasmFeatures::SATURATING_FLOAT_TO_INT))
        .wasm_sign_extension(has(WasmFeatures::SIGN_EXTENSION))
        .wasm_bulk_memory(has(WasmFeatures::BULK_MEMORY))
        // This turns on the types of the proposal gc as well, as in `features`.
        .wasm_reference_types(has(WasmFeatures::REFERENCE_TYPES))
        .wasm_tail_call(has(WasmFeatures::TAIL_CALL))
        .wasm_extended_const(has(WasmFeatures::EXTENDED_CONST))
        .floats(has(WasmFeatures::FLOATS))
        .wasm_custom_page_sizes(has(WasmFeatures::CUSTOM_PAGE_SIZES))
        .wasm_wide_arithmetic(has(WasmFeatures::WIDE_ARITHMETIC));
    #[cfg(feature = "simd")]
    config.wasm_simd(true).wasm_relaxed_simd(true);
    #[cfg(feature = "memory64")]
    config.wasm_memory64(true);
    config
        .consume_fuel(true)
        .fuel_cost(CustomFuelCosts {
            bytes_copied_per_fuel: 64,
            fuel_per_bytes_translated: 0,
            fuel_per_bytes_validated: 0,
        })
        .compilation_mode(CompilationMode::Lazy)
        .ignore_custom_sections(true)
        .allow_start_fn(false)
        .set_max_recursion_depth(depth.saturating_add(extra.calls as usize))
        .set_max_stack_height(stack.saturating_add(added))
        .set_max_cached_stacks(stacks);
    config
}
