//! Quarantine: the pool stops making instances of a function for a while when they keep failing to
//! initialise.
//!
//! Invariant: one success ends the quarantine.

use std::time::Duration;

use crate::{error::InvokeErrorKind, sync::Mutex};

/// Quarantine begins after this many failures in a row. Its time doubles with each failure, from
/// the first to the longest.
const QUARANTINE_AFTER: u32 = 3;
const QUARANTINE_FIRST: Duration = Duration::from_secs(1);
const QUARANTINE_LONGEST: Duration = Duration::from_secs(60);

/// The number of instances that failed to initialise since the last success, with the end of the
/// quarantine and the last failure.
#[derive(Default)]
pub(super) struct Failures {
    count: u32,
    quarantine: Option<(Duration, InvokeErrorKind)>,
}

impl Failures {
    pub(super) fn succeeded(&mut self) {
        self.count = 0;
        self.quarantine = None;
    }

    pub(super) fn failed(&mut self, now: Duration, error: &InvokeErrorKind) {
        self.count = self.count.saturating_add(1);
        if let Some(times) = self.count.checked_sub(QUARANTINE_AFTER) {
            let time = QUARANTINE_FIRST.saturating_mul(1 << times.min(6)).min(QUARANTINE_LONGEST);
            self.quarantine = Some((now.saturating_add(time), error.clone()));
        }
    }
}

/// Returns an error during quarantine. The clock, which may be the host's, is read outside the
/// lock.
pub(super) fn check(failures: &Mutex<Failures>, now: &impl Fn() -> Duration) -> Result<(), InvokeErrorKind> {
    let (failures, (until, cause)) = {
        let failures = failures.lock();
        let Some(quarantine) = &failures.quarantine else { return Ok(()) };
        (failures.count, quarantine.clone())
    };
    match until.checked_sub(now()) {
        Some(remaining) if !remaining.is_zero() => {
            Err(InvokeErrorKind::Quarantined { failures, remaining, cause: Box::new(cause) })
        }
        _ => Ok(()),
    }
}
