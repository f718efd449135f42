//! The only unsafe code of the library: linear memories whose used pages can be found, the time in few nanoseconds, places that hand a
//! box from thread to thread, and modules that the interpreter need not validate again.
//!
//! [`linux`] maps the image of a memory copy-on-write, so that the kernel knows which pages a run has written to; what is
//! done with that knowledge is safe code, in `instance/gate.rs`. Where the platform or the moment offers none of it,
//! [`absent`] stands in: then memories are wasmi's own, and are cleaned by writing zeros and the image's runs.
//! The time is the kernel's everywhere, told by the processor's counter where that can be done. [`cores`], [`place`] and [`valid`] are the same on all platforms, or nearly.
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
mod place;
#[cfg(not(shuttle))]
pub(crate) use cores::{core_number, thread_number};
pub(crate) use place::Place;
mod valid;
pub(crate) use valid::Valid;

#[cfg(all(test, target_os = "linux", target_pointer_width = "64"))]
mod tests;

/// Bytes of a page, on most machines; those with larger pages fail the self-test.
pub(crate) const PAGE: usize = 4 << 10;

/// What tells whether a thread took page faults between two moments: the epoch, which differs between a process and those
/// forked from it, the thread's number within it, and its count of faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Faults {
    pub(crate) epoch: u32,
    pub(crate) thread: u64,
    pub(crate) count: i64,
}
