//! A guest within one invocation: its exports and its memory, for as long as the session's closure runs.

use std::marker::PhantomData;

use crate::{
    error::InvokeErrorKind,
    guest::Instance,
    text::{arguments, cut},
    value::{Value, Values},
};

/// A running instance, in [`Function::session`](crate::Function::session).
///
/// A call that traps leaves the guest as it is and usable, as WebAssembly has it; whether the session goes on is up to
/// the closure. It stays on the thread that runs the session:
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
    /// A call has run, and time may have passed since.
    called: bool,
    /// A run stays on its thread: whose page faults are counted is who writes.
    stays: PhantomData<*const ()>,
}

impl<'a> Guest<'a> {
    pub(super) fn new(instance: &'a mut Instance) -> Self {
        Self { instance, called: false, stays: PhantomData }
    }

    /// Calls an exported function.
    ///
    /// # Errors
    /// [`InvokeErrorKind::NoSuchExport`], [`InvokeErrorKind::Signature`], and whatever ends a run: a trap, fuel, the
    /// deadline.
    pub fn call(&mut self, export: &str, args: &[Value]) -> Result<Values, InvokeErrorKind> {
        let prepared = self.instance.prepared();
        let Some((slot, _)) = prepared.export(export) else {
            return Err(prepared.no_such_export(export));
        };
        // The first call has just been given its time.
        match self.instance.call(slot, args, self.called) {
            Some(called) => {
                self.called = true;
                called
            }
            None => Err(self.mismatch(slot, args)),
        }
    }

    /// The error of who calls an export with other arguments than it takes.
    #[cold]
    fn mismatch(&self, slot: usize, args: &[Value]) -> InvokeErrorKind {
        let export = &self.instance.prepared().exports[slot];
        InvokeErrorKind::Signature {
            name: cut(&export.name),
            ty: cut(&export.signature()),
            given: cut(&arguments(args)),
        }
    }

    /// Copies `len` bytes at address `at` out of the guest's memory: the export `memory`, or else the first memory that
    /// is exported.
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
