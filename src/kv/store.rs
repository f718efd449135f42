//! The trait of a key-value store, which hosts may implement, and the rules that every commit
//! keeps.
//!
//! Invariant: a commit makes all of its changes or none. It makes none if an expectation does not
//! hold or the quota would be exceeded.

use std::ops::Bound;

use crate::host_error::HostError;

/// Namespaces of keys and values. [`Memory`](super::Memory) and `File` (feature `durable`)
/// implement it. A host may bring its own store.
///
/// Invocations call a store from any thread, at the same time, and never while a lock of this
/// library is held. A panic ends only the invocation. An error ends it too, as
/// [`Error::Store`](super::Error::Store).
///
/// The runtime checks a deadline only after a store has answered. A store that may wait should give
/// up in time, with an error.
pub trait KeyValue: Send + Sync + 'static {
    /// The value of a key, or `None`.
    ///
    /// # Errors
    /// Anything that keeps the store from answering.
    fn get(&self, namespace: &str, key: &[u8]) -> Result<Option<Vec<u8>>, HostError>;

    /// The length of a key's value, or `None`.
    ///
    /// # Errors
    /// As `get`.
    fn len(&self, namespace: &str, key: &[u8]) -> Result<Option<u64>, HostError> {
        Ok(self.get(namespace, key)?.map(|value| value.len() as u64))
    }

    /// At most `max` keys that begin with `prefix` and are greater than `after`, in the order of
    /// their bytes. No key is empty, so an empty `after` is before all keys.
    ///
    /// # Errors
    /// As `get`.
    fn list(&self, namespace: &str, prefix: &[u8], after: &[u8], max: usize) -> Result<Vec<Vec<u8>>, HostError>;

    /// How much a namespace holds. It is empty if it was never written to.
    ///
    /// # Errors
    /// As `get`.
    fn size(&self, namespace: &str) -> Result<Size, HostError>;

    /// Makes all changes at one moment, or none. Each change has a different key. No other commit
    /// may come between checking the expectations and writing.
    ///
    /// # Errors
    /// [`CommitError::Conflict`] if a change does not [hold](Change::holds). [`CommitError::Full`]
    /// if the namespace would grow beyond the quota, in entries or in bytes; one that is already
    /// beyond it may shrink or stay. [`CommitError::Store`] if the store fails. An error means that
    /// nothing has changed. Only after `Store`, if the disk is to blame, either all or nothing has
    /// changed.
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
    /// A quota without limits.
    pub const MAX: Self = Self { entries: u64::MAX, bytes: u64::MAX };

    /// Whether the growth from `before` to this size exceeds a quota.
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
    /// The key: 1 byte or more.
    pub key: &'a [u8],
    /// The condition for the change.
    pub expected: Expected<'a>,
    /// The new value. `None` deletes the key.
    pub value: Option<&'a [u8]>,
}

impl<'a> Change<'a> {
    /// Sets a key's value unconditionally.
    pub fn set(key: &'a [u8], value: &'a [u8]) -> Self {
        Self { key, expected: Expected::Anything, value: Some(value) }
    }

    /// Deletes a key's value, if it has one.
    pub fn delete(key: &'a [u8]) -> Self {
        Self { key, expected: Expected::Anything, value: None }
    }

    /// Whether the value that was found is the expected one.
    pub fn holds(&self, found: Option<&[u8]>) -> bool {
        match self.expected {
            Expected::Anything => true,
            Expected::Absent => found.is_none(),
            Expected::Value(value) => found == Some(value),
        }
    }

    /// The length of the value that was found, or an error if it is not the expected one.
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
    /// Any value, or none.
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
        /// The key of the change.
        key: Box<[u8]>,
    },
    /// The namespace would grow beyond the quota.
    #[error("the namespace would hold {} entries and {} bytes, above the quota", size.entries, size.bytes)]
    Full {
        /// What the namespace would hold.
        size: Size,
    },
    /// The store failed.
    #[error("{0}")]
    Store(HostError),
}

/// The first of the keys that begin with `prefix` and are greater than `after`.
pub(crate) fn start<'a>(prefix: &'a [u8], after: &'a [u8]) -> Bound<&'a [u8]> {
    if after >= prefix && !after.is_empty() { Bound::Excluded(after) } else { Bound::Included(prefix) }
}

/// The size of a namespace after these changes, if they are allowed. `find` returns the length of a
/// key's value, and refuses a change that does not hold.
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
