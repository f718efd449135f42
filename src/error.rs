//! What can go wrong, one enum for each family of operations, all converting into [`Error`].
//!
//! Invariant: an error says what, where and what to do; text that comes from a guest or a host function is escaped
//! where it is printed and cut at 4 KiB.

mod text;

use std::{fmt, time::Duration};

use crate::usage::Report;
pub(crate) use text::{Text, arguments, cut, signature, tail};

/// Any error of this library.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A deployment was refused.
    #[error(transparent)]
    Deploy(#[from] DeployError),
    /// An invocation failed or was refused.
    #[error(transparent)]
    Invoke(#[from] InvokeError),
    /// An alias was refused.
    #[error(transparent)]
    Alias(#[from] crate::runtime::AliasError),
    /// A trigger was refused.
    #[cfg(feature = "events")]
    #[error(transparent)]
    Trigger(#[from] crate::trigger::TriggerError),
    /// An event was not published.
    #[cfg(feature = "events")]
    #[error(transparent)]
    Publish(#[from] crate::delivery::PublishError),
    /// A dead letter was not delivered again.
    #[cfg(feature = "events")]
    #[error(transparent)]
    Redrive(#[from] crate::delivery::RedriveError),
}

/// Why a deployment was refused. Nothing is changed by a refused deployment: a function that has the name goes on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeployError {
    /// The name is not `[A-Za-z0-9._-]{1,64}`.
    #[error("the name {:?} is not made of 1 to 64 of the characters A-Z a-z 0-9 . _ -", Text(name))]
    InvalidName {
        /// The name as given.
        name: Box<str>,
    },
    /// An option of the deployment contradicts itself or the runtime.
    #[error("the option `{option}` cannot be met: {problem}")]
    InvalidOption {
        /// The option's method or field.
        option: &'static str,
        /// What is wrong with it, with the figures.
        problem: Box<str>,
    },
    /// The module is larger than a limit allows.
    #[error("the module has {found} {bound}, above the limit of {limit}; raise `Limits::{field}` if that is meant", bound = bound.describe(), field = bound.field())]
    TooLarge {
        /// Which limit.
        bound: Bound,
        /// What the module has.
        found: u64,
        /// What the limit allows.
        limit: u64,
    },
    /// The bytes are no WebAssembly module, or one that does not validate.
    #[error("not a valid WebAssembly module, at byte {offset} (0x{offset:x}): {}", Text(problem))]
    InvalidModule {
        /// Offset of the fault in the module's bytes.
        offset: usize,
        /// What the validator found.
        problem: Box<str>,
    },
    /// The module needs a WebAssembly proposal that this build leaves off.
    #[error("the module needs the WebAssembly proposal {proposal} (at byte {offset}), which {remedy}")]
    MissingProposal {
        /// The proposal's name, as its repository has it.
        proposal: &'static str,
        /// Offset of its first use in the module's bytes.
        offset: usize,
        /// How to get it, or that it cannot be had.
        remedy: &'static str,
    },
    /// The module imports what the deployment does not provide. All such imports are listed.
    #[error("the module imports what this deployment does not provide:{}", Imports(imports))]
    UnknownImports {
        /// Each import that is missing or has another type.
        imports: Vec<UnknownImport>,
    },
    /// The module does not keep the contract that the deployment names, or that it is found to be made for: an export is missing or has another type.
    #[error("the entry {:?} {problem}", Text(entry))]
    Entry {
        /// The name as given.
        entry: Box<str>,
        /// What was found, and what is needed.
        problem: Box<str>,
    },
    /// An active data segment lies outside its memory. (An element segment outside its table fails initialisation.)
    #[error("data segment {segment} reaches from {offset} for {len} bytes, beyond its memory {memory} of {size} bytes")]
    SegmentOutOfBounds {
        /// Index of the data segment.
        segment: u32,
        /// Index of the memory.
        memory: u32,
        /// Where it begins, in bytes.
        offset: u64,
        /// Its length in bytes.
        len: u64,
        /// Bytes of the memory.
        size: u64,
    },
    /// A step of initialisation failed.
    #[error("initialisation failed in {step}: {cause}")]
    Initialise {
        /// Which step: `instantiation`, `the start function`, `_initialize`, `alloc` or `dealloc`; of an Extism plug-in also
        /// `__wasm_call_ctors` or `hs_init`.
        step: &'static str,
        /// What happened.
        cause: Box<InvokeErrorKind>,
    },
    /// The module writes tables, keeps references in globals or drops segments, so that each instance must initialise
    /// itself anew, and its initialisation calls the host, which need not answer the same each time.
    #[error(
        "the module changes tables, reference globals or segments, so each instance initialises itself anew, but its initialisation calls the host \
         ({calls} times), which may answer differently each time; call the host from the handler instead"
    )]
    UnrepeatableInitialisation {
        /// Calls of host functions that initialisation made.
        calls: u64,
    },
    /// The interpreter refuses a module that is valid.
    #[error("the interpreter refuses the module: {problem}")]
    Refused {
        /// The interpreter's words.
        problem: Box<str>,
    },
    /// The interpreter would overflow the native stack in this build: the self-check at the first deployment of the
    /// process found its stack growing with the number of operators that run.
    #[error(
        "this build of the interpreter is unsafe: its native stack grew by {grown} bytes over {operators} operators of the kind {kind}. \
         wasmi's tail-call dispatch needs `debug-assertions = false` wherever it is optimised, opt-level 2 or 3, and an `lto` other than \"off\": \
         build in release, or set `[profile.dev.package.\"*\"] debug-assertions = false` beside the opt-level, \
         or turn on dormouse's feature `portable-dispatch` (1.65 x slower guests, right under every profile)"
    )]
    UnsafeBuild {
        /// Bytes by which the stack grew.
        grown: usize,
        /// Operators that were run.
        operators: u32,
        /// The operator with which it was found.
        kind: &'static str,
    },
    /// The runtime holds as many functions as it may.
    #[error("the runtime holds {limit} functions, its limit; undeploy one or raise `RuntimeLimits::functions`")]
    TooManyFunctions {
        /// The limit.
        limit: usize,
    },
    /// There is no room for the instance that initialisation needs.
    #[error("no room to initialise the function: {0}")]
    Busy(Busy),
}

