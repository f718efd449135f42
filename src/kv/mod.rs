//! Key-value: where functions keep what must outlast an invocation. Guests import it from `dormouse:kv`; a host grants it by
//! [`Deployment::kv`](crate::Deployment::kv).
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
//! assert_eq!(store.get("counter", b"visits")?, Some(vec![3, 0, 0, 0]), "the host sees it under the function's name");
//! # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
//! ```
//!
//! # What guests import
//!
//! All parameters and results are `i32`; keys and values are bytes in the guest's memory, given by address and length. A key
//! has 1 byte or more, a value may be empty.
//!
//! | function of `dormouse:kv` | answers |
//! |---|---|
//! | `get(key, key_len, at, room)` | the value's length; the value is at `at` if `room` is not less than that, else nothing was written; -1 if there is none |
//! | `set(key, key_len, value, value_len)` | 0 |
//! | `delete(key, key_len)` | 1 if there was a value, 0 if not |
//! | `compare_and_set(key, key_len, expected, expected_len, value, value_len)` | 1 if the value was the expected one and is set, 0 if it was another and nothing is changed. A length of -1 means none: none is expected, or the key is deleted |
//! | `list(prefix, prefix_len, after, after_len, at, room)` | how many bytes were written: keys that begin with the prefix, in the order of their bytes, from the first behind `after` on (0 bytes long: from the beginning), each as its length, 4 bytes, little-endian, and its bytes; as many whole ones as fit and as the limit allows. 0 if there is none. To go on, call again with the last as `after` |
//!
//! | code | means |
//! |---|---|
//! | -1 | there is no value (`get`) |
//! | -2 | a key is empty, or it, or a prefix, is longer than [`Limits::key`] |
//! | -3 | the value is larger than [`Limits::value`] |
//! | -4 | an address range does not lie in the guest's memory |
//! | -5 | the namespace would hold more than [`Limits::entries`] or [`Limits::bytes`] |
//! | -6 | the invocation would stage more than [`Limits::staged`] |
//! | -7 | the next key does not fit into the room (`list`) |
//!
//! A call that answers a code has changed nothing. A call costs 64 fuel, one more as every host call, one for each 64 bytes, begun,
//! that it moves or compares (values, keys, lists), and `list` 8 for each key that it looks at.
//!
//! Extism plug-ins find the same as functions of `extism:host/user`, all of whose parameters and results are `i64`: handles of blocks, and 0
//! for the empty one. They answer the same codes, and -2 for the key of handle 0.
//!
//! | function of `extism:host/user` | answers |
//! |---|---|
//! | `kv_get(key)` | a new block with the value, 0 for an empty one |
//! | `kv_set(key, value)` | 0 |
//! | `kv_delete(key)` | 1 if there was a value, 0 if not |
//! | `kv_compare_and_set(key, expected, value)` | 1 if it is set, 0 if not; the handle 0 stands for none, so an empty value can be neither expected nor set |
//! | `kv_list(prefix, after)` | a new block with keys, as `list` gives them, up to 64 KiB; 0 if there is none |
//!
//! In initialisation, whose outcome all invocations share, there is no store: a call ends it, and the deployment fails.
//!
//! # What invocations see of each other
//!
//! - Writes are **staged**: the invocation itself sees them, nobody else does. When it has ended well they are committed, all at one
//!   moment. When it fails (a trap, fuel, the deadline, an exit code, an output that is too large) they are gone, but when all went
//!   well and only the events that were published in it could not be queued (`InvokeErrorKind::Unpublished`). A session is one
//!   invocation, committed when its closure returns `Ok`, whatever became of the calls within.
//! - **Reads** give the invocation's own writes, else what is committed at the moment of the call. So two reads may see before and
//!   after of another's commit. A list is not a snapshot either.
//! - `set` and `delete` are unconditional: of two invocations that read, compute and `set` the same key, the later commit holds
//!   and the other's is lost.
//! - `compare_and_set` loses none: a comparison with what is committed that held **holds at the commit as well**, where it is made
//!   again, or nothing of the invocation is written and it fails with [`Error::Conflict`]. That can be invoked again; a
//!   [delivery](crate::Trigger) is, by its trigger's rule. A comparison that answered 0, or that was made with a write of the
//!   invocation's own, says nothing about later. To depend on a key without changing it, compare and set it to what it is.
//! - An invocation that a host function begins, **nested** in another, is one of its own: it sees nothing that the outer has staged,
//!   its commit stays if the outer fails, and if it changes what the outer has compared, the outer fails.
//! - A commit is the end of an invocation, not of a delivery: a delivery that is made again, after a crash or because its reply
//!   could not be published, finds what its first run has committed.

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

/// The module that guests import it from.
pub(crate) const MODULE: &str = "dormouse:kv";

/// The longest key that [`Limits::key`] may allow, and the largest value that an `i32` can count.
pub(crate) const KEY_MAX: u32 = 64 << 10;
const VALUE_MAX: u32 = i32::MAX as u32;

/// What a function may keep, and what one of its invocations may do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Bytes of a key, and of a prefix; default 1 KiB, 64 KiB at most.
    pub key: u32,
    /// Bytes of a value; default 1 MiB.
    pub value: u32,
    /// Entries of the namespace; default 100,000. Looked at when an invocation stages what would add one, and again, exactly,
    /// when it commits. A commit that adds none is never refused for it.
    pub entries: u64,
    /// Bytes of the namespace's keys and values; default 64 MiB. As above.
    pub bytes: u64,
    /// Bytes that an invocation may stage: keys, values, what they are compared with, and 128 for each; default 4 MiB.
    pub staged: u64,
    /// Keys that one `list` gives; default 1,000.
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

/// A store for a function, with the namespace in it that the function sees, and limits: for
/// [`Deployment::kv`](crate::Deployment::kv).
///
/// Functions see each other's keys only where the host grants them the same namespace of the same store.
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
    /// The store, with a namespace that has the function's name, and default limits.
    pub fn new(store: Arc<dyn KeyValue>) -> Self {
        Self { store, namespace: None, limits: Limits::default() }
    }

    /// Another namespace, `[A-Za-z0-9._-]{1,64}`, for functions that share one or change their name.
    pub fn namespace(mut self, namespace: &str) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    /// Limits instead of [`Limits::default`]. Each function that shares a namespace keeps to its own: one that may only have shorter keys than
    /// another cannot list beyond the other's longer ones.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// As a function of this name has it.
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

/// A grant to a function. Its debug form is part of the version.
pub(crate) struct Granted {
    pub(crate) store: Arc<dyn KeyValue>,
    pub(crate) namespace: Box<str>,
    pub(crate) limits: Limits,
}

impl Granted {
    /// What is wrong with it.
    pub(crate) fn problem(&self) -> Option<String> {
        let Self { namespace, limits, .. } = self;
        if !is_name(namespace) {
            return Some(format!(
                "the namespace {namespace:?} is not made of 1 to 64 of the characters A-Z a-z 0-9 . _ -"
            ));
        }
        let wrong = [
            ("key", limits.key, 1, KEY_MAX),
            ("value", limits.value, 0, VALUE_MAX),
            ("list", limits.list, 1, u32::MAX),
        ]
        .into_iter()
        .find(|(_, limit, least, most)| !(least..=most).contains(&limit));
        wrong.map(|(field, limit, least, most)| format!("`{field}` is {limit}, it can be {least} to {most}"))
    }
}

impl fmt::Debug for Granted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "kv {} {:?}", self.namespace, self.limits)
    }
}
