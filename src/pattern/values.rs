//! What all patterns ask of one field, arranged by value. Given a value, it finds the conditions
//! that the value touches without looking at the others.
//!
//! Invariant: the tests that it finds for a value are those for which `Test::holds` is true.

use std::{collections::HashMap, net::IpAddr};

use rustc_hash::FxBuildHasher;

use super::{
    fold::fold_into,
    ranges::Ranges,
    test::{Cidr, Numeric, Scalar, Test, double},
    wildcard::Wildcard,
};

/// A hash table whose keys come from patterns. Values of events are only looked up, so they cannot
/// make it slow.
pub(super) type Map<K, V> = HashMap<K, V, FxBuildHasher>;

/// What a value does to a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Effect {
    pub(super) condition: u32,
    /// The condition's `anything-but` excludes the value. Otherwise the value satisfies the
    /// condition.
    pub(super) excludes: bool,
}

/// Lists of effects, each by its number, in one allocation.
#[derive(Debug, Default)]
pub(super) struct Effects {
    links: Vec<(Effect, u32)>,
}

const END: u32 = u32::MAX;

impl Effects {
    /// A new list.
    fn list(&mut self, effect: Effect) -> u32 {
        self.links.push((effect, END));
        self.links.len() as u32 - 1
    }

    /// Adds an effect to a list, whose number stays.
    fn append(&mut self, list: u32, effect: Effect) {
        let next = self.list(effect);
        self.links[next as usize].1 = self.links[list as usize].1;
        self.links[list as usize].1 = next;
    }

    #[inline]
    pub(super) fn of(&self, list: u32) -> impl Iterator<Item = Effect> {
        let mut next = list;
        std::iter::from_fn(move || {
            let (effect, after) = *self.links.get(next as usize)?;
            next = after;
            Some(effect)
        })
    }
}

/// The list of each text.
#[derive(Debug, Default)]
struct Texts(Map<Box<[u8]>, u32>);

impl Texts {
    fn add(&mut self, text: &[u8], effect: Effect, effects: &mut Effects) {
        match self.0.get(text) {
            Some(&list) => effects.append(list, effect),
            None => drop(self.0.insert(text.into(), effects.list(effect))),
        }
    }

    #[inline]
    fn find(&self, text: &[u8], found: &mut impl FnMut(u32)) {
        if let Some(&list) = self.0.get(text) {
            found(list);
        }
    }
}

/// The list of each beginning or end of texts. A search takes a look-up for each length that
/// occurs.
#[derive(Debug, Default)]
struct Affixes {
    at_end: bool,
    texts: Texts,
    /// The lengths that occur, ascending.
    lens: Vec<usize>,
}

impl Affixes {
    fn add(&mut self, text: &[u8], effect: Effect, effects: &mut Effects) {
        self.texts.add(text, effect, effects);
        if let Err(at) = self.lens.binary_search(&text.len()) {
            self.lens.insert(at, text.len());
        }
    }

    #[inline]
    fn find(&self, text: &[u8], found: &mut impl FnMut(u32)) {
        for &len in &self.lens {
            if len > text.len() {
                return;
            }
            self.texts.find(if self.at_end { &text[text.len() - len..] } else { &text[..len] }, found);
        }
    }
}

/// Wildcards. A search finds candidates by their beginning, their end, or a few bytes of their
/// middle, and then compares them.
#[derive(Debug, Default)]
struct Wildcards {
    all: Vec<Wild>,
    known: Map<Box<str>, usize>,
    /// In the lists of these three, `Effect::condition` is an index of [`Wildcards::all`].
    first: Affixes,
    last: Affixes,
    middle: Texts,
    /// First bytes of [`Wildcards::middle`]'s texts.
    bytes: [u64; 4],
    /// Lengths of [`Wildcards::middle`]'s texts, 0 to [`GRAM`].
    lens: [bool; GRAM + 1],
    lists: Effects,
}

#[derive(Debug)]
struct Wild {
    wildcard: Wildcard,
    list: u32,
    /// Its number among all wildcards of the index.
    number: u32,
}

/// How many bytes of a wildcard's middle a search uses.
const GRAM: usize = 3;

