//! What the host keeps for an instance, by its kind of guest: the settings of the deployment, the
//! state of a run, and what initialisation leaves for every run.
//!
//! Invariant: `clear` leaves nothing of a run.

use std::sync::Arc;

use super::extism::{state as extism, vars::Vars};
use super::wasi::state as wasi;
use crate::budget::Reservation;

/// The options of a deployment, in the form that all instances of a version share. `None` if the
/// module imports nothing of the kind.
#[derive(Default)]
pub(crate) struct GuestSettings {
    pub(crate) wasi: Option<Arc<wasi::Settings>>,
    pub(crate) extism: Option<Arc<extism::Settings>>,
}

/// What initialisation has left for every run to begin with, besides the guest's memory.
#[derive(Default)]
pub(crate) struct Base {
    wasi: wasi::Base,
    vars: Option<Arc<Vars>>,
}

/// The host's state for one instance.
pub(crate) struct GuestState {
    pub(crate) wasi: Option<Box<wasi::WasiState>>,
    pub(crate) extism: Option<Box<extism::ExtismState>>,
}

impl GuestState {
    /// `base` is `None` for an instance that initialises itself.
    pub(crate) fn new(settings: &GuestSettings, base: Option<&Base>) -> Self {
        Self {
            wasi: settings.wasi.as_ref().map(|settings| {
                let base = base.map_or_else(Default::default, |base| base.wasi);
                Box::new(wasi::WasiState::new(settings, base))
            }),
            extism: settings.extism.as_ref().map(|settings| {
                let vars = base.and_then(|base| base.vars.as_ref());
                Box::new(extism::ExtismState::new(settings, vars))
            }),
        }
    }

    /// Marks the run that begins as initialisation.
    pub(crate) fn initialise(&mut self) {
        if let Some(wasi) = &mut self.wasi {
            wasi.initialise();
        }
    }

    /// Sets the seed for the random numbers of this run.
    pub(crate) fn seed(&mut self, seed: [u8; 32]) {
        if let Some(wasi) = &mut self.wasi {
            wasi.seed(seed);
        }
    }

    /// Lets every later run begin where this one, initialisation, has ended.
    pub(crate) fn seal(&mut self) {
        if let Some(wasi) = &mut self.wasi {
            wasi.seal();
        }
        if let Some(extism) = &mut self.extism {
            extism.seal();
        }
    }

    /// What a sealed instance leaves for other instances to begin with.
    pub(crate) fn base(&self) -> Base {
        Base {
            wasi: self.wasi.as_ref().map_or_else(Default::default, |wasi| wasi.base()),
            vars: self.extism.as_ref().map(|extism| extism.vars()),
        }
    }

    /// Bytes of the run that `Limits::memory_bytes` counts besides linear memories.
    pub(crate) fn used_bytes(&self) -> u64 {
        if let Some(extism) = &self.extism {
            return extism.used();
        }
        0
    }

    /// Forgets the run.
    pub(crate) fn clear(&mut self, reservation: &mut Reservation) {
        if let Some(wasi) = &mut self.wasi {
            wasi.clear();
        }
        if let Some(extism) = &mut self.extism {
            extism.clear(reservation);
        }
    }
}
