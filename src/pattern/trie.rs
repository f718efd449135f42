//! The fields that any pattern names, as a tree of keys. It tells the reader of an event where to
//! look.
//!
//! Invariant: no node's number changes, and it is greater than that of the node above.

use super::values::Map;

/// The number that is not a node.
pub(super) const NONE: u32 = u32::MAX;

/// A node with more children than this finds them by hash.
const FEW: usize = 8;

#[derive(Debug)]
pub(super) struct Trie {
    pub(super) nodes: Vec<Node>,
}

/// A key without dots, under the keys before it.
#[derive(Debug, Default)]
pub(super) struct Node {
    /// The number of the place here, if a pattern asks for the value.
    pub(super) place: Option<u32>,
    /// Some pattern takes two fields or more, and one is here or below. Then it matters which array
    /// elements they are from.
    pub(super) tracked: bool,
    parent: u32,
    children: Vec<(Box<[u8]>, u32)>,
    by_key: Map<Box<[u8]>, u32>,
    /// A bit for each kind of key among the children. It rules out most other keys.
    kinds: u64,
    /// A bit for the first byte of each child that has children, to which a key with dots may lead.
    deep: u64,
}

impl Trie {
    pub(super) fn new() -> Self {
        Self { nodes: vec![Node { parent: NONE, ..Node::default() }] }
    }

    /// The node of a path, whose keys are joined by dots. It is made if it does not exist.
    pub(super) fn add(&mut self, path: &str) -> u32 {
        let (mut at, mut above) = (0, None);
        for key in path.split('.').map(str::as_bytes) {
            let child = match self.nodes[at as usize].child(key) {
                NONE => self.add_child(at, key),
                child => child,
            };
            if let Some((above, key)) = above.replace((at, key)) {
                self.nodes[above as usize].deep |= first(key);
            }
            at = child;
        }
        at
    }

    /// The node of a path that has been added.
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
        child
    }

    /// Marks a node and those above it, so that the reader tells apart the array elements on the
    /// way.
    pub(super) fn track(&mut self, mut at: u32) {
        while let Some(node) = self.nodes.get_mut(at as usize) {
            if std::mem::replace(&mut node.tracked, true) {
                return;
            }
            at = node.parent;
        }
    }

    /// The node that a key of an event leads to. `None` if no pattern names it.
    #[inline(always)]
    pub(super) fn find(&self, node: &Node, key: &[u8]) -> Option<u32> {
        let child = node.child(key);
        if child != NONE {
            return Some(child);
        }
        if node.deep & first(key) != 0 { self.find_dotted(node, key) } else { None }
    }

    #[cold]
    fn find_dotted(&self, node: &Node, key: &[u8]) -> Option<u32> {
        let mut keys = key.split(|&byte| byte == b'.');
        let first = node.child(keys.next()?);
        let at = keys.fold(first, |at, key| self.nodes.get(at as usize).map_or(NONE, |node| node.child(key)));
        (at != NONE).then_some(at)
    }
}

impl Node {
    #[inline]
    fn child(&self, key: &[u8]) -> u32 {
        if self.kinds & kind(key) == 0 {
            return NONE;
        }
        if self.children.len() > FEW {
            return self.by_hash(key);
        }
        self.children.iter().find(|(known, _)| **known == *key).map_or(NONE, |(_, child)| *child)
    }

    #[inline(never)]
    fn by_hash(&self, key: &[u8]) -> u32 {
        self.by_key.get(key).copied().unwrap_or(NONE)
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

/// One bit, from a key's first byte. An empty key counts as a dot, as its dot follows at once.
#[inline]
fn first(key: &[u8]) -> u64 {
    1 << (key.first().copied().unwrap_or(b'.') & 63)
}
