//! The front door: deploy, find, undeploy; and what all functions share.

use std::{
    any::Any,
    collections::HashMap,
    sync::{Arc, Weak},
    time::Duration,
};

use parking_lot::{Mutex, RwLock};

use crate::{
    capability::Context,
    clock::{Clock, SystemClock},
    error::DeployError,
    function::{Deployed, Deployment, Function, Slot, Target},
    limits::{Reset, RuntimeLimits},
    usage::{Budget, Evict},
};

/// A function runtime: functions by name, and the budget that they share.
///
/// Cheap to clone, `Send` and `Sync`. It starts no thread, and opens no file but one: on Linux `/proc/self/pagemap`, unless
/// [`RuntimeBuilder::reset`] says [`Portable`](Reset::Portable). (The standard library reads files of the control group
/// once, to count cores.) Functions keep their runtime alive; when the
/// last handle goes, all instances go with it.
#[derive(Clone)]
pub struct Runtime(Arc<Inner>);

struct Inner {
    slots: RwLock<Slots>,
    /// Versions by the function's name that have been superseded, as long as something keeps them alive.
    superseded: Mutex<Vec<Weak<Deployed>>>,
    budget: Arc<Budget>,
    clock: Arc<dyn Clock>,
    reset: Reset,
}

/// Deployed functions by name, and the places of undeployed ones that handles may still refer to.
#[derive(Default)]
struct Slots {
    by_name: HashMap<Box<str>, Arc<Slot>>,
    /// How many of them are deployed. Changed, as `Slot::current` is, under the write lock.
    deployed: usize,
}

impl Runtime {
    /// A runtime with default limits, on the machine's clock.
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// A runtime with choices.
    pub fn builder() -> RuntimeBuilder {
        RuntimeBuilder { limits: RuntimeLimits::default(), clock: None, reset: Reset::Auto }
    }

    /// Deploys a function from the bytes of a WebAssembly module, with default options: see [`Deployment::deploy`]. A
    /// function that has the name is replaced atomically.
    ///
    /// Takes some 50 us for a small module, a few times what wasmi itself takes, and about 1 ms more the first time in a
    /// process, when the build is checked.
    ///
    /// # Errors
    /// See [`DeployError`].
    pub fn deploy(&self, name: &str, module: &[u8]) -> Result<Function, DeployError> {
        self.deployment(name, module).deploy()
    }

