//! The counters of a runtime by function and version. They are kept beyond the version's life.
//!
//! Invariant: the sum over all entries and what is retired never loses an invocation that has
//! ended.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;

use super::{FunctionUsage, Label, Ledger, Version, counters::VersionCounters};

/// All counters of a runtime.
pub(crate) struct Accounts {
    limit: usize,
    entries: Mutex<Entries>,
}

#[derive(Default)]
struct Entries {
    /// The counters of each version, with the number of its last deployment.
    by_version: HashMap<(Box<str>, Version), (u64, Arc<VersionCounters>)>,
    opened: u64,
    retired: FunctionUsage,
}

impl Accounts {
    /// Room for so many versions.
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, entries: Mutex::default() }
    }

    /// The counters of a version, and whether they are new. A version that was deployed before goes
    /// on with the counters that it had.
    ///
    /// Where there is no room, one version that is not live is retired: the one whose last
    /// deployment is longest ago.
    pub(crate) fn open(&self, label: &Label) -> (Arc<VersionCounters>, bool) {
        let mut entries = self.entries.lock();
        let key = (label.name.clone(), label.version);
        let opened = entries.opened;
        entries.opened += 1;
        if let Some((last, counters)) = entries.by_version.get_mut(&key) {
            *last = opened;
            return (Arc::clone(counters), false);
        }
        while entries.by_version.len() >= self.limit {
            let gone = entries.by_version.iter().filter(|(_, (_, counters))| Arc::strong_count(counters) == 1);
            let Some(key) = gone.min_by_key(|(_, (opened, _))| *opened).map(|(key, _)| key.clone()) else { break };
            if let Some((_, counters)) = entries.by_version.remove(&key) {
                counters.add_to(&mut entries.retired);
            }
        }
        let counters = Arc::<VersionCounters>::default();
        entries.by_version.insert(key, (opened, Arc::clone(&counters)));
        (counters, true)
    }

    /// Forgets a version that was new and whose deployment failed.
    pub(crate) fn withdraw(&self, label: &Label, counters: &Arc<VersionCounters>) {
        let mut entries = self.entries.lock();
        // Besides this reference and the caller's, another deployment of the same version may hold
        // one.
        if Arc::strong_count(counters) == 2 {
            entries.by_version.remove(&(label.name.clone(), label.version));
        }
    }

    /// What all versions have used until now.
    pub(crate) fn ledger(&self) -> Ledger {
        let entries = self.entries.lock();
        let mut functions: Vec<FunctionUsage> = Vec::with_capacity(entries.by_version.len());
        for ((name, version), (_, counters)) in &entries.by_version {
            let mut usage =
                FunctionUsage { function: name.to_string(), version: Some(*version), ..FunctionUsage::default() };
            counters.add_to(&mut usage);
            functions.push(usage);
        }
        functions.sort_by(|a, b| (&a.function, a.version).cmp(&(&b.function, b.version)));
        Ledger { functions, retired: entries.retired.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_that_are_gone_are_retired_into_a_sum_when_there_is_no_room() {
        let accounts = Accounts::new(2);
        let label = |name: &str| Label { name: name.into(), version: Version::of(b"", &()) };
        let [(gone, _), (kept, _)] = ["gone", "kept"].map(|name| accounts.open(&label(name)));
        gone.refused("busy");
        kept.refused("busy");
        drop(gone);
        let _third = accounts.open(&label("third"));
        let ledger = accounts.ledger();
        let names: Vec<_> = ledger.functions().iter().map(FunctionUsage::function).collect();
        assert_eq!(names, ["kept", "third"]);
        assert_eq!(ledger.retired().invocations(), 1);
        let (counters, is_new) = accounts.open(&label("kept"));
        let mut usage = FunctionUsage::default();
        counters.add_to(&mut usage);
        assert_eq!((usage.refused, is_new), (1, false), "deployed again it goes on");
    }
}
