//! Linux on 64 bits: memories as private mappings of a sealed image, and the pages that have been
//! written to.
//!
//! ```text
//!  a region:   | canary | image, mapped MAP_PRIVATE        | room to grow, anonymous |
//!              | 1 page | becomes private page by page,    |                         |
//!              |        | at the first write of each       |                         |
//!                       ^ on a boundary of 2 MiB
//! ```
//!
//! *Private pages.* A page of a private mapping is the file's until somebody writes to it. Then the
//! kernel makes a copy, by a page fault of the writing thread, and the page stays private. The
//! kernel lists the private pages ([`pagemap`]). A cheaper question is the thread's count of faults
//! ([`mod@faults`]): if it has not moved, the thread made no page private meanwhile.
//!
//! *Locked memory.* One event makes pages private without a fault of ours and without naming our
//! addresses: `mlockall(MCL_CURRENT)`, by any thread. The canary tells ([`region`]). It is a page
//! mapped like the image, of a file that we can write to. As long as writes to the file show
//! through the mapping, the canary has not become private. The kernel goes through a process's
//! memory upwards, and the canary lies below the image, so no page of the image has become private
//! either. (Code that names our addresses is not covered: a debugger, or a host that calls `mlock`
//! or `MADV_POPULATE_WRITE` on them.)
//!
//! *Forks.* In the child of a fork a descriptor of `pagemap` shows the parent, and counts begin
//! anew. A word in a page that a fork wipes tells. The child opens the descriptor anew, and earlier
//! counts belong to another epoch.
//!
//! *Descriptors.* A host may close a descriptor of ours, and another file may get its number. Each
//! file carries a mark that tells ([`own_file`]). `pagemap` is then opened anew, and an image that
//! has lost its descriptor makes no more regions.
//!
//! *System calls.* [`available`], at the first deployment, makes each kind of call that regions
//! ever need: `openat` of `pagemap`, `ioctl`, `pread`, `lseek`, `memfd_create`, `ftruncate`,
//! `fcntl`, `mmap`, `mremap`, `madvise`, `munmap`, `close`, `getpid`, `getrandom` and `getrusage`.
//! A filter (seccomp) that is installed later and answers one with an error leads to scans, or to
//! instances without regions. A filter that kills must allow them. Only the opening of a ring of
//! faults comes later, by a thread that ends. No thread opens one under a filter: it asks
//! `prctl(PR_GET_SECCOMP)` first ([`mod@faults`]).

mod faults;
mod image;
mod mapping;
mod own_file;
mod pagemap;
mod region;
mod scratch;
#[cfg(target_arch = "x86_64")]
mod ticks;

use std::{
    io,
    os::fd::AsRawFd,
    sync::{OnceLock, atomic::Ordering},
    time::Duration,
};

pub(crate) use faults::faults;
#[cfg(test)]
pub(super) use faults::{ASKS_BEFORE_RING, has_ring};
use faults::{by_system_call, epoch};
pub(crate) use image::Mapped;
#[cfg(not(target_arch = "x86_64"))]
pub(crate) use kernel_time as now;
use mapping::page;
pub(crate) use region::{Region, Regions};
pub(crate) use scratch::release;
#[cfg(target_arch = "x86_64")]
pub(crate) use ticks::now;

/// Monotonic time since the machine was started, its sleeps left out, by the kernel's clock.
/// [`Instant`](std::time::Instant) reads the same clock: 21 ns with the difference of two, here 17.
fn kernel_time() -> Duration {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a local value of this type.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    // Every Linux has this clock, and it is never below zero.
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

/// Whether all this works here: a process finds it out once, in some 100 us.
pub(crate) fn available() -> bool {
    static WORKS: OnceLock<bool> = OnceLock::new();
    *WORKS.get_or_init(|| self_test().unwrap_or(false))
}

/// Does all that is relied on with a region of eight pages, and compares the outcome.
fn self_test() -> io::Result<bool> {
    const PAGES: usize = 8;
    let size = page();
    if size != super::PAGE {
        return Ok(false);
    }
    let mapped = Mapped::new(PAGES * size, |bytes| bytes[3 * size..].fill(7))?;
    let mut region = Region::new(PAGES * size, PAGES * size)?;
    // As for a new memory: bytes that are written on scratch pages go away with them.
    let lent = region.lend_scratch()?;
    // SAFETY: within the region, which nobody else knows.
    unsafe { region.memory().write_bytes(0, PAGES * size) };
    region.take_scratch(lent)?;
    region.map_image(&mapped)?;
    let byte = |page: usize| {
        // SAFETY: within the region, which is mapped as long as `region` lives; accessed as atomics
        // only.
        unsafe { &*region.memory().add(page * size).cast::<std::sync::atomic::AtomicU8>() }
    };
    let pages = || {
        let mut ranges = Vec::new();
        region.private_pages(&mut ranges).map(|()| ranges.into_iter().flatten().collect::<Vec<_>>())
    };
    // If a fork cannot be noticed, nothing is counted.
    let count = || (epoch() != 0).then(by_system_call).flatten().ok_or(io::ErrorKind::Unsupported);
    let store = |page: usize| byte(page).store(9, Ordering::Relaxed);

    // Untouched pages are not private, and neither is a page that was only read.
    let untouched = pages()?.is_empty() && byte(4).load(Ordering::Relaxed) == 7 && pages()?.is_empty();
    // The first write of a page counts, and is the only one found. The second does not count.
    let before = count()?;
    store(1);
    let first = count()?;
    store(1);
    let written = first > before && count()? == first && pages()? == [1];
    // A write after a read.
    let before = count()?;
    store(4);
    let after_read = count()? > before && pages()? == [1, 4];
    // A write by the kernel.
    let before = count()?;
    // SAFETY: one byte within the region is written to, as by a store.
    let read = unsafe { libc::pread(mapped.file.file().as_raw_fd(), byte(6).as_ptr().cast(), 1, 0) };
    let by_kernel = read == 1 && count()? > before && pages()? == [1, 4, 6];
    // The image and the canary are as they were. Dropping pages brings the image's back.
    let unchanged =
        mapped.bytes()[size] == 0 && mapped.bytes()[4 * size] == 7 && region.is_sound() && region.is_sound();
    region.drop_pages(0..PAGES as u32)?;
    let dropped = pages()?.is_empty() && byte(1).load(Ordering::Relaxed) == 0 && byte(4).load(Ordering::Relaxed) == 7;
    Ok(untouched && written && after_read && by_kernel && unchanged && dropped)
}
