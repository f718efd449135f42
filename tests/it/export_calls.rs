//! Plain calls of exports: each receives its arguments in their order and returns what it has
//! computed, whatever its type.

use dormouse::{InvokeErrorKind, Runtime, Value, ValueType};

use crate::support::wat;

use ValueType::{F32, F64, I32, I64};

const PARAMS: &[&[ValueType]] = &[
    &[],
    &[I32],
    &[I32, I32],
    &[I32, I32, I32],
    &[I32, I32, I32, I32],
    &[I32, I32, I32, I32, I32],
    &[I64],
    &[I64, I64],
    &[I64, I64, I64],
    &[F32],
    &[F64],
    &[F64, F64],
    &[I32, I64],
    &[I64, I32],
    &[F32, I32, F64, I64, I32, I32, F64, F32, I64, I32],
];

const RESULTS: &[&[ValueType]] = &[&[], &[I32], &[I64], &[F32], &[F64], &[I32, I64], &[I64, F32, F64, I32, I32]];

/// What the guests compute from their arguments. They also leave it in memory.
fn digest(args: &[Value]) -> u64 {
    args.iter().fold(7, |sum: u64, arg| sum.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(arg.as_u64()))
}

/// The digest as a value of each type.
fn answer(results: &[ValueType], digest: u64) -> Vec<Value> {
    let value = |ty: &ValueType| match ty {
        I32 => Value::I32(digest as i32),
        I64 => Value::I64(digest as i64),
        F32 => Value::F32(f32::from_bits(digest as u32 & 0x7f00_ffff)),
        F64 => Value::F64(f64::from_bits(digest & 0x7fe0_ffff_ffff_ffff)),
    };
    results.iter().map(value).collect()
}

fn list(word: &str, types: &[ValueType]) -> String {
    let types: String = types.iter().map(|ty| format!(" {ty}")).collect();
    format!("({word}{types})")
}

/// A module with an export for each list of parameters and each list of results, such as `p2r1`.
fn module() -> Vec<u8> {
    let mut functions = String::new();
    for (p, params) in PARAMS.iter().enumerate() {
        let mut sum = "(i64.const 7)".to_owned();
        for (at, ty) in params.iter().enumerate() {
            let bits = match ty {
                I32 => format!("(i64.extend_i32_u (local.get {at}))"),
                I64 => format!("(local.get {at})"),
                F32 => format!("(i64.extend_i32_u (i32.reinterpret_f32 (local.get {at})))"),
                F64 => format!("(i64.reinterpret_f64 (local.get {at}))"),
            };
            sum = format!("(i64.add (i64.mul {sum} (i64.const 0x9e3779b97f4a7c15)) {bits})");
        }
        for (r, results) in RESULTS.iter().enumerate() {
            let given: String = results
                .iter()
                .map(|ty| match ty {
                    I32 => "(i32.wrap_i64 (i64.load (i32.const 0)))",
                    I64 => "(i64.load (i32.const 0))",
                    F32 => "(f32.reinterpret_i32 (i32.and (i32.load (i32.const 0)) (i32.const 0x7f00ffff)))",
                    F64 => "(f64.reinterpret_i64 (i64.and (i64.load (i32.const 0)) (i64.const 0x7fe0ffffffffffff)))",
                })
                .collect();
            functions += &format!(
                "(func (export \"p{p}r{r}\") {} {} (i64.store (i32.const 0) {sum}) {given})\n",
                list("param", params),
                list("result", results)
            );
        }
    }
    wat(&format!("(module (memory (export \"memory\") 1) {functions})"))
}

/// Different values of these types. None is small, and a float keeps their bits.
fn values(types: &[ValueType], seed: u64) -> Vec<Value> {
    let value = |(at, ty): (usize, &ValueType)| {
        let bits = (seed + at as u64 + 1).wrapping_mul(0xd134_2543_de82_ef95);
        match ty {
            I32 => Value::I32(bits as i32),
            I64 => Value::I64(bits as i64),
            F32 => Value::F32(f32::from_bits(bits as u32 & 0x7f00_ffff)),
            F64 => Value::F64(f64::from_bits(bits & 0x7fe0_ffff_ffff_ffff)),
        }
    };
    types.iter().enumerate().map(value).collect()
}

#[test]
fn exports_of_all_types_get_their_arguments_in_order_and_give_what_they_computed() {
    let function = Runtime::new().deploy("f", &module()).unwrap();
    for (p, params) in PARAMS.iter().enumerate() {
        for (r, results) in RESULTS.iter().enumerate() {
            let name = format!("p{p}r{r}");
            // The first call on an instance finds the export. Later calls have it.
            for seed in 0..3 {
                let args = values(params, seed);
                let called = function.session(|guest| Ok((guest.call(&name, &args)?, guest.read(0, 8)?)));
                let (given, stored) = called.unwrap().into_value();
                assert_eq!(given.to_vec(), answer(results, digest(&args)), "{name}{args:?}");
                assert_eq!(stored, digest(&args).to_le_bytes(), "{name}{args:?}");
            }
        }
    }
}

#[test]
fn arguments_of_another_number_or_type_are_refused_before_the_guest_runs() {
    let function = Runtime::new().deploy("f", &module()).unwrap();
    for (p, params) in PARAMS.iter().enumerate() {
        let others = PARAMS.iter().filter(|others| *others != params);
        for (name, others) in others.flat_map(|others| (0..RESULTS.len()).map(move |r| (format!("p{p}r{r}"), others))) {
            let args = values(others, 1);
            let refused = function.session(|guest| {
                let error = guest.call(&name, &args).unwrap_err();
                Ok((error, guest.read(0, 8)?))
            });
            let (error, stored) = refused.unwrap().into_value();
            let InvokeErrorKind::Signature { name: said, ty, .. } = &error else { panic!("{name}{args:?}: {error}") };
            let params = params.iter().map(ValueType::to_string).collect::<Vec<_>>().join(", ");
            assert!(**said == *name && ty.starts_with(&format!("({params})")), "{error}");
            assert_eq!(stored, [0; 8], "{name}{args:?}");
        }
    }
}
