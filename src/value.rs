//! A wasm scalar, for typed calls of exports.

use std::{fmt, ops::Deref};

use smallvec::SmallVec;

/// One WebAssembly number, as parameter or result of an export.
///
/// Vectors and references are not passed to or from exports.
///
/// ```
/// use dormouse::Value;
///
/// assert_eq!(Value::I32(-1).as_u32(), u32::MAX);
/// assert_eq!(Value::from(2.5f64), Value::F64(2.5));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// A 32-bit integer; WebAssembly does not tell signed from unsigned.
    I32(i32),
    /// A 64-bit integer.
    I64(i64),
    /// A 32-bit float.
    F32(f32),
    /// A 64-bit float.
    F64(f64),
}

impl Value {
    /// The type of this value.
    pub fn ty(self) -> ValueType {
        match self {
            Self::I32(_) => ValueType::I32,
            Self::I64(_) => ValueType::I64,
            Self::F32(_) => ValueType::F32,
            Self::F64(_) => ValueType::F64,
        }
    }

    /// The value's low 32 bits as an unsigned number: how a pointer or a length is read. The bits of a float are those
    /// of its IEEE 754 form.
    pub fn as_u32(self) -> u32 {
        self.as_u64() as u32
    }

    /// The value's bits as an unsigned number, zero-extended where it has 32 of them.
    pub fn as_u64(self) -> u64 {
        match self {
            Self::I32(value) => u64::from(value as u32),
            Self::I64(value) => value as u64,
            Self::F32(value) => u64::from(value.to_bits()),
            Self::F64(value) => value.to_bits(),
        }
    }

    /// The value's low 32 bits as a signed number.
    pub fn as_i32(self) -> i32 {
        self.as_u32() as i32
    }

    /// The value's bits as a signed number; one of 32 bits keeps its value.
    pub fn as_i64(self) -> i64 {
        match self {
            Self::I32(value) => i64::from(value),
            other => other.as_u64() as i64,
        }
    }
}

macro_rules! from_number {
    ($($number:ty => $variant:ident as $inner:ty),* $(,)?) => {$(
        impl From<$number> for Value {
            fn from(value: $number) -> Self {
                Self::$variant(value as $inner)
            }
        }
    )*};
}
from_number!(i32 => I32 as i32, u32 => I32 as i32, i64 => I64 as i64, u64 => I64 as i64, f32 => F32 as f32, f64 => F64 as f64);

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::I32(value) => write!(f, "i32:{value}"),
            Self::I64(value) => write!(f, "i64:{value}"),
            Self::F32(value) => write!(f, "f32:{value}"),
            Self::F64(value) => write!(f, "f64:{value}"),
        }
    }
}

/// The type of a [`Value`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ValueType {
    /// A 32-bit integer.
    I32,
    /// A 64-bit integer.
    I64,
    /// A 32-bit float.
    F32,
    /// A 64-bit float.
    F64,
}

impl fmt::Display for ValueType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::I32 => "i32",
            Self::I64 => "i64",
            Self::F32 => "f32",
            Self::F64 => "f64",
        })
    }
}

/// The results of one call, in the order of the export's type. Reads as a slice of [`Value`].
/// Up to two, as nearly all exports have, need no allocation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Values(pub(crate) SmallVec<[Value; 2]>);

impl Deref for Values {
    type Target = [Value];

    fn deref(&self) -> &[Value] {
        &self.0
    }
}

impl From<Values> for Vec<Value> {
    fn from(values: Values) -> Self {
        values.0.into_vec()
    }
}
