//! Schedules where the feature `schedule` is off: no trigger has one.

use std::fmt;

use super::TriggerError;
use crate::event::Timestamp;

/// What a trigger does about missed instants. Without schedules there is nothing to choose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Missed(());

/// There is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Schedule {}

impl Schedule {
    pub(crate) fn next(&self, _anchor: Timestamp, _after: Timestamp) -> Option<Timestamp> {
        match *self {}
    }

    pub(crate) fn never(&self) -> TriggerError {
        match *self {}
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {}
    }
}
