//! Runs guest code in slices of fuel, and checks the deadline and the cancel handle between slices.
//!
//! Every guest call goes through [`call`] or [`call_typed`], including those of initialisation. A
//! slice of 100,000 fuel costs nothing measurable on long runs (10,000: 3 %, 1,000: 33 %). Short
//! runs end before their slice does.
//!
//! Invariant: the fuel in the store plus `left` is the fuel that the invocation still has, except
//! during an overdraft (see [`Meter::overdraft`]).

use std::{fmt, sync::Arc, time::Duration};

use wasmi::{
    Caller, Func, ResumableCall, Store, TrapCode, TypedFunc, TypedResumableCall, Val, WasmParams, WasmResults,
    errors::{ErrorKind, InstantiationError, MemoryError, TableError},
};

use super::{Allowance, Cancel, HostSide, State};
use crate::{
    clock::Clock,
    error::{InvokeErrorKind, Trap},
    module::{Growable, trampoline_fuel},
    text::cut,
};

/// The fuel of one slice.
const SLICE: u64 = 100_000;

/// What one run may use, and what is left of it.
pub(crate) struct Meter {
    /// The fuel of the whole run.
    budget: u64,
    /// The fuel that is not yet in the store.
    left: u64,
    /// The fuel of trampolines that could not be added, because the sum would overflow.
    unpaid: u64,
    /// The fuel that was lent to the run. A growth stub burns [`Growable::stub_fuel`] and gets it
    /// back at once. A run with less fuel must be able to pass through a stub, so it is lent the
    /// missing fuel. If ordinary code of the same price runs next instead of the growth function,
    /// the run ends as without the loan: `short` is the fuel that it had. (Within a session, stores
    /// by that code can be read afterwards. They are worth that many units of fuel, and are the
    /// same each time.)
    overdraft: u64,
    short: u64,
    /// A host function was refused fuel. The run ends when that function returns.
    pub(crate) exhausted: bool,
    /// The time that the clock must not pass. `deadline` is the time that was given, for the error.
    deadline_at: Duration,
    deadline: Duration,
    cancel: Option<Cancel>,
    clock: Arc<dyn Clock>,
}

impl Meter {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            budget: 0,
            left: 0,
            unpaid: 0,
            overdraft: 0,
            short: 0,
            exhausted: false,
            deadline_at: Duration::MAX,
            deadline: Duration::MAX,
            cancel: None,
            clock,
        }
    }

    /// Forgets the run, so that an idle instance keeps nothing of it.
    pub(crate) fn disarm(&mut self) {
        self.cancel = None;
        self.left = 0;
    }

    pub(crate) fn now(&self) -> Duration {
        self.clock.now()
    }

    pub(crate) fn deadline_at(&self) -> Duration {
        self.deadline_at
    }

    /// The time that the run was given.
    pub(crate) fn deadline(&self) -> Duration {
        self.deadline
    }

    pub(crate) fn out_of_fuel(&self) -> InvokeErrorKind {
        InvokeErrorKind::OutOfFuel { limit: self.budget }
    }

    /// Returns an error if the run is past its deadline or cancelled.
    pub(crate) fn check_time(&self) -> Result<(), InvokeErrorKind> {
        if self.cancel.as_ref().is_some_and(Cancel::is_cancelled) {
            return Err(InvokeErrorKind::Cancelled);
        }
        if self.deadline_at != Duration::MAX && self.clock.now() >= self.deadline_at {
            return Err(InvokeErrorKind::DeadlineExceeded { deadline: self.deadline });
        }
        Ok(())
    }
}

/// Why one of the library's host functions ends a run. The interpreter carries it as an error.
pub(crate) struct Fault(InvokeErrorKind);

