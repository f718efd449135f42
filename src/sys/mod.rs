//! The only unsafe code of the library.
//!
//! It offers linear memories whose written pages can be found, the time in a few nanoseconds, an
//! atomic slot that passes one boxed value between threads, and modules that the interpreter need
//! not validate again.
//!
//! [`linux`] maps the image of a memory copy-on-write, so that the kernel knows which pages an
//! invocation has written to. Safe code in `instance/gate.rs` uses that knowledge. Where the
//! platform does not offer this, `absent` stands in. Then memories are wasmi's own, and are
//! cleaned by writing zeros and the image's bytes. The time is the kernel's everywhere; where the
//! processor's counter is steady, it tells the time between two readings of the kernel's clock.
//! [`cores`], [`handoff`] and [`valid`] are the same on all platforms, or nearly.
//!
//! Invariant: of this library, `sys` uses `sync` alone.
#![allow(unsafe_code, reason = "the one room that may: each block has its argument")]

#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
mod linux;
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
pub(crate) use linux::{Mapped, Region, Regions, available, faults, now, release};

#[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
mod absent;
#[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
pub(crate) use absent::{Mapped, Region, Regions, available, faults, now, release};

#[cfg(not(shuttle))]
mod cores;
#[cfg(not(shuttle))]
pub(crate) use cores::{core_number, thread_number};
mod handoff;
pub(crate) use handoff::Handoff;
mod valid;
pub(crate) use valid::Valid;

#[cfg(shuttle)]
pub(crate) use crate::sync::{core_number, thread_number};

#[cfg(all(test, target_os = "linux", target_pointer_width = "64"))]
mod tests;

/// Bytes of a page on most machines. A machine with larger pages fails the self-test.
pub(crate) const PAGE: usize = 4 << 10;

/// Tells whether a thread took page faults between two moments: the values differ if it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Faults {
    /// Differs between a process and those forked from it.
    pub(crate) epoch: u32,
    /// The thread's number within the epoch.
    pub(crate) thread: u64,
    /// The faults that the thread has taken.
    pub(crate) count: i64,
}
