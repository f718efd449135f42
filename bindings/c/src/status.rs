//! Status codes, and the failures that become them.

use std::{borrow::Cow, fmt};

use dormouse::{
    AliasError, DeliveryError, DeployError, EventError, HostError, InvokeError, InvokeErrorKind, MatchError,
    PublishError, RedriveError, Trap, TriggerError,
};
#[cfg(feature = "durable")]
use dormouse::{StoreError, StoreProblem};

/// How a call went. The numbers are fixed: each keeps its meaning for ever, retired ones are not used again, new ones
/// are added; so a host treats one that it does not know as a failure.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum dormouse_status {
    /// It went well.
    DORMOUSE_OK = 0,

    /// A pointer that must not be NULL is NULL. The message names the parameter. Nothing has been done.
    DORMOUSE_NULL = 1,
    /// An argument that no call can have: an options struct that has not been initialised, an unknown constant,
    /// options that contradict each other, a length beyond that of any array. Nothing has been done.
    DORMOUSE_ARGUMENT = 2,
    /// A text is no UTF-8. Nothing has been done.
    DORMOUSE_UTF8 = 3,
    /// The caller's room is too small for the result. An invocation has run; its report says how much is needed.
    DORMOUSE_NO_ROOM = 4,
    /// There is nothing of this name.
    DORMOUSE_NOT_FOUND = 5,
    /// A bug in this library: a panic was caught at its edge. What the call worked on is dropped, the rest goes on.
    DORMOUSE_PANIC = 6,
    /// A failure that has no number in this version. The message says what it is.
    DORMOUSE_OTHER = 7,
    /// This library was built without what the call needs. The message names the feature.
    DORMOUSE_NOT_BUILT = 8,
    /// The system has no thread to give.
    DORMOUSE_NO_THREAD = 9,

    /// The name is not 1 to 64 of the characters A-Z a-z 0-9 . _ -
    DORMOUSE_INVALID_NAME = 100,
    /// An option of the deployment contradicts itself or the runtime.
    DORMOUSE_INVALID_OPTION = 101,
    /// The module is larger than a limit allows.
    DORMOUSE_TOO_LARGE = 102,
    /// The bytes are no WebAssembly module, or one that does not validate. The message says where.
    DORMOUSE_INVALID_MODULE = 103,
    /// The module needs a WebAssembly proposal that is not there.
    DORMOUSE_MISSING_PROPOSAL = 104,
    /// The module imports what the deployment does not provide. The message lists all such imports.
    DORMOUSE_UNKNOWN_IMPORTS = 106,
    /// The export that the deployment names as entry is missing or has another type.
    DORMOUSE_ENTRY = 107,
    /// An active data segment lies outside its memory.
    DORMOUSE_SEGMENT_OUT_OF_BOUNDS = 108,
    /// The module's initialisation calls the host, and must be repeated for each instance.
    DORMOUSE_UNREPEATABLE_INITIALISATION = 109,
    /// The interpreter refuses a module that is valid.
    DORMOUSE_REFUSED = 110,
    /// The library was built with a profile under which the interpreter is unsafe. The message says what to change.
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
    /// The guest does not keep its contract.
    DORMOUSE_CONTRACT = 206,
    /// A read or write lies outside the guest's memory.
    DORMOUSE_OUT_OF_BOUNDS = 207,
    /// The input is larger than its limit. The guest did not run.
    DORMOUSE_INPUT_TOO_LARGE = 208,
    /// The output is larger than its limit.
    DORMOUSE_OUTPUT_TOO_LARGE = 209,
    /// No instance is to be had, or there is no room to make one.
    DORMOUSE_BUSY = 210,
    /// The function is not deployed: it was taken out of service, or its alias was removed.
    DORMOUSE_UNDEPLOYED = 211,
    /// New instances of the function kept failing to initialise; it is left alone for a while.
    DORMOUSE_QUARANTINED = 212,
    /// Initialisation failed, at deployment or of a new instance. The message says in which step.
    DORMOUSE_INITIALISE = 213,
    /// The module has no such export, or it is no function.
    DORMOUSE_NO_SUCH_EXPORT = 214,
    /// The arguments do not fit the export's type.
    DORMOUSE_SIGNATURE = 215,
    /// The function takes no bytes: its exports are for `dormouse_function_call` and `dormouse_function_session`.
    DORMOUSE_NOT_INVOCABLE = 216,
    /// The interpreter gave up for a reason that is no trap of the specification.
    DORMOUSE_INTERPRETER = 217,
    /// Host functions invoke functions too deep: five invocations, the outermost included.
    DORMOUSE_NESTED_TOO_DEEP = 218,
    /// The guest ended itself: a program with an exit code that is not 0. The message has the code and the end of its
    /// log.
    DORMOUSE_EXIT = 219,
    /// The guest says that it will never take this input; a delivery is not tried again. The message has the end of
    /// its log.
    DORMOUSE_REJECTED = 220,
    /// An Extism plug-in set an error, or its export answered a code that is not 0. The message has both, and
    /// `dormouse_error_trap` says whether it trapped then, as most do.
    DORMOUSE_GUEST_ERROR = 221,
    /// A handle that is not that of a live block of an Extism plug-in, or an address whose bytes do not lie in one.
    DORMOUSE_INVALID_HANDLE = 222,
    /// Blocks of an Extism plug-in do not fit into what its memories leave of the limit.
    DORMOUSE_MEMORY_LIMIT = 223,
    /// Somebody, another invocation or the host, has changed a key of the key-value store since this invocation compared
    /// it. Nothing is written; it can be invoked again.
    DORMOUSE_KV_CONFLICT = 224,
    /// What was staged for the key-value store is more than the namespace may hold, with what others have committed
    /// meanwhile.
    DORMOUSE_KV_FULL = 225,
    /// The key-value store failed in an invocation. The message has its words.
    DORMOUSE_KV_STORE = 226,

    /// What should be an event is none. The message names the attribute.
    DORMOUSE_EVENT = 300,
    /// The event type is reserved: types that begin with `dormouse.` are the runtime's own.
    DORMOUSE_RESERVED_TYPE = 301,
    /// The event is larger than the runtime's limit.
    DORMOUSE_EVENT_TOO_LARGE = 302,
    /// The queue has no room for the event's deliveries.
    DORMOUSE_QUEUE_FULL = 303,
    /// A function's reply is no event, or one of a type that its trigger does not emit.
    DORMOUSE_REPLY = 304,
    /// The event repeats keys around arrays so often that patterns cannot be matched against it.
    DORMOUSE_AMBIGUOUS = 305,
    /// The trigger has something that no trigger can have. The message says what.
    DORMOUSE_INVALID_TRIGGER = 310,
    /// The text is no pattern. The message says where.
    DORMOUSE_PATTERN = 311,
    /// Another trigger has the id.
    DORMOUSE_TAKEN = 312,
    /// The runtime has as many triggers as it may.
    DORMOUSE_TOO_MANY_TRIGGERS = 313,
    /// The runtime has as many aliases as it may.
    DORMOUSE_TOO_MANY_ALIASES = 314,
    /// The disk is full. Nothing was stored; it goes on when there is room.
    DORMOUSE_STORE_FULL = 320,
    /// Another runtime or store, here or in another process, has the file open.
    DORMOUSE_STORE_IN_USE = 321,
    /// The file is damaged, or was not written by this library.
    DORMOUSE_STORE_CORRUPT = 322,
    /// The file could not be opened, read or written. The message has what the system says.
    DORMOUSE_STORE_IO = 323,
}
use dormouse_status as S;