/// A limit on a module, as named in [`DeployError::TooLarge`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each is documented as the field of `Limits` that has its name")]
pub enum Bound {
    ModuleBytes,
    Functions,
    Imports,
    Exports,
    Globals,
    Types,
    Memories,
    Tables,
    DataSegments,
    ElementSegments,
    BodyBytes,
    Locals,
    Memory,
    TableElements,
}

impl Bound {
    /// The field of [`Limits`](crate::Limits).
    pub fn field(self) -> &'static str {
        match self {
            Self::ModuleBytes => "module_bytes",
            Self::Functions => "functions",
            Self::Imports => "imports",
            Self::Exports => "exports",
            Self::Globals => "globals",
            Self::Types => "types",
            Self::Memories => "memories",
            Self::Tables => "tables",
            Self::DataSegments => "data_segments",
            Self::ElementSegments => "element_segments",
            Self::BodyBytes => "body_bytes",
            Self::Locals => "locals",
            Self::Memory => "memory",
            Self::TableElements => "table_elements",
        }
    }

    fn describe(self) -> &'static str {
        match self {
            Self::ModuleBytes => "bytes",
            Self::Functions => "functions",
            Self::Imports => "imports",
            Self::Exports => "exports",
            Self::Globals => "globals",
            Self::Types => "types",
            Self::Memories => "memories",
            Self::Tables => "tables",
            Self::DataSegments => "data segments",
            Self::ElementSegments => "element segments",
            Self::BodyBytes => "bytes in one function's body",
            Self::Locals => "locals in one function",
            Self::Memory => "bytes of initial memory",
            Self::TableElements => "initial table elements",
        }
    }
}

/// An import that a deployment does not provide.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnknownImport {
    /// The import's module, `env` for one.
    pub module: Box<str>,
    /// The import's name.
    pub name: Box<str>,
    /// The type that the module wants, as in `func (i32, i32) -> i32`.
    pub ty: Box<str>,
    /// The type that the deployment provides under this name, where it does.
    pub provided: Option<Box<str>>,
}

/// The imports of an error, one a line.
struct Imports<'a>(&'a [UnknownImport]);

impl fmt::Display for Imports<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN_MAX: usize = 50;
        for import in self.0.iter().take(SHOWN_MAX) {
            write!(f, "\n  {}.{}: {}", Text(&import.module), Text(&import.name), import.ty)?;
            if let Some(provided) = &import.provided {
                write!(f, ", but the deployment provides {provided}")?;
            }
        }
        if self.0.len() > SHOWN_MAX {
            write!(f, "\n  and {} more", self.0.len() - SHOWN_MAX)?;
        }
        let is = |module: &str, name: &str| self.0.iter().any(|i| *i.module == *module && i.name.starts_with(name));
        if is(crate::capability::kv::MODULE, "") {
            f.write_str("\ngrant the key-value store with `Deployment::kv`")?;
        }
        if is("extism:host/env", "") {
            f.write_str("\nof extism:host/env ")?;
            f.write_str(match cfg!(feature = "extism") {
                true => "all functions of Extism 1.12 are here: the plug-in was built for another version",
                false => "nothing is here, as dormouse's feature `extism` is off",
            })?;
        }
        if is("env", "extism_") {
            f.write_str(
                "\nfunctions `extism_…` of env are those of Extism before 1.0: build the plug-in with a later PDK",
            )?;
        }
        f.write_str("\nprovide functions with `Deployment::host`; memories, tables and globals cannot be imported")
    }
}

