//! Linux on 64 bits: memories as private mappings of a sealed image, and the pages that have been written to.
//!
//! ```text
//!  a region:   | canary | image, mapped MAP_PRIVATE        | room to grow, anonymous |
//!              | 1 page | becomes private page by page,    |                         |
//!              |        | at the first write of each       |                         |
//!                       ^ on a boundary of 2 MiB
//! ```
//!
//! A page of a private mapping is the file's until somebody writes to it. Then the kernel makes a copy, by a page fault of
//! the thread that writes, and the page stays private. `PAGEMAP_SCAN` (Linux 6.7) lists the private pages, or, where the
//! kernel is older, the entries of `pagemap` tell; that a thread's count of faults has not moved proves that it made no page
//! private meanwhile, which is cheaper to ask ([`faults`]; a scan takes 0.55 us and 27 ns for each mapped page).
//!
//! The one event that makes pages private without a fault of ours and without naming our addresses is
//! `mlockall(MCL_CURRENT)`, by any thread. The canary tells: a page mapped like the image, of a file that we can write to.
//! As long as writes to the file show through the mapping, the canary has not become private; the kernel goes through a
//! process's memory upwards, and the canary lies below the image, so no page of that has either. (Whoever names our
//! addresses, as a debugger or a host that calls `mlock` or `MADV_POPULATE_WRITE` on them, is on his own.)
//!
//! In the child of a fork a descriptor of `pagemap` shows the parent, and counts begin anew: a word in a page that is wiped
//! by a fork tells, the descriptor is opened anew, and what was counted before belongs to another epoch.
//!
//! A host may close a descriptor of ours, and another file may get its number. Each file carries a mark that tells
//! ([`own_file`]): `pagemap` is then opened anew, and an image that has lost its descriptor makes no more regions.
//!
//! wasmi fills a new memory with zeros, which on fresh addresses is a page fault for each page: 0.4 ms for 1 MiB. So pages
//! that have been touched before ([`Scratch`]) are moved under a region while wasmi fills it, and away again before the image
//! is mapped there. Nothing is resident then. By moving whole entries of 2 MiB a memory of 1 MiB takes some 20 us.
//!
//! System calls: [`available`], at the first deployment, makes each kind of call that regions ever need: `openat` of `pagemap`,
//! `ioctl`, `pread`, `lseek`, `memfd_create`, `ftruncate`, `fcntl`, `mmap`, `mremap`, `madvise`, `munmap`, `close`, `getpid`,
//! `getrandom` and `getrusage`. A filter (seccomp) that is installed later and answers one with an error leads to scans, or to instances
//! without regions. A filter that kills must allow them. What comes later opens a ring of faults, by a thread that
//! ends, and no thread does so under a filter: it asks `prctl(PR_GET_SECCOMP)` first ([`faults`]).
//!
//! Invariants: a [`Region`] owns its addresses until it is dropped, which happens after the store that uses them is gone; the
//! image is never written to after it has been sealed.

mod faults;
mod own_file;
#[cfg(target_arch = "x86_64")]
mod ticks;

