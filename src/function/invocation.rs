//! One invocation: take an instance, arm it, run the guest, settle what it used, give it back
//! clean.
//!
//! Invariant: what a run has staged takes effect only if the guest has succeeded. An instance goes
//! back to the pool only if it is clean.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use super::{
    Function, Guest, Reply, SessionReply,
    nesting::{self, Level},
};
use crate::{
    error::{InvokeError, InvokeErrorKind},
    guest::Contract,
    host::Service,
    instance::{Allowance, Cancel, Cleaned},
    limits::Limits,
    pool::PooledInstance,
    usage::{Report, trace},
    value::{Value, Values},
};
use crate::{queue::Staged, usage::Origin};

/// An invocation with options, from [`Function::invocation`]. An option can only lower a limit:
/// fuel and deadline are cut to the function's limits.
///
/// ```
/// # let echo = wat::parse_str(r#"(module (memory (export "memory") 1)
/// #   (func (export "alloc") (param i32) (result i32) (i32.const 1024))
/// #   (func (export "handle") (param i32 i32) (result i64)
/// #     (i64.or (i64.shl (i64.extend_i32_u (local.get 0)) (i64.const 32)) (i64.extend_i32_u (local.get 1)))))"#).unwrap();
/// # let runtime = dormouse::Runtime::new();
/// # let function = runtime.deploy("echo", &echo)?;
/// use std::{sync::atomic::Ordering, time::Duration};
///
/// let reply = function.invocation(b"hello").fuel(1_000_000).deadline(Duration::from_millis(50)).run()?;
/// assert_eq!(reply.output(), b"hello");
/// # Ok::<(), dormouse::Error>(())
/// ```
#[must_use = "an invocation does nothing until it is run"]
pub struct Invocation<'a> {
    function: &'a Function,
    input: &'a [u8],
    entry: Option<&'a str>,
    fuel: u64,
    deadline: Duration,
    cancel: Option<Cancel>,
    origin: Option<Origin>,
    /// Where published events go, instead of into the queue.
    staged: Option<&'a mut Option<Staged>>,
    seed: Option<[u8; 32]>,
}

impl std::fmt::Debug for Invocation<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Invocation")
            .field("function", &self.function.name())
            .field("input_bytes", &self.input.len())
            .field("entry", &self.entry)
            .field("fuel", &self.fuel)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}

impl<'a> Invocation<'a> {
    pub(super) fn new(function: &'a Function, input: &'a [u8]) -> Self {
        Self {
            function,
            input,
            entry: None,
            fuel: u64::MAX,
            deadline: Duration::MAX,
            cancel: None,
            origin: None,
            staged: None,
            seed: None,
        }
    }

    /// Names the export that is given the event, instead of the deployment's
    /// [entry](crate::Deployment::entry). It is for guests with several entries, such as Extism
    /// plug-ins. Each invocation looks it up by name. Calls and sessions do not use it.
    ///
    /// ```
    /// # let module = wat::parse_str(r#"(module (import "extism:host/env" "input_offset" (func $at (result i64)))
    /// #   (import "extism:host/env" "input_length" (func $length (result i64)))
    /// #   (import "extism:host/env" "output_set" (func $output (param i64 i64)))
    /// #   (func (export "all") (call $output (call $at) (call $length)))
    /// #   (func (export "first") (call $output (call $at) (i64.const 1))))"#).unwrap();
    /// let plugin = dormouse::Runtime::new().deploy("plugin", &module)?;
    /// assert_eq!(plugin.invocation(b"hello").entry("all").run()?.output(), b"hello");
    /// assert_eq!(plugin.invocation(b"hello").entry("first").run()?.output(), b"h");
    /// # Ok::<(), dormouse::Error>(())
    /// ```
    ///
    /// The run fails with [`NoSuchExport`](InvokeErrorKind::NoSuchExport) if there is no such
    /// export, and with [`Signature`](InvokeErrorKind::Signature) if its type does not take events.
    pub fn entry(mut self, entry: &'a str) -> Self {
        self.entry = Some(entry);
        self
    }

    /// Sets the fuel of this invocation.
    pub fn fuel(mut self, fuel: u64) -> Self {
        self.fuel = fuel;
        self
    }

    /// Sets the wall time of this invocation, from the moment its instance is available.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Sets a handle with which another thread can end this invocation.
    pub fn cancel(mut self, cancel: &Cancel) -> Self {
        self.cancel = Some(cancel.clone());
        self
    }

    /// Sets the seed of the random numbers that the guest draws through WASI, instead of the
    /// deployment's seeds. It is never printed.
    #[cfg(feature = "wasi")]
    pub fn seed(mut self, seed: [u8; 32]) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Sets the delivery that the invocation belongs to. The caller releases the events in
    /// `staged`.
    pub(crate) fn delivering(mut self, origin: Origin, staged: &'a mut Option<Staged>) -> Self {
        self.origin = Some(origin);
        self.staged = Some(staged);
        self
    }

    /// Runs the function on the input, as [`Function::invoke`].
    ///
    /// # Errors
    /// See [`InvokeErrorKind`].
    pub fn run(self) -> Result<Reply, InvokeError> {
        let mut output = Vec::new();
        let (log, report) = self.run_into_buffer(&mut output)?;
        Ok(Reply { output, log, report })
    }

    /// Runs the function on the input and leaves the reply in `output`, whose capacity is reused.
    /// The earlier content of `output` is gone, also after an error.
    ///
    /// # Errors
    /// See [`InvokeErrorKind`].
    pub fn run_into(self, output: &mut Vec<u8>) -> Result<Report, InvokeError> {
        output.clear();
        self.run_into_buffer(output).map(|(_, report)| report)
    }

