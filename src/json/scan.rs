//! The scanner, which walks over a JSON text once.
//!
//! Invariant: what the scanner has walked over is well-formed. The exception is [`Scanner::pass`],
//! for values that nobody asks for.

use super::{
    JsonError, JsonProblem, Kind, Raw,
    block::{BLOCK, Block, Escapes, Masks, WIDE, between, nesting},
    member::Member,
};

/// Levels of arrays and objects at most.
pub(crate) const LEVELS_MAX: u32 = 256;

/// A position in a JSON text.
#[derive(Clone)]
pub(crate) struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Scanner<'a> {
    /// A scanner that stands before the one value of a text.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        let mut scanner = Self { bytes, at: 0 };
        scanner.skip_space();
        scanner
    }

    /// Bytes walked over.
    pub(crate) fn offset(&self) -> usize {
        self.at
    }

    /// The text from an earlier offset to here.
    pub(crate) fn since(&self, from: usize) -> &'a [u8] {
        &self.bytes[from..self.at]
    }

    /// The kind of the value that begins here.
    #[inline(always)]
    pub(crate) fn kind(&self) -> Result<Kind, JsonError> {
        Ok(match self.bytes.get(self.at) {
            Some(b'"') => Kind::String,
            Some(b'-' | b'0'..=b'9') => Kind::Number,
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::Array,
            Some(b't') => Kind::True,
            Some(b'f') => Kind::False,
            Some(b'n') => Kind::Null,
            _ => return Err(self.missing(JsonProblem::Value)),
        })
    }

    /// Walks over the end of the text: only white space may be left.
    pub(crate) fn end(&mut self) -> Result<(), JsonError> {
        self.skip_space();
        if self.at < self.bytes.len() { Err(self.error(JsonProblem::Trailing)) } else { Ok(()) }
    }

    /// Walks over `{` or `[` and the space behind it. The caller has seen the bracket.
    #[inline(always)]
    pub(crate) fn open(&mut self) {
        self.at += 1;
        self.skip_space();
    }

    /// Walks over the next key of an object and its colon, to its value. `None` at the object's
    /// end, which is walked over.
    #[inline(always)]
    pub(crate) fn key(&mut self, first: bool) -> Result<Option<Raw<'a>>, JsonError> {
        if first {
            if self.bytes.get(self.at) == Some(&b'}') {
                self.at += 1;
                return Ok(None);
            }
        } else {
            self.skip_space();
            match self.bytes.get(self.at) {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(None);
                }
                _ => return Err(self.missing(JsonProblem::Comma)),
            }
            self.skip_space();
        }
        if self.bytes.get(self.at) != Some(&b'"') {
            return Err(self.missing(JsonProblem::Key));
        }
        let key = self.string()?;
        self.colon()?;
        Ok(Some(key))
    }

    /// Walks over all members that are not wanted, to the value of the next wanted one. Begins
    /// before an object's brace or behind the value of a member. Returns what `want` gave for the
    /// member. `None` at the object's end, which is walked over.
    #[inline(always)]
    pub(crate) fn wanted<T>(
        &mut self,
        mut first: bool,
        level: u32,
        mut want: impl FnMut(Raw<'a>) -> Option<T>,
    ) -> Result<Option<T>, JsonError> {
        loop {
            // Short members are passed in registers: `self.at` would go through memory each time.
            let mut at = self.at;
            let found = loop {
                let Some(member) = Member::at(self.bytes, at, first) else {
                    self.at = at;
                    if first {
                        self.open();
                    }
                    let Some(key) = self.key(first)? else { return Ok(None) };
                    break want(key);
                };
                first = false;
                let found = want(Raw { bytes: member.key, escaped: false });
                match member.whole() {
                    Some(len) if found.is_none() => at += len,
                    _ => {
                        self.at = at + member.value();
                        self.skip_space();
                        break found;
                    }
                }
            };
            if found.is_some() {
                return Ok(found);
            }
            first = false;
            self.pass(level)?;
        }
    }

    /// Walks to the next element of an array. `false` at the array's end, which is walked over.
    #[inline(always)]
    pub(crate) fn element(&mut self, first: bool) -> Result<bool, JsonError> {
        if !first {
            self.skip_space();
        }
        match self.bytes.get(self.at) {
            Some(b']') => {
                self.at += 1;
                return Ok(false);
            }
            Some(b',') if !first => {
                self.at += 1;
                self.skip_space();
            }
            _ if first => {}
            _ => return Err(self.missing(JsonProblem::Comma)),
        }
        Ok(true)
    }

    /// Walks over a string. The caller has seen its quote.
    #[inline(always)]
    pub(crate) fn string(&mut self) -> Result<Raw<'a>, JsonError> {
        let start = self.at + 1;
        let escaped = match Block::at(self.bytes, start).and_then(Block::plain_string) {
            Some(len) => {
                self.at = start + len + 1;
                false
            }
            None => self.any_string(start)?,
        };
        Ok(Raw { bytes: &self.bytes[start..self.at - 1], escaped })
    }

    /// Walks over a string that is long, near the end of the text, or not plain. Returns whether
    /// there are escapes in it. A `Raw` would go through memory from here, in pieces, and cost more
    /// than all the rest.
    #[inline(never)]
    fn any_string(&mut self, start: usize) -> Result<bool, JsonError> {
        let mut at = start;
        let mut escaped = false;
        let mut high = 0;
        loop {
            let stop = if let Some(block) = Block::at(self.bytes, at) {
                let found = block.specials();
                if found == 0 {
                    high |= block.high();
                    at += BLOCK;
                    continue;
                }
                let before = found.trailing_zeros();
                high |= block.high() & ((1 << before) - 1);
                at += before as usize;
                self.bytes[at]
            } else {
                match self.bytes.get(at) {
                    Some(&byte) if byte < 0x20 || byte == b'"' || byte == b'\\' => byte,
                    Some(&byte) => {
                        high |= u32::from(byte & 0x80);
                        at += 1;
                        continue;
                    }
                    None => return Err(JsonError::new(at, JsonProblem::End)),
                }
            };
            match stop {
                b'"' => break,
                b'\\' => {
                    escaped = true;
                    at = self.escape(at)?;
                }
                _ => return Err(JsonError::new(at, JsonProblem::Control)),
            }
        }
        let bytes = &self.bytes[start..at];
        if high != 0 {
            check_utf8(bytes, start)?;
        }
        self.at = at + 1;
        Ok(escaped)
    }

    /// Walks over a number and returns it as it is written. The caller has seen its first byte.
    #[inline(always)]
    pub(crate) fn number(&mut self) -> Result<&'a [u8], JsonError> {
        let start = self.at;
        let mut at = start;
        if self.bytes[at] == b'-' {
            at += 1;
        }
        match self.bytes.get(at) {
            Some(b'0') => at += 1,
            Some(b'1'..=b'9') => at = self.digits(at + 1),
            _ => return Err(self.bad_number(at)),
        }
        let mut next = self.bytes.get(at);
        if next == Some(&b'.') {
            let from = at + 1;
            at = self.digits(from);
            if at == from {
                return Err(self.bad_number(at));
            }
            next = self.bytes.get(at);
        }
        if let Some(b'e' | b'E') = next {
            at += 1;
            if let Some(b'+' | b'-') = self.bytes.get(at) {
                at += 1;
            }
            let from = at;
            at = self.digits(from);
            if at == from {
                return Err(self.bad_number(at));
            }
        } else if let Some(b'0'..=b'9') = next {
            // A leading zero.
            return Err(self.bad_number(at));
        }
        self.at = at;
        Ok(&self.bytes[start..at])
    }

    /// Walks over `true`, `false` or `null`. The caller has seen the first byte.
    #[inline(always)]
    pub(crate) fn literal(&mut self, kind: Kind) -> Result<(), JsonError> {
        let word: &[u8] = match kind {
            Kind::True => b"true",
            Kind::False => b"false",
            _ => b"null",
        };
        let rest = &self.bytes[self.at..];
        if !rest.starts_with(word) {
            let same = rest.iter().zip(word).take_while(|(a, b)| a == b).count();
            let problem = if same == rest.len() { JsonProblem::End } else { JsonProblem::Value };
            return Err(JsonError::new(self.at + same, problem));
        }
        self.at += word.len();
        Ok(())
    }

    /// Walks over a value that nobody asks for, within `level` arrays and objects. Of arrays and
    /// objects this reads only strings and brackets. It does not check that brackets are of one
    /// kind.
    #[inline(always)]
    pub(crate) fn pass(&mut self, level: u32) -> Result<(), JsonError> {
        match self.kind()? {
            Kind::String => self.string().map(drop),
            Kind::Number => self.number().map(drop),
            Kind::Object | Kind::Array => self.pass_nested(level),
            literal => self.literal(literal),
        }
    }

    fn pass_nested(&mut self, level: u32) -> Result<(), JsonError> {
        let mut at = self.at;
        let mut open: u32 = 0;
        let mut escapes = Escapes::default();
        // All bits are set if the bytes before end within a string.
        let mut in_string = 0;
        while at < self.bytes.len() {
            let Masks { quotes, backslashes, brackets } = Masks::at(self.bytes, at);
            let strings = between(quotes & !escapes.of(backslashes)) ^ in_string;
            in_string = if strings >> 63 == 1 { u64::MAX } else { 0 };
            let mut brackets = brackets & !strings;
            while brackets != 0 {
                let within = at + brackets.trailing_zeros() as usize;
                brackets &= brackets - 1;
                // This has no branch, as the processor cannot guess which of the two it is.
                let (opens, closes) = nesting(self.bytes[within]);
                open = open + opens - closes;
                // No level is open, or too many are: one question for both.
                if open.wrapping_sub(1) >= LEVELS_MAX - level {
                    self.at = within;
                    if open > 0 {
                        return Err(self.error(JsonProblem::Depth));
                    }
                    self.at += 1;
                    return Ok(());
                }
            }
            at += WIDE;
        }
        Err(JsonError::new(self.bytes.len(), JsonProblem::End))
    }

    /// Walks over a whole value that stands within `level` arrays and objects.
    pub(crate) fn skip(&mut self, level: u32) -> Result<(), JsonError> {
        // A bit for each open level: set if it is an object.
        let mut objects = [0u64; (LEVELS_MAX / 64) as usize];
        let mut open = level;
        let mut object = false;
        loop {
            // Before a value.
            match self.kind()? {
                Kind::String => {
                    self.string()?;
                }
                Kind::Number => {
                    self.number()?;
                }
                kind @ (Kind::Object | Kind::Array) => {
                    if open == LEVELS_MAX {
                        return Err(self.error(JsonProblem::Depth));
                    }
                    let (word, bit) = ((open / 64) as usize, open % 64);
                    object = kind == Kind::Object;
                    objects[word] = objects[word] & !(1 << bit) | u64::from(object) << bit;
                    open += 1;
                    self.open();
                    if object {
                        if self.key(true)?.is_some() {
                            continue;
                        }
                    } else if self.element(true)? {
                        continue;
                    }
                    open -= 1;
                    object = open > level && is_set(&objects, open - 1);
                }
                literal => self.literal(literal)?,
            }
            // After a value.
            loop {
                if open == level {
                    return Ok(());
                }
                let more = if object { self.key(false)?.is_some() } else { self.element(false)? };
                if more {
                    break;
                }
                open -= 1;
                object = open > level && is_set(&objects, open - 1);
            }
        }
    }

    /// An error here.
    #[cold]
    pub(crate) fn error(&self, problem: JsonProblem) -> JsonError {
        JsonError::new(self.at, problem)
    }

    /// An error that something else should stand here. At the end of the text: that it ends.
    #[cold]
    fn missing(&self, problem: JsonProblem) -> JsonError {
        self.error(if self.at < self.bytes.len() { problem } else { JsonProblem::End })
    }

    #[cold]
    fn bad_number(&self, at: usize) -> JsonError {
        JsonError::new(at, if at < self.bytes.len() { JsonProblem::Number } else { JsonProblem::End })
    }

    #[inline(always)]
    fn colon(&mut self) -> Result<(), JsonError> {
        self.skip_space();
        if self.bytes.get(self.at) != Some(&b':') {
            return Err(self.missing(JsonProblem::Colon));
        }
        self.at += 1;
        self.skip_space();
        Ok(())
    }

    #[inline(always)]
    fn skip_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.bytes.get(self.at) {
            self.at += 1;
        }
    }

    /// The offset behind the digits that begin at `at`.
    #[inline(always)]
    fn digits(&self, mut at: usize) -> usize {
        while let Some(block) = Block::at(self.bytes, at) {
            let other = !block.digits();
            if other & 0xffff != 0 {
                return at + other.trailing_zeros() as usize;
            }
            at += BLOCK;
        }
        while let Some(b'0'..=b'9') = self.bytes.get(at) {
            at += 1;
        }
        at
    }

    /// Walks over the escape whose backslash stands at `at`. Returns the offset behind it.
    #[cold]
    fn escape(&self, at: usize) -> Result<usize, JsonError> {
        match self.bytes.get(at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(at + 2),
            Some(b'u') => match self.unit(at)? {
                0xd800..=0xdbff => {
                    let paired =
                        self.bytes.get(at + 6..at + 8) == Some(b"\\u") && matches!(self.unit(at + 6)?, 0xdc00..=0xdfff);
                    if paired { Ok(at + 12) } else { Err(JsonError::new(at, JsonProblem::Surrogate)) }
                }
                0xdc00..=0xdfff => Err(JsonError::new(at, JsonProblem::Surrogate)),
                _ => Ok(at + 6),
            },
            Some(_) => Err(JsonError::new(at, JsonProblem::Escape)),
            None => Err(JsonError::new(at + 1, JsonProblem::End)),
        }
    }

    /// The four digits of the escape `\uXXXX` at `at`.
    fn unit(&self, at: usize) -> Result<u16, JsonError> {
        let mut unit = 0;
        for digit in at + 2..at + 6 {
            let byte = *self.bytes.get(digit).ok_or(JsonError::new(digit, JsonProblem::End))?;
            let value = char::from(byte).to_digit(16).ok_or(JsonError::new(at, JsonProblem::Escape))?;
            unit = unit << 4 | value as u16;
        }
        Ok(unit)
    }
}

fn is_set(bits: &[u64], bit: u32) -> bool {
    bits[(bit / 64) as usize] >> (bit % 64) & 1 == 1
}

#[cold]
fn check_utf8(bytes: &[u8], offset: usize) -> Result<(), JsonError> {
    match std::str::from_utf8(bytes) {
        Ok(_) => Ok(()),
        Err(error) => Err(JsonError::new(offset + error.valid_up_to(), JsonProblem::Utf8)),
    }
}
