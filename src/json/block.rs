//! Sixteen bytes at a time, and sixty-four: which of them are quotes, digits, brackets.

use wide::u8x16;

/// Bytes of a [`Block`].
pub(super) const BLOCK: usize = 16;
/// Bytes of [`Masks`].
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

    /// Bytes of the string that begins here, if it ends here and is plain.
    #[inline(always)]
    pub(super) fn plain_string(self) -> Option<usize> {
        let quotes = self.quotes();
        (quotes != 0 && self.odd() & below(quotes) == 0).then(|| quotes.trailing_zeros() as usize)
    }

    #[inline(always)]
    pub(super) fn quotes(self) -> u32 {
        self.0.cmp_eq(u8x16::splat(b'"')).move_mask() as u32
    }

    /// What is not printable ASCII without escapes, which is plain: most strings are.
    #[inline(always)]
    pub(super) fn odd(self) -> u32 {
        let control = self.0.min(u8x16::splat(0x1f)).cmp_eq(self.0);
        // The mask is made of the highest bits, which bytes beyond ASCII have.
        (control | self.0.cmp_eq(u8x16::splat(b'\\')) | self.0).move_mask() as u32
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

/// The bits below the lowest one; all, if there is none.
#[inline(always)]
pub(super) fn below(bits: u32) -> u32 {
    !bits & bits.wrapping_sub(1)
}

/// What stands where in sixty-four bytes of a text.
pub(super) struct Masks {
    pub(super) quotes: u64,
    pub(super) backslashes: u64,
    /// Brackets of all four kinds, and some bytes that stand in strings only: see [`nesting`].
    pub(super) brackets: u64,
}

impl Masks {
    /// Of the bytes from here on. Behind the end of the text there is nothing.
    #[inline(always)]
    pub(super) fn at(bytes: &[u8], at: usize) -> Self {
        match bytes[at..].first_chunk() {
            Some(bytes) => Self::of(bytes),
            None => Self::of_last(bytes, at),
        }
    }

    /// Fewer than sixty-four bytes are left. The last sixty-four of the text are looked at, as to copy those that are left to where
    /// there is room takes longer: 3 % of an event of 0.8 KB.
    #[inline(always)]
    fn of_last(bytes: &[u8], at: usize) -> Self {
        let left = bytes.len() - at;
        let Some(last) = bytes.last_chunk() else {
            let mut room = [b' '; WIDE];
            room[..left].copy_from_slice(&bytes[at..]);
            return Self::of(&room);
        };
        let Self { quotes, backslashes, brackets } = Self::of(last);
        let past = WIDE - left;
        Self { quotes: quotes >> past, backslashes: backslashes >> past, brackets: brackets >> past }
    }

    #[inline(always)]
    fn of(bytes: &[u8; WIDE]) -> Self {
        let blocks: [u8x16; WIDE / BLOCK] = std::array::from_fn(|number| {
            let mut block = [0; BLOCK];
            block.copy_from_slice(&bytes[number * BLOCK..][..BLOCK]);
            u8x16::from(block)
        });
        let mask = |of: fn(u8x16) -> u8x16| {
            let masks = blocks.map(|block| u64::from(of(block).move_mask() as u32));
            masks[0] | masks[1] << BLOCK | masks[2] << (2 * BLOCK) | masks[3] << (3 * BLOCK)
        };
        let backslash = |block: u8x16| block.cmp_eq(u8x16::splat(b'\\'));
        // Hardly any text has one: one question for all blocks is enough then.
        let any = blocks.into_iter().fold(u8x16::splat(0), |any, block| any | backslash(block));
        Self {
            quotes: mask(|block| block.cmp_eq(u8x16::splat(b'"'))),
            backslashes: if any.move_mask() == 0 { 0 } else { mask(backslash) },
            brackets: mask(|block| (block | u8x16::splat(0x26)).cmp_eq(u8x16::splat(0x7f))),
        }
    }
}

/// Levels that one of [`Masks::brackets`] opens, and closes: `[` and `{` have the second bit, `]` and `}` the third, the other bytes
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
