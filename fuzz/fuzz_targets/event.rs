//! Any bytes as an event and as a batch. Nothing panics, and an accepted event can be read again as
//! it is written.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dormouse_fuzz::event(bytes));
