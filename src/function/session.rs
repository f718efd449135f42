//! A guest within one invocation: its exports and its memory, while the session's closure runs.
//!
//! Invariant: a guest never leaves its thread or its session.

use std::marker::PhantomData;

use crate::{
    error::InvokeErrorKind,
    guest::Instance,
    text::{arguments, cut},
    value::{Value, Values},
};

/// A running instance, in [`Function::session`](crate::Function::session).
///
/// A call that traps leaves the guest as it is and usable, as WebAssembly specifies. The closure
/// decides whether the session goes on.
///
/// A guest stays on the thread that runs the session:
///
/// ```compile_fail,E0277
/// # fn of(function: &dormouse::Function) {
/// function.session(|guest| {
///     std::thread::scope(|scope| scope.spawn(|| guest.read(0, 1)).join()).ok();
///     Ok(())
/// });
/// # }
/// ```
pub struct Guest<'a> {
    instance: &'a mut Instance,
    /// A call has run, so time may have passed since the invocation began.
    called: bool,
    /// A run stays on its thread: the reset counts the page faults of the thread that writes.
    stays: PhantomData<*const ()>,
}

impl<'a> Guest<'a> {
    pub(super) fn new(instance: &'a mut Instance) -> Self {
        Self { instance, called: false, stays: PhantomData }
    }

    /// Calls an exported function.
    ///
    /// # Errors
    /// [`InvokeErrorKind::NoSuchExport`], [`InvokeErrorKind::Signature`], and every error that ends
    /// a run: a trap, fuel, the deadline.
    pub fn call(&mut self, export: &str, args: &[Value]) -> Result<Values, InvokeErrorKind> {
        let prepared = self.instance.prepared();
        let Some((slot, _)) = prepared.export(export) else {
            return Err(prepared.no_such_export(export));
        };
        // The invocation has just read the clock before the first call.
        match self.instance.call(slot, args, self.called) {
            Some(called) => {
                self.called = true;
                called
            }
            None => Err(self.mismatch(slot, args)),
        }
    }

    /// The error for a call with arguments that the export does not take.
    #[cold]
    fn mismatch(&self, slot: usize, args: &[Value]) -> InvokeErrorKind {
        let export = &self.instance.prepared().exports[slot];
        InvokeErrorKind::Signature {
            name: cut(&export.name),
            ty: cut(&export.signature()),
            given: cut(&arguments(args)),
        }
    }

    /// Copies `len` bytes at address `at` out of the guest's memory. The memory is the export
    /// `memory`, or else the first exported memory.
    ///
    /// # Errors
    /// [`InvokeErrorKind::OutOfBounds`], before anything is allocated.
    pub fn read(&self, at: u32, len: usize) -> Result<Vec<u8>, InvokeErrorKind> {
        self.instance.read(u64::from(at), len as u64).map(<[u8]>::to_vec)
    }

    /// Copies `bytes` into the guest's memory at address `at`: all or nothing.
    ///
    /// # Errors
    /// [`InvokeErrorKind::OutOfBounds`].
    pub fn write(&mut self, at: u32, bytes: &[u8]) -> Result<(), InvokeErrorKind> {
        self.instance.write(u64::from(at), bytes)
    }
}

impl std::fmt::Debug for Guest<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guest").field("function", &format_args!("{}", self.instance.label())).finish_non_exhaustive()
    }
}
