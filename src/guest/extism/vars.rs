//! A plug-in's variables: those that every run begins with, and what this run has changed.
//!
//! Invariant: the variables that all instances share never change. A run's changes are forgotten
//! with the run. Their bytes count against the store's limit and the runtime's budget.

use std::{collections::BTreeMap, sync::Arc};

use crate::{budget::Reservation, error::Busy};

/// The most bytes of all variables of a run, Extism's default. And the bytes that each variable
/// takes besides its key and its value.
pub(crate) const VARS_MAX: u64 = 1 << 20;
const ENTRY_BYTES: u64 = 48;

/// Bytes that a variable takes.
pub(crate) fn entry_bytes(key: &str, value: u64) -> u64 {
    (key.len() as u64).saturating_add(value).saturating_add(ENTRY_BYTES)
}

/// The variables that every run of a version begins with: those of the deployment, and those that
/// initialisation has set.
#[derive(Default)]
pub(crate) struct Vars {
    values: BTreeMap<Box<str>, Arc<[u8]>>,
    size: u64,
}

impl Vars {
    pub(crate) fn new(values: BTreeMap<Box<str>, Arc<[u8]>>) -> Self {
        let size = values.iter().map(|(key, value)| entry_bytes(key, value.len() as u64)).sum();
        Self { values, size }
    }
}

/// The changes of a run. `None` is a variable that the run has removed.
#[derive(Default)]
pub(super) struct Changes {
    values: BTreeMap<Box<str>, Option<Arc<[u8]>>>,
    /// How many bytes the run has added to the variables that it began with, and how many it has
    /// removed.
    more: u64,
    less: u64,
    /// Bytes of the changes themselves.
    held: u64,
}

impl Changes {
    /// Bytes that the changes take.
    pub(super) fn held(&self) -> u64 {
        self.held
    }

    pub(super) fn get(&self, base: &Vars, key: &str) -> Option<Arc<[u8]>> {
        match self.values.get(key) {
            Some(changed) => changed.clone(),
            None => base.values.get(key).cloned(),
        }
    }

    /// Whether a value of `len` bytes still fits. As in Extism, the value that it replaces counts
    /// too.
    pub(super) fn fits(&self, base: &Vars, key: &str, len: u64) -> bool {
        base.size + self.more - self.less + entry_bytes(key, len) <= VARS_MAX
    }

    /// Sets a variable that fits, or removes it.
    pub(super) fn set(
        &mut self,
        base: &Vars,
        key: &str,
        value: Option<Arc<[u8]>>,
        reservation: &mut Reservation,
    ) -> Result<(), Busy> {
        let size = |value: Option<&Arc<[u8]>>| value.map_or(0, |value| entry_bytes(key, value.len() as u64));
        let kept = base.values.get(key);
        let before = self.values.get(key);
        // A removal is recorded only if there is a variable to hide.
        let is_kept = value.is_some() || kept.is_some();
        let change = |value: Option<&Option<Arc<[u8]>>>| {
            value.map_or(0, |value| entry_bytes(key, value.as_ref().map_or(0, |value| value.len() as u64)))
        };
        let held = self.held - change(before) + if is_kept { change(Some(&value)) } else { 0 };
        if held > self.held {
            reservation.grow(held - self.held)?;
        } else {
            reservation.shrink(self.held - held);
        }
        self.held = held;
        self.less += size(before.map_or(kept, Option::as_ref));
        self.more += size(value.as_ref());
        if is_kept {
            self.values.insert(key.into(), value);
        } else {
            self.values.remove(key);
        }
        Ok(())
    }

    /// The variables that runs begin with from now on.
    pub(super) fn merge(&self, base: &Arc<Vars>) -> Arc<Vars> {
        if self.values.is_empty() {
            return Arc::clone(base);
        }
        let mut values = base.values.clone();
        for (key, value) in &self.values {
            match value {
                Some(value) => values.insert(key.clone(), Arc::clone(value)),
                None => values.remove(key),
            };
        }
        Arc::new(Vars::new(values))
    }

    pub(super) fn clear(&mut self, reservation: &mut Reservation) {
        if self.held > 0 {
            reservation.shrink(self.held);
        }
        *self = Self::default();
    }
}
