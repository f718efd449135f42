//! From bytes to [`Prepared`]: once per deployment, immutable, shared by all instances of a
//! version.
//!
//! From the ground up:
//! - [`leb`], [`expression`], [`calls`] and [`features`] read parts of a module; [`cure`] finds
//!   what the interpreter mistranslates.
//! - [`survey`] validates the module and notes what it can touch.
//! - [`residue`] says where the interpreter's value stack is zeroed; [`names`] and [`stub`] say
//!   what is added, and [`room`] holds it against the interpreter's limits.
//! - [`engine`] says how the interpreter is set up, and [`mod@self_check`] that this build of it is
//!   safe to use.
//! - [`rewrite`] makes hidden state reachable and growth safe, and writes the cures.
//! - [`prepared`] compiles the result.
//!
//! Invariant: only this room makes a `Prepared`. Each file uses only files that stand before it in
//! this list.

mod calls;
mod cure;
mod engine;
mod expression;
mod features;
mod leb;
mod names;
mod prepared;
mod residue;
mod rewrite;
mod room;
mod self_check;
mod stub;
mod survey;

pub(crate) use prepared::{Code, ELEMENT_BYTES, Export, Prepared, WRITTEN_ELEMENT_BYTES, scalar};
pub use residue::cleaning;
pub(crate) use self_check::self_check;
pub(crate) use stub::trampoline_fuel;
pub(crate) use survey::{Growable, Survey};
