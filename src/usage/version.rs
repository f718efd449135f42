//! The identity of a function's content.

use std::{
    fmt,
    io::{BufWriter, Write},
    str::FromStr,
};

use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};

use crate::limits::{ParseError, cut};

/// The immutable content of a function: SHA-256 over its module's bytes and its options.
///
/// The options are limits, entry, contract, what the deployment gives to WASI programs and Extism
/// plug-ins, and the names and types of host functions. Three things are not part of it: the
/// function's name, how many instances it may have, and how long an invocation waits for one.
///
/// `Display` writes 64 hexadecimal digits, and `FromStr` reads them. Serde has the same text. Logs
/// and reports show the first seven digits.
///
/// ```
/// use dormouse::{ParseError, Version};
///
/// let version: Version = "0123456789abcdef".repeat(4).parse()?;
/// assert_eq!((version.as_bytes()[0], version.short().to_string().as_str()), (0x01, "0123456"));
/// # Ok::<(), ParseError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Version([u8; 32]);

impl Version {
    /// Hashes a module and the debug form of its options.
    pub(crate) fn of(module: &[u8], options: &dyn fmt::Debug) -> Self {
        let mut hash = Sha256::new();
        hash.update((module.len() as u64).to_le_bytes());
        hash.update(module);
        // The options come in small pieces. Hashing each by itself took 2 us more in all.
        let mut text = BufWriter::with_capacity(2_048, hash);
        // Writing into a hash cannot fail.
        let _ = write!(text, "{options:?}");
        let _ = text.flush();
        Self(text.get_ref().clone().finalize().into())
    }

    /// What `Display` has written.
    #[cfg(feature = "durable")]
    pub(crate) fn from_hex(text: &str) -> Option<Self> {
        text.parse().ok()
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

impl FromStr for Version {
    type Err = ParseError;

    /// Reads 64 hexadecimal digits, in upper or lower case.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let wrong = || ParseError::Version { text: cut(text) };
        if text.len() != 64 {
            return Err(wrong());
        }
        let mut bytes = [0; 32];
        for (at, digit) in text.chars().enumerate() {
            let digit = digit.to_digit(16).ok_or_else(wrong)?;
            bytes[at / 2] = bytes[at / 2] << 4 | digit as u8;
        }
        Ok(Self(bytes))
    }
}

/// As its text: 64 hexadecimal digits.
impl Serialize for Version {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Version({self})")
    }
}
