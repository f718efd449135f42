//! The front door: deploy, find, undeploy; and what all functions share.

mod alias;

use std::{
    any::Any,
    collections::HashMap,
    sync::{Arc, Weak},
    time::Duration,
};

use arc_swap::ArcSwapOption;

#[cfg(feature = "events")]
use crate::delivery::{EventLimits, Hub};
#[cfg(feature = "durable")]
use crate::{delivery::Store, disk::StoreError};
pub use alias::AliasError;

use crate::{
    capability::Context,
    clock::{Clock, SystemClock},
    error::DeployError,
    function::{Deployed, Deployment, Function, Slot, Target},
    limits::{Reset, RuntimeLimits},
    sync::{Mutex, RwLock},
    sys,
    usage::{Books, Budget, Evict, Label, Ledger},
};

/// The least time between two looks at all functions for idle instances.
#[cfg(feature = "events")]
const TRIM_EVERY: Duration = Duration::from_secs(60);

/// A function runtime: functions by name, and the budget that they share.
///
/// Cheap to clone, `Send` and `Sync`. It keeps no thread except [workers](Self::workers), and opens one file: on Linux
/// `/proc/self/pagemap`. There, a thread that invokes often also starts one that ends at once (see
/// [`Reset::Auto`]). Under [`Reset::Portable`] it does neither. (The standard library reads files of the control group
/// once, to count cores.) Functions keep their runtime alive; when the
/// last handle goes, all instances go with it.
#[derive(Clone)]
pub struct Runtime(Arc<Inner>);

pub(crate) struct Inner {
    slots: RwLock<Slots>,
    /// Versions by the function's name that have been superseded, as long as something keeps them alive.
    superseded: Mutex<Vec<Weak<Deployed>>>,
    /// The version that was deployed last, whose pool may hold an instance that nothing has used.
    latest: Mutex<Weak<Deployed>>,
    budget: Arc<Budget>,
    books: Books,
    clock: Arc<dyn Clock>,
    reset: Reset,
    #[cfg(feature = "events")]
    hub: Arc<Hub>,
}

#[cfg(feature = "events")]
impl Drop for Inner {
    fn drop(&mut self) {
        self.hub.close(self.clock.now());
    }
}

/// Deployed functions by name, and the places of undeployed ones that handles may still refer to.
#[derive(Default)]
struct Slots {
    by_name: HashMap<Box<str>, Arc<Slot>>,
    /// By `function@alias`.
    by_alias: HashMap<Box<str>, Arc<Slot>>,
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
        RuntimeBuilder {
            limits: RuntimeLimits::default(),
            clock: None,
            reset: Reset::Auto,
            #[cfg(feature = "events")]
            events: EventLimits::default(),
            #[cfg(feature = "events")]
            seed: 0,
        }
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

    /// The function of this name. With an [alias](Self::alias) after an `@`, as `greet@prod`, a handle that follows the alias. With a version, as
    /// `greet@3f2a91c`, a pinned handle on that version, if it is the current one or something keeps it alive; seven digits or more.
    pub fn find(&self, name: &str) -> Option<Function> {
        let full = name;
        let version = name.split_once('@');
        let slot = {
            let slots = self.0.slots.read();
            let of_kind = if version.is_some() { &slots.by_alias } else { &slots.by_name };
            of_kind.get(full).cloned()
        };
        if let Some(slot) = slot.filter(|slot| slot.current.load().is_some()) {
            return Some(Function { runtime: self.clone(), target: Target::Name(slot) });
        }
        let (name, version) = version.filter(|(_, version)| version.len() >= 7)?;
        let found = self.version(name, |label| label.version.to_string().starts_with(version))?;
        Some(Function { runtime: self.clone(), target: Target::Version(found) })
    }

