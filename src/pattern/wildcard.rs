//! The operator `wildcard`: a text in which each `*` stands for any run of characters.
//!
//! Invariant: `middle` has a finder for each piece except the first and the last.

use std::fmt;

use memchr::memmem::Finder;

/// The most `*` in one wildcard.
pub(super) const STARS_MAX: usize = 64;

/// The pieces between the stars. A match looks for each piece of the middle once, from the left. So
/// it reads a text once, whatever the number of stars.
#[derive(Clone, Debug)]
pub(super) struct Wildcard {
    /// One more piece than there are stars.
    pieces: Box<[Box<str>]>,
    middle: Box<[Finder<'static>]>,
}

impl PartialEq for Wildcard {
    fn eq(&self, other: &Self) -> bool {
        self.pieces == other.pieces
    }
}

impl Wildcard {
    /// Reads a wildcard. `\*` and `\\` stand for a star and a backslash.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let mut pieces = vec![String::new()];
        let mut piece = String::new();
        let mut characters = text.chars();
        let mut after_star = false;
        while let Some(character) = characters.next() {
            match character {
                '*' if after_star => return Err("two stars in a row; one already stands for any run"),
                '*' if pieces.len() > STARS_MAX => return Err("more than 64 stars"),
                '*' => {
                    if let Some(last) = pieces.last_mut() {
                        *last = std::mem::take(&mut piece);
                    }
                    pieces.push(String::new());
                }
                '\\' => match characters.next() {
                    Some(escaped @ ('*' | '\\')) => piece.push(escaped),
                    _ => return Err("a backslash that escapes neither * nor \\"),
                },
                plain => piece.push(plain),
            }
            after_star = character == '*';
        }
        if let Some(last) = pieces.last_mut() {
            *last = piece;
        }
        let pieces: Box<[Box<str>]> = pieces.into_iter().map(String::into_boxed_str).collect();
        let inner = pieces.get(1..pieces.len() - 1).unwrap_or_default();
        let middle = inner.iter().map(|piece| Finder::new(piece.as_bytes()).into_owned()).collect();
        Ok(Self { pieces, middle })
    }

    /// The beginning that the text must have.
    pub(super) fn first(&self) -> &str {
        &self.pieces[0]
    }

    /// The end that the text must have.
    pub(super) fn last(&self) -> &str {
        &self.pieces[self.pieces.len() - 1]
    }

    /// The longest piece, which the text must have somewhere.
    pub(super) fn longest(&self) -> &str {
        self.pieces.iter().max_by_key(|piece| piece.len()).map_or("", |piece| piece)
    }

    pub(super) fn holds(&self, text: &[u8]) -> bool {
        if self.pieces.len() == 1 {
            return text == self.first().as_bytes();
        }
        let rest = text.strip_prefix(self.first().as_bytes());
        let Some(mut rest) = rest.and_then(|rest| rest.strip_suffix(self.last().as_bytes())) else { return false };
        for piece in &self.middle {
            let Some(at) = piece.find(rest) else { return false };
            rest = &rest[at + piece.needle().len()..];
        }
        true
    }
}

/// As it was written.
impl fmt::Display for Wildcard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, piece) in self.pieces.iter().enumerate() {
            if at > 0 {
                f.write_str("*")?;
            }
            f.write_str(&piece.replace('\\', "\\\\").replace('*', "\\*"))?;
        }
        Ok(())
    }
}
