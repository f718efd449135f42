//! Limits as plain data, and their conversion from and to the library's limits.
//!
//! Invariant: each limit is named once, in a `bounds!`. If the library has a limit that C lacks,
//! the code does not compile.

use std::time::Duration;

use dormouse::{EventLimits, Limits, Reset, RuntimeLimits, WhenFull, kv::Limits as StoreLimits};

use crate::{
    failure::Failure,
    report::{nanos, time},
    runtime::dormouse_runtime_options,
};

/// The limits of one function. Part of `dormouse_deploy_options`, whose init function fills in the
/// defaults.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct dormouse_limits {
    /// Fuel of one invocation; 1,000,000,000. One fuel is about one WebAssembly operator, 64 bytes
    /// moved in bulk, or one host call.
    pub fuel: u64,
    /// Time of one invocation in nanoseconds, from the moment its instance is available; 30 s.
    /// UINT64_MAX for no limit.
    pub deadline_ns: u64,
    /// Bytes of one input; 6 MiB.
    pub input_bytes: u64,
    /// Bytes of one output; 6 MiB.
    pub output_bytes: u64,
    /// Bytes of log that are kept of one invocation; 64 KiB. The rest is cut, and the report says
    /// so.
    pub log_bytes: u64,
    /// Bytes of linear memory of an instance; 64 MiB.
    pub memory_bytes: u64,
    /// Elements of all tables of an instance; 100,000.
    pub table_elements: u64,
    /// Bytes of the interpreter's value stack; 1 MiB. At least 4 KiB.
    pub stack_bytes: u64,
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
    /// Tables of a module; 100, which is also the maximum.
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

/// What a function may keep in a key-value store, and what one of its invocations may do there.
/// Part of `dormouse_deploy_options`, whose init function fills in the defaults.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct dormouse_store_limits {
    /// Bytes of a key, and of a prefix; 1 KiB. At most 64 KiB.
    pub key: u32,
    /// Bytes of a value; 1 MiB.
    pub value: u32,
    /// Entries of the namespace; 100,000.
    pub entries: u64,
    /// Bytes of the namespace's keys and values; 64 MiB.
    pub bytes: u64,
    /// Bytes that an invocation may stage: keys, values, what they are compared with, and 128 for
    /// each key; 4 MiB.
    pub staged: u64,
    /// Keys that one call may give to a guest; 1,000.
    pub list: u32,
}

/// How used instances are cleaned: one of the DORMOUSE_RESET_ constants. All are correct. They
/// differ in speed.
pub type dormouse_reset = u32;

/// The fastest that works here.
pub const DORMOUSE_RESET_AUTO: dormouse_reset = 0;
/// Memories are restored as a whole. It works everywhere and asks nothing of the system. Use it
/// under a seccomp filter that kills.
pub const DORMOUSE_RESET_PORTABLE: dormouse_reset = 1;
/// As DORMOUSE_RESET_AUTO, but all instances begin on memory whose written pages can be found.
pub const DORMOUSE_RESET_GATED: dormouse_reset = 2;
/// As DORMOUSE_RESET_GATED, but the written pages are looked for after every run.
pub const DORMOUSE_RESET_SCANNED: dormouse_reset = 3;

/// What happens to an event whose deliveries do not all fit into the queue: one of the
/// DORMOUSE_WHEN_FULL_ constants.
pub type dormouse_when_full = u32;

/// Publishing fails with DORMOUSE_QUEUE_FULL.
pub const DORMOUSE_WHEN_FULL_REJECT: dormouse_when_full = 0;
/// The oldest deliveries that are not running are dropped.
pub const DORMOUSE_WHEN_FULL_DROP_OLDEST: dormouse_when_full = 1;
/// The deliveries of the new event are dropped. Publishing succeeds, with 0 deliveries.
pub const DORMOUSE_WHEN_FULL_DROP_NEWEST: dormouse_when_full = 2;

/// Converts a limit to its type in C, and back.
trait InC: Sized {
    type C;

