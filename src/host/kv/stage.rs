//! What one invocation has written and compared, until it is committed or dropped.
//!
//! Invariant: `bytes` and `growth` are the sums over the staged writes, and `bytes` is within the
//! limit. Only `commit` changes the store, and it consumes the stage.

use std::{
    collections::BTreeMap,
    ops::Bound,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use crate::{
    error::InvokeErrorKind,
    host::function::panic_text,
    host_error::HostError,
    kv::{Change, CommitError, Error, Expected, Granted, Size, start},
    text::cut,
};

/// What a staged write counts for beside its bytes. This is generous.
const WRITE_BYTES: u64 = 128;

/// Bytes of the length before each key of a list.
const LEN_BYTES: usize = 4;

/// A code that a guest gets instead of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub(crate) enum Code {
    NotFound = -1,
    Key = -2,
    Value = -3,
    Fault = -4,
    Full = -5,
    Staged = -6,
    Room = -7,
}

/// Why a call fails: the guest gets a code, or the run ends.
#[derive(Debug)]
pub(crate) enum Stop {
    Code(Code),
    End(InvokeErrorKind),
}

impl From<Code> for Stop {
    fn from(code: Code) -> Self {
        Self::Code(code)
    }
}

impl From<InvokeErrorKind> for Stop {
    fn from(kind: InvokeErrorKind) -> Self {
        match kind {
            InvokeErrorKind::OutOfBounds { .. } => Self::Code(Code::Fault),
            kind => Self::End(kind),
        }
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::End(error.into())
    }
}

/// The staged writes of one invocation.
pub(crate) struct Stage {
    granted: Arc<Granted>,
    writes: BTreeMap<Box<[u8]>, StagedWrite>,
    bytes: u64,
    growth: Growth,
}

/// A staged change of one key.
struct StagedWrite {
    /// `None` deletes the key.
    value: Option<Vec<u8>>,
    /// The length of the committed value when the key was first staged.
    before: Option<u64>,
    /// What the commit must find if the guest has compared the key. `Some(None)` means no value.
    expected: Option<Option<Vec<u8>>>,
}

/// By how much writes make the namespace larger, as far as is known before the commit.
#[derive(Clone, Copy, Default)]
struct Growth {
    entries: i64,
    bytes: i64,
}

/// Keys in the form for a guest, and how many keys of how many bytes were looked at.
pub(crate) struct List {
    pub(crate) bytes: Vec<u8>,
    /// Whether the list is complete, or at least one key has fitted.
    pub(crate) fits: bool,
    pub(crate) keys: u64,
    pub(crate) key_bytes: u64,
}

impl StagedWrite {
    fn change<'a>(&'a self, key: &'a [u8]) -> Change<'a> {
        let expected = match &self.expected {
            None => Expected::Anything,
            Some(None) => Expected::Absent,
            Some(Some(value)) => Expected::Value(value),
        };
        Change { key, expected, value: self.value.as_deref() }
    }
}

/// How many bytes a staged write counts for.
fn staged(key: usize, value: Option<usize>, expected: Option<usize>) -> u64 {
    WRITE_BYTES + (key + value.unwrap_or(0) + expected.unwrap_or(0)) as u64
}

impl Growth {
    /// The growth by a write that changes a value's length from `before` to `now`.
    fn of(key: usize, before: Option<u64>, now: Option<usize>) -> Self {
        let bytes = |len: u64| i64::try_from(len.saturating_add(key as u64)).unwrap_or(i64::MAX);
        let part = |len: Option<u64>| len.map_or((0, 0), |len| (1, bytes(len)));
        let (before, now) = (part(before), part(now.map(|len| len as u64)));
        Self { entries: now.0 - before.0, bytes: now.1.saturating_sub(before.1) }
    }

    fn plus(self, other: Self) -> Self {
        Self { entries: self.entries + other.entries, bytes: self.bytes.saturating_add(other.bytes) }
    }

