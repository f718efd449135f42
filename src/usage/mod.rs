//! What functions use: the report of one invocation and of one deployment, and the runtime's budget.

mod budget;
mod ledger;
mod report;
pub(crate) mod trace;
mod version;

pub(crate) use budget::{Budget, Evict, Reservation};
pub(crate) use ledger::{Books, Tallies};
pub use ledger::{Ledger, Usage};
pub(crate) use report::Label;
pub use report::{DeployReport, Report, Start};
pub use version::Version;
