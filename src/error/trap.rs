//! The traps of a guest.

/// How a guest trapped: the traps of the WebAssembly core specification, section 4 (Execution), in wasmi's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Trap {
    /// `unreachable` was run: most languages' panic or abort.
    #[error("wasm `unreachable` instruction executed")]
    Unreachable,
    /// A load, store or bulk operator outside memory.
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
    /// Calls nested too deep, or the value stack is full.
    #[error("call stack exhausted")]
    StackOverflow,
    /// An indirect call of a function of another type.
    #[error("indirect call type mismatch")]
    BadSignature,
    /// The host machine has no memory left.
    #[error("out of system memory")]
    OutOfSystemMemory,
}