    fn minus(self, other: Self) -> Self {
        Self { entries: self.entries - other.entries, bytes: self.bytes.saturating_sub(other.bytes) }
    }
}

impl Stage {
    pub(super) fn new(granted: Arc<Granted>) -> Self {
        Self { granted, writes: BTreeMap::new(), bytes: 0, growth: Growth::default() }
    }

    fn failed(&self, error: &HostError) -> Stop {
        Error::Store { namespace: self.granted.namespace.clone(), problem: cut(&error.to_string()) }.into()
    }

    /// The value of a key as the invocation sees it.
    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Stop> {
        match self.writes.get(key) {
            Some(write) => Ok(write.value.clone()),
            None => self.granted.store.get(&self.granted.namespace, key).map_err(|error| self.failed(&error)),
        }
    }

    fn len(&self, key: &[u8]) -> Result<Option<u64>, Stop> {
        self.granted.store.len(&self.granted.namespace, key).map_err(|error| self.failed(&error))
    }

    /// Sets or deletes a key's value. Returns whether it had one.
    pub(super) fn write(&mut self, key: Vec<u8>, value: Option<Vec<u8>>) -> Result<bool, Stop> {
        let (had, before) = match self.writes.get(&key[..]) {
            Some(write) => (write.value.is_some(), write.before),
            None => {
                let len = self.len(&key)?;
                (len.is_some(), len)
            }
        };
        self.stage(key, StagedWrite { value, before, expected: None })?;
        Ok(had)
    }

    /// Does the same if the key has the expected value. Returns whether it had, and how many bytes
    /// were compared.
    pub(super) fn compare_and_set(
        &mut self,
        key: Vec<u8>,
        expected: Option<Vec<u8>>,
        value: Option<Vec<u8>>,
    ) -> Result<(bool, u64), Stop> {
        if let Some(write) = self.writes.get(&key[..]) {
            let (len, before) = (write.value.as_ref().map_or(0, Vec::len) as u64, write.before);
            let is_it = write.value == expected;
            if is_it {
                self.stage(key, StagedWrite { value, before, expected: None })?;
            }
            return Ok((is_it, len));
        }
        let found = self.get(&key)?;
        let before = found.as_ref().map(|found| found.len() as u64);
        let is_it = found == expected;
        if is_it {
            self.stage(key, StagedWrite { value, before, expected: Some(expected) })?;
        }
        Ok((is_it, before.unwrap_or(0)))
    }

    /// Stages a write, or refuses it and changes nothing. What a key was first compared with stays
    /// when it is written again.
    fn stage(&mut self, key: Vec<u8>, write: StagedWrite) -> Result<(), Stop> {
        let size = key.len();
        let len = |value: &Option<Vec<u8>>| value.as_ref().map(Vec::len);
        let old = self.writes.get(&key[..]);
        let expected = |write: &StagedWrite| write.expected.as_ref().and_then(len);
        let old_bytes = old.map_or(0, |old| staged(size, len(&old.value), expected(old)));
        let bytes = self.bytes - old_bytes + staged(size, len(&write.value), expected(old.unwrap_or(&write)));
        if bytes > self.granted.limits.staged && bytes > self.bytes {
            return Err(Code::Staged.into());
        }

        let old_growth = old.map_or(Growth::default(), |old| Growth::of(size, old.before, len(&old.value)));
        let growth = self.growth.minus(old_growth).plus(Growth::of(size, write.before, len(&write.value)));
        if growth.entries > self.growth.entries || growth.bytes > self.growth.bytes {
            let store = &self.granted.store;
            let now = store.size(&self.granted.namespace).map_err(|error| self.failed(&error))?;
            let with = |growth: Growth| Size {
                entries: now.entries.saturating_add_signed(growth.entries),
                bytes: now.bytes.saturating_add_signed(growth.bytes),
            };
            if with(growth).exceeds(self.granted.limits.quota(), with(self.growth)) {
                return Err(Code::Full.into());
            }
        }
        self.bytes = bytes;
        self.growth = growth;
        match self.writes.get_mut(&key[..]) {
            Some(old) => old.value = write.value,
            None => drop(self.writes.insert(key.into(), write)),
        }
        Ok(())
    }