/// Why an invocation failed or was refused: the kind, and the report where the guest ran.
///
/// One pointer in size.
#[derive(Debug)]
pub struct InvokeError(Box<(InvokeErrorKind, Option<Report>)>);

impl InvokeError {
    pub(crate) fn new(kind: InvokeErrorKind, report: Option<Report>) -> Self {
        Self(Box::new((kind, report)))
    }

    /// What happened, to branch on.
    pub fn kind(&self) -> &InvokeErrorKind {
        &self.0.0
    }

    /// What the failed invocation used; none where it was refused before the guest ran.
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
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum InvokeErrorKind {
    /// The guest ran out of fuel.
    #[error("out of fuel: {limit} units were not enough; raise `Limits::fuel` if the work is meant to take more")]
    OutOfFuel {
        /// Fuel that the invocation had.
        limit: u64,
    },
    /// The guest ran past its deadline.
    #[error("deadline exceeded: the invocation ran longer than {deadline:?}")]
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
    /// A host function returned an error: one of the host's own, or of `extism:host/env`, given what it does not take.
    #[error("the host function {}.{} failed: {}", Text(module), Text(name), Text(message))]
    HostFunction {
        /// The import's module.
        module: Box<str>,
        /// The import's name.
        name: Box<str>,
        /// The error's text.
        message: Box<str>,
    },
    /// A custom host function panicked. The instance is thrown away.
    #[error("the host function {}.{} panicked: {}", Text(module), Text(name), Text(message))]
    HostPanic {
        /// The import's module.
        module: Box<str>,
        /// The import's name.
        name: Box<str>,
        /// The panic's text.
        message: Box<str>,
    },
    /// The guest ended itself: a program with an exit code that is not 0, or anything else with whatever code.
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
        /// What the export answered, or its exit code; 0 where it set an error and answered 0 or nothing, -1 where it was
        /// stopped.
        code: i32,
        /// The text of the error, empty if it set none.
        message: Box<str>,
        /// How it was stopped after it had set the error: a trap, an exit, a host function that failed. None if it returned.
        ended: Option<Box<InvokeErrorKind>>,
    },
    /// The guest says that it will never take this input: the buffer contract's answer -1. A delivery is not tried again, as after
    /// [`Exit`](Self::Exit) with the code 65.
    #[error("the guest rejected its input{}", Tail(log))]
    Rejected {
        /// The end of its log, 1 KiB at most.
        log: Box<str>,
    },
    /// The guest has done its work, but the events that host functions published in it were not queued. What it wrote to a
    /// key-value store is there. See [`Context::publish`](crate::Context::publish).
    #[cfg(feature = "events")]
    #[error("what was published in the invocation was not queued: {problem}")]
    Unpublished {
        /// Why not.
        problem: Box<str>,
    },
    /// The guest does not keep its contract.
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
        /// Bytes of the memory, 0 if it has none.
        size: u64,
    },
    /// A handle that is not that of a live block of an Extism plug-in, or an address whose bytes do not lie in one.
    #[error("{handle:#x} is not the handle of a live block, or too few bytes lie behind it")]
    InvalidHandle {
        /// The handle as given.
        handle: u64,
    },
    /// Blocks of an Extism plug-in do not fit into what its memories leave of the limit.
    #[error(
        "no room for {wanted} bytes: memories, blocks and variables may hold {limit} bytes together; raise `Limits::memory` if that is meant"
    )]
    MemoryLimit {
        /// Bytes wanted.
        wanted: u64,
        /// The limit.
        limit: u64,
    },
    /// The input is larger than its limit. The guest did not run.
    #[error("the input has {size} bytes, above the limit of {limit}; raise `Limits::input` if that is meant")]
    InputTooLarge {
        /// Bytes of input.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// The output is larger than its limit.
    #[error("the output has {size} bytes, above the limit of {limit}; raise `Limits::output` if that is meant")]
    OutputTooLarge {
        /// Bytes of output.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// No instance is to be had.
    #[error("busy: {0}")]
    Busy(Busy),
    /// The function is not deployed: it was taken out of service, or its alias was removed.
    #[error("the function {name} is not deployed")]
    Undeployed {
        /// Its name.
        name: Box<str>,
    },
    /// New instances of the function kept failing to initialise; it is left alone for a while.
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
    /// The module has no such export, or it is no function.
    #[error("the function exports no function {:?}; it exports {}", Text(name), Text(exports))]
    NoSuchExport {
        /// The name as given.
        name: Box<str>,
        /// The names of the functions that it does export.
        exports: Box<str>,
    },
    /// The arguments do not fit the export's type, or its type has vectors or references, which cannot be passed.
    #[error("the export {:?} has the type {ty}, which does not take {given}", Text(name))]
    Signature {
        /// The name as given.
        name: Box<str>,
        /// The export's type.
        ty: Box<str>,
        /// The arguments.
        given: Box<str>,
    },
    /// The module keeps no contract through which bytes can be passed; only `call` and `session` work.
    #[error(
        "the function takes no bytes: {found}. The buffer contract needs the exports `memory`, `alloc(i32) -> i32` and `handle(i32, i32) -> i64`, a WASI program `_start`, an Extism plug-in imports of `extism:host/env` and an export `() -> i32`; use `call` or `session` for plain exports"
    )]
    NotInvocable {
        /// What was found.
        found: Box<str>,
    },
    /// A typed payload could not be made or read.
    #[error("the {side} is not what the codec expects: {}", Text(problem))]
    Codec {
        /// `input` or `output`.
        side: &'static str,
        /// The codec's words.
        problem: Box<str>,
    },
    /// The interpreter gave up for a reason that is no trap of the specification.
    #[error("the interpreter stopped: {problem}")]
    Interpreter {
        /// The interpreter's words.
        problem: Box<str>,
    },
    /// The key-value store ended the invocation, or would not take its writes.
    #[error(transparent)]
    KeyValue(#[from] crate::capability::kv::Error),
    /// Host functions invoke functions too deep.
    #[error("invocations are nested {limit} deep, the limit")]
    NestedTooDeep {
        /// The limit, the outermost included.
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
            #[cfg(feature = "events")]
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

/// Why no instance is to be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Busy {
    /// All instances of the function are in use.
    #[error("{}", InUse(*max, *waited))]
    Instances {
        /// Instances that the function may have; 0 is its off switch.
        max: usize,
        /// How long the invocation waited.
        waited: Duration,
    },
    /// The runtime has as many instances as it may, none of them idle.
    #[error("the runtime has {limit} instances, its limit, and none is idle; raise `RuntimeLimits::instances`")]
    RuntimeInstances {
        /// The limit.
        limit: usize,
    },
    /// The instances of the runtime hold as much memory as they may, none of them idle.
    #[error(
        "{wanted} bytes more would exceed the runtime's {limit} bytes of resident memory, and no instance is idle; raise `RuntimeLimits::resident_memory`"
    )]
    RuntimeMemory {
        /// Bytes wanted.
        wanted: u64,
        /// The limit.
        limit: u64,
    },
}

