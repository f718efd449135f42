//! The blueprint of a version: what its instances are made from, and how one is made and
//! initialised.
//!
//! Invariant: every instance holds a reservation for what it takes, before it is made.

use std::sync::{Arc, OnceLock};

use super::nesting::{self, Level};
use crate::{
    budget::{Budget, Reservation},
    clock::Clock,
    error::InvokeErrorKind,
    guest::{Base, Contract, GuestSettings, GuestState, Imports, Instance},
    host::{HostState, RuntimeRef},
    instance::{Allowance, Content, Request, Segment},
    limits::Limits,
    module::{Code, Prepared},
    usage::Label,
};

/// Bytes that an instance takes besides its memory, tables and segments: measured 5.1 KB, 56 to 96
/// for each function, and some 40 for each global.
const INSTANCE_BYTES: u64 = 5_100;
const FUNCTION_BYTES: u64 = 96;
const GLOBAL_BYTES: u64 = 40;

/// Stands for the pool while an instance initialises itself, as it comes from no pool.
const NO_POOL: usize = 0;

/// What an instance is made from. It is known before there is an image.
pub(super) struct Blueprint {
    pub(super) prepared: Arc<Prepared>,
    pub(super) imports: Imports,
    pub(super) lanes: LaneCopies,
    pub(super) contract: Contract,
    pub(super) settings: GuestSettings,
    pub(super) limits: Limits,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) runtime: RuntimeRef,
    pub(super) budget: Arc<Budget>,
}

/// A copy for each lane of what every invocation touches several times, so that threads do not
/// fight over it. All instances of a lane share one copy. [`pool`](crate::pool) says which thread
/// uses which lane.
pub(super) struct LaneCopies(Box<[OnceLock<LaneCopy>]>);

struct LaneCopy {
    code: Code,
    /// Each report holds a reference to it.
    label: Arc<Label>,
}

impl LaneCopies {
    /// Makes room for all copies, and the first copy. The others are made when they are needed.
    pub(super) fn new(count: usize, code: Code, label: Label) -> Self {
        let lanes: Box<[OnceLock<LaneCopy>]> = (0..count).map(|_| OnceLock::new()).collect();
        lanes[0].get_or_init(|| LaneCopy { code, label: Arc::new(label) });
        Self(lanes)
    }

    fn first(&self) -> &LaneCopy {
        self.0[0].get().expect("made with the lanes")
    }

    /// The copy of a lane. A lane that is used for the first time compiles anew. If the interpreter
    /// has no memory for that, the lane uses the first copy.
    fn get(&self, number: usize, prepared: &Prepared) -> &LaneCopy {
        let lane = &self.0[number];
        if let Some(lane) = lane.get() {
            return lane;
        }
        let first = self.first();
        let Ok(code) = prepared.compile() else { return first };
        lane.get_or_init(|| LaneCopy { code, label: Arc::new(Label::clone(&first.label)) })
    }
}

/// An instance that has run its initialisation, and what that used.
pub(super) struct Initialised {
    pub(super) instance: Instance,
    pub(super) fuel: u64,
    pub(super) host_calls: u64,
}

impl Blueprint {
    pub(super) fn reserve(&self, memory_bytes: u64) -> Result<Reservation, InvokeErrorKind> {
        self.budget.reserve(self.instance_bytes(memory_bytes)).map_err(InvokeErrorKind::Busy)
    }

    /// Bytes that an instance with this much memory takes.
    pub(super) fn instance_bytes(&self, memory_bytes: u64) -> u64 {
        let own = INSTANCE_BYTES
            + FUNCTION_BYTES * u64::from(self.prepared.functions)
            + GLOBAL_BYTES * self.prepared.globals_defined;
        memory_bytes.saturating_add(self.prepared.element_bytes).saturating_add(own)
    }

    /// Name and version.
    pub(super) fn label(&self) -> &Arc<Label> {
        &self.lanes.first().label
    }

    /// Makes an instance with this content. `base` is what initialisation has left for it. `None`
    /// for an instance that initialises itself.
    pub(super) fn instantiate(
        &self,
        lane: usize,
        reservation: Reservation,
        base: Option<&Base>,
        content: &Content<'_>,
    ) -> Result<Instance, InvokeErrorKind> {
        let lane = self.lanes.get(lane, &self.prepared);
        let request = Request {
            prepared: &self.prepared,
            code: &lane.code,
            label: &lane.label,
            import: &|index, store| self.imports.0[index].import(store),
            host: HostState::new(self.runtime.clone(), GuestState::new(&self.settings, base)),
            clock: &self.clock,
            memory_max: self.limits.memory_bytes,
            table_elements_max: self.limits.table_elements,
            log_max: self.limits.log_bytes,
            reservation,
        };
        Instance::new(request, content)
    }

    /// Makes an instance, runs its initialisation and seals it. These are the first instance of a
    /// version, and each instance whose references no image can hold.
    pub(super) fn initialise(&self, lane: usize, segments: &[Segment]) -> Result<Initialised, InvokeErrorKind> {
        let failed = |step, cause| match cause {
            InvokeErrorKind::Busy(busy) => InvokeErrorKind::Busy(busy),
            cause => InvokeErrorKind::Initialise { step, cause: Box::new(cause) },
        };
        let memories = self.prepared.memories.iter();
        let bytes = memories.fold(0u64, |sum, memory| sum.saturating_add(memory.initial_bytes()));
        let reservation = self.reserve(bytes)?;
        let mut instance = self
            .instantiate(lane, reservation, None, &Content::Segments(segments))
            .map_err(|cause| failed("instantiation", cause))?;
        // The nesting depth also ends a host function that deploys the guest that calls it during
        // initialisation.
        let runtime = self.runtime.id();
        let outer = nesting::outer(NO_POOL, runtime)?;
        let began = instance.arm(Allowance {
            fuel: self.limits.fuel,
            deadline: self.limits.deadline,
            deadline_at_most: outer.deadline_at,
            cancel: None,
        });
        let level = Level::enter(NO_POOL, runtime, instance.deadline_at(), outer.hops);
        instance.host().begin_initialisation();
        self.contract.initialise(&mut instance).map_err(|(step, cause)| failed(step, cause))?;
        drop(level);
        let used = instance.settle(began);
        instance.seal();
        Ok(Initialised { instance, fuel: used.fuel, host_calls: used.host_calls })
    }
}
