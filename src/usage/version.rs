//! The identity of a function's content.

use std::{
    fmt,
    io::{BufWriter, Write},
};

use sha2::{Digest, Sha256};

/// The immutable content of a function: SHA-256 over its module's bytes and its options, which are limits, entry, contract,
/// what WASI programs and Extism plug-ins are given, and the names and types of host functions. Its name, how many instances it
/// may have and how long to wait for one are no part of it.
///
/// `Display` is 64 hexadecimal digits; logs and reports show the first seven.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Version([u8; 32]);

impl Version {
    /// Hashes a module and the options that it is deployed with, in their debug form.
    pub(crate) fn of(module: &[u8], options: &dyn fmt::Debug) -> Self {
        let mut hash = Sha256::new();
        hash.update((module.len() as u64).to_le_bytes());
        hash.update(module);
        // The options come in small pieces; each by itself into the hash took 2 us more in all.
        let mut text = BufWriter::with_capacity(2_048, hash);
        // Writing into a hash cannot fail.
        let _ = write!(text, "{options:?}");
        let _ = text.flush();
        Self(text.get_ref().clone().finalize().into())
    }

    /// What `Display` has written.
    #[cfg(feature = "durable")]
    pub(crate) fn from_hex(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        if text.len() != 64 || !text.is_ascii() {
            return None;
        }
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()?;
        }
        Some(Self(bytes))
    }

    /// The 32 bytes of the hash.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first seven hexadecimal digits.
    pub fn short(&self) -> impl fmt::Display + use<> {
        Hex(*self, 7)
    }
}

struct Hex(Version, usize);

impl fmt::Display for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for at in 0..self.1 {
            let byte = self.0.0[at / 2];
            let digit = if at % 2 == 0 { byte >> 4 } else { byte & 15 };
            write!(f, "{digit:x}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Hex(*self, 64).fmt(f)
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Version({self})")
    }
}
