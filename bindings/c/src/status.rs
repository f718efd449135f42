//! Status codes and traps, as C knows them, and the status of an outcome's name.
//!
//! Invariant: a number keeps its meaning forever.

use dormouse::Trap;

/// How a call went. The numbers are fixed: each keeps its meaning forever, and retired numbers are
/// not used again. New numbers may be added, so a host must treat an unknown number as a failure.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum dormouse_status {
    /// The call succeeded.
    DORMOUSE_OK = 0,

    /// A pointer that must not be NULL is NULL. The message names the parameter. The call did
    /// nothing.
    DORMOUSE_NULL = 1,
    /// An argument that no call can have: an uninitialised options struct, an unknown constant,
    /// contradictory options, or a length beyond that of any array. The call did nothing.
    DORMOUSE_ARGUMENT = 2,
    /// A text is not UTF-8. The call did nothing.
    DORMOUSE_UTF8 = 3,
    /// The caller's room is too small for the result. If it was an invocation, it has run, and its
    /// report says how much room is needed.
    DORMOUSE_NO_ROOM = 4,
    /// There is nothing of this name.
    DORMOUSE_NOT_FOUND = 5,
    /// A bug in this library: it caught a panic at its edge. What the call worked on is dropped.
    /// Everything else goes on.
    DORMOUSE_PANIC = 6,
    /// A failure without a number in this version. The message describes it.
    DORMOUSE_OTHER = 7,
    /// This library was built without a feature that the call needs. The message names the feature.
    DORMOUSE_NOT_BUILT = 8,
    /// The system cannot start a thread.
    DORMOUSE_NO_THREAD = 9,

    /// The name is not 1 to 64 of the characters A-Z a-z 0-9 . _ -
    DORMOUSE_INVALID_NAME = 100,
    /// An option of the deployment contradicts itself or the runtime.
    DORMOUSE_INVALID_OPTION = 101,
    /// The module exceeds a limit.
    DORMOUSE_TOO_LARGE = 102,
    /// The bytes are not a WebAssembly module, or the module does not validate. The message says
    /// where.
    DORMOUSE_INVALID_MODULE = 103,
    /// The module needs a WebAssembly proposal that the library does not support.
    DORMOUSE_MISSING_PROPOSAL = 104,
    /// The module imports something that the deployment does not provide. The message lists all
    /// such imports.
    DORMOUSE_UNKNOWN_IMPORTS = 106,
    /// The export that the deployment names as entry is missing or has the wrong type.
    DORMOUSE_ENTRY = 107,
    /// An active data segment lies outside its memory.
    DORMOUSE_SEGMENT_OUT_OF_BOUNDS = 108,
    /// The module's initialisation calls the host, although it must be repeated for each instance.
    DORMOUSE_UNREPEATABLE_INITIALISATION = 109,
    /// The interpreter refuses a valid module.
    DORMOUSE_REFUSED = 110,
    /// The library was built with a profile that makes the interpreter unsafe. The message says
    /// what to change.
    DORMOUSE_UNSAFE_BUILD = 111,
    /// The runtime holds as many functions as it may.
    DORMOUSE_TOO_MANY_FUNCTIONS = 112,

    /// The guest ran out of fuel.
    DORMOUSE_OUT_OF_FUEL = 200,
    /// The guest ran past its deadline.
    DORMOUSE_DEADLINE_EXCEEDED = 201,
    /// The invocation was cancelled through its handle.
    DORMOUSE_CANCELLED = 202,
    /// The guest trapped. `dormouse_error_trap` says how.
    DORMOUSE_TRAP = 203,
    /// A host function, or the callback of a session, reported a failure.
    DORMOUSE_HOST_FUNCTION = 204,
    /// A host function unwound: a Rust panic, in a host that is partly Rust.
    DORMOUSE_HOST_PANIC = 205,
    /// The guest broke its contract.
    DORMOUSE_CONTRACT = 206,
    /// A read or write lies outside the guest's memory.
    DORMOUSE_OUT_OF_BOUNDS = 207,
    /// The input is larger than its limit. The guest did not run.
    DORMOUSE_INPUT_TOO_LARGE = 208,
    /// The output is larger than its limit.
    DORMOUSE_OUTPUT_TOO_LARGE = 209,
    /// No instance is available, or there is no room to make one.
    DORMOUSE_BUSY = 210,
    /// The function is not deployed: it was undeployed, or its alias was removed.
    DORMOUSE_UNDEPLOYED = 211,
    /// New instances of the function kept failing to initialise. The runtime makes none for a
    /// while.
    DORMOUSE_QUARANTINED = 212,
    /// Initialisation failed, at deployment or in a new instance. The message names the step.
    DORMOUSE_INITIALISE = 213,
    /// The module has no such export, or the export is not a function.
    DORMOUSE_NO_SUCH_EXPORT = 214,
    /// The arguments do not fit the export's type.
    DORMOUSE_SIGNATURE = 215,
    /// The function takes no bytes. Use `dormouse_function_call` or `dormouse_function_session`.
    DORMOUSE_NOT_INVOCABLE = 216,
    /// The interpreter stopped for a reason that is not a trap of the specification.
    DORMOUSE_INTERPRETER = 217,
    /// Host functions nest invocations too deeply. The limit is five, the outermost included.
    DORMOUSE_NESTED_TOO_DEEP = 218,
    /// The guest ended itself: the program's exit code is not 0. The message has the code and the
    /// end of its log.
    DORMOUSE_EXIT = 219,
    /// The guest says that it will never take this input. A delivery is not retried. The message
    /// has the end of its log.
    DORMOUSE_REJECTED = 220,
    /// An Extism plug-in set an error, or its export returned a code that is not 0. The message has
    /// both. `dormouse_error_trap` says whether the plug-in then trapped, as most do.
    DORMOUSE_GUEST_ERROR = 221,
    /// A handle is not that of a live block of an Extism plug-in, or the bytes at an address do not
    /// lie in one.
    DORMOUSE_INVALID_HANDLE = 222,
    /// Blocks of an Extism plug-in do not fit into the part of the limit that its memories leave.
    DORMOUSE_MEMORY_LIMIT = 223,
    /// Another invocation, or the host, has changed a key of the key-value store since this
    /// invocation compared it. Nothing is written. The caller may invoke again.
    DORMOUSE_KV_CONFLICT = 224,
    /// The invocation staged more for the key-value store than the namespace may hold, together
    /// with what others have committed meanwhile.
    DORMOUSE_KV_FULL = 225,
    /// The key-value store failed in an invocation. The message has the store's error.
    DORMOUSE_KV_STORE = 226,

    /// An event is invalid. The message names the attribute.
    DORMOUSE_EVENT = 300,
    /// The event type is reserved. Types that begin with `dormouse.` belong to the runtime.
    DORMOUSE_RESERVED_TYPE = 301,
    /// The event is larger than the runtime's limit.
    DORMOUSE_EVENT_TOO_LARGE = 302,
    /// The queue has no room for the event's deliveries.
    DORMOUSE_QUEUE_FULL = 303,
    /// A function's reply is not an event, or its type is not one that the trigger emits.
    DORMOUSE_REPLY = 304,
    /// The event repeats keys around arrays so often that no pattern can be matched against it.
    DORMOUSE_AMBIGUOUS = 305,
    /// The trigger is invalid. The message says why.
    DORMOUSE_INVALID_TRIGGER = 310,
    /// The text is not a pattern. The message says where.
    DORMOUSE_PATTERN = 311,
    /// Another trigger has the id.
    DORMOUSE_TAKEN = 312,
    /// The runtime has as many triggers as it may.
    DORMOUSE_TOO_MANY_TRIGGERS = 313,
    /// The runtime has as many aliases as it may.
    DORMOUSE_TOO_MANY_ALIASES = 314,
    /// The disk is full. Nothing was stored. Calls succeed again once there is room.
    DORMOUSE_STORE_FULL = 320,
    /// Another runtime or store, here or in another process, has the file open.
    DORMOUSE_STORE_IN_USE = 321,
    /// The file is damaged, or this library did not write it.
    DORMOUSE_STORE_CORRUPT = 322,
    /// The file could not be opened, read or written. The message has the system's error.
    DORMOUSE_STORE_IO = 323,
}
use dormouse_status as S;

