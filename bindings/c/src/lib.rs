//! The C interface of dormouse. Its documentation is `include/dormouse.h`, which cbindgen makes
//! from these files. So the documentation of an exported item speaks to C programmers.
//!
//! Invariants: every exported function is declared by [`exported!`](edge), which lets no panic out
//! and checks every pointer. An out-parameter is written only on success.
#![allow(non_camel_case_types, reason = "exported types have the names that they have in C")]

#[macro_use]
mod edge;
#[macro_use]
mod options;
mod callback;
mod cancel;
mod dead;
mod deliveries;
mod deploy;
mod error;
mod event;
mod failure;
mod function;
mod host;
mod invoke;
mod limits;
mod pattern;
mod plugin;
mod reply;
mod report;
mod request;
mod runtime;
mod session;
mod status;
mod store;
mod text;
mod trigger;
mod value;
mod version;
mod workers;

pub use callback::*;
pub use cancel::*;
pub use dead::*;
pub use deliveries::*;
pub use deploy::*;
pub use error::*;
pub use event::*;
pub use function::*;
pub use host::*;
pub use invoke::*;
pub use limits::*;
pub use pattern::*;
pub use plugin::*;
pub use reply::*;
pub use report::*;
pub use request::*;
pub use runtime::*;
pub use session::*;
pub use status::*;
pub use store::*;
pub use text::*;
pub use trigger::*;
pub use value::*;
pub use version::*;
pub use workers::*;

/// The types that, as the header says, any number of threads may use and free.
const _: () = {
    const fn shared<T: Send + Sync>() {}
    shared::<(dormouse_runtime, dormouse_function, dormouse_cancel, dormouse_workers, dormouse_store)>();
    shared::<(dormouse_reply, dormouse_error, dormouse_response, dormouse_text, dormouse_names)>();
    shared::<(dormouse_event, dormouse_pattern, dormouse_outcomes, dormouse_dead_letters)>();
};

#[cfg(test)]
mod tests;
