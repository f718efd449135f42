//! Why bytes or parts are not an event.

use std::fmt;

use serde::{Serialize, Serializer, ser::SerializeStruct};

use super::TimestampError;
use crate::json::JsonError;

/// Why bytes are not an event, or an event cannot be built. Attributes have their names of the
/// specification.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EventError {
    /// `data_base64` is not base64 (RFC 4648, with padding).
    #[error("data_base64 is not base64: {problem}")]
    Base64 {
        /// What is wrong, and where in the string.
        problem: Box<str>,
    },
    /// A string has a character that the specification forbids: a control character, or a code
    /// point that Unicode never assigns.
    #[error("{attribute} contains U+{:04X}, which no attribute may contain", u32::from(*character))]
    Character {
        /// The attribute.
        attribute: Box<str>,
        /// The first such character.
        character: char,
    },
    /// `datacontenttype` does not fit the data.
    #[error("datacontenttype {content_type:?} does not fit the data: {problem}")]
    ContentType {
        /// The attribute's value.
        content_type: Box<str>,
        /// What was found, and what to do.
        problem: &'static str,
    },
    /// An attribute or member is there twice.
    #[error("{attribute} is there twice")]
    Duplicate {
        /// The attribute.
        attribute: Box<str>,
    },
    /// An attribute that must not be empty is empty.
    #[error("{attribute} is empty; leave it out, or give it a value")]
    Empty {
        /// The attribute.
        attribute: Box<str>,
    },
    /// No extension may have this name.
    #[error("the extension name {name:?} {problem}")]
    ExtensionName {
        /// The name as given.
        name: Box<str>,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// An event of a batch is invalid.
    #[error("event {position} of the batch: {error}")]
    InBatch {
        /// Its position, counted from 0.
        position: usize,
        /// What is wrong with it.
        #[source]
        error: Box<EventError>,
    },
    /// An attribute's string does not have the form that it must have.
    #[error("{attribute} is {value:?}, {problem}")]
    Invalid {
        /// The attribute.
        attribute: Box<str>,
        /// Its value, cut at 256 bytes.
        value: Box<str>,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The bytes are not JSON.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// A required attribute is missing.
    #[error("{attribute} is missing; every event needs id, source, specversion and type")]
    Missing {
        /// The attribute.
        attribute: &'static str,
    },
    /// A value given as data has no JSON form.
    #[error("the data has no JSON form: {problem}")]
    Serialize {
        /// serde's words on it.
        problem: Box<str>,
    },
    /// A time is not one of RFC 3339.
    #[error("{attribute} is {value:?}: {error}")]
    Time {
        /// The attribute.
        attribute: Box<str>,
        /// Its value, cut at 256 bytes.
        value: Box<str>,
        /// What is wrong with it.
        #[source]
        error: TimestampError,
    },
    /// The JSON form is larger than the limit.
    #[error("the event has {bytes} bytes in JSON, above the limit of {limit}")]
    TooLarge {
        /// Bytes of the JSON form.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The event has both `data` and `data_base64`.
    #[error("the event has both data and data_base64; leave one out")]
    TwoPayloads,
    /// A value has the wrong type.
    #[error("{attribute} is {found}, but must be {expected}")]
    Type {
        /// The attribute.
        attribute: Box<str>,
        /// What was found.
        found: &'static str,
        /// What is allowed.
        expected: &'static str,
    },
    /// The `specversion` is not `1.0`.
    #[error("specversion is {found:?}; this library reads 1.0")]
    SpecVersion {
        /// The version as given, cut at 256 bytes.
        found: Box<str>,
    },
}

impl EventError {
    /// The kind in one word: `base64`, `character`, …
    pub fn name(&self) -> &'static str {
        match self {
            Self::Base64 { .. } => "base64",
            Self::Character { .. } => "character",
            Self::ContentType { .. } => "content_type",
            Self::Duplicate { .. } => "duplicate",
            Self::Empty { .. } => "empty",
            Self::ExtensionName { .. } => "extension_name",
            Self::InBatch { .. } => "in_batch",
            Self::Invalid { .. } => "invalid",
            Self::Json(_) => "json",
            Self::Missing { .. } => "missing",
            Self::Serialize { .. } => "serialize",
            Self::Time { .. } => "time",
            Self::TooLarge { .. } => "too_large",
            Self::TwoPayloads => "two_payloads",
            Self::Type { .. } => "type",
            Self::SpecVersion { .. } => "spec_version",
        }
    }
}

/// As `{"kind": …, "message": …}`: the name and the text.
impl Serialize for EventError {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        kind_and_message(self.name(), self, serializer)
    }
}

/// As `{"kind": …, "message": …}`: `form` or `range`, and the text.
impl Serialize for TimestampError {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        kind_and_message(self.name(), self, serializer)
    }
}

fn kind_and_message<S: Serializer>(kind: &str, error: &dyn fmt::Display, serializer: S) -> Result<S::Ok, S::Error> {
    let mut fields = serializer.serialize_struct("Error", 2)?;
    fields.serialize_field("kind", kind)?;
    fields.serialize_field("message", &error.to_string())?;
    fields.end()
}

/// The start of a text, cut between characters: as much as an error carries.
pub(super) fn cut(text: &str) -> Box<str> {
    let mut end = text.len().min(256);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].into()
}
