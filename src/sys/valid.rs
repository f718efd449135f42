//! Modules that have been validated, so that the interpreter need not validate them again.
//!
//! wasmi validates each function once more when it is first called, unless it is told to validate
//! nothing (cost 10 in `docs/interpreter-faults.md`). That is a tenth of a cold start: 7 of 74 us
//! for the echo of the Zig guest, and 30 of 339 us for that of the Rust guest.
//!
//! Invariant: `module/rewrite.rs` alone makes a [`Valid`], from a survey, which holds the module
//! that it has validated. Rewriting keeps valid what is valid, as that file argues. Where debug
//! assertions are on, as in `cargo test` and in fuzzing, the interpreter validates the module all
//! the same.

use wasmi::{Engine, Error, Module};

/// The bytes of a module that is valid.
pub(crate) struct Valid(Box<[u8]>);

impl Valid {
    /// Vouches for the module. Only `module/rewrite.rs` may call this, as `tests/it/tidy.rs`
    /// checks.
    pub(crate) fn vouched_for(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }

    /// What the interpreter's own validator says of the module.
    pub(crate) fn validate(&self, engine: &Engine) -> Result<(), String> {
        Module::validate(engine, &self.0).map_err(|error| error.to_string())
    }

    /// Compiles the module, in an engine that is set up by `module/engine.rs`.
    ///
    /// # Errors
    /// What the interpreter says if it refuses a valid module, for a limit of its own.
    pub(crate) fn compile(&self, engine: &Engine) -> Result<Module, Error> {
        debug_assert_eq!(self.validate(engine), Ok(()), "a rewritten module is valid");
        // SAFETY: the module must be valid and keep to the engine's configuration. The survey has
        // had wasmparser validate it as it was given, each body included. The engine has all
        // features on that the survey validates with (`module/engine.rs`). The rewriting keeps
        // valid what is valid (`module/rewrite.rs` says how), and within the limits that wasmparser
        // sets modules for its own sake. It takes out the start function, which the configuration
        // forbids. Where debug assertions are on, wasmi's validator with the engine's features has
        // just agreed: so for each module of `cargo test` and of fuzzing. A wasmi that turned a
        // feature off, or read what is valid in another way, would fail there.
        unsafe { Module::new_unchecked(engine, &self.0) }
    }
}

#[cfg(all(test, debug_assertions))]
mod tests {
    use super::Valid;

    #[test]
    #[should_panic = "a rewritten module is valid"]
    fn a_module_that_is_not_valid_is_found_out_where_debug_assertions_are_on() {
        // A function without a body.
        let bytes = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03\x02\x01\0";
        let _ = Valid::vouched_for(bytes.to_vec()).compile(&wasmi::Engine::default());
    }
}
