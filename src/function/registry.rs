//! Functions by name, and what all functions of a runtime share.
//!
//! Invariant: a name stands for at most one version, and `deployed` counts the names that stand for
//! one.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
    time::Duration,
};

use arc_swap::ArcSwapOption;

use super::{Deployed, Function, NameSlot, Target};
use crate::queue::Hub;
use crate::{
    budget::{Budget, Evict},
    clock::Clock,
    error::DeployError,
    host::RuntimeRef,
    limits::{Reset, RuntimeLimits},
    sync::{Mutex, RwLock},
    usage::{Accounts, Label},
};

/// The functions of a runtime. A runtime is a handle to this.
pub(crate) struct Functions {
    pub(super) names: RwLock<Names>,
    /// Superseded versions, as long as something keeps them alive.
    pub(super) superseded: Mutex<Vec<Weak<Deployed>>>,
    /// The version that was deployed last. Its pool may hold an unused instance.
    latest: Mutex<Weak<Deployed>>,
    pub(crate) budget: Arc<Budget>,
    pub(crate) books: Accounts,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) reset: Reset,
    /// The deliveries that wait for functions.
    pub(crate) hub: Arc<Hub>,
}

impl Drop for Functions {
    fn drop(&mut self) {
        self.hub.close();
    }
}

/// Deployed functions by name, and the slots of undeployed ones that handles may still refer to.
#[derive(Default)]
pub(super) struct Names {
    by_name: HashMap<Box<str>, Arc<NameSlot>>,
    /// By `function@alias`.
    pub(super) by_alias: HashMap<Box<str>, Arc<NameSlot>>,
    /// How many names are deployed. Like `NameSlot::current`, it is changed only under the write lock.
    deployed: usize,
}

impl Functions {
    pub(crate) fn new(limits: RuntimeLimits, clock: Arc<dyn Clock>, reset: Reset, hub: Arc<Hub>) -> Arc<Self> {
        Arc::new(Self {
            names: RwLock::default(),
            superseded: Mutex::default(),
            latest: Mutex::default(),
            books: Accounts::new(limits.functions.saturating_mul(2)),
            budget: Budget::new(limits),
            reset,
            hub,
            clock,
        })
    }

    /// Tells one runtime from another, for the invocations under way on a thread.
    pub(crate) fn id(self: &Arc<Self>) -> usize {
        Arc::as_ptr(self).addr()
    }

    /// A weak way back to this, for the rooms below.
    pub(crate) fn runtime_ref(self: &Arc<Self>) -> RuntimeRef {
        // `Arc::downgrade(self)` needs its own type first, to be coerced after it.
        let weak: Weak<Self> = Arc::downgrade(self);
        RuntimeRef::new(weak)
    }

    fn named(self: &Arc<Self>, slot: Arc<NameSlot>) -> Function {
        Function { functions: Arc::clone(self), target: Target::Name(slot) }
    }

    /// Finds a function by its name, or by `name@alias` or `name@version`.
    pub(crate) fn find(self: &Arc<Self>, name: &str) -> Option<Function> {
        let full = name;
        let version = name.split_once('@');
        let slot = {
            let names = self.names.read();
            let of_kind = if version.is_some() { &names.by_alias } else { &names.by_name };
            of_kind.get(full).cloned()
        };
        if let Some(slot) = slot.filter(|slot| slot.current.load().is_some()) {
            return Some(self.named(slot));
        }
        let (name, version) = version.filter(|(_, version)| version.len() >= 7)?;
        let found = self.version(name, |label| label.version.to_string().starts_with(version))?;
        Some(Function { functions: Arc::clone(self), target: Target::Version(found) })
    }

    /// Finds a version of a name that `fits`: the current one, or one that something keeps alive.
    pub(super) fn version(&self, name: &str, fits: impl Fn(&Label) -> bool) -> Option<Arc<Deployed>> {
        let fits = |deployed: &Arc<Deployed>| *deployed.label().name == *name && fits(deployed.label());
        let current = self.names.read().by_name.get(name).and_then(|slot| slot.current.load_full());
        current.filter(fits).or_else(|| {
            // This may be a version's last handle. So it is dropped outside the lock.
            let superseded = self.superseded.lock().clone();
            superseded.iter().rev().filter_map(Weak::upgrade).find(fits)
        })
    }

