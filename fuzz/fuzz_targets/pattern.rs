//! Any text as a pattern. Nothing panics, and an accepted pattern can be read again as it is
//! written.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dormouse_fuzz::pattern(bytes));
