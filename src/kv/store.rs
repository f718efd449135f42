//! What a key-value store is: the trait that hosts may implement, and the rules of a commit that every store keeps.
//!
//! Invariant: a commit does all of its changes or none; and it does none where an expectation does not hold or the quota is exceeded.

use std::ops::Bound;

use crate::host_error::HostError;

/// Namespaces of keys and values. [`Memory`](super::Memory) and `File` (feature `durable`) are two; a host may bring its own.
///
/// Used by invocations on any thread, at the same time; never while a lock of this library is held. A panic ends the invocation alone. An
/// error ends it too, as [`Error::Store`](super::Error::Store).
///
/// A deadline is looked at only after a store has answered: one that may wait should give up in time, with an error.
pub trait KeyValue: Send + Sync + 'static {
    /// The value of a key, if it has any.
    ///
    /// # Errors
    /// Whatever keeps the store from answering.
    fn get(&self, namespace: &str, key: &[u8]) -> Result<Option<Vec<u8>>, HostError>;

    /// The length of the value of a key, if it has any.
    ///
    /// # Errors
    /// As `get`.
    fn len(&self, namespace: &str, key: &[u8]) -> Result<Option<u64>, HostError> {
        Ok(self.get(namespace, key)?.map(|value| value.len() as u64))
    }

    /// Keys that begin with `prefix` and are greater than `after`, in the order of their bytes, `max` at most. All in bytes; no key
    /// is empty, so an empty `after` is before all of them.
    ///
    /// # Errors
    /// As `get`.
    fn list(&self, namespace: &str, prefix: &[u8], after: &[u8], max: usize) -> Result<Vec<Vec<u8>>, HostError>;

    /// What a namespace holds; nothing, where it was never written to.
    ///
    /// # Errors
    /// As `get`.
    fn size(&self, namespace: &str) -> Result<Size, HostError>;

    /// Makes all changes at one moment, or none. They are of different keys. Between looking at what is expected and writing, no other commit may
    /// come.
    ///
    /// # Errors
    /// [`CommitError::Conflict`] where a change does not [hold](Change::holds); [`CommitError::Full`] where the namespace would grow
    /// beyond the quota, in entries or in bytes (one that is beyond it already may shrink, or stay); [`CommitError::Store`]. Nothing has
    /// changed then; after `Store`, where a disk is to blame, all or nothing.
    fn commit(&self, namespace: &str, changes: &[Change<'_>], quota: Size) -> Result<(), CommitError>;
}

/// How much a namespace holds, or may hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Keys that have a value.
    pub entries: u64,
    /// Bytes of these keys and of their values.
    pub bytes: u64,
}

impl Size {
    /// No limit.
    pub const MAX: Self = Self { entries: u64::MAX, bytes: u64::MAX };

    /// Whether going from `before` to this grows beyond a quota.
    pub(crate) fn exceeds(&self, quota: Self, before: Self) -> bool {
        let over = |now: u64, before: u64, limit: u64| now > limit && now > before;
        over(self.entries, before.entries, quota.entries) || over(self.bytes, before.bytes, quota.bytes)
    }
}

/// A change to one key.
///
/// ```
/// use dormouse::kv::{Change, KeyValue, Memory, Size};
///
/// let store = Memory::new();
/// store.commit("bot", &[Change::set(b"greeting", b"hello"), Change::delete(b"old")], Size::MAX)?;
/// assert_eq!(store.get("bot", b"greeting")?.as_deref(), Some(&b"hello"[..]));
/// # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change<'a> {
    /// The key, 1 byte or more.
    pub key: &'a [u8],
    /// What must be there for the change to be made.
    pub expected: Expected<'a>,
    /// The new value; none deletes the key.
    pub value: Option<&'a [u8]>,
}

impl<'a> Change<'a> {
    /// Gives a key a value, whatever it has.
    pub fn set(key: &'a [u8], value: &'a [u8]) -> Self {
        Self { key, expected: Expected::Anything, value: Some(value) }
    }

    /// Takes a key's value away, if it has any.
    pub fn delete(key: &'a [u8]) -> Self {
        Self { key, expected: Expected::Anything, value: None }
    }

    /// Whether what is found under the key is what is expected.
    pub fn holds(&self, found: Option<&[u8]>) -> bool {
        match self.expected {
            Expected::Anything => true,
            Expected::Absent => found.is_none(),
            Expected::Value(value) => found == Some(value),
        }
    }

    /// The length of what is found, where it is what is expected.
    pub(super) fn check(&self, found: Option<&[u8]>) -> Result<Option<u64>, CommitError> {
        match self.holds(found) {
            true => Ok(found.map(|value| value.len() as u64)),
            false => Err(CommitError::Conflict { key: self.key.into() }),
        }
    }
}

/// What a [`Change`] expects to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected<'a> {
    /// Whatever it is.
    Anything,
    /// No value.
    Absent,
    /// This value.
    Value(&'a [u8]),
}

/// Why a commit has changed nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommitError {
    /// A change does not hold.
    #[error("the key {:?} does not have the value that is expected", key.escape_ascii().to_string())]
    Conflict {
        /// Its key.
        key: Box<[u8]>,
    },
    /// The namespace would grow beyond the quota.
    #[error("the namespace would hold {} entries and {} bytes, above the quota", size.entries, size.bytes)]
    Full {
        /// What it would hold.
        size: Size,
    },
    /// The store failed.
    #[error("{0}")]
    Store(HostError),
}

/// Where keys that begin with `prefix` and are greater than `after` begin.
pub(crate) fn start<'a>(prefix: &'a [u8], after: &'a [u8]) -> Bound<&'a [u8]> {
    if after >= prefix && !after.is_empty() { Bound::Excluded(after) } else { Bound::Included(prefix) }
}

/// What a namespace will hold after changes, if they may be made. `find` gives the length of what is under a key, and refuses what does
/// not hold.
pub(super) fn settle(
    changes: &[Change<'_>],
    before: Size,
    quota: Size,
    mut find: impl FnMut(&Change<'_>) -> Result<Option<u64>, CommitError>,
) -> Result<Size, CommitError> {
    let mut size = before;
    for change in changes {
        let key = change.key.len() as u64;
        if let Some(len) = find(change)? {
            size.entries = size.entries.saturating_sub(1);
            size.bytes = size.bytes.saturating_sub(key + len);
        }
        if let Some(value) = change.value {
            size.entries += 1;
            size.bytes = size.bytes.saturating_add(key + value.len() as u64);
        }
    }
    if size.exceeds(quota, before) { Err(CommitError::Full { size }) } else { Ok(size) }
}
