//! What the host keeps for an instance by its kind of guest, what a deployment gives to it, and what
//! initialisation leaves for every run. The only place that knows all kinds.
//!
//! Invariant: nothing of a run is left when it is cleared.

#[cfg(feature = "extism")]
use super::extism;
#[cfg(feature = "wasi")]
use super::wasi;
use crate::budget::Reservation;
#[cfg(any(feature = "wasi", feature = "extism"))]
use std::sync::Arc;

/// What a deployment gives to its guests, the same for all instances of a version. `None` where the
/// module imports nothing of the kind.
#[derive(Default)]
pub(crate) struct Grants {
    #[cfg(feature = "wasi")]
    pub(crate) wasi: Option<Arc<wasi::state::Grant>>,
    #[cfg(feature = "extism")]
    pub(crate) extism: Option<Arc<extism::state::Grant>>,
}

/// What initialisation has left for every run to begin with, beside the memory of the guest.
#[derive(Default)]
pub(crate) struct Base {
    #[cfg(feature = "wasi")]
    wasi: wasi::state::Base,
    #[cfg(feature = "extism")]
    vars: Option<Arc<extism::vars::Vars>>,
}

/// The host's side of one instance.
pub(crate) struct GuestState {
    #[cfg(feature = "wasi")]
    pub(crate) wasi: Option<Box<wasi::state::WasiState>>,
    #[cfg(feature = "extism")]
    pub(crate) extism: Option<Box<extism::state::ExtismState>>,
}

impl GuestState {
    /// `base` is `None` for an instance that initialises itself.
    #[cfg_attr(
        not(any(feature = "wasi", feature = "extism")),
        expect(unused_variables, reason = "no kind of guest has a state")
    )]
    pub(crate) fn new(grants: &Grants, base: Option<&Base>) -> Self {
        Self {
            #[cfg(feature = "wasi")]
            wasi: grants.wasi.as_ref().map(|grant| {
                let base = base.map_or_else(Default::default, |base| base.wasi);
                Box::new(wasi::state::WasiState::new(Arc::clone(grant), base))
            }),
            #[cfg(feature = "extism")]
            extism: grants.extism.as_ref().map(|grant| {
                let vars = base.and_then(|base| base.vars.as_ref());
                Box::new(extism::state::ExtismState::new(Arc::clone(grant), vars))
            }),
        }
    }

    /// The run that begins is initialisation.
    pub(crate) fn initialise(&mut self) {
        #[cfg(feature = "wasi")]
        if let Some(wasi) = &mut self.wasi {
            wasi.initialise();
        }
    }

    /// What the random numbers of this run come from.
    #[cfg(feature = "wasi")]
    pub(crate) fn seed(&mut self, seed: [u8; 32]) {
        if let Some(wasi) = &mut self.wasi {
            wasi.seed(seed);
        }
    }

    /// Lets every run begin where this one has ended, which is initialisation.
    pub(crate) fn seal(&mut self) {
        #[cfg(feature = "wasi")]
        if let Some(wasi) = &mut self.wasi {
            wasi.seal();
        }
        #[cfg(feature = "extism")]
        if let Some(extism) = &mut self.extism {
            extism.seal();
        }
    }

    /// What a sealed instance leaves for others to begin with.
    pub(crate) fn base(&self) -> Base {
        Base {
            #[cfg(feature = "wasi")]
            wasi: self.wasi.as_ref().map_or_else(Default::default, |wasi| wasi.base()),
            #[cfg(feature = "extism")]
            vars: self.extism.as_ref().map(|extism| extism.vars()),
        }
    }

    /// Bytes of the run that `Limits::memory` counts, beside linear memories.
    pub(crate) fn used_bytes(&self) -> u64 {
        #[cfg(feature = "extism")]
        if let Some(extism) = &self.extism {
            return extism.used();
        }
        0
    }

    /// Forgets the run.
    #[cfg_attr(not(feature = "extism"), expect(unused_variables, reason = "plug-ins alone hold some of it"))]
    pub(crate) fn clear(&mut self, reservation: &mut Reservation) {
        #[cfg(feature = "wasi")]
        if let Some(wasi) = &mut self.wasi {
            wasi.clear();
        }
        #[cfg(feature = "extism")]
        if let Some(extism) = &mut self.extism {
            extism.clear(reservation);
        }
    }
}
