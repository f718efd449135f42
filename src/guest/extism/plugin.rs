//! The Extism contract. The event and the reply lie in blocks on the host's side, which the plug-in
//! reads and writes through `extism:host/env`. An export without parameters does the work and
//! returns 0, or nothing.
//!
//! Invariant: the order of initialisation, and what counts as an error, are those of Extism 1.12.

use wasmi::TypedFunc;
use wasmparser::ValType;

use crate::{
    error::InvokeErrorKind,
    guest::{ENTRY, Instance},
    limits::Limits,
    module::{Export, Prepared},
    text::cut,
};

/// What an entry must be, in words.
pub(crate) const NEEDS: &str = "an export () -> i32 or () -> ()";

/// The entry of a plug-in. `None` if several exports could be meant. The error says what was found
/// instead of an entry.
pub(crate) fn entry(prepared: &Prepared, named: Option<&str>) -> Result<Option<Box<str>>, String> {
    let name = named.unwrap_or(ENTRY);
    match (prepared.export(name), named) {
        (Some((_, export)), _) if is_entry(export) => return Ok(Some(name.into())),
        (Some((_, export)), Some(_)) => return Err(format!("{name:?} is {}", export.signature())),
        (None, Some(_)) => return Err(format!("no function {name:?}")),
        (_, None) => {}
    }
    let mut entries = entries(prepared);
    match (entries.next(), entries.next()) {
        (None, _) => Err("no export () -> i32 or () -> ()".to_owned()),
        (Some(only), None) => Ok(Some(only.into())),
        (Some(_), Some(_)) => Ok(None),
    }
}

/// The error for an event to a plug-in with several exports, if the caller names none of them.
#[cold]
pub(crate) fn several(prepared: &Prepared) -> InvokeErrorKind {
    const SHOWN_MAX: usize = 20;
    let names = entries(prepared).take(SHOWN_MAX).collect::<Vec<_>>().join(", ");
    let found = format!("{names}: name the one that is meant, with `Deployment::entry` or `Invocation::entry`");
    InvokeErrorKind::NoSuchExport { name: ENTRY.into(), exports: cut(&found) }
}

/// Whether an export can be given an event.
fn is_entry(export: &Export) -> bool {
    export.is(&[], &[ValType::I32]) || export.is(&[], &[])
}

/// The exports that can be given an event, without those of the language's runtime.
fn entries(prepared: &Prepared) -> impl Iterator<Item = &str> {
    let runtime = |name: &str| name.starts_with('_') || name.starts_with("hs_");
    let fit = prepared.exports.iter().filter(|export| is_entry(export)).map(|export| &*export.name);
    fit.filter(move |name| !runtime(name))
}

/// Initialisation as the interface defines it: Haskell's, or constructors, or `_initialize`.
pub(crate) fn initialise(instance: &mut Instance) -> Result<(), (&'static str, InvokeErrorKind)> {
    let haskell = instance.typed::<(i32, i32), ()>("hs_init");
    let constructors = instance.typed::<(), ()>("__wasm_call_ctors").filter(|_| haskell.is_none());
    if let Some(constructors) = constructors {
        return instance.call_typed(&constructors, ()).map_err(|cause| ("__wasm_call_ctors", cause));
    }
    if let Some(initialize) = instance.typed::<(), ()>("_initialize") {
        instance.call_typed(&initialize, ()).map_err(|cause| ("_initialize", cause))?;
    }
    if let Some(haskell) = haskell {
        instance.call_typed(&haskell, (0, 0)).map_err(|cause| ("hs_init", cause))?;
    }
    Ok(())
}

/// An entry, resolved in one instance: it returns a code, or nothing.
pub(crate) enum EntryFunction {
    Code(TypedFunc<(), i32>),
    Done(TypedFunc<(), ()>),
}

impl EntryFunction {
    pub(crate) fn of(instance: &Instance, name: &str) -> Option<Self> {
        instance.typed(name).map(Self::Code).or_else(|| instance.typed(name).map(Self::Done))
    }

    /// Runs one event: the input, the entry, then what the entry has set: an error, or else the
    /// reply.
    pub(crate) fn invoke(
        &self,
        instance: &mut Instance,
        input: &[u8],
        output: &mut Vec<u8>,
        limits: &Limits,
    ) -> Result<(), InvokeErrorKind> {
        let at = instance.state().give_block(input)?;
        if let Some(extism) = &mut instance.host().guest.extism {
            extism.set_input(at, input.len() as u64);
        }
        let ended = match self {
            Self::Code(function) => instance.call_typed(function, ()),
            Self::Done(function) => instance.call_typed(function, ()).map(|()| 0),
        };
        let Some(extism) = &instance.host().guest.extism else { return ended.map(drop) };
        succeed(ended, extism.error())?;
        let reply = extism.output();
        let size = reply.len() as u64;
        if size > limits.output_bytes {
            return Err(InvokeErrorKind::OutputTooLarge { size, limit: limits.output_bytes });
        }
        output.extend_from_slice(reply);
        Ok(())
    }
}

/// Decides whether a run has succeeded. An error of the host's own limits comes first. Then come an
/// error that the plug-in has set, how the run ended, and its code.
fn succeed(ended: Result<i32, InvokeErrorKind>, message: Option<Box<str>>) -> Result<(), InvokeErrorKind> {
    let (code, ended) = match ended {
        Ok(0) | Err(InvokeErrorKind::Exit { code: 0, .. }) if message.is_none() => return Ok(()),
        Ok(code) => (code, None),
        Err(kind @ InvokeErrorKind::Exit { code, .. }) => (code as i32, Some(kind)),
        Err(
            kind @ (InvokeErrorKind::Trap(_)
            | InvokeErrorKind::HostFunction { .. }
            | InvokeErrorKind::InvalidHandle { .. }),
        ) => (-1, Some(kind)),
        Err(kind) => return Err(kind),
    };
    match (message, ended) {
        (None, Some(kind)) => Err(kind),
        (message, ended) => {
            Err(InvokeErrorKind::GuestError { code, message: message.unwrap_or_default(), ended: ended.map(Box::new) })
        }
    }
}
