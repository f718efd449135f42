//! Host functions: typed closures, erased once at deployment, and how a guest's call reaches them.
//!
//! Invariant: no panic of a host's closure reaches the interpreter's frames.

use std::{
    any::Any,
    borrow::Cow,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use smallvec::SmallVec;
use wasmi::{Caller, Func, FuncType, Store, Val, ValType};

use super::{Context, State};
use crate::{
    error::InvokeErrorKind,
    host_error::HostError,
    instance::{Fault, charge},
    text::cut,
    value::{Value, ValueType},
};

type Erased = dyn Fn(&mut Context<'_>, &[Val], &mut [Val]) -> Result<(), HostError> + Send + Sync;

/// A function that guests import, with its name and type.
pub(crate) struct HostFunction {
    pub(crate) module: Box<str>,
    pub(crate) name: Box<str>,
    pub(crate) params: Cow<'static, [ValueType]>,
    pub(crate) results: Cow<'static, [ValueType]>,
    /// The host gave the function. The report counts its calls, and an initialisation that must be
    /// repeated may not call it.
    is_custom: bool,
    call: Call,
}

enum Call {
    /// Called with values and a view of the invocation.
    Erased(Arc<Erased>),
    /// Called with its own types and nothing in between: the shortest way through the interpreter.
    Direct(fn(&mut Store<State>) -> Func),
}

impl HostFunction {
    pub(crate) fn new<P, R>(module: &str, name: &str, function: impl IntoHostFunction<P, R>) -> Self {
        Self { is_custom: true, ..Self::own(module, name, function) }
    }

    /// A function of this library.
    pub(crate) fn own<P, R>(module: &str, name: &str, function: impl IntoHostFunction<P, R>) -> Self {
        let (params, results, call) = function.erase();
        let (params, results) = (params.into(), results.into());
        Self {
            module: module.into(),
            name: name.into(),
            params,
            results,
            is_custom: false,
            call: Call::Erased(call.into()),
        }
    }

    /// A function of this library that is called with its own types and charges the guest itself.
    /// It must not panic.
    pub(crate) fn direct(
        module: &str,
        name: &str,
        params: &'static [ValueType],
        results: &'static [ValueType],
        make: fn(&mut Store<State>) -> Func,
    ) -> Self {
        let (params, results) = (params.into(), results.into());
        Self { module: module.into(), name: name.into(), params, results, is_custom: false, call: Call::Direct(make) }
    }

    /// Makes the function in a store, for an instance to import.
    pub(crate) fn import(self: &Arc<Self>, store: &mut Store<State>) -> Func {
        match &self.call {
            Call::Direct(make) => make(store),
            Call::Erased(call) => {
                let types = |types: &[ValueType]| types.iter().map(|ty| wasm_type(*ty)).collect::<Vec<_>>();
                let ty = FuncType::new(types(&self.params), types(&self.results));
                let (function, call) = (Arc::clone(self), Arc::clone(call));
                Func::new(store, ty, move |caller, inputs, outputs| function.call(&*call, caller, inputs, outputs))
            }
        }
    }

    pub(crate) fn is_custom(&self) -> bool {
        self.is_custom
    }

    /// A function whose type is known only at run time.
    pub(crate) fn dynamic(
        module: &str,
        name: &str,
        params: &[ValueType],
        results: &[ValueType],
        function: impl Fn(&mut Context<'_>, &[Value], &mut [Value]) -> Result<(), HostError> + Send + Sync + 'static,
    ) -> Self {
        let types: (Box<[ValueType]>, Box<[ValueType]>) = (params.into(), results.into());
        let call = move |context: &mut Context<'_>, inputs: &[Val], outputs: &mut [Val]| {
            let given = |(ty, value): (&ValueType, &Val)| value_of(*ty, bits(value));
            let args: SmallVec<[Value; 8]> = types.0.iter().zip(inputs).map(given).collect();
            let mut answers: SmallVec<[Value; 4]> = types.1.iter().map(|ty| value_of(*ty, 0)).collect();
            function(context, &args, &mut answers)?;
            for (index, ((ty, answer), output)) in types.1.iter().zip(&answers).zip(outputs).enumerate() {
                if answer.ty() != *ty {
                    return Err(format!("result {index} has the type {}, but {ty} is declared", answer.ty()).into());
                }
                *output = val(*ty, answer.as_u64());
            }
            Ok(())
        };
        let (params, results) = (params.to_vec().into(), results.to_vec().into());
        Self {
            module: module.into(),
            name: name.into(),
            params,
            results,
            is_custom: true,
            call: Call::Erased(Arc::new(call)),
        }
    }

    /// Runs the function for a guest: it takes 1 fuel, runs the closure, then checks the deadline.
    /// An error, a panic or exhausted fuel ends the invocation.
    fn call(
        &self,
        call: &Erased,
        mut caller: Caller<'_, State>,
        inputs: &[Val],
        outputs: &mut [Val],
    ) -> Result<(), wasmi::Error> {
        caller.data_mut().host_calls += u64::from(self.is_custom);
        charge(&mut caller, 1)?;
        let mut context = Context::new(caller);
        // All code of the host runs in here: its closure, its error's `Display` and `Drop`, and its
        // clock. A panic that reached the interpreter's frames would abort the process.
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let done = call(&mut context, inputs, outputs).map_err(|error| cut(&error.to_string()));
            done.map(|()| context.check_time())
        }));
        let state = context.state();
        let ending = state.host.ending.take();
        match outcome {
            Err(panic) => {
                state.poisoned = true;
                Err(Fault::error(InvokeErrorKind::HostPanic {
                    module: self.module.clone(),
                    name: self.name.clone(),
                    message: cut(panic_text(&*panic)),
                }))
            }
            // If fuel ran out while the closure moved bytes, the invocation ends, even if the
            // closure ignored it.
            Ok(_) if state.meter.exhausted => Err(Fault::error(state.meter.out_of_fuel())),
            Ok(done) => match (ending, done) {
                (Some(kind), _) => Err(Fault::error(kind)),
                (None, Ok(in_time)) => in_time.map_err(Fault::error),
                (None, Err(message)) => Err(Fault::error(InvokeErrorKind::HostFunction {
                    module: self.module.clone(),
                    name: self.name.clone(),
                    message,
                })),
            },
        }
    }
}

