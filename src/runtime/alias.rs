//! Aliases: names for versions that can be switched, as `resize@prod`.
//!
//! Invariant: an alias keeps its version alive, and stands for exactly one at any time.

use std::sync::{Arc, Weak};

use arc_swap::ArcSwapOption;

use super::Runtime;
use crate::{
    error::cut,
    function::{Deployed, Function, Slot, Target},
    limits::is_name,
    usage::Version,
};

/// Why an alias was not set. The alias stands for what it stood for before.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AliasError {
    /// The alias is not `[A-Za-z0-9._-]{1,64}`, or could be taken for a version.
    #[error(
        "the alias {alias:?} must be made of 1 to 64 of the characters A-Z a-z 0-9 . _ -, and not look like a version: seven and more of 0-9 a-f"
    )]
    InvalidName {
        /// The alias as given.
        alias: Box<str>,
    },
    /// The function has no such version, or it is gone.
    #[error(
        "the function {function:?} has no version {}; it is neither the current one nor kept alive by a handle or an alias",
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
        "the runtime has {limit} aliases, its limit; remove one or raise `RuntimeLimits::functions`, which bounds them too"
    )]
    TooMany {
        /// The limit.
        limit: usize,
    },
}

impl Runtime {
    /// Makes `function@alias` stand for a version of the function, or switches it to another: the next invocation runs that one, those under way
    /// finish on what they began with. The version is the current one or one that a handle or an alias keeps alive; this alias does so from now
    /// on.
    ///
    /// [`Runtime::undeploy`] takes a function's aliases with it.
    ///
    /// ```
    /// # let v1 = wat::parse_str(r#"(module (memory (export "memory") 1)
    /// #   (func (export "alloc") (param i32) (result i32) (i32.const 0))
    /// #   (func (export "handle") (param i32 i32) (result i64) (i64.extend_i32_u (local.get 1))))"#).unwrap();
    /// # let v2 = wat::parse_str(r#"(module (memory (export "memory") 1)
    /// #   (func (export "alloc") (param i32) (result i32) (i32.const 8))
    /// #   (func (export "handle") (param i32 i32) (result i64) (i64.const 0)))"#).unwrap();
    /// # let runtime = dormouse::Runtime::new();
    /// let first = runtime.deploy("resize", &v1)?.version().expect("just deployed");
    /// let prod = runtime.alias("prod", "resize", first)?;
    /// let second = runtime.deploy("resize", &v2)?.version().expect("just deployed");
    /// assert_eq!(prod.version(), Some(first));
    ///
    /// runtime.alias("prod", "resize", second)?; // and back again, should it be needed
    /// assert_eq!(prod.version(), Some(second));
    /// assert_eq!(runtime.find("resize@prod").expect("it is there").version(), Some(second));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// See [`AliasError`].
    pub fn alias(&self, alias: &str, function: &str, version: Version) -> Result<Function, AliasError> {
        let like_version = alias.len() >= 7 && alias.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if !is_name(alias) || like_version {
            return Err(AliasError::InvalidName { alias: cut(alias) });
        }
        let found = self.version(function, |label| label.version == version);
        let deployed = found.ok_or_else(|| AliasError::NoSuchVersion { function: cut(function), version })?;
        let name = format!("{function}@{alias}");
        let (slot, replaced) = {
            let mut slots = self.0.slots.write();
            let limit = self.0.budget.limits().functions;
            if !slots.by_alias.contains_key(&*name) && slots.by_alias.len() >= limit {
                return Err(AliasError::TooMany { limit });
            }
            let new = || Arc::new(Slot { name: name.as_str().into(), current: ArcSwapOption::empty() });
            let slot = Arc::clone(slots.by_alias.entry(name.as_str().into()).or_insert_with(new));
            let replaced = slot.current.swap(Some(deployed));
            (slot, replaced)
        };
        self.keep_known(replaced.as_ref());
        #[cfg(feature = "events")]
        self.hub().arrived(function);
        Ok(Function { runtime: self.clone(), target: Target::Name(slot) })
    }

    /// Removes an alias: its handles answer `Undeployed`. `false` if the function has none of this name.
    pub fn unalias(&self, alias: &str, function: &str) -> bool {
        let gone = self.0.slots.write().by_alias.remove(&*format!("{function}@{alias}"));
        let version = gone.as_ref().and_then(|slot| slot.current.swap(None));
        self.keep_known(version.as_ref());
        gone.is_some()
    }

    /// The aliases of a function, with the versions that they stand for.
    pub fn aliases(&self, function: &str) -> Vec<(String, Version)> {
        let slots = self.0.slots.read();
        let of_function = slots.by_alias.iter().filter_map(|(name, slot)| {
            let alias = name.strip_prefix(function)?.strip_prefix('@')?;
            Some((alias.to_owned(), slot.current.load().as_ref()?.label().version))
        });
        let mut aliases: Vec<_> = of_function.collect();
        aliases.sort();
        aliases
    }

    /// Takes the aliases of a function that is undeployed with it.
    pub(super) fn drop_aliases(&self, function: &str) {
        let gone: Vec<Arc<Slot>> = {
            let mut slots = self.0.slots.write();
            let is_of = |name: &str| name.strip_prefix(function).is_some_and(|rest| rest.starts_with('@'));
            let mut gone = Vec::new();
            slots.by_alias.retain(|name, slot| {
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

    /// A version that something else may keep alive can still be found by its number.
    fn keep_known(&self, version: Option<&Arc<Deployed>>) {
        if let Some(version) = version {
            let weak = Arc::downgrade(version);
            let is_known = self.0.superseded.lock().iter().any(|known| Weak::ptr_eq(known, &weak));
            if !is_known {
                self.supersede(version);
            }
        }
    }
}
