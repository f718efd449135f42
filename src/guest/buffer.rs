//! The buffer contract: the input in the guest's memory, at an address that the guest allots; the reply likewise.

use wasmi::TypedFunc;

use super::Instance;
use crate::{error::InvokeErrorKind, limits::Limits, text::tail};

/// Bytes of the one `alloc` during initialisation. Allocators take fresh pages of 64 KiB at a time, so any small figure
/// makes the heap grow once.
const WARM_UP: i32 = 1_024;

/// The entry's answer that means: this input will never be taken. No reply lies there, as none ends beyond 4 GiB.
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

    /// The same with another entry, if the module exports one of this name.
    pub(super) fn with_entry(&self, instance: &Instance, entry: &str) -> Option<Self> {
        Some(Self { handle: instance.typed(entry)?, ..*self })
    }

    /// Lets the guest's heap grow before the image is captured: zig, Rust, Go, QuickJS and Lua guests grow on their first
    /// allocation, and an instance that grew in an invocation cannot be used again.
    pub(super) fn warm_up(&self, instance: &mut Instance) -> Result<(), (&'static str, InvokeErrorKind)> {
        let at = instance.call_typed(&self.alloc, WARM_UP).map_err(|cause| ("alloc", cause))?;
        if let Some(dealloc) = &self.dealloc {
            instance.call_typed(dealloc, (at, WARM_UP)).map_err(|cause| ("dealloc", cause))?;
        }
        Ok(())
    }

    /// One event: `alloc`, the input, the entry, the reply. The reset frees what the guest did not.
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
        // What `alloc` answers for no bytes means nothing.
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
        if len > limits.output {
            return Err(InvokeErrorKind::OutputTooLarge { size: len, limit: limits.output });
        }
        output.extend_from_slice(instance.read(at, len).map_err(|error| broken("the entry answered", error))?);
        Ok(())
    }
}

/// An address from the guest that lies outside its memory.
fn broken(who: &str, error: InvokeErrorKind) -> InvokeErrorKind {
    InvokeErrorKind::Contract { problem: format!("{who} an address out of range: {error}").into() }
}
