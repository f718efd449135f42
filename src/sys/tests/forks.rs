//! Processes that fork within an invocation: parent and child both stay clean.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with the error")]

use super::{check, in_a_process, open_ring, poke, settled};
use crate::{Reset, Value};

#[test]
fn the_child_of_a_fork_and_its_parent_both_stay_clean() {
    in_a_process("forks::the_child_of_a_fork_and_its_parent_both_stay_clean", fork_within_a_run);
}

#[test]
fn the_child_of_a_fork_does_not_count_by_its_parents_ring() {
    in_a_process("forks::the_child_of_a_fork_does_not_count_by_its_parents_ring", || {
        open_ring();
        fork_within_a_run();
    });
}

fn fork_within_a_run() {
    let function = settled(Reset::ByFaultCount);
    // The process forks within an invocation, which ends in both processes.
    let child = function.session(|guest| {
        guest.call("poke", &[Value::I32(600_000), Value::I32(-1)])?;
        // SAFETY: this process has no other thread that could hold a lock, as it runs this test
        // alone; the child calls nothing but this library and leaves by `_exit`.
        let child = unsafe { libc::fork() };
        guest.call("poke", &[Value::I32(700_000), Value::I32(-1)])?;
        Ok(child)
    });
    let child = child.unwrap().into_value();
    let work = || {
        for page in 40..120 {
            check(&function);
            poke(&function, page);
            check(&function);
        }
    };
    if child == 0 {
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        // SAFETY: ends the child without running what the parent will run.
        unsafe { libc::_exit(i32::from(outcome.is_err())) };
    }
    work();
    let mut status = 0;
    // SAFETY: waits for the child made above; the status is a local.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    assert_eq!(status, 0, "the child found a byte of an earlier run");
}
