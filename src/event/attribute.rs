//! The value of an attribute, in the kinds that the JSON form can tell apart.

use std::{borrow::Cow, fmt};

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{Timestamp, check};

/// The value of an attribute or extension.
///
/// CloudEvents has seven types. In JSON, binary values, URIs, URI references and timestamps are
/// strings that nothing tells apart, so they are strings here too. [`Attribute::binary`] and the
/// conversion from [`Timestamp`] write such a string. [`Attribute::to_binary`] and
/// [`Attribute::to_timestamp`] read one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Attribute<'a> {
    /// `true` or `false`.
    Boolean(bool),
    /// A signed number of 32 bits.
    Integer(i32),
    /// Text without control characters and without code points that Unicode never assigns.
    String(Cow<'a, str>),
}

impl Attribute<'_> {
    /// A string that holds these bytes as base64.
    pub fn binary(bytes: &[u8]) -> Attribute<'static> {
        Attribute::String(Cow::Owned(STANDARD.encode(bytes)))
    }

    /// The bytes of a binary value. `None` if this is not base64.
    pub fn to_binary(&self) -> Option<Vec<u8>> {
        STANDARD.decode(self.as_str()?).ok()
    }

    /// The instant of a timestamp. `None` if this is not an RFC 3339 time.
    pub fn to_timestamp(&self) -> Option<Timestamp> {
        self.as_str()?.parse().ok()
    }

    /// Whether this is an absolute URI.
    pub fn is_uri(&self) -> bool {
        self.as_str().is_some_and(|text| check::uri(text).is_ok())
    }

    /// Whether this is a URI or a relative reference.
    pub fn is_uri_reference(&self) -> bool {
        self.as_str().is_some_and(|text| check::uri_reference(text).is_ok())
    }

    /// The text of a string. `None` for numbers and booleans.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Attribute::String(text) => Some(text),
            _ => None,
        }
    }

    /// The same, owned.
    pub fn into_string(self) -> Option<String> {
        match self {
            Attribute::String(text) => Some(text.into_owned()),
            _ => None,
        }
    }

    pub(super) fn borrowed(&self) -> Attribute<'_> {
        match self {
            Attribute::Boolean(value) => Attribute::Boolean(*value),
            Attribute::Integer(value) => Attribute::Integer(*value),
            Attribute::String(text) => Attribute::String(Cow::Borrowed(text)),
        }
    }

    pub(super) fn into_owned(self) -> Attribute<'static> {
        match self {
            Attribute::Boolean(value) => Attribute::Boolean(value),
            Attribute::Integer(value) => Attribute::Integer(value),
            Attribute::String(text) => Attribute::String(Cow::Owned(text.into_owned())),
        }
    }
}

/// The canonical text that CloudEvents has for values: `true`, `-5`, and strings unchanged.
impl fmt::Display for Attribute<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Attribute::Boolean(value) => value.fmt(f),
            Attribute::Integer(value) => value.fmt(f),
            Attribute::String(text) => text.fmt(f),
        }
    }
}

impl From<bool> for Attribute<'_> {
    fn from(value: bool) -> Self {
        Attribute::Boolean(value)
    }
}

impl From<i32> for Attribute<'_> {
    fn from(value: i32) -> Self {
        Attribute::Integer(value)
    }
}

impl<'a> From<&'a str> for Attribute<'a> {
    fn from(text: &'a str) -> Self {
        Attribute::String(Cow::Borrowed(text))
    }
}

impl From<String> for Attribute<'_> {
    fn from(text: String) -> Self {
        Attribute::String(Cow::Owned(text))
    }
}

impl From<Timestamp> for Attribute<'_> {
    fn from(instant: Timestamp) -> Self {
        Attribute::String(Cow::Owned(instant.to_string()))
    }
}
