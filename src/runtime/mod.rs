//! The front door: what a host calls on a runtime. All of it is short, and leads to the rooms
//! below.

mod builder;
mod context;
#[cfg(feature = "events")]
mod deliveries;
mod error;
#[cfg(feature = "events")]
mod events;
#[cfg(feature = "events")]
mod triggers;

use std::{sync::Arc, time::Duration};

pub use builder::RuntimeBuilder;
#[cfg(feature = "events")]
pub use context::DeliveryInfo;
#[cfg(feature = "events")]
pub use deliveries::Deliveries;
pub use error::Error;
#[cfg(feature = "events")]
pub use events::TickReport;
#[cfg(feature = "events")]
pub use triggers::Triggers;

use crate::{
    budget::InUse,
    error::DeployError,
    function::{AliasError, Deployment, Function, Functions},
    sys,
    usage::{Ledger, Version},
};

/// A function runtime: functions by name, and the budget that they share.
///
/// Cheap to clone, `Send` and `Sync`. It keeps no thread except
/// `workers`, and opens one file: on Linux `/proc/self/pagemap`. There, a
/// thread that invokes often also starts one that ends at once (see
/// [`Reset::Auto`](crate::Reset::Auto)). Under [`Reset::Portable`](crate::Reset::Portable) it does
/// neither. The standard library reads files of the control group once, to count cores.
///
/// Functions keep their runtime alive. When the last handle goes, all instances go with it.
#[derive(Clone)]
pub struct Runtime(Arc<Functions>);

impl Runtime {
    /// A runtime with default limits, on the machine's clock.
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// A runtime with choices.
    pub fn builder() -> RuntimeBuilder {
        RuntimeBuilder::new()
    }

    /// Deploys a function from the bytes of a WebAssembly module, with default options: see
    /// [`Deployment::deploy`]. A function that has the name is replaced atomically.
    ///
    /// Takes some 50 us for a small module, a few times what wasmi itself takes, and about 1 ms
    /// more the first time in a process, when the build is checked.
    ///
    /// # Errors
    /// See [`DeployError`].
    pub fn deploy(&self, name: &str, module: &[u8]) -> Result<Function, DeployError> {
        Deployment::new(&self.0, name, &[]).deploy_module(module)
    }

    /// A deployment with choices.
    pub fn deployment(&self, name: &str, module: &[u8]) -> Deployment {
        Deployment::new(&self.0, name, module)
    }

    /// The function of this name. With an [alias](Self::alias) after an `@`, as `greet@prod`, a
    /// handle that follows the alias. With a version, as `greet@3f2a91c`, a pinned handle on that
    /// version, if it is the current one or something keeps it alive; seven digits or more.
    pub fn find(&self, name: &str) -> Option<Function> {
        self.0.find(name)
    }

    /// Takes a function out of service, and its aliases with it: handles answer `Undeployed`,
    /// invocations under way finish, pinned handles go on. `false` if there is none of this name.
    pub fn undeploy(&self, name: &str) -> bool {
        self.0.undeploy(name)
    }

    /// All deployed functions, by name.
    pub fn functions(&self) -> Vec<Function> {
        self.0.all()
    }

    /// Makes `function@alias` stand for a version of the function, or switches it to another: the
    /// next invocation runs that one, those under way finish on what they began with. The version
    /// is the current one or one that a handle or an alias keeps alive; this alias does so from now
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
        self.0.alias(alias, function, version)
    }

    /// Removes an alias: its handles answer `Undeployed`. `false` if the function has none of this
    /// name.
    pub fn unalias(&self, alias: &str, function: &str) -> bool {
        self.0.unalias(alias, function)
    }

    /// The aliases of a function, with the versions that they stand for.
    pub fn aliases(&self, function: &str) -> Vec<(String, Version)> {
        self.0.aliases(function)
    }

    /// Drops instances of all functions that have been idle for at least `idle_for`, but those that
    /// a deployment asked to keep. Returns how many went. Gives the pages back that the process
    /// keeps for making instances (up to 20 MiB) as well.
    pub fn trim(&self, idle_for: Duration) -> usize {
        sys::release();
        self.0.trim(idle_for)
    }

    /// Live instances of all functions, and the bytes of memory and bookkeeping that they hold.
    pub fn in_use(&self) -> InUse {
        self.0.budget.in_use()
    }

    /// What functions have used since the runtime was made.
    pub fn ledger(&self) -> Ledger {
        self.0.books.ledger()
    }
}

impl Default for Runtime {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Runtime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Runtime").field(&self.functions()).finish()
    }
}

const _: () = {
    const fn shared<T: Send + Sync>() {}
    shared::<Runtime>();
};
