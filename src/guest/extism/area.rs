//! The exchange area of an instance: blocks of bytes on the host's side, which a plug-in addresses
//! by handles.
//!
//! A handle has the block's name in its upper 32 bits. The lower 32 bits are the offset of a byte.
//! All blocks lie in one buffer, one behind the other. A freed block keeps its position and is
//! reused, zeroed, for blocks of about its size. There is a list of freed blocks for each size, and
//! four sizes between a power of two and the next. So at most a fifth of a block of more than 64
//! bytes lies idle.
//!
//! Plug-ins free blocks that their host has already freed. So a name is the block's index, from 1,
//! and in the uppermost bits a count of how often that block was freed. A stale handle finds no
//! block, until its block has been reused 128 times.
//!
//! Invariants: a call reaches only bytes of one live block. The handles that a run gets, and where
//! an allocation is refused, depend on that run alone, not on the room that an earlier run has
//! left. Nothing here panics, as a panic must not unwind frames of the interpreter.

use std::{mem, ops::Range};

use crate::{budget::Reservation, error::Busy};

/// How many sizes of blocks there are, up to 2^32 bytes.
const CLASSES: usize = 108;

/// The bits of a name that are the block's index. The bits above count how often it was freed.
/// Handles stay positive.
const INDEX: u32 = (1 << 24) - 1;
const FREED: u32 = 1 << 24;
const NAME: u32 = (1 << 31) - 1;

/// Room that an idle instance keeps, for the bytes of blocks and for the list of blocks.
const KEPT_BYTES: usize = 64 << 10;
const KEPT_BLOCKS: usize = 256;

/// Bytes that a block takes besides its own.
const BLOCK_BYTES: u64 = mem::size_of::<Block>() as u64;

struct Block {
    name: u32,
    start: u32,
    /// The size of the block's class.
    room: u32,
    /// The length that was asked for. 0 for a freed block.
    len: u32,
    /// For a freed block, the index of the next freed block of its class. 0 if there is none.
    next: u32,
}

/// Where a new block will lie: on a freed block of a class, or at the end with this room.
pub(crate) enum Placement {
    Freed(usize),
    End(u32),
}

#[derive(Default)]
pub(crate) struct Area {
    bytes: Vec<u8>,
    blocks: Vec<Block>,
    /// For each class, the index of the block that was freed last. 0 if there is none. Empty until
    /// a block is freed.
    freed: Vec<u32>,
    /// The index of a freed block whose bytes are still needed. 0 if there is none.
    kept: u32,
    /// Bytes of the runtime's budget that the area holds.
    held: u64,
}

/// The class of blocks that hold `len` bytes, at least 1.
fn class(len: u32) -> usize {
    let last = len.saturating_sub(1);
    if last < 64 {
        return last as usize / 16;
    }
    let log = last.ilog2();
    4 + 4 * (log as usize - 6) + ((last - (1 << log)) >> (log - 2)) as usize
}

/// Bytes of the blocks of a class.
fn size(class: usize) -> u64 {
    match class.checked_sub(4) {
        None => 16 * (class as u64 + 1),
        Some(above) => {
            let quarter = 1 << (4 + above / 4);
            quarter * (5 + above as u64 % 4)
        }
    }
}

impl Area {
    /// Bytes that the blocks of this run take, including freed ones.
    pub(crate) fn used(&self) -> u64 {
        self.bytes.len() as u64 + self.blocks.len() as u64 * BLOCK_BYTES
    }

    /// Finds where a block of `len` bytes can lie, if the area may use `max` bytes. `None` for an
    /// empty block.
    pub(crate) fn place(&self, len: u64, max: u64) -> Option<Placement> {
        let class = class(u32::try_from(len).ok().filter(|len| *len > 0)?);
        let freed = |class: &usize| self.freed.get(*class).is_some_and(|head| *head != 0);
        if freed(&class) {
            return Some(Placement::Freed(class));
        }
        let size = size(class);
        let fits = self.used() + BLOCK_BYTES + size <= max
            && self.bytes.len() as u64 + size <= u64::from(u32::MAX)
            && self.blocks.len() < INDEX as usize;
        if fits {
            return Some(Placement::End(size as u32));
        }
        (class + 1..CLASSES).find(freed).map(Placement::Freed)
    }

