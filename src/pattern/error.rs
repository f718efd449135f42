//! Why a text is not a pattern, and why an event cannot be matched.

use std::fmt;

use serde::{Serialize, Serializer, ser::SerializeStruct};

use crate::json::JsonError;

/// Why a text is not a pattern. The path of a field has dots between its keys. `(the pattern)` is
/// the outermost object.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatternError {
    /// A field is there twice, perhaps once with dots and once nested.
    #[error("{path}: the field is there twice; put the alternatives into one array, or use $or")]
    Duplicate {
        /// The field.
        path: Box<str>,
    },
    /// An object or array is empty, and so could match nothing.
    #[error("{path}: the {what} is empty; write the values that are wanted in an array, such as [\"a\", \"b\"]")]
    Empty {
        /// Where.
        path: Box<str>,
        /// `object` or `array`.
        what: &'static str,
    },
    /// The text is not JSON, or is nested too deeply.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// The pattern exceeds a limit.
    #[error("{path}: {found} {what}, above the limit of {limit}")]
    Limit {
        /// Where.
        path: Box<str>,
        /// What was counted.
        what: &'static str,
        /// How many there are, or at least are if counting ended early.
        found: usize,
        /// How many are allowed.
        limit: usize,
    },
    /// A field is a plain value.
    #[error("{path}: {found} must stand in an array: [{text}]")]
    NotAnArray {
        /// The field.
        path: Box<str>,
        /// What was found.
        found: &'static str,
        /// The value, cut at 256 bytes.
        text: Box<str>,
    },
    /// The text is a JSON value other than an object.
    #[error("a pattern is an object, but this is {found}")]
    NotAnObject {
        /// What was found.
        found: &'static str,
    },
    /// An operator does not take what it was given.
    #[error("{path}: {operator} was given {found}, but {expected}")]
    Operand {
        /// The field.
        path: Box<str>,
        /// The operator, or `a value`.
        operator: &'static str,
        /// What was found, cut at 256 bytes.
        found: Box<str>,
        /// What is allowed.
        expected: &'static str,
    },
    /// An object in the array of a field has more or fewer keys than one operator.
    #[error("{path}: an operator's object has one key, but this one has {found}; write one object for each operator")]
    OperatorCount {
        /// The field.
        path: Box<str>,
        /// How many keys there are.
        found: usize,
    },
    /// No operator has this name.
    #[error(
        "{path}: {name:?} is not an operator; the operators are prefix, suffix, equals-ignore-case, wildcard, anything-but, numeric, exists and cidr"
    )]
    UnknownOperator {
        /// The field.
        path: Box<str>,
        /// The name, cut at 256 bytes.
        name: Box<str>,
    },
}

/// Why an event cannot be matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MatchError {
    /// There are too many ways to take the event's fields together, as it repeats keys around
    /// arrays. This needs repeated keys, or keys with dots that mean the same.
    #[error("the event repeats keys around arrays: more than {limit} ways to combine their elements")]
    Ambiguous {
        /// The most combinations that are tried for one event.
        limit: usize,
    },
    /// The event is not a JSON object.
    #[error(transparent)]
    Json(#[from] JsonError),
}

/// The key has a pattern already, and nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the key has a pattern already; remove that pattern first")]
pub struct TakenKey;

impl PatternError {
    /// The kind in one word: `duplicate`, `empty`, …
    pub fn name(&self) -> &'static str {
        match self {
            Self::Duplicate { .. } => "duplicate",
            Self::Empty { .. } => "empty",
            Self::Json(_) => "json",
            Self::Limit { .. } => "limit",
            Self::NotAnArray { .. } => "not_an_array",
            Self::NotAnObject { .. } => "not_an_object",
            Self::Operand { .. } => "operand",
            Self::OperatorCount { .. } => "operator_count",
            Self::UnknownOperator { .. } => "unknown_operator",
        }
    }
}

impl MatchError {
    /// The kind in one word: `ambiguous`, `json`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Ambiguous { .. } => "ambiguous",
            Self::Json(_) => "json",
        }
    }
}

/// As `{"kind": …, "message": …}`: the name and the text.
impl Serialize for PatternError {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        kind_and_message(self.name(), self, serializer)
    }
}

/// As `{"kind": …, "message": …}`: the name and the text.
impl Serialize for MatchError {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        kind_and_message(self.name(), self, serializer)
    }
}

/// As `{"kind": "taken_key", "message": …}`.
impl Serialize for TakenKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        kind_and_message("taken_key", self, serializer)
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
