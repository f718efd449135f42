//! The key-value store: functions keep in it what must outlast an invocation. Guests import it from
//! `dormouse:kv`. A host grants it by [`Deployment::kv`](crate::Deployment::kv).
//!
//! Invariant: other invocations see all writes of an invocation at one moment, when it has
//! succeeded, or none of them.
//!
//! ```
//! # let module = wat::parse_str(r#"(module (import "dormouse:kv" "get" (func $get (param i32 i32 i32 i32) (result i32)))
//! #   (import "dormouse:kv" "set" (func $set (param i32 i32 i32 i32) (result i32)))
//! #   (memory (export "memory") 1) (data (i32.const 0) "visits")
//! #   (func (export "visit") (result i32)
//! #     (drop (call $get (i32.const 0) (i32.const 6) (i32.const 8) (i32.const 4)))
//! #     (i32.store (i32.const 8) (i32.add (i32.load (i32.const 8)) (i32.const 1)))
//! #     (drop (call $set (i32.const 0) (i32.const 6) (i32.const 8) (i32.const 4)))
//! #     (i32.load (i32.const 8))))"#).unwrap();
//! use std::sync::Arc;
//! use dormouse::{Runtime, Value, kv::{self, KeyValue}};
//!
//! let store = Arc::new(kv::Memory::new());
//! let runtime = Runtime::new();
//! let counter = runtime.deployment("counter", &module).kv(kv::Grant::new(store.clone())).deploy()?;
//! for visit in 1..=3 {
//!     assert_eq!(counter.call("visit", &[])?.values(), [Value::I32(visit)]);
//! }
//! assert_eq!(store.get("counter", b"visits")?, Some(vec![3, 0, 0, 0]), "the host finds it under the function's name");
//! # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
//! ```
//!
//! # What guests import
//!
//! All parameters and results are `i32`. Keys and values are bytes in the guest's memory, given by
//! address and length. A key has 1 byte or more. A value may be empty.
//!
//! | function of `dormouse:kv` | answers |
//! |---|---|
//! | `get(key, key_len, at, room)` | the value's length, or -1 if there is no value. The value is written to `at` if it fits into `room` bytes, otherwise nothing is written |
//! | `set(key, key_len, value, value_len)` | 0 |
//! | `delete(key, key_len)` | 1 if there was a value, 0 if not |
//! | `compare_and_set(key, key_len, expected, expected_len, value, value_len)` | 1 if the value was the expected one and is now set; 0 if it was another, and nothing is changed. A length of -1 means no value: the key is expected to have none, or is deleted |
//! | `list(prefix, prefix_len, after, after_len, at, room)` | how many bytes were written; 0 if there are no keys. Written are the keys that begin with the prefix and come after `after`, in the order of their bytes. An empty `after` starts at the beginning. Each key is written as its length (4 bytes, little-endian) and its bytes. Only whole keys are written, as many as fit and as the limit allows. To go on, call again with the last key as `after` |
//!
//! | code | means |
//! |---|---|
//! | -1 | there is no value (`get`) |
//! | -2 | a key is empty, or a key or prefix is longer than [`Limits::key`] |
//! | -3 | the value is larger than [`Limits::value`] |
//! | -4 | an address range is not in the guest's memory |
//! | -5 | the namespace would hold more than [`Limits::entries`] or [`Limits::bytes`] |
//! | -6 | the invocation would stage more than [`Limits::staged`] |
//! | -7 | the next key does not fit into the room (`list`) |
//!
//! A call that answers a code has changed nothing. A call costs 64 fuel, and one more as every host
//! call. Each started 64 bytes that it moves or compares (values, keys, lists) cost one more.
//! `list` costs 8 for each key that it looks at.
//!
//! Extism plug-ins import the same functions from `extism:host/user`. All their parameters and
//! results are `i64`: handles of blocks, with 0 for the empty block. They answer the same codes,
//! and -2 for the key of handle 0.
//!
//! | function of `extism:host/user` | answers |
//! |---|---|
//! | `kv_get(key)` | a new block with the value, 0 for an empty one |
//! | `kv_set(key, value)` | 0 |
//! | `kv_delete(key)` | 1 if there was a value, 0 if not |
//! | `kv_compare_and_set(key, expected, value)` | 1 if the value is set, 0 if not. The handle 0 stands for no value, so an empty value can be neither expected nor set |
//! | `kv_list(prefix, after)` | a new block with keys, as `list` writes them, up to 64 KiB; 0 if there are no keys |
//!
//! There is no store during initialisation, because all invocations share its result. A call to the
//! store ends initialisation, and the deployment fails.
//!
//! # What invocations see of each other
//!
//! - Writes are **staged**: only the invocation itself sees them. When it has succeeded, the
//!   runtime commits them, all at one moment. When it fails (a trap, fuel, the deadline, an exit
//!   code, an output that is too large), they are dropped. There is one exception: if only its
//!   published events could not be queued (`InvokeErrorKind::Unpublished`), the writes are
//!   committed. A session is one invocation. It is committed when its closure returns `Ok`,
//!   whatever the results of the calls in it.
//! - **Reads** return the invocation's own writes, otherwise what is committed at the moment of the
//!   call. So two reads may see the states before and after another commit. A list is not a
//!   snapshot either.
//! - `set` and `delete` are unconditional. If two invocations read, compute and `set` the same key,
//!   the later commit wins and the other is lost.
//! - `compare_and_set` does not lose updates. If a comparison with a committed value held, it
//!   **holds at the commit as well**: it is repeated there. If it fails there, nothing of the
//!   invocation is written, and it fails with [`Error::Conflict`]. The caller can invoke again; a
//!   [delivery](crate::Trigger) is tried again by its trigger's rule. A comparison that answered 0,
//!   or that compared with the invocation's own write, says nothing about the commit. To depend on
//!   a key without changing it, compare it and set it to the same value.
//! - A **nested** invocation, which a host function begins inside another, is an invocation of its
//!   own. It does not see what the outer one has staged. Its commit stays if the outer one fails.
//!   If it changes what the outer one has compared, the outer one fails.
//! - A commit ends an invocation, not a delivery. A delivery may run again, after a crash or
//!   because its reply could not be published. It then finds what its first run has committed.

