//! The system's time as a date.
//!
//! Invariant: a time outside the years that a [`Timestamp`] can hold is an error.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::event::{Timestamp, TimestampError};

/// For [`Runtime::tick`](crate::Runtime::tick): `runtime.tick(SystemTime::now().try_into()?)`.
impl TryFrom<SystemTime> for Timestamp {
    type Error = TimestampError;

    /// # Errors
    /// [`TimestampError::Range`] outside the years 0000 to 9999.
    fn try_from(time: SystemTime) -> Result<Self, TimestampError> {
        let nanos = match time.duration_since(UNIX_EPOCH) {
            Ok(after) => i128::try_from(after.as_nanos()),
            Err(before) => i128::try_from(before.duration().as_nanos()).map(|nanos| -nanos),
        };
        nanos.ok().and_then(Self::from_unix_nanos).ok_or(TimestampError::Range { part: "year" })
    }
}
