//! Plug-ins that call their host in any order. They agree with a model, and are the same cold and
//! warm.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dormouse_fuzz::extism_calls(bytes));
