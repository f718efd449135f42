//! The C interface in any order that its header permits: against a model of what is alive and what each call answers.
#![no_main]

// There, as what is not safe stands with the bindings.
#[path = "../../bindings/c/tests/c_api/mod.rs"]
mod c_api;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| c_api::c_api(bytes));
