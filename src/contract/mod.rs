//! How host and guest exchange bytes: which contract a module keeps, found in what it imports and exports.
//!
//! - **command**: a WASI program: exports `_start`, imports `wasi_snapshot_preview1`. The event on its standard input, the
//!   reply on its standard output.
//! - **buffer**: exports `memory`, `alloc(len: i32) -> ptr` and an entry, `handle(ptr: i32, len: i32) -> i64`.
//! - **plain**: anything else; its exports are called one by one.

mod buffer;
#[cfg(feature = "wasi")]
mod command;

use buffer::Buffer;
#[cfg(feature = "wasi")]
use command::Command;
use wasmparser::ValType;

use crate::{
    error::{DeployError, InvokeErrorKind, cut},
    instance::Instance,
    limits::Limits,
    module::Prepared,
};

/// With this code a guest says that another attempt would not change anything: `EX_DATAERR` of sysexits.h.
#[cfg(feature = "events")]
pub(crate) const EXIT_REJECTED: u32 = 65;

/// The entry of the buffer contract where the deployment names none.
const ENTRY: &str = "handle";

/// How a guest takes an event and gives a reply, for [`Deployment::contract`](crate::Deployment::contract). Found in what the
/// module imports and exports, in the order below, unless the deployment says which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ContractKind {
    /// A WASI program, which exports `_start`: the event on its standard input, the reply on its standard output, its log on
    /// its standard error; exit code 0 is success. Of a delivery, code 65 (`EX_DATAERR`) says that another attempt would not change
    /// anything; after any other it is tried again.
    #[cfg(feature = "wasi")]
    Command,
    /// Exports `memory`, `alloc(len: i32) -> i32` and an entry, usually `handle(ptr: i32, len: i32) -> i64`. A trap is a failure, after which
    /// a delivery is tried again; the answer -1 is one after which it is not, and so is WASI's `proc_exit(65)`.
    Buffer,
    /// Takes no bytes: exports are called one by one.
    Plain,
}

/// Which contract a module keeps.
#[derive(Debug)]
pub(crate) enum Contract {
    #[cfg(feature = "wasi")]
    Command,
    Buffer {
        entry: Box<str>,
    },
    Plain {
        found: Box<str>,
    },
}

/// The contract's handles in one instance.
pub(crate) enum Bound {
    #[cfg(feature = "wasi")]
    Command(Command),
    Buffer(Buffer),
    Plain,
}

/// What is missing for a contract, in words; nothing if it is kept.
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
    /// Finds the contract that a module keeps. One that the deployment names, or whose entry it names, must be kept.
    pub(crate) fn detect(
        prepared: &Prepared,
        wish: Option<ContractKind>,
        entry: Option<&str>,
    ) -> Result<Self, DeployError> {
        use ValType::{I32, I64};
        #[cfg(feature = "wasi")]
        let command = missing(prepared, &[(command::ENTRY, &[], &[])], false);
        let name = entry.unwrap_or(ENTRY);
        let buffer = missing(prepared, &[("alloc", &[I32], &[I32]), (name, &[I32, I32], &[I64])], true);
        let refuse = |problem: &str| Err(DeployError::Entry { entry: cut(name), problem: cut(problem) });
        match wish {
            Some(ContractKind::Plain) => {
                let found = "the deployment says that its exports are called one by one";
                return Ok(Self::Plain { found: found.into() });
            }
            #[cfg(feature = "wasi")]
            Some(ContractKind::Command) if command.is_empty() => return Ok(Self::Command),
            #[cfg(feature = "wasi")]
            Some(ContractKind::Command) => {
                let problem = format!("does not fit the command contract: found {command}; it needs _start() -> ()");
                return Err(DeployError::Entry { entry: command::ENTRY.into(), problem: cut(&problem) });
            }
            #[cfg(feature = "wasi")]
            None if entry.is_none() && prepared.imports_wasi && command.is_empty() => return Ok(Self::Command),
            _ => {}
        }
        if buffer.is_empty() {
            return Ok(Self::Buffer { entry: name.into() });
        }
        if entry.is_some() || wish == Some(ContractKind::Buffer) {
            return refuse(&format!(
                "does not fit the buffer contract: found {buffer}; it needs memory, alloc(i32) -> i32 and an entry of (i32, i32) -> i64"
            ));
        }
        #[cfg(feature = "wasi")]
        let found = match (prepared.imports_wasi, &*command) {
            (true, command) => format!("for the buffer contract found {buffer}; for a WASI program {command}"),
            (false, _) => format!("for the buffer contract found {buffer}; it imports no WASI, as a program would"),
        };
        #[cfg(not(feature = "wasi"))]
        let found = format!("for the buffer contract found {buffer}");
        Ok(Self::Plain { found: cut(&found) })
    }

    /// The contract in one word, for the report of deployment.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            #[cfg(feature = "wasi")]
            Self::Command => "command",
            Self::Buffer { .. } => "buffer",
            Self::Plain { .. } => "plain",
        }
    }

    /// Runs a new instance's initialisation: the start function, `_initialize`, and for the buffer contract one `alloc`,
    /// so that the heap has grown before the image is captured. Returns the step that failed.
    pub(crate) fn initialise(&self, instance: &mut Instance) -> Result<(), (&'static str, InvokeErrorKind)> {
        let start = instance.prepared().start.as_deref();
        if let Some(function) = start.and_then(|name| instance.typed::<(), ()>(name)) {
            instance.call_typed(&function, ()).map_err(|cause| ("the start function", cause))?;
        }
        // A program initialises itself, in each run.
        #[cfg(feature = "wasi")]
        if matches!(self, Self::Command) {
            return Ok(());
        }
        if let Some(function) = instance.typed::<(), ()>("_initialize") {
            instance.call_typed(&function, ()).map_err(|cause| ("_initialize", cause))?;
        }
        match self.bind(instance) {
            Bound::Buffer(buffer) => buffer.warm_up(instance),
            _ => Ok(()),
        }
    }

    /// Resolves the contract's handles in an instance.
    pub(crate) fn bind(&self, instance: &Instance) -> Bound {
        match self {
            #[cfg(feature = "wasi")]
            Self::Command => Command::of(instance).map_or(Bound::Plain, Bound::Command),
            Self::Buffer { entry } => Buffer::of(instance, entry).map_or(Bound::Plain, Bound::Buffer),
            Self::Plain { .. } => Bound::Plain,
        }
    }

    /// Gives an event to a running instance and appends its reply to `output`.
    pub(crate) fn invoke(
        &self,
        bound: &Bound,
        instance: &mut Instance,
        input: &[u8],
        output: &mut Vec<u8>,
        limits: &Limits,
    ) -> Result<(), InvokeErrorKind> {
        match bound {
            #[cfg(feature = "wasi")]
            Bound::Command(command) => command.invoke(instance, input, output, limits),
            Bound::Buffer(buffer) => buffer.invoke(instance, input, output, limits),
            Bound::Plain => {
                let found = match self {
                    Self::Plain { found } => found.clone(),
                    // `detect` has seen the exports that `bind` resolves.
                    _ => "its exports could not be resolved".into(),
                };
                Err(InvokeErrorKind::NotInvocable { found })
            }
        }
    }
}
