//! One version of a function, live: what all its instances share, and its pool.

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
    usage::{DeployReport, Label, Tallies},
};

/// Bytes that cleaning an instance on ordinary memory may write before it moves to a region of ours: what moving takes (20 to
/// 50 us, and 7 us for each MiB) is what writing so much takes several times over.
const CLEANED_BEFORE_MOVING: u64 = 4 << 20;

/// Memories from which on instances are made on regions where several live at once, which saves their memory, or where one
/// has moved there, which saves moving: that takes 20 us more than on ordinary memory, whatever the size.
const BORN_ON_REGION: u64 = 512 << 10;

/// Memories from which on all instances but a version's first are made there: with making, running and dropping once it is
/// faster.
const ALWAYS_ON_REGION: u64 = 4 << 20;

/// A version of a function.
///
/// The instance that deployment has initialised is left in the pool for the first invocation, until the runtime's next
/// deployment leaves another: so that a function which is invoked at once does not pay for two, and many that are only
/// deployed hold nothing.
pub(crate) struct Deployed {
    pub(super) blueprint: Blueprint,
    pub(crate) report: DeployReport,
    pub(super) image: Image,
    /// What initialisation has left beside the memory.
    base: Base,
    /// Kept only where each instance initialises itself anew.
    pub(super) segments: Vec<Segment>,
    pub(crate) pool: Arc<Pool>,
    pub(super) tallies: Arc<Tallies>,
    /// What the host asked for, and what is done.
    pub(super) reset: Reset,
    pub(super) technique: Technique,
    /// The image as regions map it: made when an instance has turned out to be used often.
    pub(super) mapped: OnceLock<Option<Vec<Mapped>>>,
    /// Regions have turned out not to be usable: no more instances move there.
    pub(crate) unmappable: AtomicBool,
    /// An instance has been made since deployment.
    pub(super) started: AtomicBool,
}

impl Deployed {
    /// `instance` is the one that deployment has initialised and sealed.
    pub(super) fn new(
        blueprint: Blueprint,
        report: DeployReport,
        (image, base, segments): (Image, Base, Vec<Segment>),
        pool: Arc<Pool>,
        tallies: Arc<Tallies>,
        (reset, technique): (Reset, Technique),
    ) -> Self {
        let is_on = pool.max() > 0;
        Self {
            report,
            image,
            base,
            segments,
            pool,
            tallies,
            reset,
            technique,
            mapped: OnceLock::new(),
            unmappable: AtomicBool::new(false),
            started: AtomicBool::new(is_on),
            blueprint,
        }
    }

    /// Takes in the instance that deployment has initialised, for the first invocation.
    pub(super) fn adopt(&self, instance: Instance) {
        let handles = self.blueprint.contract.bind(&instance);
        let counter = self.tallies.counter();
        let since = Duration::ZERO;
        let pooled = PooledInstance { instance, handles, counter, lane: 0, is_from_deployment: true, since };
        self.pool.adopt(pooled, self.now());
    }

    /// Name and version.
    pub(crate) fn label(&self) -> &Arc<Label> {
        self.blueprint.label()
    }

    /// A clean instance with its contract's handles, of this lane.
    pub(super) fn make(&self, lane: usize) -> Result<PooledInstance, InvokeErrorKind> {
        let blueprint = &self.blueprint;
        let instance = if blueprint.prepared.reinitialises {
            let initialised = blueprint.initialise(lane, &self.segments).map_err(|error| match error {
                // It is the caller who had no more time: nothing is wrong with the function.
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
        let counter = self.tallies.counter();
        Ok(PooledInstance { instance, handles, counter, lane, is_from_deployment: false, since: Duration::ZERO })
    }

    /// An instance made where it can be cleaned fastest, if that is due. The first one of a version begins on ordinary memory, as
    /// nobody knows whether it will be used again: what mapping the image takes would make every cold start slower.
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

    /// A clean instance whose memories stand on regions, where that works.
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

    /// Whether instances can stand on regions: the technique needs it, and nothing has failed so far.
    fn is_mappable(&self) -> bool {
        matches!(self.technique, Technique::Gated | Technique::Scanned)
            && !self.unmappable.load(Ordering::Relaxed)
            && self.mapped.get().is_none_or(Option::is_some)
    }

    /// The image as regions map it, if some instance stands on them.
    pub(super) fn mapped(&self) -> &[Mapped] {
        self.mapped.get().and_then(Option::as_deref).unwrap_or_default()
    }

    /// Replaces a clean instance that is used often by one whose memories stand on regions, where that works.
    pub(super) fn move_to_region(&self, ready: &mut PooledInstance) {
        let (is_mapped, uses) = ready.instance.history();
        let cleaned = u64::from(uses).saturating_mul(self.image.memory_bytes());
        let due = if self.reset == Reset::Auto { CLEANED_BEFORE_MOVING } else { 0 };
        if is_mapped || cleaned < due || !self.is_mappable() {
            return;
        }
        // A squeezed budget or a failed mapping leaves the instance where it is.
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
        // Before the clock began nothing was idle.
        self.now().checked_sub(idle_for).map_or(0, |before| self.pool.trim(before))
    }
}
