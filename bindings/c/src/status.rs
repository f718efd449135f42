//! Status codes, and the failures that become them.
//!
//! Invariant: a number keeps its meaning forever.

use std::{borrow::Cow, fmt};

use dormouse::{
    AliasError, DeliveryError, DeployError, EventError, HostError, InvokeError, InvokeErrorKind, MatchError,
    PublishError, RedriveError, Trap, TriggerError,
};
#[cfg(feature = "durable")]
use dormouse::{StoreError, StoreProblem};

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

/// Why an exported function failed, before the message is made.
pub(crate) enum Failure {
    /// A failure that the edge itself found.
    Edge(dormouse_status, Cow<'static, str>),
    Deploy(DeployError),
    Invoke(InvokeError),
    /// The reply does not fit into the caller's room. `report` is that of the invocation.
    NoRoom {
        needed: usize,
        room: usize,
        report: Box<dormouse::Report>,
    },
}

impl Failure {
    #[cold]
    pub(crate) fn null(parameter: &'static str) -> Self {
        Self::Edge(S::DORMOUSE_NULL, format!("`{parameter}` is NULL").into())
    }

    #[cold]
    pub(crate) fn argument(problem: String) -> Self {
        Self::Edge(S::DORMOUSE_ARGUMENT, problem.into())
    }

    #[cold]
    pub(crate) fn utf8(parameter: &'static str, at: usize) -> Self {
        Self::Edge(S::DORMOUSE_UTF8, format!("`{parameter}` is not UTF-8, from byte {at} on").into())
    }

    #[cold]
    pub(crate) fn no_room(problem: String) -> Self {
        Self::Edge(S::DORMOUSE_NO_ROOM, problem.into())
    }

    #[cold]
    pub(crate) fn not_found(what: String) -> Self {
        Self::Edge(S::DORMOUSE_NOT_FOUND, what.into())
    }

    /// A key-value store failed. Only a store in a file can fail.
    #[cold]
    pub(crate) fn store(problem: HostError) -> Self {
        #[cfg(feature = "durable")]
        let problem = match problem.downcast::<StoreError>() {
            Ok(error) => return (*error).into(),
            Err(problem) => problem,
        };
        Self::Edge(S::DORMOUSE_OTHER, problem.to_string().into())
    }

    #[cold]
    pub(crate) fn no_thread(error: std::io::Error) -> Self {
        Self::Edge(S::DORMOUSE_NO_THREAD, format!("the system cannot start a thread: {error}").into())
    }

    #[cold]
    #[cfg(not(feature = "durable"))]
    pub(crate) fn not_built(feature: &str) -> Self {
        Self::Edge(S::DORMOUSE_NOT_BUILT, format!("this library was built without its feature `{feature}`").into())
    }

    pub(crate) fn status(&self) -> dormouse_status {
        match self {
            Self::Edge(status, _) => *status,
            Self::Deploy(error) => of_deploy(error),
            Self::Invoke(error) => of_invoke(error.kind()),
            Self::NoRoom { .. } => S::DORMOUSE_NO_ROOM,
        }
    }

    pub(crate) fn report(&self) -> Option<&dormouse::Report> {
        match self {
            Self::Invoke(error) => error.report(),
            Self::NoRoom { report, .. } => Some(report),
            Self::Edge(..) | Self::Deploy(_) => None,
        }
    }

    pub(crate) fn trap(&self) -> dormouse_trap {
        let mut kind = match self {
            Self::Invoke(error) => error.kind(),
            Self::Deploy(DeployError::Initialise { cause, .. }) => cause,
            _ => return dormouse_trap::DORMOUSE_TRAP_NONE,
        };
        loop {
            kind = match kind {
                InvokeErrorKind::Trap(trap) => return (*trap).into(),
                InvokeErrorKind::Initialise { cause, .. } | InvokeErrorKind::GuestError { ended: Some(cause), .. } => {
                    cause
                }
                _ => return dormouse_trap::DORMOUSE_TRAP_NONE,
            };
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Edge(_, text) => f.write_str(text),
            Self::Deploy(error) => error.fmt(f),
            Self::Invoke(error) => error.fmt(f),
            Self::NoRoom { needed, room, .. } => {
                write!(f, "the output has {needed} bytes, the caller's buffer has room for {room}")
            }
        }
    }
}

impl From<DeployError> for Failure {
    fn from(error: DeployError) -> Self {
        Self::Deploy(error)
    }
}

impl From<InvokeError> for Failure {
    fn from(error: InvokeError) -> Self {
        Self::Invoke(error)
    }
}

impl From<InvokeErrorKind> for Failure {
    fn from(kind: InvokeErrorKind) -> Self {
        Self::Invoke(kind.into())
    }
}

impl From<EventError> for Failure {
    fn from(error: EventError) -> Self {
        Self::Edge(S::DORMOUSE_EVENT, error.to_string().into())
    }
}

impl From<MatchError> for Failure {
    fn from(error: MatchError) -> Self {
        Self::Edge(of_match(&error), error.to_string().into())
    }
}

impl From<PublishError> for Failure {
    fn from(error: PublishError) -> Self {
        Self::Edge(of_publish(&error), error.to_string().into())
    }
}

#[cfg(feature = "durable")]
impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Edge(of_store(&error), error.to_string().into())
    }
}

