//! What functions use: the report of one invocation and of one deployment, and the runtime's budget.

mod ledger;
#[cfg(feature = "events")]
mod origin;
mod report;
pub(crate) mod trace;
mod version;

pub(crate) use ledger::{Books, Counter, Tallies};
pub use ledger::{Ledger, Usage};
#[cfg(feature = "events")]
pub(crate) use origin::Origin;
#[cfg(all(feature = "events", any(feature = "wasi", feature = "extism")))]
pub(crate) use origin::VARIABLE_PREFIX;
#[cfg(all(feature = "events", feature = "wasi"))]
pub(crate) use origin::VARIABLES_MAX;
pub(crate) use report::Label;
pub use report::{DeployReport, Report, Start};
pub use version::Version;
