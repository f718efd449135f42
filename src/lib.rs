#![doc = include_str!("../README.md")]

mod capability;
mod clock;
mod codec;
mod contract;
#[cfg(feature = "events")]
mod delivery;
#[cfg(feature = "durable")]
mod disk;
mod error;
#[cfg(feature = "events")]
mod event;
mod function;
mod instance;
#[cfg(all(test, shuttle))]
mod interleavings;
#[cfg(feature = "events")]
mod json;
mod limits;
mod module;
#[cfg(feature = "events")]
pub mod pattern;
mod runtime;
mod sync;
mod sys;
#[cfg(feature = "events")]
mod trigger;
mod usage;
mod value;

#[cfg(feature = "extism")]
pub use capability::LogLevel;
pub use capability::kv;
pub use capability::{Context, HostError, IntoHostFunction, IntoResults, Scalar};
pub use clock::Clock;
#[cfg(feature = "bincode")]
pub use codec::Bincode;
pub use codec::{Codec, Json};
pub use contract::ContractKind;
#[cfg(feature = "events")]
pub use delivery::{
    DeadLetter, Deliveries, Delivery, DeliveryError, Dispatched, EventLimits, Next, Outcome, PublishError, Reason,
    RedriveError, Request, Response, Tick, WhenFull, Workers,
};
#[cfg(feature = "durable")]
pub use disk::{StoreError, StoreProblem};
pub use error::{Bound, Busy, DeployError, Error, InvokeError, InvokeErrorKind, Trap, UnknownImport};
#[cfg(feature = "events")]
pub use event::{Attribute, DataKind, Event, EventBuilder, EventError, Timestamp, TimestampError};
pub use function::{Deployment, Function, Guest, Invocation, Reply, Returned};
pub use instance::Cancel;
#[cfg(feature = "events")]
pub use json::{JsonError, JsonProblem};
pub use limits::{Limits, Reset, RuntimeLimits};
#[doc(hidden)] // The oracle of the tests charges the same.
pub use module::cleaning;
#[cfg(feature = "events")]
pub use pattern::{Explanation, MatchError, Matcher, Mismatch, Pattern, PatternError, PatternIndex, TakenKey};
pub use runtime::{AliasError, Runtime, RuntimeBuilder};
#[cfg(feature = "schedule")]
pub use trigger::Missed;
#[cfg(feature = "events")]
pub use trigger::{Input, Retry, Trigger, TriggerError, Verdict};
pub use usage::{DeployReport, Ledger, Report, Start, Usage, Version};
pub use value::{Value, ValueError, ValueType, Values};
