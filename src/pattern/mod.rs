//! Event patterns: Amazon EventBridge's language, and an index that matches many of them at once.
//!
//! A pattern is a JSON object in the shape of the events that it matches. Each field holds an array
//! of alternatives for its value. All named fields must match, each by one of its alternatives. A
//! field that the pattern does not name may be anything.
//!
//! A CloudEvent is matched in its JSON form: attributes at the top, JSON data under `data`.
//! Patterns do not see binary data.
//!
//! ```
//! # fn hits(pattern: &str, event: &str) -> bool { dormouse::Pattern::parse(pattern).unwrap().matches(event.as_bytes()).unwrap() }
//! let large = r#"{"type":["order.created","order.changed"],"data":{"total":[{"numeric":[">",100]}]}}"#;
//! assert!(hits(large, r#"{"type":"order.created","data":{"total":120,"lines":3}}"#));
//! assert!(!hits(large, r#"{"type":"order.created","data":{"total":80}}"#));
//! assert!(!hits(large, r#"{"type":"order.created"}"#));
//! ```
//!
//! # Values
//!
//! Strings, numbers, `true`, `false` and `null` stand for themselves. Numbers compare as doubles:
//! 5, 5.0 and 5e0 are the same number, and so are 0 and -0. A number beyond all doubles, such as
//! 1e400, equals only the same text. No `numeric` holds for it.
//!
//! ```
//! # fn hits(pattern: &str, event: &str) -> bool { dormouse::Pattern::parse(pattern).unwrap().matches(event.as_bytes()).unwrap() }
//! assert!(hits(r#"{"a":["x",5,null]}"#, r#"{"a":5.0}"#));
//! assert!(hits(r#"{"a":["x",5,null]}"#, r#"{"a":null}"#));
//! assert!(!hits(r#"{"a":["x",5,null]}"#, r#"{"a":"5"}"#));
//! assert!(!hits(r#"{"a":["x",5,null]}"#, r#"{}"#)); // missing is not null
//! ```
//!
//! # Operators
//!
//! An object among the alternatives has one key, an operator. There are eight.
//!
//! **`prefix`** and **`suffix`** of strings. Each may take `equals-ignore-case`:
//! ```
//! # fn hits(pattern: &str, event: &str) -> bool { dormouse::Pattern::parse(pattern).unwrap().matches(event.as_bytes()).unwrap() }
//! assert!(hits(r#"{"file":[{"suffix":".png"}]}"#, r#"{"file":"cat.png"}"#));
//! assert!(hits(r#"{"file":[{"prefix":{"equals-ignore-case":"IMG_"}}]}"#, r#"{"file":"img_1.png"}"#));
//! ```
//!
//! **`equals-ignore-case`** compares character by character. A capital equals its small letter if
//! each is the only other form of the other. `ß` has no such partner.
//! ```
//! # fn hits(pattern: &str, event: &str) -> bool { dormouse::Pattern::parse(pattern).unwrap().matches(event.as_bytes()).unwrap() }
//! assert!(hits(r#"{"city":[{"equals-ignore-case":"köln"}]}"#, r#"{"city":"KÖLN"}"#));
//! assert!(!hits(r#"{"word":[{"equals-ignore-case":"groß"}]}"#, r#"{"word":"GROSS"}"#));
//! ```
//!
//! **`wildcard`**: `*` stands for any run of characters, the empty one included. `\*` and `\\`
//! stand for a star and a backslash. JSON needs each backslash twice.
//! ```
//! # fn hits(pattern: &str, event: &str) -> bool { dormouse::Pattern::parse(pattern).unwrap().matches(event.as_bytes()).unwrap() }
//! assert!(hits(r#"{"file":[{"wildcard":"*/2026/*.png"}]}"#, r#"{"file":"photos/2026/05/cat.png"}"#));
//! assert!(hits(r#"{"mark":[{"wildcard":"\\**"}]}"#, r#"{"mark":"*bold*"}"#));
//! ```
//!
//! **`anything-but`** takes a string, a number, a list of strings or a list of numbers. It also
//! takes `prefix`, `suffix`, `wildcard` or `equals-ignore-case`, each with a string or a list. The
//! field must have a value, of any type.
//! ```
//! # fn hits(pattern: &str, event: &str) -> bool { dormouse::Pattern::parse(pattern).unwrap().matches(event.as_bytes()).unwrap() }
//! assert!(hits(r#"{"state":[{"anything-but":["done","failed"]}]}"#, r#"{"state":"running"}"#));
//! assert!(hits(r#"{"state":[{"anything-but":"done"}]}"#, r#"{"state":null}"#));
//! assert!(!hits(r#"{"state":[{"anything-but":"done"}]}"#, r#"{}"#));
//! assert!(!hits(r#"{"host":[{"anything-but":{"prefix":["test-","dev-"]}}]}"#, r#"{"host":"dev-3"}"#));
//! ```
//!
//! **`numeric`**: `=`, `<`, `<=`, `>` or `>=` with a number, or a lower and then an upper bound:
//! ```
//! # fn hits(pattern: &str, event: &str) -> bool { dormouse::Pattern::parse(pattern).unwrap().matches(event.as_bytes()).unwrap() }
//! assert!(hits(r#"{"celsius":[{"numeric":[">=",36.5,"<",38]}]}"#, r#"{"celsius":37}"#));
//! assert!(!hits(r#"{"celsius":[{"numeric":[">=",36.5,"<",38]}]}"#, r#"{"celsius":"37"}"#));
//! ```
//!
//! **`exists`** is about values. `true` asks for one, and null is one. `false` holds if there is
//! none. An object is not a value, nor is an empty array.
//! ```
//! # fn hits(pattern: &str, event: &str) -> bool { dormouse::Pattern::parse(pattern).unwrap().matches(event.as_bytes()).unwrap() }
//! assert!(hits(r#"{"error":[{"exists":false}]}"#, r#"{"result":1}"#));
//! assert!(!hits(r#"{"error":[{"exists":false}]}"#, r#"{"error":null}"#));
//! assert!(!hits(r#"{"error":[{"exists":true}]}"#, r#"{"error":{"code":1}}"#)); // error.code exists
//! ```
//!
//! **`cidr`** takes a block of IPv4 or IPv6 addresses. An IPv4 address that is written as IPv6 is
//! one of IPv6.
//! ```
//! # fn hits(pattern: &str, event: &str) -> bool { dormouse::Pattern::parse(pattern).unwrap().matches(event.as_bytes()).unwrap() }
//! assert!(hits(r#"{"ip":[{"cidr":"10.0.0.0/8"},{"cidr":"2001:db8::/32"}]}"#, r#"{"ip":"10.1.2.3"}"#));
//! ```
//!
//! **`$or`** takes the place of a field and holds two patterns or more. One of them must match,
//! beside the fields around it:
//! ```
//! # fn hits(pattern: &str, event: &str) -> bool { dormouse::Pattern::parse(pattern).unwrap().matches(event.as_bytes()).unwrap() }
//! let either = r#"{"type":["login"],"$or":[{"failed":[{"numeric":[">",3]}]},{"ip":[{"prefix":"10."}]}]}"#;
//! assert!(hits(either, r#"{"type":"login","failed":5}"#));
//! assert!(hits(either, r#"{"type":"login","ip":"10.1.2.3"}"#));
//! assert!(!hits(either, r#"{"type":"login","failed":1}"#));
//! ```
//! If an array named `$or` is not such a list, or has operators in it, `$or` is a field like any
//! other.
//!
//! # Objects and arrays
//!
//! Nested objects are fields with longer paths. In patterns and in events, a dot in a key means the
//! same as nesting. If an event repeats a key, all its values count. A pattern must not repeat a
//! key.
//! ```
//! # fn hits(pattern: &str, event: &str) -> bool { dormouse::Pattern::parse(pattern).unwrap().matches(event.as_bytes()).unwrap() }
//! assert!(hits(r#"{"data":{"user":{"id":[7]}}}"#, r#"{"data.user":{"id":7}}"#));
//! assert!(hits(r#"{"a":[2]}"#, r#"{"a":1,"a":2}"#));
//! ```
//!
//! An array in an event matches if one of its elements does, however deeply arrays are nested.
//! Fields below one array must match in the same element of it:
//! ```
//! # fn hits(pattern: &str, event: &str) -> bool { dormouse::Pattern::parse(pattern).unwrap().matches(event.as_bytes()).unwrap() }
//! let two_pens = r#"{"lines":{"item":["pen"],"count":[2]}}"#;
//! assert!(hits(two_pens, r#"{"lines":[{"item":"book","count":1},{"item":"pen","count":2}]}"#));
//! assert!(!hits(two_pens, r#"{"lines":[{"item":"book","count":2},{"item":"pen","count":1}]}"#));
//! ```
//! A field that should not exist must not exist in the elements in which other fields match. It
//! must not exist in any element of an array in which none matches:
//! ```
//! # fn hits(pattern: &str, event: &str) -> bool { dormouse::Pattern::parse(pattern).unwrap().matches(event.as_bytes()).unwrap() }
//! let unpriced = r#"{"lines":{"item":["pen"],"price":[{"exists":false}]}}"#;
//! assert!(hits(unpriced, r#"{"lines":[{"item":"book","price":9},{"item":"pen"}]}"#));
//! assert!(!hits(unpriced, r#"{"lines":[{"item":"book"},{"item":"pen","price":1}]}"#));
//! ```
//!
//! # Limits
//!
//! | of | limit |
//! |---|---|
//! | a pattern's text | 64 KiB |
//! | levels of a pattern | 256 |
//! | fields of a pattern | 256 |
//! | alternatives of a field | 1,000 |
//! | stars of a wildcard | 64 |
//! | ways to take a branch of each `$or` | 1,000 |
//! | levels of an event | 256 |
//!
//! The caller limits the size of events. Matching takes time in proportion to it.
//!
//! # What is checked of an event
//!
//! Where a pattern looks, matching checks every byte. Malformed JSON is an error that says where.
//! If no pattern names an array or object, matching steps over it: it reads strings and brackets to
//! find the end, and checks nothing else. [`Event::parse`](crate::Event::parse) checks everything.
//!
//! # Beside EventBridge and event-ruler
//!
//! Differences from Amazon's event-ruler 2.0.1:
//!
//! - Whether a field is absent from an array's element does not depend on the order of names there.
//! - A condition outside `$or` holds beside those within `$or` on the same field.
//! - `/32`, `/128` and ranges of one number are accepted.

