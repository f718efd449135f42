//! Guests that call WASI with any arguments. They are contained, within the limits, and repeatable.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dormouse_fuzz::wasi_calls(bytes));
