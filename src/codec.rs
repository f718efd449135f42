//! Typed payloads: a Rust value becomes the bytes of an input, and a reply's bytes become a Rust
//! value.
//!
//! The crate bincode has no upstream any more. Only this file names it, so that a successor can
//! replace it.

use serde::{Serialize, de::DeserializeOwned};

/// A payload format for [`Function::invoke_as`](crate::Function::invoke_as).
pub trait Codec {
    /// Writes the value as bytes.
    ///
    /// # Errors
    /// The value has no such form. The text says why.
    fn encode<T: Serialize + ?Sized>(&self, value: &T) -> Result<Vec<u8>, String>;

    /// Reads the value from all of the bytes.
    ///
    /// # Errors
    /// The bytes are not such a value, or some are left over. The text says what is wrong, and
    /// where if the format can tell.
    fn decode<R: DeserializeOwned>(&self, bytes: &[u8]) -> Result<R, String>;
}

/// JSON, by serde_json.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Json;

impl Codec for Json {
    fn encode<T: Serialize + ?Sized>(&self, value: &T) -> Result<Vec<u8>, String> {
        serde_json::to_vec(value).map_err(|error| error.to_string())
    }

    fn decode<R: DeserializeOwned>(&self, bytes: &[u8]) -> Result<R, String> {
        serde_json::from_slice(bytes).map_err(|error| error.to_string())
    }
}

/// bincode 2 in its standard configuration: little-endian, integers of variable length.
#[cfg(feature = "bincode")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bincode;

#[cfg(feature = "bincode")]
impl Codec for Bincode {
    fn encode<T: Serialize + ?Sized>(&self, value: &T) -> Result<Vec<u8>, String> {
        bincode::serde::encode_to_vec(value, bincode::config::standard()).map_err(|error| error.to_string())
    }

    fn decode<R: DeserializeOwned>(&self, bytes: &[u8]) -> Result<R, String> {
        // The bytes may claim any length, so bincode may reserve at most this many bytes.
        let config = bincode::config::standard().with_limit::<{ 64 << 20 }>();
        let (value, read) = bincode::serde::decode_from_slice(bytes, config).map_err(|error| error.to_string())?;
        if read < bytes.len() {
            return Err(format!("{} bytes left over after the value, which ends at byte {read}", bytes.len() - read));
        }
        Ok(value)
    }
}
