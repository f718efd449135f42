//! Sequences of operations on one runtime, compared with a model, raw wasmi and fresh runtimes.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dormouse_fuzz::program(bytes));
