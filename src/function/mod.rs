//! Functions: the handle that a host holds, the versions behind it, and how one invocation runs.
//! This file is the handle.
//!
//! Invariant: an invocation stays on the version that it began with.

mod alias;
mod blueprint;
mod deploy;
mod deployment;
mod invocation;
mod nesting;
mod registry;
mod reply;
mod session;
mod version;

use std::{ops::Deref, sync::Arc, time::Duration};

use arc_swap::{ArcSwapOption, Guard};
use serde::{Serialize, de::DeserializeOwned};

pub use alias::AliasError;
pub use deployment::Deployment;
pub use invocation::Invocation;
pub use reply::{Reply, SessionReply};
pub use session::Guest;

pub(crate) use registry::Functions;
pub(crate) use version::Deployed;

use crate::{
    codec::Codec,
    error::{InvokeError, InvokeErrorKind},
    pool::InstanceCount,
    usage::{DeployReport, Report, Version},
    value::{Value, Values},
};

/// The slot of a name, with the version that the name stands for now. Empty after `undeploy`.
///
/// Every invocation reads it, from any thread. So it is a pointer that a reader loads without
/// writing to shared memory. A lock and a reference count would move between the cores.
pub(crate) struct NameSlot {
    pub(crate) name: Box<str>,
    pub(crate) current: ArcSwapOption<Deployed>,
}

/// The version behind a handle, for as long as one invocation needs it.
pub(crate) enum VersionRef<'a> {
    Pinned(&'a Arc<Deployed>),
    Current(Guard<Option<Arc<Deployed>>>),
}

impl Deref for VersionRef<'_> {
    type Target = Arc<Deployed>;

    fn deref(&self) -> &Arc<Deployed> {
        match self {
            Self::Pinned(deployed) => deployed,
            Self::Current(guard) => guard.as_ref().expect("held only where there is one"),
        }
    }
}

/// A deployed function.
///
/// A handle follows its name. After a redeployment its next invocation runs the new version. After
/// `undeploy` it answers [`Undeployed`](InvokeErrorKind::Undeployed). Invocations under way finish
/// on the version that they began with. A [pinned](Self::pinned) handle stays with its version.
///
/// A handle is cheap to clone, `Send` and `Sync`. Any number of threads may invoke at once, each on
/// its own instance.
///
/// ```
/// # let echo = wat::parse_str(r#"(module (memory (export "memory") 1)
/// #   (func (export "alloc") (param i32) (result i32) (i32.const 1024))
/// #   (func (export "handle") (param i32 i32) (result i64)
/// #     (i64.or (i64.shl (i64.extend_i32_u (local.get 0)) (i64.const 32)) (i64.extend_i32_u (local.get 1)))))"#).unwrap();
/// let runtime = dormouse::Runtime::new();
/// let function = runtime.deploy("echo", &echo)?;
/// let reply = function.invoke(b"hello")?;
/// assert_eq!(reply.output(), b"hello");
/// # Ok::<(), dormouse::Error>(())
/// ```
#[derive(Clone)]
pub struct Function {
    /// Keeps its runtime alive.
    pub(crate) functions: Arc<Functions>,
    pub(crate) target: Target,
}

/// What a handle stands for.
#[derive(Clone)]
pub(crate) enum Target {
    Name(Arc<NameSlot>),
    Version(Arc<Deployed>),
}

impl Function {
    /// Gives the function an event and returns its reply. The invocation is stateless and keeps to
    /// the function's limits.
    ///
    /// The module's contract says how the guest takes the event. For modules with plain exports see
    /// [`call`](Self::call) and [`session`](Self::session).
    ///
    /// The call blocks while the guest runs, and up to `max_wait` while all instances are in use.
    /// On an async executor, call it in `spawn_blocking`. It needs 512 KiB of stack.
    ///
    /// # Errors
    /// See [`InvokeErrorKind`]. If the guest ran, the error carries its report.
    pub fn invoke(&self, input: &[u8]) -> Result<Reply, InvokeError> {
        self.invocation(input).run()
    }

