//! The triggers of a runtime. It finds them by their ids and by the events that they match.
//!
//! Invariant: a trigger stands in exactly one of the tables of sources, under its number. Numbers
//! grow in the order of binding.

use std::{
    cell::RefCell,
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use parking_lot::RwLock;
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use super::{
    Source, Trigger, TriggerError, Verdict,
    error::cut,
    route::{Found, Routes},
    topic::Topics,
};
use crate::{
    event::Event,
    limits::is_name,
    pattern::{Explanation, MatchError, Matcher, PatternIndex},
};

/// A bound trigger, or one that was bound when its deliveries were made.
#[derive(Debug)]
pub(crate) struct Bound {
    pub(crate) id: Arc<str>,
    pub(crate) number: u64,
    pub(crate) trigger: Trigger,
    enabled: AtomicBool,
}

impl Bound {
    pub(crate) fn is_enabled(&self) -> bool {
        self.enabled.load(Ordering::Relaxed)
    }

    /// The function that the deliveries wait for: its name without version or alias.
    pub(crate) fn function(&self) -> &str {
        function_of(&self.trigger.target)
    }
}

#[cfg(feature = "durable")]
impl Bound {
    /// The function of a trigger that is not bound. No function has this name.
    pub(crate) const ABSENT: &str = "";

    /// The stand-in for a trigger of an earlier process, until the host binds one under its id.
    pub(crate) fn absent(id: &str) -> Self {
        Self { id: id.into(), number: u64::MAX, trigger: Trigger::on(""), enabled: AtomicBool::new(false) }
    }
}

fn function_of(target: &str) -> &str {
    target.split_once('@').map_or(target, |(name, _)| name)
}

/// The triggers that an event matches.
pub(crate) type Matched = SmallVec<[Arc<Bound>; 4]>;

#[derive(Default)]
pub(crate) struct Registry {
    tables: RwLock<Tables>,
}

#[derive(Default)]
struct Tables {
    by_id: HashMap<Arc<str>, Arc<Bound>>,
    by_number: FxHashMap<u64, Arc<Bound>>,
    /// Events are only looked up here, and the host alone adds keys. So no event can make keys
    /// collide.
    types: FxHashMap<Box<str>, Vec<Arc<Bound>>>,
    topics: HashMap<Box<str>, Topics>,
    patterns: PatternIndex<u64>,
    routes: Routes,
    next: u64,
}

thread_local! {
    static ROOM: RefCell<(Matcher, Vec<u64>)> = RefCell::default();
}

impl Registry {
    pub(crate) fn bind(&self, id: &str, trigger: Trigger, limit: usize) -> Result<Arc<Bound>, TriggerError> {
        let trigger = match &trigger.source {
            // The runtime may catch up on several of its instants at once.
            Source::Schedule(_) if !trigger.overlapping => trigger.ordered(),
            _ => trigger,
        };
        if !is_name(id) {
            return Err(TriggerError::InvalidId { id: cut(id) });
        }
        check(&trigger)?;
        let mut tables = self.tables.write();
        if let Some(holder) = tables.by_id.get(id) {
            return Err(TriggerError::Taken { id: id.into(), holder: cut(&holder.trigger.to_string()) });
        }
        if tables.by_id.len() >= limit {
            return Err(TriggerError::TooMany { limit });
        }
        let number = tables.next;
        let enabled = AtomicBool::new(trigger.enabled);
        let bound = Arc::new(Bound { id: id.into(), number, trigger, enabled });
        match &bound.trigger.source {
            Source::Type(ty) => tables.types.entry(ty.clone()).or_default().push(Arc::clone(&bound)),
            Source::Topic { attribute, filter } => {
                tables.topics.entry(attribute.clone()).or_default().add(filter, number);
            }
            // No number is used twice, so none is taken.
            Source::Pattern(pattern) => drop(tables.patterns.add(number, pattern)),
            // Ticks fire it. Events do not find it.
            Source::Schedule(_) => {}
            Source::Route(route) => tables.routes.add(route, number)?,
        }
        tables.next += 1;
        tables.by_id.insert(Arc::clone(&bound.id), Arc::clone(&bound));
        tables.by_number.insert(number, Arc::clone(&bound));
        Ok(bound)
    }

    pub(crate) fn unbind(&self, id: &str) -> Option<Arc<Bound>> {
        let mut tables = self.tables.write();
        let bound = tables.by_id.remove(id)?;
        tables.by_number.remove(&bound.number);
        match &bound.trigger.source {
            Source::Type(ty) => {
                if let Some(others) = tables.types.get_mut(ty) {
                    others.retain(|other| other.number != bound.number);
                    if others.is_empty() {
                        tables.types.remove(ty);
                    }
                }
            }
            Source::Topic { attribute, filter } => {
                if let Some(topics) = tables.topics.get_mut(attribute) {
                    topics.remove(filter, bound.number);
                    if topics.is_empty() {
                        tables.topics.remove(attribute);
                    }
                }
            }
            Source::Pattern(_) => drop(tables.patterns.remove(&bound.number)),
            Source::Schedule(_) => {}
            Source::Route(route) => tables.routes.remove(route),
        }
        Some(bound)
    }

    pub(crate) fn enable(&self, id: &str, enabled: bool) -> bool {
        let tables = self.tables.read();
        let Some(bound) = tables.by_id.get(id) else { return false };
        bound.enabled.store(enabled, Ordering::Relaxed);
        true
    }

    pub(crate) fn get(&self, id: &str) -> Option<Arc<Bound>> {
        self.tables.read().by_id.get(id).cloned()
    }

    /// The trigger, with its present state of being enabled.
    pub(crate) fn trigger(&self, id: &str) -> Option<Trigger> {
        let bound = self.get(id)?;
        Some(Trigger { enabled: bound.is_enabled(), ..bound.trigger.clone() })
    }

    /// The ids of all triggers, in the order of binding.
    pub(crate) fn ids(&self) -> Vec<String> {
        let tables = self.tables.read();
        let mut all: Vec<&Arc<Bound>> = tables.by_number.values().collect();
        all.sort_unstable_by_key(|bound| bound.number);
        all.into_iter().map(|bound| bound.id.to_string()).collect()
    }

    /// The enabled triggers that an event matches, in the order of binding. The cost follows the
    /// event and the matches, not the number of triggers.
    pub(crate) fn find(&self, event: &Event) -> Result<Matched, MatchError> {
        let tables = self.tables.read();
        let mut found: SmallVec<[&Arc<Bound>; 16]> = SmallVec::new();
        if let Some(of_type) = tables.types.get(event.ty()) {
            found.extend(of_type);
        }
        for (attribute, topics) in &tables.topics {
            if let Some(topic) = event.attribute(attribute).as_ref().and_then(|value| value.as_str()) {
                topics.find(topic, &mut |number| found.extend(tables.by_number.get(&number)));
            }
        }
        if !tables.patterns.is_empty() {
            ROOM.with_borrow_mut(|(matcher, numbers)| {
                tables.patterns.matches_event_into(event, matcher, numbers)?;
                found.extend(numbers.iter().filter_map(|number| tables.by_number.get(number)));
                Ok::<(), MatchError>(())
            })?;
        }
        found.sort_unstable_by_key(|bound| bound.number);
        Ok(found.into_iter().filter(|bound| bound.is_enabled()).cloned().collect())
    }

    /// The trigger whose route a request takes.
    pub(crate) fn route(&self, method: &str, path: &str) -> Found<Arc<Bound>> {
        let tables = self.tables.read();
        let usable = |number| tables.by_number.get(&number).filter(|bound| bound.is_enabled()).cloned();
        tables.routes.find(method, path, usable)
    }

    /// Whether a trigger matches an event, and if not, which field fails. `None` if there is no
    /// such trigger.
    pub(crate) fn explain(&self, event: &Event, id: &str) -> Option<Verdict> {
        let bound = self.get(id)?;
        let fails = |field: &str, reason: String| Some(Verdict::Fails { field: field.to_owned(), reason });
        if !bound.is_enabled() {
            return fails("enabled", "the trigger is disabled".to_owned());
        }
        match &bound.trigger.source {
            Source::Type(ty) if **ty == *event.ty() => Some(Verdict::Matches),
            Source::Type(ty) => fails("type", format!("the trigger asks for {ty:?}, the event has {:?}", event.ty())),
            Source::Topic { attribute, filter } => match event.attribute(attribute) {
                None => fails(attribute, "the event has no such attribute".to_owned()),
                Some(value) => match value.as_str() {
                    None => fails(attribute, format!("{value} is not a string, so it is not a topic")),
                    Some(topic) => match filter.check(topic) {
                        Ok(()) => Some(Verdict::Matches),
                        Err(reason) => fails(attribute, reason),
                    },
                },
            },
            Source::Pattern(pattern) => match pattern.explain_event(event) {
                Ok(Explanation::Matches) => Some(Verdict::Matches),
                Ok(fails @ Explanation::Fails { .. }) => Some(Verdict::of(&fails)),
                Err(error) => fails("data", error.to_string()),
            },
            Source::Schedule(_) => fails("type", "only its schedule fires the trigger".to_owned()),
            Source::Route(_) => fails("type", "only requests reach the trigger".to_owned()),
        }
    }
}

/// Checks what depends on the whole trigger.
fn check(trigger: &Trigger) -> Result<(), TriggerError> {
    let (name, version) = trigger.target.split_once('@').unwrap_or((&trigger.target, "any"));
    if !is_name(name) || !is_name(version) {
        return Err(TriggerError::Target { target: cut(&trigger.target) });
    }
    if let Source::Type(ty) = &trigger.source {
        if ty.is_empty() {
            return Err(TriggerError::Type { ty: ty.clone(), problem: "is empty; no event has an empty type" });
        }
    }
    let emitted = trigger.delivery.emits.iter().flat_map(|types| types.iter());
    match emitted.into_iter().find(|ty| ty.is_empty() || ty.starts_with(RESERVED)) {
        Some(ty) if ty.is_empty() => {
            Err(TriggerError::Type { ty: ty.clone(), problem: "is empty; no event has an empty type" })
        }
        Some(ty) => Err(TriggerError::Type {
            ty: cut(ty),
            problem: "cannot be emitted; only the runtime publishes types that begin with dormouse.",
        }),
        None => Ok(()),
    }
}

/// The beginning of the types that only the runtime itself publishes.
pub(crate) const RESERVED: &str = "dormouse.";
