//! Counts of the page faults that threads take: whether a thread took any between two moments.
//!
//! Two sources, of which a thread uses one at a time:
//! - `getrusage` works everywhere. It takes 130 to 220 ns, and 1.5 times as much on two threads at
//!   once, as it takes a reference to the process's memory map (Linux 6.18).
//! - A thread that asks again and again opens a ring of the kernel's perf events. The kernel writes
//!   a record of eight bytes to it with each fault of the thread. How much was ever written stands
//!   in a page that the thread reads in 0.3 ns. A fault takes 0.2 us longer (1.46 us instead of
//!   1.26), and opening takes 41 to 64 us.
//!
//! What the ring rests on:
//! - It sees faults by code of the process, not those within system calls, for which it would need
//!   more privileges. No guest memory is ever an argument of a system call: it is copied in and
//!   out. ([`super::Region`] gives out no bytes, and wasmi has no system calls.)
//! - Each fault makes one record, and no record is left out. With a period of 1 none is throttled
//!   (`__perf_event_overflow` is told so for the first of each event; [`works`] checks it). A ring
//!   mapped for reading is written over and never full.
//! - The kernel writes the record in the fault, before the access that has led to it is done. So
//!   code that reads the word after the access, in the order of the program, finds it moved.
//! - The child of a fork has no ring, not even its page. So the epoch is read first.
//! - Nobody can switch the event off. Its descriptor is closed.
//!   `prctl(PR_TASK_PERF_EVENTS_DISABLE)` switches off what the calling thread has opened,
//!   whichever thread it counts for. Nothing in the ring's page tells of that: in 1,000 such calls
//!   no byte of it changed (Linux 6.18). So a thread of its own opens each ring and ends. From then
//!   on the event belongs to no thread (`perf_event_exit_task`). [`works`] checks that this holds.
//!
//! A thread opens its ring late, and a filter of system calls that the host has installed by then
//! may kill it for that. So the thread asks for a filter right before ([`is_filtered`]). If there
//! is one, the thread goes on with `getrusage`, or with scans.
//!
//! Invariant: two equal counts of one thread and epoch mean that the thread took no fault between
//! them.

use std::{
    cell::Cell,
    io,
    mem::MaybeUninit,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
    ptr::NonNull,
    sync::{
        OnceLock,
        atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering, compiler_fence},
    },
    thread,
};

use super::{
    super::Faults,
    mapping::{Mapping, READ_WRITE, page},
};

/// The first word of a page that a fork wipes: the number of this process's epoch, or 0 before it
/// has begun.
fn epoch_word() -> Option<&'static AtomicU32> {
    static PAGE: OnceLock<Option<Mapping>> = OnceLock::new();
    let mapping = PAGE.get_or_init(|| {
        let mapping = Mapping::new(page(), READ_WRITE, libc::MAP_PRIVATE).ok()?;
        // SAFETY: the mapping is new and ours; the advice concerns children of a fork.
        let wiped = unsafe { libc::madvise(mapping.at.as_ptr().cast(), page(), libc::MADV_WIPEONFORK) };
        (wiped == 0).then_some(mapping)
    });
    // SAFETY: mapped for ever, as it stands in a static; aligned; accessed as an atomic only.
    mapping.as_ref().map(|mapping| unsafe { &*mapping.at.as_ptr().cast::<AtomicU32>() })
}

/// The number of this process's epoch, which began when it opened its own descriptor of `pagemap`.
/// It is 0 before.
pub(super) fn epoch() -> u32 {
    epoch_word().map_or(0, |word| word.load(Ordering::Acquire))
}

/// Begins this process's epoch, under a number that no parent process had: the counter goes on over
/// a fork.
pub(super) fn begin_epoch() {
    static EPOCHS: AtomicU32 = AtomicU32::new(1);
    if let Some(word) = epoch_word() {
        word.store(EPOCHS.fetch_add(1, Ordering::Relaxed), Ordering::Release);
    }
}

/// How often a thread asks the kernel before it opens a ring. The asking has taken as long by then
/// as the opening takes.
pub(in crate::sys) const ASKS_BEFORE_RING: u32 = 128;

/// The faults that this thread has taken. `None` if they cannot be counted.
pub(crate) fn faults() -> Option<Faults> {
    // In the child of a fork the thread's count begins anew. Nothing may be compared before the
    // child has an epoch of its own.
    let epoch = epoch();
    if epoch == 0 {
        return None;
    }
    // A thread that is ending has no counter.
    COUNTER.try_with(|counter| counter.faults(epoch)).ok()?
}

