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
// What a feature that is off would use: stand-ins take the place of its rooms.
#![cfg_attr(
    not(all(feature = "events", feature = "extism", feature = "wasi")),
    allow(dead_code, unused_imports, reason = "what a feature that is off would use")
)]

mod budget;
mod clock;
mod codec;
#[cfg(feature = "events")]
mod delivery;
#[cfg(feature = "durable")]
mod disk;
mod error;
#[cfg(feature = "events")]
mod event;
mod function;
mod guest;
pub mod guide;
mod host;
mod host_error;
mod instance;
#[cfg(all(test, shuttle))]
mod interleavings;
#[cfg(feature = "events")]
mod json;
pub mod kv;
mod limits;
mod module;
#[cfg(feature = "events")]
pub mod pattern;
mod pool;
#[cfg(feature = "events")]
mod queue;
#[cfg(not(feature = "events"))]
#[path = "queue/absent.rs"]
mod queue;
mod runtime;
mod sync;
mod sys;
mod text;
#[cfg(feature = "events")]
mod trigger;
mod usage;
mod value;

pub use budget::InUse;
pub use clock::Clock;
#[cfg(feature = "bincode")]
pub use codec::Bincode;
pub use codec::{Codec, Json};
#[cfg(feature = "events")]
pub use delivery::{DeliveryError, DeliveryOutcome, Dispatched, Request, Response, Workers};
#[cfg(feature = "durable")]
pub use disk::{StoreError, StoreProblem};
pub use error::{Busy, DeployError, InvokeError, InvokeErrorKind, LimitKind, Trap, UnknownImport};
#[cfg(feature = "events")]
pub use event::{Attribute, DataKind, Event, EventBuilder, EventError, Timestamp, TimestampError};
pub use function::{AliasError, Deployment, Function, Guest, Invocation, Reply, SessionReply};
pub use guest::ContractKind;
#[cfg(feature = "extism")]
pub use guest::extism::options::{Extism, LogLevel};
#[cfg(feature = "wasi")]
pub use guest::wasi::options::Wasi;
pub use host::{Context, IntoHostFunction, IntoResults, Scalar};
pub use host_error::HostError;
pub use instance::Cancel;
#[cfg(feature = "events")]
pub use json::{JsonError, JsonProblem};
pub use limits::{Limits, ParseError, Reset, RuntimeLimits};
#[doc(hidden)] // The oracle of the tests charges the same.
pub use module::cleaning;
#[cfg(feature = "events")]
pub use pattern::{Explanation, MatchError, Matcher, Mismatch, Pattern, PatternError, PatternIndex, TakenKey};
pub use pool::InstanceCount;
#[cfg(feature = "events")]
pub use queue::{
    AfterFailure, DeadLetter, DeadLetterReason, DeliveryStats, EventLimits, PublishError, RedriveError, WhenFull,
};
#[cfg(feature = "events")]
pub use runtime::{Deliveries, DeliveryInfo, TickReport, Triggers};
pub use runtime::{Error, Runtime, RuntimeBuilder};
#[cfg(feature = "schedule")]
pub use trigger::Missed;
#[cfg(feature = "events")]
pub use trigger::{Retry, Trigger, TriggerError, TriggerInput, Verdict};
pub use usage::{DeployReport, FunctionUsage, Ledger, Report, StartKind, Version};
pub use value::{Value, ValueError, ValueType, Values};
