//! Limits and options as plain data that can grow, and what becomes of them.
//!
//! Invariant: an options struct is looked at beyond its `size` only if that is the size that this version knows.

use std::{
    ffi::c_void,
    sync::{Arc, OnceLock},
    thread,
    time::Duration,
};

use dormouse::{Clock, EventLimits, Limits, Reset, RuntimeLimits, WhenFull};

use crate::{
    cancel::dormouse_cancel,
    edge::Given,
    error::dormouse_error,
    host::{UserData, dormouse_host_function},
    report::{nanos, time},
    status::{Failure, dormouse_status},
    text::dormouse_string,
};

/// The bounds of one function. Part of `dormouse_deploy_options`, whose init function fills in the defaults.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct dormouse_limits {
    /// Fuel of one invocation; 1,000,000,000. A unit is about one WebAssembly operator, 64 bytes moved in bulk, or
    /// one host call.
    pub fuel: u64,
    /// Time of one invocation in nanoseconds, from the moment its instance is at hand; 30 s. UINT64_MAX is none.
    pub deadline_ns: u64,
    /// Bytes of one input; 6 MiB.
    pub input: u64,
    /// Bytes of one output; 6 MiB.
    pub output: u64,
    /// Bytes of log kept of one invocation; 64 KiB. The rest is cut, and the report says so.
    pub log: u64,
    /// Bytes of linear memory of an instance; 64 MiB.
    pub memory: u64,
    /// Elements of all tables of an instance; 100,000.
    pub table_elements: u64,
    /// Bytes of the interpreter's value stack; 1 MiB, at least 4 KiB.
    pub stack: u64,
    /// Bytes of a module; 32 MiB.
    pub module_bytes: u64,
    /// Nested calls within a guest; 1,000.
    pub call_depth: u32,
    /// Functions of a module; 100,000.
    pub functions: u32,
    /// Imports of a module; 1,000.
    pub imports: u32,
    /// Exports of a module; 10,000.
    pub exports: u32,
    /// Globals of a module; 10,000.
    pub globals: u32,
    /// Function types of a module; 10,000.
    pub types: u32,
    /// Memories of a module; 8.
    pub memories: u32,
    /// Tables of a module; 100, which is also the most that can be had.
    pub tables: u32,
    /// Data segments of a module; 100,000.
    pub data_segments: u32,
    /// Element segments of a module; 100,000.
    pub element_segments: u32,
    /// Bytes of one function's body; 1 MiB.
    pub body_bytes: u32,
    /// Local variables of one function; 10,000.
    pub locals: u32,
}

impl From<Limits> for dormouse_limits {
    fn from(limits: Limits) -> Self {
        Self {
            fuel: limits.fuel,
            deadline_ns: nanos(limits.deadline),
            input: limits.input,
            output: limits.output,
            log: limits.log,
            memory: limits.memory,
            table_elements: limits.table_elements,
            stack: limits.stack,
            module_bytes: limits.module_bytes,
            call_depth: limits.call_depth,
            functions: limits.functions,
            imports: limits.imports,
            exports: limits.exports,
            globals: limits.globals,
            types: limits.types,
            memories: limits.memories,
            tables: limits.tables,
            data_segments: limits.data_segments,
            element_segments: limits.element_segments,
            body_bytes: limits.body_bytes,
            locals: limits.locals,
        }
    }
}

impl From<&dormouse_limits> for Limits {
    // All fields by name, so that a new one in the library is an error here.
    fn from(limits: &dormouse_limits) -> Self {
        Self {
            fuel: limits.fuel,
            deadline: time(limits.deadline_ns),
            input: limits.input,
            output: limits.output,
            log: limits.log,
            memory: limits.memory,
            table_elements: limits.table_elements,
            stack: limits.stack,
            module_bytes: limits.module_bytes,
            call_depth: limits.call_depth,
            functions: limits.functions,
            imports: limits.imports,
            exports: limits.exports,
            globals: limits.globals,
            types: limits.types,
            memories: limits.memories,
            tables: limits.tables,
            data_segments: limits.data_segments,
            element_segments: limits.element_segments,
            body_bytes: limits.body_bytes,
            locals: limits.locals,
        }
    }
}

