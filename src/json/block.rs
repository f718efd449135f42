//! Tells which of sixteen or of sixty-four bytes are quotes, digits or brackets.

use wide::u8x16;

/// Bytes of a [`Block`].
pub(super) const BLOCK: usize = 16;
/// Bytes of [`Masks`].
pub(super) const WIDE: usize = 64;

/// Sixteen bytes of a text. The lowest bit of an answer stands for the first byte.
#[derive(Clone, Copy)]
pub(super) struct Block(u8x16);

impl Block {
    /// `None` near the end of the text.
    #[inline(always)]
    pub(super) fn at(bytes: &[u8], at: usize) -> Option<Self> {
        let block: [u8; BLOCK] = bytes.get(at..at + BLOCK)?.try_into().ok()?;
        Some(Self(u8x16::from(block)))
    }

    /// Bytes of the string that begins here, if it ends in this block and is plain.
    #[inline(always)]
    pub(super) fn plain_string(self) -> Option<usize> {
        let quotes = self.quotes();
        (quotes != 0 && self.odd() & below(quotes) == 0).then(|| quotes.trailing_zeros() as usize)
    }

    #[inline(always)]
    pub(super) fn quotes(self) -> u32 {
        self.0.cmp_eq(u8x16::splat(b'"')).move_mask() as u32
    }

    /// Bytes that are not plain. Plain is printable ASCII without escapes, as in most strings.
    #[inline(always)]
    pub(super) fn odd(self) -> u32 {
        let control = self.0.min(u8x16::splat(0x1f)).cmp_eq(self.0);
        // The mask is made of the highest bits, which are set in bytes beyond ASCII.
        (control | self.0.cmp_eq(u8x16::splat(b'\\')) | self.0).move_mask() as u32
    }

    /// Bytes that do not stand for themselves in a string: quotes, backslashes, control characters.
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

/// The bits below the lowest set bit. All bits if none is set.
#[inline(always)]
pub(super) fn below(bits: u32) -> u32 {
    !bits & bits.wrapping_sub(1)
}

/// Where quotes, backslashes and brackets stand in sixty-four bytes of a text.
pub(super) struct Masks {
    pub(super) quotes: u64,
    pub(super) backslashes: u64,
    /// Brackets of all four kinds, and some bytes that stand only in strings: see [`nesting`].
    pub(super) brackets: u64,
}

impl Masks {
    /// The masks of the bytes from `at` on. Behind the end of the text no bit is set.
    #[inline(always)]
    pub(super) fn at(bytes: &[u8], at: usize) -> Self {
        match bytes[at..].first_chunk() {
            Some(bytes) => Self::of(bytes),
            None => Self::of_last(bytes, at),
        }
    }

    /// The masks if fewer than sixty-four bytes are left. This looks at the last sixty-four bytes
    /// of the text. To copy the bytes that are left would take longer: 3 % of an event of 0.8 KB.
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
        // Hardly any text has a backslash. One question for all blocks is enough then.
        let any = blocks.into_iter().fold(u8x16::splat(0), |any, block| any | backslash(block));
        Self {
            quotes: mask(|block| block.cmp_eq(u8x16::splat(b'"'))),
            backslashes: if any.move_mask() == 0 { 0 } else { mask(backslash) },
            brackets: mask(|block| (block | u8x16::splat(0x26)).cmp_eq(u8x16::splat(0x7f))),
        }
    }
}

/// The levels that a byte of [`Masks::brackets`] opens and closes. `[` and `{` have the second bit
/// set, `]` and `}` the third. The other bytes have both or neither.
#[inline(always)]
pub(super) fn nesting(byte: u8) -> (u32, u32) {
    (u32::from(byte >> 1 & 1), u32::from(byte >> 2 & 1))
}

/// Tells which characters of a text are escaped, from one block to the next.
#[derive(Default)]
pub(super) struct Escapes {
    /// The first character of the next block is escaped.
    next: bool,
}

impl Escapes {
    /// The escaped characters of a block with these backslashes. Backslashes in a row escape each
    /// other: every second one is escaped, and so is the character behind a row of odd length.
    /// Addition finds where a row ends that begins at an odd position: the carry ends there, at an
    /// even or odd position.
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

/// The ranges from each quote to the next. A bit is set if an odd number of quotes stands at it and
/// below.
#[inline(always)]
pub(super) fn between(quotes: u64) -> u64 {
    let mut within = quotes;
    for shift in [1, 2, 4, 8, 16, 32] {
        within ^= within << shift;
    }
    within
}
