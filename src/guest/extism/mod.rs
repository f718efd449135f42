//! Extism plug-ins: all functions of `extism:host/env`, as version 1.12 of the interface defines
//! them.
//!
//! Invariant: a plug-in reaches its host only through these functions and those that the host
//! grants.
//!
//! `state.rs` is the host's state for a plug-in, `area.rs` its blocks, `vars.rs` its variables.
//! `kernel.rs` has the functions that move bytes, `calls.rs` those that ask the host for something,
//! `plugin.rs` the contract. The guide's chapter "Extism" (`dormouse::guide::extism`) lists all
//! functions, what each does here and what it costs.

mod area;
mod calls;
mod kernel;
pub(crate) mod options;
pub(crate) mod plugin;
pub(crate) mod state;
pub(crate) mod vars;

use std::sync::{Arc, LazyLock};

use crate::host::HostFunction;

/// The module that plug-ins import the functions from.
pub(crate) const MODULE: &str = "extism:host/env";

/// All functions of the interface.
pub(crate) fn functions() -> &'static [Arc<HostFunction>] {
    static FUNCTIONS: LazyLock<Vec<Arc<HostFunction>>> =
        LazyLock::new(|| kernel::all().into_iter().chain(calls::all()).map(Arc::new).collect());
    &FUNCTIONS
}
