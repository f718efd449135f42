//! The key-value store as guests call it: what each call costs, and what a run has staged.
//!
//! Invariant: the store changes only when a run's stage is committed.

#[cfg(feature = "extism")]
mod blocks;
mod calls;
mod stage;

#[cfg(feature = "extism")]
pub(crate) use blocks::block_functions;
pub(crate) use calls::functions;
pub(crate) use stage::Stage;
