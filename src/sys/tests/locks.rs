//! Memory that a host locks, which makes pages private without a page fault.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with the error")]

use std::io;

use super::{Scene, call, check, has_scan, in_a_process, open_ring, poke, settled};
use crate::{
    Function, Reset, Value,
    instance::{Gate, moment},
    sys::available,
};

#[test]
fn memory_that_is_locked_between_two_runs_hides_no_write() {
    in_a_process("locks::memory_that_is_locked_between_two_runs_hides_no_write", || {
        for (reset, ring) in [(Reset::ByFaultCount, false), (Reset::ByPageScan, false), (Reset::ByFaultCount, true)] {
            let function = settled(reset);
            if ring {
                open_ring();
            }
            // SAFETY: locks the pages of this process, which runs this test alone.
            if unsafe { libc::mlockall(libc::MCL_CURRENT) } != 0 {
                println!("locking is not allowed here: {}", io::Error::last_os_error());
                return;
            }
            // Every page is private now, without a fault of ours: writes to them take none either.
            for page in 30..200 {
                poke(&function, page);
                check(&function);
            }
            // SAFETY: as above.
            call(unsafe { libc::munlockall() });
        }
    });
}

#[test]
fn memory_that_is_locked_within_a_run_hides_no_write_of_it() {
    in_a_process("locks::memory_that_is_locked_within_a_run_hides_no_write_of_it", || {
        for ring in [false, true] {
            let function = settled(Reset::ByFaultCount);
            if ring {
                open_ring();
            }
            lock_within_a_run(&function);
        }
    });
}

fn lock_within_a_run(function: &Function) {
    let locked = function.session(|guest| {
        // SAFETY: locks the pages of this process, which runs this test alone.
        let locked = unsafe { libc::mlockall(libc::MCL_CURRENT) } == 0;
        guest.call("poke", &[Value::I32(800_000), Value::I32(-1)])?;
        guest.write(900_000, b"trace")?;
        Ok(locked)
    });
    check(function);
    if *locked.unwrap().value() {
        if has_scan() {
            assert!(function.deployed().unwrap().unmappable.load(std::sync::atomic::Ordering::Relaxed));
        }
        // SAFETY: as above.
        call(unsafe { libc::munlockall() });
    }
}

#[test]
fn memory_that_is_locked_for_the_future_leaves_regions_alone() {
    in_a_process("locks::memory_that_is_locked_for_the_future_leaves_regions_alone", || {
        // SAFETY: locks the pages of this process, which runs this test alone.
        if unsafe { libc::mlockall(libc::MCL_CURRENT | libc::MCL_FUTURE) } == 0 {
            assert!(!available());
        }
        let function = settled(Reset::ByFaultCount);
        for page in 20..60 {
            poke(&function, page);
            check(&function);
        }
    });
}

#[test]
fn memory_that_is_locked_while_a_region_is_made_hides_no_write() {
    in_a_process("locks::memory_that_is_locked_while_a_region_is_made_hides_no_write", || {
        for ring in [false, true] {
            if !available() || (ring && !open_ring()) {
                return;
            }
            // The count before the second region's invocation comes from a reset of the first
            // region.
            let (mut first, mut gate) = (Scene::new(|_| {}), Gate::default());
            first.reset(&mut gate, moment());
            let mut allowed = true;
            for round in 0..20 {
                // The library asks for the third time when the canary is mapped and the image is
                // not yet.
                let mut second = Scene::new(|asked| {
                    if asked == 2 {
                        // SAFETY: locks what this process maps from now on; it runs this test
                        // alone.
                        allowed = unsafe { libc::mlockall(libc::MCL_FUTURE) } == 0;
                    }
                });
                if !allowed {
                    println!("locking is not allowed here");
                    return;
                }
                // SAFETY: as above.
                call(unsafe { libc::munlockall() });
                // The first look at a canary takes a fault, which would lead to a scan by chance.
                assert!(second.store.data().get(0).is_sound());
                let mut new = Gate::default();
                first.reset(&mut gate, moment());
                let before = moment();
                second.memory.data_mut(&mut second.store)[round * 4_096] = 1;
                second.reset(&mut new, before);
                assert!(*second.memory.data(&second.store) == *second.mapped.bytes(), "round {round}, ring: {ring}");
            }
        }
    });
}
