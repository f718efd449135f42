//! Why an invocation fails or is refused.

use std::{fmt, time::Duration};

use super::{Busy, Trap};
use crate::{kv, text::Text, usage::Report};

/// Why an invocation failed or was refused: the kind, and the report where the guest ran.
///
/// It has the size of one pointer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvokeError(Box<(InvokeErrorKind, Option<Report>)>);

impl InvokeError {
    pub(crate) fn new(kind: InvokeErrorKind, report: Option<Report>) -> Self {
        Self(Box::new((kind, report)))
    }

    /// What happened, to branch on.
    pub fn kind(&self) -> &InvokeErrorKind {
        &self.0.0
    }

    /// What the failed invocation used. `None` if it was refused before the guest ran.
    pub fn report(&self) -> Option<&Report> {
        self.0.1.as_ref()
    }

    /// The kind alone.
    pub fn into_kind(self) -> InvokeErrorKind {
        self.0.0
    }
}

impl From<InvokeErrorKind> for InvokeError {
    fn from(kind: InvokeErrorKind) -> Self {
        Self::new(kind, None)
    }
}

impl fmt::Display for InvokeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.report() {
            Some(report) => write!(f, "{}: {}", report.label, self.kind()),
            None => self.kind().fmt(f),
        }
    }
}

impl std::error::Error for InvokeError {}

/// What ended or refused an invocation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvokeErrorKind {
    /// The guest ran out of fuel.
    #[error("out of fuel: {limit} units were not enough; raise `Limits::fuel` if the work is meant to take more")]
    OutOfFuel {
        /// Fuel that the invocation had.
        limit: u64,
    },
    /// The guest ran past its deadline.
    #[error(
        "deadline exceeded: the invocation ran longer than {deadline:?}; raise `Limits::deadline` if the \
         work is meant to take longer"
    )]
    DeadlineExceeded {
        /// The time that it had.
        deadline: Duration,
    },
    /// The invocation was cancelled through its handle.
    #[error("cancelled by the host")]
    Cancelled,
    /// The guest trapped.
    #[error("the guest trapped: {0}")]
    Trap(Trap),
    /// A host function returned an error. It is a function of the host, or one of `extism:host/env`
    /// that does not take its arguments.
    #[error("the host function {}.{} failed: {}", Text(module), Text(name), Text(message))]
    HostFunction {
        /// The import's module.
        module: Box<str>,
        /// The import's name.
        name: Box<str>,
        /// The error's text.
        message: Box<str>,
    },
    /// A custom host function panicked. The runtime drops the instance.
    #[error("the host function {}.{} panicked: {}", Text(module), Text(name), Text(message))]
    HostPanic {
        /// The import's module.
        module: Box<str>,
        /// The import's name.
        name: Box<str>,
        /// The panic's text.
        message: Box<str>,
    },
    /// The guest ended itself. A program fails so with an exit code that is not 0, and any other
    /// guest with every code.
    #[error("the guest exited with code {code}{}", Tail(log))]
    Exit {
        /// The code.
        code: u32,
        /// The end of its log, 1 KiB at most.
        log: Box<str>,
    },
    /// An Extism plug-in set an error, or its export answered a code that is not 0.
    #[error("the guest failed{}", Failure(*code, message, ended.as_deref()))]
    GuestError {
        /// What the export answered, or its exit code. 0 if it set an error and answered 0 or
        /// nothing, and -1 if it was stopped.
        code: i32,
        /// The text of the error. Empty if it set none.
        message: Box<str>,
        /// How it was stopped after it had set the error: a trap, an exit, a host function that
        /// failed. `None` if it returned.
        ended: Option<Box<InvokeErrorKind>>,
    },
    /// The guest says that it will never take this input: it gave the buffer contract's answer -1.
    /// The runtime does not retry such a delivery, nor one that ends in [`Exit`](Self::Exit) with
    /// the code 65.
    #[error("the guest rejected its input{}", Tail(log))]
    Rejected {
        /// The end of its log, 1 KiB at most.
        log: Box<str>,
    },
    /// The guest succeeded, and what it wrote to a key-value store is committed. But the events
    /// that host functions published in the invocation were not queued. See
    /// [`Context::publish`](crate::Context::publish).
    #[error("the events that the invocation published were not queued: {problem}")]
    Unpublished {
        /// Why not.
        problem: Box<str>,
    },
    /// The guest broke its contract.
    #[error("the guest broke its contract: {problem}")]
    Contract {
        /// What it answered, and what was expected.
        problem: Box<str>,
    },
    /// A read or write lies outside the guest's memory.
    #[error("{len} bytes at {at} lie outside the guest's memory of {size} bytes")]
    OutOfBounds {
        /// Address in bytes.
        at: u64,
        /// Length in bytes.
        len: u64,
        /// Bytes of the memory. 0 if the guest has none.
        size: u64,
    },
    /// A handle is not that of a live block of an Extism plug-in, or the bytes at an address do not
    /// lie in one.
    #[error("{handle:#x} is not the handle of a live block, or too few bytes lie behind it")]
    InvalidHandle {
        /// The handle as given.
        handle: u64,
    },
    /// A block of an Extism plug-in does not fit into what its memories leave of the limit.
    #[error(
        "no room for {wanted} bytes: memories, blocks and variables may hold {limit} bytes together; \
         raise `Limits::memory_bytes` if that is meant"
    )]
    MemoryLimit {
        /// Bytes wanted.
        wanted: u64,
        /// The limit.
        limit: u64,
    },
    /// The input is larger than its limit. The guest did not run.
    #[error("the input has {size} bytes, above the limit of {limit}; raise `Limits::input_bytes` if that is meant")]
    InputTooLarge {
        /// Bytes of input.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// The output is larger than its limit.
    #[error("the output has {size} bytes, above the limit of {limit}; raise `Limits::output_bytes` if that is meant")]
    OutputTooLarge {
        /// Bytes of output.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// No instance is free.
    #[error("busy: {0}")]
    Busy(Busy),
    /// The function is not deployed: the host took it out of service, or removed its alias.
    #[error("the function {name} is not deployed; deploy it, or set its alias")]
    Undeployed {
        /// Its name.
        name: Box<str>,
    },
    /// New instances of the function failed to initialise several times in a row. The runtime makes
    /// no new one for a while.
    #[error(
        "quarantined for {remaining:?} more: {failures} instances in a row failed to initialise, the last with: {cause}"
    )]
    Quarantined {
        /// Failures in a row.
        failures: u32,
        /// How long until the next attempt.
        remaining: Duration,
        /// The last failure.
        cause: Box<InvokeErrorKind>,
    },
    /// A new instance failed to initialise.
    #[error("a new instance failed to initialise, in {step}: {cause}")]
    Initialise {
        /// Which step.
        step: &'static str,
        /// What happened.
        cause: Box<InvokeErrorKind>,
    },
    /// The module has no such export, or the export is not a function.
    #[error("the function exports no function {:?}; it exports {}", Text(name), Text(exports))]
    NoSuchExport {
        /// The name as given.
        name: Box<str>,
        /// The names of the functions that it does export.
        exports: Box<str>,
    },
    /// The arguments do not fit the export's type, or its type has vectors or references. A host
    /// cannot pass these.
    #[error("the export {:?} has the type {ty}, which does not take {given}", Text(name))]
    Signature {
        /// The name as given.
        name: Box<str>,
        /// The export's type.
        ty: Box<str>,
        /// The arguments.
        given: Box<str>,
    },
    /// The module keeps no contract by which it takes bytes. Only `call` and `session` work.
    #[error(
        "the function takes no bytes: {found}. The buffer contract needs the exports `memory`, \
         `alloc(i32) -> i32` and `handle(i32, i32) -> i64`. A WASI program needs `_start`. An Extism \
         plug-in needs imports of `extism:host/env` and an export `() -> i32`. For plain exports use \
         `call` or `session`"
    )]
    NotInvocable {
        /// What was found.
        found: Box<str>,
    },
    /// The codec could not write or read a typed payload.
    #[error("the {side} is not what the codec expects: {}", Text(problem))]
    Codec {
        /// `input` or `output`.
        side: &'static str,
        /// The codec's words.
        problem: Box<str>,
    },
    /// The interpreter stopped for a reason that is not a trap of the specification.
    #[error("the interpreter stopped: {problem}")]
    Interpreter {
        /// The interpreter's words.
        problem: Box<str>,
    },
    /// The key-value store ended the invocation, or did not take its writes.
    #[error(transparent)]
    KeyValue(#[from] kv::Error),
    /// Host functions nest invocations deeper than the limit.
    #[error("invocations are nested {limit} deep, the limit; let a host function publish an event instead")]
    NestedTooDeep {
        /// The limit, which includes the outermost invocation.
        limit: usize,
    },
}

