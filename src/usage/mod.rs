//! What functions use: the report of one invocation and of one deployment, and the ledger over
//! time.
//!
//! Invariant: an invocation that succeeds is counted without a lock, and a reader finds figures that
//! belong together.

mod accounts;
mod counters;
mod ledger;
mod origin;
mod report;
pub(crate) mod trace;
mod version;

pub(crate) use accounts::Accounts;
pub(crate) use counters::{Counter, VersionCounters};
pub use ledger::{FunctionUsage, Ledger};
pub(crate) use origin::Origin;
pub(crate) use origin::VARIABLE_PREFIX;
pub(crate) use origin::VARIABLES_MAX;
pub(crate) use report::Label;
pub use report::{DeployReport, Report, StartKind};
pub use version::Version;
