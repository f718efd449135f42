//! Matches one event. A reader follows the named fields and steps over all others. Then a walk goes
//! from the satisfied conditions to the patterns that match.

use super::{
    MatchError, Matcher,
    condition::{How, any_holds},
    elements::Element,
    engine::Engine,
    test::Scalar,
    trie::NONE,
};
use crate::{
    event::{Attribute, DataKind, Event},
    json::{JsonProblem, Kind, LEVELS_MAX, Scanner, decode},
};

impl Engine {
    /// Finds the patterns that a JSON object matches, and puts them into `matcher.found`.
    pub(super) fn run(&self, json: &[u8], matcher: &mut Matcher) -> Result<(), MatchError> {
        let mut run = EventReader::new(self, matcher);
        let mut scanner = Scanner::new(json);
        if scanner.kind()? != Kind::Object {
            return Err(scanner.error(JsonProblem::Object).into());
        }
        run.object(&mut scanner, 0, 0, 0)?;
        scanner.end()?;
        run.finish()
    }

    /// Finds the patterns that an event matches, without writing its JSON form.
    pub(super) fn run_event(&self, event: &Event, matcher: &mut Matcher) -> Result<(), MatchError> {
        let mut run = EventReader::new(self, matcher);
        for (name, value) in event.attributes() {
            let Some(node) = self.trie.find(&self.trie.nodes[0], name.as_bytes()) else { continue };
            match value {
                Attribute::String(text) => run.value(node, Scalar::Text(text.as_bytes()), 0),
                Attribute::Boolean(true) => run.value(node, Scalar::True, 0),
                Attribute::Boolean(false) => run.value(node, Scalar::False, 0),
                Attribute::Integer(number) => run.integer(node, number),
            }
        }
        if let Some(node) = self.trie.find(&self.trie.nodes[0], b"data") {
            match (event.data(), event.data_kind()) {
                (Some(json), Some(DataKind::Json)) => run.any(&mut Scanner::new(json), node, 0, 1)?,
                (Some(text), Some(DataKind::Text)) => run.value(node, Scalar::Text(text), 0),
                _ => {}
            }
        }
        run.finish()
    }
}

struct EventReader<'r> {
    engine: &'r Engine,
    matcher: &'r mut Matcher,
    /// Values of this event.
    values: u32,
}

impl<'r> EventReader<'r> {
    fn new(engine: &'r Engine, matcher: &'r mut Matcher) -> Self {
        matcher.begin(engine.conditions.len(), engine.places.len(), engine.slots as usize, engine.wildcards as usize);
        Self { engine, matcher, values: 0 }
    }

    /// Reads an object, from its brace.
    fn object(&mut self, scanner: &mut Scanner<'_>, node: u32, element: u32, level: u32) -> Result<(), MatchError> {
        let trie = &self.engine.trie;
        let of = &trie.nodes[node as usize];
        let mut first = true;
        loop {
            let text = &mut self.matcher.text;
            match scanner.wanted(first, level + 1, |key| trie.find(of, decode(key, text)))? {
                Some(child) => self.any(scanner, child, element, level + 1)?,
                None => return Ok(()),
            }
            first = false;
        }
    }

    /// Reads the value of a field that is named, or has named fields below it.
    fn any(&mut self, scanner: &mut Scanner<'_>, node: u32, element: u32, level: u32) -> Result<(), MatchError> {
        let of = &self.engine.trie.nodes[node as usize];
        match scanner.kind()? {
            Kind::String => {
                let raw = scanner.string()?;
                if !raw.escaped {
                    self.value(node, Scalar::Text(raw.bytes), element);
                } else {
                    let mut room = std::mem::take(&mut self.matcher.text);
                    self.value(node, Scalar::Text(decode(raw, &mut room)), element);
                    self.matcher.text = room;
                }
            }
            Kind::Number => {
                let text = scanner.number()?;
                self.value(node, Scalar::Number(text), element);
            }
            Kind::Object if !of.has_children() => scanner.pass(level)?,
            Kind::Object | Kind::Array if level == LEVELS_MAX => return Err(scanner.error(JsonProblem::Depth).into()),
            Kind::Object => self.object(scanner, node, element, level)?,
            Kind::Array => {
                let array = self.matcher.arrays;
                self.matcher.arrays += 1;
                scanner.open();
                let mut first = true;
                while scanner.element(first)? {
                    first = false;
                    let inner = if of.tracked { self.element(element, array) } else { element };
                    self.any(scanner, node, inner, level + 1)?;
                }
            }
            literal => {
                scanner.literal(literal)?;
                let scalar = match literal {
                    Kind::True => Scalar::True,
                    Kind::False => Scalar::False,
                    _ => Scalar::Null,
                };
                self.value(node, scalar, element);
            }
        }
        Ok(())
    }

