//! Generated modules with some changed bytes. They are handled as any bytes are, and run as in raw
//! wasmi.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dormouse_fuzz::deploy_smith(bytes));
