//! The functions that move bytes: blocks, input, output and error. In Extism they are a module of
//! their own, called the kernel.
//!
//! Plug-ins call them for every eight bytes. So they are wired by their types, without values in
//! between, and read no clock. Each does little, and a run that calls them forever ends when its
//! fuel does.
//!
//! Invariant: no function here panics, whatever its arguments are.

use wasmi::{Caller, Func};

use super::{
    MODULE,
    state::{BlockSpan, ExtismState, RunState, absent},
};
use crate::{
    host::{HostFunction, IntoResults, Scalar, State},
    instance::{Fault, charge},
};

impl ExtismState {
    /// `len` bytes at an address, if they lie in one live block. Address 0 with length 0 is the
    /// empty span.
    fn span(&self, at: u64, len: u64) -> Option<BlockSpan> {
        if (at, len) == (0, 0) {
            return Some(BlockSpan::default());
        }
        let range = self.area.range(at, len)?;
        Some(BlockSpan { at, start: range.start, len: range.len() })
    }

    pub(crate) fn set_input(&mut self, at: u64, len: u64) {
        if let Some(span) = self.span(at, len) {
            self.run.input = span;
        }
    }

    fn set_output(&mut self, at: u64, len: u64) {
        if at != 0 {
            if let Some(span) = self.span(at, len) {
                self.run.output = span;
                self.area.release();
            }
        }
    }

    fn set_error(&mut self, at: u64) {
        if at == 0 || self.area.range(at, 1).is_some() {
            self.run.error = at;
        }
    }

    pub(crate) fn free(&mut self, handle: u64) {
        // Plug-in kits (PDKs) free the block of their output before they return.
        let is_output = self.run.output.len > 0 && handle >> 32 == self.run.output.at >> 32;
        if self.area.free(handle, is_output) && handle == self.run.input.at {
            self.run.input.len = 0;
        }
    }

    fn load_input<const N: usize>(&self, offset: u64) -> Option<[u8; N]> {
        self.area.bytes(self.run.input.range(offset, N)?).try_into().ok()
    }

    fn reset(&mut self) {
        self.area.forget();
        self.run = RunState::default();
    }
}

/// The host's state for the calling instance.
fn of<'a>(caller: &'a mut Caller<'_, State>) -> Result<&'a mut ExtismState, wasmi::Error> {
    match caller.data_mut().host.guest.extism.as_deref_mut() {
        Some(extism) => Ok(extism),
        None => Err(Fault::error(absent())),
    }
}

/// Declares functions by name, with what each does to the host's state after the guest has paid 1
/// fuel.
macro_rules! functions {
    ($($name:literal ($extism:ident $(, $param:ident: $ty:ty)*) -> $result:ty = $body:expr;)*) => {
        vec![$(HostFunction::direct(MODULE, $name, &[$(<$ty>::TYPE),*], <$result>::TYPES, |store| {
            Func::wrap(store, |mut caller: Caller<'_, State> $(, $param: $ty)*| -> Result<$result, wasmi::Error> {
                charge(&mut caller, 1)?;
                let $extism = of(&mut caller)?;
                Ok($body)
            })
        })),*]
    };
}

pub(super) fn all() -> Vec<HostFunction> {
    let mut all = functions! {
        "free" (extism, handle: u64) -> () = extism.free(handle);
        "length" (extism, handle: u64) -> u64 = extism.area.len(handle).unwrap_or(0).into();
        "length_unsafe" (extism, handle: u64) -> u64 = extism.area.len(handle).unwrap_or(0).into();
        "load_u8" (extism, at: u64) -> u32 = extism.area.load::<1>(at).map_or(0, |[byte]| byte.into());
        "load_u64" (extism, at: u64) -> u64 = extism.area.load(at).map_or(0, u64::from_le_bytes);
        "store_u8" (extism, at: u64, value: u32) -> () = extism.area.store(at, [value as u8]);
        "store_u64" (extism, at: u64, value: u64) -> () = extism.area.store(at, value.to_le_bytes());
        "input_offset" (extism) -> u64 = extism.run.input.at;
        "input_length" (extism) -> u64 = extism.run.input.len as u64;
        "input_load_u8" (extism, offset: u64) -> u32 = extism.load_input::<1>(offset).map_or(0, |[byte]| byte.into());
        "input_load_u64" (extism, offset: u64) -> u64 = extism.load_input(offset).map_or(0, u64::from_le_bytes);
        "input_set" (extism, at: u64, len: u64) -> () = extism.set_input(at, len);
        "output_set" (extism, at: u64, len: u64) -> () = extism.set_output(at, len);
        "output_offset" (extism) -> u64 = extism.run.output.at;
        "output_length" (extism) -> u64 = extism.run.output.len as u64;
        "error_set" (extism, at: u64) -> () = extism.set_error(at);
        "error_get" (extism) -> u64 = extism.run.error;
        "reset" (extism) -> () = extism.reset();
        "memory_bytes" (extism) -> u64 = extism.area.used();
    };
    all.push(HostFunction::direct(MODULE, "alloc", &[u64::TYPE], u64::TYPES, |store| {
        Func::wrap(store, |mut caller: Caller<'_, State>, len: u64| -> Result<u64, wasmi::Error> {
            charge(&mut caller, 1)?;
            let left = caller.data().memory_left();
            let Some(found) = of(&mut caller)?.place(len, left) else { return Ok(0) };
            charge(&mut caller, len.div_ceil(64))?;
            let State { host, reservation, .. } = caller.data_mut();
            let Some(extism) = host.guest.extism.as_deref_mut() else { return Ok(0) };
            extism.take(&found, len, reservation).map_err(Fault::error)
        })
    }));
    all
}
