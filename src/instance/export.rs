//! Calls an export whose type the host knows only at run time, with a list of numbers.
//!
//! For a call by values, wasmi checks the values against the function's type, under a lock of its
//! engine, and converts each value twice. So exports of the most common types are called by type
//! (20 ns less of 90), and the others by values. Both give the same result.
//!
//! Invariant: an export is only called with arguments of its type.

use smallvec::SmallVec;
use wasmi::{Func, Store, TypedFunc, Val, WasmParams, WasmResults};
use wasmparser::ValType;

use super::{
    HostSide, State,
    slices::{call, call_typed},
};
use crate::{
    error::InvokeErrorKind,
    module::{Export, scalar},
    value::{Value, Values},
};

/// An object that calls an export.
pub(super) type Handle<H> = Box<dyn Call<H> + Send>;

pub(super) trait Call<H: HostSide> {
    /// Calls the export. If the call `is_late`, it checks the time first. Returns `None` if the
    /// export does not take these arguments, or takes or returns something that is not a number.
    fn call(
        &self,
        store: &mut Store<State<H>>,
        args: &[Value],
        is_late: bool,
    ) -> Option<Result<Values, InvokeErrorKind>>;
}

/// The handle for an export that is this function.
pub(super) fn handle<H: HostSide>(store: &Store<State<H>>, function: Func, export: &Export) -> Handle<H> {
    let types = [
        with_params::<H, ()>,
        with_params::<H, (i32,)>,
        with_params::<H, (i32, i32)>,
        with_params::<H, (i32, i32, i32)>,
        with_params::<H, (i32, i32, i32, i32)>,
        with_params::<H, (i64,)>,
        with_params::<H, (i64, i64)>,
    ];
    let by_type = types.iter().find_map(|with_params| with_params(store, function, export));
    by_type.unwrap_or_else(|| Box::new(ByValues::new(function, export)))
}

fn with_params<H: HostSide, P: Params>(store: &Store<State<H>>, function: Func, export: &Export) -> Option<Handle<H>> {
    if export.ty.params() != P::TYPES {
        return None;
    }
    let types = [with_results::<H, P, ()>, with_results::<H, P, i32>, with_results::<H, P, i64>];
    types.iter().find_map(|with_results| with_results(store, function, export))
}

fn with_results<H: HostSide, P: Params, R: Results>(
    store: &Store<State<H>>,
    function: Func,
    export: &Export,
) -> Option<Handle<H>> {
    if export.ty.results() != R::TYPES {
        return None;
    }
    let function: TypedFunc<P, R> = function.typed(store).ok()?;
    Some(Box::new(function))
}

/// Checks the time if the call is late. A call shorter than a slice would not check it.
fn in_time<H: HostSide>(store: &Store<State<H>>, is_late: bool) -> Result<(), InvokeErrorKind> {
    if is_late { store.data().meter.check_time() } else { Ok(()) }
}

/// Numbers in the form in which wasmi takes them by type.
trait Params: WasmParams + 'static {
    const TYPES: &'static [ValType];

    fn of(args: &[Value]) -> Option<Self>;
}

macro_rules! params {
    ($(($($name:ident: $variant:ident as $number:ty),*))*) => {$(
        impl Params for ($($number,)*) {
            const TYPES: &'static [ValType] = &[$(ValType::$variant),*];

            fn of(args: &[Value]) -> Option<Self> {
                let [$(Value::$variant($name)),*] = args else { return None };
                Some(($(*$name,)*))
            }
        }
    )*};
}
params! {
    ()
    (a: I32 as i32)
    (a: I32 as i32, b: I32 as i32)
    (a: I32 as i32, b: I32 as i32, c: I32 as i32)
    (a: I32 as i32, b: I32 as i32, c: I32 as i32, d: I32 as i32)
    (a: I64 as i64)
    (a: I64 as i64, b: I64 as i64)
}

/// Numbers in the form in which wasmi returns them by type.
trait Results: WasmResults + 'static {
    const TYPES: &'static [ValType];

    fn add_to(self, values: &mut Values);
}

impl Results for () {
    const TYPES: &'static [ValType] = &[];

    fn add_to(self, _: &mut Values) {}
}

impl Results for i32 {
    const TYPES: &'static [ValType] = &[ValType::I32];

    fn add_to(self, values: &mut Values) {
        values.0.push(Value::I32(self));
    }
}

impl Results for i64 {
    const TYPES: &'static [ValType] = &[ValType::I64];

    fn add_to(self, values: &mut Values) {
        values.0.push(Value::I64(self));
    }
}

impl<H: HostSide, P: Params, R: Results> Call<H> for TypedFunc<P, R> {
    fn call(
        &self,
        store: &mut Store<State<H>>,
        args: &[Value],
        is_late: bool,
    ) -> Option<Result<Values, InvokeErrorKind>> {
        let params = P::of(args)?;
        Some(in_time(store, is_late).and_then(|()| call_typed(store, self, params)).map(|results| {
            let mut values = Values::default();
            results.add_to(&mut values);
            values
        }))
    }
}

/// An export of any other type.
struct ByValues {
    function: Func,
    params: Box<[ValType]>,
    /// The number of results. `None` if the export takes or returns something that is not a number.
    results: Option<usize>,
}

impl ByValues {
    fn new(function: Func, export: &Export) -> Self {
        let results = export.is_scalar().then(|| export.ty.results().len());
        Self { function, params: export.ty.params().into(), results }
    }
}

impl<H: HostSide> Call<H> for ByValues {
    fn call(
        &self,
        store: &mut Store<State<H>>,
        args: &[Value],
        is_late: bool,
    ) -> Option<Result<Values, InvokeErrorKind>> {
        let results = self.results?;
        let fits = |(ty, value): (&ValType, &Value)| scalar(*ty) == Some(value.ty());
        if self.params.len() != args.len() || !self.params.iter().zip(args).all(fits) {
            return None;
        }
        // Filled in place: collecting lists elsewhere and moving them here costs 15 ns a call.
        let (mut inputs, mut outputs) = (SmallVec::<[Val; 8]>::new(), SmallVec::<[Val; 4]>::new());
        inputs.extend(args.iter().map(|value| wasm_value(*value)));
        outputs.resize(results, Val::I32(0));
        let called = in_time(store, is_late).and_then(|()| call(store, self.function, &inputs, &mut outputs));
        Some(called.map(|()| {
            let mut values = Values::default();
            values.0.extend(outputs.iter().filter_map(number));
            values
        }))
    }
}

fn wasm_value(value: Value) -> Val {
    match value {
        Value::I32(value) => Val::I32(value),
        Value::I64(value) => Val::I64(value),
        Value::F32(value) => Val::F32(wasmi::F32::from_bits(value.to_bits())),
        Value::F64(value) => Val::F64(wasmi::F64::from_bits(value.to_bits())),
    }
}

/// A number. `None` for vectors and references, which no scalar export returns.
fn number(value: &Val) -> Option<Value> {
    match value {
        Val::I32(value) => Some(Value::I32(*value)),
        Val::I64(value) => Some(Value::I64(*value)),
        Val::F32(value) => Some(Value::F32(f32::from_bits(value.to_bits()))),
        Val::F64(value) => Some(Value::F64(f64::from_bits(value.to_bits()))),
        Val::V128(_) | Val::FuncRef(_) | Val::ExternRef(_) => None,
    }
}