/// How a guest trapped.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum dormouse_trap {
    /// The guest did not trap, or in a way without a number in this version.
    DORMOUSE_TRAP_NONE = 0,
    /// The guest ran `unreachable`: the panic or abort of most languages.
    DORMOUSE_TRAP_UNREACHABLE = 1,
    /// A load, store or bulk operator reached outside memory.
    DORMOUSE_TRAP_MEMORY_OUT_OF_BOUNDS = 2,
    /// An access reached outside a table.
    DORMOUSE_TRAP_TABLE_OUT_OF_BOUNDS = 3,
    /// An indirect call reached a null entry.
    DORMOUSE_TRAP_INDIRECT_CALL_TO_NULL = 4,
    /// An integer was divided by zero.
    DORMOUSE_TRAP_DIVISION_BY_ZERO = 5,
    /// An integer division overflowed.
    DORMOUSE_TRAP_INTEGER_OVERFLOW = 6,
    /// NaN, an infinity or a number out of range was converted to an integer.
    DORMOUSE_TRAP_BAD_CONVERSION = 7,
    /// Calls were nested too deeply, or the value stack is full.
    DORMOUSE_TRAP_STACK_OVERFLOW = 8,
    /// An indirect call reached a function of another type.
    DORMOUSE_TRAP_BAD_SIGNATURE = 9,
    /// The host machine has no memory left.
    DORMOUSE_TRAP_OUT_OF_SYSTEM_MEMORY = 10,
}

