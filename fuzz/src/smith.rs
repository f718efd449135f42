//! Modules that wasm-smith makes from bytes.

use arbitrary::Unstructured;

/// A module that wasm-smith makes from these bytes, with multi-memory, bulk memory, reference
/// types, tail calls and start functions. On request, all NaNs in it are the same.
pub fn module(bytes: &[u8], canonicalize_nans: bool) -> Option<Vec<u8>> {
    let config = wasm_smith::Config {
        max_imports: 0,
        min_exports: 1,
        export_everything: true,
        max_memories: 3,
        max_memory32_bytes: 8 << 20,
        max_memory64_bytes: 8 << 20,
        max_tables: 3,
        max_table_elements: 500,
        min_funcs: 1,
        bulk_memory_enabled: true,
        reference_types_enabled: true,
        multi_value_enabled: true,
        tail_call_enabled: true,
        extended_const_enabled: true,
        memory64_enabled: cfg!(feature = "memory64"),
        simd_enabled: cfg!(feature = "simd"),
        relaxed_simd_enabled: false,
        exceptions_enabled: false,
        gc_enabled: false,
        threads_enabled: false,
        custom_page_sizes_enabled: false,
        wide_arithmetic_enabled: false,
        shared_everything_threads_enabled: false,
        canonicalize_nans,
        ..wasm_smith::Config::default()
    };
    let module = wasm_smith::Module::new(config, &mut Unstructured::new(bytes)).ok()?;
    Some(module.to_bytes())
}
