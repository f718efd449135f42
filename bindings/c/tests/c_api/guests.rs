//! The guests that are deployed, and the outcome of running each.

use std::{cell::Cell, rc::Rc, sync::LazyLock};

use dormouse_c::dormouse_status as S;

use super::{
    host::{self, User},
    stores::{Contents, KEY},
};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Guest {
    Echo,
    /// Calls the host, then does what the first byte of its input says: see the text of the guest.
    Deed,
    /// Takes no bytes. It adds, and traps.
    Plain,
    /// Does what `Deed` does, and keeps data in a store: see the text.
    Keeper,
    /// An Extism plug-in, which answers with what the host makes of its input.
    Plugin,
}

impl Guest {
    /// Whether its deployment is refused without the host functions.
    pub(super) fn imports(self) -> bool {
        matches!(self, Self::Deed | Self::Keeper | Self::Plugin)
    }

    /// Whether it calls `note`.
    pub(super) fn notes(self) -> bool {
        matches!(self, Self::Deed | Self::Keeper)
    }
}

const PLAIN: &str = r#"(module (memory (export "memory") 1)
    (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
    (func (export "trap") unreachable))"#;

/// Answers with what it finds under the key `k`. `e` and more bytes set the key to these, `g`
/// removes its value. `t`, `f` and `r` set it and fail.
const KEEPER: &str = r#"(module
    (import "test" "note" (func $note (param i32 i32)))
    (import "dormouse:kv" "get" (func $get (param i32 i32 i32 i32) (result i32)))
    (import "dormouse:kv" "set" (func $set (param i32 i32 i32 i32) (result i32)))
    (import "dormouse:kv" "delete" (func $delete (param i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 0) "k")
    (func (export "alloc") (param $len i32) (result i32) (i32.const 1024))
    (func (export "handle") (param $ptr i32) (param $len i32) (result i64)
        (local $deed i32) (local $old i32)
        (call $note (local.get $ptr) (local.get $len))
        (local.set $deed (i32.load8_u (local.get $ptr)))
        (local.set $old (call $get (i32.const 0) (i32.const 1) (i32.const 2048) (i32.const 1024)))
        (if (i32.or (i32.eq (local.get $deed) (i32.const 116))
                    (i32.or (i32.eq (local.get $deed) (i32.const 102)) (i32.eq (local.get $deed) (i32.const 114))))
            (then (drop (call $set (i32.const 0) (i32.const 1) (local.get $ptr) (local.get $len)))))
        (if (i32.eq (local.get $deed) (i32.const 116)) (then unreachable))
        (if (i32.eq (local.get $deed) (i32.const 102)) (then (loop (br 0))))
        (if (i32.eq (local.get $deed) (i32.const 114)) (then (return (i64.const -1))))
        (if (i32.eq (local.get $deed) (i32.const 103)) (then (drop (call $delete (i32.const 0) (i32.const 1)))))
        (if (i32.and (i32.eq (local.get $deed) (i32.const 101)) (i32.gt_u (local.get $len) (i32.const 1)))
            (then (drop (call $set (i32.const 0) (i32.const 1)
                (i32.add (local.get $ptr) (i32.const 1)) (i32.sub (local.get $len) (i32.const 1))))))
        (if (i32.le_s (local.get $old) (i32.const 0)) (then (return (i64.const 0))))
        (i64.or (i64.const 0x80000000000) (i64.extend_i32_u (local.get $old)))))"#;

/// Passes its input to the host in a block, and answers with the block that it gets back.
const PLUGIN: &str = r#"(module
    (import "extism:host/env" "input_offset" (func $input (result i64)))
    (import "extism:host/env" "length" (func $length (param i64) (result i64)))
    (import "extism:host/env" "output_set" (func $output (param i64 i64)))
    (import "extism:host/user" "turn" (func $turn (param i64) (result i64)))
    (func (export "handle") (result i32) (local $at i64)
        (local.set $at (call $turn (call $input)))
        (call $output (local.get $at) (call $length (local.get $at)))
        (i32.const 0)))"#;

pub(super) static MODULES: LazyLock<[Vec<u8>; 5]> = LazyLock::new(|| {
    let (echo, deed) =
        (include_str!("../../../../tests/guests/echo.wat"), include_str!("../../../../tests/guests/deed.wat"));
    [echo, deed, PLAIN, KEEPER, PLUGIN].map(|text| wat::parse_str(text).expect("a module"))
});

pub(super) const INPUTS: [&[u8]; 8] = [b"e", b"e some bytes", b"t", b"f", b"g", b"r", b"", &[b'x'; 100]];
pub(super) const INPUT_MAX: usize = 64;

pub(super) struct Version {
    pub(super) guest: Guest,
    /// The most invocations at once.
    pub(super) max: Cell<u64>,
    pub(super) user: Option<Rc<User>>,
    /// The store that it was granted.
    pub(super) store: Option<(Rc<Contents>, &'static str)>,
}

/// Why an invocation may be refused before it runs.
pub(super) fn refusals(version: Option<&Version>, input: &[u8], is_cancelled: bool, takes_bytes: bool) -> Vec<S> {
    let Some(version) = version else { return vec![S::DORMOUSE_UNDEPLOYED] };
    let mut refusals = Vec::new();
    refusals.extend((version.max.get() == 0).then_some(S::DORMOUSE_BUSY));
    refusals.extend((input.len() > INPUT_MAX).then_some(S::DORMOUSE_INPUT_TOO_LARGE));
    refusals.extend(is_cancelled.then_some(S::DORMOUSE_CANCELLED));
    refusals.extend((takes_bytes && version.guest == Guest::Plain).then_some(S::DORMOUSE_NOT_INVOCABLE));
    refusals
}

/// The outcome of a run, its output, and what it leaves in its store.
pub(super) fn outcome(version: &Version, input: &[u8], script: u8) -> (S, Vec<u8>) {
    if version.guest == Guest::Echo {
        return (S::DORMOUSE_OK, input.into());
    }
    let is_plugin = version.guest == Guest::Plugin;
    let status = match (script, input.first()) {
        (host::RETURNS_7 | host::SAYS_WHY, _) => S::DORMOUSE_HOST_FUNCTION,
        (host::CHARGES_ALL, _) => S::DORMOUSE_OUT_OF_FUEL,
        _ if is_plugin => return (S::DORMOUSE_OK, input.iter().rev().copied().collect()),
        (_, Some(b'f')) => S::DORMOUSE_OUT_OF_FUEL,
        (_, Some(b't')) => S::DORMOUSE_TRAP,
        (_, Some(b'r')) => S::DORMOUSE_REJECTED,
        _ => S::DORMOUSE_OK,
    };
    let output = match (&version.store, input) {
        (Some((contents, namespace)), _) if version.guest == Guest::Keeper && status == S::DORMOUSE_OK => {
            let old = contents.get(namespace, KEY).unwrap_or_default();
            match input {
                [b'e', value @ ..] if !value.is_empty() => contents.set(namespace, KEY, value),
                [b'g', ..] => contents.delete(namespace, KEY),
                _ => {}
            }
            old
        }
        (_, [b'e', rest @ ..]) if status == S::DORMOUSE_OK => rest.into(),
        _ => Vec::new(),
    };
    (status, output)
}
