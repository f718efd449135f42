#![doc = include_str!("../README.md")]

mod capability;
mod clock;
mod codec;
mod contract;
mod error;
mod function;
mod instance;
mod limits;
mod module;
mod runtime;
mod sys;
mod usage;
mod value;

pub use capability::{Context, HostError, IntoHostFunction, IntoResults, Scalar};
pub use clock::Clock;
#[cfg(feature = "bincode")]
pub use codec::Bincode;
pub use codec::{Codec, Json};
pub use error::{Bound, Busy, DeployError, Error, InvokeError, InvokeErrorKind, Trap, UnknownImport};
pub use function::{Deployment, Function, Guest, Invocation, Reply, Returned};
pub use instance::Cancel;
pub use limits::{Limits, Reset, RuntimeLimits};
pub use runtime::{Runtime, RuntimeBuilder};
pub use usage::{DeployReport, Report, Start, Version};
pub use value::{Value, ValueType, Values};
