//! What the body of a function calls, read from its bytes.

use std::ops::Range;

use super::leb::leb;

/// What a call reaches: a function, or any function of a type, through a table. It is one number,
/// as a module may have a call for every few of its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Callee(u32);

/// The target of a call.
pub(super) enum Target {
    /// The function with this index.
    Function(u32),
    /// Any function of the type with this index.
    Type(u32),
}

/// Types have this bit. Indices of functions and types are far below it.
const IS_TYPE: u32 = 1 << 31;

impl Callee {
    /// What the operator that these bytes begin with calls, if it is a call. Nothing is validated
    /// yet.
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [0x10 | 0x12, index @ ..] => Some(Self(leb(index).0 & !IS_TYPE)),
            [0x11 | 0x13, index @ ..] => Some(Self(leb(index).0 | IS_TYPE)),
            _ => None,
        }
    }

    pub(super) fn target(self) -> Target {
        let index = self.0 & !IS_TYPE;
        if self.0 & IS_TYPE != 0 { Target::Type(index) } else { Target::Function(index) }
    }
}

/// Sorts the callees from `begin` on and keeps each once. Returns their range.
pub(super) fn dedup(callees: &mut Vec<Callee>, begin: usize) -> Range<usize> {
    callees[begin..].sort_unstable();
    let mut end = begin;
    for at in begin..callees.len() {
        if end == begin || callees[end - 1] != callees[at] {
            callees[end] = callees[at];
            end += 1;
        }
    }
    callees.truncate(end);
    begin..end
}
