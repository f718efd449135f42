//! What a host lets a guest do: functions of the host's own, the view of the invocation that they
//! get, and what the host keeps for an instance. A guest has nothing of it by default.

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