impl Wildcards {
    fn add(&mut self, wildcard: &Wildcard, effect: Effect, effects: &mut Effects, number: &mut u32) {
        let text = wildcard.to_string().into_boxed_str();
        if let Some(&at) = self.known.get(&text) {
            return effects.append(self.all[at].list, effect);
        }
        let own = Effect { condition: self.all.len() as u32, excludes: false };
        self.known.insert(text, self.all.len());
        if !wildcard.first().is_empty() {
            self.first.add(wildcard.first().as_bytes(), own, &mut self.lists);
        } else if !wildcard.last().is_empty() {
            self.last.add(wildcard.last().as_bytes(), own, &mut self.lists);
        } else {
            let longest = wildcard.longest().as_bytes();
            let gram = &longest[..longest.len().min(GRAM)];
            self.middle.add(gram, own, &mut self.lists);
            self.lens[gram.len()] = true;
            if let Some(&byte) = gram.first() {
                self.bytes[usize::from(byte >> 6)] |= 1 << (byte & 63);
            }
        }
        self.all.push(Wild { wildcard: wildcard.clone(), list: effects.list(effect), number: *number });
        *number += 1;
    }

    /// Finds the lists of wildcards that match. `seen` holds, for each wildcard of the index, the
    /// last value that it was compared with.
    fn find(&self, text: &[u8], seen: &mut [u64], value: u64, found: &mut impl FnMut(u32)) {
        let mut candidates = |list: u32| {
            for Effect { condition, .. } in self.lists.of(list) {
                let Wild { wildcard, list, number } = &self.all[condition as usize];
                if std::mem::replace(&mut seen[*number as usize], value) != value && wildcard.holds(text) {
                    found(*list);
                }
            }
        };
        self.first.find(text, &mut candidates);
        self.last.find(text, &mut candidates);
        if self.lens[0] {
            self.middle.find(b"", &mut candidates);
        }
        for (at, &byte) in text.iter().enumerate() {
            if self.bytes[usize::from(byte >> 6)] >> (byte & 63) & 1 == 0 {
                continue;
            }
            for len in (1..=GRAM).filter(|&len| self.lens[len]) {
                if let Some(gram) = text.get(at..at + len) {
                    self.middle.find(gram, &mut candidates);
                }
            }
        }
    }
}

/// The list of each block of addresses. A search takes a look-up for each length that occurs.
#[derive(Debug, Default)]
struct Blocks {
    lists: Map<Cidr, u32>,
    /// The lengths that occur, and whether the block is of IPv6.
    lens: Vec<(u8, bool)>,
}

impl Blocks {
    fn add(&mut self, cidr: Cidr, effect: Effect, effects: &mut Effects) {
        match self.lists.get(&cidr) {
            Some(&list) => effects.append(list, effect),
            None => {
                self.lists.insert(cidr, effects.list(effect));
                if !self.lens.contains(&(cidr.len, cidr.v6)) {
                    self.lens.push((cidr.len, cidr.v6));
                }
            }
        }
    }

    fn find(&self, text: &[u8], found: &mut impl FnMut(u32)) {
        // No longer text is an address.
        let text = std::str::from_utf8(text).ok().filter(|text| text.len() <= 45);
        let Some(address) = text.and_then(|text| text.parse::<IpAddr>().ok()) else { return };
        for &(len, _) in self.lens.iter().filter(|(_, v6)| *v6 == address.is_ipv6()) {
            if let Some(&list) = self.lists.get(&Cidr::new(address, len)) {
                found(list);
            }
        }
    }
}

/// The tests on one field, by kind.
#[derive(Debug, Default)]
pub(super) struct Values {
    texts: Texts,
    /// Texts without case, and beginnings and ends without case.
    folded: Texts,
    folded_prefixes: Affixes,
    folded_suffixes: Affixes,
    prefixes: Affixes,
    suffixes: Affixes,
    wildcards: Wildcards,
    blocks: Blocks,
    /// By the bits of the double.
    numbers: Map<u64, u32>,
    /// Numbers beyond all doubles, by their text.
    beyond: Texts,
    ranges: Ranges,
    /// `true`, `false` and `null`.
    literals: [Option<u32>; 3],
    /// Whether a text needs a look at more than `texts`.
    more_texts: bool,
    ignores_case: bool,
}

/// The buffers of a look-up.
#[derive(Debug, Default)]
pub(super) struct ValueRoom {
    folded: Vec<u8>,
    /// For each wildcard of the index, the last value that it was compared with.
    pub(super) wildcards: Vec<u64>,
}

