//! Any text as a pattern: no panic, and what is read is written so that it is read again.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dormouse_fuzz::pattern(bytes));