pub(super) fn panic_text(panic: &(dyn Any + Send)) -> &str {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (_, Some(text)) => text,
        _ => "a panic without a text",
    }
}

/// A number that host functions take and return: `i32`, `u32`, `i64`, `u64`, `f32`, `f64`. Signed
/// and unsigned integers are the same WebAssembly type.
pub trait Scalar: Copy + sealed::Sealed {
    /// The WebAssembly type.
    const TYPE: ValueType;
    #[doc(hidden)]
    fn lift(bits: u64) -> Self;
    #[doc(hidden)]
    fn lower(self) -> u64;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! scalar {
    ($($number:ty: $ty:ident, |$bits:ident| $lift:expr, |$value:ident| $lower:expr;)*) => {$(
        impl sealed::Sealed for $number {}
        impl Scalar for $number {
            const TYPE: ValueType = ValueType::$ty;
            fn lift($bits: u64) -> Self {
                $lift
            }
            fn lower(self) -> u64 {
                let $value = self;
                $lower
            }
        }
    )*};
}
scalar! {
    i32: I32, |bits| bits as i32, |value| u64::from(value as u32);
    u32: I32, |bits| bits as u32, |value| u64::from(value);
    i64: I64, |bits| bits as i64, |value| value as u64;
    u64: I64, |bits| bits, |value| value;
    f32: F32, |bits| f32::from_bits(bits as u32), |value| u64::from(value.to_bits());
    f64: F64, |bits| f64::from_bits(bits), |value| value.to_bits();
}

/// The bits of a value. The survey has checked that it is a number.
fn bits(value: &Val) -> u64 {
    match value {
        Val::I32(value) => u64::from(*value as u32),
        Val::I64(value) => *value as u64,
        Val::F32(value) => u64::from(value.to_bits()),
        Val::F64(value) => value.to_bits(),
        Val::V128(_) | Val::FuncRef(_) | Val::ExternRef(_) => 0,
    }
}

fn val(ty: ValueType, bits: u64) -> Val {
    match ty {
        ValueType::I32 => Val::I32(bits as i32),
        ValueType::I64 => Val::I64(bits as i64),
        ValueType::F32 => Val::F32(wasmi::F32::from_bits(bits as u32)),
        ValueType::F64 => Val::F64(wasmi::F64::from_bits(bits)),
    }
}

fn wasm_type(ty: ValueType) -> ValType {
    match ty {
        ValueType::I32 => ValType::I32,
        ValueType::I64 => ValType::I64,
        ValueType::F32 => ValType::F32,
        ValueType::F64 => ValType::F64,
    }
}

fn value_of(ty: ValueType, bits: u64) -> Value {
    match ty {
        ValueType::I32 => Value::I32(bits as i32),
        ValueType::I64 => Value::I64(bits as i64),
        ValueType::F32 => Value::F32(f32::from_bits(bits as u32)),
        ValueType::F64 => Value::F64(f64::from_bits(bits)),
    }
}

/// What a host function may return: nothing, a [`Scalar`], a tuple of up to four, or a `Result` of
/// one of these with any error type.
#[diagnostic::on_unimplemented(
    message = "a host function cannot return `{Self}`",
    label = "not the result of a host function",
    note = "it may return `()`, one of `i32`, `u32`, `i64`, `u64`, `f32` and `f64`, or a tuple of one to four of them",
    note = "or a `Result` of one of these, with an error that converts into `HostError`"
)]
pub trait IntoResults {
    #[doc(hidden)]
    const TYPES: &'static [ValueType];
    #[doc(hidden)]
    fn write(self, outputs: &mut dyn FnMut(usize, u64)) -> Result<(), HostError>;
}