    /// Keys that begin with `prefix` and come after `after`, as many as fit into `room`.
    pub(super) fn list(&self, prefix: &[u8], after: &[u8], room: usize) -> Result<List, Stop> {
        let Granted { store, namespace, limits } = &*self.granted;
        let mut list = List { bytes: Vec::new(), fits: true, keys: 0, key_bytes: 0 };
        let mut left = limits.list as usize;
        let mut after = after.to_vec();
        loop {
            // As many keys as can fit, and one that does not.
            let wanted = left.min((room - list.bytes.len()) / (LEN_BYTES + 1) + 1);
            let page = store.list(namespace, prefix, &after, wanted).map_err(|error| self.failed(&error))?;
            // The guest pays for all that the store has fetched, even if it is not used.
            list.keys += page.len() as u64;
            list.key_bytes += page.iter().map(|key| key.len() as u64).sum::<u64>();
            // Staged keys behind the last key of a full page wait for the next page.
            let last = if page.len() < wanted { None } else { page.last().cloned() };
            let staged = self.writes.range::<[u8], _>((start(prefix, &after), Bound::Unbounded));
            let within = |key: &[u8]| key.starts_with(prefix) && last.as_ref().is_none_or(|last| key <= &last[..]);
            let mut staged = staged.take_while(|(key, _)| within(key)).peekable();
            let mut committed = page.iter().peekable();
            loop {
                let (key, is_there) = match (committed.peek(), staged.peek()) {
                    (None, None) => break,
                    (Some(key), other) if other.is_none_or(|(other, _)| key[..] < other[..]) => (&key[..], true),
                    (_, Some((key, write))) => (&key[..], write.value.is_some()),
                    (Some(key), None) => (&key[..], true),
                };
                if committed.peek().is_none_or(|other| other[..] != *key) {
                    list.keys += 1;
                    list.key_bytes += key.len() as u64;
                }
                if is_there {
                    if list.bytes.len() + LEN_BYTES + key.len() > room {
                        list.fits = !list.bytes.is_empty();
                        return Ok(list);
                    }
                    list.bytes.extend_from_slice(&(key.len() as u32).to_le_bytes());
                    list.bytes.extend_from_slice(key);
                    left -= 1;
                    if left == 0 {
                        return Ok(list);
                    }
                }
                if committed.peek().is_some_and(|other| other[..] == *key) {
                    committed.next();
                }
                if staged.peek().is_some_and(|(other, _)| ***other == *key) {
                    staged.next();
                }
            }
            match last {
                Some(last) => after = last,
                None => return Ok(list),
            }
        }
    }

    /// Commits all staged writes, or none.
    pub(crate) fn commit(self) -> Result<(), InvokeErrorKind> {
        if self.writes.is_empty() {
            return Ok(());
        }
        let Granted { store, namespace, limits } = &*self.granted;
        let changes: Vec<Change<'_>> = self.writes.iter().map(|(key, write)| write.change(key)).collect();
        // This is the host's code, which may panic. It also formats the text of its errors.
        let done = catch_unwind(AssertUnwindSafe(|| {
            store.commit(namespace, &changes, limits.quota()).map_err(|error| match error {
                CommitError::Conflict { key } => {
                    Error::Conflict { namespace: namespace.clone(), key: cut(&String::from_utf8_lossy(&key)) }
                }
                CommitError::Full { size } => Error::Full { namespace: namespace.clone(), size, quota: limits.quota() },
                CommitError::Store(error) => {
                    Error::Store { namespace: namespace.clone(), problem: cut(&error.to_string()) }
                }
            })
        }));
        let done = done.unwrap_or_else(|panic| {
            let problem = cut(&format!("it panicked: {}", panic_text(&*panic)));
            Err(Error::Store { namespace: namespace.clone(), problem })
        });
        done.map_err(InvokeErrorKind::from)
    }
}
