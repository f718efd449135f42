//! JSON as bytes: a strict reader that builds no tree, and what it takes to write strings.
//!
//! RFC 8259 and nothing beside it: UTF-8, no trailing bytes, no lone surrogates, 256 levels at most. Nobody's values are kept
//! here; the rooms above say what they look for.

mod block;
mod error;
mod member;
mod scan;
mod text;

pub use error::{JsonError, JsonProblem};
pub(crate) use scan::{Kind, LEVELS_MAX, Raw, Scanner};
pub(crate) use text::{decode, write_string};
