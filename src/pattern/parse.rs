//! Reads a pattern from its text. Each error says what is wrong, where, and what to write instead.

use std::net::IpAddr;

use super::{
    PatternError,
    ast::{Group, Member},
    error::cut,
    test::{Affix, Cidr, Endpoint, Number, Numeric, Test, double},
    wildcard::Wildcard,
};
use crate::json::{JsonError, Kind, Scanner};

/// The most bytes of a pattern's text.
const BYTES_MAX: usize = 64 << 10;
/// The most fields of a pattern, those of all branches of `$or` included.
const FIELDS_MAX: usize = 256;
/// The most alternatives of a field, each value under `anything-but` included.
const ALTERNATIVES_MAX: usize = 1_000;

const OPERATORS: [&str; 8] =
    ["prefix", "suffix", "equals-ignore-case", "wildcard", "anything-but", "numeric", "exists", "cidr"];

pub(super) fn parse(text: &str) -> Result<Group, PatternError> {
    let mut parser = Parser { scanner: Scanner::new(text.as_bytes()), path: Vec::new(), fields: 0 };
    parser.limit("bytes of text", text.len(), BYTES_MAX)?;
    // The whole text is well-formed, and not too deep, before the parser looks at any part.
    let mut whole = parser.scanner.clone();
    whole.skip(0)?;
    whole.end()?;
    let kind = parser.scanner.kind()?;
    if kind != Kind::Object {
        return Err(PatternError::NotAnObject { found: kind.describe() });
    }
    let group = parser.group(&mut Vec::new())?;
    group.check_combinations(parser.at())?;
    Ok(group)
}

struct Parser<'a> {
    scanner: Scanner<'a>,
    /// The keys down to where the scanner is.
    path: Vec<String>,
    fields: usize,
}