/// How used instances are made clean: one of the DORMOUSE_RESET_ constants. All are right; they differ in speed.
pub type dormouse_reset = u32;

/// The fastest that works here.
pub const DORMOUSE_RESET_AUTO: dormouse_reset = 0;
/// Memories as a whole: everywhere, and nothing is asked of the system. For hosts under a seccomp filter that kills.
pub const DORMOUSE_RESET_PORTABLE: dormouse_reset = 1;
/// As DORMOUSE_RESET_AUTO, but all instances begin on memory whose written pages can be found.
pub const DORMOUSE_RESET_GATED: dormouse_reset = 2;
/// As DORMOUSE_RESET_GATED, but the written pages are looked for after every run.
pub const DORMOUSE_RESET_SCANNED: dormouse_reset = 3;

/// What happens to an event whose deliveries do not all fit the queue: one of the DORMOUSE_WHEN_FULL_ constants.
pub type dormouse_when_full = u32;

/// Publishing fails with DORMOUSE_QUEUE_FULL.
pub const DORMOUSE_WHEN_FULL_REJECT: dormouse_when_full = 0;
/// The oldest deliveries that are not running go.
pub const DORMOUSE_WHEN_FULL_DROP_OLDEST: dormouse_when_full = 1;
/// The deliveries of the new event go; publishing succeeds, with 0 deliveries.
pub const DORMOUSE_WHEN_FULL_DROP_NEWEST: dormouse_when_full = 2;

/// A clock of the host's: nanoseconds since some instant that stays the same. Must not go back; if it does, durations
/// read as zero. Called from any thread, several at once, and often. It must not call this library.
pub type dormouse_clock = Option<unsafe extern "C-unwind" fn(user_data: *mut c_void) -> u64>;

/// Frees what a `user_data` points to. Called once, from whichever thread drops the last use.
pub type dormouse_user_data_free = Option<unsafe extern "C-unwind" fn(user_data: *mut c_void)>;

/// Choices for a runtime. Fill in with `dormouse_runtime_options_init`, then change.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct dormouse_runtime_options {
    /// The size of this struct, by which the library knows the header's version.
    pub size: usize,
    /// Functions deployed at once; 10,000.
    pub functions: u64,
    /// Live instances of all functions; 4,096. At the limit the least recently used idle instance goes; then
    /// DORMOUSE_BUSY.
    pub instances: u64,
    /// Bytes of memory and bookkeeping of all live instances; 1 GiB. At the limit as above.
    pub resident_memory: u64,
    /// How long an instance may be idle, in nanoseconds, before `dormouse_runtime_tick` drops it; 5 minutes.
    pub idle_ns: u64,
    /// What random numbers are drawn from: the jitter of retries, and ids of events; 0, so that a run can be
    /// repeated.
    pub seed: u64,
    /// Triggers bound at once; 100,000.
    pub triggers: u64,
    /// Deliveries that have not ended; 65,536.
    pub deliveries: u64,
    /// Bytes of their events; 256 MiB.
    pub delivery_bytes: u64,
    /// Bytes of one event; 1 MiB.
    pub event_bytes: u64,
    /// Dead letters kept; 10,000. A new one takes the place of the oldest.
    pub dead_letters: u64,
    /// Bytes of their events; 64 MiB.
    pub dead_letter_bytes: u64,
    /// How long a chain of replies may become that are published as events; 16.
    pub hops: u32,
    /// What happens to an event whose deliveries do not fit; DORMOUSE_WHEN_FULL_REJECT.
    pub when_full: dormouse_when_full,
    /// How used instances are made clean; DORMOUSE_RESET_AUTO.
    pub reset: dormouse_reset,
    /// A clock of the host's; NULL for the machine's.
    pub clock: dormouse_clock,
    /// For the clock. The library's once `dormouse_runtime_new` has returned DORMOUSE_OK, not before.
    pub clock_user_data: *mut c_void,
    /// Called when the clock is not needed any more; may be NULL.
    pub clock_user_data_free: dormouse_user_data_free,
}

