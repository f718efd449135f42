//! Why a text is not what it should be, and how words are read.
//!
//! Invariant: an error quotes at most 256 bytes of the text, escaped.

use std::fmt;

use serde::{Serialize, Serializer, ser::SerializeStruct};

/// Why a text is not a [`Version`](crate::Version), a set of [`Limits`](crate::Limits), or the word
/// of an enum such as [`Reset`](crate::Reset).
///
/// ```
/// let error = "3f2a91c".parse::<dormouse::Version>().unwrap_err();
/// assert_eq!(error.to_string(), r#""3f2a91c" is not a version; give all 64 hexadecimal digits"#);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// The text is not one of the words that are known.
    #[error("{text:?} is not a {what}; use one of {known}")]
    Word {
        /// What the text should be, such as `log level`.
        what: &'static str,
        /// The text, cut at 256 bytes.
        text: Box<str>,
        /// All words that are known.
        known: Box<str>,
    },
    /// The text is not 64 hexadecimal digits.
    #[error("{text:?} is not a version; give all 64 hexadecimal digits")]
    Version {
        /// The text, cut at 256 bytes.
        text: Box<str>,
    },
    /// A part of the text is not a field, `=` and a value.
    #[error("{part:?} is not a limit; write each as field=value, as in fuel=50000000")]
    Field {
        /// The part, cut at 256 bytes.
        part: Box<str>,
    },
    /// No limit has this name.
    #[error("no limit is named {field:?}; the limits are {known}")]
    UnknownField {
        /// The name as given, cut at 256 bytes.
        field: Box<str>,
        /// All names that are known.
        known: Box<str>,
    },
    /// A field is given twice.
    #[error("the limit {field} is given twice; give it once")]
    Twice {
        /// The field.
        field: &'static str,
    },
    /// A value is not of the kind that its field takes.
    #[error("the limit {field} cannot be {value:?}; give {expected}")]
    Value {
        /// The field.
        field: &'static str,
        /// The value as given, cut at 256 bytes.
        value: Box<str>,
        /// What the field takes.
        expected: &'static str,
    },
}

impl ParseError {
    /// The kind in one word: `word`, `version`, …
    pub fn name(&self) -> &'static str {
        match self {
            Self::Word { .. } => "word",
            Self::Version { .. } => "version",
            Self::Field { .. } => "field",
            Self::UnknownField { .. } => "unknown_field",
            Self::Twice { .. } => "twice",
            Self::Value { .. } => "value",
        }
    }
}

/// As `{"kind": …, "message": …}`: the name and the text.
impl Serialize for ParseError {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("ParseError", 2)?;
        fields.serialize_field("kind", self.name())?;
        fields.serialize_field("message", &self.to_string())?;
        fields.end()
    }
}

/// The one of these values that is written as the text.
pub(crate) fn word<T: Copy + fmt::Display>(what: &'static str, all: &[T], text: &str) -> Result<T, ParseError> {
    let found = all.iter().find(|value| value.to_string() == text).copied();
    found.ok_or_else(|| {
        let known = all.iter().map(T::to_string).collect::<Vec<_>>().join(", ").into();
        ParseError::Word { what, text: cut(text), known }
    })
}

/// The start of a text, cut between characters: as much as an error carries.
pub(crate) fn cut(text: &str) -> Box<str> {
    let mut end = text.len().min(256);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].into()
}