impl Fault {
    #[cold]
    pub(crate) fn error(kind: InvokeErrorKind) -> wasmi::Error {
        wasmi::Error::host(Self(kind))
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl wasmi::errors::HostError for Fault {}

/// Sets what a run may use. Returns the time at which it begins.
pub(crate) fn arm<H: HostSide>(store: &mut Store<State<H>>, allowance: Allowance) -> Duration {
    hold(store, 0);
    let Allowance { fuel, deadline, deadline_at_most, cancel } = allowance;
    let meter = &mut store.data_mut().meter;
    let now = meter.clock.now();
    let own = now.saturating_add(deadline);
    meter.budget = fuel;
    meter.left = fuel;
    meter.unpaid = 0;
    meter.overdraft = 0;
    meter.exhausted = false;
    meter.deadline_at = own.min(deadline_at_most);
    meter.deadline = if deadline_at_most < own { deadline_at_most.saturating_sub(now) } else { deadline };
    meter.cancel = cancel;
    now
}

/// The fuel in a store. All engines of this library meter fuel, so it is always known.
fn held<H: HostSide>(store: &Store<State<H>>) -> u64 {
    store.get_fuel().unwrap_or(0)
}

fn hold<H: HostSide>(store: &mut Store<State<H>>, fuel: u64) {
    let set = store.set_fuel(fuel);
    debug_assert!(set.is_ok(), "fuel metering is on in every engine");
}

/// The fuel that the run has used.
pub(crate) fn used<H: HostSide>(store: &Store<State<H>>) -> u64 {
    let meter = &store.data().meter;
    let rest = (meter.left + held(store)).saturating_add(meter.unpaid);
    meter.budget - rest.min(meter.budget)
}

/// Calls a function whose type is known when the host is compiled.
pub(crate) fn call_typed<H: HostSide, P: WasmParams, R: WasmResults>(
    store: &mut Store<State<H>>,
    function: &TypedFunc<P, R>,
    params: P,
) -> Result<R, InvokeErrorKind> {
    begin(store, P::LEN);
    let mut step = function.call_resumable(&mut *store, params);
    loop {
        step = match step {
            Ok(TypedResumableCall::Finished(results)) => return finish(store).map(|()| results),
            Ok(TypedResumableCall::OutOfFuel(paused)) => {
                next(store, paused.required_fuel())?;
                paused.resume(&mut *store)
            }
            Ok(TypedResumableCall::HostTrap(trap)) => return Err(end(store, trap.host_error())),
            Err(error) => return Err(end(store, &error)),
        };
    }
}

/// Calls a function by values. `outputs` has the length of its results.
pub(crate) fn call<H: HostSide>(
    store: &mut Store<State<H>>,
    function: Func,
    inputs: &[Val],
    outputs: &mut [Val],
) -> Result<(), InvokeErrorKind> {
    begin(store, inputs.len());
    let mut step = function.call_resumable(&mut *store, inputs, outputs);
    loop {
        step = match step {
            Ok(ResumableCall::Finished) => return finish(store),
            Ok(ResumableCall::OutOfFuel(paused)) => {
                next(store, paused.required_fuel())?;
                paused.resume(&mut *store, outputs)
            }
            Ok(ResumableCall::HostTrap(trap)) => return Err(end(store, trap.host_error())),
            Err(error) => return Err(end(store, &error)),
        };
    }
}

/// Puts the first slice into the store, plus the fuel that the function's trampoline will burn. The
/// run does not pay for the trampoline.
fn begin<H: HostSide>(store: &mut Store<State<H>>, params: usize) {
    let overhead = trampoline_fuel(params);
    let had = held(store) + store.data().meter.left;
    let total = had.saturating_add(overhead);
    store.data_mut().meter.unpaid += overhead - (total - had);
    begin_slice(store, total, SLICE);
}

/// Leaves `slice` of the run's fuel in the store.
fn begin_slice<H: HostSide>(store: &mut Store<State<H>>, total: u64, slice: u64) {
    let slice = slice.min(total);
    store.data_mut().meter.left = total - slice;
    hold(store, slice);
}

/// A slice has ended before an operator or a straight piece of code that needs `required` fuel.
/// Puts the next slice into the store, or ends the run.
#[cold]
fn next<H: HostSide>(store: &mut Store<State<H>>, required: u64) -> Result<(), InvokeErrorKind> {
    finish(store)?;
    let total = held(store) + store.data().meter.left;
    if required > total {
        let is_stub = store.data().prepared.growables.iter().any(|growable| growable.stub_fuel() == required);
        let meter = &mut store.data_mut().meter;
        if !is_stub {
            return Err(meter.out_of_fuel());
        }
        meter.overdraft = required - total;
        meter.short = total;
        meter.left = 0;
        hold(store, required);
        return Ok(());
    }
    store.data().meter.check_time()?;
    begin_slice(store, total, SLICE.max(required));
    Ok(())
}

/// Returns an error if the run went on with fuel that was only lent.
fn finish<H: HostSide>(store: &mut Store<State<H>>) -> Result<(), InvokeErrorKind> {
    let meter = &mut store.data_mut().meter;
    if meter.overdraft == 0 {
        return Ok(());
    }
    meter.overdraft = 0;
    let (error, short) = (meter.out_of_fuel(), meter.short);
    hold(store, short);
    Err(error)
}

/// Translates an error of the interpreter, and settles an overdraft.
#[cold]
fn end<H: HostSide>(store: &mut Store<State<H>>, error: &wasmi::Error) -> InvokeErrorKind {
    match finish(store) {
        Err(out_of_fuel) => out_of_fuel,
        Ok(()) => kind_of(error, &store.data().meter),
    }
}

/// Translates an error of the interpreter, also outside a call.
pub(crate) fn kind_of(error: &wasmi::Error, meter: &Meter) -> InvokeErrorKind {
    if let Some(Fault(kind)) = error.downcast_ref::<Fault>() {
        return kind.clone();
    }
    let trap = match error.as_trap_code() {
        Some(TrapCode::UnreachableCodeReached) => Trap::Unreachable,
        Some(TrapCode::MemoryOutOfBounds) => Trap::MemoryOutOfBounds,
        Some(TrapCode::TableOutOfBounds) => Trap::TableOutOfBounds,
        Some(TrapCode::IndirectCallToNull) => Trap::IndirectCallToNull,
        Some(TrapCode::IntegerDivisionByZero) => Trap::DivisionByZero,
        Some(TrapCode::IntegerOverflow) => Trap::IntegerOverflow,
        Some(TrapCode::BadConversionToInteger) => Trap::BadConversion,
        Some(TrapCode::StackOverflow) => Trap::StackOverflow,
        Some(TrapCode::BadSignature) => Trap::BadSignature,
        Some(TrapCode::OutOfSystemMemory) => Trap::OutOfSystemMemory,
        Some(TrapCode::OutOfFuel) => return meter.out_of_fuel(),
        // The specification calls this a trap. The interpreter has its own words for it.
        None if matches!(
            error.kind(),
            ErrorKind::Instantiation(InstantiationError::ElementSegmentDoesNotFit { .. })
        ) =>
        {
            Trap::TableOutOfBounds
        }
        // Concerns the memory or table of a new instance: the guest did not trap.
        None if matches!(
            error.kind(),
            ErrorKind::Memory(MemoryError::OutOfSystemMemory)
                | ErrorKind::Instantiation(InstantiationError::FailedToInstantiateTable(TableError::OutOfSystemMemory))
        ) =>
        {
            Trap::OutOfSystemMemory
        }
        // On the first call the interpreter says why it failed, on later calls only that it failed.
        // One text for both hides whether a run was cold or warm.
        None if matches!(error.kind(), ErrorKind::Translation(_)) => {
            let problem = "it cannot translate a function: the function has too many operands, locals or branches";
            return InvokeErrorKind::Interpreter { problem: problem.into() };
        }
        Some(TrapCode::GrowthOperationLimited) | None => {
            return InvokeErrorKind::Interpreter { problem: cut(&error.to_string()) };
        }
    };
    InvokeErrorKind::Trap(trap)
}

/// Charges a guest for what the host does for it. Fuel that the slice does not have is taken from
/// the rest of the run, and no more than that. So a loop of host calls still reaches the end of its
/// slice.
pub(crate) fn charge<H: HostSide>(caller: &mut Caller<'_, State<H>>, fuel: u64) -> Result<(), wasmi::Error> {
    let held = caller.get_fuel()?;
    if fuel <= held {
        return caller.set_fuel(held - fuel);
    }
    let meter = &mut caller.data_mut().meter;
    let missing = fuel - held;
    if meter.overdraft != 0 || missing > meter.left {
        return Err(Fault::error(meter.out_of_fuel()));
    }
    meter.left -= missing;
    caller.set_fuel(0)
}

/// Gives the fuel of a growth stub back when the stub has called the host.
pub(crate) fn refund_stub<H: HostSide>(
    caller: &mut Caller<'_, State<H>>,
    growable: Growable,
) -> Result<(), wasmi::Error> {
    let held = caller.get_fuel()?;
    let lent = std::mem::take(&mut caller.data_mut().meter.overdraft);
    caller.set_fuel((held + growable.stub_fuel()).saturating_sub(lent))
}
