#![doc = include_str!("guide/links.md")]
#![cfg_attr(feature = "wasi", doc = "[wasi]: guide::wasi")]
#![cfg_attr(feature = "extism", doc = "[extism]: guide::extism")]
#![cfg_attr(feature = "events", doc = "[events]: guide::events")]
// The README defines the same names as files, for those who read it there. The first definition counts.
#![doc = include_str!("../README.md")]
// The README's picture is a file, which rustdoc does not copy: so the drawing follows, and takes its place.
#![doc = include_str!("guide/chart_before.html")]
#![doc = include_str!("../benches/invoke.svg")]
#![doc = include_str!("guide/chart_after.html")]
// The features that an item needs, on docs.rs.
#![cfg_attr(docsrs, feature(doc_cfg))]

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
pub mod guide;
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
pub use value::{Value, ValueType, Values};
