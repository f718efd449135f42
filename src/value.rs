//! One WebAssembly number, as exports take and return it: [`Value`], its type, and the results of a
//! call.
//!
//! Invariant: a conversion to a Rust number keeps all bits, or fails.

use std::{fmt, ops::Deref, str::FromStr};

use serde::{Serialize, Serializer, ser::SerializeStruct};
use smallvec::SmallVec;

/// One WebAssembly number: a parameter or a result of an export.
///
/// An export that takes or returns vectors or references cannot be called from the host.
///
/// ```
/// use dormouse::Value;
///
/// assert_eq!(Value::I32(-1).as_u32(), u32::MAX);
/// assert_eq!(Value::from(2.5f64), Value::F64(2.5));
/// assert_eq!(i64::try_from(Value::I64(7))?, 7);
/// assert!(i64::try_from(Value::I32(7)).is_err());
/// # Ok::<(), dormouse::ValueError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// A 32-bit integer. WebAssembly does not tell signed from unsigned.
    I32(i32),
    /// A 64-bit integer. WebAssembly does not tell signed from unsigned.
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

    /// The value's low 32 bits as an unsigned number, as pointers and lengths are read. The bits of
    /// a float are those of its IEEE 754 form.
    pub fn as_u32(self) -> u32 {
        self.as_u64() as u32
    }

    /// The value's bits as an unsigned number. A value of 32 bits is zero-extended.
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

    /// The value's bits as a signed number. A 32-bit integer is sign-extended.
    pub fn as_i64(self) -> i64 {
        match self {
            Self::I32(value) => i64::from(value),
            other => other.as_u64() as i64,
        }
    }
}

/// Both ways between a Rust number and the variant of its size. The way back keeps to that variant.
macro_rules! number {
    ($($number:ty => $variant:ident as $inner:ty),* $(,)?) => {$(
        impl From<$number> for Value {
            fn from(value: $number) -> Self {
                Self::$variant(value as $inner)
            }
        }

        impl TryFrom<Value> for $number {
            type Error = ValueError;

            fn try_from(value: Value) -> Result<Self, ValueError> {
                match value {
                    Value::$variant(value) => Ok(value as $number),
                    found => Err(ValueError::Type { expected: ValueType::$variant, found }),
                }
            }
        }
    )*};
}
number!(
    i32 => I32 as i32,
    u32 => I32 as i32,
    i64 => I64 as i64,
    u64 => I64 as i64,
    f32 => F32 as f32,
    f64 => F64 as f64,
);

/// The type and the number: `i32:-1`, `f64:2.5`. Integers are written as signed.
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

impl FromStr for Value {
    type Err = ValueError;

    /// Reads what `Display` writes.
    fn from_str(text: &str) -> Result<Self, ValueError> {
        let value = text.split_once(':').and_then(|(ty, number)| match ty {
            "i32" => number.parse().ok().map(Self::I32),
            "i64" => number.parse().ok().map(Self::I64),
            "f32" => number.parse().ok().map(Self::F32),
            "f64" => number.parse().ok().map(Self::F64),
            _ => None,
        });
        value.ok_or_else(|| ValueError::Text { text: cut(text) })
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

impl FromStr for ValueType {
    type Err = ValueError;

    /// Reads what `Display` writes.
    fn from_str(text: &str) -> Result<Self, ValueError> {
        let all = [Self::I32, Self::I64, Self::F32, Self::F64];
        all.into_iter().find(|ty| ty.to_string() == text).ok_or_else(|| ValueError::Text { text: cut(text) })
    }
}

/// Why a [`Value`] is not the number that was asked for, or a text is not a value.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ValueError {
    /// The value has another type.
    #[error("the value is {found}, not of type {expected}")]
    Type {
        /// The type that was asked for.
        expected: ValueType,
        /// The value as it is.
        found: Value,
    },
    /// The text is not the form of a value or of a type.
    #[error("{text:?} is not a value such as i32:-1, nor one of the types i32, i64, f32 and f64")]
    Text {
        /// The text, cut at 256 bytes.
        text: Box<str>,
    },
}

impl ValueError {
    /// The kind in one word: `type`, `text`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Type { .. } => "type",
            Self::Text { .. } => "text",
        }
    }
}

/// As `{"kind": …, "message": …}`: the name and the text.
impl Serialize for ValueError {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("ValueError", 2)?;
        fields.serialize_field("kind", self.name())?;
        fields.serialize_field("message", &self.to_string())?;
        fields.end()
    }
}

/// The start of a text, cut between characters: as much as an error carries.
fn cut(text: &str) -> Box<str> {
    let mut end = text.len().min(256);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].into()
}

/// The results of one call, in the order of the export's type. It derefs to a slice of [`Value`].
///
/// Up to two results, as nearly all exports have, need no allocation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Values(pub(crate) SmallVec<[Value; 2]>);

impl Deref for Values {
    type Target = [Value];

    fn deref(&self) -> &[Value] {
        &self.0
    }
}

impl AsRef<[Value]> for Values {
    fn as_ref(&self) -> &[Value] {
        &self.0
    }
}

impl<'a> IntoIterator for &'a Values {
    type Item = &'a Value;
    type IntoIter = std::slice::Iter<'a, Value>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl From<Values> for Vec<Value> {
    fn from(values: Values) -> Self {
        values.0.into_vec()
    }
}