/// Whether this thread counts by a ring.
#[cfg(test)]
pub(in crate::sys) fn has_ring() -> bool {
    COUNTER.with(|counter| counter.ring.get().is_some())
}

thread_local! {
    static COUNTER: Counter = const {
        Counter { epoch: Cell::new(0), number: Cell::new(0), asked: Cell::new(0), ring: Cell::new(None) }
    };
}

/// How this thread counts.
struct Counter {
    /// The epoch that the rest belongs to.
    epoch: Cell<u32>,
    /// The number of the thread and its source, unique.
    number: Cell<u64>,
    /// How often the kernel was asked, up to the largest number.
    asked: Cell<u32>,
    ring: Cell<Option<Ring>>,
}

impl Counter {
    fn faults(&self, epoch: u32) -> Option<Faults> {
        if self.epoch.replace(epoch) != epoch {
            self.begin(None);
            self.asked.set(0);
        }
        let count = match self.ring.get() {
            Some(ring) => ring.written(),
            None => {
                // A thread's filter must not keep others from rings, so this is asked before
                // `works`.
                if self.asked.get() == ASKS_BEFORE_RING && !is_filtered() && works() {
                    if let Ok(ring) = Ring::open() {
                        self.begin(Some(ring));
                    }
                }
                self.asked.set(self.asked.get().saturating_add(1));
                match self.ring.get() {
                    Some(ring) => ring.written(),
                    None => by_system_call()?,
                }
            }
        };
        Some(Faults { epoch, thread: self.number.get(), count })
    }

    /// Counts anew, under a number that compares with nothing before.
    fn begin(&self, ring: Option<Ring>) {
        static NUMBERS: AtomicU64 = AtomicU64::new(1);
        // A ring from before is the parent's, which this process has not inherited.
        self.ring.set(ring);
        self.number.set(NUMBERS.fetch_add(1, Ordering::Relaxed));
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        // In the child of a fork that has never looked, the ring is the parent's.
        if let (Some(ring), true) = (self.ring.take(), self.epoch.get() == epoch()) {
            ring.close();
        }
    }
}

/// The faults of this thread, as the kernel counts them.
pub(super) fn by_system_call() -> Option<i64> {
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: getrusage writes a `rusage` to the address that it is given; zeros are one too.
    let usage = unsafe {
        if libc::getrusage(libc::RUSAGE_THREAD, usage.as_mut_ptr()) != 0 {
            return None;
        }
        usage.assume_init()
    };
    Some(usage.ru_minflt + usage.ru_majflt)
}

/// Whether a filter of system calls (seccomp) is installed for this thread. Asking takes 0.11 to
/// 0.16 us, once a thread.
///
/// The question is a system call too. Under `SECCOMP_MODE_STRICT` the kernel kills for it, and
/// there it has killed for the first `getrusage` already. A filter that kills for
/// `prctl(PR_GET_SECCOMP)` and allows `getrusage` kills the thread here: nothing tells of a filter
/// without a system call. The documentation of `Reset` says what such a host does. A filter that
/// another thread installs for all threads between the answer and the opening is not seen.
fn is_filtered() -> bool {
    // SAFETY: asks for a number. A kernel without seccomp answers with an error, which counts as a
    // filter.
    unsafe { libc::prctl(libc::PR_GET_SECCOMP) != 0 }
}

/// A ring of one thread's page faults: where it is mapped, until the thread closes it. Children of
/// a fork do not inherit it.
#[derive(Clone, Copy)]
struct Ring(NonNull<u8>);

/// `struct perf_event_attr` in its first version (`include/uapi/linux/perf_event.h`).
#[repr(C)]
#[derive(Default)]
struct Attributes {
    kind: u32,
    size: u32,
    config: u64,
    sample_period: u64,
    sample_type: u64,
    read_format: u64,
    flags: u64,
    wakeup_watermark: u32,
    bp_type: u32,
    bp_addr: u64,
}

const SOFTWARE: u32 = 1;
const PAGE_FAULTS: u64 = 2;
const EXCLUDE_KERNEL: u64 = 1 << 5;
const EXCLUDE_HYPERVISOR: u64 = 1 << 6;
const WATERMARK: u64 = 1 << 14;
const CLOSE_ON_EXEC: libc::c_ulong = 1 << 3;
/// Where `data_head` stands in the first page of the mapping.
const HEAD: usize = 1_024;

