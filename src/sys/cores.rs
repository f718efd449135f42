//! Which core a thread runs on, for data that threads on different cores should not share.
//!
//! Invariant: an answer is a hint, as the thread may be on another core by then.

use std::{
    cell::Cell,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

#[cfg(all(target_os = "linux", target_arch = "x86_64", target_pointer_width = "64"))]
use parking_lot::Mutex;

/// The number of this thread's core. Cores are counted as they are first seen here, so the cores
/// that a process may use have the lowest numbers. It takes 2 ns where the C library has the kernel
/// write the core to the thread (glibc since 2.35), and some 10 by the kernel's vDSO, which every
/// x86-64 has.
#[cfg(all(target_os = "linux", target_arch = "x86_64", target_pointer_width = "64"))]
pub(crate) fn core_number() -> usize {
    const MAX: usize = 1_024;
    static NUMBERS: [AtomicUsize; MAX] = [const { AtomicUsize::new(0) }; MAX];
    static SEEN: Mutex<usize> = Mutex::new(0);
    // SAFETY: the call takes no argument and answers a number, below 0 if the kernel does not say.
    let core = unsafe { libc::sched_getcpu() };
    let number = &NUMBERS[usize::try_from(core).unwrap_or(0) % MAX];
    match number.load(Relaxed) {
        0 => {
            let mut seen = SEEN.lock();
            // Another thread may have been here first.
            if number.load(Relaxed) == 0 {
                *seen += 1;
                number.store(*seen, Relaxed);
            }
            number.load(Relaxed) - 1
        }
        known => known - 1,
    }
}

/// The thread's number, on platforms where asking for its core takes a system call or cannot be
/// done.
#[cfg(not(all(target_os = "linux", target_arch = "x86_64", target_pointer_width = "64")))]
pub(crate) fn core_number() -> usize {
    thread_number()
}

/// This thread's number. Threads are counted as they first ask.
pub(crate) fn thread_number() -> usize {
    static NUMBERS: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static NUMBER: Cell<Option<usize>> = const { Cell::new(None) };
    }
    NUMBER.get().unwrap_or_else(|| {
        let number = NUMBERS.fetch_add(1, Relaxed);
        NUMBER.set(Some(number));
        number
    })
}

#[cfg(all(test, target_os = "linux", target_arch = "x86_64", target_pointer_width = "64"))]
mod tests {
    #[test]
    fn each_core_has_a_number_of_its_own_and_keeps_it() {
        // The test runs on a thread of its own, which it moves from core to core.
        std::thread::spawn(|| {
            // SAFETY: a set of cores is bits, all of which may be 0. The call writes this one, of
            // this size.
            let allowed = unsafe {
                let mut allowed: libc::cpu_set_t = std::mem::zeroed();
                assert_eq!(libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut allowed), 0);
                allowed
            };
            // SAFETY: the numbers are below the size of the set.
            let cores: Vec<usize> =
                (0..libc::CPU_SETSIZE as usize).filter(|core| unsafe { libc::CPU_ISSET(*core, &allowed) }).collect();
            let number_on = |core: &usize| {
                // SAFETY: as above.
                unsafe {
                    let mut one: libc::cpu_set_t = std::mem::zeroed();
                    libc::CPU_SET(*core, &mut one);
                    assert_eq!(libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const one), 0);
                }
                super::core_number()
            };
            let numbers: Vec<usize> = cores.iter().map(number_on).collect();
            assert_eq!(numbers, cores.iter().map(number_on).collect::<Vec<_>>());
            let mut distinct = numbers.clone();
            distinct.sort_unstable();
            distinct.dedup();
            assert_eq!(distinct.len(), cores.len(), "{numbers:?}");
        })
        .join()
        .expect("the thread ends well");
    }
}