    /// As [`invoke`](Self::invoke), with the reply in `output`, whose capacity is reused. The
    /// earlier content of `output` is gone, also after an error.
    ///
    /// On a warm instance this allocates nothing, if the reply fits and the guest logs nothing.
    ///
    /// ```
    /// # let echo = wat::parse_str(r#"(module (memory (export "memory") 1)
    /// #   (func (export "alloc") (param i32) (result i32) (i32.const 1024))
    /// #   (func (export "handle") (param i32 i32) (result i64)
    /// #     (i64.or (i64.shl (i64.extend_i32_u (local.get 0)) (i64.const 32)) (i64.extend_i32_u (local.get 1)))))"#).unwrap();
    /// # let runtime = dormouse::Runtime::new();
    /// # let function = runtime.deploy("echo", &echo)?;
    /// let mut output = Vec::with_capacity(4_096);
    /// for event in [b"one", b"two"] {
    ///     let report = function.invoke_into(event, &mut output)?;
    ///     assert_eq!((&output[..], report.output_bytes()), (&event[..], 3));
    /// }
    /// # Ok::<(), dormouse::Error>(())
    /// ```
    ///
    /// # Errors
    /// As `invoke`.
    pub fn invoke_into(&self, input: &[u8], output: &mut Vec<u8>) -> Result<Report, InvokeError> {
        self.invocation(input).run_into(output)
    }

    /// As [`invoke`](Self::invoke), with Rust values for input and output.
    ///
    /// ```
    /// # let echo = wat::parse_str(r#"(module (memory (export "memory") 1)
    /// #   (func (export "alloc") (param i32) (result i32) (i32.const 1024))
    /// #   (func (export "handle") (param i32 i32) (result i64)
    /// #     (i64.or (i64.shl (i64.extend_i32_u (local.get 0)) (i64.const 32)) (i64.extend_i32_u (local.get 1)))))"#).unwrap();
    /// # let runtime = dormouse::Runtime::new();
    /// # let function = runtime.deploy("echo", &echo)?;
    /// let back: Vec<u32> = function.invoke_as(dormouse::Json, &[1, 2, 3])?;
    /// assert_eq!(back, [1, 2, 3]);
    /// # Ok::<(), dormouse::Error>(())
    /// ```
    ///
    /// # Errors
    /// As `invoke`, and [`InvokeErrorKind::Codec`]. If the reply cannot be decoded, the error
    /// carries the report.
    pub fn invoke_as<T: Serialize + ?Sized, R: DeserializeOwned>(
        &self,
        codec: impl Codec,
        input: &T,
    ) -> Result<R, InvokeError> {
        let wrong = |side, problem: String| InvokeErrorKind::Codec { side, problem: crate::text::cut(&problem) };
        let input = codec.encode(input).map_err(|problem| wrong("input", problem))?;
        let reply = self.invoke(&input)?;
        codec
            .decode(reply.output())
            .map_err(|problem| InvokeError::new(wrong("output", problem), Some(reply.into_report())))
    }

    /// Calls one export with numbers. The call is an invocation of its own, stateless as any other.
    ///
    /// ```
    /// # let add = wat::parse_str("(module (func (export \"add\") (param i32 i32) (result i32)
    /// #   (i32.add (local.get 0) (local.get 1))))").unwrap();
    /// # let runtime = dormouse::Runtime::new();
    /// # let adder = runtime.deploy("add", &add)?;
    /// use dormouse::Value;
    ///
    /// let sum = adder.call("add", &[Value::I32(1), Value::I32(2)])?;
    /// assert_eq!(sum.values(), [Value::I32(3)]);
    /// # Ok::<(), dormouse::Error>(())
    /// ```
    ///
    /// # Errors
    /// See [`InvokeErrorKind`].
    pub fn call(&self, export: &str, args: &[Value]) -> Result<SessionReply<Values>, InvokeError> {
        self.invocation(&[]).call(export, args)
    }

