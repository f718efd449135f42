//! The calls of guests: what each costs, and how the functions of `dormouse:kv` read and write the
//! guest's memory.
//!
//! Invariant: the methods of [`Granted`] are the calls on bytes, for any interface. They charge for
//! the look-up and for what the store compares or lists. The interface that moves bytes for the
//! guest charges for those.

use std::sync::Arc;

use super::{
    Stage,
    stage::{Code, Stop},
};
use crate::{
    error::InvokeErrorKind,
    host::{Context, HostFunction},
    host_error::HostError,
    kv::{Granted, MODULE},
};

/// Fuel for a call that looks into the store. `KEY_PRICE` is the fuel for each key that `list`
/// looks at.
const PRICE: u64 = 64;
const KEY_PRICE: u64 = 8;

/// A length that stands for no value.
const NONE: u32 = u32::MAX;

impl Granted {
    /// Returns the value of a key.
    pub(crate) fn get(self: &Arc<Self>, cx: &mut Context<'_>, key: &[u8]) -> Result<Option<Vec<u8>>, Stop> {
        self.check_key(key.len())?;
        self.stage(cx)?.get(key)
    }

    /// Sets the value of a key.
    pub(crate) fn set(self: &Arc<Self>, cx: &mut Context<'_>, key: Vec<u8>, value: Vec<u8>) -> Result<(), Stop> {
        self.check_key(key.len())?;
        self.check_value(value.len())?;
        self.stage(cx)?.write(key, Some(value)).map(drop)
    }

    /// Deletes the value of a key. Returns whether it had one.
    pub(crate) fn delete(self: &Arc<Self>, cx: &mut Context<'_>, key: Vec<u8>) -> Result<bool, Stop> {
        self.check_key(key.len())?;
        self.stage(cx)?.write(key, None)
    }

    /// Sets or deletes the value of a key if it is the expected one. Returns whether it was.
    pub(crate) fn compare_and_set(
        self: &Arc<Self>,
        cx: &mut Context<'_>,
        key: Vec<u8>,
        expected: Option<Vec<u8>>,
        value: Option<Vec<u8>>,
    ) -> Result<bool, Stop> {
        self.check_key(key.len())?;
        for bytes in [&expected, &value].into_iter().flatten() {
            self.check_value(bytes.len())?;
        }
        let (done, compared) = self.stage(cx)?.compare_and_set(key, expected, value)?;
        cx.pay(compared)?;
        Ok(done)
    }

    /// Keys that begin with `prefix` and come after `after`, as many as fit into `room` bytes. Each
    /// is its length (4 bytes, little-endian) and its bytes. The result is empty when there are no
    /// more keys.
    pub(crate) fn list(
        self: &Arc<Self>,
        cx: &mut Context<'_>,
        prefix: &[u8],
        after: &[u8],
        room: usize,
    ) -> Result<Vec<u8>, Stop> {
        for key in [prefix, after] {
            self.check_prefix(key.len())?;
        }
        let list = self.stage(cx)?.list(prefix, after, room)?;
        cx.charge(list.keys.saturating_mul(KEY_PRICE))?;
        cx.pay(list.key_bytes)?;
        if list.fits { Ok(list.bytes) } else { Err(Code::Room.into()) }
    }

    fn check_key(&self, len: usize) -> Result<(), Code> {
        if len == 0 { Err(Code::Key) } else { self.check_prefix(len) }
    }

    pub(super) fn check_prefix(&self, len: usize) -> Result<(), Code> {
        if len > self.limits.key as usize { Err(Code::Key) } else { Ok(()) }
    }

    pub(super) fn check_value(&self, len: usize) -> Result<(), Code> {
        if len > self.limits.value as usize { Err(Code::Value) } else { Ok(()) }
    }

    /// The writes that this run has staged. Charges the price of a call.
    fn stage<'a>(self: &Arc<Self>, cx: &'a mut Context<'_>) -> Result<&'a mut Stage, Stop> {
        cx.charge(PRICE)?;
        let state = &mut cx.state().host;
        if state.initialising {
            let problem = "the guest calls the key-value store during initialisation, whose result all invocations share; \
                           call it in the handler instead";
            return Err(Stop::End(InvokeErrorKind::Contract { problem: problem.into() }));
        }
        Ok(state.kv.get_or_insert_with(|| Box::new(Stage::new(Arc::clone(self)))))
    }

