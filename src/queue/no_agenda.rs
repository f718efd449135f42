//! The agenda where the feature `schedule` is off: nothing fires.

use std::{sync::Arc, time::Duration};

use super::{Hub, machine::Queue};
use crate::{event::Timestamp, trigger::Bound};

#[derive(Default)]
pub(crate) struct Agenda;

impl Agenda {
    pub(crate) fn add(&mut self, _bound: Arc<Bound>, _date: Option<Timestamp>) {}

    pub(crate) fn remove(&mut self, _number: u64) {}

    pub(crate) fn next_due(&self, _date: Timestamp, _queue: &Queue) -> Option<Duration> {
        None
    }

    pub(crate) fn fire(&mut self, _hub: &Hub, _queue: &mut Queue, _date: Timestamp, _now: Duration) -> usize {
        0
    }
}
