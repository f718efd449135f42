//! What makes a queue last, where the feature `durable` is off: nothing is written.

use std::{sync::Arc, time::Duration};

use super::{hub::Changes, machine::Queue};
use crate::trigger::Bound;

impl Queue {
    pub(super) fn adopt(&mut self, _bound: &Arc<Bound>) -> usize {
        0
    }

    pub(super) fn end_process(&mut self) {}

    pub(super) fn changes(&mut self, _at_least: usize, _now: Duration) -> Option<(Changes, Changes)> {
        None
    }

    pub(super) fn saved(&mut self) {}

    pub(super) fn retract(&mut self, _first: u64, _count: usize) {}
}
