//! Any error of this library, for hosts that do not tell them apart.

#[cfg(feature = "durable")]
use crate::disk::StoreError;
#[cfg(feature = "events")]
use crate::{
    delivery::DeliveryError,
    event::{EventError, TimestampError},
    json::JsonError,
    pattern::{MatchError, PatternError, TakenKey},
    queue::{PublishError, RedriveError},
    trigger::TriggerError,
};
use crate::{
    error::{DeployError, InvokeError, InvokeErrorKind},
    function::AliasError,
    kv,
    limits::ParseError,
};

/// Any error of this library: each converts into it, so that `?` gathers them.
///
/// ```
/// fn run(runtime: &dormouse::Runtime, module: &[u8]) -> Result<Vec<u8>, dormouse::Error> {
///     Ok(runtime.deploy("greet", module)?.invoke(b"World")?.into_output())
/// }
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A deployment was refused.
    #[error(transparent)]
    Deploy(#[from] DeployError),
    /// An invocation failed or was refused.
    #[error(transparent)]
    Invoke(#[from] InvokeError),
    /// An alias was refused.
    #[error(transparent)]
    Alias(#[from] AliasError),
    /// A text does not say what it should, such as a version or limits.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// A key-value store refused a change.
    #[error(transparent)]
    Commit(#[from] kv::CommitError),
    /// A trigger was refused.
    #[cfg(feature = "events")]
    #[error(transparent)]
    Trigger(#[from] TriggerError),
    /// An event was not published.
    #[cfg(feature = "events")]
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// A dead letter was not delivered again.
    #[cfg(feature = "events")]
    #[error(transparent)]
    Redrive(#[from] RedriveError),
    /// An attempt to deliver an event failed.
    #[cfg(feature = "events")]
    #[error(transparent)]
    Delivery(#[from] DeliveryError),
    /// An event was refused.
    #[cfg(feature = "events")]
    #[error(transparent)]
    Event(#[from] EventError),
    /// A text or a number is not a time.
    #[cfg(feature = "events")]
    #[error(transparent)]
    Timestamp(#[from] TimestampError),
    /// A text is not JSON.
    #[cfg(feature = "events")]
    #[error(transparent)]
    Json(#[from] JsonError),
    /// A pattern was refused.
    #[cfg(feature = "events")]
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// A pattern could not be matched.
    #[cfg(feature = "events")]
    #[error(transparent)]
    Match(#[from] MatchError),
    /// A key of a pattern index was taken.
    #[cfg(feature = "events")]
    #[error(transparent)]
    TakenKey(#[from] TakenKey),
    /// A file could not be opened, read or written.
    #[cfg(feature = "durable")]
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<InvokeErrorKind> for Error {
    fn from(kind: InvokeErrorKind) -> Self {
        Self::Invoke(kind.into())
    }
}

impl From<kv::Error> for Error {
    fn from(error: kv::Error) -> Self {
        InvokeErrorKind::KeyValue(error).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_any_kind_is_small() {
        // The largest of them have 72 bytes, and it must tell all kinds apart.
        assert!(size_of::<Error>() <= 80, "{}", size_of::<Error>());
    }
}
