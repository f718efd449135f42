//! The same store for Extism plug-ins, which exchange blocks: host functions of `extism:host/user`.
//!
//! Each does what its namesake of `dormouse:kv` does, through the same methods of [`Granted`].

use std::sync::Arc;

use super::{
    Granted,
    calls::calls,
    stage::{Code, Stop},
};
use crate::{
    capability::{Context, HostError, HostFunction},
    error::InvokeErrorKind,
};

/// Bytes of one list at most.
const LIST_MAX: usize = 64 << 10;

/// What a call answers the plug-in: a handle or a number, or a code.
fn answer(cx: &mut Context<'_>, done: Result<u64, Stop>) -> Result<i64, HostError> {
    match done {
        // Handles are positive.
        Ok(number) => Ok(number as i64),
        Err(Stop::Code(code)) => Ok(code as i64),
        Err(Stop::End(kind)) => Err(cx.end(kind)),
    }
}

/// The bytes of a block; none for the handle 0.
fn option(cx: &mut Context<'_>, handle: u64) -> Result<Option<Vec<u8>>, InvokeErrorKind> {
    if handle == 0 { Ok(None) } else { cx.read_block(handle).map(Some) }
}

/// The functions for a plug-in that is granted a store.
pub(crate) fn block_functions(granted: &Arc<Granted>) -> [HostFunction; 5] {
    calls! { granted, "extism:host/user", u64 => i64, answer;
        "kv_get" (cx, key) {
            let key = cx.read_block(key)?;
            let value = granted.get(cx, &key)?.ok_or(Code::NotFound)?;
            Ok(cx.new_block(&value)?)
        }
        "kv_set" (cx, key, value) {
            let (key, value) = (cx.read_block(key)?, cx.read_block(value)?);
            granted.set(cx, key, value).map(|()| 0)
        }
        "kv_delete" (cx, key) {
            let key = cx.read_block(key)?;
            granted.delete(cx, key).map(u64::from)
        }
        "kv_compare_and_set" (cx, key, expected, value) {
            let key = cx.read_block(key)?;
            let (expected, value) = (option(cx, expected)?, option(cx, value)?);
            granted.compare_and_set(cx, key, expected, value).map(u64::from)
        }
        "kv_list" (cx, prefix, after) {
            let (prefix, after) = (cx.read_block(prefix)?, cx.read_block(after)?);
            let keys = granted.list(cx, &prefix, &after, LIST_MAX)?;
            Ok(cx.new_block(&keys)?)
        }
    }
}
