//! What is wrong with a JSON text, and where.

/// Why bytes are not JSON, with the offset of the fault.
///
/// ```
/// use dormouse::{JsonProblem, MatchError, Pattern};
///
/// let pattern = Pattern::parse(r#"{"type":["order"]}"#)?;
/// let Err(MatchError::Json(error)) = pattern.matches(br#"{"type":"order",}"#) else { panic!("a comma too many") };
/// assert_eq!((error.offset(), error.problem()), (16, JsonProblem::Key));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed JSON at byte {offset}: {problem}")]
pub struct JsonError {
    offset: usize,
    problem: JsonProblem,
}

impl JsonError {
    #[cold]
    pub(crate) fn new(offset: usize, problem: JsonProblem) -> Self {
        Self { offset, problem }
    }

    /// Offset of the fault in the bytes that were read.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// What is wrong there.
    pub fn problem(&self) -> JsonProblem {
        self.problem
    }
}

/// What is wrong with a JSON text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JsonProblem {
    /// A colon must follow the key of a member.
    #[error("a `:` is missing after the key")]
    Colon,
    /// Neither a comma nor the end of its array or object follows a value.
    #[error("a `,` or the end of the array or object is missing after the value")]
    Comma,
    /// A control character stands unescaped in a string.
    #[error("a control character in a string must be escaped")]
    Control,
    /// Arrays and objects are nested deeper than 256 levels.
    #[error("more than 256 levels of arrays and objects")]
    Depth,
    /// The text ends within a value.
    #[error("the text ends too early")]
    End,
    /// An array was needed, and another value stands here.
    #[error("an array is needed here")]
    Array,
    /// A backslash does not begin one of JSON's escapes.
    #[error("not an escape; allowed are \\\" \\\\ \\/ \\b \\f \\n \\r \\t and \\u with four hexadecimal digits")]
    Escape,
    /// A key must stand here.
    #[error("a key in double quotes is missing")]
    Key,
    /// A number is not written as JSON writes numbers.
    #[error("not a number as JSON writes it")]
    Number,
    /// An object was needed, and another value stands here.
    #[error("an object is needed here")]
    Object,
    /// Half of a surrogate pair stands by itself.
    #[error("half a surrogate pair stands by itself")]
    Surrogate,
    /// Bytes are not UTF-8.
    #[error("not UTF-8")]
    Utf8,
    /// A value must stand here.
    #[error("a value is missing")]
    Value,
    /// Something other than white space follows the value.
    #[error("only white space may follow the value")]
    Trailing,
}
