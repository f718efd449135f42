//! Every bound there is, bounded by default, each with its reason.
//!
//! Invariant: a lower level can only lower a limit. [`Limits`] hold for a function; an invocation may ask for less fuel
//! and an earlier deadline, never for more.

use std::time::Duration;

/// The bounds of one function: of its module, of its instances and of each of its invocations.
///
/// Not `#[non_exhaustive]`, so that it can be written with `..Limits::default()`. Before 1.0 fields are only added, in
/// a minor version.
///
/// ```
/// use dormouse::Limits;
///
/// let limits = Limits { fuel: 50_000_000, memory: 8 << 20, ..Limits::default() };
/// assert_eq!(limits.call_depth, 1_000);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Fuel of one invocation, in units of metered work; default 1,000,000,000.
    ///
    /// One unit is about one WebAssembly operator, 64 bytes moved by a bulk operator, or one host
    /// call. Some calls cost a few units more, for zeroing the interpreter's stack: 1 to 4, or 2 for
    /// each 16,384 cells that are zeroed. They are calls of functions on a cycle of calls, and of
    /// functions that need more than 512 cells together with those that they call. At the limit
    /// the invocation ends with [`InvokeErrorKind::OutOfFuel`](crate::InvokeErrorKind::OutOfFuel). The
    /// same bound holds once more for initialisation at deployment.
    pub fuel: u64,
    /// Wall time of one invocation, from the moment its instance is at hand; default 30 s.
    ///
    /// Fuel is not time (translating a large function on its first use costs none), hence both. Looked at between
    /// slices of 100,000 fuel, between the calls of a session and after each host call, so an invocation may overrun by
    /// the time of one slice.
    /// `Duration::MAX` means none.
    pub deadline: Duration,
    /// Bytes of one input; default 6 MiB, as AWS Lambda has it.
    pub input: u64,
    /// Bytes of one output; default 6 MiB.
    pub output: u64,
    /// Bytes of log kept of one invocation; default 64 KiB. What comes after is cut and the report says so.
    pub log: u64,
    /// Bytes of linear memory of an instance, all its memories together, and of an Extism plug-in's blocks and variables; default
    /// 64 MiB.
    ///
    /// A module whose memories start above it is refused at deployment; beyond it `memory.grow` answers -1, and `alloc` of a
    /// plug-in 0. The blocks' buffer may be an eighth larger than what it holds.
    pub memory: u64,
    /// Elements of all tables of an instance; default 100,000. A module whose tables start above it is refused at
    /// deployment; beyond it `table.grow` answers -1.
    pub table_elements: u64,
    /// Bytes of the interpreter's value stack; default 1 MiB. Above it the guest traps with
    /// [`Trap::StackOverflow`](crate::Trap::StackOverflow). At least 4 KiB.
    pub stack: u64,
    /// Nested calls within a guest; default 1,000. Above it the guest traps with
    /// [`Trap::StackOverflow`](crate::Trap::StackOverflow). `memory.grow` and `table.grow` count as
    /// calls. A guest may go a few calls and cells of the stack further than its limits say, as much
    /// as the library needs to zero the stack.
    pub call_depth: u32,
    /// Bytes of a module; default 32 MiB.
    pub module_bytes: u64,
    /// Functions of a module, imported ones included; default 100,000.
    pub functions: u32,
    /// Imports of a module; default 1,000.
    pub imports: u32,
    /// Exports of a module; default 10,000.
    pub exports: u32,
    /// Globals of a module; default 10,000.
    pub globals: u32,
    /// Function types of a module; default 10,000.
    pub types: u32,
    /// Memories of a module; default 8.
    pub memories: u32,
    /// Tables of a module; default 100, which is also the most that can be had: 99 where the module grows a
    /// memory or a table.
    pub tables: u32,
    /// Data segments of a module; default 100,000 (Go needs 42,000).
    pub data_segments: u32,
    /// Element segments of a module; default 100,000.
    pub element_segments: u32,
    /// Bytes of one function's body; default 1 MiB. Translation on first use is paid by no fuel: a body of 7 MB takes
    /// 0.1 s.
    pub body_bytes: u32,
    /// Local variables of one function, parameters excluded; default 10,000. Each call clears them all for one unit of
    /// fuel.
    pub locals: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            fuel: 1_000_000_000,
            deadline: Duration::from_secs(30),
            input: 6 << 20,
            output: 6 << 20,
            log: 64 << 10,
            memory: 64 << 20,
            table_elements: 100_000,
            stack: 1 << 20,
            call_depth: 1_000,
            module_bytes: 32 << 20,
            functions: 100_000,
            imports: 1_000,
            exports: 10_000,
            globals: 10_000,
            types: 10_000,
            memories: 8,
            tables: 100,
            data_segments: 100_000,
            element_segments: 100_000,
            body_bytes: 1 << 20,
            locals: 10_000,
        }
    }
}