use std::{
    fs::File,
    io,
    ops::Range,
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
        unix::fs::FileExt,
    },
    ptr::NonNull,
    sync::{
        OnceLock,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use parking_lot::{Mutex, MutexGuard, RwLock};
use wasmi::{Memory, MemoryType, Store};

pub(crate) use faults::faults;
#[cfg(test)]
pub(super) use faults::{ASKS_BEFORE_RING, has_ring};
use faults::{begin_epoch, by_system_call, epoch};
#[cfg(not(target_arch = "x86_64"))]
pub(crate) use kernel_time as now;
use own_file::OwnFile;
#[cfg(target_arch = "x86_64")]
pub(crate) use ticks::now;

/// A mapping of ours, unmapped when dropped.
struct Mapping {
    at: NonNull<u8>,
    len: usize,
}

// SAFETY: a mapping belongs to the process, not to a thread. What is done through the pointer is up to the code that holds
// the mapping, and is argued there.
unsafe impl Send for Mapping {}
// SAFETY: as above; shared references give out the address and nothing else.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps `len` bytes of nothing somewhere.
    fn new(len: usize, protection: i32, flags: i32) -> io::Result<Self> {
        Self::of(len, protection, flags | libc::MAP_ANONYMOUS, -1)
    }

    /// Maps the first `len` bytes of a file somewhere. What is mapped is the file and not another that has its descriptor.
    fn of_file(len: usize, protection: i32, flags: i32, file: &OwnFile) -> io::Result<Self> {
        let mapping = Self::of(len, protection, flags, file.file().as_raw_fd())?;
        file.check()?;
        Ok(mapping)
    }

    fn of(len: usize, protection: i32, flags: i32, fd: RawFd) -> io::Result<Self> {
        // SAFETY: without MAP_FIXED a new mapping replaces none, so no memory of anybody changes.
        let at = unsafe { libc::mmap(std::ptr::null_mut(), len, protection, flags, fd, 0) };
        if at == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        // A successful mmap never answers null without MAP_FIXED.
        let at = NonNull::new(at.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { at, len })
    }

    /// Maps `range` of this mapping anew, to the first bytes of a file. A failed mmap leaves the addresses mapped for ever: it
    /// may have unmapped some of them, which may be somebody else's by now.
    ///
    /// # Safety
    /// Nobody holds a reference into `range`, and what is there may be lost.
    unsafe fn replace(self, range: Range<usize>, protection: i32, flags: i32, file: &OwnFile) -> io::Result<Self> {
        assert!(range.start <= range.end && range.end <= self.len, "a range within the mapping");
        // SAFETY: the range lies within this mapping, which is ours, and the caller vouches for what is in it.
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
}

impl Drop for Mapping {
    fn drop(&mut self) {
        if self.len == 0 {
            return;
        }
        // SAFETY: the mapping is ours, and whoever held references into it has given them up: see the fields that hold
        // mappings. An error leaves it mapped, which is safe.
        unsafe { libc::munmap(self.at.as_ptr().cast(), self.len) };
    }
}

const READ_WRITE: i32 = libc::PROT_READ | libc::PROT_WRITE;

/// Monotonic time since the machine was started, its sleeps left out, by the kernel's clock: what [`Instant`](std::time::Instant) reads as well, in 17 ns
/// instead of 21 with the difference of two.
fn kernel_time() -> Duration {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a value of this type, which the call may write to.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    // Every Linux has this clock, and it is never below zero.
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

/// Bytes of a page.
fn page() -> usize {
    static PAGE: OnceLock<usize> = OnceLock::new();
    // SAFETY: sysconf reads a constant of the system.
    *PAGE.get_or_init(|| usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4_096))
}

/// A file in memory, without a name.
fn memory_file(len: usize) -> io::Result<OwnFile> {
    // SAFETY: the name is a string that ends in NUL; the descriptor that comes back is new and ours alone.
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
    file: OwnFile,
    view: Mapping,
    _place: Place,
}

/// Images at once in a process. Each holds a descriptor, of which a process may have 1,024 by default; functions beyond this
/// are cleaned the portable way.
const IMAGES_MAX: usize = 256;

static IMAGES: AtomicUsize = AtomicUsize::new(0);

/// One of [`IMAGES_MAX`], given back when dropped.
struct Place(());

impl Place {
    fn take() -> Option<Self> {
        let one_more = |count: usize| (count < IMAGES_MAX).then(|| count + 1);
        IMAGES.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).ok().map(|_| Self(()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        IMAGES.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Mapped {
    /// An image of `len` bytes, a multiple of the page size and not 0, which is zero but for what `fill` writes.
    pub(crate) fn new(len: usize, fill: impl FnOnce(&mut [u8])) -> io::Result<Self> {
        if len == 0 || len % page() != 0 {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let place = Place::take().ok_or(io::ErrorKind::QuotaExceeded)?;
        let file = memory_file(len)?;
        let writable = Mapping::of_file(len, READ_WRITE, libc::MAP_SHARED, &file)?;
        // SAFETY: the mapping is new, of `len` bytes, and known to nobody else; so is the file.
        fill(unsafe { std::slice::from_raw_parts_mut(writable.at.as_ptr(), len) });
        drop(writable);
        let seals = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_WRITE | libc::F_SEAL_SEAL;
        // SAFETY: sealing changes what the descriptor, which is ours, allows; no memory.
        if unsafe { libc::fcntl(file.file().as_raw_fd(), libc::F_ADD_SEALS, seals) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // This looks whether it was our file that has been sealed, too.
        let view = Mapping::of_file(len, libc::PROT_READ, libc::MAP_PRIVATE, &file)?;
        Ok(Self { file, view, _place: place })
    }

    /// The content.
    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: mapped for reading for as long as `self` lives, and sealed, so that nobody can write or cut the file.
        unsafe { std::slice::from_raw_parts(self.view.at.as_ptr(), self.view.len) }
    }
}

/// The regions of one store's memories. They belong into the store's data, and can only be added to.
pub(crate) struct Regions(Vec<Region>);

/// The addresses of one memory of one instance.
pub(crate) struct Region {
    /// The canary's page, the image, and room to grow, somewhere within.
    mapping: Mapping,
    /// Where in the mapping the image begins.
    start: usize,
    /// Bytes of the image.
    len: usize,
    /// Which word of the canary's page is this region's.
    word: usize,
}

/// The page that all regions have below their image, as it is written to. Regions have words of their own in it, a cache line
/// each, so that threads do not write to the same one.
struct Canary {
    file: OwnFile,
    view: Mapping,
}

const CACHE_LINE: usize = 64;

impl Canary {
    fn get() -> io::Result<&'static Self> {
        static CANARY: OnceLock<Option<Canary>> = OnceLock::new();
        let make = || -> io::Result<Self> {
            let file = memory_file(page())?;
            let view = Mapping::of_file(page(), READ_WRITE, libc::MAP_SHARED, &file)?;
            Ok(Self { file, view })
        };
        CANARY.get_or_init(|| make().ok()).as_ref().ok_or(io::ErrorKind::Unsupported.into())
    }
}

/// Pages that have been touched and hold zeros, for new memories to be filled on: one for the process, kept until
/// [`release`]. It grows to the largest image, but not beyond [`SCRATCH_MAX`]; larger memories are filled where they are.
struct Scratch {
    mapping: Mapping,
    /// Where in the mapping a boundary of 2 MiB is, and the bytes from there on.
    start: usize,
    len: usize,
}

static SCRATCH: Mutex<Option<Scratch>> = Mutex::new(None);

/// Programs in Zig begin with 257 pages and more, a stack of 16 MiB before their data: an echo takes 0.73 ms on scratch pages, 7.1 ms without.
const SCRATCH_MAX: usize = 20 << 20;

/// What one entry of the page table's second level maps: moved as a whole.
const HUGE: usize = 2 << 20;

impl Scratch {
    fn new(len: usize) -> io::Result<Self> {
        let mapping = Mapping::new(len + HUGE, READ_WRITE, libc::MAP_PRIVATE)?;
        let start = mapping.at.as_ptr().addr().next_multiple_of(HUGE) - mapping.at.as_ptr().addr();
        // Pages of 2 MiB where they are to be had; without them moving takes half as long again.
        // SAFETY: the range lies within the mapping, which is new and ours; the advice changes no content.
        unsafe { libc::madvise(mapping.at.as_ptr().add(start).cast(), len, libc::MADV_HUGEPAGE) };
        Ok(Self { mapping, start, len })
    }
}

/// Gives the pages that are kept for making memories back to the system.
pub(crate) fn release() {
    *SCRATCH.lock() = None;
}

impl Regions {
    pub(crate) fn new() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn get(&self, index: usize) -> &Region {
        &self.0[index]
    }

    /// Makes a memory of a store on a region that begins with the image, and keeps the region in the store's data, where
    /// `keep` finds the place for it: it must stay there for as long as the store lives. After an error the store may only
    /// be dropped.
    ///
    /// `capacity` is how many bytes the memory may grow to. The type's minimum must be the image's size.
    ///
    /// Nothing of it is resident then but tables of the kernel. Takes 10 to 20 us and wasmi's filling of the memory with
    /// zeros, 7 us for 1 MiB, under a lock of the process.
    pub(crate) fn memory<T>(
        store: &mut Store<T>,
        ty: MemoryType,
        mapped: &Mapped,
        capacity: usize,
        keep: impl Fn(&mut T) -> &mut Self,
    ) -> io::Result<Memory> {
        let len = mapped.view.len;
        let region = Region::new(len, capacity.max(len))?;
        let (at, capacity) = (region.memory(), region.mapping.len - region.start);
        let regions = &mut keep(store.data_mut()).0;
        let index = regions.len();
        regions.push(region);
        let lent = keep(store.data_mut()).0[index].lend_scratch()?;
        // SAFETY: `capacity` bytes at `at` are mapped, zero and unknown to anybody. The slice is `'static` only in name: the
        // region stands in the store's data and so outlives the memory; wasmi's buffer of such a memory keeps address and
        // length, makes references of them only while a method of the memory or guest code runs, and does not touch them
        // when it is dropped (wasmi_core 2.0.0, `ByteBuffer`; the version is pinned).
        let bytes = unsafe { std::slice::from_raw_parts_mut(at, capacity) };
        let memory = Memory::new_static(&mut *store, ty, bytes).map_err(|error| io::Error::other(error.to_string()))?;
        let region = &mut keep(store.data_mut()).0[index];
        region.take_scratch(lent)?;
        region.map_image(mapped)?;
        Ok(memory)
    }
}

impl Region {
    /// Reserves the addresses: a canary, and zeros for the image and for growth.
    fn new(len: usize, capacity: usize) -> io::Result<Self> {
        static NUMBERS: AtomicUsize = AtomicUsize::new(0);
        let private = libc::MAP_PRIVATE | libc::MAP_NORESERVE;
        let canary = Canary::get()?;
        // Room for the boundary, for the scratch pages that are moved here, and at least a page in front.
        let size = capacity.max(len.next_multiple_of(HUGE)).next_multiple_of(page()) + page() + HUGE;
        let mapping = Mapping::new(size, READ_WRITE, private)?;
        let at = mapping.at.as_ptr().addr();
        let start = (at + page()).next_multiple_of(HUGE) - at;
        // SAFETY: the mapping is new, nobody holds a reference into it.
        let mapping = unsafe { mapping.replace(start - page()..start, READ_WRITE, private, &canary.file)? };
        let word = NUMBERS.fetch_add(1, Ordering::Relaxed) % (page() / CACHE_LINE) * CACHE_LINE;
        Ok(Self { mapping, start, len, word })
    }

    /// Bytes of scratch pages that the image's place takes.
    fn scratch_len(&self) -> usize {
        self.len.next_multiple_of(HUGE)
    }

    /// Moves pages that have been touched to where the image will be. `None` if it is too large for that.
    fn lend_scratch(&mut self) -> io::Result<Option<MutexGuard<'static, Option<Scratch>>>> {
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
            // SAFETY: `len` bytes of the scratch pages, to which nobody holds a reference, go to the part of this region that is
            // for the image. Nobody holds a reference into that either: the region is known to us alone.
            unsafe { self.shift(scratch.mapping.at.as_ptr().add(scratch.start), self.memory())? };
        }
        Ok(Some(scratch))
    }

    /// Moves the pages back.
    fn take_scratch(&mut self, lent: Option<MutexGuard<'static, Option<Scratch>>>) -> io::Result<()> {
        let Some(mut lent) = lent else { return Ok(()) };
        let Some(scratch) = &*lent else { return Ok(()) };
        // SAFETY: the pages go back to where they came from, which has stayed mapped and empty. wasmi, which knows the
        // region's addresses, holds no reference to them now: no method of the memory and no guest code runs.
        let back = unsafe { self.shift(self.memory(), scratch.mapping.at.as_ptr().add(scratch.start)) };
        if back.is_err() {
            // Some of the addresses may be somebody else's by now.
            std::mem::forget(lent.take());
        }
        back
    }

    /// Moves the pages of the image's place between two mappings of ours. After an error the region is not used or unmapped any more,
    /// and what is at `to`, if that is not the region, must not be either; what is at `from` is as it was.
    ///
    /// # Safety
    /// `scratch_len` bytes at `from` and `to` are mapped, private and anonymous, by this library, and nobody holds a reference
    /// into them.
    unsafe fn shift(&mut self, from: *mut u8, to: *mut u8) -> io::Result<()> {
        let len = self.scratch_len();
        let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED | libc::MREMAP_DONTUNMAP;
        // SAFETY: as the caller vouches. The place that the pages leave stays mapped, and reads as zeros.
        let moved = unsafe { libc::mremap(from.cast(), len, len, flags, to) };
        if moved == libc::MAP_FAILED {
            let error = io::Error::last_os_error();
            self.abandon();
            return Err(error);
        }
        Ok(())
    }

    /// Leaves the addresses mapped for ever: after a failed call some may be unmapped, and somebody else's by now.
    fn abandon(&mut self) {
        let nothing = Mapping { at: NonNull::dangling(), len: 0 };
        std::mem::forget(std::mem::replace(&mut self.mapping, nothing));
    }

    /// Puts the image where zeros are: its bytes appear, as by a write, and its pages are the file's.
    fn map_image(&mut self, mapped: &Mapped) -> io::Result<()> {
        assert_eq!(self.len, mapped.view.len, "the image that the region was made for");
        let (at, len) = (self.memory(), self.len);
        // SAFETY: the range is the part of the region that is for the image. wasmi, which knows the addresses, holds no
        // reference to them now: no method of the memory and no guest code runs. What is lost are zeros.
        let placed = unsafe {
            let flags = libc::MAP_PRIVATE | libc::MAP_NORESERVE | libc::MAP_FIXED;
            libc::mmap(at.cast(), len, READ_WRITE, flags, mapped.file.file().as_raw_fd(), 0)
        };
        if placed == libc::MAP_FAILED {
            let error = io::Error::last_os_error();
            self.abandon();
            return Err(error);
        }
        // Nobody has read a byte of it: another file may end before its mapping does.
        mapped.file.check()
    }

    /// Where the memory begins.
    fn memory(&self) -> *mut u8 {
        // SAFETY: the mapping has the canary in front of its start, and more behind it.
        unsafe { self.mapping.at.as_ptr().add(self.start) }
    }

    /// Appends the ranges of pages, numbered within the memory, that are private: written to at some time, now in memory or
    /// swapped out.
    pub(crate) fn private_pages(&self, ranges: &mut Vec<Range<u32>>) -> io::Result<()> {
        match self.scan(ranges) {
            // A kernel before 6.7.
            Err(error) if error.raw_os_error() == Some(libc::ENOTTY) => self.read_entries(ranges),
            scanned => scanned,
        }
    }

    /// The same from the entries of `pagemap`, eight bytes a page (`Documentation/admin-guide/mm/pagemap.rst`).
    pub(super) fn read_entries(&self, ranges: &mut Vec<Range<u32>>) -> io::Result<()> {
        const FILE: u64 = 1 << 61;
        const SWAPPED: u64 = 1 << 62;
        const PRESENT: u64 = 1 << 63;
        const AT_ONCE: usize = 512;
        let (first, count) = (self.memory().addr() / page(), self.len / page());
        let mut entries = [0; AT_ONCE * 8];
        for at in (0..count).step_by(AT_ONCE) {
            let entries = &mut entries[..AT_ONCE.min(count - at) * 8];
            with_pagemap(|pagemap| pagemap.read_exact_at(entries, (first + at) as u64 * 8))?;
            for (number, entry) in (at as u32..).zip(entries.chunks_exact(8)) {
                let entry = <[u8; 8]>::try_from(entry).map_or(0, u64::from_ne_bytes);
                if entry & FILE == 0 && entry & (PRESENT | SWAPPED) != 0 {
                    match ranges.last_mut() {
                        Some(last) if last.end == number => last.end += 1,
                        _ => ranges.push(number..number + 1),
                    }
                }
            }
        }
        Ok(())
    }

    pub(super) fn scan(&self, ranges: &mut Vec<Range<u32>>) -> io::Result<()> {
        let base = self.memory().addr();
        let mut found = [PageRegion::default(); 32];
        let (mut at, end) = (base as u64, (base + self.len) as u64);
        while at < end {
            let mut scan = ScanArg {
                size: size_of::<ScanArg>() as u64,
                start: at,
                end,
                vec: found.as_mut_ptr().expose_provenance() as u64,
                vec_len: found.len() as u64,
                category_inverted: PAGE_IS_FILE,
                category_mask: PAGE_IS_FILE,
                category_anyof_mask: PAGE_IS_PRESENT | PAGE_IS_SWAPPED,
                ..ScanArg::default()
            };
            let count = with_pagemap(|pagemap| {
                // SAFETY: the argument has the layout that the kernel documents, and its vector the length that it says. Both
                // live on this stack, and the vector's address has been exposed for the kernel to write to.
                let count = unsafe { libc::ioctl(pagemap.as_raw_fd(), PAGEMAP_SCAN, &raw mut scan) };
                usize::try_from(count).map_err(|_| io::Error::last_os_error())
            })?;
            for region in &found[..count.min(found.len())] {
                let number = |address: u64| ((address - base as u64) / page() as u64) as u32;
                ranges.push(number(region.start)..number(region.end));
            }
            if scan.walk_end <= at {
                return Err(io::ErrorKind::Other.into());
            }
            at = scan.walk_end;
        }
        Ok(())
    }

    /// Whether pages have become private only by writes, so that counts of faults can be trusted.
    pub(crate) fn is_sound(&self) -> bool {
        let Ok(canary) = Canary::get() else { return false };
        // SAFETY: both pages are mapped, one for ever and one for as long as `self` lives, the word lies within, aligned, and is
        // accessed as an atomic only.
        let (file, page) = unsafe {
            let file = canary.view.at.as_ptr().add(self.word).cast::<AtomicU64>();
            let page = self.memory().sub(page()).add(self.word).cast::<AtomicU64>();
            (&*file, &*page)
        };
        // A page that has become private keeps what it held then. One that shows this write or a later one, of whichever region
        // or process, has not.
        let before = file.fetch_add(1, Ordering::SeqCst);
        page.load(Ordering::SeqCst) > before
    }

    /// Gives private pages back: they are the image's again.
    pub(crate) fn drop_pages(&self, pages: Range<u32>) -> io::Result<()> {
        let range = pages.start as usize * page()..pages.end as usize * page();
        assert!(range.start <= range.end && range.end <= self.len, "pages of the image");
        // SAFETY: the range lies in the part of the region that maps the image; dropping private pages shows the file's
        // again, a change of bytes as by a write. No reference into the memory is alive: it is reached through the store only,
        // and who calls this has borrowed the whole store for it (`Instance::reset`), after its slice of the memory has ended.
        let dropped = unsafe {
            let at = self.memory().add(range.start).cast();
            libc::madvise(at, range.len(), libc::MADV_DONTNEED)
        };
        if dropped == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

// The interface of PAGEMAP_SCAN: include/uapi/linux/fs.h, Linux 6.7.
const PAGEMAP_SCAN: libc::Ioctl = 0xc060_6610_u32 as libc::Ioctl;
const PAGE_IS_FILE: u64 = 1 << 2;
const PAGE_IS_PRESENT: u64 = 1 << 3;
const PAGE_IS_SWAPPED: u64 = 1 << 4;

#[repr(C)]
#[derive(Default)]
struct ScanArg {
    size: u64,
    flags: u64,
    start: u64,
    end: u64,
    walk_end: u64,
    vec: u64,
    vec_len: u64,
    max_pages: u64,
    category_inverted: u64,
    category_mask: u64,
    category_anyof_mask: u64,
    return_mask: u64,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct PageRegion {
    start: u64,
    end: u64,
    categories: u64,
}

/// `/proc/self/pagemap` of the process that opened it. The one path that this library opens unasked.
static PAGEMAP: RwLock<Option<OwnFile>> = RwLock::new(None);

/// Uses `pagemap`, anew if it turns out that another file has its descriptor. Whether it has is asked after each use, which
/// takes a system call of 0.10 to 0.15 us; a scan takes 0.55 us and more.
fn with_pagemap<T>(mut use_it: impl FnMut(&File) -> io::Result<T>) -> io::Result<T> {
    let open = || OwnFile::new(File::open("/proc/self/pagemap")?);
    if epoch() == 0 {
        let mut pagemap = PAGEMAP.write();
        // Another thread may have been faster.
        if epoch() == 0 {
            *pagemap = None;
            *pagemap = Some(open()?);
            begin_epoch();
        }
    }
    let mut used = || {
        let pagemap = PAGEMAP.read();
        let pagemap = pagemap.as_ref()?;
        let result = use_it(pagemap.file());
        pagemap.check().is_ok().then_some(result)
    };
    if let Some(result) = used() {
        return result;
    }
    {
        let mut pagemap = PAGEMAP.write();
        if pagemap.as_ref().is_none_or(|pagemap| pagemap.check().is_err()) {
            *pagemap = Some(open()?);
        }
    }
    used().unwrap_or(Err(io::ErrorKind::NotFound.into()))
}

/// Whether all this works here: found out once a process, in some 100 us.
pub(crate) fn available() -> bool {
    static WORKS: OnceLock<bool> = OnceLock::new();
    *WORKS.get_or_init(|| self_test().unwrap_or(false))
}

/// Does with a region of eight pages all that is relied on, and looks whether it comes out as it must.
fn self_test() -> io::Result<bool> {
    const PAGES: usize = 8;
    let size = page();
    if size != super::PAGE {
        return Ok(false);
    }
    let mapped = Mapped::new(PAGES * size, |bytes| bytes[3 * size..].fill(7))?;
    let mut region = Region::new(PAGES * size, PAGES * size)?;
    // As for a new memory: what is written on scratch pages goes away with them.
    let lent = region.lend_scratch()?;
    // SAFETY: within the region, which nobody else knows.
    unsafe { region.memory().write_bytes(0, PAGES * size) };
    region.take_scratch(lent)?;
    region.map_image(&mapped)?;
    let byte = |page: usize| {
        // SAFETY: within the region, which is mapped for as long as `region` lives; accessed as atomics only.
        unsafe { &*region.memory().add(page * size).cast::<std::sync::atomic::AtomicU8>() }
    };
    let pages = || {
        let mut ranges = Vec::new();
        region.private_pages(&mut ranges).map(|()| ranges.into_iter().flatten().collect::<Vec<_>>())
    };
    // Where a fork cannot be noticed, nothing is counted.
    let count = || (epoch() != 0).then(by_system_call).flatten().ok_or(io::ErrorKind::Unsupported);
    let store = |page: usize| byte(page).store(9, Ordering::Relaxed);

    // Untouched pages are not private, nor is one that was only read.
    let untouched = pages()?.is_empty() && byte(4).load(Ordering::Relaxed) == 7 && pages()?.is_empty();
    // A first write counts, is found, and alone; a second one does not count.
    let before = count()?;
    store(1);
    let first = count()?;
    store(1);
    let written = first > before && count()? == first && pages()? == [1];
    // A write after a read.
    let before = count()?;
    store(4);
    let after_read = count()? > before && pages()? == [1, 4];
    // A write by the kernel.
    let before = count()?;
    // SAFETY: one byte within the region is written to, as by a store.
    let read = unsafe { libc::pread(mapped.file.file().as_raw_fd(), byte(6).as_ptr().cast(), 1, 0) };
    let by_kernel = read == 1 && count()? > before && pages()? == [1, 4, 6];
    // The image and the canary are as they were; dropping pages brings the image's back.
    let unchanged =
        mapped.bytes()[size] == 0 && mapped.bytes()[4 * size] == 7 && region.is_sound() && region.is_sound();
    region.drop_pages(0..PAGES as u32)?;
    let dropped = pages()?.is_empty() && byte(1).load(Ordering::Relaxed) == 0 && byte(4).load(Ordering::Relaxed) == 7;
    Ok(untouched && written && after_read && by_kernel && unchanged && dropped)
}
