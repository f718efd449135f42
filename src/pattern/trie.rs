//! The fields that any pattern names, as a tree of keys: what tells the reader of an event where to look.

use super::values::Map;
use crate::json::{Raw, decode};

/// No node.
pub(super) const NONE: u32 = u32::MAX;

/// More children than this are found by hash.
const FEW: usize = 8;

#[derive(Debug)]
pub(super) struct Trie {
    pub(super) nodes: Vec<Node>,
}

/// A key without dots, under the keys before it.
#[derive(Debug, Default)]
pub(super) struct Node {
    /// What is asked of the value here, by its number.
    pub(super) place: Option<u32>,
    /// Some pattern takes two fields or more, one of them here or below: then it matters from which array elements.
    pub(super) tracked: bool,
    parent: u32,
    children: Vec<(Box<[u8]>, u32)>,
    by_key: Map<Box<[u8]>, u32>,
    /// A bit for each kind of key among the children, to pass over most others.
    kinds: u64,
    /// There are nodes two levels below, so that a key with dots may lead there.
    deep: bool,
}

impl Trie {
    pub(super) fn new() -> Self {
        Self { nodes: vec![Node { parent: NONE, ..Node::default() }] }
    }

    /// The node of a path, whose keys are joined by dots.
    pub(super) fn add(&mut self, path: &str) -> u32 {
        let mut at = 0;
        for key in path.split('.') {
            at = match self.nodes[at as usize].child(key.as_bytes()) {
                NONE => self.add_child(at, key.as_bytes()),
                child => child,
            };
        }
        at
    }

    /// The node of a path that was added.
    pub(super) fn node(&self, path: &str) -> u32 {
        let step = |at: u32, key: &str| self.nodes.get(at as usize).map_or(NONE, |node| node.child(key.as_bytes()));
        path.split('.').fold(0, step)
    }

    fn add_child(&mut self, parent: u32, key: &[u8]) -> u32 {
        let child = self.nodes.len() as u32;
        self.nodes.push(Node { parent, ..Node::default() });
        let node = &mut self.nodes[parent as usize];
        node.kinds |= kind(key);
        node.children.push((key.into(), child));
        if node.children.len() > FEW {
            let missing = &node.children[node.by_key.len()..];
            node.by_key.extend(missing.iter().cloned());
        }
        let grandparent = node.parent;
        if let Some(grandparent) = self.nodes.get_mut(grandparent as usize) {
            grandparent.deep = true;
        }
        child
    }

    /// Marks a node and those above it, so that array elements on the way are told apart.
    pub(super) fn track(&mut self, mut at: u32) {
        while let Some(node) = self.nodes.get_mut(at as usize) {
            if std::mem::replace(&mut node.tracked, true) {
                return;
            }
            at = node.parent;
        }
    }

    /// Where a key of an event leads; [`NONE`] if no pattern names it.
    #[inline]
    pub(super) fn find(&self, at: u32, key: Raw<'_>, room: &mut Vec<u8>) -> u32 {
        let key = if key.escaped { decode(key, room) } else { key.bytes };
        self.find_plain(at, key)
    }

    #[inline]
    pub(super) fn find_plain(&self, at: u32, key: &[u8]) -> u32 {
        let node = &self.nodes[at as usize];
        let child = node.child(key);
        if child == NONE && node.deep { self.find_dotted(at, key) } else { child }
    }

    fn find_dotted(&self, mut at: u32, key: &[u8]) -> u32 {
        if !key.contains(&b'.') {
            return NONE;
        }
        for key in key.split(|&byte| byte == b'.') {
            at = self.nodes[at as usize].child(key);
            if at == NONE {
                break;
            }
        }
        at
    }
}

impl Node {
    #[inline]
    fn child(&self, key: &[u8]) -> u32 {
        if self.kinds & kind(key) == 0 {
            return NONE;
        }
        if self.children.len() > FEW {
            return self.by_key.get(key).copied().unwrap_or(NONE);
        }
        self.children.iter().find(|(known, _)| **known == *key).map_or(NONE, |(_, child)| *child)
    }

    pub(super) fn has_children(&self) -> bool {
        !self.children.is_empty()
    }
}

/// One bit, from a key's length and last byte.
#[inline]
fn kind(key: &[u8]) -> u64 {
    let last = key.last().copied().unwrap_or(0);
    1 << ((key.len() as u8).wrapping_mul(7).wrapping_add(last) & 63)
}
