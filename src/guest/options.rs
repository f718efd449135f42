//! What a deployment says of its kind of guest.

use super::extism::options::Extism;
use super::wasi::options::Wasi;
use super::{Contract, Imports, state::GuestSettings};
use crate::usage::Version;

/// The options of all kinds. Their debug form is part of the version.
#[derive(Clone, Debug, Default)]
pub(crate) struct GuestOptions {
    pub(crate) wasi: Wasi,
    pub(crate) extism: Extism,
}

impl GuestOptions {
    /// The option that cannot be met, and what is wrong with it.
    pub(crate) fn problem(&self) -> Option<(&'static str, String)> {
        self.wasi.problem().or_else(|| self.extism.problem())
    }

    /// What a guest is given that imports these and keeps this contract.
    pub(crate) fn settings(self, imports: &Imports, contract: &Contract, version: &Version) -> GuestSettings {
        GuestSettings {
            wasi: if imports.has_wasi() { self.wasi.settings(version.as_bytes()) } else { None },
            extism: if contract.is_extism() || imports.has_extism() { self.extism.settings() } else { None },
        }
    }
}
