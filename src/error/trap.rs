//! The traps of a guest.

/// How a guest trapped: the traps of the WebAssembly core specification, section 4 (Execution). The
/// texts are wasmi's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Trap {
    /// The guest ran `unreachable`: the panic or abort of most languages.
    #[error("wasm `unreachable` instruction executed")]
    Unreachable,
    /// A load, a store or a bulk operator outside a memory.
    #[error("out of bounds memory access")]
    MemoryOutOfBounds,
    /// An access outside a table.
    #[error("undefined element: out of bounds table access")]
    TableOutOfBounds,
    /// An indirect call of a null entry.
    #[error("uninitialized element")]
    IndirectCallToNull,
    /// An integer division or remainder by zero.
    #[error("integer divide by zero")]
    DivisionByZero,
    /// An integer division that overflows.
    #[error("integer overflow")]
    IntegerOverflow,
    /// A conversion of NaN, an infinity or a number out of range to an integer.
    #[error("invalid conversion to integer")]
    BadConversion,
    /// Calls are nested too deep, or the value stack is full.
    #[error("call stack exhausted")]
    StackOverflow,
    /// An indirect call of a function of another type.
    #[error("indirect call type mismatch")]
    BadSignature,
    /// The host machine has no memory left.
    #[error("out of system memory")]
    OutOfSystemMemory,
}

impl Trap {
    /// The trap in one word: `unreachable`, `memory_out_of_bounds`, …
    pub fn name(&self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::MemoryOutOfBounds => "memory_out_of_bounds",
            Self::TableOutOfBounds => "table_out_of_bounds",
            Self::IndirectCallToNull => "indirect_call_to_null",
            Self::DivisionByZero => "division_by_zero",
            Self::IntegerOverflow => "integer_overflow",
            Self::BadConversion => "bad_conversion",
            Self::StackOverflow => "stack_overflow",
            Self::BadSignature => "bad_signature",
            Self::OutOfSystemMemory => "out_of_system_memory",
        }
    }
}
