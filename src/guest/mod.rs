//! How host and guest exchange bytes. This file finds the contract that a module keeps, from its
//! imports and exports, and is the only `match` over contracts.
//!
//! Invariant: a contract that the deployment names is kept, or the deployment is refused.
//!
//! - **extism**: a plug-in, which imports `extism:host/env` and exports functions `() -> i32`. The
//!   event and the reply lie in blocks on the host's side.
//! - **command**: a WASI program, which exports `_start` and imports `wasi_snapshot_preview1`. It
//!   reads the event from standard input and writes the reply to standard output.
//! - **buffer**: exports `memory`, `alloc(len: i32) -> ptr` and an entry,
//!   `handle(ptr: i32, len: i32) -> i64`.
//! - **plain**: any other module. Its exports are called one by one.

mod buffer;
#[cfg(feature = "extism")]
pub(crate) mod extism;
#[cfg(not(feature = "extism"))]
#[path = "extism/absent.rs"]
pub(crate) mod extism;
mod imports;
mod options;
pub(crate) mod state;
#[cfg(feature = "wasi")]
pub(crate) mod wasi;
#[cfg(not(feature = "wasi"))]
#[path = "wasi/absent.rs"]
pub(crate) mod wasi;

use std::{fmt, str::FromStr};

use buffer::Buffer;
pub(crate) use imports::Imports;
pub(crate) use options::GuestOptions;
pub(crate) use state::{Base, GuestSettings, GuestState};
use wasi::command::{self, Command};
use wasmparser::ValType;

use crate::{
    error::{DeployError, InvokeErrorKind},
    host::HostState,
    limits::{Limits, ParseError, word},
    module::Prepared,
    text::cut,
};
use extism::plugin;

/// A live instance, of any kind of guest.
pub(crate) type Instance = crate::instance::Instance<HostState>;

/// With this code a guest says that another attempt would not change anything. It is `EX_DATAERR`
/// of sysexits.h.
pub(crate) const EXIT_REJECTED: u32 = 65;

/// The name of the entry if the deployment names none.
const ENTRY: &str = "handle";

/// How a guest takes an event and gives a reply, for
/// [`Deployment::contract`](crate::Deployment::contract).
///
/// The runtime finds the contract in the imports and exports of the module, in the order below,
/// unless the deployment names one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ContractKind {
    /// An Extism plug-in, which imports functions of `extism:host/env`. An export `() -> i32` or
    /// `() -> ()` takes the event and gives the reply through them. It succeeds if it returns 0 or
    /// nothing. After the answer 65 a delivery is not retried.
    Extism,
    /// A WASI program, which exports `_start`. It reads the event from standard input, writes the
    /// reply to standard output, and its log to standard error. Exit code 0 is success. A delivery
    /// is retried after any other code, except 65 (`EX_DATAERR`): with it the program says that
    /// another attempt would not change anything.
    Command,
    /// Exports `memory`, `alloc(len: i32) -> i32` and an entry, usually
    /// `handle(ptr: i32, len: i32) -> i64`. A trap is a failure, after which a delivery is retried.
    /// After the answer -1, or WASI's `proc_exit(65)`, it is not retried.
    Buffer,
    /// Takes no bytes. Its exports are called one by one.
    Plain,
}

impl fmt::Display for ContractKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Extism => "extism",
            Self::Command => "command",
            Self::Buffer => "buffer",
            Self::Plain => "plain",
        })
    }
}

impl FromStr for ContractKind {
    type Err = ParseError;

    /// Reads what `Display` writes.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        word("contract", &[Self::Extism, Self::Command, Self::Buffer, Self::Plain], text)
    }
}

/// The contract that a module keeps.
#[derive(Debug)]
pub(crate) enum Contract {
    Extism {
        /// `None` if several exports could be meant.
        entry: Option<Box<str>>,
    },
    Command,
    Buffer {
        entry: Box<str>,
    },
    Plain {
        found: Box<str>,
    },
}

/// The contract's functions, resolved in one instance.
pub(crate) enum Handles {
    Extism(Option<plugin::EntryFunction>),
    Command(Command),
    Buffer(Buffer),
    Plain,
}

/// What the module lacks for a contract, in words. Empty if the module keeps it.
fn missing(prepared: &Prepared, functions: &[(&str, &[ValType], &[ValType])], memory: bool) -> String {
    let mut problems = Vec::new();
    if memory && prepared.main_memory.is_none() {
        problems.push("no memory".to_owned());
    }
    for (name, params, results) in functions {
        match prepared.export(name) {
            None => problems.push(format!("no function {name:?}")),
            Some((_, export)) if !export.is(params, results) => {
                problems.push(format!("{name:?} is {}", export.signature()));
            }
            Some(_) => {}
        }
    }
    problems.join(", ")
}

