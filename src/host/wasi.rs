//! What the functions of WASI see of the calling run.
//!
//! Invariant: slices of guest memory stay within this library. No host function gets one.

use super::{Context, State};
use crate::{error::InvokeErrorKind, guest::wasi::state::WasiState, instance::memory_and_state};

impl Context<'_> {
    /// The guest's memory, for writing, and the state of the run.
    pub(crate) fn memory_and_state(&mut self) -> (&mut [u8], &mut State) {
        memory_and_state(&mut self.caller)
    }

    /// The host's state for WASI. Every instance that imports WASI has it.
    pub(crate) fn wasi(&mut self) -> Result<&mut WasiState, InvokeErrorKind> {
        let missing = || InvokeErrorKind::Contract { problem: "WASI is not set up for this instance".into() };
        self.state().host.guest.wasi.as_deref_mut().ok_or_else(missing)
    }
}
