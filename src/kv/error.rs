//! How the key-value store ends an invocation: what a guest cannot be told by a code.

use super::Size;
use crate::text::Text;

/// Why an invocation failed over the key-value store. Nothing that it had staged was written, but for what is said at [`Error::Store`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another invocation has changed a key since this one compared it. It can be invoked again, and will see the change.
    #[error(
        "the key {:?} of the namespace {namespace} was changed by another invocation after this one had compared it, and nothing is written; invoke again",
        Text(key)
    )]
    Conflict {
        /// The namespace.
        namespace: Box<str>,
        /// The key, as text as far as it is any, 4 KiB at most.
        key: Box<str>,
    },
    /// What was staged, together with what others have committed in between, is more than the namespace may hold.
    #[error(
        "the namespace {namespace} would hold {} entries and {} bytes, above the limit of {} and {}, and nothing is written; delete, or raise `kv::Limits`",
        size.entries, size.bytes, quota.entries, quota.bytes
    )]
    Full {
        /// The namespace.
        namespace: Box<str>,
        /// What it would hold.
        size: Size,
        /// What it may hold.
        quota: Size,
    },
    /// The store failed, or panicked. What the invocation had staged is written as a whole or not at all: not, but for a disk that failed in the
    /// last step of a commit.
    #[error("the key-value store failed for the namespace {namespace}: {}", Text(problem))]
    Store {
        /// The namespace.
        namespace: Box<str>,
        /// The store's words.
        problem: Box<str>,
    },
}

impl Error {
    /// The kind in one word, as reports have it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Conflict { .. } => "kv_conflict",
            Self::Full { .. } => "kv_full",
            Self::Store { .. } => "kv_store",
        }
    }
}
