//! The key-value store for Extism plug-ins, which exchange blocks: host functions of
//! `extism:host/user`.
//!
//! Invariant: each function does the same as its counterpart in `dormouse:kv`, by the same methods
//! of [`Granted`].

use std::sync::Arc;

use super::{
    calls::calls,
    stage::{Code, Stop},
};
use crate::{
    host::{Context, HostFunction},
    host_error::HostError,
    kv::{Granted, KEY_MAX},
};

/// The most bytes of a list: the longest possible key, and its length.
const LIST_MAX: usize = 4 + KEY_MAX as usize;

/// What a call answers the plug-in: a handle, a number or a code.
fn answer(cx: &mut Context<'_>, done: Result<u64, Stop>) -> Result<i64, HostError> {
    match done {
        // Handles are positive.
        Ok(number) => Ok(number as i64),
        Err(Stop::Code(code)) => Ok(code as i64),
        Err(Stop::End(kind)) => Err(cx.end(kind)),
    }
}

impl Granted {
    /// The bytes of a block. Their number is checked before they are copied.
    fn checked(
        cx: &mut Context<'_>,
        handle: u64,
        check: impl FnOnce(usize) -> Result<(), Code>,
    ) -> Result<Vec<u8>, Stop> {
        check(cx.extism()?.block(handle).map_or(0, |at| at.len()))?;
        Ok(cx.read_block(handle)?)
    }

    fn key_block(&self, cx: &mut Context<'_>, handle: u64) -> Result<Vec<u8>, Stop> {
        Self::checked(cx, handle, |len| self.check_prefix(len))
    }

    fn value_block(&self, cx: &mut Context<'_>, handle: u64) -> Result<Vec<u8>, Stop> {
        Self::checked(cx, handle, |len| self.check_value(len))
    }

    /// `None` for the handle 0.
    fn option_block(&self, cx: &mut Context<'_>, handle: u64) -> Result<Option<Vec<u8>>, Stop> {
        if handle == 0 { Ok(None) } else { self.value_block(cx, handle).map(Some) }
    }
}

/// The functions for a plug-in that has been granted a store.
pub(crate) fn block_functions(granted: &Arc<Granted>) -> [HostFunction; 5] {
    calls! { granted, "extism:host/user", u64 => i64, answer;
        "kv_get" (cx, key) {
            let key = granted.key_block(cx, key)?;
            let value = granted.get(cx, &key)?.ok_or(Code::NotFound)?;
            Ok(cx.new_block(&value)?)
        }
        "kv_set" (cx, key, value) {
            let (key, value) = (granted.key_block(cx, key)?, granted.value_block(cx, value)?);
            granted.set(cx, key, value).map(|()| 0)
        }
        "kv_delete" (cx, key) {
            let key = granted.key_block(cx, key)?;
            granted.delete(cx, key).map(u64::from)
        }
        "kv_compare_and_set" (cx, key, expected, value) {
            let key = granted.key_block(cx, key)?;
            let (expected, value) = (granted.option_block(cx, expected)?, granted.option_block(cx, value)?);
            granted.compare_and_set(cx, key, expected, value).map(u64::from)
        }
        "kv_list" (cx, prefix, after) {
            let (prefix, after) = (granted.key_block(cx, prefix)?, granted.key_block(cx, after)?);
            let keys = granted.list(cx, &prefix, &after, LIST_MAX)?;
            Ok(cx.new_block(&keys)?)
        }
    }
}
