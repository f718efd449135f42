//! Every limit there is. Each has a default, which is finite, and a reason.
//!
//! Invariant: a lower level can only lower a limit. [`Limits`] hold for a function; an invocation
//! may ask for less fuel and an earlier deadline, never for more.

mod form;
mod parse;

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

pub use parse::ParseError;
pub(crate) use parse::{cut, word};

/// The limits of one function: of its module, of its instances and of each of its invocations.
///
/// The struct is not `#[non_exhaustive]`, so that it can be written with `..Limits::default()`.
/// Before 1.0 fields are only added, in a minor version.
///
/// ```
/// use dormouse::Limits;
///
/// let limits = Limits { fuel: 50_000_000, memory_bytes: 8 << 20, ..Limits::default() };
/// assert_eq!(limits.call_depth, 1_000);
/// ```
///
/// As a text, limits are the fields that differ from the default. A reader takes spaces or commas
/// between them. Durations have a unit of `ns`, `us`, `ms` and `s`, or are `none`.
///
/// ```
/// # use dormouse::Limits;
/// # let limits = Limits { fuel: 50_000_000, memory_bytes: 8 << 20, ..Limits::default() };
/// assert_eq!(limits.to_string(), "fuel=50000000 memory_bytes=8388608");
/// assert_eq!("fuel=50000000, memory_bytes=8388608".parse(), Ok(limits));
/// assert_eq!("deadline=250ms".parse::<Limits>()?.deadline.as_millis(), 250);
/// # Ok::<(), dormouse::ParseError>(())
/// ```
///
/// Serde has limits as a map, in which each field that is absent keeps its default and an unknown
/// field is an error. Durations are texts in the form above. The same holds for [`RuntimeLimits`]
/// and for the limits of events and of key-value stores.
///
/// ```
/// # use dormouse::Limits;
/// let limits: Limits = serde_json::from_str(r#"{"fuel": 50000000, "deadline": "250ms"}"#)?;
/// assert_eq!(limits.to_string(), "fuel=50000000 deadline=250ms");
/// # Ok::<(), serde_json::Error>(())
/// ```
// The debug form is part of the version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Fuel of one invocation, in units of metered work. Default: 1,000,000,000.
    ///
    /// One unit is about one WebAssembly operator, 64 bytes moved by a bulk operator, or one host
    /// call. Some calls cost a few units more, for zeroing the interpreter's stack: 1 to 4, or 2
    /// for each 16,384 cells that are zeroed. They are calls of functions on a cycle of calls, and
    /// of functions that need more than 512 cells together with those that they call. At the limit
    /// the invocation ends with [`InvokeErrorKind::OutOfFuel`](crate::InvokeErrorKind::OutOfFuel).
    /// The same limit holds once more for initialisation at deployment.
    pub fuel: u64,
    /// Wall time of one invocation, from the moment its instance is ready. Default: 30 s.
    /// `Duration::MAX` means no limit.
    ///
    /// Fuel does not limit time: translating a large function on its first use costs none. The
    /// runtime reads the clock between slices of 100,000 fuel, between the calls of a session and
    /// after each host call. So an invocation may overrun by the time of one slice.
    #[serde(with = "form::duration")]
    pub deadline: Duration,
    /// Bytes of one input. Default: 6 MiB, as AWS Lambda has it.
    pub input_bytes: u64,
    /// Bytes of one output. Default: 6 MiB.
    pub output_bytes: u64,
    /// Bytes of the log that are kept of one invocation. Default: 64 KiB. The runtime cuts the
    /// rest, and the report says so.
    pub log_bytes: u64,
    /// Bytes of linear memory of an instance, all its memories together, and of an Extism plug-in's
    /// blocks and variables. Default: 64 MiB.
    ///
    /// A deployment refuses a module whose memories start above the limit. Beyond it `memory.grow`
    /// answers -1, and `alloc` of a plug-in answers 0. The buffer of the blocks may be an eighth
    /// larger than what it holds.
    pub memory_bytes: u64,
    /// Elements of all tables of an instance. Default: 100,000. A deployment refuses a module whose
    /// tables start above the limit. Beyond it `table.grow` answers -1.
    pub table_elements: u64,
    /// Bytes of the interpreter's value stack. Default: 1 MiB. At least 4 KiB. Above the limit the
    /// guest traps with [`Trap::StackOverflow`](crate::Trap::StackOverflow).
    ///
    /// The library raises the stack by a cell for each call that may be nested. So a guest of small
    /// functions that call themselves may use up to twice the limit where
    /// [`call_depth`](Self::call_depth) is raised far.
    pub stack_bytes: u64,
    /// Nested calls within a guest. Default: 1,000. Above the limit the guest traps with
    /// [`Trap::StackOverflow`](crate::Trap::StackOverflow).
    ///
    /// `memory.grow` and `table.grow` count as calls. A guest may go a few calls and cells of the
    /// stack further than its limits say, as much as the library needs to zero the stack.
    pub call_depth: u32,
    /// Bytes of a module. Default: 32 MiB.
    pub module_bytes: u64,
    /// Functions of a module, including those that it imports. Default: 100,000.
    pub functions: u32,
    /// Imports of a module. Default: 1,000.
    pub imports: u32,
    /// Exports of a module. Default: 10,000.
    pub exports: u32,
    /// Globals of a module. Default: 10,000.
    pub globals: u32,
    /// Function types of a module. Default: 10,000.
    pub types: u32,
    /// Memories of a module. Default: 8.
    pub memories: u32,
    /// Tables of a module. Default: 100. The interpreter takes no more than 100, and 99 where the
    /// module grows a memory or a table.
    pub tables: u32,
    /// Data segments of a module. Default: 100,000. Modules of Go have up to 42,000.
    pub data_segments: u32,
    /// Element segments of a module. Default: 100,000.
    pub element_segments: u32,
    /// Bytes of one function's body. Default: 1 MiB. Translating a function on its first use costs
    /// no fuel: a body of 7 MB takes 0.1 s.
    pub body_bytes: u32,
    /// Local variables of one function, without its parameters. Default: 10,000. Each call clears
    /// all of them for one unit of fuel.
    pub locals: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            fuel: 1_000_000_000,
            deadline: Duration::from_secs(30),
            input_bytes: 6 << 20,
            output_bytes: 6 << 20,
            log_bytes: 64 << 10,
            memory_bytes: 64 << 20,
            table_elements: 100_000,
            stack_bytes: 1 << 20,
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