/// How a guest trapped.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum dormouse_trap {
    /// It did not, or in a way that has no number in this version.
    DORMOUSE_TRAP_NONE = 0,
    /// `unreachable` was run: most languages' panic or abort.
    DORMOUSE_TRAP_UNREACHABLE = 1,
    /// A load, store or bulk operator outside memory.
    DORMOUSE_TRAP_MEMORY_OUT_OF_BOUNDS = 2,
    /// An access outside a table.
    DORMOUSE_TRAP_TABLE_OUT_OF_BOUNDS = 3,
    /// An indirect call of a null entry.
    DORMOUSE_TRAP_INDIRECT_CALL_TO_NULL = 4,
    /// An integer division or remainder by zero.
    DORMOUSE_TRAP_DIVISION_BY_ZERO = 5,
    /// An integer division that overflows.
    DORMOUSE_TRAP_INTEGER_OVERFLOW = 6,
    /// A conversion of NaN, an infinity or a number out of range to an integer.
    DORMOUSE_TRAP_BAD_CONVERSION = 7,
    /// Calls nested too deep, or the value stack is full.
    DORMOUSE_TRAP_STACK_OVERFLOW = 8,
    /// An indirect call of a function of another type.
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

/// Why an exported function failed, before anyone has asked for words.
pub(crate) enum Failure {
    /// Found at the edge.
    Edge(dormouse_status, Cow<'static, str>),
    Deploy(DeployError),
    Invoke(InvokeError),
    /// The reply does not fit into the caller's room, with the report of the invocation.
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
        Self::Edge(S::DORMOUSE_UTF8, format!("`{parameter}` is no UTF-8, from byte {at} on").into())
    }

    #[cold]
    pub(crate) fn no_room(problem: String) -> Self {
        Self::Edge(S::DORMOUSE_NO_ROOM, problem.into())
    }

    #[cold]
    pub(crate) fn not_found(what: String) -> Self {
        Self::Edge(S::DORMOUSE_NOT_FOUND, what.into())
    }

    /// A key-value store does not answer: its file, as the one in memory always does.
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
        Self::Edge(S::DORMOUSE_NO_THREAD, format!("the system has no thread to give: {error}").into())
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

/// By the name that reports have for it, as a report carries no other.
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
