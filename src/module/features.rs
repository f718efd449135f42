//! Which WebAssembly features modules may use.
//!
//! Invariant: `engine.rs` turns on each feature that is on here.

use wasmparser::WasmFeatures;

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

/// The proposals that may be off, each with its name and how to get it: a refused module may have
/// needed one.
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
