//! Explains why an event does not match: the first field that fails, what the pattern asks for
//! there, and what the event has.

use std::fmt;

use super::{
    MatchError, Matcher, Pattern,
    ast::{Field, List},
    engine::Engine,
    error::cut,
};
use crate::{
    event::Event,
    json::{Kind, Scanner, decode},
};

/// Whether an event matches, and if not, which field fails and why.
///
/// ```
/// use dormouse::{Explanation, Pattern};
///
/// let pattern = Pattern::parse(r#"{"type":["order"],"data":{"total":[{"numeric":[">",100]}]}}"#)?;
/// let explanation = pattern.explain(br#"{"type":"order","data":{"total":80}}"#)?;
/// assert!(matches!(&explanation, Explanation::Fails { field, .. } if field == "data.total"));
/// assert_eq!(explanation.to_string(), r#"data.total must be one of [{"numeric":[">",100]}], but is 80"#);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Explanation {
    /// The event matches.
    Matches,
    /// The event does not match.
    #[non_exhaustive]
    Fails {
        /// The first field that fails, with dots between its keys. With `$or`, it is the one of the
        /// combination of branches that gets furthest.
        field: String,
        /// What the field may be: the pattern's array.
        wanted: String,
        /// What is wrong.
        reason: Mismatch,
    },
}

/// What is wrong with a field.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mismatch {
    /// The field has no value: it is missing, or holds nothing but objects and empty arrays.
    Missing,
    /// The field has values and none matches, or the field should be absent.
    Value {
        /// The first value as JSON, cut at 256 bytes.
        found: String,
        /// How many there are.
        count: usize,
    },
    /// The field's values match, except that they stand in other elements of an array than those of
    /// the fields before.
    Element,
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Explanation::Fails { field, wanted, reason } = self else { return f.write_str("the event matches") };
        write!(f, "{field} must be one of {wanted}, but {reason}")
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("has no value"),
            Self::Value { found, count: 1 } => write!(f, "is {found}"),
            Self::Value { found, count } => write!(f, "is {found} and {} more", count - 1),
            Self::Element => f.write_str("is so only in other elements of an array than the fields before"),
        }
    }
}

pub(super) fn explain(pattern: &Pattern, json: &[u8]) -> Result<Explanation, MatchError> {
    let mut matcher = Matcher::new();
    pattern.engine().run(json, &mut matcher)?;
    explain_run(pattern, &mut matcher, json)
}

pub(super) fn explain_event(pattern: &Pattern, event: &Event) -> Result<Explanation, MatchError> {
    let mut matcher = Matcher::new();
    pattern.engine().run_event(event, &mut matcher)?;
    explain_run(pattern, &mut matcher, &event.to_json())
}

/// Explains what a run has found.
fn explain_run(pattern: &Pattern, matcher: &mut Matcher, json: &[u8]) -> Result<Explanation, MatchError> {
    if !matcher.found.is_empty() {
        return Ok(Explanation::Matches);
    }
    let engine = pattern.engine();
    let fields = pattern.group().fields();
    let conditions: Vec<u32> = fields.iter().map(|field| engine.known(&field.path, field.tests)).collect();
    // How many fields hold, the first that does not, and whether that one holds by itself.
    let mut furthest = (0, 0, false);
    for combination in pattern.group().combinations() {
        let chosen: Vec<u32> = combination.iter().map(|&field| conditions[field]).collect();
        let mut holding = 0;
        while holding + 1 < chosen.len()
            && matcher.may_hold(engine, chosen[holding])
            && matcher.is_consistent(engine, &chosen[..=holding])?
        {
            holding += 1;
        }
        let alone = matcher.holds(engine, chosen[holding]);
        if holding >= furthest.0 {
            furthest = (holding, combination[holding], alone);
        }
    }
    let (_, at, alone) = furthest;
    let Field { path, tests } = &fields[at];
    let reason = match values(engine, json, path)? {
        _ if alone => Mismatch::Element,
        (None, _) => Mismatch::Missing,
        (Some(found), count) => Mismatch::Value { found, count },
    };
    Ok(Explanation::Fails { field: path.clone(), wanted: List(tests).to_string(), reason })
}

/// The first value of a field, and how many it has.
fn values(engine: &Engine, json: &[u8], path: &str) -> Result<(Option<String>, usize), MatchError> {
    let mut values = Values { engine, target: engine.trie.node(path), first: None, count: 0 };
    values.walk(&mut Scanner::new(json), 0, 0)?;
    Ok((values.first, values.count))
}

struct Values<'e> {
    engine: &'e Engine,
    target: u32,
    first: Option<String>,
    count: usize,
}

impl Values<'_> {
    /// Reads a value that stands at a node. It is well-formed, as the run has read it before.
    fn walk(&mut self, scanner: &mut Scanner<'_>, node: u32, level: u32) -> Result<(), MatchError> {
        let start = scanner.offset();
        let mut first = true;
        let trie = &self.engine.trie;
        match scanner.kind()? {
            Kind::Object if !trie.nodes[node as usize].has_children() => scanner.pass(level)?,
            Kind::Object => {
                scanner.open();
                while let Some(key) = scanner.key(first)? {
                    first = false;
                    match trie.find(&trie.nodes[node as usize], decode(key, &mut Vec::new())) {
                        None => scanner.pass(level + 1)?,
                        Some(child) => self.walk(scanner, child, level + 1)?,
                    }
                }
            }
            Kind::Array => {
                scanner.open();
                while scanner.element(first)? {
                    first = false;
                    self.walk(scanner, node, level + 1)?;
                }
            }
            _ => {
                scanner.skip(level)?;
                if node == self.target {
                    self.count += 1;
                    self.first.get_or_insert_with(|| cut(&String::from_utf8_lossy(scanner.since(start))).into());
                }
            }
        }
        Ok(())
    }
}
