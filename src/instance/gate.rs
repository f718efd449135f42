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
        let now = faults();
        LATEST.set(now);
        let stands = !always_scan && now.is_some() && self.before.take() == now;
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
