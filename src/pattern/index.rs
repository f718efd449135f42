//! Many patterns at once, each under a key.
//!
//! Adding a pattern changes the engine in place. Removing a pattern only marks it. When the marked
//! patterns outnumber the others, the engine is built again from those, so that each removal pays
//! its share.

use std::{cell::RefCell, collections::HashMap, fmt, hash::Hash};

use parking_lot::RwLock;

use super::{MatchError, Matcher, Pattern, TakenKey, engine::Engine};
use crate::event::Event;

/// Patterns by key, all matched in one reading of an event. The cost follows the size of the event
/// and the fields that any pattern names, not the number of patterns.
///
/// Any thread may add, remove and match at any time. A match sees the patterns of one moment. Every
/// match that begins after a change sees it. A match returns keys in the order in which they were
/// added.
///
/// The index clones keys while it is locked, so their `Clone` must not call the index. With keys
/// that clone without allocation (numbers, `Arc<str>`), matching does not allocate either.
///
/// ```
/// use dormouse::{Pattern, PatternIndex};
///
/// let index = PatternIndex::new();
/// index.add("all orders", &Pattern::parse(r#"{"type":[{"prefix":"order."}]}"#)?)?;
/// index.add("large ones", &Pattern::parse(r#"{"data":{"total":[{"numeric":[">",100]}]}}"#)?)?;
///
/// let event = br#"{"type":"order.created","data":{"total":120}}"#;
/// assert_eq!(index.matches(event)?, ["all orders", "large ones"]);
/// assert!(index.remove(&"all orders"));
/// assert_eq!(index.matches(event)?, ["large ones"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct PatternIndex<K> {
    inner: RwLock<Inner<K>>,
}

struct Inner<K> {
    engine: Engine,
    /// By the engine's numbers. `None` if the pattern was removed.
    slots: Vec<Option<(K, Pattern)>>,
    by_key: HashMap<K, u32>,
}

thread_local! {
    /// The buffers of matches whose caller brings none.
    static MATCHER: RefCell<Matcher> = RefCell::default();
}

/// Calls with this thread's buffers. If those are in use, as while a key is cloned, it calls with
/// new ones.
pub(super) fn with_matcher<T>(run: impl FnOnce(&mut Matcher) -> T) -> T {
    MATCHER.with(|matcher| match matcher.try_borrow_mut() {
        Ok(mut matcher) => run(&mut matcher),
        Err(_) => run(&mut Matcher::new()),
    })
}

impl<K: Clone + Eq + Hash> PatternIndex<K> {
    /// An empty index.
    pub fn new() -> Self {
        Self { inner: RwLock::new(Inner { engine: Engine::new(), slots: Vec::new(), by_key: HashMap::new() }) }
    }

    /// Adds a pattern under a new key.
    ///
    /// # Errors
    /// The key has a pattern already. Nothing has changed then.
    pub fn add(&self, key: K, pattern: &Pattern) -> Result<(), TakenKey> {
        let mut inner = self.inner.write();
        if inner.by_key.contains_key(&key) {
            return Err(TakenKey);
        }
        inner.push(key, pattern.clone());
        Ok(())
    }

    /// Removes a pattern. `false` if the key has none.
    pub fn remove(&self, key: &K) -> bool {
        let mut inner = self.inner.write();
        let Some(slot) = inner.by_key.remove(key) else { return false };
        inner.slots[slot as usize] = None;
        if inner.slots.len() > 64 + 2 * inner.by_key.len() {
            inner.rebuild();
        }
        true
    }

    /// The pattern under a key.
    pub fn get(&self, key: &K) -> Option<Pattern> {
        let inner = self.inner.read();
        let slot = *inner.by_key.get(key)?;
        inner.slots[slot as usize].as_ref().map(|(_, pattern)| pattern.clone())
    }

    /// The keys of all patterns that a JSON object matches.
    ///
    /// # Errors
    /// The JSON is malformed: the error says how, and where. Or it is
    /// [ambiguous](MatchError::Ambiguous).
    pub fn matches(&self, json: &[u8]) -> Result<Vec<K>, MatchError> {
        let mut keys = Vec::new();
        with_matcher(|matcher| self.matches_into(json, matcher, &mut keys))?;
        Ok(keys)
    }

    /// [`PatternIndex::matches`] with buffers of the caller's. It empties `keys` first. It
    /// allocates nothing once `matcher` and `keys` have grown to the size that they need.
    ///
    /// # Errors
    /// As for [`PatternIndex::matches`]. `keys` is empty then.
    pub fn matches_into(&self, json: &[u8], matcher: &mut Matcher, keys: &mut Vec<K>) -> Result<(), MatchError> {
        self.collect(matcher, keys, |engine, matcher| engine.run(json, matcher))
    }

    /// The keys of all patterns that an event matches, without writing its JSON form. Patterns do
    /// not see binary data.
    ///
    /// # Errors
    /// [`MatchError::Ambiguous`] alone, as an event's data is well-formed.
    pub fn matches_event(&self, event: &Event) -> Result<Vec<K>, MatchError> {
        let mut keys = Vec::new();
        with_matcher(|matcher| self.matches_event_into(event, matcher, &mut keys))?;
        Ok(keys)
    }

    /// [`PatternIndex::matches_event`] with buffers of the caller's, as for
    /// [`PatternIndex::matches_into`].
    ///
    /// # Errors
    /// As for [`PatternIndex::matches_event`]. `keys` is empty then.
    pub fn matches_event_into(
        &self,
        event: &Event,
        matcher: &mut Matcher,
        keys: &mut Vec<K>,
    ) -> Result<(), MatchError> {
        self.collect(matcher, keys, |engine, matcher| engine.run_event(event, matcher))
    }

    fn collect(
        &self,
        matcher: &mut Matcher,
        keys: &mut Vec<K>,
        run: impl FnOnce(&Engine, &mut Matcher) -> Result<(), MatchError>,
    ) -> Result<(), MatchError> {
        keys.clear();
        let inner = self.inner.read();
        run(&inner.engine, matcher)?;
        let found = matcher.found.iter().filter_map(|&slot| inner.slots[slot as usize].as_ref());
        keys.extend(found.map(|(key, _)| key.clone()));
        Ok(())
    }

    /// How many patterns there are.
    pub fn len(&self) -> usize {
        self.inner.read().by_key.len()
    }

    /// Whether there are no patterns.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<K: Clone + Eq + Hash> Inner<K> {
    fn push(&mut self, key: K, pattern: Pattern) {
        self.engine.add(pattern.group());
        self.by_key.insert(key.clone(), self.slots.len() as u32);
        self.slots.push(Some((key, pattern)));
    }

    /// Builds the engine again, without what is left of removed patterns.
    fn rebuild(&mut self) {
        let slots = std::mem::take(&mut self.slots);
        self.by_key.clear();
        self.engine = Engine::new();
        for (key, pattern) in slots.into_iter().flatten() {
            self.push(key, pattern);
        }
    }
}

impl<K: Clone + Eq + Hash> Default for PatternIndex<K> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: fmt::Debug> fmt::Debug for PatternIndex<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = self.inner.read();
        let patterns = inner.slots.iter().flatten().map(|(key, pattern)| (key, pattern.to_string()));
        f.debug_map().entries(patterns).finish()
    }
}