impl From<RedriveError> for Failure {
    fn from(error: RedriveError) -> Self {
        let status = match &error {
            RedriveError::NoSuchLetter { .. } | RedriveError::NoSuchTrigger { .. } => S::DORMOUSE_NOT_FOUND,
            RedriveError::Publish(error) => of_publish(error),
            _ => S::DORMOUSE_OTHER,
        };
        Self::Edge(status, error.to_string().into())
    }
}

impl From<TriggerError> for Failure {
    fn from(error: TriggerError) -> Self {
        let status = match &error {
            TriggerError::InvalidId { .. } => S::DORMOUSE_INVALID_NAME,
            TriggerError::Pattern(_) => S::DORMOUSE_PATTERN,
            TriggerError::Taken { .. } => S::DORMOUSE_TAKEN,
            TriggerError::TooMany { .. } => S::DORMOUSE_TOO_MANY_TRIGGERS,
            _ => S::DORMOUSE_INVALID_TRIGGER,
        };
        Self::Edge(status, error.to_string().into())
    }
}

impl From<AliasError> for Failure {
    fn from(error: AliasError) -> Self {
        let status = match &error {
            AliasError::InvalidName { .. } => S::DORMOUSE_INVALID_NAME,
            AliasError::NoSuchVersion { .. } => S::DORMOUSE_NOT_FOUND,
            AliasError::TooMany { .. } => S::DORMOUSE_TOO_MANY_ALIASES,
            _ => S::DORMOUSE_OTHER,
        };
        Self::Edge(status, error.to_string().into())
    }
}

impl From<DeliveryError> for Failure {
    fn from(error: DeliveryError) -> Self {
        match error {
            DeliveryError::Invoke(error) => Self::Invoke(error),
            DeliveryError::ReplyRefused(error) => error.into(),
            error @ (DeliveryError::Reply(_) | DeliveryError::ReplyType { .. }) => {
                Self::Edge(S::DORMOUSE_REPLY, error.to_string().into())
            }
            other => Self::Edge(S::DORMOUSE_OTHER, other.to_string().into()),
        }
    }
}

fn of_match(error: &MatchError) -> dormouse_status {
    match error {
        MatchError::Ambiguous { .. } => S::DORMOUSE_AMBIGUOUS,
        _ => S::DORMOUSE_EVENT,
    }
}

fn of_publish(error: &PublishError) -> dormouse_status {
    match error {
        PublishError::QueueFull { .. } => S::DORMOUSE_QUEUE_FULL,
        PublishError::TooLarge { .. } => S::DORMOUSE_EVENT_TOO_LARGE,
        PublishError::Match(error) => of_match(error),
        PublishError::Reserved { .. } => S::DORMOUSE_RESERVED_TYPE,
        #[cfg(feature = "durable")]
        PublishError::Store(error) => of_store(error),
        _ => S::DORMOUSE_OTHER,
    }
}

#[cfg(feature = "durable")]
fn of_store(error: &StoreError) -> dormouse_status {
    match error.problem() {
        StoreProblem::Full => S::DORMOUSE_STORE_FULL,
        StoreProblem::InUse => S::DORMOUSE_STORE_IN_USE,
        StoreProblem::Corrupt => S::DORMOUSE_STORE_CORRUPT,
        StoreProblem::Io => S::DORMOUSE_STORE_IO,
        _ => S::DORMOUSE_OTHER,
    }
}

fn of_deploy(error: &DeployError) -> dormouse_status {
    match error {
        DeployError::InvalidName { .. } => S::DORMOUSE_INVALID_NAME,
        DeployError::InvalidOption { .. } => S::DORMOUSE_INVALID_OPTION,
        DeployError::TooLarge { .. } => S::DORMOUSE_TOO_LARGE,
        DeployError::InvalidModule { .. } => S::DORMOUSE_INVALID_MODULE,
        DeployError::MissingProposal { .. } => S::DORMOUSE_MISSING_PROPOSAL,
        DeployError::UnknownImports { .. } => S::DORMOUSE_UNKNOWN_IMPORTS,
        DeployError::Entry { .. } => S::DORMOUSE_ENTRY,
        DeployError::SegmentOutOfBounds { .. } => S::DORMOUSE_SEGMENT_OUT_OF_BOUNDS,
        DeployError::Initialise { .. } => S::DORMOUSE_INITIALISE,
        DeployError::UnrepeatableInitialisation { .. } => S::DORMOUSE_UNREPEATABLE_INITIALISATION,
        DeployError::Refused { .. } => S::DORMOUSE_REFUSED,
        DeployError::UnsafeBuild { .. } => S::DORMOUSE_UNSAFE_BUILD,
        DeployError::TooManyFunctions { .. } => S::DORMOUSE_TOO_MANY_FUNCTIONS,
        DeployError::Busy(_) => S::DORMOUSE_BUSY,
        _ => S::DORMOUSE_OTHER,
    }
}

pub(crate) fn of_invoke(kind: &InvokeErrorKind) -> dormouse_status {
    of_outcome(kind.name())
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
