//! What a host function sees of the invocation that calls it.
//!
//! Invariant: guest memory is only ever copied in and out, on the invoking thread; no slice of it leaves.

use std::marker::PhantomData;
#[cfg(feature = "events")]
use std::time::Duration;

use wasmi::Caller;

#[cfg(feature = "events")]
use super::Service;
use super::{RuntimeRef, State};
#[cfg(feature = "extism")]
use crate::guest::extism::state as extism;
#[cfg(feature = "events")]
use crate::usage::Origin;
use crate::{
    error::InvokeErrorKind,
    host_error::HostError,
    instance::{charge, memory_read, memory_size, memory_write},
};
#[cfg(feature = "wasi")]
use crate::{guest::wasi::state::WasiState, instance::memory_and_state};

/// A host function's view of its caller: the guest's memory, the log, and the runtime.
///
/// Every byte moved costs the guest fuel, 1 for each 64 bytes begun. Errors are turned into the host function's own by
/// `?`; out of fuel ends the invocation whatever the function makes of it.
pub struct Context<'a> {
    caller: Caller<'a, State>,
    /// A run stays on its thread: whose page faults are counted is who writes.
    stays: PhantomData<*const ()>,
}

impl<'a> Context<'a> {
    pub(super) fn new(caller: Caller<'a, State>) -> Self {
        Self { caller, stays: PhantomData }
    }

    /// Bytes of the guest's memory now, 0 if it exports none. The memory is the export `memory`, or else the first that
    /// is exported.
    pub fn memory_size(&self) -> u64 {
        memory_size(&self.caller)
    }

    /// Copies `len` bytes at address `at` out of the guest's memory.
    ///
    /// # Errors
    /// [`InvokeErrorKind::OutOfBounds`] if they do not lie in it, before anything is allocated;
    /// [`InvokeErrorKind::OutOfFuel`].
    pub fn read(&mut self, at: u32, len: u32) -> Result<Vec<u8>, InvokeErrorKind> {
        self.pay(u64::from(len))?;
        memory_read(&self.caller, u64::from(at), u64::from(len))
    }

    /// As [`read`](Self::read), for UTF-8 text.
    ///
    /// # Errors
    /// As `read`, or a text that says where the bytes are no UTF-8.
    pub fn read_text(&mut self, at: u32, len: u32) -> Result<String, HostError> {
        let bytes = self.read(at, len)?;
        String::from_utf8(bytes).map_err(|error| format!("text at {at}: {}", error.utf8_error()).into())
    }

