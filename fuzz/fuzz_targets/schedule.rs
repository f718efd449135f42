//! Any text as a schedule, at any date: each instant once, and after the one before.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dormouse_fuzz::schedule(bytes));