impl<T: Scalar> IntoResults for T {
    const TYPES: &'static [ValueType] = &[T::TYPE];
    fn write(self, outputs: &mut dyn FnMut(usize, u64)) -> Result<(), HostError> {
        outputs(0, self.lower());
        Ok(())
    }
}

impl<T: IntoResults, E: Into<HostError>> IntoResults for Result<T, E> {
    const TYPES: &'static [ValueType] = T::TYPES;
    fn write(self, outputs: &mut dyn FnMut(usize, u64)) -> Result<(), HostError> {
        self.map_err(Into::into)?.write(outputs)
    }
}

macro_rules! results {
    ($($($name:ident $index:tt),*;)*) => {$(
        impl<$($name: Scalar),*> IntoResults for ($($name,)*) {
            const TYPES: &'static [ValueType] = &[$($name::TYPE),*];
            fn write(self, _outputs: &mut dyn FnMut(usize, u64)) -> Result<(), HostError> {
                $(_outputs($index, self.$index.lower());)*
                Ok(())
            }
        }
    )*};
}
results! {
    ;
    A 0;
    A 0, B 1;
    A 0, B 1, C 2;
    A 0, B 1, C 2, D 3;
}

/// A closure that guests can call: `Fn(&mut Context, …up to twelve scalars…) -> R` with `R` of
/// [`IntoResults`].
///
/// It may run on several threads at once, with one invocation on each.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a host function",
    label = "this closure does not fit",
    note = "write `|context: &mut Context<'_>, a: i32, b: u64| …`: annotate each argument; up to twelve may be \
            `i32`, `u32`, `i64`, `u64`, `f32` and `f64`",
    note = "it returns `()`, one of these types, a tuple of one to four of them, or a `Result` of one of these",
    note = "it has to be `Fn + Send + Sync + 'static`: move what it uses into it, and share state by `Arc`"
)]
pub trait IntoHostFunction<Params, Results>: Send + Sync + 'static {
    #[doc(hidden)]
    fn erase(self) -> (&'static [ValueType], &'static [ValueType], Box<Erased>);
}

macro_rules! host_function {
    ($($($name:ident $index:tt),*;)*) => {$(
        impl<Function, Results, $($name),*> IntoHostFunction<($($name,)*), Results> for Function
        where
            Function: Fn(&mut Context<'_>, $($name),*) -> Results + Send + Sync + 'static,
            Results: IntoResults,
            $($name: Scalar,)*
        {
            fn erase(self) -> (&'static [ValueType], &'static [ValueType], Box<Erased>) {
                const fn types<R: IntoResults>() -> &'static [ValueType] {
                    R::TYPES
                }
                let call = move |context: &mut Context<'_>, _inputs: &[Val], outputs: &mut [Val]| {
                    // wasmi passes as many values as the types below.
                    self(context, $($name::lift(bits(&_inputs[$index]))),*)
                        .write(&mut |index, bits| outputs[index] = val(Results::TYPES[index], bits))
                };
                (&[$($name::TYPE),*], types::<Results>(), Box::new(call))
            }
        }
    )*};
}
host_function! {
    ;
    A 0;
    A 0, B 1;
    A 0, B 1, C 2;
    A 0, B 1, C 2, D 3;
    A 0, B 1, C 2, D 3, E 4;
    A 0, B 1, C 2, D 3, E 4, F 5;
    A 0, B 1, C 2, D 3, E 4, F 5, G 6;
    A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7;
    A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8;
    A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9;
    A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10;
    A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11;
}