impl Parser<'_> {
    /// Reads the members of an object. `named` has the paths of the fields before, up to the next
    /// `$or` outwards.
    fn group(&mut self, named: &mut Vec<String>) -> Result<Group, PatternError> {
        let mut members = Vec::new();
        let mut keys: Vec<String> = Vec::new();
        self.scanner.open();
        while let Some(key) = self.scanner.key(keys.is_empty())? {
            let key = key.text().into_owned();
            self.path.push(key.clone());
            if keys.contains(&key) {
                return Err(PatternError::Duplicate { path: self.at() });
            }
            let name = key.as_str().into();
            members.push(match self.scanner.kind()? {
                Kind::Object => Member::Inner(name, self.group(named)?),
                Kind::Array if key == "$or" && is_or(self.scanner.clone())? => {
                    self.path.pop();
                    let branches = self.branches()?;
                    self.path.push(String::new());
                    Member::Or(branches)
                }
                Kind::Array => {
                    let path = self.path.join(".");
                    if named.contains(&path) {
                        return Err(PatternError::Duplicate { path: self.at() });
                    }
                    named.push(path);
                    self.fields += 1;
                    Member::Leaf(name, self.alternatives()?)
                }
                found => {
                    let text = self.value()?;
                    return Err(PatternError::NotAnArray { path: self.at(), found: found.describe(), text });
                }
            });
            self.path.pop();
            keys.push(key);
        }
        if members.is_empty() {
            return Err(PatternError::Empty { path: self.at(), what: "object" });
        }
        self.limit("fields", self.fields, FIELDS_MAX)?;
        Ok(Group(members.into_boxed_slice()))
    }

    /// Reads the objects under `$or`.
    fn branches(&mut self) -> Result<Box<[Group]>, PatternError> {
        let mut branches = Vec::new();
        self.scanner.open();
        while self.scanner.element(branches.is_empty())? {
            branches.push(self.group(&mut Vec::new())?);
        }
        Ok(branches.into_boxed_slice())
    }

    /// Reads the array of a field.
    fn alternatives(&mut self) -> Result<Box<[Test]>, PatternError> {
        let mut tests = Vec::new();
        self.scanner.open();
        let mut count = 0;
        while self.scanner.element(tests.is_empty())? {
            let test = match self.scanner.kind()? {
                Kind::Object => self.operator()?,
                _ => {
                    self.plain("a value", "a field's array holds strings, numbers, true, false, null and operators")?
                }
            };
            count += if let Test::But(tests) = &test { tests.len() } else { 1 };
            self.limit("alternatives", count, ALTERNATIVES_MAX)?;
            tests.push(test);
        }
        if tests.is_empty() {
            return Err(PatternError::Empty { path: self.at(), what: "array" });
        }
        Ok(tests.into_boxed_slice())
    }

    /// Reads an object that stands for a test.
    fn operator(&mut self) -> Result<Test, PatternError> {
        let (name, keys) = first_key(self.scanner.clone())?;
        if keys != 1 {
            return Err(PatternError::OperatorCount { path: self.at(), found: keys });
        }
        let Some(operator) = OPERATORS.into_iter().find(|operator| *operator == name) else {
            return Err(PatternError::UnknownOperator { path: self.at(), name: cut(&name) });
        };
        self.scanner.open();
        self.scanner.key(true)?;
        let test = match operator {
            "anything-but" => self.anything_but()?,
            "numeric" => self.numeric()?,
            "exists" => match self.scanner.kind()? {
                Kind::True => Test::Exists(true),
                Kind::False => Test::Exists(false),
                _ => return Err(self.operand(operator, "it takes true or false")),
            },
            _ => return self.textual(operator, true).and_then(|test| self.close(test)),
        };
        if operator == "exists" {
            self.scanner.skip(0)?;
        }
        self.close(test)
    }

    /// Steps over the end of an object whose only member was read.
    fn close(&mut self, test: Test) -> Result<Test, PatternError> {
        self.scanner.key(false)?;
        Ok(test)
    }

    /// Reads the operand of operators that take one string. `prefix` and `suffix` may take an
    /// `equals-ignore-case`.
    fn textual(&mut self, operator: &'static str, may_ignore_case: bool) -> Result<Test, PatternError> {
        let affix = matches!(operator, "prefix" | "suffix");
        let at_end = operator == "suffix";
        if affix && may_ignore_case && self.scanner.kind()? == Kind::Object {
            let expected = "it takes a string, or {\"equals-ignore-case\": a string}";
            let (name, keys) = first_key(self.scanner.clone())?;
            if keys != 1 || name != "equals-ignore-case" {
                return Err(self.operand(operator, expected));
            }
            self.scanner.open();
            self.scanner.key(true)?;
            let text = self.string(operator, expected)?;
            return self.close(Test::Affix(Affix { text, at_end, ignore_case: true }));
        }
        let expected = match operator {
            "cidr" => "it takes a block of addresses such as \"10.0.0.0/8\" or \"2001:db8::/32\"",
            _ => "it takes a string",
        };
        let before = self.scanner.clone();
        let text = self.string(operator, expected)?;
        match operator {
            "wildcard" => match Wildcard::parse(&text) {
                Ok(wildcard) => Ok(Test::Wildcard(wildcard)),
                Err(problem) => {
                    Err(PatternError::Operand { path: self.at(), operator, found: cut(&text), expected: problem })
                }
            },
            "cidr" => match cidr(&text) {
                Some(cidr) => Ok(Test::Cidr(cidr)),
                None => {
                    self.scanner = before;
                    Err(self.operand(operator, expected))
                }
            },
            "equals-ignore-case" => Ok(Test::SameLetters(text)),
            _ => Ok(Test::Affix(Affix { text, at_end, ignore_case: false })),
        }
    }

    fn anything_but(&mut self) -> Result<Test, PatternError> {
        const OPERATOR: &str = "anything-but";
        const EXPECTED: &str = "it takes a string, a number, an array of strings, an array of numbers, or one of prefix, suffix, \
                                wildcard and equals-ignore-case with a string or an array of strings";
        let tests = match self.scanner.kind()? {
            Kind::Object => {
                let (name, keys) = first_key(self.scanner.clone())?;
                let inner =
                    ["prefix", "suffix", "wildcard", "equals-ignore-case"].into_iter().find(|inner| *inner == name);
                let Some(inner) = inner.filter(|_| keys == 1) else { return Err(self.operand(OPERATOR, EXPECTED)) };
                self.scanner.open();
                self.scanner.key(true)?;
                let tests = self.one_or_more(OPERATOR, EXPECTED, |parser| {
                    let before = parser.scanner.clone();
                    let test = parser.textual(inner, false)?;
                    if matches!(&test, Test::Affix(affix) if affix.text.is_empty()) {
                        parser.scanner = before;
                        return Err(
                            parser.operand(inner, "every string has the empty string there, so no string could match")
                        );
                    }
                    Ok(test)
                })?;
                self.scanner.key(false)?;
                tests
            }
            _ => self.one_or_more(OPERATOR, EXPECTED, |parser| match parser.scanner.kind()? {
                Kind::String | Kind::Number => parser.plain(OPERATOR, EXPECTED),
                _ => Err(parser.operand(OPERATOR, EXPECTED)),
            })?,
        };
        let kinds = |test: &Test| matches!(test, Test::Number(_));
        if let Some(mixed) = tests.windows(2).find(|pair| kinds(&pair[0]) != kinds(&pair[1])) {
            let found = cut(&format!("both {} and {}", mixed[0], mixed[1]));
            return Err(PatternError::Operand { path: self.at(), operator: OPERATOR, found, expected: EXPECTED });
        }
        Ok(Test::But(tests.into_boxed_slice()))
    }

    /// Reads a value, or an array with at least one.
    fn one_or_more(
        &mut self,
        operator: &'static str,
        expected: &'static str,
        read: impl Fn(&mut Self) -> Result<Test, PatternError>,
    ) -> Result<Vec<Test>, PatternError> {
        if self.scanner.kind()? != Kind::Array {
            return Ok(vec![read(self)?]);
        }
        let whole = self.scanner.clone();
        let mut tests = Vec::new();
        self.scanner.open();
        while self.scanner.element(tests.is_empty())? {
            tests.push(read(self)?);
        }
        if tests.is_empty() {
            self.scanner = whole;
            return Err(self.operand(operator, expected));
        }
        Ok(tests)
    }

    /// Reads `[operator, number]`, or a lower and an upper bound.
    fn numeric(&mut self) -> Result<Test, PatternError> {
        const EXPECTED: &str = "it takes [operator, number] with = < <= > >=, or a lower and then an upper bound such as \
                                [\">\", 0, \"<=\", 5]";
        let whole = self.scanner.clone();
        let refuse = |parser: &mut Self, expected| {
            parser.scanner = whole.clone();
            parser.operand("numeric", expected)
        };
        if self.scanner.kind()? != Kind::Array {
            return Err(refuse(self, EXPECTED));
        }
        let mut parts: Vec<(String, Number)> = Vec::new();
        self.scanner.open();
        while self.scanner.element(parts.is_empty())? {
            if self.scanner.kind()? != Kind::String || parts.len() == 2 {
                return Err(refuse(self, EXPECTED));
            }
            let sign = self.scanner.string()?.text().into_owned();
            if !self.scanner.element(false)? || self.scanner.kind()? != Kind::Number {
                return Err(refuse(self, EXPECTED));
            }
            let number = number(self.scanner.number()?);
            if number.value.is_infinite() {
                return Err(refuse(self, "its number is beyond what a double holds"));
            }
            parts.push((sign, number));
        }
        let mut parts = parts.into_iter();
        let numeric = match (parts.next(), parts.next()) {
            (Some((sign, number)), None) => {
                let bound = |inclusive| Some(Endpoint { number: number.clone(), inclusive });
                match sign.as_str() {
                    "=" => Some(Numeric::Equal(number)),
                    ">" | ">=" => Some(Numeric::Between(bound(sign == ">="), None)),
                    "<" | "<=" => Some(Numeric::Between(None, bound(sign == "<="))),
                    _ => None,
                }
            }
            (Some((low, from)), Some((high, to))) if [">", ">="].contains(&&*low) && ["<", "<="].contains(&&*high) => {
                let (low, high) = (low == ">=", high == "<=");
                if from.value > to.value || from.value == to.value && !(low && high) {
                    return Err(refuse(self, "no number lies between these bounds"));
                }
                let bound = |number, inclusive| Some(Endpoint { number, inclusive });
                Some(Numeric::Between(bound(from, low), bound(to, high)))
            }
            _ => None,
        };
        numeric.map(Test::Numeric).ok_or_else(|| refuse(self, EXPECTED))
    }

    /// Reads a value that stands for itself.
    fn plain(&mut self, operator: &'static str, expected: &'static str) -> Result<Test, PatternError> {
        Ok(match self.scanner.kind()? {
            Kind::String => Test::Text(self.scanner.string()?.text().into()),
            Kind::Number => Test::Number(number(self.scanner.number()?)),
            Kind::Object | Kind::Array => return Err(self.operand(operator, expected)),
            literal => {
                self.scanner.literal(literal)?;
                match literal {
                    Kind::True => Test::True,
                    Kind::False => Test::False,
                    _ => Test::Null,
                }
            }
        })
    }

    fn string(&mut self, operator: &'static str, expected: &'static str) -> Result<Box<str>, PatternError> {
        if self.scanner.kind()? != Kind::String {
            return Err(self.operand(operator, expected));
        }
        Ok(self.scanner.string()?.text().into())
    }

    /// The error for a value that the operator does not take.
    fn operand(&mut self, operator: &'static str, expected: &'static str) -> PatternError {
        match self.value() {
            Ok(found) => PatternError::Operand { path: self.at(), operator, found, expected },
            Err(error) => error.into(),
        }
    }

    /// The text of the value here, cut.
    fn value(&mut self) -> Result<Box<str>, JsonError> {
        let start = self.scanner.offset();
        self.scanner.skip(0)?;
        Ok(cut(&String::from_utf8_lossy(self.scanner.since(start))))
    }

    fn limit(&self, what: &'static str, found: usize, limit: usize) -> Result<(), PatternError> {
        if found > limit { Err(PatternError::Limit { path: self.at(), what, found, limit }) } else { Ok(()) }
    }

    /// The path of the field that the parser is in.
    fn at(&self) -> Box<str> {
        if self.path.is_empty() { "(the pattern)".into() } else { cut(&self.path.join(".")) }
    }
}

