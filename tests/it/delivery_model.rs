//! Random sequences of operations, compared with a model that keeps all deliveries in one list and
//! searches it each time.
//!
//! After each step, the counters, the dead letters and the inputs of functions are the same as the
//! model's, and the counters balance.

use std::{collections::HashMap, time::Duration};

use dormouse::{
    DeadLetterReason, DeliveryOutcome, DeliveryStats, Event, EventLimits, Retry, Timestamp, Trigger, TriggerInput,
    WhenFull,
};

use crate::support::{Random, Scene, count};

const DELAY: u64 = 10;
const ATTEMPTS: u32 = 3;
const AGE: u64 = 60;
const HOPS: u32 = 2;
const LETTERS: usize = 4;

/// Triggers in the order of binding: id, type that it matches, function, whether it is ordered,
/// whether it emits.
const TRIGGERS: [(&str, &str, &str, bool, bool); 6] = [
    ("a1", "a", "f", false, false),
    ("a2", "a", "g", false, false),
    ("o", "o", "f", true, false),
    ("x", "x", "h", false, false),
    ("xo", "x", "h", true, false),
    ("r", "r", "f", false, true),
];

#[derive(Clone, Copy, PartialEq, Debug)]
enum State {
    Ready,
    Waiting(u64),
    Parked,
    Running,
}

#[derive(Clone, Debug)]
struct Entry {
    id: u64,
    trigger: usize,
    deed: String,
    key: Option<u64>,
    expires: Option<u64>,
    hops: u32,
    born: u64,
    attempts: u32,
    state: State,
}

/// A published event: its type and its contents.
#[derive(Clone, Debug)]
struct Message {
    ty: &'static str,
    deed: String,
    key: Option<u64>,
    expires: Option<u64>,
    hops: u32,
}

struct Model {
    now: u64,
    /// By how many seconds the date is ahead of the clock. `None` before the first tick.
    date: Option<i64>,
    next: u64,
    entries: Vec<Entry>,
    letters: Vec<(Entry, DeadLetterReason)>,
    figures: DeliveryStats,
    enabled: [bool; TRIGGERS.len()],
    h_deployed: bool,
    capacity: usize,
    when_full: WhenFull,
    seen: Vec<String>,
    replies: HashMap<String, (&'static str, String)>,
}

impl Model {
    fn is_expired(&self, entry: &Entry) -> bool {
        let date = self.date.map(|ahead| self.now as i64 + ahead);
        entry.expires.is_some_and(|end| date.is_some_and(|date| date >= end as i64))
    }

    /// Whether no delivery of its order is before it.
    fn is_first(&self, entry: &Entry) -> bool {
        !TRIGGERS[entry.trigger].3
            || !self
                .entries
                .iter()
                .any(|other| other.trigger == entry.trigger && other.key == entry.key && other.id < entry.id)
    }

    fn remove(&mut self, id: u64) -> Entry {
        let at = self.entries.iter().position(|entry| entry.id == id).unwrap();
        self.entries.remove(at)
    }

    fn keep(&mut self, entry: Entry, reason: DeadLetterReason) {
        self.letters.push((entry, reason));
        if self.letters.len() > LETTERS {
            self.letters.remove(0);
            self.figures.evicted += 1;
        }
    }

    fn bury(&mut self, id: u64, reason: DeadLetterReason) {
        let entry = self.remove(id);
        self.keep(entry, reason);
    }

    fn matching(&self, ty: &str) -> Vec<usize> {
        (0..TRIGGERS.len()).filter(|at| TRIGGERS[*at].1 == ty && self.enabled[*at]).collect()
    }

    /// The new ids. `None` if they do not fit.
    fn admit(&mut self, message: &Message, triggers: &[usize], ended: Option<u64>) -> Option<Vec<u64>> {
        let others = self.entries.len() - usize::from(ended.is_some());
        let excess = (others + triggers.len()).saturating_sub(self.capacity);
        if excess > 0 {
            let droppable: Vec<u64> = self
                .entries
                .iter()
                .filter(|entry| entry.state != State::Running)
                .map(|entry| entry.id)
                .take(excess)
                .collect();
            match self.when_full {
                WhenFull::DropNewest => {
                    ended.into_iter().for_each(|id| self.succeed(id));
                    self.figures.matched += triggers.len() as u64;
                    self.figures.dropped += triggers.len() as u64;
                    return Some(Vec::new());
                }
                WhenFull::DropOldest if droppable.len() == excess => {
                    for id in droppable {
                        self.remove(id);
                        self.figures.dropped += 1;
                    }
                }
                _ => {
                    self.figures.refused += triggers.len() as u64;
                    return None;
                }
            }
        }
        ended.into_iter().for_each(|id| self.succeed(id));
        let ids = triggers.iter().map(|trigger| {
            let entry = self.entry(message, *trigger);
            let id = entry.id;
            self.entries.push(entry);
            id
        });
        Some(ids.collect())
    }

