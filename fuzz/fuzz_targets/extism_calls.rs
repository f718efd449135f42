//! Plug-ins that call their host in any order: against a model, and the same cold and warm.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dormouse_fuzz::extism_calls(bytes));
