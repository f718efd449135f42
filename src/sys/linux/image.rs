//! The pristine content of one memory, as a sealed file.
//!
//! Invariant: nobody writes to an image after it has been sealed.

use std::{
    fs::File,
    io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
    sync::atomic::{AtomicUsize, Ordering},
};

use super::{
    mapping::{Mapping, READ_WRITE, page},
    own_file::OwnFile,
};

/// A file in memory, without a name.
pub(super) fn memory_file(len: usize) -> io::Result<OwnFile> {
    // SAFETY: the name is a string that ends in NUL. The descriptor that comes back is new and ours
    // alone.
    let file = unsafe {
        let fd = libc::memfd_create(c"dormouse".as_ptr(), libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING);
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        File::from(OwnedFd::from_raw_fd(fd))
    };
    file.set_len(len as u64)?;
    OwnFile::new(file)
}

/// The pristine content of one memory: a sealed file, and a view of it.
pub(crate) struct Mapped {
    pub(super) file: OwnFile,
    view: Mapping,
    _permit: Permit,
}

/// Images at once in a process. Each holds a descriptor, and a process may have 1,024 of those by
/// default. Further functions are cleaned the portable way.
const IMAGES_MAX: usize = 256;

static IMAGES: AtomicUsize = AtomicUsize::new(0);

/// The right to one image of [`IMAGES_MAX`], given back when dropped.
struct Permit(());

impl Permit {
    fn take() -> Option<Self> {
        let one_more = |count: usize| (count < IMAGES_MAX).then(|| count + 1);
        IMAGES.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).ok().map(|_| Self(()))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        IMAGES.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Mapped {
    /// An image of `len` bytes, which are zero except for what `fill` writes. `len` must be a
    /// multiple of the page size, and not 0.
    pub(crate) fn new(len: usize, fill: impl FnOnce(&mut [u8])) -> io::Result<Self> {
        if len == 0 || len % page() != 0 {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let permit = Permit::take().ok_or(io::ErrorKind::QuotaExceeded)?;
        let file = memory_file(len)?;
        let writable = Mapping::of_file(len, READ_WRITE, libc::MAP_SHARED, &file)?;
        // SAFETY: the mapping is new, of `len` bytes, and known to nobody else; so is the file.
        fill(unsafe { std::slice::from_raw_parts_mut(writable.at.as_ptr(), len) });
        drop(writable);
        let seals = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_WRITE | libc::F_SEAL_SEAL;
        // SAFETY: sealing changes what the descriptor, which is ours, allows; it changes no memory.
        if unsafe { libc::fcntl(file.file().as_raw_fd(), libc::F_ADD_SEALS, seals) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // This also checks that the file that was sealed is ours.
        let view = Mapping::of_file(len, libc::PROT_READ, libc::MAP_PRIVATE, &file)?;
        Ok(Self { file, view, _permit: permit })
    }

    /// The content.
    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: mapped for reading as long as `self` lives. The file is sealed, so nobody can
        // write to it or cut it.
        unsafe { std::slice::from_raw_parts(self.view.at.as_ptr(), self.view.len) }
    }
}
