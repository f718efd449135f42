//! A host function's view of the invocation that calls it.
//!
//! Invariant: guest memory is only copied in and out, on the invoking thread. No slice of it leaves
//! this view.

use std::marker::PhantomData;
use std::time::Duration;

use wasmi::Caller;

use super::Service;
use super::{RuntimeRef, State};
use crate::usage::Origin;
use crate::{
    error::InvokeErrorKind,
    host_error::HostError,
    instance::{charge, memory_read, memory_size, memory_write},
};

/// A host function's view of its caller: the guest's memory, the log, and the runtime.
///
/// Bytes that a method moves cost the guest fuel: 1 for 64 bytes or a part of 64. The operator `?`
/// turns errors into the host function's own. If fuel runs out, the invocation ends, even if the
/// function ignores the error.
pub struct Context<'a> {
    pub(super) caller: Caller<'a, State>,
    /// A run stays on its thread: the reset counts the page faults of the thread that writes.
    stays: PhantomData<*const ()>,
}

impl<'a> Context<'a> {
    pub(super) fn new(caller: Caller<'a, State>) -> Self {
        Self { caller, stays: PhantomData }
    }

    /// Bytes of the guest's memory now. 0 if it exports no memory. The memory is the export
    /// `memory`, or else the first exported memory.
    pub fn memory_size(&self) -> u64 {
        memory_size(&self.caller)
    }

    /// Copies `len` bytes at address `at` out of the guest's memory.
    ///
    /// # Errors
    /// [`InvokeErrorKind::OutOfBounds`] if they do not lie in the memory, before anything is
    /// allocated; [`InvokeErrorKind::OutOfFuel`].
    pub fn read(&mut self, at: u32, len: u32) -> Result<Vec<u8>, InvokeErrorKind> {
        self.pay(u64::from(len))?;
        memory_read(&self.caller, u64::from(at), u64::from(len))
    }

    /// As [`read`](Self::read), for UTF-8 text.
    ///
    /// # Errors
    /// As `read`, or a text that says where the bytes are not UTF-8.
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

    /// Appends a line to the invocation's log, which the reply carries. The log is cut at
    /// `Limits::log_bytes`.
    ///
    /// # Errors
    /// [`InvokeErrorKind::OutOfFuel`].
    pub fn log(&mut self, line: &str) -> Result<(), InvokeErrorKind> {
        self.pay(line.len() as u64)?;
        self.caller.data_mut().log.line(&[line]);
        Ok(())
    }

    /// Charges the guest for work that the host does for it.
    ///
    /// # Errors
    /// [`InvokeErrorKind::OutOfFuel`] if the guest has less. Then the invocation ends when the host
    /// function returns.
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

    /// What the invocation is for. `None` in initialisation.
    pub(crate) fn service(&mut self) -> Option<&mut Service> {
        self.state().host.service.as_mut()
    }

    /// The delivery that the invocation belongs to, and the moment of its deadline.
    pub(crate) fn origin(&self) -> Option<(&Origin, Duration)> {
        let State { host, meter, .. } = self.caller.data();
        Some((host.service.as_ref()?.origin.as_ref()?, meter.deadline_at()))
    }

    /// The way back to the runtime. Only the runtime can use it.
    pub(crate) fn runtime_ref(&self) -> &RuntimeRef {
        &self.caller.data().host.runtime
    }

    /// Ends the run with this error, whatever the host function answers. Returns the error that it
    /// should answer.
    pub(crate) fn end(&mut self, kind: InvokeErrorKind) -> HostError {
        self.state().host.ending = Some(kind);
        "the run ends".into()
    }

    /// The log of this run so far.
    pub(crate) fn logged(&self) -> &[u8] {
        &self.caller.data().log.text
    }

    /// The state of the calling run.
    pub(crate) fn state(&mut self) -> &mut State {
        self.caller.data_mut()
    }

    /// `Err` if the run is past its deadline or cancelled.
    pub(crate) fn check_time(&self) -> Result<(), InvokeErrorKind> {
        self.caller.data().meter.check_time()
    }

    /// Charges the guest for bytes that the host moves or makes.
    pub(crate) fn pay(&mut self, bytes: u64) -> Result<(), InvokeErrorKind> {
        self.charge(bytes.div_ceil(64))
    }
}

impl std::fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").field("function", &self.function()).finish_non_exhaustive()
    }
}