    /// Copies `bytes` into the guest's memory at address `at`: all or nothing.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn write(&mut self, at: u32, bytes: &[u8]) -> Result<(), InvokeErrorKind> {
        self.pay(bytes.len() as u64)?;
        memory_write(&mut self.caller, u64::from(at), bytes)
    }

    /// Appends a line to the invocation's log, which the reply carries; cut at `Limits::log`.
    ///
    /// # Errors
    /// [`InvokeErrorKind::OutOfFuel`].
    pub fn log(&mut self, line: &str) -> Result<(), InvokeErrorKind> {
        self.pay(line.len() as u64)?;
        self.caller.data_mut().log.line(&[line]);
        Ok(())
    }

    /// Copies out the bytes of a block of an Extism plug-in, by the handle that it passed; nothing for 0.
    ///
    /// Functions of `extism:host/user` take and give bytes so: an `i64` (`u64` here) for each. The blocks that it was given stay
    /// the plug-in's, and so does one that it gives.
    ///
    /// ```
    /// # let module = wat::parse_str(r#"(module
    /// #   (import "extism:host/env" "input_offset" (func $input (result i64)))
    /// #   (import "extism:host/env" "length" (func $length (param i64) (result i64)))
    /// #   (import "extism:host/env" "output_set" (func $output (param i64 i64)))
    /// #   (import "extism:host/user" "shout" (func $shout (param i64) (result i64)))
    /// #   (func (export "greet") (local $loud i64) (local.set $loud (call $shout (call $input)))
    /// #     (call $output (local.get $loud) (call $length (local.get $loud)))))"#).unwrap();
    /// use dormouse::{Context, InvokeErrorKind, Runtime};
    ///
    /// let greet = Runtime::new()
    ///     .deployment("greet", &module)
    ///     .host("extism:host/user", "shout", |guest: &mut Context, text: u64| -> Result<u64, InvokeErrorKind> {
    ///         let loud = guest.read_block(text)?.to_ascii_uppercase();
    ///         guest.new_block(&loud)
    ///     })
    ///     .deploy()?;
    /// assert_eq!(greet.invoke(b"hello")?.output(), b"HELLO");
    /// # Ok::<(), dormouse::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`InvokeErrorKind::InvalidHandle`] if it is not exactly that of a live block; [`InvokeErrorKind::Contract`] where the
    /// guest is no plug-in; [`InvokeErrorKind::OutOfFuel`].
    #[cfg(feature = "extism")]
    pub fn read_block(&mut self, handle: u64) -> Result<Vec<u8>, InvokeErrorKind> {
        let extism = self.extism()?;
        if handle == 0 {
            return Ok(Vec::new());
        }
        let at = extism.block(handle).ok_or(InvokeErrorKind::InvalidHandle { handle })?;
        self.pay(at.len() as u64)?;
        Ok(self.extism()?.bytes(at).to_vec())
    }

    /// Bytes of a block of an Extism plug-in, by the handle that it passed; 0 for 0. Costs nothing.
    ///
    /// # Errors
    /// As [`read_block`](Self::read_block), but for fuel.
    #[cfg(feature = "extism")]
    pub fn block_len(&mut self, handle: u64) -> Result<usize, InvokeErrorKind> {
        let extism = self.extism()?;
        if handle == 0 {
            return Ok(0);
        }
        Ok(extism.block(handle).ok_or(InvokeErrorKind::InvalidHandle { handle })?.len())
    }

    /// Copies `bytes` into a block of an Extism plug-in, at its handle or an offset added to it: all or nothing. 0 is the block of no bytes,
    /// which takes none.
    ///
    /// # Errors
    /// As [`read_block`](Self::read_block), if the bytes do not lie in one live block.
    #[cfg(feature = "extism")]
    pub fn write_block(&mut self, at: u64, bytes: &[u8]) -> Result<(), InvokeErrorKind> {
        self.pay(bytes.len() as u64)?;
        let written = self.extism()?.write(at, bytes) || (at == 0 && bytes.is_empty());
        if written { Ok(()) } else { Err(InvokeErrorKind::InvalidHandle { handle: at }) }
    }

    /// Copies `bytes` into a new block of an Extism plug-in and gives its handle: 0 for no bytes.
    ///
    /// # Errors
    /// [`InvokeErrorKind::MemoryLimit`]; [`InvokeErrorKind::Contract`] where the guest is no plug-in;
    /// [`InvokeErrorKind::OutOfFuel`]. [`InvokeErrorKind::Busy`] ends the invocation whatever the function makes of it.
    #[cfg(feature = "extism")]
    pub fn new_block(&mut self, bytes: &[u8]) -> Result<u64, InvokeErrorKind> {
        self.pay(bytes.len() as u64)?;
        let made = self.state().give_block(bytes);
        if let Err(kind @ InvokeErrorKind::Busy(_)) = &made {
            self.state().host.ending = Some(kind.clone());
        }
        made
    }

    /// Frees a block of an Extism plug-in; nothing happens where the handle is not exactly that of a live one.
    ///
    /// # Errors
    /// [`InvokeErrorKind::Contract`] where the guest is no plug-in.
    #[cfg(feature = "extism")]
    pub fn free_block(&mut self, handle: u64) -> Result<(), InvokeErrorKind> {
        self.extism()?.free(handle);
        Ok(())
    }

    /// Charges the guest for work that the host does for it.
    ///
    /// # Errors
    /// [`InvokeErrorKind::OutOfFuel`] if it has less; then the invocation ends when the host function returns.
    pub fn charge(&mut self, fuel: u64) -> Result<(), InvokeErrorKind> {
        if charge(&mut self.caller, fuel).is_err() {
            let meter = &mut self.caller.data_mut().meter;
            meter.exhausted = true;
            return Err(meter.out_of_fuel());
        }
        Ok(())
    }

    /// The function that is running.
    pub fn function(&self) -> &str {
        &self.caller.data().label.name
    }

    /// What the invocation is for; none in initialisation.
    #[cfg(feature = "events")]
    pub(crate) fn service(&mut self) -> Option<&mut Service> {
        self.state().host.service.as_mut()
    }

    /// The delivery that the invocation belongs to, and the moment of its deadline.
    #[cfg(feature = "events")]
    pub(crate) fn origin(&self) -> Option<(&Origin, Duration)> {
        let State { host, meter, .. } = self.caller.data();
        Some((host.service.as_ref()?.origin.as_ref()?, meter.deadline_at()))
    }

    /// The way back to the runtime, which the runtime alone can go.
    pub(crate) fn runtime_ref(&self) -> &RuntimeRef {
        &self.caller.data().host.runtime
    }

    /// Ends the run with this error, whatever the host function answers: what it is to return.
    pub(crate) fn end(&mut self, kind: InvokeErrorKind) -> HostError {
        self.state().host.ending = Some(kind);
        "the run ends".into()
    }

    /// The guest's memory, which is written to, and the state of the run.
    #[cfg(feature = "wasi")]
    pub(crate) fn memory_and_state(&mut self) -> (&mut [u8], &mut State) {
        memory_and_state(&mut self.caller)
    }

    /// The host's side of WASI, which every instance has that imports any of it.
    #[cfg(feature = "wasi")]
    pub(crate) fn wasi(&mut self) -> Result<&mut WasiState, InvokeErrorKind> {
        let missing = || InvokeErrorKind::Contract { problem: "WASI is not set up for this instance".into() };
        self.state().host.guest.wasi.as_deref_mut().ok_or_else(missing)
    }

    /// The host's side of a plug-in.
    #[cfg(feature = "extism")]
    pub(crate) fn extism(&mut self) -> Result<&mut extism::ExtismState, InvokeErrorKind> {
        self.state().host.guest.extism.as_deref_mut().ok_or_else(extism::absent)
    }

    /// What this run has logged.
    #[cfg(feature = "wasi")]
    pub(crate) fn logged(&self) -> &[u8] {
        &self.caller.data().log.text
    }

    /// The state of the run that calls.
    pub(crate) fn state(&mut self) -> &mut State {
        self.caller.data_mut()
    }

    /// `Err` if the run is past its deadline or cancelled.
    pub(crate) fn check_time(&self) -> Result<(), InvokeErrorKind> {
        self.caller.data().meter.check_time()
    }

    /// Charges for bytes that are moved or made.
    pub(crate) fn pay(&mut self, bytes: u64) -> Result<(), InvokeErrorKind> {
        self.charge(bytes.div_ceil(64))
    }
}
