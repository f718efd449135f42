//! Tracks the invocations under way on this thread. Nested invocations keep within the outer
//! deadline, end at a depth, and do not wait for instances that their own thread holds.
//!
//! Invariant: there is one frame for each `Level` that is alive, in the order of entry.

use std::{cell::RefCell, time::Duration};

use crate::{error::InvokeErrorKind, limits::NESTING_MAX, sync::thread_local};

thread_local! {
    static UNDER_WAY: RefCell<Vec<Frame>> = const { RefCell::new(Vec::new()) };
}

struct Frame {
    /// The pool that the instance came from, by address.
    pool: usize,
    /// The runtime whose clock the deadline is read from, by address.
    runtime: usize,
    deadline_at: Duration,
    /// The number of hops of an event that is published in the invocation.
    hops: u32,
}

/// An invocation under way. It ends when this is dropped.
pub(super) struct Level(());

impl Level {
    pub(super) fn enter(pool: usize, runtime: usize, deadline_at: Duration, hops: u32) -> Self {
        UNDER_WAY.with(|frames| frames.borrow_mut().push(Frame { pool, runtime, deadline_at, hops }));
        Self(())
    }
}

impl Drop for Level {
    fn drop(&mut self) {
        UNDER_WAY.with(|frames| frames.borrow_mut().pop());
    }
}

/// What an invocation that is about to begin on this thread must respect.
pub(super) struct Outer {
    /// The earliest deadline of the invocations under way in the same runtime.
    pub(super) deadline_at: Duration,
    /// One of the invocations under way uses an instance of the same pool.
    pub(super) holds: bool,
    /// The number of hops of an event that is published in the innermost invocation. 0 if no
    /// delivery is among them.
    pub(super) hops: u32,
}

/// Looks at the invocations under way on this thread.
pub(super) fn outer(pool: usize, runtime: usize) -> Result<Outer, InvokeErrorKind> {
    UNDER_WAY.with(|frames| {
        let frames = frames.borrow();
        if frames.len() >= NESTING_MAX {
            return Err(InvokeErrorKind::NestedTooDeep { limit: NESTING_MAX });
        }
        let own = || frames.iter().filter(|frame| frame.runtime == runtime);
        Ok(Outer {
            deadline_at: own().map(|frame| frame.deadline_at).min().unwrap_or(Duration::MAX),
            holds: frames.iter().any(|frame| frame.pool == pool),
            hops: own().next_back().map_or(0, |frame| frame.hops),
        })
    })
}
