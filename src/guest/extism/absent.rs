//! Stands in for Extism if the feature `extism` is off.
//!
//! Invariant: no function of it is provided, so no instance has a state for it.

use std::sync::Arc;

use crate::host::HostFunction;

pub(crate) const MODULE: &str = "extism:host/env";

pub(crate) fn functions() -> &'static [Arc<HostFunction>] {
    &[]
}

pub(crate) mod options {
    use std::sync::Arc;

    use super::state::Settings;

    #[derive(Clone, Debug, Default)]
    pub(crate) struct Extism;

    impl Extism {
        pub(crate) fn problem(&self) -> Option<(&'static str, String)> {
            None
        }

        pub(crate) fn settings(self) -> Option<Arc<Settings>> {
            None
        }
    }
}

pub(crate) mod vars {
    pub(crate) enum Vars {}
}

pub(crate) mod state {
    use std::sync::Arc;

    use super::vars::Vars;
    use crate::budget::Reservation;

    pub(crate) enum Settings {}

    /// There is none.
    pub(crate) enum ExtismState {}

    impl ExtismState {
        pub(crate) fn new(settings: &Arc<Settings>, _vars: Option<&Arc<Vars>>) -> Self {
            match **settings {}
        }

        pub(crate) fn seal(&mut self) {
            match *self {}
        }

        pub(crate) fn vars(&self) -> Arc<Vars> {
            match *self {}
        }

        pub(crate) fn used(&self) -> u64 {
            match *self {}
        }

        pub(crate) fn clear(&mut self, _reservation: &mut Reservation) {
            match *self {}
        }
    }
}

pub(crate) mod plugin {
    use crate::{error::InvokeErrorKind, guest::Instance, limits::Limits, module::Prepared};

    pub(crate) const NEEDS: &str = "dormouse's feature `extism`";

    pub(crate) fn entry(_prepared: &Prepared, _named: Option<&str>) -> Result<Option<Box<str>>, String> {
        Err("that dormouse's feature `extism` is off".to_owned())
    }

    pub(crate) fn several(_prepared: &Prepared) -> InvokeErrorKind {
        InvokeErrorKind::NotInvocable { found: NEEDS.into() }
    }

    pub(crate) fn initialise(_instance: &mut Instance) -> Result<(), (&'static str, InvokeErrorKind)> {
        Ok(())
    }

    /// There is none.
    pub(crate) enum EntryFunction {}

    impl EntryFunction {
        pub(crate) fn of(_instance: &Instance, _name: &str) -> Option<Self> {
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
