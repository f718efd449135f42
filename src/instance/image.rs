//! The pristine state of a function, captured once after initialisation and immutable from then on.
//!
//! Memory is kept as runs of pages of 4 KiB that are not all zero: most of a fresh memory is.

use std::io;

use wasmi::{Memory, Store, Val};

use super::{HostSide, State};
use crate::sys::{Mapped, PAGE};

/// A page of zeros: the granularity of the runs.
static ZEROS: [u8; PAGE] = [0; PAGE];

/// Memories and globals as initialisation left them. Tables and references belong to one store and are kept by each
/// instance itself.
pub(crate) struct Image {
    pub(crate) memories: Vec<MemoryImage>,
    /// The globals that code can change, in the order of `Prepared::globals`; none for references.
    pub(crate) globals: Vec<Option<Val>>,
}

impl Image {
    /// Bytes of all memories.
    pub(crate) fn memory_bytes(&self) -> u64 {
        self.memories.iter().map(|memory| memory.len as u64).sum()
    }

    /// Bytes that are kept.
    pub(crate) fn kept_bytes(&self) -> u64 {
        self.memories.iter().flat_map(|memory| &memory.runs).map(|run| run.bytes.len() as u64).sum()
    }
}

/// One memory: its size, and what of it is not zero.
pub(crate) struct MemoryImage {
    /// Pages of the memory's own page size.
    pub(crate) pages: u64,
    pub(crate) len: usize,
    runs: Vec<Run>,
}

struct Run {
    at: usize,
    bytes: Box<[u8]>,
}

impl MemoryImage {
    /// The image as a mapping of the system, for memories that stand on regions of ours.
    pub(crate) fn map(&self) -> io::Result<Mapped> {
        Mapped::new(self.len, |bytes| self.fill(bytes))
    }

    pub(crate) fn capture<H: HostSide>(memory: Memory, store: &Store<State<H>>) -> Self {
        let data = memory.data(store);
        let mut runs = Vec::new();
        let mut at = 0;
        while at < data.len() {
            // Comparing with zeros is a memcmp; looking at each byte took 20 % of deploying a small module.
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
                runs.push(Run { at: begin, bytes: data[begin..end].into() });
            }
            at += PAGE;
        }
        Self { pages: memory.size(store), len: data.len(), runs }
    }

    /// Makes a memory of the image's size equal to it: zeros between the runs, and the runs. Measured: 0.5 us for
    /// 64 KiB, 7 us for 1 MiB, where copying everything takes 18 to 26 us.
    pub(crate) fn restore(&self, data: &mut [u8]) {
        let mut clean = 0;
        for run in &self.runs {
            data[clean..run.at].fill(0);
            clean = run.at + run.bytes.len();
            data[run.at..clean].copy_from_slice(&run.bytes);
        }
        data[clean..].fill(0);
    }

    /// Puts the runs into a memory that is all zero.
    pub(crate) fn fill(&self, data: &mut [u8]) {
        for run in &self.runs {
            data[run.at..run.at + run.bytes.len()].copy_from_slice(&run.bytes);
        }
    }

    /// Whether a memory is equal to the image.
    pub(crate) fn equals(&self, data: &[u8]) -> bool {
        let is_zero = |bytes: &[u8]| bytes.chunks(PAGE).all(|page| *page == ZEROS[..page.len()]);
        let mut clean = 0;
        let runs = self.runs.iter().all(|run| {
            let gap = clean..run.at;
            clean = run.at + run.bytes.len();
            is_zero(&data[gap]) && data[run.at..clean] == *run.bytes
        });
        data.len() == self.len && runs && is_zero(&data[clean..])
    }
}
