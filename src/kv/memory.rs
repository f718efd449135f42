//! A key-value store in memory. It lasts as long as the host keeps it.
//!
//! Invariant: a namespace's size is the sum over its entries. A namespace without entries takes no
//! memory.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    ops::Bound,
};

use parking_lot::RwLock;

use super::{
    Change, CommitError, KeyValue, Size,
    store::{settle, start},
};
use crate::host_error::HostError;

/// A [`KeyValue`] store in memory. An entry takes some 100 bytes beside its key and value.
#[derive(Default)]
pub struct Memory(RwLock<HashMap<Box<str>, Namespace>>);

#[derive(Default)]
struct Namespace {
    entries: BTreeMap<Box<[u8]>, Box<[u8]>>,
    size: Size,
}

impl Memory {
    /// Creates an empty store.
    pub fn new() -> Self {
        Self::default()
    }
}

impl KeyValue for Memory {
    fn get(&self, namespace: &str, key: &[u8]) -> Result<Option<Vec<u8>>, HostError> {
        let namespaces = self.0.read();
        Ok(namespaces.get(namespace).and_then(|namespace| namespace.entries.get(key)).map(|value| value.to_vec()))
    }

    fn len(&self, namespace: &str, key: &[u8]) -> Result<Option<u64>, HostError> {
        let namespaces = self.0.read();
        Ok(namespaces.get(namespace).and_then(|namespace| namespace.entries.get(key)).map(|value| value.len() as u64))
    }

    fn list(&self, namespace: &str, prefix: &[u8], after: &[u8], max: usize) -> Result<Vec<Vec<u8>>, HostError> {
        let namespaces = self.0.read();
        let Some(namespace) = namespaces.get(namespace) else { return Ok(Vec::new()) };
        let keys = namespace.entries.range::<[u8], _>((start(prefix, after), Bound::Unbounded));
        Ok(keys.map(|(key, _)| key.to_vec()).take_while(|key| key.starts_with(prefix)).take(max).collect())
    }

    fn size(&self, namespace: &str) -> Result<Size, HostError> {
        Ok(self.0.read().get(namespace).map_or_else(Size::default, |namespace| namespace.size))
    }

    fn commit(&self, namespace: &str, changes: &[Change<'_>], quota: Size) -> Result<(), CommitError> {
        let mut namespaces = self.0.write();
        let empty = Namespace::default();
        let now = namespaces.get(namespace).unwrap_or(&empty);
        let size =
            settle(changes, now.size, quota, |change| change.check(now.entries.get(change.key).map(|value| &**value)))?;
        if size.entries == 0 {
            namespaces.remove(namespace);
            return Ok(());
        }
        let namespace = namespaces.entry(namespace.into()).or_default();
        for change in changes {
            match change.value {
                Some(value) => drop(namespace.entries.insert(change.key.into(), value.into())),
                None => drop(namespace.entries.remove(change.key)),
            }
        }
        namespace.size = size;
        Ok(())
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let namespaces = self.0.read();
        f.debug_map().entries(namespaces.iter().map(|(name, namespace)| (name, namespace.size))).finish()
    }
}
