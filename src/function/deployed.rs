//! One version of a function, live: what all its instances share, and its pool.

use std::{
    any::Any,
    io,
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use super::{
    nesting::{self, Level},
    pool::{Pool, Ready},
};
#[cfg(feature = "extism")]
use crate::capability::extism;
#[cfg(feature = "wasi")]
use crate::capability::wasi::{Base, Grant};
use crate::{
    clock::Clock,
    contract::Contract,
    error::InvokeErrorKind,
    instance::{Allowance, Birth, Content, Image, Instance, MemoryImage, Segment, Technique},
    limits::{Limits, Reset},
    module::{Code, Prepared},
    sys::Mapped,
    usage::{Budget, DeployReport, Label, Reservation, Tallies},
};

/// Bytes that an instance takes beside its memory, tables and segments: 5.1 KB and 56 to 96 a function, measured, and some
/// 40 for each global.
const INSTANCE_BYTES: u64 = 5_100;
const FUNCTION_BYTES: u64 = 96;
const GLOBAL_BYTES: u64 = 40;

/// Bytes that cleaning an instance on ordinary memory may write before it moves to a region of ours: what moving takes (20 to
/// 50 us, and 7 us for each MiB) is what writing so much takes several times over.
const CLEANED_BEFORE_MOVING: u64 = 4 << 20;

/// Memories from which on instances are made on regions where several live at once, which saves their memory, or where one
/// has moved there, which saves moving: that takes 20 us more than on ordinary memory, whatever the size.
const BORN_ON_REGION: u64 = 512 << 10;

/// Memories from which on all instances but a version's first are made there: with making, running and dropping once it is
/// faster.
const ALWAYS_ON_REGION: u64 = 4 << 20;

/// What stands for the pool while an instance initialises itself: it comes from none.
const NO_POOL: usize = 0;

/// What an instance is made from: known before there is an image.
pub(super) struct Mould {
    pub(super) prepared: Arc<Prepared>,
    pub(super) lanes: Lanes,
    pub(super) contract: Contract,
    #[cfg(feature = "wasi")]
    pub(super) wasi: Option<Arc<Grant>>,
    #[cfg(feature = "extism")]
    pub(super) extism: Option<Arc<extism::Grant>>,
    pub(super) limits: Limits,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) home: Weak<dyn Any + Send + Sync>,
    pub(super) budget: Arc<Budget>,
}

/// What every invocation touches and threads would fight over, several times: all instances of a lane share one. See
/// [`pool`](super::pool) for which thread uses which.
pub(super) struct Lanes(Box<[OnceLock<Lane>]>);

struct Lane {
    code: Code,
    /// Each report holds it.
    label: Arc<Label>,
}

impl Lanes {
    /// As many as there will ever be; the first one is made, the others when they are needed.
    pub(super) fn new(count: usize, code: Code, label: Label) -> Self {
        let lanes: Box<[OnceLock<Lane>]> = (0..count).map(|_| OnceLock::new()).collect();
        lanes[0].get_or_init(|| Lane { code, label: Arc::new(label) });
        Self(lanes)
    }

    fn first(&self) -> &Lane {
        self.0[0].get().expect("made with the lanes")
    }

    /// Compiles anew for a lane that is used for the first time. Where the interpreter has no memory for that, the first
    /// lane does as well.
    fn get(&self, number: usize, prepared: &Prepared) -> &Lane {
        let lane = &self.0[number];
        if let Some(lane) = lane.get() {
            return lane;
        }
        let first = self.first();
        let Ok(code) = prepared.compile() else { return first };
        lane.get_or_init(|| Lane { code, label: Arc::new(Label::clone(&first.label)) })
    }
}

/// A version of a function.
///
/// The instance that deployment has initialised is left in the pool for the first invocation, until the runtime's next
/// deployment leaves another: so that a function which is invoked at once does not pay for two, and many that are only
/// deployed hold nothing.
pub(crate) struct Deployed {
    pub(super) mould: Mould,
    pub(crate) report: DeployReport,
    pub(super) image: Image,
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

/// What initialisation used.
pub(super) struct InitUse {
    pub(super) fuel: u64,
    pub(super) host_calls: u64,
}

impl Mould {
    fn reserve(&self, memory_bytes: u64) -> Result<Reservation, InvokeErrorKind> {
        self.budget.reserve(self.instance_bytes(memory_bytes)).map_err(InvokeErrorKind::Busy)
    }

    /// What an instance with so much memory takes.
    fn instance_bytes(&self, memory_bytes: u64) -> u64 {
        let own = INSTANCE_BYTES
            + FUNCTION_BYTES * u64::from(self.prepared.functions)
            + GLOBAL_BYTES * self.prepared.globals_defined;
        memory_bytes.saturating_add(self.prepared.element_bytes).saturating_add(own)
    }

    /// Name and version.
    pub(super) fn label(&self) -> &Arc<Label> {
        &self.lanes.first().label
    }

    /// `image` is what the instance begins with, none for one that initialises itself.
    fn birth<'a>(&'a self, lane: usize, reservation: Reservation, image: Option<&'a Image>) -> Birth<'a> {
        #[cfg(not(any(feature = "wasi", feature = "extism")))]
        let _ = image;
        let lane = self.lanes.get(lane, &self.prepared);
        Birth {
            prepared: &self.prepared,
            code: &lane.code,
            label: &lane.label,
            #[cfg(feature = "wasi")]
            wasi: self.wasi.as_ref().map(|grant| (grant, image.map_or_else(Base::default, |image| image.wasi))),
            #[cfg(feature = "extism")]
            extism: self.extism.as_ref().map(|grant| (grant, image.and_then(|image| image.vars.as_ref()))),
            clock: &self.clock,
            home: &self.home,
            memory_max: self.limits.memory,
            table_elements_max: self.limits.table_elements,
            log_max: self.limits.log,
            reservation,
        }
    }

