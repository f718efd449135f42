//! What a host lets a guest do: functions of the host's own, and the view of the invocation that they get. Nothing by
//! default.

mod context;
#[cfg(feature = "extism")]
pub(crate) mod extism;
mod host;
pub mod kv;
#[cfg(feature = "wasi")]
pub(crate) mod wasi;

pub use context::Context;
#[cfg(feature = "extism")]
pub use extism::LogLevel;
pub(crate) use host::HostFunction;
pub use host::{HostError, IntoHostFunction, IntoResults, Scalar};
