//! What a host lets a guest do: functions of the host's own, their view of the invocation, and what
//! the host keeps for an instance.
//!
//! Invariant: by default a guest has none of it.

#[cfg(feature = "extism")]
mod blocks;
mod context;
mod function;
pub(crate) mod kv;
mod state;
#[cfg(feature = "wasi")]
mod wasi;

pub use context::Context;
pub(crate) use function::HostFunction;
pub use function::{IntoHostFunction, IntoResults, Scalar};
pub(crate) use state::{HostState, RuntimeRef, Service, State};
