//! JSON as bytes: a strict reader that builds no tree, and what it takes to write strings.
//!
//! The reader accepts RFC 8259 and nothing else: UTF-8, no trailing bytes, no lone surrogates, at
//! most 256 levels. It keeps no values. The rooms above say what they look for.
//!
//! Invariant: this room uses nothing else of the library.

mod block;
mod error;
mod member;
mod scan;
mod text;
mod value;

pub use error::{JsonError, JsonProblem};
pub(crate) use scan::{LEVELS_MAX, Scanner};
pub(crate) use text::{decode, write_string};
pub(crate) use value::{Kind, Raw};
