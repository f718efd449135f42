//! Mappings of this library: made, replaced in part, unmapped when dropped.
//!
//! Invariant: a [`Mapping`] owns its addresses. After a system call that failed half-way they are
//! never unmapped, as some of them may be somebody else's by then.

use std::{
    io,
    ops::Range,
    os::fd::{AsRawFd, RawFd},
    ptr::NonNull,
    sync::OnceLock,
};

use super::own_file::OwnFile;

pub(super) const READ_WRITE: i32 = libc::PROT_READ | libc::PROT_WRITE;

/// What one entry of the page table's second level maps.
pub(super) const HUGE: usize = 2 << 20;

/// Bytes of a page.
pub(super) fn page() -> usize {
    static PAGE: OnceLock<usize> = OnceLock::new();
    // SAFETY: sysconf reads a constant of the system.
    *PAGE.get_or_init(|| usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4_096))
}

/// A range of addresses that this library has mapped.
pub(super) struct Mapping {
    pub(super) at: NonNull<u8>,
    pub(super) len: usize,
}

// SAFETY: a mapping belongs to the process, not to a thread. The code that holds the mapping argues
// for what it does through the pointer.
unsafe impl Send for Mapping {}
// SAFETY: as above; shared references give out the address and nothing else.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps `len` bytes of nothing somewhere.
    pub(super) fn new(len: usize, protection: i32, flags: i32) -> io::Result<Self> {
        Self::of(len, protection, flags | libc::MAP_ANONYMOUS, -1)
    }

    /// Maps the first `len` bytes of a file somewhere. An error if the file's descriptor means
    /// another file.
    pub(super) fn of_file(len: usize, protection: i32, flags: i32, file: &OwnFile) -> io::Result<Self> {
        let mapping = Self::of(len, protection, flags, file.file().as_raw_fd())?;
        file.check()?;
        Ok(mapping)
    }

    pub(super) fn of(len: usize, protection: i32, flags: i32, fd: RawFd) -> io::Result<Self> {
        // SAFETY: without MAP_FIXED a new mapping replaces none, so no memory of anybody changes.
        let at = unsafe { libc::mmap(std::ptr::null_mut(), len, protection, flags, fd, 0) };
        if at == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        // A successful mmap never answers null without MAP_FIXED.
        let at = NonNull::new(at.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { at, len })
    }

    /// Maps `range` of this mapping to the first bytes of a file instead. A failed mmap leaves the
    /// addresses mapped for ever.
    ///
    /// # Safety
    /// Nobody holds a reference into `range`, and what is there may be lost.
    pub(super) unsafe fn replace(
        self,
        range: Range<usize>,
        protection: i32,
        flags: i32,
        file: &OwnFile,
    ) -> io::Result<Self> {
        assert!(range.start <= range.end && range.end <= self.len, "a range within the mapping");
        // SAFETY: the range lies within this mapping, which is ours. The caller vouches for what is
        // in it.
        let at = unsafe {
            let at = self.at.as_ptr().add(range.start).cast();
            libc::mmap(at, range.len(), protection, flags | libc::MAP_FIXED, file.file().as_raw_fd(), 0)
        };
        if at == libc::MAP_FAILED {
            let error = io::Error::last_os_error();
            std::mem::forget(self);
            return Err(error);
        }
        file.check()?;
        Ok(self)
    }

    /// Leaves the addresses mapped for ever, and puts a mapping of nothing in their place.
    pub(super) fn abandon(&mut self) {
        let nothing = Self { at: NonNull::dangling(), len: 0 };
        std::mem::forget(std::mem::replace(self, nothing));
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        if self.len == 0 {
            return;
        }
        // SAFETY: the mapping is ours, and no reference into it is left: see the fields that hold
        // mappings. After an error it stays mapped, which is safe.
        unsafe { libc::munmap(self.at.as_ptr().cast(), self.len) };
    }
}