mod error;
#[cfg(feature = "durable")]
mod file;
mod memory;
#[cfg(all(test, feature = "durable"))]
mod power;
mod store;

use std::{fmt, sync::Arc};

pub use error::Error;
#[cfg(feature = "durable")]
pub use file::File;
pub use memory::Memory;
use serde::{Deserialize, Serialize};
pub(crate) use store::start;
pub use store::{Change, CommitError, Expected, KeyValue, Size};

use crate::limits::is_name;

/// The module from which guests import the functions.
pub(crate) const MODULE: &str = "dormouse:kv";

/// The longest key that [`Limits::key`] may allow, and the largest value whose length fits an
/// `i32`.
pub(crate) const KEY_MAX: u32 = 64 << 10;
const VALUE_MAX: u32 = i32::MAX as u32;

/// How much a function may keep, and how much one of its invocations may do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Bytes of a key, and of a prefix. Default: 1 KiB, at most 64 KiB.
    pub key: u32,
    /// Bytes of a value. Default: 1 MiB.
    pub value: u32,
    /// Entries of the namespace. An invocation checks this when it stages a new entry, and exactly
    /// when it commits. A commit that adds no entry is never refused because of this limit.
    /// Default: 100,000.
    pub entries: u64,
    /// Bytes of the namespace's keys and values, checked in the same way. Default: 64 MiB.
    pub bytes: u64,
    /// Bytes that an invocation may stage: keys, values, expected values, and 128 for each write.
    /// Default: 4 MiB.
    pub staged: u64,
    /// Keys that one `list` returns. Default: 1,000.
    pub list: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { key: 1 << 10, value: 1 << 20, entries: 100_000, bytes: 64 << 20, staged: 4 << 20, list: 1_000 }
    }
}

impl Limits {
    pub(crate) fn quota(&self) -> Size {
        Size { entries: self.entries, bytes: self.bytes }
    }
}

/// A store for a function, the namespace that the function sees, and its limits: for
/// [`Deployment::kv`](crate::Deployment::kv).
///
/// Functions see each other's keys only if the host grants them the same namespace of the same
/// store.
///
/// ```
/// use std::sync::Arc;
/// use dormouse::kv::{Grant, Limits, Memory};
///
/// let store = Arc::new(Memory::new());
/// let own = Grant::new(store.clone());
/// let shared = Grant::new(store).namespace("carts").limits(Limits { value: 4 << 10, ..Limits::default() });
/// ```
#[derive(Clone)]
pub struct Grant {
    store: Arc<dyn KeyValue>,
    namespace: Option<Box<str>>,
    limits: Limits,
}

impl Grant {
    /// Grants a store, with the function's name as namespace, and default limits.
    pub fn new(store: Arc<dyn KeyValue>) -> Self {
        Self { store, namespace: None, limits: Limits::default() }
    }

    /// Sets another namespace, `[A-Za-z0-9._-]{1,64}`, for functions that share one or change their
    /// name.
    pub fn namespace(mut self, namespace: &str) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    /// Sets limits instead of [`Limits::default`]. Functions that share a namespace each keep to
    /// their own limits. A function that may only have shorter keys cannot list beyond the longer
    /// keys of another.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The grant for a function of this name.
    pub(crate) fn to(self, function: &str) -> Granted {
        let Self { store, namespace, limits } = self;
        Granted { store, namespace: namespace.unwrap_or_else(|| function.into()), limits }
    }
}

impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grant")
            .field("namespace", &self.namespace)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// A grant as one function holds it. Its debug form is part of the function's version.
pub(crate) struct Granted {
    pub(crate) store: Arc<dyn KeyValue>,
    pub(crate) namespace: Box<str>,
    pub(crate) limits: Limits,
}

impl Granted {
    /// What is wrong with the grant, if anything.
    pub(crate) fn problem(&self) -> Option<String> {
        let Self { namespace, limits, .. } = self;
        if !is_name(namespace) {
            return Some(format!(
                "the namespace {namespace:?} is not valid; use 1 to 64 of the characters A-Z a-z 0-9 . _ -"
            ));
        }
        let wrong = [
            ("key", limits.key, 1, KEY_MAX),
            ("value", limits.value, 0, VALUE_MAX),
            ("list", limits.list, 1, u32::MAX),
        ]
        .into_iter()
        .find(|(_, limit, least, most)| !(least..=most).contains(&limit));
        wrong.map(|(field, limit, least, most)| format!("`{field}` is {limit}; it must be from {least} to {most}"))
    }
}

impl fmt::Debug for Granted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "kv {} {:?}", self.namespace, self.limits)
    }
}
