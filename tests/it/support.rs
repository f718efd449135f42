//! What several test files share: guests by name, and how to count up a run from the environment.

use std::{fs, path::PathBuf};

/// A guest of `tests/guests`: `echo` for text, `echo.rust.reactor` for a built module.
pub(crate) fn guest(name: &str) -> Vec<u8> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/guests");
    match fs::read_to_string(folder.join(format!("{name}.wat"))) {
        Ok(text) => wat(&text),
        Err(_) => fs::read(folder.join(format!("{name}.wasm"))).unwrap_or_else(|error| panic!("guest {name}: {error}")),
    }
}

/// A module from its text.
pub(crate) fn wat(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap_or_else(|error| panic!("{error}"))
}

/// A count that the environment can raise: the way to run a test for longer.
pub(crate) fn count(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// A small generator of numbers from a seed, so that a failure can be repeated: xorshift64*.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }
}
