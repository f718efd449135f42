//! Deliveries on their way to functions: the queue, its rules, and its form on disk.
//!
//! Invariant: this module does not know functions. It hands out a [`Job`], and its caller reports
//! the outcome.

#[cfg(feature = "schedule")]
mod agenda;
#[cfg(not(feature = "schedule"))]
#[path = "no_agenda.rs"]
mod agenda;
mod bind;
mod dead;
mod error;
mod figures;
mod hops;
mod hub;
#[cfg(feature = "durable")]
mod lasting;
#[cfg(not(feature = "durable"))]
#[path = "no_store.rs"]
mod lasting;
mod limits;
mod machine;
mod publish;
#[cfg(feature = "durable")]
mod record;
mod settle;
mod stage;
#[cfg(feature = "durable")]
mod store;
mod tick;

pub use dead::{DeadLetter, DeadLetterReason};
pub use error::{PublishError, RedriveError};
pub use figures::DeliveryStats;
pub(crate) use hops::{HOPS, hops};
pub(crate) use hub::{Hub, Parked};
pub use limits::{EventLimits, WhenFull};
pub(crate) use machine::{Admission, Full, Job, NotBegun};
pub use settle::AfterFailure;
pub(crate) use settle::Failure;
pub(crate) use stage::{Staged, StagedEvent};
#[cfg(feature = "durable")]
pub(crate) use store::Store;
pub(crate) use tick::Ticked;
