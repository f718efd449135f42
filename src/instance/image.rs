//! The pristine state of a function: memories and globals after initialisation.
//!
//! Invariant: an image is captured once, and never changes.
//!
//! Memory is kept as extents: sequences of pages of 4 KiB that are not all zero. Most pages of a
//! fresh memory are.

use std::io;

use wasmi::{Memory, Store, Val};

use super::{HostSide, State};
use crate::sys::{Mapped, PAGE};

/// A page of zeros. Extents consist of such pages.
static ZEROS: [u8; PAGE] = [0; PAGE];

/// Memories and globals as initialisation has left them. Each instance keeps its own tables and
/// references, because they belong to one store.
pub(crate) struct Image {
    pub(crate) memories: Vec<MemoryImage>,
    /// The globals that code can change, in the order of `Prepared::globals`. `None` for
    /// references.
    pub(crate) globals: Vec<Option<Val>>,
}

impl Image {
    /// Bytes of all memories.
    pub(crate) fn memory_bytes(&self) -> u64 {
        self.memories.iter().map(|memory| memory.len as u64).sum()
    }

    /// Bytes of all extents.
    pub(crate) fn kept_bytes(&self) -> u64 {
        self.memories.iter().flat_map(|memory| &memory.extents).map(|extent| extent.bytes.len() as u64).sum()
    }
}

/// One memory: its size, and its parts that are not zero.
pub(crate) struct MemoryImage {
    /// Pages of the memory's own page size.
    pub(crate) pages: u64,
    pub(crate) len: usize,
    extents: Vec<Extent>,
}

struct Extent {
    at: usize,
    bytes: Box<[u8]>,
}

impl MemoryImage {
    /// Maps the image, for memories on regions.
    pub(crate) fn map(&self) -> io::Result<Mapped> {
        Mapped::new(self.len, |bytes| self.fill(bytes))
    }

    pub(crate) fn capture<H: HostSide>(memory: Memory, store: &Store<State<H>>) -> Self {
        let data = memory.data(store);
        let mut extents = Vec::new();
        let mut at = 0;
        while at < data.len() {
            // A comparison with zeros is a memcmp. Looking at each byte took 20 % of the time to
            // deploy a small module.
            let is_zero = |at: usize| {
                let page = &data[at..data.len().min(at + PAGE)];
                *page == ZEROS[..page.len()]
            };
            let begin = at;
            while at < data.len() && !is_zero(at) {
                at += PAGE;
            }
            let end = at.min(data.len());
            if begin < end {
                extents.push(Extent { at: begin, bytes: data[begin..end].into() });
            }
            at += PAGE;
        }
        Self { pages: memory.size(store), len: data.len(), extents }
    }

    /// Makes a memory of the image's size equal to it: copies the extents, and fills the gaps with
    /// zeros. Measured: 0.5 us for 64 KiB and 7 us for 1 MiB. Copying everything takes 18 to 26 us.
    pub(crate) fn restore(&self, data: &mut [u8]) {
        let mut clean = 0;
        for extent in &self.extents {
            data[clean..extent.at].fill(0);
            clean = extent.at + extent.bytes.len();
            data[extent.at..clean].copy_from_slice(&extent.bytes);
        }
        data[clean..].fill(0);
    }

    /// Copies the extents into a memory that is all zero.
    pub(crate) fn fill(&self, data: &mut [u8]) {
        for extent in &self.extents {
            data[extent.at..extent.at + extent.bytes.len()].copy_from_slice(&extent.bytes);
        }
    }

    /// Whether a memory is equal to the image.
    pub(crate) fn equals(&self, data: &[u8]) -> bool {
        let is_zero = |bytes: &[u8]| bytes.chunks(PAGE).all(|page| *page == ZEROS[..page.len()]);
        let mut clean = 0;
        let extents = self.extents.iter().all(|extent| {
            let gap = clean..extent.at;
            clean = extent.at + extent.bytes.len();
            is_zero(&data[gap]) && data[extent.at..clean] == *extent.bytes
        });
        data.len() == self.len && extents && is_zero(&data[clean..])
    }
}