/// The end of a log, where there is any.
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

/// [`Busy::Instances`] in words.
struct InUse(usize, Duration);

impl fmt::Display for InUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(max, waited) = self;
        match max {
            0 => return f.write_str("the function is off: `Deployment::instances` allows it none"),
            1 => f.write_str("the one instance of the function is in use")?,
            _ => write!(f, "all {max} instances of the function are in use")?,
        }
        if !waited.is_zero() {
            write!(f, ", after waiting {waited:?}")?;
        }
        f.write_str("; raise `Deployment::instances` or `max_wait`")
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_small() {
        assert_eq!(size_of::<InvokeError>(), size_of::<usize>());
        assert!(size_of::<InvokeErrorKind>() <= 64, "{}", size_of::<InvokeErrorKind>());
        assert!(size_of::<DeployError>() <= 64, "{}", size_of::<DeployError>());
        assert!(size_of::<Error>() <= 72, "{}", size_of::<Error>());
    }

    #[test]
    fn a_function_that_is_off_is_told_from_a_busy_one() {
        let busy = |max, waited| Busy::Instances { max, waited }.to_string();
        assert_eq!(busy(0, Duration::ZERO), "the function is off: `Deployment::instances` allows it none");
        assert!(busy(1, Duration::ZERO).starts_with("the one instance of the function is in use; raise"));
        assert!(
            busy(4, Duration::from_secs(1))
                .starts_with("all 4 instances of the function are in use, after waiting 1s;")
        );
    }
}
