//! Which invocations are under way on this thread, so that nested ones keep within the outer's deadline, end at a depth,
//! and do not wait for what their own thread holds.

#[cfg(feature = "events")]
use std::sync::Arc;
use std::{cell::RefCell, time::Duration};

use crate::{error::InvokeErrorKind, limits::NESTING_MAX};

thread_local! {
    static UNDER_WAY: RefCell<Vec<Frame>> = const { RefCell::new(Vec::new()) };
}

struct Frame {
    /// The pool that the instance came from, by address.
    pool: usize,
    /// The runtime whose clock the deadline is read from, by address.
    runtime: usize,
    deadline_at: Duration,
    #[cfg_attr(not(feature = "events"), expect(dead_code, reason = "without events nothing is delivered"))]
    origin: Option<Origin>,
}

/// The delivery that an invocation belongs to, for the contracts and host functions that hand it to the guest.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    #[cfg(feature = "events")]
    pub(crate) trigger: Arc<str>,
    #[cfg(feature = "events")]
    pub(crate) delivery: u64,
    #[cfg(feature = "events")]
    pub(crate) attempt: u32,
}

/// The delivery that the innermost invocation of this thread belongs to, and the invocation's deadline.
#[cfg(feature = "events")]
pub(crate) fn origin() -> Option<(Origin, Duration)> {
    UNDER_WAY.with_borrow(|frames| {
        let frame = frames.last()?;
        Some((frame.origin.clone()?, frame.deadline_at))
    })
}

/// An invocation under way; ends when dropped.
pub(super) struct Level(());

impl Level {
    pub(super) fn enter(pool: usize, runtime: usize, deadline_at: Duration, origin: Option<Origin>) -> Self {
        UNDER_WAY.with_borrow_mut(|frames| frames.push(Frame { pool, runtime, deadline_at, origin }));
        Self(())
    }
}

impl Drop for Level {
    fn drop(&mut self) {
        UNDER_WAY.with_borrow_mut(|frames| frames.pop());
    }
}

/// What an invocation that is about to begin on this thread must keep to.
pub(super) struct Outer {
    /// The earliest deadline of those under way in the same runtime.
    pub(super) deadline_at: Duration,
    /// One of them uses an instance of the same pool.
    pub(super) holds: bool,
}

/// Looks at the invocations under way on this thread.
pub(super) fn outer(pool: usize, runtime: usize) -> Result<Outer, InvokeErrorKind> {
    UNDER_WAY.with_borrow(|frames| {
        if frames.len() >= NESTING_MAX {
            return Err(InvokeErrorKind::NestedTooDeep { limit: NESTING_MAX });
        }
        let deadlines = frames.iter().filter(|frame| frame.runtime == runtime).map(|frame| frame.deadline_at);
        Ok(Outer {
            deadline_at: deadlines.min().unwrap_or(Duration::MAX),
            holds: frames.iter().any(|frame| frame.pool == pool),
        })
    })
}
