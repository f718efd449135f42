//! One alternative of a field, and whether a single value satisfies it. The index in `values` finds
//! the same answers for many alternatives at once.

use std::{borrow::Cow, fmt, net::IpAddr};

use super::{fold::fold_into, wildcard::Wildcard};
use crate::json::write_string;

/// A value without parts, as it stands in an event.
#[derive(Clone, Copy, Debug)]
pub(super) enum Scalar<'a> {
    /// Without quotes and escapes.
    Text(&'a [u8]),
    Number(&'a [u8]),
    True,
    False,
    Null,
}

/// A number as it is written and as the nearest double.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Number {
    pub(super) text: Box<str>,
    pub(super) value: f64,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Test {
    Null,
    True,
    False,
    Text(Box<str>),
    Number(Number),
    Affix(Affix),
    /// `equals-ignore-case`.
    SameLetters(Box<str>),
    Wildcard(Wildcard),
    /// `anything-but`: tests of one kind. It holds if none of them holds.
    But(Box<[Test]>),
    Numeric(Numeric),
    Exists(bool),
    Cidr(Cidr),
}

/// `prefix` or `suffix`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Affix {
    pub(super) text: Box<str>,
    pub(super) at_end: bool,
    pub(super) ignore_case: bool,
}

/// `numeric`.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Numeric {
    Equal(Number),
    /// A lower bound, an upper bound, or both.
    Between(Option<Endpoint>, Option<Endpoint>),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Endpoint {
    pub(super) number: Number,
    pub(super) inclusive: bool,
}

/// `cidr`: the bits that count, from the highest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Cidr {
    pub(super) bits: u128,
    pub(super) len: u8,
    pub(super) v6: bool,
}

impl Test {
    /// Whether the value satisfies the test. `exists` asks for any value, or for none.
    pub(super) fn holds(&self, value: Scalar<'_>) -> bool {
        match (self, value) {
            (Test::Exists(exists), _) => *exists,
            (Test::But(tests), _) => !tests.iter().any(|test| test.holds(value)),
            (Test::Null, Scalar::Null) | (Test::True, Scalar::True) | (Test::False, Scalar::False) => true,
            (Test::Text(wanted), Scalar::Text(text)) => wanted.as_bytes() == text,
            (Test::Affix(affix), Scalar::Text(text)) => affix.holds(text),
            (Test::SameLetters(wanted), Scalar::Text(text)) => folded(wanted.as_bytes()) == folded(text),
            (Test::Wildcard(wildcard), Scalar::Text(text)) => wildcard.holds(text),
            (Test::Cidr(cidr), Scalar::Text(text)) => cidr.holds(text),
            (Test::Number(wanted), Scalar::Number(text)) => wanted.is(text),
            (Test::Numeric(numeric), Scalar::Number(text)) => double(text).is_some_and(|value| numeric.holds(value)),
            _ => false,
        }
    }
}

impl Number {
    /// Whether a number is the same. Numbers compare as doubles, and beyond all doubles by their
    /// text.
    fn is(&self, text: &[u8]) -> bool {
        match double(text) {
            Some(value) => value == self.value,
            None => self.text.as_bytes() == text,
        }
    }
}

impl Affix {
    fn holds(&self, text: &[u8]) -> bool {
        let (text, affix) = if self.ignore_case {
            (folded(text), folded(self.text.as_bytes()))
        } else {
            (Cow::Borrowed(text), Cow::Borrowed(self.text.as_bytes()))
        };
        if self.at_end { text.ends_with(&affix) } else { text.starts_with(&affix) }
    }
}

impl Numeric {
    fn holds(&self, value: f64) -> bool {
        match self {
            Numeric::Equal(number) => value == number.value,
            Numeric::Between(low, high) => {
                let above =
                    |bound: &Endpoint| value > bound.number.value || bound.inclusive && value == bound.number.value;
                let below =
                    |bound: &Endpoint| value < bound.number.value || bound.inclusive && value == bound.number.value;
                low.as_ref().is_none_or(above) && high.as_ref().is_none_or(below)
            }
        }
    }
}

impl Cidr {
    pub(super) fn new(address: IpAddr, len: u8) -> Self {
        let (bits, v6) = match address {
            IpAddr::V4(address) => (u128::from(address.to_bits()) << 96, false),
            IpAddr::V6(address) => (address.to_bits(), true),
        };
        // For /0, of which no bit counts, the shift is 128.
        let mask = u128::MAX.checked_shl(128 - u32::from(len)).unwrap_or(0);
        Self { bits: bits & mask, len, v6 }
    }

    fn holds(&self, text: &[u8]) -> bool {
        let address = std::str::from_utf8(text).ok().and_then(|text| text.parse::<IpAddr>().ok());
        address.is_some_and(|address| address.is_ipv6() == self.v6 && Cidr::new(address, self.len) == *self)
    }
}

/// The double nearest to a JSON number. `None` if it is infinite. Minus zero becomes zero.
pub(super) fn double(text: &[u8]) -> Option<f64> {
    let value: f64 = match short(text) {
        Some(value) => value,
        None => std::str::from_utf8(text).ok()?.parse().ok()?,
    };
    value.is_finite().then_some(value + 0.0)
}

