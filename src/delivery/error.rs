//! Why an attempt to deliver an event fails.

use crate::{error::InvokeError, event::EventError, queue::PublishError};

/// Why an attempt to deliver an event failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeliveryError {
    /// The function failed, or refused.
    #[error(transparent)]
    Invoke(#[from] InvokeError),
    /// The function's answer is no event, though its trigger publishes replies.
    #[error("the reply is no event: {0}")]
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