impl Values {
    /// Adds a test other than `exists` and `anything-but`. `wildcards` counts the wildcards of the
    /// index.
    pub(super) fn add(&mut self, test: &Test, effect: Effect, effects: &mut Effects, wildcards: &mut u32) {
        let mut folded = Vec::new();
        self.more_texts |= matches!(test, Test::Affix(_) | Test::SameLetters(_) | Test::Wildcard(_) | Test::Cidr(_));
        self.ignores_case |=
            matches!(test, Test::SameLetters(_)) || matches!(test, Test::Affix(affix) if affix.ignore_case);
        let number =
            |numbers: &mut Map<u64, u32>, value: f64, effects: &mut Effects| match numbers.get(&value.to_bits()) {
                Some(&list) => effects.append(list, effect),
                None => drop(numbers.insert(value.to_bits(), effects.list(effect))),
            };
        let mut literal = |at: usize, effects: &mut Effects| match self.literals[at] {
            Some(list) => effects.append(list, effect),
            None => self.literals[at] = Some(effects.list(effect)),
        };
        match test {
            Test::True => literal(0, effects),
            Test::False => literal(1, effects),
            Test::Null => literal(2, effects),
            Test::Text(text) => self.texts.add(text.as_bytes(), effect, effects),
            Test::Number(wanted) if wanted.value.is_infinite() => {
                self.beyond.add(wanted.text.as_bytes(), effect, effects)
            }
            Test::Number(wanted) | Test::Numeric(Numeric::Equal(wanted)) => {
                number(&mut self.numbers, wanted.value, effects);
            }
            Test::Numeric(Numeric::Between(low, high)) => {
                let list = self.ranges.list(low.as_ref(), high.as_ref(), || effects.list(effect));
                if let Some(list) = list {
                    effects.append(list, effect);
                }
            }
            Test::SameLetters(text) => {
                fold_into(text.as_bytes(), &mut folded);
                self.folded.add(&folded, effect, effects);
            }
            Test::Affix(affix) => {
                let text = if affix.ignore_case {
                    fold_into(affix.text.as_bytes(), &mut folded);
                    &folded[..]
                } else {
                    affix.text.as_bytes()
                };
                let affixes = match (affix.at_end, affix.ignore_case) {
                    (false, false) => &mut self.prefixes,
                    (false, true) => &mut self.folded_prefixes,
                    (true, false) => &mut self.suffixes,
                    (true, true) => &mut self.folded_suffixes,
                };
                affixes.at_end = affix.at_end;
                affixes.add(text, effect, effects);
            }
            Test::Wildcard(wildcard) => {
                self.wildcards.last.at_end = true;
                self.wildcards.add(wildcard, effect, effects, wildcards);
            }
            Test::Cidr(cidr) => self.blocks.add(*cidr, effect, effects),
            Test::Exists(_) | Test::But(_) => debug_assert!(false, "these are no values to look up"),
        }
    }

    /// Gives the list of each test that holds for the value. `value` is a number that no value had
    /// before.
    #[inline]
    pub(super) fn find(&self, scalar: Scalar<'_>, value: u64, room: &mut ValueRoom, mut found: impl FnMut(u32)) {
        match scalar {
            Scalar::Text(text) => {
                self.texts.find(text, &mut found);
                if self.more_texts {
                    self.find_text(text, value, room, &mut found);
                }
            }
            Scalar::Number(text) => self.find_number(text, &mut found),
            Scalar::True => self.literals[0].into_iter().for_each(found),
            Scalar::False => self.literals[1].into_iter().for_each(found),
            Scalar::Null => self.literals[2].into_iter().for_each(found),
        }
    }

    fn find_text(&self, text: &[u8], value: u64, room: &mut ValueRoom, found: &mut impl FnMut(u32)) {
        self.prefixes.find(text, found);
        self.suffixes.find(text, found);
        if self.ignores_case {
            fold_into(text, &mut room.folded);
            self.folded.find(&room.folded, found);
            self.folded_prefixes.find(&room.folded, found);
            self.folded_suffixes.find(&room.folded, found);
        }
        if !self.wildcards.all.is_empty() {
            self.wildcards.find(text, &mut room.wildcards, value, found);
        }
        if !self.blocks.lens.is_empty() {
            self.blocks.find(text, found);
        }
    }

    fn find_number(&self, text: &[u8], found: &mut impl FnMut(u32)) {
        if self.numbers.is_empty() && self.ranges.is_empty() && self.beyond.0.is_empty() {
            return;
        }
        match double(text) {
            Some(value) => {
                if let Some(&list) = self.numbers.get(&value.to_bits()) {
                    found(list);
                }
                self.ranges.find(value, found);
            }
            None => self.beyond.find(text, found),
        }
    }
}
