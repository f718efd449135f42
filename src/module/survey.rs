//! What a module can touch: validated and noted in one pass over its bytes.
//!
//! [`facts`] is what is noted. [`walk`] goes over the module; [`sections`] and [`operators`] note
//! what stands in it, and [`moves`] bounds what validating it may cost. [`explain`] says why an
//! invalid module is invalid.
//!
//! Invariant: nothing is indexed, counted on or kept before the validator has accepted it. Every
//! count is held against its limit before anything of that size is made.

mod explain;
mod facts;
mod moves;
mod operators;
mod sections;
mod walk;

use wasmparser::BinaryReaderError;

pub(crate) use facts::{Body, Edit, ExportFact, Growable, How, MemoryFact, Survey};
use walk::Surveyor;

use super::features::features;
use crate::{
    error::{DeployError, LimitKind},
    limits::Limits,
};

impl<'a> Survey<'a> {
    /// Validates the module and notes what it can touch, within the limits.
    pub(crate) fn of(bytes: &'a [u8], limits: &Limits) -> Result<Self, DeployError> {
        within(LimitKind::ModuleBytes, bytes.len() as u64, limits.module_bytes)?;
        Surveyor::new(features(), limits, bytes).run().map_err(|refusal| match refusal {
            Refusal::Limit(error) => error,
            Refusal::Invalid(error) => explain::explain(bytes, limits, &error),
        })
    }
}

/// Why a survey ended early.
enum Refusal {
    Limit(DeployError),
    Invalid(BinaryReaderError),
}

impl From<BinaryReaderError> for Refusal {
    fn from(error: BinaryReaderError) -> Self {
        Self::Invalid(error)
    }
}

impl From<DeployError> for Refusal {
    fn from(error: DeployError) -> Self {
        Self::Limit(error)
    }
}

/// `Ok` if `found` is not above `limit`.
fn within(kind: LimitKind, found: u64, limit: u64) -> Result<(), DeployError> {
    if found > limit { Err(DeployError::TooLarge { kind, found, limit }) } else { Ok(()) }
}
