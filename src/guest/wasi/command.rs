//! The command contract: a WASI program, which runs from its start to its end. The event is its
//! standard input, the reply its standard output.
//!
//! Invariant: only exit code 0, or a plain return, is success.

use wasmi::TypedFunc;

use crate::{error::InvokeErrorKind, guest::Instance, limits::Limits};

/// The export that runs the program.
pub(crate) const ENTRY: &str = "_start";

/// The program's start, resolved in one instance.
pub(crate) struct Command(TypedFunc<(), ()>);

impl Command {
    pub(crate) fn of(instance: &Instance) -> Option<Self> {
        instance.typed(ENTRY).map(Self)
    }

    /// Runs one event: the whole program. Its output is the reply, if it ends well.
    pub(crate) fn invoke(
        &self,
        instance: &mut Instance,
        input: &[u8],
        output: &mut Vec<u8>,
        limits: &Limits,
    ) -> Result<(), InvokeErrorKind> {
        if let Some(wasi) = &mut instance.host().guest.wasi {
            wasi.begin(input, output, limits.output_bytes);
        }
        let ended = instance.call_typed(&self.0, ());
        if let Some(wasi) = &mut instance.host().guest.wasi {
            *output = wasi.take_output();
        }
        match ended {
            Ok(()) | Err(InvokeErrorKind::Exit { code: 0, .. }) => Ok(()),
            Err(kind) => Err(kind),
        }
    }
}
