//! Patterns on a line each, and then an event. The index finds what each pattern finds alone.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dormouse_fuzz::matching(bytes));
