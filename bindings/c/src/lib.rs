//! The C interface of dormouse. Its documentation is `include/dormouse.h`, which cbindgen makes from these files: what is
//! said of an exported item here is said to C programmers.
//!
//! Invariants: every exported function is declared by [`exported!`](edge), which lets no panic out and takes no pointer
//! unseen; an out-parameter is written on success alone.
#![allow(non_camel_case_types, reason = "exported types have the names that they have in C")]

#[macro_use]
mod edge;
#[macro_use]
mod limits;
mod cancel;
mod deliveries;
mod error;
mod event;
mod function;
mod host;
mod invoke;
mod reply;
mod report;
mod request;
mod runtime;
mod session;
mod status;
mod text;
mod trigger;
mod value;
mod version;

pub use cancel::*;
pub use deliveries::*;
pub use error::*;
pub use event::*;
pub use function::*;
pub use host::*;
pub use invoke::*;
pub use limits::*;
pub use reply::*;
pub use report::*;
pub use request::*;
pub use runtime::*;
pub use session::*;
pub use status::*;
pub use text::*;
pub use trigger::*;
pub use value::*;
pub use version::*;

#[cfg(test)]
mod tests;
