//! What can be wrong with a trigger.

use serde::{Serialize, Serializer, ser::SerializeStruct};

use crate::pattern::PatternError;

/// Why a trigger cannot be made or bound. Nothing has changed then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TriggerError {
    /// A topic's attribute has a name that no attribute has.
    #[error("{name:?} is no name of an attribute; these are made of a-z and 0-9")]
    Attribute {
        /// The name as given.
        name: Box<str>,
    },
    /// The type is empty, or reserved.
    #[error("the event type {ty:?} {problem}")]
    Type {
        /// The type as given.
        ty: Box<str>,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A filter that MQTT does not allow.
    #[error("the topic filter {filter:?} {problem}")]
    Topic {
        /// The filter, cut at 4 KiB.
        filter: Box<str>,
        /// What is wrong with it, and where.
        problem: Box<str>,
    },
    /// The text is no pattern.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// The text is no schedule.
    #[cfg(feature = "schedule")]
    #[error("the schedule {schedule:?} {problem}")]
    Schedule {
        /// The schedule as given, cut at 4 KiB.
        schedule: Box<str>,
        /// What is wrong with it.
        problem: Box<str>,
    },
    /// The schedule has no instant to come.
    #[cfg(feature = "schedule")]
    #[error("the schedule {schedule:?} can never fire; its date does not exist, or has passed")]
    Never {
        /// The schedule.
        schedule: Box<str>,
    },
    /// The method or the path of a route.
    #[error("the route {method} {path:?} {problem}")]
    Route {
        /// The method as given.
        method: Box<str>,
        /// The path as given.
        path: Box<str>,
        /// What is wrong with it, or which trigger has one that it conflicts with.
        problem: Box<str>,
    },
    /// The id is not `[A-Za-z0-9._-]{1,64}`.
    #[error("the trigger id {id:?} is not made of 1 to 64 of the characters A-Z a-z 0-9 . _ -")]
    InvalidId {
        /// The id as given.
        id: Box<str>,
    },
    /// Another trigger has the id.
    #[error("the trigger id {id:?} is taken, by {holder}; unbind it first, or choose another id")]
    Taken {
        /// The id.
        id: Box<str>,
        /// Source and target of the trigger that has it.
        holder: Box<str>,
    },
    /// The target is missing, or no name that a function can have.
    #[error(
        "{target:?} is no target; give one by `Trigger::to`: a function's name, with a version or an alias after an `@` if need be"
    )]
    Target {
        /// The target as given.
        target: Box<str>,
    },
    /// The runtime has as many triggers as it may.
    #[error("the runtime has {limit} triggers, its limit; unbind one or raise `EventLimits::triggers`")]
    TooMany {
        /// The limit.
        limit: usize,
    },
}

impl TriggerError {
    /// The kind in one word: `attribute`, `type`, …
    pub fn name(&self) -> &'static str {
        match self {
            Self::Attribute { .. } => "attribute",
            Self::Type { .. } => "type",
            Self::Topic { .. } => "topic",
            Self::Pattern(_) => "pattern",
            #[cfg(feature = "schedule")]
            Self::Schedule { .. } => "schedule",
            #[cfg(feature = "schedule")]
            Self::Never { .. } => "never",
            Self::Route { .. } => "route",
            Self::InvalidId { .. } => "invalid_id",
            Self::Taken { .. } => "taken",
            Self::Target { .. } => "target",
            Self::TooMany { .. } => "too_many",
        }
    }
}

/// As `{"kind": …, "message": …}`: the name and the text.
impl Serialize for TriggerError {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("TriggerError", 2)?;
        fields.serialize_field("kind", self.name())?;
        fields.serialize_field("message", &self.to_string())?;
        fields.end()
    }
}

/// The start of a text, cut between characters: as much as an error carries.
pub(super) fn cut(text: &str) -> Box<str> {
    let mut end = text.len().min(4 << 10);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].into()
}