    fn to_c(self) -> Self::C;

    fn of_c(said: Self::C) -> Result<Self, Failure>;
}

macro_rules! in_c {
    ($($ty:ty as $c:ty: $there:ident => $to:expr, $back:ident => $of:expr;)*) => {$(
        impl InC for $ty {
            type C = $c;

            fn to_c(self) -> $c {
                let $there = self;
                $to
            }

            fn of_c($back: $c) -> Result<Self, Failure> {
                Ok($of)
            }
        }
    )*};
}
in_c! {
    u32 as u32: same => same, same => same;
    u64 as u64: same => same, same => same;
    usize as u64: count => count as u64, count => clamped(count);
    Duration as u64: time => nanos(time), nanos => time(nanos);
}

/// A count from C. A machine cannot have more of anything than it has addresses.
pub(crate) fn clamped(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

/// Declares what the constants of a C type stand for.
macro_rules! constants {
    ($($c:ident is $rust:ident: $($constant:ident = $variant:ident),*;)*) => {$(
        impl InC for $rust {
            type C = $c;

            fn to_c(self) -> $c {
                match self {
                    $($rust::$variant => $constant,)*
                    // A variant without a constant in C. C cannot give it back.
                    _ => $c::MAX,
                }
            }

            fn of_c(said: $c) -> Result<Self, Failure> {
                match said {
                    $($constant => Ok($rust::$variant),)*
                    other => Err(Failure::argument(format!("{other} is not a {}", stringify!($c)))),
                }
            }
        }
    )*};
}
constants! {
    dormouse_reset is Reset: DORMOUSE_RESET_AUTO = Auto, DORMOUSE_RESET_PORTABLE = Portable, DORMOUSE_RESET_GATED = ByFaultCount,
        DORMOUSE_RESET_SCANNED = ByPageScan;
    dormouse_when_full is WhenFull: DORMOUSE_WHEN_FULL_REJECT = Reject, DORMOUSE_WHEN_FULL_DROP_OLDEST = DropOldest,
        DORMOUSE_WHEN_FULL_DROP_NEWEST = DropNewest;
}

/// A C struct that has the limits of `T` among its members.
pub(crate) trait Bounds<T> {
    fn set(&mut self, bounds: T);

    fn bounds(&self) -> Result<T, Failure>;
}

/// Declares which members these are: those of the same name, then those of another name.
macro_rules! bounds {
    ($($c:ident has $rust:ident: $($same:ident),* $(; $($member:ident for $field:ident),*)?.)*) => {$(
        impl Bounds<$rust> for $c {
            fn set(&mut self, bounds: $rust) {
                // All are named, so that a new limit in the library is an error here.
                let $rust { $($same,)* $($($field,)*)? } = bounds;
                $(self.$same = $same.to_c();)*
                $($(self.$member = $field.to_c();)*)?
            }

            fn bounds(&self) -> Result<$rust, Failure> {
                Ok($rust { $($same: InC::of_c(self.$same)?,)* $($($field: InC::of_c(self.$member)?,)*)? })
            }
        }
    )*};
}
bounds! {
    dormouse_limits has Limits: fuel, input_bytes, output_bytes, log_bytes, memory_bytes, table_elements, stack_bytes, module_bytes, call_depth, functions, imports,
        exports, globals, types, memories, tables, data_segments, element_segments, body_bytes, locals; deadline_ns for deadline.
    dormouse_store_limits has StoreLimits: key, value, entries, bytes, staged, list.
    dormouse_runtime_options has RuntimeLimits: functions, instances, resident_memory; idle_ns for idle_for.
    dormouse_runtime_options has EventLimits: triggers, deliveries, delivery_bytes, event_bytes, dead_letters, dead_letter_bytes, hops,
        when_full.
}

impl dormouse_runtime_options {
    pub(crate) fn reset(&self) -> Result<Reset, Failure> {
        Reset::of_c(self.reset)
    }
}
