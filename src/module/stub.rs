//! The functions that the rewriting puts between guest and host: their types, and the fuel that
//! they burn.
//!
//! Invariant: the host gives back all fuel that these functions burn, so a guest pays for its own
//! code alone.

use wasm_encoder::{RefType, ValType};

use super::survey::{Growable, Survey};

/// The fuel that a trampoline burns before its function is entered: 1 for being entered itself, 1
/// for each parameter and 1 for the call.
pub(crate) const fn trampoline_fuel(params: usize) -> u64 {
    params as u64 + 2
}

impl Growable {
    /// The parameters and the result of the operator that grows it.
    pub(super) fn signature(self, survey: &Survey<'_>) -> (Vec<ValType>, ValType) {
        let address = |wide| if wide { ValType::I64 } else { ValType::I32 };
        match self {
            Self::Memory(index) => {
                let delta = address(survey.memories[index as usize].ty.memory64);
                (vec![delta], delta)
            }
            Self::Table(index) => {
                let table = &survey.tables[index as usize];
                let delta = address(table.table64);
                // Features with other references are off.
                let element = if table.element_type.is_extern_ref() { RefType::EXTERNREF } else { RefType::FUNCREF };
                (vec![ValType::Ref(element), delta], delta)
            }
        }
    }

    /// The fuel that its stub burns on the way to the host, which gives it back: 1 for being
    /// entered, and 1 for each `local.get`, `i32.const` and `call_indirect`.
    pub(crate) fn stub_fuel(self) -> u64 {
        match self {
            Self::Memory(_) => 4,
            Self::Table(_) => 5,
        }
    }
}
