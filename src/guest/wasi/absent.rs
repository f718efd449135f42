//! Stands in for WASI if the feature `wasi` is off.
//!
//! Invariant: no function of it is provided, so no instance has a state for it.

use std::sync::Arc;

use crate::host::HostFunction;

pub(crate) const MODULE: &str = "wasi_snapshot_preview1";

pub(crate) fn functions() -> &'static [Arc<HostFunction>] {
    &[]
}

pub(crate) mod options {
    use std::sync::Arc;

    use super::state::Settings;

    #[derive(Clone, Debug, Default)]
    pub(crate) struct Wasi;

    impl Wasi {
        pub(crate) fn problem(&self) -> Option<(&'static str, String)> {
            None
        }

        pub(crate) fn settings(&self, _version: &[u8; 32]) -> Option<Arc<Settings>> {
            None
        }
    }
}

pub(crate) mod state {
    use std::sync::Arc;

    pub(crate) enum Settings {}

    #[derive(Clone, Copy, Default)]
    pub(crate) struct Base;

    /// There is none.
    pub(crate) enum WasiState {}

    impl WasiState {
        pub(crate) fn new(settings: &Arc<Settings>, _base: Base) -> Self {
            match **settings {}
        }

        pub(crate) fn initialise(&mut self) {
            match *self {}
        }

        pub(crate) fn seal(&mut self) {
            match *self {}
        }

        pub(crate) fn base(&self) -> Base {
            match *self {}
        }

        pub(crate) fn clear(&mut self) {
            match *self {}
        }

        pub(crate) fn seed(&mut self, _seed: [u8; 32]) {
            match *self {}
        }
    }
}

pub(crate) mod command {
    use crate::{error::InvokeErrorKind, guest::Instance, limits::Limits};

    pub(crate) const ENTRY: &str = "_start";

    /// There is none.
    pub(crate) enum Command {}

    impl Command {
        pub(crate) fn of(_instance: &Instance) -> Option<Self> {
            None
        }

        pub(crate) fn invoke(
            &self,
            _instance: &mut Instance,
            _input: &[u8],
            _output: &mut Vec<u8>,
            _limits: &Limits,
        ) -> Result<(), InvokeErrorKind> {
            match *self {}
        }
    }
}
