//! Guests of WASI preview 1, which know nothing of us: the part of it that means something to a function.
//!
//! `state.rs` holds what the host keeps for a guest, `calls.rs`, `poll.rs` and `stdio.rs` the functions that it imports,
//! `command.rs` the contract of programs. The guide's chapter "WASI" lists all functions, and what each does here.

mod calls;
pub(crate) mod command;
pub(crate) mod options;
mod poll;
pub(crate) mod state;
mod stdio;

use std::sync::{Arc, LazyLock};

use crate::host::HostFunction;

/// The module that guests import it from.
pub(crate) const MODULE: &str = "wasi_snapshot_preview1";

/// All its functions.
pub(crate) fn functions() -> &'static [Arc<HostFunction>] {
    static FUNCTIONS: LazyLock<Vec<Arc<HostFunction>>> = LazyLock::new(calls::all);
    &FUNCTIONS
}