    fn element(&mut self, parent: u32, array: u32) -> u32 {
        self.matcher.elements.push(Element { parent, array });
        self.matcher.elements.len() as u32 - 1
    }

    fn integer(&mut self, node: u32, number: i32) {
        let mut room = [0; 11];
        let mut rest = &mut room[..];
        // Eleven bytes hold every `i32`.
        let written = std::io::Write::write_fmt(&mut rest, format_args!("{number}"));
        debug_assert!(written.is_ok(), "{number}");
        let left = rest.len();
        self.value(node, Scalar::Number(&room[..room.len() - left]), 0);
    }

    /// Takes a value without parts.
    #[inline]
    fn value(&mut self, node: u32, scalar: Scalar<'_>, element: u32) {
        let Engine { trie, places, conditions, effects, .. } = self.engine;
        let Some(number) = trie.nodes[node as usize].place else { return };
        let place = &places[number as usize];
        let value = self.values;
        self.values += 1;
        let Matcher { epoch, values, conditions: states, places: counts, reported, log, value_room, .. } =
            &mut *self.matcher;
        *values += 1;
        if place.counts {
            let log = place.tracked.then_some(&mut *log);
            counts[number as usize].meet(*epoch, value, element, log);
        }
        let mut meet = |condition: u32, excludes: bool| {
            let of = &conditions[condition as usize];
            let log = of.tracked.then_some(&mut *log);
            let first = states[condition as usize].meet(*epoch, value, element, log);
            if first && !excludes && !of.is_lazy() {
                reported.push(condition);
            }
        };
        place.values.find(scalar, *values, value_room, |list| {
            effects.of(list).for_each(|effect| meet(effect.condition, effect.excludes));
        });
        for &condition in &place.tested {
            if let How::Tested(tests) = &conditions[condition as usize].how {
                if any_holds(tests, scalar) {
                    meet(condition, false);
                }
            }
        }
    }

    /// Walks from the conditions to the patterns.
    fn finish(self) -> Result<(), MatchError> {
        let Self { engine, matcher, .. } = self;
        let mut stack = std::mem::take(&mut matcher.stack);
        stack.clear();
        stack.push(0);
        let first = matcher.reported.iter().map(|&condition| engine.conditions[condition as usize].rules);
        stack.extend(first.filter(|&node| node != NONE));
        let mut done = Ok(());
        while let Some(at) = stack.pop().filter(|_| done.is_ok()) {
            done = matcher.end_rules(engine, at);
            let node = &engine.rules.nodes[at as usize];
            if node.reported.len() <= matcher.reported.len() {
                let reported = node.reported.iter().filter(|(condition, _)| matcher.condition(*condition).count > 0);
                stack.extend(reported.map(|(_, to)| *to));
            } else {
                let edges = matcher.reported.iter().map(|&condition| engine.rules.edge(at, condition));
                stack.extend(edges.filter(|&to| to != NONE));
            }
            let lazy = node.lazy.iter().filter(|(condition, _)| matcher.may_hold(engine, *condition));
            stack.extend(lazy.map(|(_, to)| *to));
        }
        matcher.stack = stack;
        matcher.found.sort_unstable();
        done
    }
}

impl Matcher {
    /// Finds the patterns of the rules that end at a node.
    fn end_rules(&mut self, engine: &Engine, at: u32) -> Result<(), MatchError> {
        for &rule in &engine.rules.nodes[at as usize].ends {
            let rule = &engine.rules.rules[rule as usize];
            let slot = rule.slot as usize;
            if self.slots[slot] != self.epoch && self.is_consistent(engine, &rule.conditions)? {
                self.slots[slot] = self.epoch;
                self.found.push(rule.slot);
            }
        }
        Ok(())
    }

    /// Whether a condition holds by itself.
    pub(super) fn holds(&self, engine: &Engine, condition: u32) -> bool {
        let of = &engine.conditions[condition as usize];
        let (met, values) = (self.condition(condition).count, self.place(of.place).count);
        let present = match of.how {
            How::Found | How::Tested(_) => met > 0,
            How::Any => values > 0,
            How::But => values > met,
        };
        present || of.absent && values == 0
    }

    /// Whether a condition may hold beside others. A field that is in some elements of an array is
    /// absent if other elements are chosen.
    pub(super) fn may_hold(&self, engine: &Engine, condition: u32) -> bool {
        self.holds(engine, condition) || engine.conditions[condition as usize].absent && self.elements.len() > 1
    }
}
