//! Why an attempt to deliver an event fails.
//!
//! Invariant: each error that the function causes can be told from one that the queue causes.

use serde::{Serialize, Serializer};

use crate::{error::InvokeError, event::EventError, queue::PublishError, text::kind_and_message};

/// Why an attempt to deliver an event failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeliveryError {
    /// The function failed, or the runtime refused to run it.
    #[error(transparent)]
    Invoke(#[from] InvokeError),
    /// The function's answer is not an event, although its trigger publishes replies.
    #[error("the reply is not an event: {0}")]
    Reply(#[from] EventError),
    /// The function's answer has a type that its trigger does not list.
    #[error("the reply has the type {ty:?}, which the trigger does not emit; list it in `Trigger::emits`")]
    ReplyType {
        /// The type.
        ty: Box<str>,
    },
    /// The function's answer could not be published.
    #[error("the reply was not published: {0}")]
    ReplyRefused(#[from] PublishError),
}

impl DeliveryError {
    /// The kind in one word: `invoke`, `reply`, `reply_type`, `reply_refused`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Invoke(_) => "invoke",
            Self::Reply(_) => "reply",
            Self::ReplyType { .. } => "reply_type",
            Self::ReplyRefused(_) => "reply_refused",
        }
    }
}

/// As `{"kind": …, "message": …}`: the name and the text.
impl Serialize for DeliveryError {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        kind_and_message(self.name(), self, serializer)
    }
}