    /// Runs several calls on one instance in one invocation, for guests with a protocol of their
    /// own. Then the instance is cleaned like any other. Fuel and deadline are those of one
    /// invocation.
    ///
    /// ```
    /// # let guest = wat::parse_str("(module (memory (export \"memory\") 1) (func (export \"at\") (result i32) (i32.const 16)))").unwrap();
    /// # let runtime = dormouse::Runtime::new();
    /// # let function = runtime.deploy("guest", &guest)?;
    /// let text = function.session(|guest| {
    ///     let at = guest.call("at", &[])?[0].as_u32();
    ///     guest.write(at, b"hello")?;
    ///     guest.read(at, 5)
    /// })?;
    /// assert_eq!(text.value(), b"hello");
    /// # Ok::<(), dormouse::Error>(())
    /// ```
    ///
    /// # Errors
    /// The closure's error, with the report; or an error of [`invoke`](Self::invoke) if no instance
    /// is available.
    pub fn session<T>(
        &self,
        body: impl FnOnce(&mut Guest<'_>) -> Result<T, InvokeErrorKind>,
    ) -> Result<SessionReply<T>, InvokeError> {
        self.invocation(&[]).session(body)
    }

    /// An invocation with choices: less fuel, an earlier deadline, a handle to cancel it.
    pub fn invocation<'a>(&'a self, input: &'a [u8]) -> Invocation<'a> {
        Invocation::new(self, input)
    }

    /// The function's name.
    pub fn name(&self) -> &str {
        match &self.target {
            Target::Name(slot) => &slot.name,
            Target::Version(deployed) => &deployed.label().name,
        }
    }

    /// The version that the next invocation runs. `None` after `undeploy`.
    pub fn version(&self) -> Option<Version> {
        self.deployed().ok().map(|deployed| deployed.label().version)
    }

    /// Returns a handle that stays with the current version, through redeployments and `undeploy`,
    /// and keeps it alive.
    ///
    /// # Errors
    /// [`InvokeErrorKind::Undeployed`].
    pub fn pinned(&self) -> Result<Self, InvokeError> {
        Ok(Self { functions: Arc::clone(&self.functions), target: Target::Version(Arc::clone(&*self.deployed()?)) })
    }

    /// The report of the current version's deployment: what it found and what it cost.
    ///
    /// # Errors
    /// [`InvokeErrorKind::Undeployed`].
    pub fn deploy_report(&self) -> Result<DeployReport, InvokeError> {
        Ok(self.deployed()?.report.clone())
    }

    /// Makes instances ahead of time until `count` are idle, or the function has as many as it may
    /// have. Returns how many are idle then.
    ///
    /// # Errors
    /// [`InvokeErrorKind::Undeployed`], [`InvokeErrorKind::Busy`] if the runtime has no room,
    /// [`InvokeErrorKind::Initialise`].
    pub fn prewarm(&self, count: usize) -> Result<usize, InvokeError> {
        Ok(self.deployed()?.prewarm(count)?)
    }

    /// Drops instances that have been idle for at least `idle_for`, the longest idle first. It
    /// keeps the minimum of the deployment. Returns how many it dropped.
    pub fn trim(&self, idle_for: Duration) -> usize {
        self.deployed().map_or(0, |deployed| deployed.trim(idle_for))
    }

    /// Sets how many invocations may run at once from now on, instead of the maximum of
    /// [`Deployment::instances`]. The setting belongs to the version that the handle stands for
    /// now.
    ///
    /// With 0 the function is off. Its invocations are refused as busy, and deliveries to it wait
    /// until it is on again. Invocations under way finish.
    ///
    /// ```
    /// # let echo = wat::parse_str(r#"(module (memory (export "memory") 1)
    /// #   (func (export "alloc") (param i32) (result i32) (i32.const 1024))
    /// #   (func (export "handle") (param i32 i32) (result i64) (i64.const 0)))"#).unwrap();
    /// # let runtime = dormouse::Runtime::new();
    /// # let function = runtime.deploy("echo", &echo)?;
    /// function.set_max_instances(0)?;
    /// assert!(function.invoke(b"x").is_err());
    /// function.set_max_instances(4)?;
    /// assert!(function.invoke(b"x").is_ok());
    /// # Ok::<(), dormouse::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`InvokeErrorKind::Undeployed`].
    pub fn set_max_instances(&self, max: usize) -> Result<(), InvokeError> {
        let deployed = self.deployed()?;
        deployed.pool.set_max(max);
        self.functions.hub.arrived(&deployed.label().name);
        Ok(())
    }

    /// The instances of the current version: how many are idle, and how many there are.
    pub fn instances(&self) -> InstanceCount {
        self.deployed().map_or_else(|_| InstanceCount::default(), |deployed| deployed.pool.counts())
    }

    /// The version behind the handle. It takes no lock and touches no count that threads share.
    pub(crate) fn deployed(&self) -> Result<VersionRef<'_>, InvokeErrorKind> {
        match &self.target {
            Target::Version(deployed) => Ok(VersionRef::Pinned(deployed)),
            Target::Name(slot) => match slot.current.load() {
                guard if guard.is_some() => Ok(VersionRef::Current(guard)),
                _ => Err(InvokeErrorKind::Undeployed { name: slot.name.clone() }),
            },
        }
    }
}

impl std::fmt::Debug for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.version() {
            Some(version) => write!(f, "Function({}@{})", self.name(), version.short()),
            None => write!(f, "Function({}, undeployed)", self.name()),
        }
    }
}

const _: () = {
    const fn shared<T: Send + Sync>() {}
    shared::<Function>();
};