    /// Takes a function and its aliases out of service. `false` if there is no function of this
    /// name.
    pub(crate) fn undeploy(&self, name: &str) -> bool {
        let gone = {
            let mut names = self.names.write();
            let gone = names.by_name.get(name).and_then(|slot| slot.current.swap(None));
            if gone.is_some() {
                names.deployed -= 1;
                // Forgets slots that no handle refers to, before they outnumber the functions.
                if names.by_name.len() > 2 * names.deployed + 16 {
                    names.by_name.retain(|_, slot| Arc::strong_count(slot) > 1 || slot.current.load().is_some());
                }
            }
            gone
        };
        // The version itself is dropped outside the lock.
        if let Some(gone) = &gone {
            self.supersede(gone);
            self.drop_aliases(name);
        }
        gone.is_some()
    }

    /// All deployed functions, by name.
    pub(crate) fn all(self: &Arc<Self>) -> Vec<Function> {
        let slots: Vec<_> = self.names.read().by_name.values().cloned().collect();
        let deployed = slots.into_iter().filter(|slot| slot.current.load().is_some());
        let mut functions: Vec<_> = deployed.map(|slot| self.named(slot)).collect();
        functions.sort_by(|a, b| a.name().cmp(b.name()));
        functions
    }

    /// Drops instances that have been idle for at least `idle_for`. Returns how many it dropped.
    pub(crate) fn trim(&self, idle_for: Duration) -> usize {
        self.versions().iter().map(|deployed| deployed.trim(idle_for)).sum()
    }

    /// Replaces the instances that were lost because their memory grew. Returns how many.
    pub(crate) fn replenish(&self) -> usize {
        let lost = self.versions().into_iter().filter(|deployed| deployed.pool.has_lost());
        lost.map(|deployed| deployed.replenish()).sum()
    }

    /// All versions that something keeps alive: the current ones, and those behind aliases, pinned
    /// handles and runs under way.
    fn versions(&self) -> Vec<Arc<Deployed>> {
        let names = self.names.read();
        let mut versions: Vec<_> = names.by_name.values().filter_map(|slot| slot.current.load_full()).collect();
        drop(names);
        // A version may be in here twice, if it is also current. The callers allow that.
        versions.extend(self.superseded.lock().iter().filter_map(Weak::upgrade));
        versions
    }

    /// Makes a version the current one of its name.
    pub(crate) fn install(&self, name: &str, deployed: &Arc<Deployed>) -> Result<Arc<NameSlot>, DeployError> {
        let (slot, replaced) = {
            let mut names = self.names.write();
            let limit = self.budget.limits().functions;
            let is_new = names.by_name.get(name).is_none_or(|slot| slot.current.load().is_none());
            if is_new && names.deployed >= limit {
                return Err(DeployError::TooManyFunctions { limit });
            }
            names.deployed += usize::from(is_new);
            let new = || Arc::new(NameSlot { name: name.into(), current: ArcSwapOption::empty() });
            let slot = Arc::clone(names.by_name.entry(name.into()).or_insert_with(new));
            let replaced = slot.current.swap(Some(Arc::clone(deployed)));
            (slot, replaced)
        };
        self.hub.arrived(name);
        let pool: Weak<dyn Evict> = Arc::downgrade(&deployed.pool) as Weak<dyn Evict>;
        self.budget.register(pool);
        let before = std::mem::replace(&mut *self.latest.lock(), Arc::downgrade(deployed));
        if let Some(before) = before.upgrade() {
            before.pool.drop_unused();
        }
        if let Some(replaced) = &replaced {
            self.supersede(replaced);
        }
        Ok(slot)
    }

    /// Remembers a version that is no longer current, for callers that name it.
    pub(super) fn supersede(&self, deployed: &Arc<Deployed>) {
        let mut superseded = self.superseded.lock();
        superseded.retain(|version| version.strong_count() > 0);
        superseded.push(Arc::downgrade(deployed));
    }
}