mod ast;
mod condition;
mod elements;
mod engine;
mod error;
mod explain;
mod fold;
mod index;
mod mask;
mod matcher;
mod parse;
mod ranges;
mod rules;
mod run;
mod test;
mod trie;
mod values;
mod wildcard;

use std::{
    fmt,
    str::FromStr,
    sync::{Arc, OnceLock},
};

pub use error::{MatchError, PatternError, TakenKey};
pub use explain::{Explanation, Mismatch};
pub use index::PatternIndex;
pub use matcher::Matcher;

use crate::event::Event;

/// A pattern: what an event must look like. Cloning it copies a pointer.
///
/// The [module](self) describes the language.
#[derive(Clone)]
pub struct Pattern(Arc<Inner>);

struct Inner {
    group: ast::Group,
    /// An index of this pattern alone, built when the pattern is first matched alone.
    engine: OnceLock<engine::Engine>,
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// The text is not a pattern. The error says what is wrong, in which field, and what is allowed
    /// there.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        Ok(Self(Arc::new(Inner { group: parse::parse(text)?, engine: OnceLock::new() })))
    }

    /// Whether a JSON object matches.
    ///
    /// # Errors
    /// The JSON is malformed: the error says how, and where. Or it is
    /// [ambiguous](MatchError::Ambiguous).
    pub fn matches(&self, json: &[u8]) -> Result<bool, MatchError> {
        index::with_matcher(|matcher| {
            self.engine().run(json, matcher)?;
            Ok(!matcher.found.is_empty())
        })
    }

    /// Whether an event matches, without writing its JSON form. Patterns do not see binary data.
    ///
    /// # Errors
    /// [`MatchError::Ambiguous`] alone, as an event's data is well-formed.
    pub fn matches_event(&self, event: &Event) -> Result<bool, MatchError> {
        index::with_matcher(|matcher| {
            self.engine().run_event(event, matcher)?;
            Ok(!matcher.found.is_empty())
        })
    }

    /// Whether a JSON object matches, and if not, which field fails and why.
    ///
    /// # Errors
    /// As for [`Pattern::matches`].
    pub fn explain(&self, json: &[u8]) -> Result<Explanation, MatchError> {
        explain::explain(self, json)
    }

    /// [`Pattern::explain`] for an event.
    ///
    /// # Errors
    /// As for [`Pattern::matches_event`].
    pub fn explain_event(&self, event: &Event) -> Result<Explanation, MatchError> {
        explain::explain_event(self, event)
    }

    fn group(&self) -> &ast::Group {
        &self.0.group
    }

    fn engine(&self) -> &engine::Engine {
        self.0.engine.get_or_init(|| {
            let mut engine = engine::Engine::new();
            engine.add(self.group());
            engine
        })
    }
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        Self::parse(text)
    }
}

/// Two patterns are equal if they have the same fields and alternatives in the same order.
impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.group() == other.group()
    }
}

/// No number of a pattern is NaN.
impl Eq for Pattern {}

/// JSON without white space. [`Pattern::parse`] reads an equal pattern from it.
impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.group().fmt(f)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pattern({self})")
    }
}
