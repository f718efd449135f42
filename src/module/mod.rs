//! From bytes to [`Prepared`]: once per deployment, immutable, shared by all instances of a version.
//!
//! [`survey`] validates the module and notes what it can touch; [`rewrite`] makes its hidden state reachable and its
//! memory growth safe, and with [`cure`] what the interpreter mistranslates; [`residue`] says where the
//! interpreter's value stack is zeroed; [`prepared`] compiles the result. [`engine`] says how the interpreter is set up, and
//! [`self_check`] that this build of it is safe to use at all. Only this room constructs a `Prepared`.

mod cure;
mod engine;
mod expression;
mod leb;
mod prepared;
mod residue;
mod rewrite;
mod room;
mod self_check;
mod survey;

pub(crate) use prepared::{Code, ELEMENT_BYTES, Export, Prepared, WRITTEN_ELEMENT_BYTES, scalar};
pub use rewrite::cleaning;
pub(crate) use rewrite::trampoline_fuel;
pub(crate) use self_check::self_check;
pub(crate) use survey::{Growable, Survey};
