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

/// What is needed of sixty-four bytes to find the end of an array or object.
pub(super) struct Wide {
    pub(super) quotes: u64,
    pub(super) backslashes: u64,
    /// `[` and `{`, `]` and `}`, in strings too.
    pub(super) opens: u64,
    pub(super) closes: u64,
}

impl Wide {
    /// What lies behind the end of the text counts as space.
    #[inline(always)]
    pub(super) fn at(bytes: &[u8], at: usize) -> Self {
        let rest = &bytes[at..];
        let mut room = [b' '; WIDE];
        let wide: &[u8; WIDE] = match rest.first_chunk() {
            Some(wide) => wide,
            None => {
                room[..rest.len()].copy_from_slice(rest);
                &room
            }
        };
        let mut found = Self { quotes: 0, backslashes: 0, opens: 0, closes: 0 };
        for (number, block) in wide.chunks_exact(BLOCK).enumerate() {
            let mut bytes = [0; BLOCK];
            bytes.copy_from_slice(block);
            let block = u8x16::from(bytes);
            // `[` is `{` without this bit, `]` is `}`; no other byte becomes one of them by it.
            let folded = block | u8x16::splat(0x20);
            let is = |block: u8x16, byte: u8| {
                u64::from(block.cmp_eq(u8x16::splat(byte)).move_mask() as u32) << (number * BLOCK)
            };
            found.quotes |= is(block, b'"');
            found.backslashes |= is(block, b'\\');
            found.opens |= is(folded, b'{');
            found.closes |= is(folded, b'}');
        }
        found
    }
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