impl InvokeErrorKind {
    /// The kind in one word, as reports have it: `out_of_fuel`, `trap`, …
    pub fn name(&self) -> &'static str {
        match self {
            Self::OutOfFuel { .. } => "out_of_fuel",
            Self::DeadlineExceeded { .. } => "deadline_exceeded",
            Self::Cancelled => "cancelled",
            Self::Trap(_) => "trap",
            Self::HostFunction { .. } => "host_function",
            Self::HostPanic { .. } => "host_panic",
            Self::Exit { .. } => "exit",
            Self::GuestError { .. } => "guest_error",
            Self::Rejected { .. } => "rejected",
            Self::Unpublished { .. } => "unpublished",
            Self::Contract { .. } => "contract",
            Self::OutOfBounds { .. } => "out_of_bounds",
            Self::InvalidHandle { .. } => "invalid_handle",
            Self::MemoryLimit { .. } => "memory_limit",
            Self::InputTooLarge { .. } => "input_too_large",
            Self::OutputTooLarge { .. } => "output_too_large",
            Self::Busy(_) => "busy",
            Self::Undeployed { .. } => "undeployed",
            Self::Quarantined { .. } => "quarantined",
            Self::Initialise { .. } => "initialise",
            Self::NoSuchExport { .. } => "no_such_export",
            Self::Signature { .. } => "signature",
            Self::NotInvocable { .. } => "not_invocable",
            Self::Codec { .. } => "codec",
            Self::Interpreter { .. } => "interpreter",
            Self::KeyValue(error) => error.name(),
            Self::NestedTooDeep { .. } => "nested_too_deep",
        }
    }
}

/// The end of a log. Nothing if it is empty.
struct Tail<'a>(&'a str);

impl fmt::Display for Tail<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, ", having logged: {}", Text(self.0)) }
    }
}

/// [`InvokeErrorKind::GuestError`] in words.
struct Failure<'a>(i32, &'a str, Option<&'a InvokeErrorKind>);

impl fmt::Display for Failure<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(code, message, ended) = self;
        if *code != 0 && ended.is_none() {
            write!(f, " with code {code}")?;
        }
        if !message.is_empty() {
            write!(f, ": {}", Text(message))?;
        }
        ended.map_or(Ok(()), |kind| write!(f, " ({kind})"))
    }
}
