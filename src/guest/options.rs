//! The options of a deployment for its kind of guest, all kinds in one struct.
//!
//! Invariant: the debug form of all options is part of the version.

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
    /// The first option that cannot be met, and why.
    pub(crate) fn problem(&self) -> Option<(&'static str, String)> {
        self.wasi.problem().or_else(|| self.extism.problem())
    }

    /// The settings for a guest with these imports and this contract.
    pub(crate) fn settings(self, imports: &Imports, contract: &Contract, version: &Version) -> GuestSettings {
        GuestSettings {
            wasi: if imports.has_wasi() { self.wasi.settings(version.as_bytes()) } else { None },
            extism: if contract.is_extism() || imports.has_extism() { self.extism.settings() } else { None },
        }
    }
}
