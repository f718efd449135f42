//! Cleans a memory that is on a region: restores only the pages that runs have written to.
//!
//! Invariant: after `restore` has returned `true`, the memory is equal to the image.
//!
//! Cleaning copies the image's bytes back. So the set of private pages (`known`) only grows until
//! pages are given back. This avoids new faults, and shoot-downs on other cores. A scan finds the
//! set. The gate saves most scans: the set can grow only if the thread took a page fault during the
//! run. If the thread's fault count is the same as before the run, the set is unchanged. Measured
//! in a prototype: of 200,000 runs, 1 to 200 needed a scan.
//!
//! This relies on:
//! - A run begins and ends on one thread, and only this thread writes to guest memory: `Guest` and
//!   `Context` are not `Send`.
//! - The count to compare with is taken **before** the input is written, and from the thread's own
//!   counter. It may be older than the run. That can only cause an unnecessary scan.
//! - The count contains a number of the thread. So an instance that moves between threads is
//!   scanned.
//! - The first reset of a region always scans. `mlockall(MCL_FUTURE)` between the mappings of the
//!   canary and of the image makes the image's pages private. Neither the canary nor a ring shows
//!   this. The fault of the first look at a canary used to cause that scan, but nothing guarantees
//!   that fault. So the scan costs nothing extra.
//! - After any failure (no count, no scan, a dead canary), the gate scans, or the instance is
//!   thrown away.
//!
//! Without more, a page that one run has written would be copied for ever. So every eighth reset
//! compares the pages instead. Pages that were unchanged four times in a row go back to the kernel,
//! if there are enough of them to be worth it.

use std::{cell::Cell, ops::Range};

use crate::sys::{Faults, PAGE, Region, faults};

const COMPARE_EVERY: u32 = 8;
const COLD_AFTER: u8 = 4;
const COLD_MIN: usize = 8;

thread_local! {
    /// The latest count that this thread has seen.
    static LATEST: Cell<Option<Faults>> = const { Cell::new(None) };
}

/// What is known of the private pages of one memory.
#[derive(Default)]
pub(crate) struct Gate {
    /// In ascending order.
    known: Vec<Known>,
    /// Whether a scan has found `known`. Before the first scan, any page may be private.
    scanned: bool,
    /// The thread's count before the run. `None` requires a scan.
    before: Option<Faults>,
    resets: u32,
    /// There are enough cold pages to give back.
    gives_back: bool,
    /// A buffer that is kept for its capacity.
    ranges: Vec<Range<u32>>,
}

#[derive(Clone, Copy)]
struct Known {
    page: u32,
    /// How many comparisons in a row found the page unchanged.
    unchanged: u8,
}

/// The count before a run, for [`Gate::arm`].
pub(crate) fn moment() -> Option<Faults> {
    LATEST.get()
}

impl Gate {
    pub(crate) fn arm(&mut self, moment: Option<Faults>) {
        self.before = moment;
    }

    /// Makes the memory equal to the image. Returns `false` if the private pages cannot be found.
    /// `always_scan` ignores the count.
    pub(crate) fn restore(&mut self, region: &Region, image: &[u8], data: &mut [u8], always_scan: bool) -> bool {
        if !region.is_sound() {
            return false;
        }
        // If every run is scanned, no count is needed: no `getrusage`, no ring.
        let now = if always_scan { None } else { faults() };
        if now.is_some() {
            LATEST.set(now);
        }
        let stands = !always_scan && self.scanned && now.is_some() && self.before.take() == now;
        if !stands && !self.scan(region) {
            return false;
        }
        self.resets = self.resets.wrapping_add(1);
        if self.resets % COMPARE_EVERY == 0 && self.known.len() > COLD_MIN {
            return self.compare(image, data);
        }
        for pages in page_ranges(self.known.iter()) {
            let range = bytes(pages);
            data[range.clone()].copy_from_slice(&image[range]);
        }
        true
    }

    /// Finds the private pages again.
    #[cold]
    fn scan(&mut self, region: &Region) -> bool {
        self.ranges.clear();
        if region.private_pages(&mut self.ranges).is_err() {
            return false;
        }
        let mut old = std::mem::take(&mut self.known).into_iter().peekable();
        for page in self.ranges.iter().cloned().flatten() {
            while old.next_if(|known| known.page < page).is_some() {}
            let unchanged = old.next_if(|known| known.page == page).map_or(0, |known| known.unchanged);
            self.known.push(Known { page, unchanged });
        }
        self.scanned = true;
        true
    }

    /// Copies the pages that differ, and counts for the others how often they were unchanged.
    fn compare(&mut self, image: &[u8], data: &mut [u8]) -> bool {
        for known in &mut self.known {
            let range = bytes(known.page..known.page + 1);
            if data[range.clone()] == image[range.clone()] {
                known.unchanged = known.unchanged.saturating_add(1);
            } else {
                known.unchanged = 0;
                data[range.clone()].copy_from_slice(&image[range]);
            }
        }
        let cold = self.known.iter().filter(|known| known.is_cold()).count();
        self.gives_back = cold >= COLD_MIN.max(self.known.len() / 8);
        true
    }