/// The same for numbers of at most 15 digits without exponent, faster. Doubles hold the digits as
/// one integer, and the power of ten that divides it, without loss. So the quotient is the nearest
/// double.
#[inline]
fn short(text: &[u8]) -> Option<f64> {
    const DIGITS_MAX: usize = 15;
    const POWERS: [f64; DIGITS_MAX + 1] =
        [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if digits.len() > DIGITS_MAX + 1 {
        return None;
    }
    let (mut whole, mut point) = (0_u64, None);
    for (at, &byte) in digits.iter().enumerate() {
        match byte {
            b'0'..=b'9' => whole = whole * 10 + u64::from(byte - b'0'),
            b'.' => point = Some(at),
            _ => return None,
        }
    }
    let (count, fraction) = point.map_or((digits.len(), 0), |at| (digits.len() - 1, digits.len() - 1 - at));
    if count > DIGITS_MAX {
        return None;
    }
    let value = whole as f64 / POWERS[fraction];
    Some(if negative { -value } else { value })
}

fn folded(text: &[u8]) -> Cow<'_, [u8]> {
    let mut room = Vec::new();
    fold_into(text, &mut room);
    Cow::Owned(room)
}

/// The test as JSON.
impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Test::Null => f.write_str("null"),
            Test::True => f.write_str("true"),
            Test::False => f.write_str("false"),
            Test::Text(text) => f.write_str(&quoted(text)),
            Test::Number(number) => f.write_str(&number.text),
            Test::But(tests) => write!(f, "{{\"anything-but\":{}}}", Operands(tests)),
            Test::Exists(exists) => write!(f, "{{\"exists\":{exists}}}"),
            Test::Numeric(Numeric::Equal(number)) => write!(f, "{{\"numeric\":[\"=\",{}]}}", number.text),
            Test::Numeric(Numeric::Between(low, high)) => {
                let bound = |sign: char, bound: &Option<Endpoint>| {
                    bound.as_ref().map(|bound| {
                        let or_equal = if bound.inclusive { "=" } else { "" };
                        format!("\"{sign}{or_equal}\",{}", bound.number.text)
                    })
                };
                let bounds: Vec<String> = [bound('>', low), bound('<', high)].into_iter().flatten().collect();
                write!(f, "{{\"numeric\":[{}]}}", bounds.join(","))
            }
            operator => write!(f, "{{\"{}\":{}}}", operator.name(), operator.operand()),
        }
    }
}

impl Test {
    /// The operator's name, for operators that take one operand.
    fn name(&self) -> &'static str {
        match self {
            Test::Affix(affix) if affix.at_end => "suffix",
            Test::Affix(_) => "prefix",
            Test::SameLetters(_) => "equals-ignore-case",
            Test::Wildcard(_) => "wildcard",
            _ => "cidr",
        }
    }

    /// The operand as JSON.
    fn operand(&self) -> String {
        match self {
            Test::Affix(affix) if affix.ignore_case => format!("{{\"equals-ignore-case\":{}}}", quoted(&affix.text)),
            Test::Affix(affix) => quoted(&affix.text),
            Test::SameLetters(text) => quoted(text),
            Test::Wildcard(wildcard) => quoted(&wildcard.to_string()),
            Test::Cidr(cidr) => format!("\"{cidr}\""),
            plain => plain.to_string(),
        }
    }
}

/// The operand of `anything-but`.
struct Operands<'a>(&'a [Test]);

impl fmt::Display for Operands<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let operands: Vec<String> = self.0.iter().map(Test::operand).collect();
        let operands = if let [one] = &operands[..] { one.clone() } else { format!("[{}]", operands.join(",")) };
        match self.0.first() {
            Some(Test::Text(_) | Test::Number(_)) | None => f.write_str(&operands),
            Some(test) => write!(f, "{{\"{}\":{operands}}}", test.name()),
        }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.v6 {
            write!(f, "{}/{}", std::net::Ipv6Addr::from_bits(self.bits), self.len)
        } else {
            write!(f, "{}/{}", std::net::Ipv4Addr::from_bits((self.bits >> 96) as u32), self.len)
        }
    }
}

/// A text as JSON.
pub(super) fn quoted(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len() + 2);
    write_string(&mut out, text);
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_numbers_are_read_as_the_standard_library_reads_them() {
        let mut state = 1_u64;
        for _ in 0..200_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let digits = (state >> 33) % 1_000_000 * (state % 1_000_000_007);
            let mut text = format!("{}{digits}", if state >> 63 == 1 { "-" } else { "" });
            let at = text.len() - (state >> 40) as usize % digits.to_string().len();
            if state >> 62 & 1 == 1 && at < text.len() {
                text.insert(at, '.');
            }
            let expected: f64 = text.parse().unwrap();
            assert_eq!(double(text.as_bytes()), Some(expected + 0.0), "{text}");
        }
        for text in
            ["0", "-0", "0.0", "-0.000000000000", "999999999999999", "99999999999999.9", "1e5", "0.000000000000001"]
        {
            let expected: f64 = text.parse().unwrap();
            assert_eq!(double(text.as_bytes()).map(f64::to_bits), Some((expected + 0.0).to_bits()), "{text}");
        }
    }
}
