//! The engines to compare with, behind one interface.

use crate::{fitted::Fitted, outcome::Answer, runs::Run};

pub mod node;
#[cfg(feature = "wasmtime")]
pub mod wasmtime;

pub trait Engine {
    /// Runs each of these on a new instance.
    ///
    /// # Errors
    /// The engine itself failed, or did not end.
    fn answer(&mut self, module: &Fitted, runs: &[Run]) -> Result<Answer, String>;
}
