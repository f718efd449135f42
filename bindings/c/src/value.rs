//! WebAssembly numbers in C.
//!
//! Invariant: every byte of a number that C gets is written, whichever member C reads.

use dormouse::{Value, ValueType};
use smallvec::SmallVec;

use crate::failure::Failure;

/// The type of a `dormouse_value`: one of DORMOUSE_I32, DORMOUSE_I64, DORMOUSE_F32, DORMOUSE_F64.
pub type dormouse_value_type = u32;

/// A 32-bit integer. WebAssembly does not distinguish signed from unsigned.
pub const DORMOUSE_I32: dormouse_value_type = 1;
/// A 64-bit integer.
pub const DORMOUSE_I64: dormouse_value_type = 2;
/// A 32-bit float.
pub const DORMOUSE_F32: dormouse_value_type = 3;
/// A 64-bit float.
pub const DORMOUSE_F64: dormouse_value_type = 4;

/// The number of a `dormouse_value`.
#[repr(C)]
#[derive(Clone, Copy)]
pub union dormouse_number {
    /// For DORMOUSE_I32.
    pub i32: i32,
    /// For DORMOUSE_I64.
    pub i64: i64,
    /// For DORMOUSE_F32.
    pub f32: f32,
    /// For DORMOUSE_F64.
    pub f64: f64,
}

/// One WebAssembly number, as parameter or result. `dormouse_i32`, `dormouse_i64`, `dormouse_f32`
/// and `dormouse_f64`, at the end of this header, make one.
///
/// cbindgen:field-names=[type, of]
#[repr(C)]
#[derive(Clone, Copy)]
pub struct dormouse_value {
    /// Which member of `of` has the number.
    pub type_: dormouse_value_type,
    /// The number.
    pub of: dormouse_number,
}

plain!(dormouse_value);

pub(crate) type Values = SmallVec<[dormouse_value; 4]>;

impl From<Value> for dormouse_value {
    fn from(value: Value) -> Self {
        // All of it is written, so that C sees none of our memory, whichever member it reads.
        let mut of = dormouse_number { i64: 0 };
        let type_ = match value {
            Value::I32(i32) => {
                of.i32 = i32;
                DORMOUSE_I32
            }
            Value::I64(i64) => {
                of.i64 = i64;
                DORMOUSE_I64
            }
            Value::F32(f32) => {
                of.f32 = f32;
                DORMOUSE_F32
            }
            Value::F64(f64) => {
                of.f64 = f64;
                DORMOUSE_F64
            }
        };
        Self { type_, of }
    }
}

/// The number that C means.
pub(crate) fn number(value: dormouse_value) -> Result<Value, Failure> {
    // SAFETY: the caller wrote the member that the type names. Any bits of it are a number.
    Ok(unsafe {
        match value_type(value.type_)? {
            ValueType::I32 => Value::I32(value.of.i32),
            ValueType::I64 => Value::I64(value.of.i64),
            ValueType::F32 => Value::F32(value.of.f32),
            ValueType::F64 => Value::F64(value.of.f64),
        }
    })
}

pub(crate) fn value_type(ty: dormouse_value_type) -> Result<ValueType, Failure> {
    match ty {
        DORMOUSE_I32 => Ok(ValueType::I32),
        DORMOUSE_I64 => Ok(ValueType::I64),
        DORMOUSE_F32 => Ok(ValueType::F32),
        DORMOUSE_F64 => Ok(ValueType::F64),
        other => Err(Failure::argument(format!("{other} is not a dormouse_value_type"))),
    }
}

pub(crate) fn values(given: &[dormouse_value]) -> Result<SmallVec<[Value; 8]>, Failure> {
    given.iter().copied().map(number).collect()
}
