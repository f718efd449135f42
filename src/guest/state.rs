//! What the host keeps for an instance by its kind of guest, what a deployment gives to it, and what
//! initialisation leaves for every run. The only place that knows all kinds.
//!
//! Invariant: nothing of a run is left when it is cleared.

use std::sync::Arc;

use super::extism::{state as extism, vars::Vars};
use super::wasi::state as wasi;
use crate::budget::Reservation;

/// What a deployment gives to its guests, the same for all instances of a version. `None` where the
/// module imports nothing of the kind.
#[derive(Default)]
pub(crate) struct GuestSettings {
    pub(crate) wasi: Option<Arc<wasi::Settings>>,
    pub(crate) extism: Option<Arc<extism::Settings>>,
}

/// What initialisation has left for every run to begin with, beside the memory of the guest.
#[derive(Default)]
pub(crate) struct Base {
    wasi: wasi::Base,
    vars: Option<Arc<Vars>>,
}

/// The host's side of one instance.
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

    /// The run that begins is initialisation.
    pub(crate) fn initialise(&mut self) {
        if let Some(wasi) = &mut self.wasi {
            wasi.initialise();
        }
    }

    /// What the random numbers of this run come from.
    pub(crate) fn seed(&mut self, seed: [u8; 32]) {
        if let Some(wasi) = &mut self.wasi {
            wasi.seed(seed);
        }
    }

    /// Lets every run begin where this one has ended, which is initialisation.
    pub(crate) fn seal(&mut self) {
        if let Some(wasi) = &mut self.wasi {
            wasi.seal();
        }
        if let Some(extism) = &mut self.extism {
            extism.seal();
        }
    }

    /// What a sealed instance leaves for others to begin with.
    pub(crate) fn base(&self) -> Base {
        Base {
            wasi: self.wasi.as_ref().map_or_else(Default::default, |wasi| wasi.base()),
            vars: self.extism.as_ref().map(|extism| extism.vars()),
        }
    }

    /// Bytes of the run that `Limits::memory` counts, beside linear memories.
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