/// The limits of a whole runtime.
///
/// ```
/// use dormouse::{Runtime, RuntimeLimits};
///
/// let runtime = Runtime::builder()
///     .limits(RuntimeLimits { resident_memory: 256 << 20, ..RuntimeLimits::default() })
///     .build();
/// # let _ = runtime;
/// ```
///
/// Serde has it as a map, as it has [`Limits`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RuntimeLimits {
    /// Functions that are deployed at the same time. Default: 10,000.
    pub functions: usize,
    /// Live instances of all functions. Default: 4,096. At the limit the runtime drops the least
    /// recently used idle instance. Where no instance is idle, it refuses the invocation as
    /// [`Busy`](crate::Busy).
    pub instances: usize,
    /// Bytes of linear memory, tables and bookkeeping of all live instances. Default: 1 GiB. At the
    /// limit the runtime does the same.
    pub resident_memory: u64,
    /// How long an instance may be idle before [`Runtime::tick`](crate::Runtime::tick) drops it.
    /// Default: 5 minutes. Instances that a deployment asked to keep stay. Hosts that do not call
    /// `tick` have [`Runtime::trim`](crate::Runtime::trim).
    #[serde(with = "form::duration")]
    pub idle_for: Duration,
}

impl Default for RuntimeLimits {
    fn default() -> Self {
        Self { functions: 10_000, instances: 4_096, resident_memory: 1 << 30, idle_for: Duration::from_secs(300) }
    }
}

/// How used instances are made clean: which techniques the runtime may use. All of them leave no
/// trace of the invocation; they differ in speed and in what they ask of the system.
///
/// ```
/// use dormouse::Reset;
///
/// let runtime = dormouse::Runtime::builder().reset(Reset::Portable).build();
/// assert_eq!("portable".parse(), Ok(Reset::Portable));
/// # let _ = runtime;
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reset {
    /// The fastest technique that works here.
    ///
    /// On Linux, an instance that is used often moves to memory whose written pages can be found,
    /// and only these are cleaned. It moves at the end of an invocation, once cleaning it has
    /// written 4 MiB. Later instances of large memories begin there.
    ///
    /// A thread that invokes often has the kernel note its page faults in a ring, until the thread
    /// ends (`perf_event_open`, its own faults alone). This needs `perf_event_paranoid` of 2 at
    /// most and no seccomp filter; elsewhere the thread asks for the count of its faults after each
    /// run. Another thread opens the ring and ends, so that `prctl(PR_TASK_PERF_EVENTS_DISABLE)`
    /// does not stop it.
    ///
    /// A host whose seccomp filter kills uses [`Portable`](Self::Portable), or allows what the
    /// first deployment calls and `prctl(PR_GET_SECCOMP)`. Under a filter no thread opens a ring.
    ///
    /// | what | costs |
    /// |---|---|
    /// | moving an instance | 20 to 50 us and 10 to 30 us for each MiB; 0.4 ms above 20 MiB |
    /// | a function that is used often | a descriptor for each of its memories, 256 at most |
    /// | making such instances | 2 to 20 MiB of touched pages, until `Runtime::trim` |
    /// | a ring | 8 KiB, and 41 to 64 us once for each thread that invokes often |
    /// | asking for the count of faults | 0.13 to 0.22 us after each run |
    #[default]
    Auto,
    /// Writes zeros and the image's bytes over the whole memory. It works everywhere and asks
    /// nothing of the system.
    Portable,
    /// As `Auto`, except that all instances begin on memory whose written pages can be found.
    ByFaultCount,
    /// As `ByFaultCount`, except that the runtime looks for the written pages after every run, and does
    /// not count page faults.
    ByPageScan,
}

impl fmt::Display for Reset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Portable => "portable",
            Self::ByFaultCount => "by_fault_count",
            Self::ByPageScan => "by_page_scan",
        })
    }
}

impl FromStr for Reset {
    type Err = ParseError;

    /// Reads what `Display` writes.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        word("technique of cleaning", &[Self::Auto, Self::Portable, Self::ByFaultCount, Self::ByPageScan], text)
    }
}

/// How deep invocations may nest through host functions: the outermost, and four below it.
pub(crate) const NESTING_MAX: usize = 5;

/// Bytes of text from a guest or a host function that an error carries at most.
pub(crate) const ERROR_TEXT_MAX: usize = 4 << 10;

/// The smallest value stack that can be asked for, in bytes. wasmi starts with 1,000.
pub(crate) const STACK_MIN: u64 = 4 << 10;

/// Whether a function, a trigger or an alias can have this name: one that can stand in a file name,
/// a URL and a log line as it is.
pub(crate) fn is_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=64).contains(&name.len()) && name.bytes().all(fits)
}
