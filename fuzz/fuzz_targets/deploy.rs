//! Any bytes as a module. It is refused, or it is deployed and each run is the same cold and warm.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dormouse_fuzz::deploy(bytes));
