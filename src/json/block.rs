//! Sixteen bytes at a time, and sixty-four: which of them are quotes, digits, brackets.

use wide::u8x16;

/// Bytes of a [`Block`].
pub(super) const BLOCK: usize = 16;
/// Bytes of a [`Wide`].
pub(super) const WIDE: usize = 64;

/// Sixteen bytes of a text. The lowest bit of an answer stands for the first.
#[derive(Clone, Copy)]
pub(super) struct Block(u8x16);

impl Block {
    /// None near the end of the text.
    #[inline(always)]
    pub(super) fn at(bytes: &[u8], at: usize) -> Option<Self> {
        let block: [u8; BLOCK] = bytes.get(at..at + BLOCK)?.try_into().ok()?;
        Some(Self(u8x16::from(block)))
    }

    /// Bytes of the string that begins here, if it ends here and is printable ASCII without escapes: most are.
    #[inline(always)]
    pub(super) fn plain_string(self) -> Option<usize> {
        let quotes = self.0.cmp_eq(u8x16::splat(b'"')).move_mask() as u32;
        let control = self.0.min(u8x16::splat(0x1f)).cmp_eq(self.0);
        // The mask is made of the highest bits, which bytes beyond ASCII have.
        let special = (control | self.0.cmp_eq(u8x16::splat(b'\\')) | self.0).move_mask() as u32;
        // The bits below the first quote.
        let before = (quotes & quotes.wrapping_neg()).wrapping_sub(1);
        (quotes != 0 && special & before == 0).then(|| quotes.trailing_zeros() as usize)
    }

    /// What a string may not just contain: quotes, backslashes, control characters.
    #[inline(always)]
    pub(super) fn specials(self) -> u32 {
        let control = self.0.min(u8x16::splat(0x1f)).cmp_eq(self.0);
        (control | self.0.cmp_eq(u8x16::splat(b'"')) | self.0.cmp_eq(u8x16::splat(b'\\'))).move_mask() as u32
    }

    /// Bytes of characters beyond ASCII.
    #[inline(always)]
    pub(super) fn high(self) -> u32 {
        self.0.move_mask() as u32
    }

    #[inline(always)]
    pub(super) fn digits(self) -> u32 {
        let from = self.0.max(u8x16::splat(b'0')).cmp_eq(self.0);
        let to = self.0.min(u8x16::splat(b'9')).cmp_eq(self.0);
        (from & to).move_mask() as u32
    }
}

/// Sixty-four bytes of a text.
#[derive(Clone, Copy)]
pub(super) struct Wide([u8x16; WIDE / BLOCK]);

impl Wide {
    #[inline(always)]
    pub(super) fn of(bytes: &[u8; WIDE]) -> Self {
        Self(std::array::from_fn(|number| {
            let mut block = [0; BLOCK];
            block.copy_from_slice(&bytes[number * BLOCK..][..BLOCK]);
            u8x16::from(block)
        }))
    }

    #[inline(always)]
    pub(super) fn quotes(&self) -> u64 {
        self.mask(|block| block.cmp_eq(u8x16::splat(b'"')))
    }

    #[inline(always)]
    pub(super) fn backslashes(&self) -> u64 {
        let backslash = |block: u8x16| block.cmp_eq(u8x16::splat(b'\\'));
        // Hardly any text has one: one question for all blocks is enough then.
        let any = self.0.into_iter().fold(u8x16::splat(0), |any, block| any | backslash(block));
        if any.move_mask() == 0 { 0 } else { self.mask(backslash) }
    }

    /// Brackets of all four kinds, and some bytes that stand in strings only: see [`nesting`].
    #[inline(always)]
    pub(super) fn brackets(&self) -> u64 {
        self.mask(|block| (block | u8x16::splat(0x26)).cmp_eq(u8x16::splat(0x7f)))
    }

    #[inline(always)]
    fn mask(&self, of: impl Fn(u8x16) -> u8x16) -> u64 {
        let blocks = self.0.into_iter().enumerate();
        blocks.fold(0, |mask, (at, block)| mask | u64::from(of(block).move_mask() as u32) << (at * BLOCK))
    }
}

/// Levels that one of [`Wide::brackets`] opens, and closes: `[` and `{` have the second bit, `]` and `}` the third, the other bytes
/// both or neither.
#[inline(always)]
pub(super) fn nesting(byte: u8) -> (u32, u32) {
    (u32::from(byte >> 1 & 1), u32::from(byte >> 2 & 1))
}

/// Which characters of a text have a backslash before them that counts, from one block to the next.
#[derive(Default)]
pub(super) struct Escapes {
    /// The first character of the next block has one.
    next: bool,
}

impl Escapes {
    /// Backslashes in a row escape each other: of a run, every second one is escaped, and what follows a run of odd length is. A
    /// run that begins at an odd place is told by adding: the carry ends where the run does, at an even or odd place.
    #[inline(always)]
    pub(super) fn of(&mut self, backslashes: u64) -> u64 {
        const EVEN: u64 = 0x5555_5555_5555_5555;
        let first = u64::from(std::mem::take(&mut self.next));
        if backslashes == 0 {
            return first;
        }
        let backslashes = backslashes & !first;
        let follows = backslashes << 1 | first;
        let odd_starts = backslashes & !EVEN & !follows;
        let (ends, carry) = odd_starts.overflowing_add(backslashes);
        self.next = carry;
        (EVEN ^ (ends << 1)) & follows
    }
}

/// From each quote to the next: a bit is set if an odd number of quotes stands at it and below.
#[inline(always)]
pub(super) fn between(quotes: u64) -> u64 {
    let mut within = quotes;
    for shift in [1, 2, 4, 8, 16, 32] {
        within ^= within << shift;
    }
    within
}