/// Choices for a deployment. Fill in with `dormouse_deploy_options_init`, then change.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct dormouse_deploy_options {
    /// The size of this struct, by which the library knows the header's version.
    pub size: usize,
    /// The function's bounds.
    pub limits: dormouse_limits,
    /// Instances made at deployment and kept; 0.
    pub instances_min: u64,
    /// Instances at most at once; twice the number of cores. 0 switches the function off.
    pub instances_max: u64,
    /// How long an invocation waits in nanoseconds while all instances are in use; 1 s. 0 is not at all.
    pub max_wait_ns: u64,
    /// The export that is given events; no text for `handle`.
    pub entry: dormouse_string,
    /// The functions that the guest may import; NULL for none. The array is not needed after the deployment.
    pub host_functions: *const dormouse_host_function,
    /// How many.
    pub host_functions_len: usize,
}

/// Choices for one invocation. Fill in with `dormouse_invoke_options_init`, then change. A limit can only be lowered:
/// more than the function's is cut to that.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct dormouse_invoke_options {
    /// The size of this struct, by which the library knows the header's version.
    pub size: usize,
    /// Fuel; UINT64_MAX for what the function has.
    pub fuel: u64,
    /// Time in nanoseconds; UINT64_MAX for what the function has.
    pub deadline_ns: u64,
    /// Ends the invocation from another thread; NULL for none. It may be freed before the invocation ends.
    pub cancel: *const dormouse_cancel,
}

/// Options, which begin with their size.
pub(crate) trait Options: Copy {
    const NAME: &'static str;
}

/// Declares types as options.
macro_rules! options {
    ($($ty:ident),*) => {$(
        plain!($ty);
        impl $crate::limits::Options for $ty {
            const NAME: &'static str = stringify!($ty);
        }
    )*};
}
options!(dormouse_runtime_options, dormouse_deploy_options, dormouse_invoke_options);

/// The options that a caller gave, if any: of the one size that there has been so far.
pub(crate) fn options<T: Options>(given: Given<T>) -> Result<Option<T>, Failure> {
    let at = given.at();
    if at.is_null() {
        return Ok(None);
    }
    // SAFETY: whatever its version, the struct begins with its size, which is all that is read here.
    let size = unsafe { at.cast::<usize>().read() };
    check_size::<T>(size)?;
    Ok(given.optional().copied())
}

pub(crate) fn check_size<T: Options>(size: usize) -> Result<(), Failure> {
    if size == size_of::<T>() {
        return Ok(());
    }
    let (name, known) = (T::NAME, size_of::<T>());
    Err(Failure::argument(format!(
        "{name} of {size} bytes, here it has {known}: call {name}_init first, with the header of this version ({})",
        env!("CARGO_PKG_VERSION")
    )))
}

impl dormouse_runtime_options {
    pub(crate) fn limits(&self) -> RuntimeLimits {
        RuntimeLimits {
            functions: clamped(self.functions),
            instances: clamped(self.instances),
            resident_memory: self.resident_memory,
            idle_for: time(self.idle_ns),
        }
    }

    pub(crate) fn events(&self) -> Result<EventLimits, Failure> {
        Ok(EventLimits {
            triggers: clamped(self.triggers),
            deliveries: clamped(self.deliveries),
            delivery_bytes: self.delivery_bytes,
            event_bytes: self.event_bytes,
            dead_letters: clamped(self.dead_letters),
            dead_letter_bytes: self.dead_letter_bytes,
            hops: self.hops,
            when_full: match self.when_full {
                DORMOUSE_WHEN_FULL_REJECT => WhenFull::Reject,
                DORMOUSE_WHEN_FULL_DROP_OLDEST => WhenFull::DropOldest,
                DORMOUSE_WHEN_FULL_DROP_NEWEST => WhenFull::DropNewest,
                other => return Err(Failure::argument(format!("{other} is no dormouse_when_full"))),
            },
        })
    }

    pub(crate) fn reset(&self) -> Result<Reset, Failure> {
        match self.reset {
            DORMOUSE_RESET_AUTO => Ok(Reset::Auto),
            DORMOUSE_RESET_PORTABLE => Ok(Reset::Portable),
            DORMOUSE_RESET_GATED => Ok(Reset::Gated),
            DORMOUSE_RESET_SCANNED => Ok(Reset::Scanned),
            other => Err(Failure::argument(format!("{other} is no dormouse_reset"))),
        }
    }
}