    fn entry(&mut self, message: &Message, trigger: usize) -> Entry {
        self.figures.matched += 1;
        self.next += 1;
        Entry {
            id: self.next - 1,
            trigger,
            deed: message.deed.clone(),
            key: message.key,
            expires: message.expires,
            hops: message.hops,
            born: self.now,
            attempts: 0,
            state: State::Ready,
        }
    }

    fn succeed(&mut self, id: u64) {
        self.remove(id);
        self.figures.succeeded += 1;
    }

    fn wake(&mut self) {
        let now = self.now;
        for entry in &mut self.entries {
            if matches!(entry.state, State::Waiting(at) if at <= now) {
                entry.state = State::Ready;
            }
        }
        loop {
            let old = self.entries.iter().filter(|entry| entry.state == State::Parked && entry.born + AGE <= now);
            let Some(old) = old.min_by_key(|entry| (entry.born, entry.id)).cloned() else { break };
            if self.is_expired(&old) {
                self.remove(old.id);
                self.figures.expired += 1;
            } else {
                self.bury(old.id, DeadLetterReason::Age);
            }
        }
    }

    /// Whether it began.
    fn begin(&mut self, id: u64) -> bool {
        let at = self.entries.iter().position(|entry| entry.id == id).unwrap();
        let entry = self.entries[at].clone();
        if entry.state != State::Ready || !self.is_first(&entry) {
            return false;
        }
        if self.is_expired(&entry) {
            self.remove(id);
            self.figures.expired += 1;
            return false;
        }
        if self.now >= entry.born + AGE {
            self.bury(id, DeadLetterReason::Age);
            return false;
        }
        self.entries[at].state = State::Running;
        true
    }

    fn run(&mut self, id: u64) {
        let at = self.entries.iter().position(|entry| entry.id == id).unwrap();
        let entry = self.entries[at].clone();
        let (_, _, function, _, emits) = TRIGGERS[entry.trigger];
        if function == "h" && !self.h_deployed {
            self.entries[at].state = State::Parked;
            return;
        }
        self.seen.push(format!("{function} {}", entry.deed));
        let mut staged = None;
        if let Some((_, ty)) = entry.deed.split_once('|') {
            let ty = TRIGGERS.iter().find(|trigger| trigger.1 == ty).unwrap().1;
            let message = Message { ty, deed: "ok".to_owned(), key: None, expires: None, hops: entry.hops + 1 };
            let triggers = self.matching(ty);
            let beside = if self.when_full == WhenFull::Reject { self.entries.len() - 1 } else { 0 };
            if !triggers.is_empty() && beside + triggers.len() > self.capacity {
                self.figures.refused += triggers.len() as u64;
                return self.fail(at, false);
            }
            staged = (!triggers.is_empty()).then_some((message, triggers));
        }
        match entry.deed.as_bytes()[0] {
            b't' | b'f' => self.fail(at, false),
            b'e' if emits => {
                let Some((ty, deed)) = self.replies.get(&entry.deed).cloned() else { return self.fail(at, true) };
                let message = Message { ty, deed, key: None, expires: None, hops: entry.hops + 1 };
                let triggers = self.matching(ty);
                self.lead_on(at, &message, triggers);
            }
            b'r' => self.fail(at, true),
            _ => match staged {
                Some((message, triggers)) => self.lead_on(at, &message, triggers),
                None => self.succeed(id),
            },
        }
    }

    /// Records that a delivery has succeeded, and adds the event that it leads to.
    fn lead_on(&mut self, at: usize, message: &Message, triggers: Vec<usize>) {
        let id = self.entries[at].id;
        if message.hops > HOPS {
            self.succeed(id);
            for trigger in triggers {
                let entry = self.entry(message, trigger);
                self.keep(entry, DeadLetterReason::Loop);
            }
        } else if self.admit(message, &triggers, Some(id)).is_none() {
            self.fail(at, false);
        }
    }

    fn fail(&mut self, at: usize, permanent: bool) {
        let entry = &mut self.entries[at];
        entry.attempts += 1;
        let (id, again) = (entry.id, self.now + DELAY);
        if permanent {
            self.bury(id, DeadLetterReason::Permanent);
        } else if entry.attempts >= ATTEMPTS {
            self.bury(id, DeadLetterReason::Attempts);
        } else if again >= entry.born + AGE {
            self.bury(id, DeadLetterReason::Age);
        } else {
            entry.state = State::Waiting(again);
        }
    }