    /// Makes a block of `len` zeros in the place that was found, and returns its handle. 0 if the
    /// machine has no memory left.
    pub(crate) fn take(&mut self, place: &Placement, len: u32, reservation: &mut Reservation) -> Result<u64, Busy> {
        let name = match *place {
            Placement::Freed(class) => {
                let Some(head) = self.freed.get_mut(class) else { return Ok(0) };
                let Some(block) = self.blocks.get_mut((*head as usize).wrapping_sub(1)) else { return Ok(0) };
                *head = mem::take(&mut block.next);
                block.len = len;
                let start = block.start as usize;
                if let Some(bytes) = self.bytes.get_mut(start..start + len as usize) {
                    bytes.fill(0);
                }
                block.name
            }
            Placement::End(room) => {
                if !self.make_room(room as usize, reservation)? {
                    return Ok(0);
                }
                // `place` has checked that the block ends below 2^32.
                let start = self.bytes.len();
                self.bytes.resize(start + room as usize, 0);
                let name = self.blocks.len() as u32 + 1;
                self.blocks.push(Block { name, start: start as u32, room, len, next: 0 });
                name
            }
        };
        Ok(u64::from(name) << 32)
    }

    /// Makes room for one more block, from the machine and from the runtime's budget.
    fn make_room(&mut self, more: usize, reservation: &mut Reservation) -> Result<bool, Busy> {
        let (bytes, blocks) = (wanted(&self.bytes, more), wanted(&self.blocks, 1));
        if bytes + blocks == 0 {
            return Ok(true);
        }
        let needed = (self.bytes.len() + bytes).max(self.bytes.capacity()) as u64
            + (self.blocks.len() + blocks).max(self.blocks.capacity()) as u64 * BLOCK_BYTES;
        if needed > self.held {
            reservation.grow(needed - self.held)?;
            self.held = needed;
        }
        let done = self.bytes.try_reserve_exact(bytes).is_ok() && self.blocks.try_reserve_exact(blocks).is_ok();
        if !done {
            self.give_back(reservation);
        }
        Ok(done)
    }

    fn capacity(&self) -> u64 {
        self.bytes.capacity() as u64 + self.blocks.capacity() as u64 * BLOCK_BYTES
    }

    /// Returns to the budget what the area holds beyond its room.
    fn give_back(&mut self, reservation: &mut Reservation) {
        let spare = self.held.saturating_sub(self.capacity());
        if spare > 0 {
            self.held -= spare;
            reservation.shrink(spare);
        }
    }

    /// Frees all blocks. Names begin again from 1.
    pub(crate) fn forget(&mut self) {
        self.bytes.clear();
        self.blocks.clear();
        self.freed.clear();
        self.kept = 0;
    }

    /// Frees all blocks at the end of a run, and limits the room that is kept for the next.
    pub(crate) fn clear(&mut self, reservation: &mut Reservation) {
        self.forget();
        self.bytes.shrink_to(KEPT_BYTES);
        self.blocks.shrink_to(KEPT_BLOCKS);
        self.give_back(reservation);
    }

    /// The block of this name. It may be a freed block that is not reused yet.
    #[inline]
    fn block(&self, handle: u64) -> Option<&Block> {
        let name = (handle >> 32) as u32;
        self.blocks.get(((name & INDEX) as usize).wrapping_sub(1)).filter(|block| block.name == name)
    }

    /// The length of the live block with exactly this handle. `None` for the empty block, 0.
    pub(crate) fn len(&self, handle: u64) -> Option<u32> {
        let len = self.block(handle)?.len;
        (len > 0 && handle as u32 == 0).then_some(len)
    }

