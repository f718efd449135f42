//! How a dirty instance becomes clean: the whole state inventory, in place.
//!
//! | state | restored | replaced by a fresh instance |
//! |---|---|---|
//! | memory content | on a region of ours: the pages that runs have written to (`gate.rs`); else zeros and the image's runs; skipped where nothing wrote | |
//! | memory size, table size | | if one grew: neither ever shrinks |
//! | globals that code writes | set | |
//! | tables that code writes | set entry by entry | |
//! | dropped segments | | always, where the module drops any |
//! | regions whose canary has died | | always |
//! | fuel, log, counters, cancel handle, what WASI and Extism keep for a run, what it staged, the delivery that it served | cleared | |
//! | host code that panicked | | always |

use wasmi::Ref;

use super::{HostSide, Image, Instance, Mark};
use crate::{
    limits::{Limits, Reset},
    module::Prepared,
    sys::{self, Mapped},
};

/// Limits on memory above which no addresses are reserved for growth, in bytes.
const MAPPED_MAX: u64 = 16 << 30;

/// How the instances of a version become clean: chosen once, from facts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Technique {
    /// No code of the guest changes anything.
    None,
    /// In place; memories by the pages that were written to, looked for behind the gate or after every run, once an instance
    /// stands on regions.
    Gated,
    Scanned,
    /// In place; memories as a whole.
    Portable,
    /// By a fresh instance.
    Replaced,
}

impl Technique {
    pub(crate) fn choose(wish: Reset, prepared: &Prepared, image: &Image, limits: &Limits) -> Self {
        let memories_written = prepared.memories.iter().any(|memory| memory.written);
        let mappable = || {
            !prepared.reinitialises
                && limits.memory <= MAPPED_MAX
                && image.memories.iter().all(|memory| memory.len > 0)
                && sys::available()
        };
        match wish {
            _ if prepared.drops_segments => Self::Replaced,
            _ if !memories_written && prepared.globals.is_empty() && prepared.tables.is_empty() => Self::None,
            Reset::Auto | Reset::Gated if memories_written && mappable() => Self::Gated,
            Reset::Scanned if memories_written && mappable() => Self::Scanned,
            _ => Self::Portable,
        }
    }

    /// The same in one word, for the report of deployment.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gated => "gated",
            Self::Scanned => "scanned",
            Self::Portable => "portable",
            Self::Replaced => "replaced",
        }
    }
}

/// What came of cleaning an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cleaned {
    Yes,
    /// It cannot be restored in place and is thrown away.
    Replace,
    /// The same, because its regions do not show any more what was written to: others of their kind will not either.
    Lost,
}

impl<H: HostSide> Instance<H> {
    /// Makes the instance clean again, if it can be.
    ///
    /// `mapped` is the image as the regions map it, where the instance stands on them.
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
                        if !gate.restore(region, mapped[index].bytes(), data, technique == Technique::Scanned) {
                            return Cleaned::Lost;
                        }
                        // The slice of the memory has ended here.
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

    /// Sets the globals that code can change; `false` if one does not take its value, which types rule out.
    pub(super) fn set_globals(&mut self, image: &Image) -> bool {
        let values = image.globals.iter().zip(&self.pristine_references);
        self.globals.iter().zip(values).all(|(global, (shared, own))| match shared.as_ref().or(own.as_ref()) {
            Some(value) => global.set(&mut self.store, value.clone()).is_ok(),
            None => false,
        })
    }

    /// Whether memories are those of the image: the check of debug builds.
    fn equals(&self, image: &Image) -> bool {
        let memories = &self.store.data().memories;
        memories.iter().zip(&image.memories).all(|(memory, image)| image.equals(memory.data(&self.store)))
    }
}
