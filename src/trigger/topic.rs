//! MQTT topic filters, many at once, in a tree of levels. A search compares a topic only with the
//! filters that share its beginning.
//!
//! The rules are those of MQTT 5, section 4.7, the same as in 3.1.1. Levels are bounded, as both
//! walks recurse.
//!
//! Invariant: no node is empty, except the root.

use std::{collections::HashMap, fmt};

use super::{TriggerError, error::cut};

const BYTES_MAX: usize = 65_535;
const LEVELS_MAX: usize = 128;

/// A filter that follows the rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Filter(Box<str>);

impl Filter {
    pub(super) fn parse(text: &str) -> Result<Self, TriggerError> {
        let wrong = |problem: String| Err(TriggerError::Topic { filter: cut(text), problem: problem.into() });
        if text.is_empty() {
            return wrong("is empty; to match every topic use #".to_owned());
        }
        if text.len() > BYTES_MAX {
            return wrong(format!("has {} bytes, above the limit of {BYTES_MAX}", text.len()));
        }
        if text.contains('\0') {
            return wrong("contains U+0000, which no topic may contain".to_owned());
        }
        let levels = text.split('/').count();
        if levels > LEVELS_MAX {
            return wrong(format!("has {levels} levels, above the limit of {LEVELS_MAX}"));
        }
        for (at, level) in text.split('/').enumerate() {
            match level {
                "#" if at + 1 < levels => {
                    return wrong(format!("has # at level {}; only the last level may be #", at + 1));
                }
                "+" | "#" => {}
                level if level.contains(['+', '#']) => {
                    return wrong(format!("has {level:?} at level {}; a wildcard must fill its level alone", at + 1));
                }
                _ => {}
            }
        }
        Ok(Self(text.into()))
    }

    /// Checks whether it matches a topic, and if not, says why.
    pub(super) fn check(&self, topic: &str) -> Result<(), String> {
        if !is_topic(topic) {
            return Err(format!("{topic:?} is not a topic: it is empty, too long, or has wildcards"));
        }
        if topic.starts_with('$') && self.0.starts_with(['+', '#']) {
            return Err("a filter that begins with a wildcard does not match topics that begin with $".to_owned());
        }
        let mut found = topic.split('/');
        for (at, wanted) in self.0.split('/').enumerate() {
            if wanted == "#" {
                return Ok(());
            }
            match found.next() {
                None => return Err(format!("level {} should be {wanted:?}, but the topic ends before it", at + 1)),
                Some(level) if wanted != "+" && wanted != level => {
                    return Err(format!("level {} should be {wanted:?}, but is {level:?}", at + 1));
                }
                Some(_) => {}
            }
        }
        match found.next() {
            None => Ok(()),
            Some(level) => Err(format!("the topic goes on with {level:?} where the filter ends")),
        }
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a text can be the name of a topic.
fn is_topic(text: &str) -> bool {
    !text.is_empty() && text.len() <= BYTES_MAX && !text.contains(['+', '#', '\0'])
}

/// Many filters, each with its number.
#[derive(Debug, Default)]
pub(super) struct Topics {
    root: Node,
}

#[derive(Debug, Default)]
struct Node {
    levels: HashMap<Box<str>, Node>,
    any: Option<Box<Node>>,
    /// The filters that end here.
    here: Vec<u64>,
    /// The filters that go on with `#`.
    below: Vec<u64>,
}

impl Topics {
    pub(super) fn add(&mut self, filter: &Filter, number: u64) {
        let mut node = &mut self.root;
        for level in filter.0.split('/') {
            match level {
                "#" => return node.below.push(number),
                "+" => node = node.any.get_or_insert_default(),
                level => {
                    if !node.levels.contains_key(level) {
                        node.levels.insert(level.into(), Node::default());
                    }
                    node = node.levels.get_mut(level).expect("just inserted");
                }
            }
        }
        node.here.push(number);
    }

    pub(super) fn remove(&mut self, filter: &Filter, number: u64) {
        self.root.remove(&filter.0, number);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.root.is_empty()
    }

    /// Calls `found` with the number of each filter that matches, in no order.
    pub(super) fn find(&self, topic: &str, found: &mut impl FnMut(u64)) {
        if !is_topic(topic) {
            return;
        }
        if !topic.starts_with('$') {
            return self.root.find(Some(topic), found);
        }
        let (first, rest) = split(topic);
        if let Some(node) = self.root.levels.get(first) {
            node.find(rest, found);
        }
    }
}

/// The first level, and what follows it.
fn split(topic: &str) -> (&str, Option<&str>) {
    match topic.split_once('/') {
        Some((first, rest)) => (first, Some(rest)),
        None => (topic, None),
    }
}

impl Node {
    /// Walks the levels left of a topic. `None` if the topic has ended. The walk is no deeper than
    /// the filters.
    fn find(&self, topic: Option<&str>, found: &mut impl FnMut(u64)) {
        self.below.iter().for_each(|number| found(*number));
        let Some(topic) = topic else {
            return self.here.iter().for_each(|number| found(*number));
        };
        let (first, rest) = split(topic);
        if let Some(node) = self.levels.get(first) {
            node.find(rest, found);
        }
        if let Some(node) = &self.any {
            node.find(rest, found);
        }
    }

    /// Removes a number, and the nodes that become empty.
    fn remove(&mut self, filter: &str, number: u64) {
        let (first, rest) = split(filter);
        if first == "#" {
            return self.below.retain(|other| *other != number);
        }
        let next = match first {
            "+" => self.any.as_deref_mut(),
            first => self.levels.get_mut(first),
        };
        let Some(next) = next else { return };
        match rest {
            Some(rest) => next.remove(rest, number),
            None => next.here.retain(|other| *other != number),
        }
        if next.is_empty() {
            match first {
                "+" => self.any = None,
                first => drop(self.levels.remove(first)),
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.levels.is_empty() && self.any.is_none() && self.here.is_empty() && self.below.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_agrees_with_each_filter_and_is_empty_again_when_all_are_gone() {
        // Every filter and topic of up to three levels over a small alphabet.
        let words = |alphabet: &[&str]| -> Vec<String> {
            let mut words: Vec<String> = alphabet.iter().map(|level| (*level).to_owned()).collect();
            for _ in 0..2 {
                let longer: Vec<String> =
                    words.iter().flat_map(|word| alphabet.iter().map(move |level| format!("{word}/{level}"))).collect();
                words.extend(longer);
            }
            words.sort();
            words.dedup();
            words
        };
        let filters: Vec<Filter> =
            words(&["a", "$b", "", "+", "#"]).iter().filter_map(|text| Filter::parse(text).ok()).collect();
        assert!(filters.len() > 80);
        let mut topics = Topics::default();
        for (number, filter) in filters.iter().enumerate() {
            topics.add(filter, number as u64);
        }
        for topic in words(&["a", "$b", "", "c"]) {
            let mut found = Vec::new();
            topics.find(&topic, &mut |number| found.push(number as usize));
            found.sort_unstable();
            let expected: Vec<usize> = (0..filters.len()).filter(|at| filters[*at].check(&topic).is_ok()).collect();
            assert_eq!(found, expected, "{topic:?}");
        }
        for (number, filter) in filters.iter().enumerate() {
            topics.remove(filter, number as u64);
        }
        assert!(topics.is_empty(), "{topics:?}");
    }
}
