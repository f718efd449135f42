//! Filters of system calls that answer with an error, or that kill.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with the error")]

use super::{call, check, has_ring, has_scan, in_a_process, open_ring, poke, settled};
use crate::{
    Function, Reset,
    sys::{available, faults},
};

/// From now on `number` fails in this thread with EPERM.
pub(super) fn deny(number: libc::c_long) {
    deny_with(number, libc::EPERM);
}

pub(super) fn deny_with(number: libc::c_long, error: i32) {
    filter(&[number], libc::SECCOMP_RET_ERRNO | error as u32, libc::SECCOMP_RET_ALLOW);
}

/// From now on the calls in `numbers` get the answer `these`, and all others the answer `others`,
/// in this thread and in those that it starts.
fn filter(numbers: &[libc::c_long], these: u32, others: u32) {
    const LOAD: u16 = 0x20;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    let line = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let mut program = vec![line(LOAD, 0, 0, 0)];
    for number in numbers {
        program.push(line(JUMP_IF_EQUAL, 0, 1, *number as u32));
        program.push(line(RETURN, 0, 0, these));
    }
    program.push(line(RETURN, 0, 0, others));
    let program = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: the filter is a valid program of the stated length, and the kernel copies it.
    unsafe {
        call(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
        call(libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program));
    }
}

#[test]
fn no_thread_opens_a_ring_under_a_filter_that_kills_for_it() {
    in_a_process("filters::no_thread_opens_a_ring_under_a_filter_that_kills_for_it", || {
        let function = settled(Reset::ByFaultCount);
        // This thread has a ring, so the process knows that rings work.
        if !open_ring() {
            println!("there are no rings here");
            return;
        }
        filter(&[libc::SYS_perf_event_open], libc::SECCOMP_RET_KILL_PROCESS, libc::SECCOMP_RET_ALLOW);
        let later = || {
            assert!(!open_ring());
            for page in 20..120 {
                poke(&function, page);
                check(&function);
            }
        };
        std::thread::scope(|scope| scope.spawn(later).join().unwrap());
        later_calls_of_this_thread(&function);
    });
}

/// A thread that has a ring keeps it.
fn later_calls_of_this_thread(function: &Function) {
    assert!(has_ring());
    for page in 120..160 {
        poke(function, page);
        check(function);
    }
}

#[test]
fn regions_need_no_kind_of_call_that_the_first_deployment_has_not_made() {
    in_a_process("filters::regions_need_no_kind_of_call_that_the_first_deployment_has_not_made", || {
        if !available() || !has_scan() {
            return;
        }
        settled(Reset::ByFaultCount);
        // The calls that `linux.rs` lists, and the one that asks for a filter.
        let of_regions = [
            libc::SYS_openat,
            libc::SYS_ioctl,
            libc::SYS_lseek,
            libc::SYS_memfd_create,
            libc::SYS_ftruncate,
            libc::SYS_fcntl,
            libc::SYS_mmap,
            libc::SYS_mremap,
            libc::SYS_madvise,
            libc::SYS_munmap,
            libc::SYS_close,
            libc::SYS_getpid,
            libc::SYS_getrandom,
            libc::SYS_getrusage,
            libc::SYS_prctl,
        ];
        // The calls that the standard library, its allocator and a thread that ends need.
        let of_others = [
            libc::SYS_brk,
            libc::SYS_clock_gettime,
            libc::SYS_exit,
            libc::SYS_exit_group,
            libc::SYS_futex,
            libc::SYS_mprotect,
            libc::SYS_read,
            libc::SYS_rt_sigprocmask,
            libc::SYS_sched_getaffinity,
            libc::SYS_sched_yield,
            libc::SYS_sigaltstack,
            libc::SYS_write,
        ];
        let later = || {
            let allowed = [&of_regions[..], &of_others[..]].concat();
            filter(&allowed, libc::SECCOMP_RET_ALLOW, libc::SECCOMP_RET_KILL_PROCESS);
            for reset in [Reset::Auto, Reset::ByFaultCount, Reset::ByPageScan] {
                let function = settled(reset);
                for page in 20..120 {
                    poke(&function, page);
                    check(&function);
                }
                assert!(!has_ring());
            }
        };
        std::thread::scope(|scope| scope.spawn(later).join().unwrap());
    });
}

#[test]
fn calls_that_are_denied_later_lead_to_scans_or_new_instances() {
    in_a_process("filters::calls_that_are_denied_later_lead_to_scans_or_new_instances", || {
        let function = settled(Reset::ByFaultCount);
        deny(libc::SYS_getrusage);
        for page in 40..80 {
            poke(&function, page);
            check(&function);
        }
        assert_eq!(faults(), None);
        deny(libc::SYS_ioctl);
        for page in 80..120 {
            poke(&function, page);
            check(&function);
        }
        deny(libc::SYS_madvise);
        for page in 120..160 {
            poke(&function, page);
            check(&function);
        }
    });
}

#[test]
fn a_reset_that_always_scans_counts_nothing() {
    in_a_process("filters::a_reset_that_always_scans_counts_nothing", || {
        let function = settled(Reset::ByPageScan);
        let of_counts = [libc::SYS_getrusage, libc::SYS_perf_event_open];
        filter(&of_counts, libc::SECCOMP_RET_KILL_PROCESS, libc::SECCOMP_RET_ALLOW);
        for page in 40..240 {
            poke(&function, page);
            check(&function);
        }
    });
}

#[test]
fn calls_that_are_denied_from_the_start_leave_regions_alone() {
    in_a_process("filters::calls_that_are_denied_from_the_start_leave_regions_alone", || {
        deny(libc::SYS_memfd_create);
        assert!(!available());
        let function = settled(Reset::ByFaultCount);
        poke(&function, 30);
        check(&function);
    });
}
