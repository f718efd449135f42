//! One live version of a function: what all its instances share, and its pool.
//!
//! Invariant: every instance that it makes begins in the state of the image.

use std::{
    io,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use super::blueprint::Blueprint;
use crate::{
    budget::Reservation,
    error::InvokeErrorKind,
    guest::{Base, Instance},
    instance::{Content, Image, MemoryImage, Segment, Technique},
    limits::Reset,
    pool::{Pool, PooledInstance},
    sys::Mapped,
    usage::{DeployReport, Label, VersionCounters},
};

/// Bytes that cleaning an instance on ordinary memory may write before the instance moves to a
/// region of ours. Writing so much takes several times as long as moving, which takes 20 to 50 us,
/// and 7 us for each MiB.
const CLEANED_BEFORE_MOVING: u64 = 4 << 20;

/// From this memory size on, instances are made on regions in two cases. If several live at once,
/// it saves their memory. If one has moved there, it saves moving. Making one there takes 20 us
/// more than on ordinary memory, whatever the size.
const BORN_ON_REGION: u64 = 512 << 10;

/// From this memory size on, all instances are made on regions, except a version's first. There it
/// is faster to make, run and drop an instance once.
const ALWAYS_ON_REGION: u64 = 4 << 20;

/// A version of a function.
///
/// The pool keeps the instance that deployment has initialised for the first invocation, until the
/// runtime's next deployment leaves another. So a function that is invoked at once does not pay for
/// two. Many functions that are only deployed hold nothing.
pub(crate) struct Deployed {
    pub(super) blueprint: Blueprint,
    pub(crate) report: DeployReport,
    pub(super) image: Image,
    /// What initialisation has left besides the memory.
    base: Base,
    /// Kept only if each instance initialises itself anew.
    pub(super) segments: Vec<Segment>,
    pub(crate) pool: Arc<Pool>,
    pub(super) counters: Arc<VersionCounters>,
    /// The reset that the host asked for, and the technique that the runtime uses.
    pub(super) reset: Reset,
    pub(super) technique: Technique,
    /// The image in the form that regions map. It is made once an instance is used often.
    pub(super) mapped: OnceLock<Option<Vec<Mapped>>>,
    /// Regions have turned out to be unusable: no more instances move there.
    pub(crate) unmappable: AtomicBool,
    /// An instance has been made since deployment.
    pub(super) started: AtomicBool,
}

impl Deployed {
    /// If the function is on, the instance of the deployment counts as the version's first.
    pub(super) fn new(
        blueprint: Blueprint,
        report: DeployReport,
        (image, base, segments): (Image, Base, Vec<Segment>),
        pool: Arc<Pool>,
        counters: Arc<VersionCounters>,
        (reset, technique): (Reset, Technique),
    ) -> Self {
        let is_on = pool.max() > 0;
        Self {
            report,
            image,
            base,
            segments,
            pool,
            counters,
            reset,
            technique,
            mapped: OnceLock::new(),
            unmappable: AtomicBool::new(false),
            started: AtomicBool::new(is_on),
            blueprint,
        }
    }

    /// Takes the instance that deployment has initialised into the pool, for the first invocation.
    pub(super) fn adopt(&self, instance: Instance) {
        let handles = self.blueprint.contract.bind(&instance);
        let counter = self.counters.counter();
        let since = Duration::ZERO;
        let pooled = PooledInstance { instance, handles, counter, lane: 0, is_from_deployment: true, since };
        self.pool.adopt(pooled, self.now());
    }

    /// Name and version.
    pub(crate) fn label(&self) -> &Arc<Label> {
        self.blueprint.label()
    }

    /// Makes a clean instance in this lane, with its contract's handles.
    pub(super) fn make(&self, lane: usize) -> Result<PooledInstance, InvokeErrorKind> {
        let blueprint = &self.blueprint;
        let instance = if blueprint.prepared.reinitialises {
            let initialised = blueprint.initialise(lane, &self.segments).map_err(|error| match error {
                // The caller had no more time: nothing is wrong with the function.
                InvokeErrorKind::Initialise { cause, .. }
                    if matches!(*cause, InvokeErrorKind::DeadlineExceeded { deadline } if deadline < blueprint.limits.deadline) =>
                {
                    *cause
                }
                error => error,
            });
            initialised?.instance
        } else if let Some(instance) = self.make_on_region(lane)? {
            instance
        } else {
            let reservation = blueprint.reserve(self.image.memory_bytes())?;
            blueprint
                .instantiate(lane, reservation, Some(&self.base), &Content::Image(&self.image))
                .map_err(|cause| InvokeErrorKind::Initialise { step: "instantiation", cause: Box::new(cause) })?
        };
        let handles = blueprint.contract.bind(&instance);
        let counter = self.counters.counter();
        Ok(PooledInstance { instance, handles, counter, lane, is_from_deployment: false, since: Duration::ZERO })
    }

    /// Makes an instance on a region, where it is cleaned fastest, if that is due. The first
    /// instance of a version begins on ordinary memory, as it may never be used again. Mapping the
    /// image would make every cold start slower.
    fn make_on_region(&self, lane: usize) -> Result<Option<Instance>, InvokeErrorKind> {
        let is_first = !self.started.swap(true, Ordering::Relaxed);
        let bytes = self.image.memory_bytes();
        let is_due = match self.reset {
            Reset::Auto if bytes >= ALWAYS_ON_REGION => !is_first,
            Reset::Auto => bytes >= BORN_ON_REGION && (self.mapped.get().is_some() || self.pool.live() > 1),
            _ => true,
        };
        if !is_due || !self.is_mappable() {
            return Ok(None);
        }
        let reservation = self.blueprint.reserve(bytes)?;
        Ok(self.on_region(lane, reservation))
    }

    /// Makes a clean instance whose memories lie on regions, if that works.
    fn on_region(&self, lane: usize, reservation: Reservation) -> Option<Instance> {
        let map = || self.image.memories.iter().map(MemoryImage::map).collect::<io::Result<Vec<_>>>().ok();
        let mapped = self.mapped.get_or_init(map).as_ref()?;
        let made =
            self.blueprint.instantiate(lane, reservation, Some(&self.base), &Content::Mapped(&self.image, mapped));
        if made.is_err() {
            self.unmappable.store(true, Ordering::Relaxed);
        }
        made.ok()
    }

    /// Whether instances can lie on regions: the technique needs them, and nothing has failed so
    /// far.
    fn is_mappable(&self) -> bool {
        matches!(self.technique, Technique::ByFaultCount | Technique::ByPageScan)
            && !self.unmappable.load(Ordering::Relaxed)
            && self.mapped.get().is_none_or(Option::is_some)
    }

    /// The image in the form that regions map. Empty if no instance lies on regions.
    pub(super) fn mapped(&self) -> &[Mapped] {
        self.mapped.get().and_then(Option::as_deref).unwrap_or_default()
    }

    /// Replaces a clean instance that is used often with one whose memories lie on regions, if that
    /// works.
    pub(super) fn move_to_region(&self, ready: &mut PooledInstance) {
        let (is_mapped, uses) = ready.instance.history();
        let cleaned = u64::from(uses).saturating_mul(self.image.memory_bytes());
        let due = if self.reset == Reset::Auto { CLEANED_BEFORE_MOVING } else { 0 };
        if is_mapped || cleaned < due || !self.is_mappable() {
            return;
        }
        // If the budget is short or the mapping fails, the instance stays where it is.
        let blueprint = &self.blueprint;
        let bytes = blueprint.instance_bytes(self.image.memory_bytes());
        let Ok(reservation) = blueprint.budget.reserve_spare(bytes) else { return };
        let lane = ready.lane;
        if let Some(instance) = self.on_region(lane, reservation) {
            ready.handles = blueprint.contract.bind(&instance);
            ready.instance = instance;
        }
    }

    pub(super) fn now(&self) -> Duration {
        self.blueprint.clock.now()
    }

    pub(super) fn prewarm(&self, count: usize) -> Result<usize, InvokeErrorKind> {
        self.pool.prewarm(count, || self.now(), |lane| self.make(lane))
    }

    pub(crate) fn replenish(&self) -> usize {
        self.pool.replenish(|| self.now(), |lane| self.make(lane))
    }

    pub(crate) fn trim(&self, idle_for: Duration) -> usize {
        // Nothing was idle before the clock began.
        self.now().checked_sub(idle_for).map_or(0, |before| self.pool.trim(before))
    }
}
