//! Pages that have been touched and hold zeros, on which wasmi fills new memories.
//!
//! wasmi fills a new memory with zeros (cost 11 in `docs/interpreter-faults.md`). On fresh
//! addresses each page of it takes a page fault: 0.4 ms for 1 MiB. So pages that were touched
//! before are moved under a region while wasmi fills it, and moved away before the image is mapped
//! there. Then nothing of the memory is resident. The pages are moved by whole entries of 2 MiB, so
//! a memory of 1 MiB takes some 20 us.
//!
//! Invariant: the scratch pages are all zeros or lent to one region, and nobody holds a reference
//! into them while they are moved.

use std::io;

use parking_lot::{Mutex, MutexGuard};

use super::{
    mapping::{HUGE, Mapping, READ_WRITE},
    region::Region,
};

/// The scratch pages of the process, kept until [`release`]. They grow to the largest image, up to
/// [`SCRATCH_MAX`]. Larger memories are filled where they are.
pub(super) struct Scratch {
    mapping: Mapping,
    /// Where in the mapping a boundary of 2 MiB is, and the bytes from there on.
    start: usize,
    len: usize,
}

static SCRATCH: Mutex<Option<Scratch>> = Mutex::new(None);

/// Programs in Zig begin with 257 pages and more: a stack of 16 MiB stands before their data. An
/// echo takes 0.73 ms on scratch pages, and 7.1 ms without.
const SCRATCH_MAX: usize = 20 << 20;

impl Scratch {
    fn new(len: usize) -> io::Result<Self> {
        let mapping = Mapping::new(len + HUGE, READ_WRITE, libc::MAP_PRIVATE)?;
        let start = mapping.at.as_ptr().addr().next_multiple_of(HUGE) - mapping.at.as_ptr().addr();
        // Pages of 2 MiB, where the system has them. Without them moving takes half as long again.
        // SAFETY: the range lies within the mapping, which is new and ours. The advice changes no
        // content.
        unsafe { libc::madvise(mapping.at.as_ptr().add(start).cast(), len, libc::MADV_HUGEPAGE) };
        Ok(Self { mapping, start, len })
    }
}

/// Gives the scratch pages back to the system.
pub(crate) fn release() {
    *SCRATCH.lock() = None;
}

/// The lock of the scratch pages while a region has them.
pub(super) type Lent = MutexGuard<'static, Option<Scratch>>;

impl Region {
    /// Bytes of scratch pages that the image's range takes.
    fn scratch_len(&self) -> usize {
        self.image_len().next_multiple_of(HUGE)
    }

    /// Moves scratch pages to where the image will be. `None` if the image is too large for that.
    pub(super) fn lend_scratch(&mut self) -> io::Result<Option<Lent>> {
        let len = self.scratch_len();
        if len > SCRATCH_MAX {
            return Ok(None);
        }
        let mut scratch = SCRATCH.lock();
        if scratch.as_ref().is_none_or(|scratch| scratch.len < len) {
            *scratch = None;
            *scratch = Some(Scratch::new(len)?);
        }
        if let Some(scratch) = &*scratch {
            // SAFETY: `len` bytes of the scratch pages go to the part of this region that is for
            // the image. Nobody holds a reference into the pages, and nobody else knows the region.
            unsafe { self.shift(scratch.mapping.at.as_ptr().add(scratch.start), self.memory())? };
        }
        Ok(Some(scratch))
    }

    /// Moves the scratch pages back.
    pub(super) fn take_scratch(&mut self, lent: Option<Lent>) -> io::Result<()> {
        let Some(mut lent) = lent else { return Ok(()) };
        let Some(scratch) = &*lent else { return Ok(()) };
        // SAFETY: the pages go back to where they came from, which has stayed mapped and empty.
        // wasmi knows the region's addresses and holds no reference to them now: no method of the
        // memory and no guest code runs.
        let back = unsafe { self.shift(self.memory(), scratch.mapping.at.as_ptr().add(scratch.start)) };
        if back.is_err() {
            // Some of the addresses may be somebody else's by now.
            std::mem::forget(lent.take());
        }
        back
    }

    /// Moves the pages of the image's range between two mappings of ours.
    ///
    /// After an error this region is not used or unmapped any more. What is at `to` must not be
    /// used or unmapped either, if it is not the region. What is at `from` is as it was.
    ///
    /// # Safety
    /// `scratch_len` bytes at `from` and `to` are mapped, private and anonymous, by this library,
    /// and nobody holds a reference into them.
    unsafe fn shift(&mut self, from: *mut u8, to: *mut u8) -> io::Result<()> {
        let len = self.scratch_len();
        let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED | libc::MREMAP_DONTUNMAP;
        // SAFETY: as the caller vouches. The range that the pages leave stays mapped, and reads as
        // zeros.
        let moved = unsafe { libc::mremap(from.cast(), len, len, flags, to) };
        if moved == libc::MAP_FAILED {
            let error = io::Error::last_os_error();
            self.abandon();
            return Err(error);
        }
        Ok(())
    }
}
