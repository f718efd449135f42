//! Why a trigger cannot be made or bound.

use serde::{Serialize, Serializer, ser::SerializeStruct};

use crate::pattern::PatternError;

/// Why a trigger cannot be made or bound. Nothing has changed then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TriggerError {
    /// No attribute can have this name.
    #[error("{name:?} is not the name of an attribute; these consist of a-z and 0-9")]
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
    /// MQTT does not allow the topic filter.
    #[error("the topic filter {filter:?} {problem}")]
    Topic {
        /// The filter, cut at 4 KiB.
        filter: Box<str>,
        /// What is wrong with it, and where.
        problem: Box<str>,
    },
    /// The text is not a pattern.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// The text is not a schedule.
    #[error("the schedule {schedule:?} {problem}")]
    Schedule {
        /// The schedule as given, cut at 4 KiB.
        schedule: Box<str>,
        /// What is wrong with it.
        problem: Box<str>,
    },
    /// The schedule has no instant in the future.
    #[error("the schedule {schedule:?} can never fire; its date does not exist or has passed")]
    Never {
        /// The schedule.
        schedule: Box<str>,
    },
    /// The method or the path of a route is invalid, or conflicts with another route.
    #[error("the route {method} {path:?} {problem}")]
    Route {
        /// The method as given.
        method: Box<str>,
        /// The path as given.
        path: Box<str>,
        /// What is wrong with it, or which route it conflicts with.
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
    /// The target is missing, or no function can have its name.
    #[error(
        "{target:?} is not a target; set one by `Trigger::to`: a function's name, perhaps with @ and a version or an alias"
    )]
    Target {
        /// The target as given.
        target: Box<str>,
    },
    /// The runtime has as many triggers as its limit allows.
    #[error("the runtime has {limit} triggers, its limit; unbind one, or raise `EventLimits::triggers`")]
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
            Self::Schedule { .. } => "schedule",
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
