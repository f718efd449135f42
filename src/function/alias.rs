//! Aliases: names for versions that can be switched, such as `resize@prod`.
//!
//! Invariant: an alias stands for exactly one version at any time, and keeps it alive.

use std::sync::{Arc, Weak};

use arc_swap::ArcSwapOption;

use super::{Deployed, Function, NameSlot, Target, registry::Functions};
use crate::{limits::is_name, text::cut, usage::Version};

/// Why an alias was not set. It still stands for the version that it stood for before.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AliasError {
    /// The alias is not `[A-Za-z0-9._-]{1,64}`, or looks like a version.
    #[error(
        "the alias {alias:?} must have 1 to 64 of the characters A-Z a-z 0-9 . _ -, and must not look like a version: seven or more of 0-9 a-f"
    )]
    InvalidName {
        /// The alias as given.
        alias: Box<str>,
    },
    /// The function has no such version, or the version is gone.
    #[error(
        "the function {function:?} has no version {}: no current version, handle or alias keeps it alive",
        version.short()
    )]
    NoSuchVersion {
        /// The function's name as given.
        function: Box<str>,
        /// The version.
        version: Version,
    },
    /// The runtime has as many aliases as it may.
    #[error(
        "the runtime has {limit} aliases, its limit; remove one or raise `RuntimeLimits::functions`, which also limits aliases"
    )]
    TooMany {
        /// The limit.
        limit: usize,
    },
}

impl Functions {
    /// Makes `function@alias` stand for a version of the function, or switches it to another.
    pub(crate) fn alias(
        self: &Arc<Self>,
        alias: &str,
        function: &str,
        version: Version,
    ) -> Result<Function, AliasError> {
        let like_version = alias.len() >= 7 && alias.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if !is_name(alias) || like_version {
            return Err(AliasError::InvalidName { alias: cut(alias) });
        }
        let found = self.version(function, |label| label.version == version);
        let deployed = found.ok_or_else(|| AliasError::NoSuchVersion { function: cut(function), version })?;
        let name = format!("{function}@{alias}");
        let (slot, replaced) = {
            let mut names = self.names.write();
            let limit = self.budget.limits().functions;
            if !names.by_alias.contains_key(&*name) && names.by_alias.len() >= limit {
                return Err(AliasError::TooMany { limit });
            }
            let new = || Arc::new(NameSlot { name: name.as_str().into(), current: ArcSwapOption::empty() });
            let slot = Arc::clone(names.by_alias.entry(name.as_str().into()).or_insert_with(new));
            let replaced = slot.current.swap(Some(deployed));
            (slot, replaced)
        };
        self.keep_known(replaced.as_ref());
        self.hub.arrived(function);
        Ok(Function { functions: Arc::clone(self), target: Target::Name(slot) })
    }

    /// Removes an alias. `false` if the function has none of this name.
    pub(crate) fn unalias(&self, alias: &str, function: &str) -> bool {
        let gone = self.names.write().by_alias.remove(&*format!("{function}@{alias}"));
        let version = gone.as_ref().and_then(|slot| slot.current.swap(None));
        self.keep_known(version.as_ref());
        gone.is_some()
    }

    /// The aliases of a function, with the versions that they stand for.
    pub(crate) fn aliases(&self, function: &str) -> Vec<(String, Version)> {
        let names = self.names.read();
        let of_function = names.by_alias.iter().filter_map(|(name, slot)| {
            let alias = name.strip_prefix(function)?.strip_prefix('@')?;
            Some((alias.to_owned(), slot.current.load().as_ref()?.label().version))
        });
        let mut aliases: Vec<_> = of_function.collect();
        aliases.sort();
        aliases
    }

    /// Removes the aliases of a function that is undeployed.
    pub(super) fn drop_aliases(&self, function: &str) {
        let gone: Vec<Arc<NameSlot>> = {
            let mut names = self.names.write();
            let is_of = |name: &str| name.strip_prefix(function).is_some_and(|rest| rest.starts_with('@'));
            let mut gone = Vec::new();
            names.by_alias.retain(|name, slot| {
                let goes = is_of(name);
                if goes {
                    gone.push(Arc::clone(slot));
                }
                !goes
            });
            gone
        };
        for slot in gone {
            let version = slot.current.swap(None);
            self.keep_known(version.as_ref());
        }
    }

    /// Remembers a version that something else may keep alive, so that it can be found by its
    /// number.
    fn keep_known(&self, version: Option<&Arc<Deployed>>) {
        if let Some(version) = version {
            let weak = Arc::downgrade(version);
            let is_known = self.superseded.lock().iter().any(|known| Weak::ptr_eq(known, &weak));
            if !is_known {
                self.supersede(version);
            }
        }
    }
}
