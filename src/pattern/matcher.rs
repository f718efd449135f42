//! The buffers that matching needs, kept from one event to the next.
//!
//! Invariant: state of one event never reaches another, as each entry has the number of its event.

use super::{
    elements::{Element, Elements},
    trie::NONE,
    values::ValueRoom,
};

/// The buffers that matching works in. A caller that uses them again allocates nothing once they
/// have grown to the size that index and events need.
///
/// They may serve several indexes in turn, and one thread at a time. Nothing of one event reaches
/// another.
#[derive(Debug, Default)]
pub struct Matcher {
    /// The number of this event. State with another number belongs to another event.
    pub(super) epoch: u32,
    /// How many values all events had so far.
    pub(super) values: u64,
    pub(super) conditions: Vec<State>,
    pub(super) places: Vec<State>,
    /// For each pattern, the epoch of the last event that matched it.
    pub(super) slots: Vec<u32>,
    /// Conditions that values reported.
    pub(super) reported: Vec<u32>,
    pub(super) log: Vec<Occurrence>,
    /// Array elements on the way to values. The first stands for the event itself.
    pub(super) elements: Vec<Element>,
    pub(super) arrays: u32,
    pub(super) value_room: ValueRoom,
    pub(super) text: Vec<u8>,
    pub(super) stack: Vec<u32>,
    pub(super) consistency: Elements,
    /// The patterns that match. They are in ascending order at the end.
    pub(super) found: Vec<u32>,
}

/// How many values of an event a place or condition met, and the last one.
#[derive(Clone, Copy, Debug)]
pub(super) struct State {
    epoch: u32,
    pub(super) count: u32,
    /// The latest value.
    value: u32,
    /// Its entry in the log.
    pub(super) last: u32,
}

/// A value that a place or condition met.
#[derive(Clone, Copy, Debug)]
pub(super) struct Occurrence {
    pub(super) value: u32,
    pub(super) element: u32,
    /// The entry before it of the same place or condition.
    pub(super) before: u32,
}

/// Never met.
const UNMET: State = State { epoch: 0, count: 0, value: NONE, last: NONE };

impl Matcher {
    /// Empty buffers, which grow with the first events.
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins an event, on an index with so many of each.
    pub(super) fn begin(&mut self, conditions: usize, places: usize, slots: usize, wildcards: usize) {
        self.epoch = self.epoch.wrapping_add(1);
        if self.epoch == 0 {
            // All numbers have been used. This happens once in four thousand million events.
            self.conditions.clear();
            self.places.clear();
            self.slots.clear();
            self.epoch = 1;
        }
        let grow = |states: &mut Vec<State>, len| {
            if states.len() < len {
                states.resize(len, UNMET);
            }
        };
        grow(&mut self.conditions, conditions);
        grow(&mut self.places, places);
        if self.slots.len() < slots {
            self.slots.resize(slots, 0);
        }
        if self.value_room.wildcards.len() < wildcards {
            self.value_room.wildcards.resize(wildcards, 0);
        }
        self.reported.clear();
        self.log.clear();
        self.elements.clear();
        self.elements.push(Element { parent: NONE, array: NONE });
        self.arrays = 0;
        self.consistency.begin();
        self.found.clear();
    }

    pub(super) fn condition(&self, condition: u32) -> State {
        self.conditions[condition as usize].now(self.epoch)
    }

    pub(super) fn place(&self, place: u32) -> State {
        self.places[place as usize].now(self.epoch)
    }
}

impl State {
    fn now(self, epoch: u32) -> State {
        if self.epoch == epoch { self } else { UNMET }
    }

    /// Counts a value. `true` if it is the first. A value counts once.
    #[inline]
    pub(super) fn meet(&mut self, epoch: u32, value: u32, element: u32, log: Option<&mut Vec<Occurrence>>) -> bool {
        let before = self.now(epoch);
        if before.value == value {
            return false;
        }
        let last = match log {
            Some(log) => {
                log.push(Occurrence { value, element, before: before.last });
                log.len() as u32 - 1
            }
            None => NONE,
        };
        *self = State { epoch, count: before.count + 1, value, last };
        before.count == 0
    }
}
