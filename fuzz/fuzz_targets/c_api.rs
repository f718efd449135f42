//! The C interface, called in any order that its header permits. A model knows what is alive and
//! what each call answers.
#![no_main]

// The target is there, as code that is not safe stands with the bindings.
#[path = "../../bindings/c/tests/c_api/mod.rs"]
mod c_api;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| c_api::c_api(bytes));