    /// An instance that has run its initialisation, sealed: the first of a version, and each of those whose references
    /// no image can hold.
    pub(super) fn initialise(&self, lane: usize, segments: &[Segment]) -> Result<(Instance, InitUse), InvokeErrorKind> {
        let failed = |step, cause| match cause {
            InvokeErrorKind::Busy(busy) => InvokeErrorKind::Busy(busy),
            cause => InvokeErrorKind::Initialise { step, cause: Box::new(cause) },
        };
        let memories = self.prepared.memories.iter();
        let bytes = memories.fold(0u64, |sum, memory| sum.saturating_add(memory.initial_bytes()));
        let reservation = self.reserve(bytes)?;
        let mut instance = Instance::new(self.birth(lane, reservation, None), &Content::Segments(segments))
            .map_err(|cause| failed("instantiation", cause))?;
        // A host function that deploys what calls it during initialisation comes to an end too.
        let runtime = self.home.as_ptr().cast::<()>().addr();
        let outer = nesting::outer(NO_POOL, runtime)?;
        let began = instance.arm(Allowance {
            fuel: self.limits.fuel,
            deadline: self.limits.deadline,
            deadline_at_most: outer.deadline_at,
            cancel: None,
        });
        let level = Level::enter(NO_POOL, runtime, instance.deadline_at(), outer.hops);
        instance.begin_initialisation();
        self.contract.initialise(&mut instance).map_err(|(step, cause)| failed(step, cause))?;
        drop(level);
        let used = instance.settle(began);
        instance.seal();
        Ok((instance, InitUse { fuel: used.fuel, host_calls: used.host_calls }))
    }
}

impl Deployed {
    /// Name and version.
    pub(crate) fn label(&self) -> &Arc<Label> {
        self.mould.label()
    }

    /// A clean instance with its contract's handles, of this lane.
    pub(super) fn make(&self, lane: usize) -> Result<Ready, InvokeErrorKind> {
        let mould = &self.mould;
        let instance = if mould.prepared.reinitialises {
            let initialised = mould.initialise(lane, &self.segments).map_err(|error| match error {
                // It is the caller who had no more time: nothing is wrong with the function.
                InvokeErrorKind::Initialise { cause, .. }
                    if matches!(*cause, InvokeErrorKind::DeadlineExceeded { deadline } if deadline < mould.limits.deadline) =>
                {
                    *cause
                }
                error => error,
            });
            initialised?.0
        } else if let Some(instance) = self.make_on_region(lane)? {
            instance
        } else {
            let reservation = mould.reserve(self.image.memory_bytes())?;
            Instance::new(mould.birth(lane, reservation, Some(&self.image)), &Content::Image(&self.image))
                .map_err(|cause| InvokeErrorKind::Initialise { step: "instantiation", cause: Box::new(cause) })?
        };
        let bound = mould.contract.bind(&instance);
        let counter = self.tallies.counter();
        Ok(Ready { instance, bound, counter, lane, is_newborn: false, since: Duration::ZERO })
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
        let reservation = self.mould.reserve(bytes)?;
        Ok(self.on_region(lane, reservation))
    }

    /// A clean instance whose memories stand on regions, where that works.
    fn on_region(&self, lane: usize, reservation: Reservation) -> Option<Instance> {
        let map = || self.image.memories.iter().map(MemoryImage::map).collect::<io::Result<Vec<_>>>().ok();
        let mapped = self.mapped.get_or_init(map).as_ref()?;
        let made = Instance::new(
            self.mould.birth(lane, reservation, Some(&self.image)),
            &Content::Mapped(&self.image, mapped),
        );
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
    pub(super) fn settle_in(&self, ready: &mut Ready) {
        let (is_mapped, uses) = ready.instance.history();
        let cleaned = u64::from(uses).saturating_mul(self.image.memory_bytes());
        let due = if self.reset == Reset::Auto { CLEANED_BEFORE_MOVING } else { 0 };
        if is_mapped || cleaned < due || !self.is_mappable() {
            return;
        }
        // A squeezed budget or a failed mapping leaves the instance where it is.
        let mould = &self.mould;
        let bytes = mould.instance_bytes(self.image.memory_bytes());
        let Ok(reservation) = mould.budget.reserve_spare(bytes) else { return };
        let lane = ready.lane;
        if let Some(instance) = self.on_region(lane, reservation) {
            ready.bound = mould.contract.bind(&instance);
            ready.instance = instance;
        }
    }

    pub(super) fn now(&self) -> Duration {
        self.mould.clock.now()
    }

    pub(super) fn prewarm(&self, count: usize) -> Result<usize, InvokeErrorKind> {
        self.pool.prewarm(count, || self.now(), |lane| self.make(lane))
    }

    #[cfg(feature = "events")]
    pub(crate) fn replenish(&self) -> usize {
        self.pool.replenish(|| self.now(), |lane| self.make(lane))
    }

    pub(crate) fn trim(&self, idle_for: Duration) -> usize {
        // Before the clock began nothing was idle.
        self.now().checked_sub(idle_for).map_or(0, |before| self.pool.trim(before))
    }
}