    fn read_key(&self, cx: &mut Context<'_>, at: u32, len: u32) -> Result<Vec<u8>, Stop> {
        self.check_key(len as usize)?;
        Ok(cx.read(at, len)?)
    }

    fn read_prefix(&self, cx: &mut Context<'_>, at: u32, len: u32) -> Result<Vec<u8>, Stop> {
        self.check_prefix(len as usize)?;
        Ok(cx.read(at, len)?)
    }

    fn read_value(&self, cx: &mut Context<'_>, at: u32, len: u32) -> Result<Vec<u8>, Stop> {
        self.check_value(len as usize)?;
        Ok(cx.read(at, len)?)
    }

    fn read_option(&self, cx: &mut Context<'_>, at: u32, len: u32) -> Result<Option<Vec<u8>>, Stop> {
        if len == NONE { Ok(None) } else { self.read_value(cx, at, len).map(Some) }
    }
}

/// What a call answers the guest: a number of 0 or more, or a code.
fn answer(cx: &mut Context<'_>, done: Result<usize, Stop>) -> Result<i32, HostError> {
    let done = done.and_then(|number| {
        let problem =
            || InvokeErrorKind::Contract { problem: format!("the answer {number} does not fit an i32").into() };
        i32::try_from(number).map_err(|_| Stop::End(problem()))
    });
    match done {
        Ok(number) => Ok(number),
        Err(Stop::Code(code)) => Ok(code as i32),
        Err(Stop::End(kind)) => Err(cx.end(kind)),
    }
}

/// The functions of a module. Each has its name, its parameters after the context, and its body.
/// `answer` turns the body's result into what the guest gets.
macro_rules! calls {
    ($granted:ident, $module:expr, $param_type:ty => $answer_type:ty, $answer:path;
     $($name:literal ($cx:ident $(, $param:ident)*) $body:block)*) => {
        [$({
            let granted = Arc::clone($granted);
            let call = move |$cx: &mut Context<'_> $(, $param: $param_type)*| -> Result<$answer_type, HostError> {
                let $granted = &granted;
                let mut call = || -> Result<_, Stop> { $body };
                let done = call();
                $answer($cx, done)
            };
            HostFunction::own($module, $name, call)
        }),*]
    };
}
#[cfg(feature = "extism")]
pub(super) use calls;

/// The functions of `dormouse:kv` for a guest that has been granted a store.
pub(crate) fn functions(granted: &Arc<Granted>) -> [HostFunction; 5] {
    calls! { granted, MODULE, u32 => i32, answer;
        "get" (cx, key, key_len, at, room) {
            let key = granted.read_key(cx, key, key_len)?;
            let value = granted.get(cx, &key)?.ok_or(Code::NotFound)?;
            // The guest pays for fetching a value even if it does not fit.
            if value.len() > room as usize { cx.pay(value.len() as u64)? } else { cx.write(at, &value)? }
            Ok(value.len())
        }
        "set" (cx, key, key_len, value, value_len) {
            let key = granted.read_key(cx, key, key_len)?;
            let value = granted.read_value(cx, value, value_len)?;
            granted.set(cx, key, value).map(|()| 0)
        }
        "delete" (cx, key, key_len) {
            let key = granted.read_key(cx, key, key_len)?;
            granted.delete(cx, key).map(usize::from)
        }
        "compare_and_set" (cx, key, key_len, expected, expected_len, value, value_len) {
            let key = granted.read_key(cx, key, key_len)?;
            let expected = granted.read_option(cx, expected, expected_len)?;
            let value = granted.read_option(cx, value, value_len)?;
            granted.compare_and_set(cx, key, expected, value).map(usize::from)
        }
        "list" (cx, prefix, prefix_len, after, after_len, at, room) {
            let prefix = granted.read_prefix(cx, prefix, prefix_len)?;
            let after = granted.read_prefix(cx, after, after_len)?;
            let keys = granted.list(cx, &prefix, &after, room as usize)?;
            cx.write(at, &keys)?;
            Ok(keys.len())
        }
    }
}
