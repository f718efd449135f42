//! What a deployment says of its kind of guest.

#[cfg(any(feature = "wasi", feature = "extism"))]
use std::sync::Arc;

#[cfg(feature = "extism")]
use super::extism::options::Extism;
#[cfg(feature = "wasi")]
use super::wasi::options::Wasi;
use super::{Contract, Imports, state::Grants};
use crate::usage::Version;

/// The options of all kinds. Their debug form is part of the version.
#[derive(Clone, Debug, Default)]
pub(crate) struct GuestOptions {
    #[cfg(feature = "wasi")]
    pub(crate) wasi: Wasi,
    #[cfg(feature = "extism")]
    pub(crate) extism: Extism,
}

impl GuestOptions {
    /// The option that cannot be met, and what is wrong with it.
    pub(crate) fn problem(&self) -> Option<(&'static str, String)> {
        let problem = None;
        #[cfg(feature = "wasi")]
        let problem = problem.or_else(|| self.wasi.problem());
        #[cfg(feature = "extism")]
        let problem = problem.or_else(|| self.extism.problem());
        problem
    }

    /// What a guest is given that imports these and keeps this contract.
    #[cfg_attr(
        not(any(feature = "wasi", feature = "extism")),
        expect(unused_variables, reason = "no kind of guest is given anything")
    )]
    pub(crate) fn grants(self, imports: &Imports, contract: &Contract, version: &Version) -> Grants {
        Grants {
            #[cfg(feature = "wasi")]
            wasi: imports.has_wasi().then(|| Arc::new(self.wasi.grant(version.as_bytes()))),
            #[cfg(feature = "extism")]
            extism: (contract.is_extism() || imports.has_extism()).then(|| Arc::new(self.extism.grant())),
        }
    }
}
