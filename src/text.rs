//! Words for people: text from outside, types, and errors as serde has them.
//!
//! Invariant: what comes from a guest or a host function is escaped where it is printed, and cut at
//! 4 KiB.

use std::fmt;

use serde::{Serializer, ser::SerializeStruct};

use crate::{
    limits::ERROR_TEXT_MAX,
    value::{Value, ValueType},
};

/// Text from outside, escaped when printed, and cut.
pub(crate) struct Text<'a>(pub(crate) &'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '\'' | '"' => fmt::Write::write_char(f, c)?,
                c => write!(f, "{}", c.escape_debug())?,
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

/// At most 4 KiB of a text, cut at a character, for an error to carry.
pub(crate) fn cut(text: &str) -> Box<str> {
    let mut end = text.len().min(ERROR_TEXT_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].into()
}

/// The end of a log, 1 KiB at most, for an error to carry.
pub(crate) fn tail(log: &[u8]) -> Box<str> {
    const TAIL: usize = 1 << 10;
    String::from_utf8_lossy(&log[log.len().saturating_sub(TAIL)..]).trim_end().into()
}

/// A function type in words: `(i32, i32) -> i64`.
pub(crate) fn signature<T: fmt::Display>(params: &[T], results: &[T]) -> String {
    let list = |types: &[T]| types.iter().map(T::to_string).collect::<Vec<_>>().join(", ");
    match results {
        [] => format!("({})", list(params)),
        [one] => format!("({}) -> {one}", list(params)),
        many => format!("({}) -> ({})", list(params), list(many)),
    }
}

/// Arguments in words: `(i32, f64)`.
pub(crate) fn arguments(values: &[Value]) -> String {
    signature::<ValueType>(&values.iter().map(|value| value.ty()).collect::<Vec<_>>(), &[])
}

/// An error as serde has it: an object with the kind in one word and the text.
pub(crate) fn kind_and_message<S: Serializer>(
    kind: &str,
    error: &dyn fmt::Display,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let mut fields = serializer.serialize_struct("Error", 2)?;
    fields.serialize_field("kind", kind)?;
    fields.serialize_field("message", &error.to_string())?;
    fields.end()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_outside_is_escaped_and_cut() {
        assert_eq!(Text("a\n\u{1b}[31m'\"").to_string(), "a\\n\\u{1b}[31m'\"");
        assert_eq!(cut(&"ö".repeat(4096)).len(), 4096);
    }
}
