//! How host and guest exchange bytes: which contract a module keeps, found in its exports.
//!
//! - **buffer**: exports `memory`, `alloc(len: i32) -> ptr` and an entry, `handle(ptr: i32, len: i32) -> i64`.
//! - **plain**: anything else; its exports are called one by one.

mod buffer;

use buffer::Buffer;
use wasmparser::ValType;

use crate::{
    error::{DeployError, InvokeErrorKind, cut},
    instance::Instance,
    limits::Limits,
    module::Prepared,
};

/// The entry of the buffer contract where the deployment names none.
const ENTRY: &str = "handle";

/// Which contract a module keeps.
#[derive(Debug)]
pub(crate) enum Contract {
    Buffer { entry: Box<str> },
    Plain { entry: Box<str>, found: Box<str> },
}

/// The contract's handles in one instance.
pub(crate) enum Bound {
    Buffer(Buffer),
    Plain,
}

impl Contract {
    /// Finds the contract that a module keeps. An entry that the deployment names must be there; the usual one need not.
    pub(crate) fn detect(prepared: &Prepared, entry: Option<&str>) -> Result<Self, DeployError> {
        use ValType::{I32, I64};
        let name = entry.unwrap_or(ENTRY);
        let found = |name: &str, params: &[ValType], results: &[ValType]| match prepared.exports.get(name) {
            None => Some(format!("no function {name:?}")),
            Some(export) if !export.is(params, results) => Some(format!("{name:?} is {}", export.signature())),
            Some(_) => None,
        };
        let problems: Vec<String> = [
            prepared.main_memory.is_none().then(|| "no memory".to_owned()),
            found("alloc", &[I32], &[I32]),
            found(name, &[I32, I32], &[I64]),
        ]
        .into_iter()
        .flatten()
        .collect();
        if problems.is_empty() {
            return Ok(Self::Buffer { entry: name.into() });
        }
        let found = format!("found {}", problems.join(", "));
        if let Some(entry) = entry {
            let problem = format!(
                "does not fit the buffer contract: {found}; it needs memory, alloc(i32) -> i32 and an entry of (i32, i32) -> i64"
            );
            return Err(DeployError::Entry { entry: cut(entry), problem: cut(&problem) });
        }
        Ok(Self::Plain { entry: name.into(), found: cut(&found) })
    }

    /// The contract in one word, for the report of deployment.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Buffer { .. } => "buffer",
            Self::Plain { .. } => "plain",
        }
    }

    /// Runs a new instance's initialisation: the start function, `_initialize`, and for the buffer contract one `alloc`,
    /// so that the heap has grown before the image is captured. Returns the step that failed.
    pub(crate) fn initialise(&self, instance: &mut Instance) -> Result<(), (&'static str, InvokeErrorKind)> {
        let start = instance.prepared().start.clone();
        if let Some(function) = start.and_then(|name| instance.typed::<(), ()>(&name)) {
            instance.call_typed(&function, ()).map_err(|cause| ("the start function", cause))?;
        }
        if let Some(function) = instance.typed::<(), ()>("_initialize") {
            instance.call_typed(&function, ()).map_err(|cause| ("_initialize", cause))?;
        }
        match self.bind(instance) {
            Bound::Buffer(buffer) => buffer.warm_up(instance),
            Bound::Plain => Ok(()),
        }
    }

    /// Resolves the contract's handles in an instance.
    pub(crate) fn bind(&self, instance: &Instance) -> Bound {
        match self {
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
        match (bound, self) {
            (Bound::Buffer(buffer), _) => buffer.invoke(instance, input, output, limits),
            (Bound::Plain, Self::Plain { entry, found }) => {
                Err(InvokeErrorKind::NotInvocable { found: found.clone(), entry: entry.clone() })
            }
            // `detect` has seen the exports that `bind` resolves.
            (Bound::Plain, Self::Buffer { entry }) => Err(InvokeErrorKind::NotInvocable {
                found: "its exports could not be resolved".into(),
                entry: entry.clone(),
            }),
        }
    }
}