/// Whether the array here is a choice between patterns: two objects or more, without operators as
/// keys.
fn is_or(mut scanner: Scanner<'_>) -> Result<bool, JsonError> {
    let mut objects = 0;
    scanner.open();
    while scanner.element(objects == 0)? {
        if scanner.kind()? != Kind::Object {
            return Ok(false);
        }
        scanner.open();
        let mut first = true;
        while let Some(key) = scanner.key(first)? {
            if OPERATORS.contains(&&*key.text()) {
                return Ok(false);
            }
            scanner.skip(0)?;
            first = false;
        }
        objects += 1;
    }
    Ok(objects > 1)
}

/// The first key of the object here, and the number of its keys.
fn first_key(mut scanner: Scanner<'_>) -> Result<(String, usize), JsonError> {
    let (mut name, mut keys) = (String::new(), 0);
    scanner.open();
    while let Some(key) = scanner.key(keys == 0)? {
        if keys == 0 {
            name = key.text().into_owned();
        }
        scanner.skip(0)?;
        keys += 1;
    }
    Ok((name, keys))
}

fn number(text: &[u8]) -> Number {
    // A number beyond all doubles becomes an infinity of its sign. Its text identifies it.
    let beyond = if text.starts_with(b"-") { f64::NEG_INFINITY } else { f64::INFINITY };
    Number { value: double(text).unwrap_or(beyond), text: String::from_utf8_lossy(text).into() }
}

fn cidr(text: &str) -> Option<Cidr> {
    let (address, len) = text.split_once('/')?;
    let address: IpAddr = address.parse().ok()?;
    let digits = len.bytes().all(|byte| byte.is_ascii_digit()) && (len == "0" || !len.starts_with('0'));
    let len: u8 = len.parse().ok().filter(|_| digits)?;
    (len <= if address.is_ipv6() { 128 } else { 32 }).then(|| Cidr::new(address, len))
}