    /// Frees the live block with exactly this handle. `false` if there is none. If its bytes are
    /// still needed, the block is not reused until [`Area::release`].
    pub(crate) fn free(&mut self, handle: u64, is_wanted: bool) -> bool {
        if self.len(handle).is_none() {
            return false;
        }
        let index = (handle >> 32) as u32 & INDEX;
        if let Some(block) = self.blocks.get_mut((index as usize).wrapping_sub(1)) {
            block.len = 0;
            block.name = block.name.wrapping_add(FREED) & NAME;
        }
        if is_wanted {
            self.kept = index;
        } else {
            self.reuse(index);
        }
        true
    }

    /// Lets the freed block whose bytes were still needed be reused.
    pub(crate) fn release(&mut self) {
        match mem::take(&mut self.kept) {
            0 => {}
            index => self.reuse(index),
        }
    }

    /// Puts a freed block on the list of its class.
    fn reuse(&mut self, index: u32) {
        if self.freed.is_empty() {
            self.freed.resize(CLASSES, 0);
        }
        let Some(block) = self.blocks.get_mut((index as usize).wrapping_sub(1)) else { return };
        if let Some(head) = self.freed.get_mut(class(block.room)) {
            block.next = mem::replace(head, index);
        }
    }

    /// The range of `len` bytes at `at`, a handle plus an offset, if they lie in one live block.
    #[inline]
    pub(crate) fn range(&self, at: u64, len: u64) -> Option<Range<usize>> {
        let block = self.block(at)?;
        let offset = at as u32;
        let end = u64::from(offset).checked_add(len)?;
        if end > u64::from(block.len) || offset >= block.len {
            return None;
        }
        let start = block.start as usize + offset as usize;
        Some(start..start + len as usize)
    }

    /// Bytes that [`Area::range`] has found. Empty if the area has been cleared since.
    #[inline]
    pub(crate) fn bytes(&self, range: Range<usize>) -> &[u8] {
        self.bytes.get(range).unwrap_or_default()
    }

    #[inline]
    pub(crate) fn bytes_mut(&mut self, range: Range<usize>) -> &mut [u8] {
        self.bytes.get_mut(range).unwrap_or_default()
    }

    /// `N` bytes at `at`.
    #[inline]
    pub(crate) fn load<const N: usize>(&self, at: u64) -> Option<[u8; N]> {
        self.bytes(self.range(at, N as u64)?).try_into().ok()
    }

    #[inline]
    pub(crate) fn store<const N: usize>(&mut self, at: u64, value: [u8; N]) {
        if let Some(range) = self.range(at, N as u64) {
            self.bytes_mut(range).copy_from_slice(&value);
        }
    }
}

/// How much more room a list needs for `more` elements: an eighth beyond the need, 0 if it has the
/// room.
fn wanted<T>(list: &Vec<T>, more: usize) -> usize {
    let needed = list.len().saturating_add(more);
    if needed <= list.capacity() { 0 } else { more.saturating_add(needed / 8) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_holds_what_it_is_for_and_wastes_at_most_a_fifth() {
        let lens = (0..32).flat_map(|log| [0, 1, 2, 3].map(|more| ((1u64 << log) + more * ((1 << log) / 4)).max(1)));
        for len in
            lens.flat_map(|len| [len.saturating_sub(1).max(1), len, len + 1]).filter(|len| *len <= u32::MAX.into())
        {
            let class = class(len as u32);
            assert!(class < CLASSES && size(class) >= len, "{len}");
            assert!(len <= 64 || size(class) - len <= size(class) / 5, "{len}: {}", size(class));
            assert!(class == 0 || size(class - 1) < len, "{len}: a smaller class would do");
        }
        assert_eq!(size(CLASSES - 1), 1 << 32);
    }
}
