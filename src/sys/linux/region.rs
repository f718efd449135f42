//! The addresses of one memory: a canary, the image, and room to grow.
//!
//! Invariants: a [`Region`] owns its addresses until it is dropped, after the store that uses them
//! is gone. While its canary is sound, its pages have become private by writes alone.

use std::{
    io,
    ops::Range,
    os::fd::AsRawFd,
    sync::{
        OnceLock,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use wasmi::{Memory, MemoryType, Store};

use super::{
    image::{Mapped, memory_file},
    mapping::{HUGE, Mapping, READ_WRITE, page},
    own_file::OwnFile,
};

/// The regions of one store's memories. They belong into the store's data, and can only be added
/// to.
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

/// The page that each region has below its image, as this library writes to it. Each region has a
/// word of its own in it, a cache line apart, so that threads do not write to the same line.
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

impl Regions {
    pub(crate) fn new() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn get(&self, index: usize) -> &Region {
        &self.0[index]
    }

    /// Makes a memory of a store on a region that begins with the image.
    ///
    /// The region goes into the store's data, where `keep` finds its list. It must stay there as
    /// long as the store lives. After an error the store may only be dropped. The type's minimum
    /// must be the image's size. The memory may grow to `capacity` bytes.
    ///
    /// Afterwards nothing of the memory is resident except tables of the kernel. This takes 10 to
    /// 20 us and wasmi's filling of the memory with zeros, 7 us for 1 MiB, under a lock of the
    /// process.
    pub(crate) fn memory<T>(
        store: &mut Store<T>,
        ty: MemoryType,
        mapped: &Mapped,
        capacity: usize,
        keep: impl Fn(&mut T) -> &mut Self,
    ) -> io::Result<Memory> {
        let len = mapped.bytes().len();
        let region = Region::new(len, capacity.max(len))?;
        let (at, capacity) = (region.memory(), region.mapping.len - region.start);
        let regions = &mut keep(store.data_mut()).0;
        let index = regions.len();
        regions.push(region);
        let lent = keep(store.data_mut()).0[index].lend_scratch()?;
        // SAFETY: `capacity` bytes at `at` are mapped, zero and unknown to anybody. The slice is
        // `'static` only in name: the region stands in the store's data and so outlives the memory.
        // wasmi's buffer of such a memory keeps address and length. It makes references of them
        // only while a method of the memory or guest code runs, and does not touch them when it is
        // dropped (wasmi_core 2.0.0, `ByteBuffer`; the version is pinned).
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
    pub(super) fn new(len: usize, capacity: usize) -> io::Result<Self> {
        static NUMBERS: AtomicUsize = AtomicUsize::new(0);
        let private = libc::MAP_PRIVATE | libc::MAP_NORESERVE;
        let canary = Canary::get()?;
        // Room for the boundary, for the scratch pages that are moved here, and for at least a page
        // in front.
        let size = capacity.max(len.next_multiple_of(HUGE)).next_multiple_of(page()) + page() + HUGE;
        let mapping = Mapping::new(size, READ_WRITE, private)?;
        let at = mapping.at.as_ptr().addr();
        let start = (at + page()).next_multiple_of(HUGE) - at;
        // SAFETY: the mapping is new, so nobody holds a reference into it.
        let mapping = unsafe { mapping.replace(start - page()..start, READ_WRITE, private, &canary.file)? };
        let word = NUMBERS.fetch_add(1, Ordering::Relaxed) % (page() / CACHE_LINE) * CACHE_LINE;
        Ok(Self { mapping, start, len, word })
    }

    /// Bytes of the image.
    pub(super) fn image_len(&self) -> usize {
        self.len
    }

    /// Where the memory begins.
    pub(super) fn memory(&self) -> *mut u8 {
        // SAFETY: the mapping has the canary in front of its start, and more behind it.
        unsafe { self.mapping.at.as_ptr().add(self.start) }
    }

    /// Leaves the addresses mapped for ever: after a failed call some may be unmapped, and somebody
    /// else's by now.
    pub(super) fn abandon(&mut self) {
        self.mapping.abandon();
    }

    /// Puts the image where zeros are. Its bytes appear as by a write, and its pages are the
    /// file's.
    pub(super) fn map_image(&mut self, mapped: &Mapped) -> io::Result<()> {
        assert_eq!(self.len, mapped.bytes().len(), "the image that the region was made for");
        let (at, len) = (self.memory(), self.len);
        // SAFETY: the range is the part of the region that is for the image. wasmi knows the
        // addresses and holds no reference to them now: no method of the memory and no guest code
        // runs. Only zeros are lost.
        let placed = unsafe {
            let flags = libc::MAP_PRIVATE | libc::MAP_NORESERVE | libc::MAP_FIXED;
            libc::mmap(at.cast(), len, READ_WRITE, flags, mapped.file.file().as_raw_fd(), 0)
        };
        if placed == libc::MAP_FAILED {
            let error = io::Error::last_os_error();
            self.abandon();
            return Err(error);
        }
        // Nobody has read a byte of it yet: another file may end before its mapping does.
        mapped.file.check()
    }

    /// Whether pages have become private only by writes, so that counts of faults can be trusted.
    pub(crate) fn is_sound(&self) -> bool {
        let Ok(canary) = Canary::get() else { return false };
        // SAFETY: both pages are mapped, one for ever and one as long as `self` lives. The word
        // lies within, is aligned, and is accessed as an atomic only.
        let (file, page) = unsafe {
            let file = canary.view.at.as_ptr().add(self.word).cast::<AtomicU64>();
            let page = self.memory().sub(page()).add(self.word).cast::<AtomicU64>();
            (&*file, &*page)
        };
        // A page that has become private keeps what it held then. A page that shows this write or a
        // later one, of whichever region or process, has not.
        let before = file.fetch_add(1, Ordering::SeqCst);
        page.load(Ordering::SeqCst) > before
    }

    /// Gives private pages back: they are the image's again.
    pub(crate) fn drop_pages(&self, pages: Range<u32>) -> io::Result<()> {
        let range = pages.start as usize * page()..pages.end as usize * page();
        assert!(range.start <= range.end && range.end <= self.len, "pages of the image");
        // SAFETY: the range lies in the part of the region that maps the image. Dropping private
        // pages shows the file's again, a change of bytes as by a write. No reference into the
        // memory is alive. It is reached through the store only, and the caller has borrowed the
        // whole store for this (`Instance::reset`), after its slice of the memory has ended.
        let dropped = unsafe {
            let at = self.memory().add(range.start).cast();
            libc::madvise(at, range.len(), libc::MADV_DONTNEED)
        };
        if dropped == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}
