//! What the host keeps for one instance: the state of its guest, and what a run carries.
//!
//! Invariant: everything that belongs to one run is gone when the instance is reset.

use std::{
    any::Any,
    sync::{Arc, Weak},
};

use super::kv::Stage;
use crate::{
    budget::Reservation,
    error::InvokeErrorKind,
    guest::state::GuestState,
    instance::{self, HostSide},
};
use crate::{queue::Staged, usage::Origin};

/// The data of an interpreter's store.
pub(crate) type State = instance::State<HostState>;

/// The way back to the runtime that a function belongs to. This room lies below the runtime, so
/// only the runtime can restore the type.
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

/// What an invocation is for, and what it produces besides its reply.
#[derive(Default)]
pub(crate) struct Service {
    /// The delivery that the invocation belongs to. `None` if the host invoked the function's
    /// handle.
    pub(crate) origin: Option<Origin>,
    /// The number of hops of an event that is published in the invocation.
    pub(crate) hops: u32,
    /// The events that host functions have published in the invocation.
    pub(crate) staged: Option<Staged>,
}

/// What the host keeps for an instance.
pub(crate) struct HostState {
    /// The runtime that the function belongs to, for host functions.
    pub(crate) runtime: RuntimeRef,
    /// `None` in initialisation, whose outcome all invocations share.
    pub(crate) service: Option<Service>,
    /// The state for the kind of guest: WASI, or the blocks of a plug-in.
    pub(crate) guest: GuestState,
    /// What the run has staged for the key-value store, if it has used the store.
    pub(crate) kv: Option<Box<Stage>>,
    /// The run is initialisation, whose outcome all invocations share.
    pub(crate) initialising: bool,
    /// The error with which a function of this library ends the run.
    pub(crate) ending: Option<InvokeErrorKind>,
}

impl HostState {
    pub(crate) fn new(runtime: RuntimeRef, guest: GuestState) -> Self {
        Self { runtime, service: None, guest, kv: None, initialising: false, ending: None }
    }

    /// Marks the run that begins as initialisation. It uses nothing that may differ between runs.
    pub(crate) fn begin_initialisation(&mut self) {
        self.initialising = true;
        self.guest.initialise();
    }

    /// Writes what the run has staged for the key-value store: all of it, or nothing.
    pub(crate) fn commit(&mut self) -> Result<(), InvokeErrorKind> {
        self.kv.take().map_or(Ok(()), |stage| stage.commit())
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
