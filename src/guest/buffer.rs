//! The buffer contract. The host writes the input into the guest's memory, at an address that the
//! guest allots. The reply comes back from that memory too.
//!
//! Invariant: every address from the guest is checked against its memory before the host uses it.

use wasmi::TypedFunc;

use super::Instance;
use crate::{error::InvokeErrorKind, limits::Limits, text::tail};

/// Bytes of the one `alloc` during initialisation. Allocators take fresh pages of 64 KiB at a time,
/// so any small number makes the heap grow once.
const WARM_UP: i32 = 1_024;

/// With this answer the entry says that it will never take this input. It cannot be the address of
/// a reply: no reply ends beyond 4 GiB.
const REJECTED: u64 = u64::MAX;

/// The contract's handles in one instance.
pub(crate) struct Buffer {
    alloc: TypedFunc<i32, i32>,
    handle: TypedFunc<(i32, i32), i64>,
    dealloc: Option<TypedFunc<(i32, i32), ()>>,
}

impl Buffer {
    pub(super) fn of(instance: &Instance, entry: &str) -> Option<Self> {
        Some(Self {
            alloc: instance.typed("alloc")?,
            handle: instance.typed(entry)?,
            dealloc: instance.typed("dealloc"),
        })
    }

    /// The same handles with another entry. `None` if the module exports no entry of this name.
    pub(super) fn with_entry(&self, instance: &Instance, entry: &str) -> Option<Self> {
        Some(Self { handle: instance.typed(entry)?, ..*self })
    }

    /// Lets the guest's heap grow before the image is captured. Guests in zig, Rust, Go, QuickJS
    /// and Lua grow on their first allocation. An instance that grew in an invocation cannot be
    /// used again.
    pub(super) fn warm_up(&self, instance: &mut Instance) -> Result<(), (&'static str, InvokeErrorKind)> {
        let at = instance.call_typed(&self.alloc, WARM_UP).map_err(|cause| ("alloc", cause))?;
        if let Some(dealloc) = &self.dealloc {
            instance.call_typed(dealloc, (at, WARM_UP)).map_err(|cause| ("dealloc", cause))?;
        }
        Ok(())
    }

    /// Runs one event: `alloc`, the input, the entry, the reply. The reset frees what the guest
    /// left allocated.
    pub(super) fn invoke(
        &self,
        instance: &mut Instance,
        input: &[u8],
        output: &mut Vec<u8>,
        limits: &Limits,
    ) -> Result<(), InvokeErrorKind> {
        let Ok(len) = i32::try_from(input.len()) else {
            return Err(InvokeErrorKind::InputTooLarge { size: input.len() as u64, limit: i32::MAX as u64 });
        };
        let at = instance.call_typed(&self.alloc, len)?;
        // For zero bytes, the address from `alloc` has no meaning.
        if len > 0 {
            instance.write(u64::from(at as u32), input).map_err(|error| broken("alloc answered", error))?;
        }
        let answer = instance.call_typed(&self.handle, (at, len))? as u64;
        if answer == REJECTED {
            return Err(InvokeErrorKind::Rejected { log: tail(instance.log()) });
        }
        let (at, len) = (answer >> 32, answer & 0xffff_ffff);
        if len == 0 {
            return Ok(());
        }
        if len > limits.output_bytes {
            return Err(InvokeErrorKind::OutputTooLarge { size: len, limit: limits.output_bytes });
        }
        output.extend_from_slice(instance.read(at, len).map_err(|error| broken("the entry answered", error))?);
        Ok(())
    }
}

/// The error for an address from the guest that lies outside its memory.
fn broken(source: &str, error: InvokeErrorKind) -> InvokeErrorKind {
    InvokeErrorKind::Contract { problem: format!("{source} an address out of range: {error}").into() }
}
