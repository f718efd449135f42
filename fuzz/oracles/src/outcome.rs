//! The outcome of a call, in words that all engines share.

use std::fmt;

/// How a guest trapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Unreachable,
    MemoryOutOfBounds,
    TableOutOfBounds,
    IndirectCallToNull,
    BadSignature,
    /// One of the two above. V8 does not say which.
    NullOrBadSignature,
    DivisionByZero,
    IntegerOverflow,
    BadConversion,
    /// One of the two, as V8 has one word for both when a float is converted.
    OverflowOrBadConversion,
}

impl Kind {
    /// Whether they are the same trap, as far as each engine says.
    fn is(self, other: Self) -> bool {
        use Kind::{BadConversion, BadSignature, IndirectCallToNull, IntegerOverflow};
        let may_be = |vague: Self, exact: Self| match vague {
            Self::NullOrBadSignature => matches!(exact, IndirectCallToNull | BadSignature),
            Self::OverflowOrBadConversion => matches!(exact, IntegerOverflow | BadConversion),
            _ => vague == exact,
        };
        may_be(self, other) || may_be(other, self)
    }
}

/// How a call ended, or the instantiation before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It returned the bits of these values.
    Values(Vec<u64>),
    Trap(Kind),
    /// A limit of the engine's own ended it. That means nothing, so nothing is compared.
    Stopped(&'static str),
    /// An answer that no engine should give.
    Other(String),
}

impl Ended {
    /// Whether both engines say the same.
    pub fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Trap(one), Self::Trap(other)) => one.is(*other),
            _ => self == other,
        }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Values(values) => write!(f, "values {:?}", Hexadecimal(values)),
            Self::Trap(kind) => write!(f, "trap {kind:?}"),
            Self::Stopped(by) => write!(f, "stopped by {by}"),
            Self::Other(text) => write!(f, "{text}"),
        }
    }
}

/// Numbers on one line.
pub struct Hexadecimal<'a>(pub &'a [u64]);

impl fmt::Debug for Hexadecimal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers: Vec<String> = self.0.iter().map(|number| format!("{number:#x}")).collect();
        write!(f, "[{}]", numbers.join(", "))
    }
}

/// The outcome of a module and its runs in an engine.
pub enum Answer {
    /// Instantiation failed, so there is no instance to call.
    Refused(Ended),
    /// How each call of each run ended.
    Ran(Vec<Vec<Ended>>),
    /// The engine cannot compile it, for this reason. Nothing is compared.
    Lacks(String),
}
