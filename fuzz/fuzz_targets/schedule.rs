//! Any text as a schedule, at any date. Each instant comes once, and after the one before.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dormouse_fuzz::schedule(bytes));
