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
use crate::{
    clock::Clock,
    contract::Contract,
    error::InvokeErrorKind,
    instance::{Allowance, Birth, Content, Image, Instance, MemoryImage, Segment},
    limits::{Limits, Reset},
    module::Prepared,
    sys::{self, Mapped},
    usage::{Budget, DeployReport, Label, Reservation},
};

/// Bytes that an instance takes beside its memory: 4.7 KB and 56 to 96 a function, measured, 4 for each element of a table
/// or a segment, and some 40 for each global.
const INSTANCE_BYTES: u64 = 4_700;
const FUNCTION_BYTES: u64 = 96;
const ELEMENT_BYTES: u64 = 4;
const GLOBAL_BYTES: u64 = 40;

/// How often an instance is cleaned on ordinary memory before it moves to a region of ours, which costs some 0.4 ms for each
/// MiB of memory: what a few dozen resets save.
const USES_BEFORE_MAPPING: u32 = 16;

/// Limits on memory above which no addresses are reserved for growth, in bytes.
const MAPPED_MAX: u64 = 16 << 30;

/// What stands for the pool while an instance initialises itself: it comes from none.
const NO_POOL: usize = 0;

/// What an instance is made from: known before there is an image.
pub(super) struct Mould {
    pub(super) prepared: Arc<Prepared>,
    pub(super) contract: Contract,
    pub(super) label: Arc<Label>,
    pub(super) limits: Limits,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) home: Weak<dyn Any + Send + Sync>,
    pub(super) budget: Arc<Budget>,
}

/// A version of a function.
pub(crate) struct Deployed {
    pub(super) mould: Mould,
    pub(crate) label: Arc<Label>,
    pub(crate) report: DeployReport,
    pub(super) image: Image,
    /// Kept only where each instance initialises itself anew.
    pub(super) segments: Vec<Segment>,
    pub(crate) pool: Arc<Pool>,
    pub(super) reset: Reset,
    /// The image as regions map it: made when an instance has turned out to be used often.
    pub(super) mapped: OnceLock<Option<Vec<Mapped>>>,
    /// Regions have turned out not to be usable: no more instances move there.
    pub(crate) unmappable: AtomicBool,
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
            + GLOBAL_BYTES * self.prepared.globals_defined
            + ELEMENT_BYTES.saturating_mul(self.prepared.elements);
        memory_bytes.saturating_add(own)
    }

    fn birth(&self, reservation: Reservation) -> Birth<'_> {
        Birth {
            prepared: &self.prepared,
            label: &self.label,
            clock: &self.clock,
            home: &self.home,
            memory_max: self.limits.memory,
            log_max: self.limits.log,
            reservation,
        }
    }

    /// An instance that has run its initialisation, sealed: the first of a version, and each of those whose references
    /// no image can hold.
    pub(super) fn initialise(&self, segments: &[Segment]) -> Result<(Instance, InitUse), InvokeErrorKind> {
        let failed = |step, cause| match cause {
            InvokeErrorKind::Busy(busy) => InvokeErrorKind::Busy(busy),
            cause => InvokeErrorKind::Initialise { step, cause: Box::new(cause) },
        };
        let memories = self.prepared.memories.iter();
        let bytes = memories.fold(0u64, |sum, memory| sum.saturating_add(memory.initial_bytes()));
        let reservation = self.reserve(bytes)?;
        let mut instance = Instance::new(self.birth(reservation), &Content::Segments(segments))
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
        let level = Level::enter(NO_POOL, runtime, instance.deadline_at());
        self.contract.initialise(&mut instance).map_err(|(step, cause)| failed(step, cause))?;
        drop(level);
        let used = instance.settle(began);
        instance.seal();
        Ok((instance, InitUse { fuel: used.fuel, host_calls: used.host_calls }))
    }
}

impl Deployed {
    /// A clean instance with its contract's handles.
    pub(super) fn make(&self) -> Result<Ready, InvokeErrorKind> {
        let mould = &self.mould;
        let instance = if mould.prepared.reinitialises {
            let initialised = mould.initialise(&self.segments).map_err(|error| match error {
                // It is the caller who had no more time: nothing is wrong with the function.
                InvokeErrorKind::Initialise { cause, .. }
                    if matches!(*cause, InvokeErrorKind::DeadlineExceeded { deadline } if deadline < mould.limits.deadline) =>
                {
                    *cause
                }
                error => error,
            });
            initialised?.0
        } else {
            let reservation = mould.reserve(self.image.memory_bytes())?;
            Instance::new(mould.birth(reservation), &Content::Image(&self.image))
                .map_err(|cause| InvokeErrorKind::Initialise { step: "instantiation", cause: Box::new(cause) })?
        };
        let bound = mould.contract.bind(&instance);
        Ok(Ready { instance, bound })
    }

    /// Whether the image of this version can be mapped at all.
    fn is_mappable(&self) -> bool {
        let prepared = &self.mould.prepared;
        self.reset != Reset::Portable
            && !prepared.reinitialises
            && self.mould.limits.memory <= MAPPED_MAX
            && prepared.memories.iter().any(|memory| memory.written)
            && self.image.memories.iter().all(|memory| memory.len > 0)
            && !self.unmappable.load(Ordering::Relaxed)
            && sys::available()
    }

    /// The image as regions map it, if some instance stands on them.
    pub(super) fn mapped(&self) -> &[Mapped] {
        self.mapped.get().and_then(Option::as_deref).unwrap_or_default()
    }

    /// Replaces a clean instance that is used often by one whose memories stand on regions, where that works.
    pub(super) fn settle_in(&self, ready: &mut Ready) {
        let (is_mapped, uses) = ready.instance.history();
        let due = if self.reset == Reset::Auto { USES_BEFORE_MAPPING } else { 1 };
        if is_mapped || uses != due || !self.is_mappable() {
            return;
        }
        let map = || self.image.memories.iter().map(MemoryImage::map).collect::<io::Result<Vec<_>>>().ok();
        let Some(mapped) = self.mapped.get_or_init(map) else { return };
        let mould = &self.mould;
        // A squeezed budget or a failed mapping leaves the instance where it is.
        let bytes = mould.instance_bytes(self.image.memory_bytes());
        let Ok(reservation) = mould.budget.reserve_spare(bytes) else { return };
        if let Ok(instance) = Instance::new(mould.birth(reservation), &Content::Mapped(&self.image, mapped)) {
            let bound = mould.contract.bind(&instance);
            *ready = Ready { instance, bound };
        } else {
            self.unmappable.store(true, Ordering::Relaxed);
        }
    }

    pub(super) fn now(&self) -> Duration {
        self.mould.clock.now()
    }

    pub(super) fn prewarm(&self, count: usize) -> Result<usize, InvokeErrorKind> {
        self.pool.prewarm(count, || self.now(), || self.make())
    }

    pub(super) fn trim(&self, idle_for: Duration) -> usize {
        // Before the clock began nothing was idle.
        self.now().checked_sub(idle_for).map_or(0, |before| self.pool.trim(before))
    }
}
