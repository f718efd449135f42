//! Guests of WASI preview 1, which are not written for dormouse. This is the part of WASI that has
//! a meaning for a function.
//!
//! Invariant: a guest has no files and no network. It has real time and random numbers only if the
//! host grants them.
//!
//! `state.rs` is the host's state for a guest. `calls.rs`, `poll.rs` and `stdio.rs` have the
//! functions that it imports, `command.rs` the contract of programs. The guide's chapter "WASI"
//! (`dormouse::guide::wasi`) lists all functions, and what each does here.

mod calls;
pub(crate) mod command;
pub(crate) mod options;
mod poll;
pub(crate) mod state;
mod stdio;

use std::sync::{Arc, LazyLock};

use crate::host::HostFunction;

/// The module that guests import the functions from.
pub(crate) const MODULE: &str = "wasi_snapshot_preview1";

/// All functions of the interface.
pub(crate) fn functions() -> &'static [Arc<HostFunction>] {
    static FUNCTIONS: LazyLock<Vec<Arc<HostFunction>>> = LazyLock::new(calls::all);
    &FUNCTIONS
}
