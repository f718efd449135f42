//! What the host keeps for one instance: the state of its guest, and what a run carries with it.
//!
//! Invariant: all of it that belongs to one run is gone when the instance is reset.

use std::{
    any::Any,
    sync::{Arc, Weak},
};

use super::kv::Stage;
#[cfg(feature = "extism")]
use crate::guest::extism::state::absent;
use crate::{
    budget::Reservation,
    error::InvokeErrorKind,
    guest::state::GuestState,
    instance::{self, HostSide},
};
#[cfg(feature = "events")]
use crate::{queue::Staged, usage::Origin};

/// What a store carries.
pub(crate) type State = instance::State<HostState>;

/// The way back to the runtime that a function belongs to. The runtime alone gives it its type back:
/// this room lies below it.
#[derive(Clone)]
pub(crate) struct RuntimeRef(Weak<dyn Any + Send + Sync>);

impl RuntimeRef {
    pub(crate) fn new(runtime: Weak<dyn Any + Send + Sync>) -> Self {
        Self(runtime)
    }

    /// The runtime, while something keeps it alive.
    pub(crate) fn upgrade(&self) -> Option<Arc<dyn Any + Send + Sync>> {
        self.0.upgrade()
    }

    /// Tells one runtime from another.
    pub(crate) fn id(&self) -> usize {
        self.0.as_ptr().cast::<()>().addr()
    }
}

/// What an invocation is for, and what comes of it beside its reply.
#[derive(Default)]
pub(crate) struct Service {
    /// The delivery that it belongs to. `None` if its function's handle was invoked.
    #[cfg(feature = "events")]
    pub(crate) origin: Option<Origin>,
    /// How many hops an event has that is published in it.
    #[cfg(feature = "events")]
    pub(crate) hops: u32,
    /// What host functions have published in it.
    #[cfg(feature = "events")]
    pub(crate) staged: Option<Staged>,
}

/// What the host keeps for an instance.
pub(crate) struct HostState {
    /// The runtime that the function belongs to, for host functions.
    pub(crate) runtime: RuntimeRef,
    /// `None` in initialisation, whose outcome all invocations share.
    pub(crate) service: Option<Service>,
    /// What the kind of guest needs: WASI, or the blocks of a plug-in.
    pub(crate) guest: GuestState,
    /// What the run has staged for the key-value store, if it has asked for it.
    pub(crate) kv: Option<Box<Stage>>,
    /// The run is initialisation, whose outcome all invocations share.
    pub(crate) initialising: bool,
    /// How a function of this library ends the run.
    pub(crate) ending: Option<InvokeErrorKind>,
}

impl HostState {
    pub(crate) fn new(runtime: RuntimeRef, guest: GuestState) -> Self {
        Self { runtime, service: None, guest, kv: None, initialising: false, ending: None }
    }

    /// The run that begins is initialisation: it uses nothing that may differ between runs.
    pub(crate) fn begin_initialisation(&mut self) {
        self.initialising = true;
        self.guest.initialise();
    }

    /// Writes what the run has staged for the key-value store: all of it, or nothing.
    pub(crate) fn commit(&mut self) -> Result<(), InvokeErrorKind> {
        self.kv.take().map_or(Ok(()), |stage| stage.commit())
    }
}

#[cfg(feature = "extism")]
impl State {
    /// Bytes that linear memories leave of `Limits::memory`.
    pub(crate) fn memory_left(&self) -> u64 {
        self.memory_max.saturating_sub(self.memory_bytes)
    }

    /// Copies bytes into a new block of the plug-in, and answers its handle: 0 for no bytes.
    pub(crate) fn give_block(&mut self, bytes: &[u8]) -> Result<u64, InvokeErrorKind> {
        let left = self.memory_left();
        let Self { host, reservation, memory_max, .. } = self;
        let extism = host.guest.extism.as_deref_mut().ok_or_else(absent)?;
        let (wanted, limit) = (bytes.len() as u64, *memory_max);
        extism.give(bytes, left, reservation)?.ok_or(InvokeErrorKind::MemoryLimit { wanted, limit })
    }
}

impl HostSide for HostState {
    fn used_bytes(&self) -> u64 {
        self.guest.used_bytes()
    }

    fn seal(&mut self) {
        self.guest.seal();
    }

    fn clear(&mut self, reservation: &mut Reservation) {
        self.service = None;
        self.guest.clear(reservation);
        self.kv = None;
        self.initialising = false;
        self.ending = None;
    }
}