impl From<Trap> for dormouse_trap {
    fn from(trap: Trap) -> Self {
        match trap {
            Trap::Unreachable => Self::DORMOUSE_TRAP_UNREACHABLE,
            Trap::MemoryOutOfBounds => Self::DORMOUSE_TRAP_MEMORY_OUT_OF_BOUNDS,
            Trap::TableOutOfBounds => Self::DORMOUSE_TRAP_TABLE_OUT_OF_BOUNDS,
            Trap::IndirectCallToNull => Self::DORMOUSE_TRAP_INDIRECT_CALL_TO_NULL,
            Trap::DivisionByZero => Self::DORMOUSE_TRAP_DIVISION_BY_ZERO,
            Trap::IntegerOverflow => Self::DORMOUSE_TRAP_INTEGER_OVERFLOW,
            Trap::BadConversion => Self::DORMOUSE_TRAP_BAD_CONVERSION,
            Trap::StackOverflow => Self::DORMOUSE_TRAP_STACK_OVERFLOW,
            Trap::BadSignature => Self::DORMOUSE_TRAP_BAD_SIGNATURE,
            Trap::OutOfSystemMemory => Self::DORMOUSE_TRAP_OUT_OF_SYSTEM_MEMORY,
            _ => Self::DORMOUSE_TRAP_NONE,
        }
    }
}

/// The status for an outcome's name, as a report carries only the name.
pub(crate) fn of_outcome(name: &str) -> dormouse_status {
    match name {
        "ok" => S::DORMOUSE_OK,
        "out_of_fuel" => S::DORMOUSE_OUT_OF_FUEL,
        "deadline_exceeded" => S::DORMOUSE_DEADLINE_EXCEEDED,
        "cancelled" => S::DORMOUSE_CANCELLED,
        "trap" => S::DORMOUSE_TRAP,
        "host_function" => S::DORMOUSE_HOST_FUNCTION,
        "host_panic" => S::DORMOUSE_HOST_PANIC,
        "exit" => S::DORMOUSE_EXIT,
        "rejected" => S::DORMOUSE_REJECTED,
        "guest_error" => S::DORMOUSE_GUEST_ERROR,
        "invalid_handle" => S::DORMOUSE_INVALID_HANDLE,
        "memory_limit" => S::DORMOUSE_MEMORY_LIMIT,
        "kv_conflict" => S::DORMOUSE_KV_CONFLICT,
        "kv_full" => S::DORMOUSE_KV_FULL,
        "kv_store" => S::DORMOUSE_KV_STORE,
        "contract" => S::DORMOUSE_CONTRACT,
        "out_of_bounds" => S::DORMOUSE_OUT_OF_BOUNDS,
        "input_too_large" => S::DORMOUSE_INPUT_TOO_LARGE,
        "output_too_large" => S::DORMOUSE_OUTPUT_TOO_LARGE,
        "busy" => S::DORMOUSE_BUSY,
        "undeployed" => S::DORMOUSE_UNDEPLOYED,
        "quarantined" => S::DORMOUSE_QUARANTINED,
        "initialise" => S::DORMOUSE_INITIALISE,
        "no_such_export" => S::DORMOUSE_NO_SUCH_EXPORT,
        "signature" => S::DORMOUSE_SIGNATURE,
        "not_invocable" => S::DORMOUSE_NOT_INVOCABLE,
        "interpreter" => S::DORMOUSE_INTERPRETER,
        "nested_too_deep" => S::DORMOUSE_NESTED_TOO_DEEP,
        _ => S::DORMOUSE_OTHER,
    }
}
