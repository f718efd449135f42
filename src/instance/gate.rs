//! Cleaning a memory that stands on a region of ours: only the pages that runs have written to.
//!
//! The set of private pages ("known") only grows between two givings-back, as cleaning copies the image's bytes back: no new
//! faults, no shoot-downs on other cores. A scan finds the set; the gate saves most scans: the set can only have grown if
//! the invoking thread took a page fault during the run, so if its count is what it was before, the set stands. Measured in
//! a prototype: of 200,000 runs 1 to 200 needed a scan.
//!
//! What this rests on:
//! - a run begins and ends on one thread, and all writes to guest memory are that thread's: `Guest` and `Context` cannot be
//!   sent to another;
//! - the moment that a run is compared with is taken **before** the input is written, and from the thread's own count: it may
//!   be older than the run, which can only lead to a scan too many;
//! - a thread is told by a number of its own, so that an instance that moves between threads is scanned;
//! - the first reset of a region scans, whatever the count says. `mlockall(MCL_FUTURE)` between the mappings of the canary
//!   and of the image makes the image's pages private, and neither the canary nor a ring tells of it. The fault of the first
//!   look at a canary used to lead to that scan, but nothing promised that fault. So the scan costs nothing more;
//! - whatever fails (no count, no scan, a canary that has died) leads to a scan, or the instance is thrown away.
//!
//! A page that one run needed would be copied for ever: on every eighth reset the pages are compared instead, and those that
//! nobody has changed four times in a row are given back to the kernel, when there are enough of them to pay for it.

use std::{cell::Cell, ops::Range};

use crate::sys::{Faults, PAGE, Region, faults};

const COMPARE_EVERY: u32 = 8;
const COLD_AFTER: u8 = 4;
const COLD_MIN: usize = 8;

thread_local! {
    /// The latest count that this thread has seen.
    static LATEST: Cell<Option<Faults>> = const { Cell::new(None) };
}

/// What is known of one memory's private pages.
#[derive(Default)]
pub(crate) struct Gate {
    /// In ascending order.
    known: Vec<Known>,
    /// A scan has found `known`. Before the first one nothing is known, not even that no page is private.
    scanned: bool,
    /// Where the thread's count stood before the run; none means: scan.
    before: Option<Faults>,
    resets: u32,
    /// Enough pages are cold to be given back.
    gives_back: bool,
    /// Kept for its room.
    ranges: Vec<Range<u32>>,
}

#[derive(Clone, Copy)]
struct Known {
    page: u32,
    /// How often in a row a comparison found it unchanged.
    unchanged: u8,
}

/// The moment before a run, for [`Gate::arm`].
pub(crate) fn moment() -> Option<Faults> {
    LATEST.get()
}

impl Gate {
    pub(crate) fn arm(&mut self, moment: Option<Faults>) {
        self.before = moment;
    }

    /// Makes the memory equal to the image; `false` if it cannot be told how. `always_scan` leaves the gate open.
    pub(crate) fn restore(&mut self, region: &Region, image: &[u8], data: &mut [u8], always_scan: bool) -> bool {
        if !region.is_sound() {
            return false;
        }
        // A gate that scans after each run needs no count: no `getrusage`, no ring.
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
        for pages in runs(self.known.iter()) {
            let run = bytes(pages);
            data[run.clone()].copy_from_slice(&image[run]);
        }
        true
    }

    /// Finds the private pages anew.
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

    /// Copies the pages that differ, and counts how long the others have not.
    fn compare(&mut self, image: &[u8], data: &mut [u8]) -> bool {
        for known in &mut self.known {
            let run = bytes(known.page..known.page + 1);
            if data[run.clone()] == image[run.clone()] {
                known.unchanged = known.unchanged.saturating_add(1);
            } else {
                known.unchanged = 0;
                data[run.clone()].copy_from_slice(&image[run]);
            }
        }
        let cold = self.known.iter().filter(|known| known.is_cold()).count();
        self.gives_back = cold >= COLD_MIN.max(self.known.len() / 8);
        true
    }

    /// Gives the pages back that nobody has changed for long, if there are enough of them. Not while a slice of the memory
    /// is at hand: their bytes stay the same, but come from elsewhere.
    pub(crate) fn give_back(&mut self, region: &Region) {
        if !std::mem::take(&mut self.gives_back) {
            return;
        }
        for pages in runs(self.known.iter().filter(|known| known.is_cold())) {
            // Locked pages cannot be given back. They stay as they are, which is right too, and stay known.
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

/// Neighbouring pages as ranges.
fn runs<'a>(pages: impl Iterator<Item = &'a Known>) -> impl Iterator<Item = Range<u32>> {
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

    /// A memory on a region of 256 pages, and what is known of it.
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

        /// A run that writes to these pages, and the reset after it. Which pages are private then.
        fn run(&mut self, written: Range<usize>) -> Vec<u32> {
            self.gate.arm(moment());
            for page in written.clone() {
                self.memory.data_mut(&mut self.store)[page * PAGE] = 1;
            }
            let (data, regions) = self.memory.data_and_store_mut(&mut self.store);
            let region = regions.get(0);
            assert!(self.gate.restore(region, self.mapped.bytes(), data, false));
            // No others are looked at, which would take faults.
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
        // The first run writes to 16 pages, or to so few that it would not pay; the 25th to one before them.
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
        // 72 are written to each time, nine only once, of 81 an eighth and less.
        scene.run(0..81);
        for _ in 0..40 {
            assert_eq!(scene.run(0..72).len(), 81);
        }
        assert!(scene.is_clean());
    }
}