impl Contract {
    /// Finds the contract that a module keeps. The module must keep a contract that the deployment
    /// names, or whose entry it names.
    pub(crate) fn detect(
        prepared: &Prepared,
        imports: &Imports,
        requested: Option<ContractKind>,
        entry: Option<&str>,
    ) -> Result<Self, DeployError> {
        use ValType::{I32, I64};
        if requested == Some(ContractKind::Plain) {
            let found = "the deployment says that its exports are called one by one";
            return Ok(Self::Plain { found: found.into() });
        }
        let name = entry.unwrap_or(ENTRY);
        let is_named = entry.is_some() || requested.is_some();
        let refuse = |entry: &str, problem: &str| Err(DeployError::Entry { entry: cut(entry), problem: cut(problem) });
        // Why the module does not keep each contract, for a developer who expected one.
        let mut found = Vec::new();
        if requested.is_none_or(|requested| requested == ContractKind::Extism) {
            match plugin::entry(prepared, entry) {
                _ if requested.is_none() && !imports.has_extism() => {}
                Ok(entry) => return Ok(Self::Extism { entry }),
                Err(problem) if is_named => {
                    let needs = plugin::NEEDS;
                    return refuse(
                        name,
                        &format!("does not fit the Extism contract: found {problem}; it needs {needs}"),
                    );
                }
                Err(problem) => found.push(format!("for an Extism plug-in {problem}")),
            }
        }
        let buffer = missing(prepared, &[("alloc", &[I32], &[I32]), (name, &[I32, I32], &[I64])], true);
        found.insert(0, format!("for the buffer contract found {buffer}"));
        {
            let command = missing(prepared, &[(command::ENTRY, &[], &[])], false);
            let is_program = requested == Some(ContractKind::Command);
            if is_program || (!is_named && imports.has_wasi()) {
                if command.is_empty() {
                    return Ok(Self::Command);
                }
                if is_program {
                    let problem =
                        format!("does not fit the command contract: found {command}; it needs _start() -> ()");
                    return refuse(command::ENTRY, &problem);
                }
            }
            found.push(match imports.has_wasi() {
                true => format!("for a WASI program {command}"),
                false => "it imports no WASI, as a program would".to_owned(),
            });
        }
        if buffer.is_empty() {
            return Ok(Self::Buffer { entry: name.into() });
        }
        if is_named {
            return refuse(
                name,
                &format!(
                    "does not fit the buffer contract: found {buffer}; it needs memory, alloc(i32) -> i32 and an entry of (i32, i32) -> i64"
                ),
            );
        }
        Ok(Self::Plain { found: cut(&found.join("; ")) })
    }

    /// Whether each instance needs the state of a plug-in.
    pub(crate) fn is_extism(&self) -> bool {
        matches!(self, Self::Extism { .. })
    }

    /// The contract in one word, for the deployment's report.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Extism { .. } => "extism",
            Self::Command => "command",
            Self::Buffer { .. } => "buffer",
            Self::Plain { .. } => "plain",
        }
    }

    /// Runs a new instance's initialisation: the start function, `_initialize`, and for the buffer
    /// contract one `alloc`, so that the heap has grown before the image is captured. The error
    /// names the step that failed.
    pub(crate) fn initialise(&self, instance: &mut Instance) -> Result<(), (&'static str, InvokeErrorKind)> {
        let start = instance.prepared().start.as_deref();
        if let Some(function) = start.and_then(|name| instance.typed::<(), ()>(name)) {
            instance.call_typed(&function, ()).map_err(|cause| ("the start function", cause))?;
        }
        // A program initialises itself in each run.
        if matches!(self, Self::Command) {
            return Ok(());
        }
        if matches!(self, Self::Extism { .. }) {
            return plugin::initialise(instance);
        }
        if let Some(function) = instance.typed::<(), ()>("_initialize") {
            instance.call_typed(&function, ()).map_err(|cause| ("_initialize", cause))?;
        }
        match self.bind(instance) {
            Handles::Buffer(buffer) => buffer.warm_up(instance),
            _ => Ok(()),
        }
    }

    /// Resolves the contract's handles in an instance.
    pub(crate) fn bind(&self, instance: &Instance) -> Handles {
        match self {
            Self::Extism { entry } => {
                Handles::Extism(entry.as_deref().and_then(|entry| plugin::EntryFunction::of(instance, entry)))
            }
            Self::Command => Command::of(instance).map_or(Handles::Plain, Handles::Command),
            Self::Buffer { entry } => Buffer::of(instance, entry).map_or(Handles::Plain, Handles::Buffer),
            Self::Plain { .. } => Handles::Plain,
        }
    }

    /// Gives an event to a running instance and appends its reply to `output`. `entry` names an
    /// entry other than the contract's.
    pub(crate) fn invoke(
        &self,
        handles: &Handles,
        entry: Option<&str>,
        instance: &mut Instance,
        input: &[u8],
        output: &mut Vec<u8>,
        limits: &Limits,
    ) -> Result<(), InvokeErrorKind> {
        match handles {
            Handles::Extism(own) => match (own, entry) {
                (Some(own), None) => own.invoke(instance, input, output, limits),
                (None, None) => Err(plugin::several(instance.prepared())),
                (_, Some(name)) => match plugin::EntryFunction::of(instance, name) {
                    Some(named) => named.invoke(instance, input, output, limits),
                    None => Err(not_an_entry(instance, name, plugin::NEEDS)),
                },
            },
            Handles::Command(command) => match entry {
                None => command.invoke(instance, input, output, limits),
                Some(name) => Err(not_an_entry(instance, name, "a WASI program, through its start alone")),
            },
            Handles::Buffer(buffer) => match entry {
                None => buffer.invoke(instance, input, output, limits),
                Some(name) => match buffer.with_entry(instance, name) {
                    Some(buffer) => buffer.invoke(instance, input, output, limits),
                    None => Err(not_an_entry(instance, name, "an export (i32, i32) -> i64")),
                },
            },
            Handles::Plain => {
                let found = match self {
                    Self::Plain { found } => found.clone(),
                    // `detect` has found the exports that `bind` resolves.
                    _ => "its exports could not be resolved".into(),
                };
                Err(InvokeErrorKind::NotInvocable { found })
            }
        }
    }
}

/// The error for an entry that cannot be given an event.
#[cold]
fn not_an_entry(instance: &Instance, name: &str, needs: &str) -> InvokeErrorKind {
    let prepared = instance.prepared();
    match prepared.export(name) {
        None => prepared.no_such_export(name),
        Some((_, export)) => InvokeErrorKind::Signature {
            name: cut(name),
            ty: cut(&export.signature()),
            given: format!("an event: that takes {needs}").into(),
        },
    }
}