    /// Gives cold pages back to the kernel, if there are enough. The caller must not hold a slice
    /// of the memory: the bytes stay the same, but they come from other pages.
    pub(crate) fn give_back(&mut self, region: &Region) {
        if !std::mem::take(&mut self.gives_back) {
            return;
        }
        for pages in page_ranges(self.known.iter().filter(|known| known.is_cold())) {
            // Locked pages cannot be given back. They stay as they are, which is correct, and stay
            // known.
            if region.drop_pages(pages).is_err() {
                return;
            }
        }
        self.known.retain(|known| !known.is_cold());
    }
}

impl Known {
    fn is_cold(&self) -> bool {
        self.unchanged >= COLD_AFTER
    }
}

/// Joins neighbouring pages to ranges.
fn page_ranges<'a>(pages: impl Iterator<Item = &'a Known>) -> impl Iterator<Item = Range<u32>> {
    let mut pages = pages.map(|known| known.page).peekable();
    std::iter::from_fn(move || {
        let first = pages.next()?;
        let mut end = first + 1;
        while pages.next_if_eq(&end).is_some() {
            end += 1;
        }
        Some(first..end)
    })
}

fn bytes(pages: Range<u32>) -> Range<usize> {
    pages.start as usize * PAGE..pages.end as usize * PAGE
}

#[cfg(all(test, target_os = "linux", target_pointer_width = "64"))]
#[allow(clippy::unwrap_used, reason = "a test that unwraps fails with the error")]
mod tests {
    use super::*;
    use crate::sys::{Mapped, Regions, available};

    /// A memory on a region of 256 pages, with its gate.
    struct Scene {
        store: wasmi::Store<Regions>,
        memory: wasmi::Memory,
        mapped: Mapped,
        gate: Gate,
    }

    impl Scene {
        fn new() -> Self {
            let mapped = Mapped::new(16 << 16, |bytes| bytes[300] = 3).unwrap();
            let mut store = wasmi::Store::new(&wasmi::Engine::default(), Regions::new());
            let ty = wasmi::MemoryType::new(16, None);
            let memory = Regions::memory(&mut store, ty, &mapped, 16 << 16, |regions: &mut Regions| regions).unwrap();
            Self { store, memory, mapped, gate: Gate::default() }
        }

        /// Runs once, writes to these pages, and resets. Returns the pages that are private
        /// afterwards.
        fn run(&mut self, written: Range<usize>) -> Vec<u32> {
            self.gate.arm(moment());
            for page in written.clone() {
                self.memory.data_mut(&mut self.store)[page * PAGE] = 1;
            }
            let (data, regions) = self.memory.data_and_store_mut(&mut self.store);
            let region = regions.get(0);
            assert!(self.gate.restore(region, self.mapped.bytes(), data, false));
            // Other pages are not read, because that would cause faults.
            assert!(written.into_iter().all(|page| data[page * PAGE] == 0));
            self.gate.give_back(region);
            let mut private = Vec::new();
            region.private_pages(&mut private).unwrap();
            private.into_iter().flatten().collect()
        }

        fn is_clean(&self) -> bool {
            *self.memory.data(&self.store) == *self.mapped.bytes()
        }
    }

    #[test]
    fn pages_that_no_run_changes_are_given_back_when_they_are_enough() {
        if !available() {
            return;
        }
        // The first run writes to 16 pages, or to too few to be worth giving back. The 25th run
        // writes to the page before them.
        for (pages, given_back) in [(100..116, true), (100..108, false)] {
            let mut scene = Scene::new();
            let all: Vec<u32> = pages.clone().map(|page| page as u32).collect();
            assert_eq!(scene.run(pages), all);
            for _ in 2..25 {
                assert_eq!(scene.run(0..0), all);
            }
            let with_new = [&[99], &all[..]].concat();
            assert_eq!(scene.run(99..100), with_new);
            for _ in 26..32 {
                assert_eq!(scene.run(0..0), with_new);
            }
            let left = if given_back { vec![99] } else { with_new };
            assert_eq!(scene.run(0..0), left);
            assert_eq!(scene.run(99..100), left, "what is left is known");
            assert!(scene.is_clean());
        }
    }

    #[test]
    fn pages_that_are_few_beside_those_in_use_are_kept() {
        if !available() {
            return;
        }
        let mut scene = Scene::new();
        // 72 pages are written each time, and nine only once. Nine are no more than an eighth of
        // 81.
        scene.run(0..81);
        for _ in 0..40 {
            assert_eq!(scene.run(0..72).len(), 81);
        }
        assert!(scene.is_clean());
    }
}
