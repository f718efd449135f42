//! Why a deployment is refused.

use std::fmt;

use super::{Busy, InvokeErrorKind};
use crate::{kv, text::Text};

/// Why a deployment was refused. A refused deployment changes nothing: the function that has the
/// name stays in service.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
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
    #[error(
        "the module has {found} {what}, above the limit of {limit}; raise `Limits::{field}` if that is meant",
        what = kind.describe(),
        field = kind.field()
    )]
    TooLarge {
        /// Which limit.
        kind: LimitKind,
        /// What the module has.
        found: u64,
        /// What the limit allows.
        limit: u64,
    },
    /// The bytes are not a WebAssembly module, or the module does not validate.
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
        /// How to turn it on, or that no build has it.
        remedy: &'static str,
    },
    /// The module imports what the deployment does not provide. The error lists all such imports.
    #[error("the module imports what this deployment does not provide:{}", Imports(imports))]
    UnknownImports {
        /// Each import that is missing or has another type.
        imports: Vec<UnknownImport>,
    },
    /// The module does not keep the contract that the deployment names, or that its imports show it
    /// is made for: an export is missing or has another type.
    #[error("the entry {:?} {problem}", Text(entry))]
    Entry {
        /// The name as given.
        entry: Box<str>,
        /// What was found, and what is needed.
        problem: Box<str>,
    },
    /// An active data segment lies outside its memory. An element segment outside its table is a
    /// failure of initialisation.
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
        /// Which step: `instantiation`, `the start function`, `_initialize`, `alloc` or `dealloc`.
        /// An Extism plug-in also has `__wasm_call_ctors` and `hs_init`.
        step: &'static str,
        /// What happened.
        cause: Box<InvokeErrorKind>,
    },
    /// The initialisation of the module calls the host, but it cannot be done once for all
    /// instances.
    ///
    /// The module writes tables, keeps references in globals or drops segments. So each instance
    /// has to initialise itself anew, and the host need not answer the same each time.
    #[error(
        "the module changes tables, reference globals or segments, so each instance initialises itself \
         anew; but its initialisation calls the host ({calls} times), which may answer differently each \
         time; call the host from the handler instead"
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
    /// The interpreter would overflow the native stack in this build.
    ///
    /// The self-check runs at the first deployment of the process. It found that the stack grows
    /// with the number of operators that run.
    #[error(
        "this build of the interpreter is unsafe: its native stack grew by {grown} bytes over {operators} \
         operators of the kind {kind}. wasmi's tail-call dispatch needs `debug-assertions = false` \
         wherever it is optimised, opt-level 2 or 3, and an `lto` other than \"off\". Build in release, or \
         set `[profile.dev.package.\"*\"] debug-assertions = false` beside the opt-level, or turn on \
         dormouse's feature `portable-dispatch`, which is right under every profile and runs guests 1.65 \
         times slower"
    )]
    UnsafeBuild {
        /// Bytes by which the stack grew.
        grown: usize,
        /// Operators that ran.
        operators: u32,
        /// The operator with which the self-check found it.
        kind: &'static str,
    },
    /// The runtime holds as many functions as it may.
    #[error("the runtime holds {limit} functions, its limit; undeploy one or raise `RuntimeLimits::functions`")]
    TooManyFunctions {
        /// The limit.
        limit: usize,
    },
    /// No instance is free for initialisation.
    #[error("no room to initialise the function: {0}")]
    Busy(Busy),
}

impl DeployError {
    /// The kind in one word: `invalid_name`, `invalid_option`, …
    pub fn name(&self) -> &'static str {
        match self {
            Self::InvalidName { .. } => "invalid_name",
            Self::InvalidOption { .. } => "invalid_option",
            Self::TooLarge { .. } => "too_large",
            Self::InvalidModule { .. } => "invalid_module",
            Self::MissingProposal { .. } => "missing_proposal",
            Self::UnknownImports { .. } => "unknown_imports",
            Self::Entry { .. } => "entry",
            Self::SegmentOutOfBounds { .. } => "segment_out_of_bounds",
            Self::Initialise { .. } => "initialise",
            Self::UnrepeatableInitialisation { .. } => "unrepeatable_initialisation",
            Self::Refused { .. } => "refused",
            Self::UnsafeBuild { .. } => "unsafe_build",
            Self::TooManyFunctions { .. } => "too_many_functions",
            Self::Busy(_) => "busy",
        }
    }
}

/// A limit on a module, as named in [`DeployError::TooLarge`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each is documented as the field of `Limits` that has its name")]
pub enum LimitKind {
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

impl LimitKind {
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
            Self::Memory => "memory_bytes",
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
    /// The import's module, such as `env`.
    pub module: Box<str>,
    /// The import's name.
    pub name: Box<str>,
    /// The type that the module wants, as in `func (i32, i32) -> i32`.
    pub ty: Box<str>,
    /// The type that the deployment provides under this name. `None` if it provides nothing.
    pub provided: Option<Box<str>>,
}

/// The imports of an error, one in each line.
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
        if is(kv::MODULE, "") {
            f.write_str("\ngrant the key-value store with `Deployment::kv`")?;
        }
        if is("extism:host/env", "") {
            f.write_str("\nof extism:host/env ")?;
            f.write_str(match cfg!(feature = "extism") {
                true => "this library has all functions of Extism 1.12: the plug-in was built for another version",
                false => "this build has nothing: turn on dormouse's feature `extism`",
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