    /// The version of a name that fits: the current one, or one that something keeps alive.
    fn version(&self, name: &str, fits: impl Fn(&Label) -> bool) -> Option<Arc<Deployed>> {
        let fits = |deployed: &Arc<Deployed>| *deployed.label().name == *name && fits(deployed.label());
        let current = self.0.slots.read().by_name.get(name).and_then(|slot| slot.current.load_full());
        current.filter(fits).or_else(|| {
            // A version whose last handle this turns out to be is dropped outside the lock.
            let superseded = self.0.superseded.lock().clone();
            superseded.iter().rev().filter_map(Weak::upgrade).find(fits)
        })
    }

    /// Takes a function out of service, and its aliases with it: handles answer `Undeployed`, invocations under way finish, pinned handles go on.
    /// `false` if there is none of this name.
    pub fn undeploy(&self, name: &str) -> bool {
        let gone = {
            let mut slots = self.0.slots.write();
            let gone = slots.by_name.get(name).and_then(|slot| slot.current.swap(None));
            if gone.is_some() {
                slots.deployed -= 1;
                // Forgets the places that no handle refers to, before they outnumber the functions.
                if slots.by_name.len() > 2 * slots.deployed + 16 {
                    slots.by_name.retain(|_, slot| Arc::strong_count(slot) > 1 || slot.current.load().is_some());
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
    pub fn functions(&self) -> Vec<Function> {
        let slots: Vec<_> = self.0.slots.read().by_name.values().cloned().collect();
        let deployed = slots.into_iter().filter(|slot| slot.current.load().is_some());
        let mut functions: Vec<_> =
            deployed.map(|slot| Function { runtime: self.clone(), target: Target::Name(slot) }).collect();
        functions.sort_by(|a, b| a.name().cmp(b.name()));
        functions
    }

    /// Drops instances of all functions that have been idle for at least `idle_for`, but those that a deployment asked to
    /// keep. Returns how many went. Gives the pages back that the process keeps for making instances (up to 20 MiB) as well.
    pub fn trim(&self, idle_for: Duration) -> usize {
        sys::release();
        self.versions().iter().map(|deployed| deployed.trim(idle_for)).sum()
    }

    /// All versions that something keeps alive: the current ones, and those behind aliases, pinned handles and runs under way.
    fn versions(&self) -> Vec<Arc<Deployed>> {
        let slots = self.0.slots.read();
        let mut versions: Vec<_> = slots.by_name.values().filter_map(|slot| slot.current.load_full()).collect();
        drop(slots);
        // One that is current too is in here twice, which does no harm to those who ask.
        versions.extend(self.0.superseded.lock().iter().filter_map(Weak::upgrade));
        versions
    }

    /// Live instances of all functions, and the bytes of memory and bookkeeping that they hold.
    pub fn in_use(&self) -> (usize, u64) {
        self.0.budget.in_use()
    }

    /// Drops instances that have been idle for long, looked for once a minute at most, and makes those anew that were lost because their
    /// memory grew. Returns how many of each.
    #[cfg(feature = "events")]
    pub(crate) fn keep_house(&self) -> (usize, usize) {
        let idle_for = self.0.budget.limits().idle_for;
        let is_due = self.0.hub.is_trim_due(self.0.clock.now(), idle_for.min(TRIM_EVERY));
        let trimmed = if is_due { self.trim(idle_for) } else { 0 };
        let lost = self.versions().into_iter().filter(|deployed| deployed.pool.has_lost());
        (trimmed, lost.map(|deployed| deployed.replenish()).sum())
    }

    #[cfg(feature = "events")]
    pub(crate) fn hub(&self) -> &Arc<Hub> {
        &self.0.hub
    }

    #[cfg(feature = "events")]
    pub(crate) fn downgrade(&self) -> Weak<Inner> {
        Arc::downgrade(&self.0)
    }

    #[cfg(feature = "events")]
    pub(crate) fn upgrade(weak: &Weak<Inner>) -> Option<Self> {
        weak.upgrade().map(Self)
    }

    /// What functions have used since the runtime was made.
    pub fn ledger(&self) -> Ledger {
        self.0.books.ledger()
    }

    pub(crate) fn books(&self) -> &Books {
        &self.0.books
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
            let is_new = slots.by_name.get(name).is_none_or(|slot| slot.current.load().is_none());
            if is_new && slots.deployed >= limit {
                return Err(DeployError::TooManyFunctions { limit });
            }
            slots.deployed += usize::from(is_new);
            let new = || Arc::new(Slot { name: name.into(), current: ArcSwapOption::empty() });
            let slot = Arc::clone(slots.by_name.entry(name.into()).or_insert_with(new));
            let replaced = slot.current.swap(Some(Arc::clone(deployed)));
            (slot, replaced)
        };
        #[cfg(feature = "events")]
        self.hub().arrived(name);
        let pool: Weak<dyn Evict> = Arc::downgrade(&deployed.pool) as Weak<dyn Evict>;
        self.0.budget.register(pool);
        let before = std::mem::replace(&mut *self.0.latest.lock(), Arc::downgrade(deployed));
        if let Some(before) = before.upgrade() {
            before.pool.drop_newborn();
        }
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
    #[cfg(feature = "events")]
    events: EventLimits,
    #[cfg(feature = "events")]
    seed: u64,
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

    /// The bounds of triggers and deliveries, instead of [`EventLimits::default`].
    #[cfg(feature = "events")]
    pub fn events(mut self, limits: EventLimits) -> Self {
        self.events = limits;
        self
    }

    /// What random numbers are drawn from: the jitter of retries, and the ids of events that were given none. Default 0, so that a run can be
    /// repeated; a host whose event ids must differ from those of its last run gives another each time.
    #[cfg(feature = "events")]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// A runtime whose deliveries and dead letters survive its process, in a file that is made if it is not there. A deployed function and a
    /// trigger do not: the host deploys and binds as always, and deliveries that were left go on when the trigger of their id is bound.
    ///
    /// [`Runtime::publish`] returns when its deliveries are on disk, which takes as long as the disk takes to write through. A delivery that has ended
    /// is removed soon after: if the process dies in between, it is made again. Time in which no process runs ages nothing.
    ///
    /// ```
    /// # let folder = std::env::temp_dir().join(format!("dormouse-doc-{}", std::process::id()));
    /// # std::fs::create_dir_all(&folder)?;
    /// # let path = folder.join("deliveries");
    /// use dormouse::{Event, Runtime, Trigger};
    ///
    /// let runtime = Runtime::builder().open(&path)?;
    /// runtime.bind("orders", Trigger::on("order.created").to("charge"))?;
    /// runtime.publish(runtime.event(Event::builder("order.created"))?)?;
    /// drop(runtime); // or a power cut
    ///
    /// let runtime = Runtime::builder().open(&path)?;
    /// assert_eq!(runtime.deliveries().parked, 1);
    /// # drop(runtime);
    /// # std::fs::remove_dir_all(&folder)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`StoreError`]: the file cannot be opened or read.
    #[cfg(feature = "durable")]
    pub fn open(self, path: impl AsRef<std::path::Path>) -> Result<Runtime, StoreError> {
        self.build_on(Store::open(path.as_ref())?)
    }

    #[cfg(feature = "durable")]
    pub(crate) fn build_on(self, store: Store) -> Result<Runtime, StoreError> {
        let runtime = self.build();
        runtime.hub().attach(store, runtime.clock().now())?;
        Ok(runtime)
    }

    /// The runtime.
    pub fn build(self) -> Runtime {
        let clock = self.clock.unwrap_or_else(|| Arc::new(SystemClock));
        Runtime(Arc::new(Inner {
            slots: RwLock::default(),
            superseded: Mutex::default(),
            latest: Mutex::default(),
            books: Books::new(self.limits.functions.saturating_mul(2)),
            budget: Budget::new(self.limits),
            reset: self.reset,
            #[cfg(feature = "events")]
            hub: Hub::new(self.events, self.seed, &*clock),
            clock,
        }))
    }
}

impl Context<'_> {
    /// The runtime that the invocation belongs to, to invoke other functions with: up to four levels deep, each within
    /// the caller's deadline. Not to be kept by the host function's closure, which would keep the runtime alive for ever. What it publishes
    /// is queued whatever becomes of this invocation; `Context::publish` waits for its success.
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
