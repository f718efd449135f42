//! How a dirty instance becomes clean, in place. The table lists all of its state.
//!
//! Invariant: each kind of state is restored, cleared, or leads to a fresh instance.
//!
//! | state | restored | replaced by a fresh instance |
//! |---|---|---|
//! | memory content | on a region: the pages that runs have written to (`gate.rs`); otherwise zeros and the image's extents; skipped if nothing wrote | |
//! | memory size, table size | | if one grew: they never shrink |
//! | globals that code writes | set | |
//! | tables that code writes | set entry by entry | |
//! | dropped segments | | always, if the module drops any |
//! | regions whose canary has died | | always |
//! | fuel, log, counters, cancel handle, the WASI and Extism state of the run, its staged writes and events, its delivery | cleared | |
//! | host code that panicked | | always |

use wasmi::Ref;

use super::{HostSide, Image, Instance, Mark};
use crate::{
    limits::{Limits, Reset},
    module::Prepared,
    sys::{self, Mapped},
};

/// If the memory limit is above this number of bytes, no addresses are reserved for growth.
const MAPPED_MAX: u64 = 16 << 30;

/// How the instances of a version become clean. This is chosen once, from facts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Technique {
    /// No code of the guest changes anything.
    None,
    /// In place, once an instance is on regions. Memories are restored by the pages that were
    /// written to. The gate decides whether to scan for them; `ByPageScan` scans after every run.
    ByFaultCount,
    ByPageScan,
    /// In place. Memories are restored as a whole.
    Portable,
    /// By a fresh instance.
    Replaced,
}

impl Technique {
    pub(crate) fn choose(requested: Reset, prepared: &Prepared, image: &Image, limits: &Limits) -> Self {
        let memories_written = prepared.memories.iter().any(|memory| memory.written);
        let mappable = || {
            !prepared.reinitialises
                && limits.memory_bytes <= MAPPED_MAX
                && image.memories.iter().all(|memory| memory.len > 0)
                && sys::available()
        };
        match requested {
            _ if prepared.drops_segments => Self::Replaced,
            _ if !memories_written && prepared.globals.is_empty() && prepared.tables.is_empty() => Self::None,
            Reset::Auto | Reset::ByFaultCount if memories_written && mappable() => Self::ByFaultCount,
            Reset::ByPageScan if memories_written && mappable() => Self::ByPageScan,
            _ => Self::Portable,
        }
    }

    /// The technique in one word, for the report of deployment.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::ByFaultCount => "by_fault_count",
            Self::ByPageScan => "by_page_scan",
            Self::Portable => "portable",
            Self::Replaced => "replaced",
        }
    }
}

/// The result of cleaning an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cleaned {
    Yes,
    /// The instance cannot be restored in place and is thrown away.
    Replace,
    /// The same. The regions no longer show which pages were written to, and those of other
    /// instances will not either.
    Lost,
}

impl<H: HostSide> Instance<H> {
    /// Makes the instance clean again, if possible.
    ///
    /// `mapped` is the image as mapped by the regions, if the instance is on regions.
    pub(crate) fn reset(&mut self, image: &Image, mapped: &[Mapped], technique: Technique) -> Cleaned {
        debug_assert_eq!(self.mark, Mark::Dirty, "only a dirty instance is reset");
        let prepared = &*self.prepared;
        let sizes = self.tables.iter().zip(&self.pristine_tables);
        let grew = self.store.data().memory_bytes != image.memory_bytes()
            || sizes.into_iter().any(|(table, pristine)| table.size(&self.store) != pristine.len() as u64);
        if grew || prepared.drops_segments || self.store.data().poisoned {
            return Cleaned::Replace;
        }
        let host_wrote = self.store.data().host_wrote;
        for (index, image) in image.memories.iter().enumerate() {
            if prepared.memories[index].written || (host_wrote && prepared.main_memory == Some(index)) {
                let memory = self.store.data().memories[index];
                let (data, state) = memory.data_and_store_mut(&mut self.store);
                match self.gates.get_mut(index) {
                    None => image.restore(data),
                    Some(gate) => {
                        let region = state.regions.get(index);
                        if !gate.restore(region, mapped[index].bytes(), data, technique == Technique::ByPageScan) {
                            return Cleaned::Lost;
                        }
                        // The slice of the memory is no longer used here.
                        gate.give_back(region);
                    }
                }
            }
        }
        if !self.set_globals(image) {
            return Cleaned::Replace;
        }
        for (table, pristine) in self.tables.iter().zip(&self.pristine_tables) {
            for (at, entry) in pristine.iter().enumerate() {
                let entry: Ref = *entry;
                if table.set(&mut self.store, at as u64, entry).is_err() {
                    return Cleaned::Replace;
                }
            }
        }
        self.store.data_mut().clear();
        debug_assert!(self.equals(image), "a clean instance equals the image");
        self.mark = Mark::Clean;
        self.uses = self.uses.saturating_add(1);
        Cleaned::Yes
    }

    /// Sets the globals that code can change. Returns `false` if one does not take its value. The
    /// types rule this out.
    pub(super) fn set_globals(&mut self, image: &Image) -> bool {
        let values = image.globals.iter().zip(&self.pristine_references);
        self.globals.iter().zip(values).all(|(global, (shared, own))| match shared.as_ref().or(own.as_ref()) {
            Some(value) => global.set(&mut self.store, value.clone()).is_ok(),
            None => false,
        })
    }

    /// Whether the memories are equal to the image. Debug builds check this.
    fn equals(&self, image: &Image) -> bool {
        let memories = &self.store.data().memories;
        memories.iter().zip(&image.memories).all(|(memory, image)| image.equals(memory.data(&self.store)))
    }
}
