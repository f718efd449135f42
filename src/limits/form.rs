//! Limits as text: `fuel=50000000 deadline=30s`, and durations as serde has them.
//!
//! Invariant: each text that is written here is read as the same value.

use std::{fmt, str::FromStr, time::Duration};

use super::{
    Limits,
    parse::{ParseError, cut},
};

/// A limit's value: how it is written, and how it is read.
trait Form: Sized {
    /// What the field takes, in words.
    const EXPECTED: &'static str;

    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result;

    fn read(text: &str) -> Option<Self>;
}

macro_rules! numbers {
    ($($number:ty: $expected:literal;)*) => {$(
        impl Form for $number {
            const EXPECTED: &'static str = $expected;

            fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{self}")
            }

            fn read(text: &str) -> Option<Self> {
                text.parse().ok()
            }
        }
    )*};
}
numbers! {
    u32: "a whole number, 4294967295 at most";
    u64: "a whole number, 18446744073709551615 at most";
}

/// The units of a duration in nanoseconds, the largest first.
const UNITS: [(&str, u128); 4] = [("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1_000), ("ns", 1)];

/// How the longest duration is written: it stands for no limit.
const NONE: &str = "none";

impl Form for Duration {
    const EXPECTED: &'static str = "a whole number and a unit of ns, us, ms and s, as in 250ms, or none";

    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::MAX {
            return f.write_str(NONE);
        }
        let nanos = self.as_nanos();
        let fits = UNITS.iter().find(|(_, unit)| nanos % unit == 0);
        fits.map_or(Ok(()), |(name, unit)| write!(f, "{}{name}", nanos / unit))
    }

    fn read(text: &str) -> Option<Self> {
        if text == NONE {
            return Some(Self::MAX);
        }
        let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
        let (_, unit) = UNITS.iter().find(|(name, _)| *name == unit)?;
        let nanos = number.parse::<u128>().ok()?.checked_mul(*unit)?;
        let second = UNITS[0].1;
        Some(Self::new((nanos / second).try_into().ok()?, (nanos % second) as u32))
    }
}

/// A value as it is written.
struct Written<'a, T>(&'a T);

impl<T: Form> fmt::Display for Written<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.write(f)
    }
}

fn read<T: Form>(field: &'static str, value: &str) -> Result<T, ParseError> {
    T::read(value).ok_or_else(|| ParseError::Value { field, value: cut(value), expected: T::EXPECTED })
}

/// The text form of a struct with these fields, which must be all that it has.
macro_rules! text_form {
    ($limits:ident: $($field:ident),* $(,)?) => {
        /// The fields that differ from the default, separated by spaces: empty for the default. The
        /// text is read as the same limits.
        impl fmt::Display for $limits {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let (Self { $($field),* }, default) = (self, Self::default());
                let mut separator = "";
                $(if *$field != default.$field {
                    write!(f, "{separator}{}={}", stringify!($field), Written($field))?;
                    separator = " ";
                })*
                let _ = separator;
                Ok(())
            }
        }

        /// Reads `field=value`, separated by spaces or commas. A field that is absent keeps its
        /// default, and a field that does not exist is an error.
        impl FromStr for $limits {
            type Err = ParseError;

            fn from_str(text: &str) -> Result<Self, ParseError> {
                let (mut limits, mut given) = (Self::default(), Vec::new());
                let parts = text.split(|c: char| c == ',' || c.is_whitespace()).filter(|part| !part.is_empty());
                for part in parts {
                    let (name, value) =
                        part.split_once('=').ok_or_else(|| ParseError::Field { part: cut(part) })?;
                    let field = match name {
                        $(name if name == stringify!($field) => {
                            limits.$field = read(stringify!($field), value)?;
                            stringify!($field)
                        })*
                        _ => {
                            let known = [$(stringify!($field)),*].join(", ").into();
                            return Err(ParseError::UnknownField { field: cut(name), known });
                        }
                    };
                    if given.contains(&field) {
                        return Err(ParseError::Twice { field });
                    }
                    given.push(field);
                }
                Ok(limits)
            }
        }
    };
}
text_form! {
    Limits: fuel, deadline, input_bytes, output_bytes, log_bytes, memory_bytes, table_elements, stack_bytes, call_depth, module_bytes,
    functions, imports, exports, globals, types, memories, tables, data_segments, element_segments,
    body_bytes, locals,
}

/// A duration as serde has it in limits: the same text, such as `30s` or `none`.
pub(super) mod duration {
    use std::{fmt, time::Duration};

    use serde::{Deserializer, Serializer, de};

    use super::{Form, Written};

    pub(in crate::limits) fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Written(duration))
    }

    pub(in crate::limits) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        deserializer.deserialize_str(Text)
    }

    struct Text;

    impl de::Visitor<'_> for Text {
        type Value = Duration;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(<Duration as Form>::EXPECTED)
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Duration, E> {
            Form::read(text).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_written_in_the_largest_unit_that_divides_it_and_read_as_the_same() {
        for (duration, text) in [
            (Duration::ZERO, "0s"),
            (Duration::from_secs(90), "90s"),
            (Duration::from_millis(250), "250ms"),
            (Duration::from_micros(1_500), "1500us"),
            (Duration::new(1, 1), "1000000001ns"),
            (Duration::new(u64::MAX, 0), "18446744073709551615s"),
            (Duration::MAX - Duration::from_nanos(1), "18446744073709551615999999998ns"),
            (Duration::MAX, "none"),
        ] {
            assert_eq!(Written(&duration).to_string(), text);
            assert_eq!(<Duration as Form>::read(text), Some(duration), "{text}");
        }
        let wrong = ["", "30", "s", "-1s", "1.5s", "1 s", "1h", "None", "18446744073709551616s", "+1s"];
        for text in wrong {
            assert_eq!(<Duration as Form>::read(text), None, "{text}");
        }
    }
}
