//! Errors of the key-value store that end an invocation. For all other problems, a guest gets a
//! code.
//!
//! Invariant: nothing that the invocation staged was written, except as said at [`Error::Store`].

use super::Size;
use crate::text::Text;

/// Why an invocation failed because of the key-value store. Nothing that it had staged was written,
/// except as said at [`Error::Store`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another invocation has changed a key since this one compared it. The caller can invoke
    /// again, and the new invocation will see the change.
    #[error(
        "the key {:?} of the namespace {namespace} was changed by another invocation after this one had \
         compared it, so nothing was written; invoke again",
        Text(key)
    )]
    Conflict {
        /// The namespace.
        namespace: Box<str>,
        /// The key as text. Bytes that are not text are replaced. It is cut at 4 KiB.
        key: Box<str>,
    },
    /// The staged writes, together with what others have committed in the meantime, exceed the
    /// quota of the namespace.
    #[error(
        "the namespace {namespace} would hold {} entries and {} bytes, above the limit of {} and {}, so \
         nothing was written; delete keys, or raise `kv::Limits`",
        size.entries, size.bytes, quota.entries, quota.bytes
    )]
    Full {
        /// The namespace.
        namespace: Box<str>,
        /// What the namespace would hold.
        size: Size,
        /// What the namespace may hold.
        quota: Size,
    },
    /// The store failed or panicked. Nothing that the invocation had staged was written, except if
    /// a disk failed in the last step of a commit: then either all or nothing was written.
    #[error("the key-value store failed for the namespace {namespace}: {}", Text(problem))]
    Store {
        /// The namespace.
        namespace: Box<str>,
        /// The store's message.
        problem: Box<str>,
    },
}

impl Error {
    /// The kind in one word, as reports contain it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Conflict { .. } => "kv_conflict",
            Self::Full { .. } => "kv_full",
            Self::Store { .. } => "kv_store",
        }
    }
}
