//! The generator of modules that exercise the interpreter's translation: see `fuzz/src/shapes`.

use wasmparser::{ValType, Validator, WasmFeatures, types::EntityType};

use crate::{
    support::count,
    targets::{Census, Shaped, ShapedExport, shaped},
};

/// What generated modules may use.
fn features() -> WasmFeatures {
    let mut features = WasmFeatures::WASM2 | WasmFeatures::MULTI_MEMORY | WasmFeatures::TAIL_CALL;
    features.set(WasmFeatures::SIMD, cfg!(feature = "simd"));
    features.set(WasmFeatures::MEMORY64, cfg!(feature = "memory64"));
    features
}

/// Checks that an export takes and returns what its type says.
fn has_its_type(types: &wasmparser::types::Types, export: &ShapedExport) {
    let types = types.as_ref();
    let mut exports = types.core_exports().expect("a module");
    let Some((_, EntityType::Func(id))) = exports.find(|(name, _)| *name == export.name) else {
        panic!("{export:?} is not there")
    };
    let ty = types[id].unwrap_func();
    assert_eq!(ty.params(), vec![ValType::I64; export.args + 1], "{export:?}");
    assert_eq!(ty.results(), vec![ValType::I64; export.results], "{export:?}");
}

#[test]
fn every_generated_module_is_valid() {
    let (first, seeds) = (count("DORMOUSE_FIRST_SEED", 0), count("DORMOUSE_VALID", 3_000));
    let mut census = Census::default();
    let mut bytes = 0;
    for seed in first..first + seeds {
        let module: Shaped = shaped(seed);
        assert_eq!(module.bytes, shaped(seed).bytes, "seed {seed}: one seed, one module");
        match Validator::new_with_features(features()).validate_all(&module.bytes) {
            Ok(types) => module.exports.iter().for_each(|export| has_its_type(&types, export)),
            Err(error) => panic!("seed {seed}: {error}"),
        }
        bytes += module.bytes.len();
        census.merge(&module.census);
    }
    println!("{seeds} modules of {} bytes each\n{census}", bytes as u64 / seeds.max(1));
    let never = census.never_made();
    println!("never made: {never:?}");
    assert!(seeds < 3_000 || never.is_empty(), "never made: {never:?}");
}
