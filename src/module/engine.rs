//! How the interpreter is set up, and which WebAssembly features it runs.
//!
//! Invariant: [`config`] turns on all of [`features`], so that wasmi, which does not validate
//! again, reads what the survey has validated as it was meant. It may have more on, simd or
//! memory64, where another crate of the host's asks wasmi for them: what is valid without is read
//! alike.

use wasmi::{CompilationMode, Config, CustomFuelCosts};
use wasmparser::WasmFeatures;

use super::room::Extra;
use crate::limits::Limits;

/// The features that are on: wasmi's defaults.
pub(crate) fn features() -> WasmFeatures {
    let mut features = WasmFeatures::MUTABLE_GLOBAL
        | WasmFeatures::MULTI_VALUE
        | WasmFeatures::MULTI_MEMORY
        | WasmFeatures::SATURATING_FLOAT_TO_INT
        | WasmFeatures::SIGN_EXTENSION
        | WasmFeatures::BULK_MEMORY
        | WasmFeatures::REFERENCE_TYPES
        | WasmFeatures::GC_TYPES
        | WasmFeatures::TAIL_CALL
        | WasmFeatures::EXTENDED_CONST
        | WasmFeatures::FLOATS;
    features.set(WasmFeatures::SIMD, cfg!(feature = "simd"));
    features.set(WasmFeatures::RELAXED_SIMD, cfg!(feature = "simd"));
    features.set(WasmFeatures::MEMORY64, cfg!(feature = "memory64"));
    features
}

/// The proposals that may be off, each with its name and how to get it: what a refused module may
/// have needed.
pub(crate) const PROPOSALS: &[(WasmFeatures, &str, &str)] = {
    const NEVER: &str = "wasmi does not support";
    const OFF: &str = "is not standard yet and is left off";
    &[
        (WasmFeatures::SIMD, "simd", "is off in this build: turn on dormouse's feature `simd`"),
        (WasmFeatures::RELAXED_SIMD, "relaxed-simd", "is off in this build: turn on dormouse's feature `simd`"),
        (WasmFeatures::MEMORY64, "memory64", "is off in this build: turn on dormouse's feature `memory64`"),
        (WasmFeatures::THREADS, "threads", NEVER),
        (WasmFeatures::SHARED_EVERYTHING_THREADS, "shared-everything-threads", NEVER),
        (WasmFeatures::EXCEPTIONS, "exception-handling", NEVER),
        (WasmFeatures::LEGACY_EXCEPTIONS, "exception-handling", NEVER),
        (WasmFeatures::FUNCTION_REFERENCES, "function-references", NEVER),
        (WasmFeatures::GC.union(WasmFeatures::FUNCTION_REFERENCES), "gc", NEVER),
        (WasmFeatures::MEMORY_CONTROL, "memory-control", NEVER),
        (WasmFeatures::STACK_SWITCHING, "stack-switching", NEVER),
        (WasmFeatures::CUSTOM_PAGE_SIZES, "custom-page-sizes", OFF),
        (WasmFeatures::WIDE_ARITHMETIC, "wide-arithmetic", OFF),
    ]
};

/// The interpreter's configuration for a function with these limits.
///
/// - Translation and validation cost no fuel: at wasmi's prices the first call of a function would
///   burn more than later ones, and a cold start more than a warm one.
/// - `Lazy`, as functions are not validated any more: the survey has done that.
/// - Start functions are run by us, in slices, so a module that still has one is refused by wasmi.
/// - What the rewriting adds to a guest takes some of the stack, which the guest has besides.
pub(crate) fn config(limits: &Limits, stacks: usize, extra: Extra) -> Config {
    const CELL: usize = 8;
    let stack = usize::try_from(limits.stack).unwrap_or(usize::MAX);
    let depth = limits.call_depth as usize;
    // A frame has a cell at least.
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
        // With these go the types of the proposal gc, as in `features`.
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