    fn run_into_buffer(self, output: &mut Vec<u8>) -> Result<(Vec<u8>, Report), InvokeError> {
        let (input, entry) = (self.input, self.entry);
        let ran = self.within(|ready, contract, limits| {
            contract.invoke(&ready.handles, entry, &mut ready.instance, input, output, limits)?;
            Ok(output.len() as u64)
        });
        if ran.is_err() {
            output.clear();
        }
        ran
    }

    /// Calls one export, as [`Function::call`]. The input is not used.
    ///
    /// # Errors
    /// See [`InvokeErrorKind`].
    pub fn call(self, export: &str, args: &[Value]) -> Result<SessionReply<Values>, InvokeError> {
        self.session(|guest| guest.call(export, args))
    }

    /// Runs a session, as [`Function::session`]. The input is not used.
    ///
    /// # Errors
    /// The closure's error, with the report; see [`InvokeErrorKind`].
    pub fn session<T>(
        self,
        body: impl FnOnce(&mut Guest<'_>) -> Result<T, InvokeErrorKind>,
    ) -> Result<SessionReply<T>, InvokeError> {
        // The closure writes the value to its final place. A value passed from function to function
        // would be copied each time.
        let mut value = None;
        let (log, report) = self.within(|ready, _, _| {
            value = Some(body(&mut Guest::new(&mut ready.instance))?);
            Ok(0)
        })?;
        let value = value.expect("the closure has ended well");
        Ok(SessionReply { value, log, report })
    }

    /// Takes an instance, runs `body` on it, and gives it back. `body` returns the number of output
    /// bytes. This returns the run's log and report.
    fn within(
        self,
        body: impl FnOnce(&mut PooledInstance, &Contract, &Limits) -> Result<u64, InvokeErrorKind>,
    ) -> Result<(Vec<u8>, Report), InvokeError> {
        let deployed = self.function.deployed()?;
        // A run shorter than a slice would not check the handle.
        let refused = |kind: InvokeErrorKind| {
            deployed.counters.refused(kind.name());
            kind
        };
        if self.cancel.as_ref().is_some_and(Cancel::is_cancelled) {
            return Err(refused(InvokeErrorKind::Cancelled).into());
        }
        let limits = &deployed.blueprint.limits;
        let size = self.input.len() as u64;
        if size > limits.input_bytes {
            return Err(refused(InvokeErrorKind::InputTooLarge { size, limit: limits.input_bytes }).into());
        }
        let _span = trace::invocation(deployed.label());
        let runtime = self.function.functions.id();
        let outer = nesting::outer(deployed.pool.id(), runtime).map_err(refused)?;
        let pool = &deployed.pool;
        let lease = pool.take(outer.holds, outer.deadline_at, || deployed.now(), |lane| deployed.make(lane));
        let mut lease = lease.map_err(refused)?;
        let start = lease.start();

        let ready = lease.ready();
        ready.is_from_deployment = false;
        let began = ready.instance.arm(Allowance {
            fuel: self.fuel.min(limits.fuel),
            deadline: self.deadline.min(limits.deadline),
            deadline_at_most: outer.deadline_at,
            cancel: self.cancel,
        });
        if let Some(seed) = self.seed {
            ready.instance.host().guest.seed(seed);
        }
        let hops = self.origin.as_ref().map_or(outer.hops, |origin| origin.hops.saturating_add(1));
        let service = Service { origin: self.origin, hops, staged: None };
        ready.instance.host().service = Some(service);
        let level = Level::enter(deployed.pool.id(), runtime, ready.instance.deadline_at(), hops);
        let ran = body(ready, &deployed.blueprint.contract, limits);
        // If the body succeeded, what it staged for the key-value store is written. Only the
        // release below can fail after it.
        let ran = ran.and_then(|value| ready.instance.host().commit().map(|()| value));
        drop(level);
        let used = ready.instance.settle(began);
        let ran = match (ran, take_staged(ready)) {
            (Ok(done), Some(staged)) => release(staged, self.staged).map(|()| done),
            (ran, _) => ran,
        };

        let report = Report {
            label: Arc::clone(ready.instance.label()),
            start,
            fuel: used.fuel,
            duration: used.duration,
            memory: used.memory,
            input: size,
            output: ran.as_ref().copied().unwrap_or(0),
            host_calls: used.host_calls,
            log_cut: used.log_cut,
            outcome: ran.as_ref().map_or_else(|kind| kind.name(), |_| "ok"),
        };
        ready.counter.ran(&report);
        if let Err(kind) = &ran {
            deployed.counters.failed(kind.name());
        }
        // An empty vector allocates nothing: only guests that log pay for a log.
        let log = ready.instance.log().to_vec();
        let cleaned = ready.instance.reset(&deployed.image, deployed.mapped(), deployed.technique);
        if cleaned == Cleaned::Lost {
            deployed.unmappable.store(true, Ordering::Relaxed);
        }
        if cleaned == Cleaned::Yes {
            deployed.move_to_region(ready);
            lease.give_back(began.saturating_add(used.duration));
        }
        trace::report(&report);
        match ran {
            Ok(_) => Ok((log, report)),
            Err(kind) => Err(InvokeError::new(kind, Some(report))),
        }
    }
}

/// The events that host functions have published in the run.
fn take_staged(ready: &mut PooledInstance) -> Option<Staged> {
    ready.instance.host().service.as_mut()?.staged.take()
}

/// The run has succeeded: its published events are queued, or handed to the code that settles the
/// delivery.
fn release(staged: Staged, settles: Option<&mut Option<Staged>>) -> Result<(), InvokeErrorKind> {
    match settles {
        None => staged.release().map_err(|problem| InvokeErrorKind::Unpublished { problem }),
        Some(place) => {
            *place = Some(staged);
            Ok(())
        }
    }
}
