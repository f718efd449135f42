//! Which schedules fire when: the part of a tick that turns instants into events.
//!
//! Invariants: the `next` of a schedule only grows, so no instant fires twice, whatever the date
//! does. An instant that could not fire, because the queue was full or a run had not ended, is due
//! at the next tick.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use super::{Admission, Hub, machine::Queue};
use crate::{
    event::{Event, Timestamp},
    trigger::{Bound, Due, Missed, Schedule, Source},
};

/// [`Missed::Skip`] lets an instant fire that is this late at most.
const SKIP_AFTER: Duration = Duration::from_secs(60);

/// The most instants that `Missed::All` fires at once. Each is an event in memory.
const CAUGHT_UP_MAX: u32 = 10_000;

/// A host that waits for a run to end, so that an instant can fire, looks again after this time.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

#[derive(Default)]
pub(crate) struct Agenda {
    schedules: BTreeMap<u64, Scheduled>,
    /// Instants at which schedules fire next, with the trigger's number.
    next: BTreeSet<(Timestamp, u64)>,
    /// Triggers that were bound before the date was known.
    undated: Vec<u64>,
}

struct Scheduled {
    bound: Arc<Bound>,
    anchor: Timestamp,
    next: Option<Timestamp>,
    /// The deliveries of the instants that fired last.
    last: Vec<u64>,
    /// The queue had no room for an instant that is due.
    is_refused: bool,
}

impl Scheduled {
    /// Whether an instant that is due has to wait.
    fn waits(&self, queue: &Queue) -> bool {
        self.is_refused || self.is_running(queue)
    }
}

fn schedule(bound: &Bound) -> Option<&Schedule> {
    match &bound.trigger.source {
        Source::Schedule(schedule) => Some(schedule),
        _ => None,
    }
}

impl Agenda {
    pub(crate) fn add(&mut self, bound: Arc<Bound>, date: Option<Timestamp>) {
        let number = bound.number;
        let anchor = date.unwrap_or(Timestamp::UNIX_EPOCH);
        self.schedules.insert(number, Scheduled { bound, anchor, next: None, last: Vec::new(), is_refused: false });
        match date {
            None => self.undated.push(number),
            Some(date) => self.begin(number, date),
        }
    }

    /// Counts a schedule's instants from a date on.
    fn begin(&mut self, number: u64, date: Timestamp) {
        let Some(scheduled) = self.schedules.get_mut(&number) else { return };
        scheduled.anchor = date;
        scheduled.next = schedule(&scheduled.bound).and_then(|schedule| schedule.next(date, date));
        self.next.extend(scheduled.next.map(|next| (next, number)));
    }

    pub(crate) fn remove(&mut self, number: u64) {
        if let Some(next) = self.schedules.remove(&number).and_then(|scheduled| scheduled.next) {
            self.next.remove(&(next, number));
        }
        self.undated.retain(|undated| *undated != number);
    }

    /// The time until an instant is due that can fire.
    pub(crate) fn next_due(&self, date: Timestamp, queue: &Queue) -> Option<Duration> {
        let mut soonest: Option<Duration> = None;
        for (at, number) in &self.next {
            let until = at.duration_since(date).unwrap_or_default();
            let waits = until.is_zero() && self.schedules.get(number).is_some_and(|scheduled| scheduled.waits(queue));
            let until = if waits { LOOK_AGAIN } else { until };
            soonest = Some(soonest.map_or(until, |soonest| soonest.min(until)));
            if !waits {
                break;
            }
        }
        soonest
    }

    /// Adds the deliveries of all instants up to this date. Returns how many events fired.
    pub(crate) fn fire(&mut self, hub: &Hub, queue: &mut Queue, date: Timestamp, now: Duration) -> usize {
        for number in std::mem::take(&mut self.undated) {
            self.begin(number, date);
        }
        let due: Vec<(Timestamp, u64)> = self.next.range(..=(date, u64::MAX)).copied().collect();
        let mut fired = 0;
        for (first, number) in due {
            let Some(scheduled) = self.schedules.get_mut(&number) else { continue };
            let Some(schedule) = schedule(&scheduled.bound) else { continue };
            let mut left = None;
            if scheduled.bound.is_enabled() {
                if !scheduled.bound.trigger.overlapping && scheduled.is_running(queue) {
                    continue;
                }
                let due = schedule.due(scheduled.anchor, first, date);
                let events = events(&scheduled.bound, schedule, scheduled.anchor, &due, date);
                let (ids, refused) = admit(hub, queue, &scheduled.bound, events, now);
                fired += ids.len();
                scheduled.last = ids;
                left = refused;
            }
            scheduled.is_refused = left.is_some();
            let next = left.or_else(|| schedule.next(scheduled.anchor, date));
            scheduled.next = next;
            self.next.remove(&(first, number));
            self.next.extend(next.map(|next| (next, number)));
        }
        fired
    }
}

impl Scheduled {
    fn is_running(&self, queue: &Queue) -> bool {
        self.last.iter().any(|id| queue.is_pending(*id))
    }
}

/// Queues events. Returns the numbers of their deliveries, and the instant of the first event that
/// did not fit.
fn admit(
    hub: &Hub,
    queue: &mut Queue,
    bound: &Arc<Bound>,
    events: Vec<(Timestamp, Event)>,
    now: Duration,
) -> (Vec<u64>, Option<Timestamp>) {
    let mut ids = Vec::new();
    for (first, event) in events {
        let Ok(bytes) = hub.size(&event) else { continue };
        match queue.admit(Admission { bound: std::slice::from_ref(bound), event, bytes }, now) {
            Ok((_, 0)) => {}
            Ok((id, _)) => ids.push(id),
            Err(_) => return (ids, Some(first)),
        }
    }
    (ids, None)
}

/// The events for the instants that are due. Each comes with the first instant that it stands for.
fn events(
    bound: &Bound,
    schedule: &Schedule,
    anchor: Timestamp,
    due: &Due,
    date: Timestamp,
) -> Vec<(Timestamp, Event)> {
    let one = |due: &Due| Some((due.first, event(bound, due)?));
    let events = match bound.trigger.missed {
        Missed::Skip if date.duration_since(due.last).is_some_and(|late| late > SKIP_AFTER) => Vec::new(),
        Missed::Skip => vec![one(&Due { first: due.last, last: due.last, count: 1 })],
        Missed::Coalesce => vec![one(due)],
        Missed::All(most) => {
            let instants = schedule.latest(anchor, due, most.min(CAUGHT_UP_MAX)).into_iter();
            instants.map(|at| one(&Due { first: at, last: at, count: 1 })).collect()
        }
    };
    events.into_iter().flatten().collect()
}

/// An event of type `dormouse.schedule`. Its source is the trigger, its time and id are the
/// instant.
fn event(bound: &Bound, due: &Due) -> Option<Event> {
    let Due { first, last, count } = due;
    let data = format!(r#"{{"count":{count},"first":"{first}","last":"{last}"}}"#);
    let event = Event::builder("dormouse.schedule").id(last.to_string()).source(&*bound.id).time(*last);
    // This cannot fail: the id of a trigger is a URI reference, and the data is JSON.
    event.data_json(data).build().ok()
}