/// The bounds of a whole runtime.
///
/// ```
/// use dormouse::{Runtime, RuntimeLimits};
///
/// let runtime = Runtime::builder()
///     .limits(RuntimeLimits { resident_memory: 256 << 20, ..RuntimeLimits::default() })
///     .build();
/// # let _ = runtime;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuntimeLimits {
    /// Functions deployed at once; default 10,000.
    pub functions: usize,
    /// Live instances of all functions; default 4,096. At the limit the least recently used idle instance goes; where
    /// none is idle, an invocation is refused as [`Busy`](crate::Busy).
    pub instances: usize,
    /// Bytes of linear memory, tables and bookkeeping of all live instances; default 1 GiB. At the limit as above.
    pub resident_memory: u64,
    /// How long an instance may be idle before [`Runtime::tick`](crate::Runtime::tick) drops it; default 5 minutes. Instances that a deployment asked to keep
    /// stay. Without ticks, see [`Runtime::trim`](crate::Runtime::trim).
    pub idle_for: Duration,
}

impl Default for RuntimeLimits {
    fn default() -> Self {
        Self { functions: 10_000, instances: 4_096, resident_memory: 1 << 30, idle_for: Duration::from_secs(300) }
    }
}

/// How used instances are made clean: which of the techniques that are all right, and differ in speed, may be used.
///
/// ```
/// let runtime = dormouse::Runtime::builder().reset(dormouse::Reset::Portable).build();
/// # let _ = runtime;
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reset {
    /// The fastest that works here: instances that are used often move to memory whose written pages can be found (Linux),
    /// and only these are cleaned. An instance moves at the end of an invocation, once cleaning it has written 4 MiB, which
    /// costs that one 20 to 50 us and 10 to 30 us for each MiB of memory (0.4 ms where it has more than 20); later ones of large memories begin there. Holds a
    /// descriptor for each memory of a function that is used often, 256 at most, and 2 to 20 MiB of touched pages to make such
    /// instances with, until [`Runtime::trim`](crate::Runtime::trim). A thread that invokes often has its page faults noted by the kernel in a ring of
    /// 8 KiB, until it ends (`perf_event_open`, its own faults alone), where it may (`perf_event_paranoid` up to 2, no seccomp filter); else it asks for
    /// their count after each run, which takes 0.13 to 0.22 us. Another thread opens the ring and ends, so that
    /// `prctl(PR_TASK_PERF_EVENTS_DISABLE)` does not stop it. This takes 41 to 64 us, once for each thread that invokes often.
    /// A host whose seccomp filter kills uses [`Portable`](Self::Portable), or allows what the first deployment calls and
    /// `prctl(PR_GET_SECCOMP)`. Under a filter no thread opens a ring.
    #[default]
    Auto,
    /// Zeros and the image's bytes over the whole memory: everywhere, and nothing is asked of the system.
    Portable,
    /// As `Auto`, but all instances begin there.
    Gated,
    /// As `Gated`, but the written pages are looked for after every run, whether the thread took page faults or not:
    /// these are not counted.
    Scanned,
}

/// How deep invocations may nest through host functions: the outermost, and four below it.
pub(crate) const NESTING_MAX: usize = 5;

/// Bytes of text from a guest or a host function that an error carries at most.
pub(crate) const ERROR_TEXT_MAX: usize = 4 << 10;

/// The smallest value stack that can be asked for, in bytes: wasmi starts with 1,000.
pub(crate) const STACK_MIN: u64 = 4 << 10;

/// Whether a function, a trigger or an alias can have this name: what can stand in a file name, a URL and a log line as it is.
pub(crate) fn is_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=64).contains(&name.len()) && name.bytes().all(fits)
}
