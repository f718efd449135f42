//! A guest within one invocation: its exports and its memory, for as long as the session's closure runs.

use std::marker::PhantomData;

use smallvec::{SmallVec, smallvec};
use wasmi::Val;

use crate::{
    error::{InvokeErrorKind, arguments, cut},
    instance::Instance,
    module::Export,
    value::{Value, ValueType, Values},
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
        let Some((slot, found)) = prepared.export(export) else {
            return Err(prepared.no_such_export(export));
        };
        if !takes(found, args) {
            return Err(InvokeErrorKind::Signature {
                name: cut(export),
                ty: cut(&found.signature()),
                given: cut(&arguments(args)),
            });
        }
        let mut outputs: SmallVec<[Val; 4]> = smallvec![Val::I32(0); found.ty.results().len()];
        let Some(function) = self.instance.export(slot) else {
            return Err(self.instance.prepared().no_such_export(export));
        };
        // A call shorter than a slice does not look at the time itself. The first one has just been given its time.
        if std::mem::replace(&mut self.called, true) {
            self.instance.check_time()?;
        }
        let inputs: SmallVec<[Val; 8]> = args.iter().map(|value| wasm_value(*value)).collect();
        self.instance.call(function, &inputs, &mut outputs)?;
        Ok(Values(outputs.iter().filter_map(number).collect()))
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

/// Whether an export takes these arguments and gives numbers.
fn takes(export: &Export, args: &[Value]) -> bool {
    let params = export.ty.params();
    export.is_scalar()
        && params.len() == args.len()
        && params.iter().zip(args).all(|(ty, value)| {
            matches!(
                (ty, value.ty()),
                (wasmparser::ValType::I32, ValueType::I32)
                    | (wasmparser::ValType::I64, ValueType::I64)
                    | (wasmparser::ValType::F32, ValueType::F32)
                    | (wasmparser::ValType::F64, ValueType::F64)
            )
        })
}

fn wasm_value(value: Value) -> Val {
    match value {
        Value::I32(value) => Val::I32(value),
        Value::I64(value) => Val::I64(value),
        Value::F32(value) => Val::F32(wasmi::F32::from_bits(value.to_bits())),
        Value::F64(value) => Val::F64(wasmi::F64::from_bits(value.to_bits())),
    }
}

/// A number, none for vectors and references, which `takes` has ruled out.
fn number(value: &Val) -> Option<Value> {
    match value {
        Val::I32(value) => Some(Value::I32(*value)),
        Val::I64(value) => Some(Value::I64(*value)),
        Val::F32(value) => Some(Value::F32(f32::from_bits(value.to_bits()))),
        Val::F64(value) => Some(Value::F64(f64::from_bits(value.to_bits()))),
        Val::V128(_) | Val::FuncRef(_) | Val::ExternRef(_) => None,
    }
}
