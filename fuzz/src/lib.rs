//! What each fuzz target does with its input, and the oracle that some of them share with the
//! library's tests. Those replay the corpus with the same code.

mod deploy;
#[cfg(feature = "events")]
mod events;
#[cfg(feature = "extism")]
mod extism_calls;
#[cfg(feature = "extism")]
mod extism_model;
mod oracle;
mod program;
mod random;
mod repeatable;
#[cfg(feature = "schedule")]
mod schedule;
mod shapes;
mod smith;
#[cfg(feature = "wasi")]
mod wasi_calls;

pub use deploy::{deploy, deploy_smith};
#[cfg(feature = "events")]
pub use events::{event, matching, pattern};
#[cfg(feature = "extism")]
pub use extism_calls::extism_calls;
pub use oracle::{Oracle, RESETS, compare, generated, ours};
pub use program::program;
pub use random::Random;
pub use repeatable::repeatable;
#[cfg(feature = "schedule")]
pub use schedule::schedule;
pub use shapes::{Census, Shaped, ShapedExport, shaped};
#[cfg(feature = "wasi")]
pub use wasi_calls::wasi_calls;
