//! Extism plug-ins: all functions of `extism:host/env`, as version 1.12 of the interface has them.
//!
//! `state.rs` holds what the host keeps for a plug-in, `area.rs` its blocks, `vars.rs` its variables, `kernel.rs` the
//! functions that move bytes, `calls.rs` those that a plug-in asks its host for, `plugin.rs` the contract. The guide's
//! chapter "Extism" lists all functions, what each does here and what it costs.

mod area;
mod calls;
mod kernel;
pub(crate) mod options;
pub(crate) mod plugin;
pub(crate) mod state;
pub(crate) mod vars;

use std::sync::{Arc, LazyLock};

use crate::host::HostFunction;

/// The module that plug-ins import it from.
pub(crate) const MODULE: &str = "extism:host/env";

/// All its functions.
pub(crate) fn functions() -> &'static [Arc<HostFunction>] {
    static FUNCTIONS: LazyLock<Vec<Arc<HostFunction>>> =
        LazyLock::new(|| kernel::all().into_iter().chain(calls::all()).map(Arc::new).collect());
    &FUNCTIONS
}
