//! The guide: how to write guests, what to grant them, and how to run them.
//!
//! Each chapter is a Markdown file in `src/guide`. Its samples are tests of the documentation.
//! A chapter about a feature is there if the feature is on.

// The chapters name the types of the crate as a host does.
#[cfg(doc)]
use crate::*;

#[doc = include_str!("guide/guests.md")]
pub mod guests {}

#[cfg(feature = "wasi")]
#[doc = include_str!("guide/wasi.md")]
pub mod wasi {}

#[cfg(feature = "extism")]
#[doc = include_str!("guide/extism.md")]
pub mod extism {}

#[doc = include_str!("guide/host_functions.md")]
pub mod host_functions {}

#[doc = include_str!("guide/state.md")]
pub mod state {}

#[cfg(feature = "events")]
#[doc = include_str!("guide/events.md")]
pub mod events {}

#[doc = include_str!("guide/limits.md")]
pub mod limits {}

#[doc = include_str!("guide/deploying.md")]
pub mod deploying {}

#[doc = include_str!("guide/building.md")]
pub mod building {}
