//! Errors as serde has them: an object with the kind in one word and the text.
//!
//! Invariant: `kind` is what `name()` answers, and `message` is what `Display` writes.

use serde::{Serialize, Serializer};

use super::{Busy, DeployError, InvokeError, InvokeErrorKind, Trap};
#[cfg(feature = "durable")]
use crate::disk::{StoreError, StoreProblem};
use crate::{kv, text::kind_and_message};

macro_rules! by_name {
    ($($error:ty),*) => {$(
        /// As `{"kind": …, "message": …}`: the name and the text.
        impl Serialize for $error {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                kind_and_message(self.name(), self, serializer)
            }
        }
    )*};
}
by_name!(InvokeErrorKind, Busy, Trap, DeployError, kv::Error);

/// As `{"kind": …, "message": …}`: the name of the kind, and the text.
impl Serialize for InvokeError {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        kind_and_message(self.kind().name(), self, serializer)
    }
}

/// As `{"kind": …, "message": …}`: `conflict`, `full` or `store`, and the text.
impl Serialize for kv::CommitError {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let kind = match self {
            Self::Conflict { .. } => "conflict",
            Self::Full { .. } => "full",
            Self::Store(_) => "store",
        };
        kind_and_message(kind, self, serializer)
    }
}

/// As `{"kind": …, "message": …}`: `full`, `in_use`, `corrupt` or `io`, and the text.
#[cfg(feature = "durable")]
impl Serialize for StoreError {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let kind = match self.problem() {
            StoreProblem::Full => "full",
            StoreProblem::InUse => "in_use",
            StoreProblem::Corrupt => "corrupt",
            StoreProblem::Io => "io",
        };
        kind_and_message(kind, self, serializer)
    }
}