/// A count, which no machine has more of than it has addresses.
pub(crate) fn clamped(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

/// A clock of the host's.
pub(crate) struct HostClock {
    pub(crate) now: unsafe extern "C-unwind" fn(*mut c_void) -> u64,
    pub(crate) user: Arc<UserData>,
}

impl Clock for HostClock {
    fn now(&self) -> Duration {
        // SAFETY: the function and its user data were given together, for use from any thread.
        Duration::from_nanos(unsafe { (self.now)(self.user.data()) })
    }
}

exported! { fallible:
    /// Fills in the defaults. `size` is `sizeof *options`; if it is not what this library knows, the call fails and
    /// nothing is written.
    ///
    /// Statuses: DORMOUSE_NULL, DORMOUSE_ARGUMENT.
    pub unsafe extern "C" fn dormouse_runtime_options_init(
        options: *mut dormouse_runtime_options,
        size: usize,
        error_out: *mut *mut dormouse_error,
    ) -> dormouse_status {
        let options = options.required()?;
        check_size::<dormouse_runtime_options>(size)?;
        let (limits, events) = (RuntimeLimits::default(), EventLimits::default());
        options.put(dormouse_runtime_options {
            size,
            functions: limits.functions as u64,
            instances: limits.instances as u64,
            resident_memory: limits.resident_memory,
            idle_ns: nanos(limits.idle_for),
            seed: 0,
            triggers: events.triggers as u64,
            deliveries: events.deliveries as u64,
            delivery_bytes: events.delivery_bytes,
            event_bytes: events.event_bytes,
            dead_letters: events.dead_letters as u64,
            dead_letter_bytes: events.dead_letter_bytes,
            hops: events.hops,
            when_full: DORMOUSE_WHEN_FULL_REJECT,
            reset: DORMOUSE_RESET_AUTO,
            clock: None,
            clock_user_data: std::ptr::null_mut(),
            clock_user_data_free: None,
        });
        Ok(())
    }

    /// Fills in the defaults. `size` is `sizeof *options`; if it is not what this library knows, the call fails and
    /// nothing is written.
    ///
    /// Statuses: DORMOUSE_NULL, DORMOUSE_ARGUMENT.
    pub unsafe extern "C" fn dormouse_deploy_options_init(
        options: *mut dormouse_deploy_options,
        size: usize,
        error_out: *mut *mut dormouse_error,
    ) -> dormouse_status {
        let options = options.required()?;
        check_size::<dormouse_deploy_options>(size)?;
        options.put(dormouse_deploy_options {
            size,
            limits: Limits::default().into(),
            instances_min: 0,
            instances_max: 2 * cores(),
            max_wait_ns: nanos(Duration::from_secs(1)),
            entry: dormouse_string::NONE,
            host_functions: std::ptr::null(),
            host_functions_len: 0,
        });
        Ok(())
    }

    /// Fills in the defaults. `size` is `sizeof *options`; if it is not what this library knows, the call fails and
    /// nothing is written.
    ///
    /// Statuses: DORMOUSE_NULL, DORMOUSE_ARGUMENT.
    pub unsafe extern "C" fn dormouse_invoke_options_init(
        options: *mut dormouse_invoke_options,
        size: usize,
        error_out: *mut *mut dormouse_error,
    ) -> dormouse_status {
        let options = options.required()?;
        check_size::<dormouse_invoke_options>(size)?;
        options.put(dormouse_invoke_options {
            size,
            fuel: u64::MAX,
            deadline_ns: u64::MAX,
            cancel: std::ptr::null(),
        });
        Ok(())
    }
}

/// Cores that this process may use. Asked once, as the standard library opens files of the control group to find out.
fn cores() -> u64 {
    static CORES: OnceLock<u64> = OnceLock::new();
    *CORES.get_or_init(|| thread::available_parallelism().map_or(1, |cores| cores.get() as u64))
}
