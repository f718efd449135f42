//! Generated modules with some bytes changed: as any bytes, and they run as in raw wasmi.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dormouse_fuzz::deploy_smith(bytes));