    fn run_pending(&mut self, budget: usize) {
        for _ in 0..budget {
            self.wake();
            loop {
                let first = self.entries.iter().filter(|entry| entry.state == State::Ready && self.is_first(entry));
                let Some(id) = first.map(|entry| entry.id).min() else { return };
                if self.begin(id) {
                    self.run(id);
                    break;
                }
            }
        }
    }

    fn figures(&self) -> DeliveryStats {
        let of = |state| self.entries.iter().filter(|entry| entry.state == state).count() as u64;
        let mut figures = self.figures;
        figures.dead_letters = self.letters.len() as u64;
        figures.running = of(State::Running);
        figures.parked = of(State::Parked);
        figures.queued = self.entries.len() as u64 - figures.running - figures.parked;
        figures
    }
}

/// A deed that answers with an event.
fn answer(ty: &str, deed: &str) -> String {
    let event = Event::builder(ty).id("x").source("/x").data_text(deed).build().unwrap();
    format!("e{}", String::from_utf8(event.to_json()).unwrap())
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).unwrap()
}

fn case(seed: u64, scene: impl FnOnce(EventLimits) -> Scene) {
    let mut random = Random::new(seed);
    let capacity = 1 + random.below(12) as usize;
    let when_full = [WhenFull::Reject, WhenFull::DropOldest, WhenFull::DropNewest][random.below(3) as usize];
    let limits =
        EventLimits { deliveries: capacity, when_full, hops: HOPS, dead_letters: LETTERS, ..EventLimits::default() };
    let scene = scene(limits);
    scene.deploy("f");
    scene.deploy("g");
    let retry = Retry::fixed(Duration::from_secs(DELAY)).attempts(ATTEMPTS).max_age(Duration::from_secs(AGE));
    for (id, ty, function, ordered, emits) in TRIGGERS {
        let mut trigger = Trigger::on(ty).to(function).input(TriggerInput::Data).retry(retry.clone().without_jitter());
        if ordered {
            trigger = trigger.ordered();
        }
        if emits {
            trigger = trigger.emits(["a", "o", "r", "x"]);
        }
        scene.runtime.bind(id, trigger).unwrap();
    }
    let mut replies = HashMap::new();
    let mut nested = "ok".to_owned();
    for ty in ["a", "r", "r", "r"] {
        let outer = answer(ty, &nested);
        replies.insert(outer.clone(), (ty, nested));
        nested = outer;
    }
    for (ty, deed) in [("o", "trap"), ("x", "ok"), ("a", "trap")] {
        replies.insert(answer(ty, deed), (ty, deed.to_owned()));
    }
    let mut deeds: Vec<String> =
        ["ok", "ok", "trap", "fuel", "grow", "enonsense", "reject", "ok|a", "ok|o", "trap|a", "ok|r", "fuel|x"]
            .map(str::to_owned)
            .into();
    let mut answers: Vec<String> = replies.keys().cloned().collect();
    answers.sort();
    deeds.extend(answers);
    let mut model = Model {
        now: 0,
        date: None,
        next: 1,
        entries: Vec::new(),
        letters: Vec::new(),
        figures: DeliveryStats::default(),
        enabled: [true; TRIGGERS.len()],
        h_deployed: false,
        capacity,
        when_full,
        seen: Vec::new(),
        replies,
    };
    for step in 0..60 {
        let operation = random.below(20);
        match operation {
            0..=8 => {
                let message = Message {
                    ty: ["a", "o", "x", "r"][random.below(4) as usize],
                    deed: deeds[random.below(deeds.len() as u64) as usize].clone(),
                    key: (random.below(2) == 0).then(|| random.below(2)),
                    expires: (random.below(4) == 0).then(|| 1_000 + random.below(100)),
                    hops: 0,
                };
                let mut event = Event::builder(message.ty).id("1").source("/t").data_text(&*message.deed);
                if let Some(key) = message.key {
                    event = event.extension("partitionkey", key.to_string());
                }
                if let Some(end) = message.expires {
                    event = event.expires(at(end));
                }
                let event = event.build().unwrap();
                let triggers = model.matching(message.ty);
                let admitted =
                    if triggers.is_empty() { Some(Vec::new()) } else { model.admit(&message, &triggers, None) };
                if operation < 6 {
                    let published = scene.runtime.publish(event);
                    assert_eq!(published.ok(), admitted.map(|ids| ids.len()), "seed {seed}, step {step}");
                } else {
                    let dispatched = scene.runtime.dispatch(event);
                    assert_eq!(dispatched.is_ok(), admitted.is_some(), "seed {seed}, step {step}");
                    let begun: Vec<u64> =
                        admitted.unwrap_or_default().into_iter().filter(|id| model.begin(*id)).collect();
                    for id in &begun {
                        model.run(*id);
                    }
                    let not_begun = |outcome: &DeliveryOutcome| {
                        matches!(
                            outcome,
                            DeliveryOutcome::Queued
                                | DeliveryOutcome::Expired
                                | DeliveryOutcome::TooOld
                                | DeliveryOutcome::Dropped
                        )
                    };
                    let ran = dispatched.iter().flatten().filter(|one| !not_begun(&one.outcome)).count();
                    assert_eq!(ran, begun.len(), "seed {seed}, step {step}");
                }
            }
            9..=11 => {
                let budget = random.below(4) as usize;
                model.run_pending(budget);
                scene.runtime.deliveries().run_pending(budget);
            }
            12 | 13 => {
                let seconds = random.below(25);
                model.now += seconds;
                scene.advance(seconds);
            }
            14 => {
                // Back and forth.
                let date = 990 + random.below(120);
                model.date = Some(date as i64 - model.now as i64);
                model.wake();
                let at_hand = model.entries.iter().filter(|entry| entry.state == State::Ready).count();
                model.run_pending(at_hand);
                scene.runtime.tick(at(date));
            }
            15 => {
                let trigger = random.below(TRIGGERS.len() as u64) as usize;
                model.enabled[trigger] ^= true;
                let id = TRIGGERS[trigger].0;
                assert!(if model.enabled[trigger] {
                    scene.runtime.triggers().enable(id)
                } else {
                    scene.runtime.triggers().disable(id)
                });
            }
            16 | 17 => {
                model.h_deployed ^= true;
                if model.h_deployed {
                    scene.deploy("h");
                    for entry in &mut model.entries {
                        if entry.state == State::Parked {
                            entry.state = State::Ready;
                        }
                    }
                } else {
                    scene.runtime.undeploy("h");
                }
            }
            18 if !model.letters.is_empty() => {
                let letter = random.below(model.letters.len() as u64) as usize;
                let (entry, _) = model.letters[letter].clone();
                let Entry { deed, key, expires, hops, trigger, .. } = entry;
                let message = Message { ty: TRIGGERS[trigger].1, deed, key, expires, hops };
                // A letter whose delivery is dropped at once stays a letter.
                let admitted = model.admit(&message, &[trigger], None).filter(|ids| !ids.is_empty());
                if admitted.is_some() {
                    model.letters.remove(letter);
                    model.figures.redriven += 1;
                }
                assert_eq!(
                    scene.runtime.deliveries().redrive(entry.id).is_ok(),
                    admitted.is_some(),
                    "seed {seed}, step {step}"
                );
            }
            19 if random.below(3) == 0 => {
                let drained = scene.runtime.deliveries().drain_dead_letters();
                assert_eq!(drained.len(), model.letters.len());
                model.figures.drained += drained.len() as u64;
                model.letters.clear();
            }
            _ => {}
        }
        let place = format!("seed {seed}, step {step}, operation {operation}: {:?}", model.entries);
        let mut figures = scene.stats();
        // The model does not have what is not on disk yet.
        figures.unsaved = 0;
        assert_eq!(figures, model.figures(), "{place}");
        assert_eq!(scene.seen(), std::mem::take(&mut model.seen), "{place}");
        let letters = scene.runtime.deliveries().dead_letters();
        let letters: Vec<_> = letters.iter().map(|letter| (letter.id(), letter.reason(), letter.attempts())).collect();
        let expected: Vec<_> =
            model.letters.iter().map(|(entry, reason)| (entry.id, *reason, entry.attempts)).collect();
        assert_eq!(letters, expected, "{place}");
    }
}

#[test]
fn random_operations_agree_with_the_model_and_the_figures_balance_after_each() {
    let first = count("DORMOUSE_FIRST_SEED", 0);
    for seed in first..first + count("DORMOUSE_DELIVERY_CASES", 150) {
        case(seed, Scene::new);
    }
}

#[cfg(feature = "durable")]
#[test]
fn random_operations_agree_with_the_model_on_disk_too() {
    let folder = crate::support::Folder::new();
    let first = count("DORMOUSE_FIRST_SEED", 0);
    for seed in first..first + count("DORMOUSE_DELIVERY_CASES", 10) {
        case(seed, |limits| Scene::open(limits, &folder.file(&seed.to_string())));
    }
}