impl Ring {
    /// Opens a ring for this thread, by a thread that ends before this returns.
    fn open() -> io::Result<Self> {
        // SAFETY: asks for a number.
        let thread = unsafe { libc::syscall(libc::SYS_gettid) };
        // A small stack, with room for a handler of signals.
        let opener = thread::Builder::new().stack_size(64 << 10).spawn(move || Self::event_of(thread))?;
        let event = opener.join().map_err(|_| io::ErrorKind::Other)??;
        // The mapping keeps the event; the descriptor is closed. The first page says what was
        // written, the second is written to.
        let mapping = Mapping::of(2 * page(), libc::PROT_READ, libc::MAP_SHARED, event.as_raw_fd())?;
        let ring = Self(mapping.at);
        if !ring.sees_faults(1)? {
            return Err(io::ErrorKind::Unsupported.into());
        }
        std::mem::forget(mapping);
        Ok(ring)
    }

    /// An event for the page faults of a thread of this process, on whatever core it runs.
    fn event_of(thread: libc::c_long) -> io::Result<OwnedFd> {
        // A filter may have come since the thread that wants the ring asked.
        if is_filtered() {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let attributes = Attributes {
            kind: SOFTWARE,
            size: size_of::<Attributes>() as u32,
            config: PAGE_FAULTS,
            sample_period: 1,
            flags: EXCLUDE_KERNEL | EXCLUDE_HYPERVISOR | WATERMARK,
            // Nobody waits for the watermark.
            wakeup_watermark: u32::MAX,
            ..Attributes::default()
        };
        // SAFETY: the attributes have the layout and size that they say, and live on this stack;
        // the descriptor that comes back is new and ours alone.
        unsafe {
            let fd = libc::syscall(libc::SYS_perf_event_open, &raw const attributes, thread, -1, -1, CLOSE_ON_EXEC);
            let fd = i32::try_from(fd).ok().filter(|fd| *fd >= 0).ok_or_else(io::Error::last_os_error)?;
            Ok(OwnedFd::from_raw_fd(fd))
        }
    }

    /// Whether this ring, of this thread, sees two faults for each of so many pages: one of the
    /// first read and one of the first write.
    fn sees_faults(self, pages: usize) -> io::Result<bool> {
        let size = page();
        let memory = Mapping::new(pages * size, READ_WRITE, libc::MAP_PRIVATE)?;
        // SAFETY: the mapping is new and ours; the advice changes no content.
        unsafe { libc::madvise(memory.at.as_ptr().cast(), pages * size, libc::MADV_NOHUGEPAGE) };
        Ok([false, true].into_iter().all(|writes| {
            (0..pages).all(|number| {
                // SAFETY: within the mapping, accessed as an atomic only.
                let byte = unsafe { &*memory.at.as_ptr().add(number * size).cast::<std::sync::atomic::AtomicU8>() };
                let before = self.written();
                if writes {
                    byte.store(1, Ordering::Relaxed);
                } else {
                    byte.load(Ordering::Relaxed);
                }
                self.written() != before
            })
        }))
    }

    /// Bytes that were ever written to the ring.
    fn written(self) -> i64 {
        // SAFETY: the word lies within the mapping, aligned; the kernel writes it as a whole. It is
        // mapped: `close` is the end of a ring, and the child of a fork looks at its epoch first.
        let head = unsafe { &*self.0.as_ptr().add(HEAD).cast::<AtomicI64>() };
        // The compiler may not move earlier accesses behind this. The processor takes its faults in
        // the order of the program anyway.
        compiler_fence(Ordering::SeqCst);
        let written = head.load(Ordering::Acquire);
        compiler_fence(Ordering::SeqCst);
        written
    }

    fn close(self) {
        drop(Mapping { at: self.0, len: 2 * page() });
    }
}

/// Whether rings see every fault here and cannot be switched off. A process finds it out once, in
/// 0.3 to 0.6 ms.
fn works() -> bool {
    static WORKS: OnceLock<bool> = OnceLock::new();
    // The test runs on a thread of its own: it switches off what the thread has opened, and a host
    // may have opened something.
    let test = || thread::spawn(self_test).join().is_ok_and(|seen| seen.unwrap_or(false));
    *WORKS.get_or_init(test)
}

fn self_test() -> io::Result<bool> {
    let ring = Ring::open()?;
    // SAFETY: changes events that this thread has opened, and no memory.
    let disabled = unsafe { libc::prctl(libc::PR_TASK_PERF_EVENTS_DISABLE) } == 0;
    // If the kernel throttled the event, it would let fewer through in a tick.
    let seen = ring.sees_faults(64);
    ring.close();
    Ok(disabled && seen?)
}