    /// A deployment with choices.
    pub fn deployment<'a>(&'a self, name: &'a str, module: &'a [u8]) -> Deployment<'a> {
        Deployment::new(self, name, module)
    }

    /// The function of this name. With a version after an `@`, as `greet@3f2a91c`, a pinned handle on that version, if it
    /// is the current one or something keeps it alive; seven digits or more.
    pub fn find(&self, name: &str) -> Option<Function> {
        let Some((name, version)) = name.split_once('@') else {
            let slot = self.0.slots.read().by_name.get(name).cloned()?;
            slot.current.read().as_ref()?;
            return Some(Function { runtime: self.clone(), target: Target::Name(slot) });
        };
        if version.len() < 7 {
            return None;
        }
        let fits = |deployed: &Arc<Deployed>| {
            *deployed.label.name == *name && deployed.label.version.to_string().starts_with(version)
        };
        let current = self.0.slots.read().by_name.get(name).and_then(|slot| slot.current.read().clone());
        let found = current.filter(fits).or_else(|| {
            // A version whose last handle this turns out to be is dropped outside the lock.
            let superseded = self.0.superseded.lock().clone();
            superseded.iter().rev().filter_map(Weak::upgrade).find(fits)
        })?;
        Some(Function { runtime: self.clone(), target: Target::Version(found) })
    }

    /// Takes a function out of service: handles answer `Undeployed`, invocations under way finish, pinned handles go on.
    /// `false` if there is none of this name.
    pub fn undeploy(&self, name: &str) -> bool {
        let gone = {
            let mut slots = self.0.slots.write();
            let gone = slots.by_name.get(name).and_then(|slot| slot.current.write().take());
            if gone.is_some() {
                slots.deployed -= 1;
                // Forgets the places that no handle refers to, before they outnumber the functions.
                if slots.by_name.len() > 2 * slots.deployed + 16 {
                    slots.by_name.retain(|_, slot| Arc::strong_count(slot) > 1 || slot.current.read().is_some());
                }
            }
            gone
        };
        // The version itself is dropped outside the lock.
        if let Some(gone) = &gone {
            self.supersede(gone);
        }
        gone.is_some()
    }

    /// All deployed functions, by name.
    pub fn functions(&self) -> Vec<Function> {
        let slots: Vec<_> = self.0.slots.read().by_name.values().cloned().collect();
        let deployed = slots.into_iter().filter(|slot| slot.current.read().is_some());
        let mut functions: Vec<_> =
            deployed.map(|slot| Function { runtime: self.clone(), target: Target::Name(slot) }).collect();
        functions.sort_by(|a, b| a.name().cmp(b.name()));
        functions
    }

    /// Drops instances of all functions that have been idle for at least `idle_for`, but those that a deployment asked to
    /// keep. Returns how many went.
    pub fn trim(&self, idle_for: Duration) -> usize {
        self.functions().iter().map(|function| function.trim(idle_for)).sum()
    }

    /// Live instances of all functions, and the bytes of memory and bookkeeping that they hold.
    pub fn in_use(&self) -> (usize, u64) {
        self.0.budget.in_use()
    }

    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        &self.0.clock
    }

    pub(crate) fn reset(&self) -> Reset {
        self.0.reset
    }

    pub(crate) fn budget(&self) -> &Arc<Budget> {
        &self.0.budget
    }

    /// Its identity, for the invocations under way on a thread.
    pub(crate) fn id(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }

    /// The runtime without its type, for rooms below that only carry it.
    pub(crate) fn home(&self) -> Weak<dyn Any + Send + Sync> {
        let weak: Weak<Inner> = Arc::downgrade(&self.0);
        weak
    }

    /// Makes a version the current one of its name.
    pub(crate) fn install(&self, name: &str, deployed: &Arc<Deployed>) -> Result<Arc<Slot>, DeployError> {
        let (slot, replaced) = {
            let mut slots = self.0.slots.write();
            let limit = self.0.budget.limits().functions;
            let is_new = slots.by_name.get(name).is_none_or(|slot| slot.current.read().is_none());
            if is_new && slots.deployed >= limit {
                return Err(DeployError::TooManyFunctions { limit });
            }
            slots.deployed += usize::from(is_new);
            let new = || Arc::new(Slot { name: name.into(), current: RwLock::default() });
            let slot = Arc::clone(slots.by_name.entry(name.into()).or_insert_with(new));
            let replaced = slot.current.write().replace(Arc::clone(deployed));
            (slot, replaced)
        };
        let pool: Weak<dyn Evict> = Arc::downgrade(&deployed.pool) as Weak<dyn Evict>;
        self.0.budget.register(pool);
        if let Some(replaced) = &replaced {
            self.supersede(replaced);
        }
        Ok(slot)
    }

    /// Remembers a version that is no longer current, for those that name it.
    fn supersede(&self, deployed: &Arc<Deployed>) {
        let mut superseded = self.0.superseded.lock();
        superseded.retain(|version| version.strong_count() > 0);
        superseded.push(Arc::downgrade(deployed));
    }
}

impl Default for Runtime {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Runtime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Runtime").field(&self.functions()).finish()
    }
}

/// Choices for a runtime, from [`Runtime::builder`].
#[must_use = "there is no runtime until `build` is called"]
pub struct RuntimeBuilder {
    limits: RuntimeLimits,
    clock: Option<Arc<dyn Clock>>,
    reset: Reset,
}

impl RuntimeBuilder {
    /// The runtime's bounds, instead of [`RuntimeLimits::default`].
    pub fn limits(mut self, limits: RuntimeLimits) -> Self {
        self.limits = limits;
        self
    }

    /// How used instances are made clean, instead of [`Reset::Auto`].
    pub fn reset(mut self, reset: Reset) -> Self {
        self.reset = reset;
        self
    }

    /// A clock of the host's own, instead of the machine's.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    /// The runtime.
    pub fn build(self) -> Runtime {
        Runtime(Arc::new(Inner {
            slots: RwLock::default(),
            superseded: Mutex::default(),
            budget: Budget::new(self.limits),
            clock: self.clock.unwrap_or_else(|| Arc::new(SystemClock::new())),
            reset: self.reset,
        }))
    }
}

impl Context<'_> {
    /// The runtime that the invocation belongs to, to invoke other functions with: up to four levels deep, each within
    /// the caller's deadline. Not to be kept by the host function's closure, which would keep the runtime alive for ever.
    pub fn runtime(&self) -> Runtime {
        // The invocation was begun through a `Function` or a `Runtime`, which is borrowed until it ends.
        let inner = self.home().and_then(|home| home.downcast::<Inner>().ok());
        Runtime(inner.expect("an invocation holds its runtime"))
    }
}

const _: () = {
    const fn shared<T: Send + Sync>() {}
    shared::<Runtime>();
};
