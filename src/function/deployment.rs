//! A deployment with options: the builder that a host fills in before it deploys.
//!
//! Invariant: everything that changes what a guest computes is in the options, so it is part of the
//! version. The host's closures are the exception.

use std::{fmt, ops::RangeInclusive, sync::Arc, time::Duration};

use super::{
    Function,
    deploy::{self, cores},
    registry::Functions,
};
#[cfg(feature = "extism")]
use crate::guest::extism::options::Extism;
#[cfg(feature = "wasi")]
use crate::guest::wasi::options::Wasi;
use crate::{
    error::DeployError,
    guest::{ContractKind, GuestOptions},
    host::{self, Context, HostFunction, IntoHostFunction},
    host_error::HostError,
    kv,
    limits::Limits,
    text::signature,
    value::{Value, ValueType},
};

/// How long an invocation waits for an instance by default.
const MAX_WAIT: Duration = Duration::from_secs(1);

/// A deployment with options, from [`Runtime::deployment`](crate::Runtime::deployment).
///
/// ```
/// # let module = wat::parse_str(r#"(module (import "env" "log_reading" (func $log (param i32 f64)))
/// #   (func (export "read") (call $log (i32.const 3) (f64.const 21.5))))"#).unwrap();
/// use dormouse::{Limits, Runtime};
///
/// let runtime = Runtime::new();
/// let sensor = runtime
///     .deployment("sensor", &module)
///     .limits(Limits { fuel: 50_000_000, ..Limits::default() })
///     .instances(1..=8)
///     .host("env", "log_reading", |guest: &mut dormouse::Context, sensor: i32, celsius: f64| {
///         guest.log(&format!("sensor {sensor}: {celsius} C"))
///     })
///     .deploy()?;
/// assert_eq!(sensor.call("read", &[])?.log(), "sensor 3: 21.5 C\n");
/// # Ok::<(), dormouse::Error>(())
/// ```
#[must_use = "nothing is deployed until `deploy` is called"]
#[derive(Clone)]
pub struct Deployment {
    pub(super) functions: Arc<Functions>,
    pub(super) name: Box<str>,
    module: Arc<[u8]>,
    pub(super) options: Options,
    /// Kept apart from the options, so that it is part of a version only if there is one.
    pub(super) kv: Option<Arc<kv::Granted>>,
    pub(super) instances: RangeInclusive<usize>,
    pub(super) max_wait: Duration,
}

/// What is part of a version besides the module. The version hashes its debug form, which must not
/// differ between machines.
#[derive(Clone, Debug)]
pub(super) struct Options {
    pub(super) limits: Limits,
    pub(super) entry: Option<Box<str>>,
    pub(super) contract: Option<ContractKind>,
    pub(super) guest: GuestOptions,
    pub(super) host: Vec<Arc<HostFunction>>,
}

impl fmt::Debug for HostFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}{}", self.module, self.name, signature(&self.params, &self.results))
    }
}

impl Deployment {
    pub(crate) fn new(functions: &Arc<Functions>, name: &str, module: &[u8]) -> Self {
        Self {
            functions: Arc::clone(functions),
            name: name.into(),
            module: module.into(),
            options: Options {
                limits: Limits::default(),
                entry: None,
                contract: None,
                guest: GuestOptions::default(),
                host: Vec::new(),
            },
            kv: None,
            instances: 0..=2 * cores(),
            max_wait: MAX_WAIT,
        }
    }

    /// Sets the function's limits, instead of [`Limits::default`].
    pub fn limits(mut self, limits: Limits) -> Self {
        self.options.limits = limits;
        self
    }

    /// Sets how many instances are kept warm, and how many there may be at once. The default is 0,
    /// and twice the number of cores. With a maximum of 0 the function is off: its invocations are
    /// refused as busy.
    ///
    /// The deployment makes the minimum, and `trim` keeps it. A runtime that is short of room still
    /// takes from it.
    pub fn instances(mut self, instances: RangeInclusive<usize>) -> Self {
        self.instances = instances;
        self
    }

    /// Sets how long an invocation waits while all instances are in use. The default is 1 s, and
    /// zero means not to wait. It is real time, whatever the runtime's clock says.
    pub fn max_wait(mut self, max_wait: Duration) -> Self {
        self.max_wait = max_wait;
        self
    }

    /// Names the export that is given events. The default is `handle`. Its type is
    /// `(ptr: i32, len: i32) -> i64`, and for an Extism plug-in `() -> i32` or `() -> ()`. If a
    /// plug-in has no `handle` and exactly one other such export, that one is given the events.
    /// [`Invocation::entry`](crate::Invocation::entry) chooses for one invocation.
    pub fn entry(mut self, entry: &str) -> Self {
        self.options.entry = Some(entry.into());
        self
    }

    /// Names the contract by which the guest takes events, instead of the one that the runtime
    /// finds in its imports and exports. A module that does not keep it is refused.
    pub fn contract(mut self, contract: ContractKind) -> Self {
        self.options.contract = Some(contract);
        self
    }

    /// Sets what a guest of WASI preview 1 is given: arguments, environment, time, seeds. A later
    /// call replaces an earlier one.
    #[cfg(feature = "wasi")]
    pub fn wasi(mut self, options: Wasi) -> Self {
        self.options.guest.wasi = options;
        self
    }

    /// Sets what an Extism plug-in is given: configuration, variables, the level of its log. A
    /// later call replaces an earlier one.
    #[cfg(feature = "extism")]
    pub fn extism(mut self, options: Extism) -> Self {
        self.options.guest.extism = options;
        self
    }

    /// Grants the guest a key-value store, see [`kv`](crate::kv). The guest imports it from
    /// `dormouse:kv`, or as a plug-in from `extism:host/user`. By default it has none. A later call
    /// replaces an earlier one. The namespace and its limits are part of the version. The store is
    /// not.
    pub fn kv(mut self, grant: kv::Grant) -> Self {
        let granted = Arc::new(grant.to(&self.name));
        self.kv = Some(Arc::clone(&granted));
        #[cfg(feature = "extism")]
        let this = host::kv::block_functions(&granted).into_iter().fold(self, Self::grant);
        #[cfg(not(feature = "extism"))]
        let this = self;
        host::kv::functions(&granted).into_iter().fold(this, Self::grant)
    }

    /// Grants the guest a function of the host, under the module and name with which the guest
    /// imports it. A later function of the same name replaces an earlier one. See
    /// [`IntoHostFunction`] for the closures that fit.
    ///
    /// An error or a panic in the function ends the invocation. The function may invoke other
    /// functions through [`Context::runtime`](crate::Context::runtime).
    ///
    /// The version's hash covers the function's name and type, not its closure.
    pub fn host<P, R>(self, module: &str, name: &str, function: impl IntoHostFunction<P, R>) -> Self {
        self.grant(HostFunction::new(module, name, function))
    }

    /// As [`host`](Self::host), for a function whose type is known only at run time: in bindings to
    /// other languages, or for imports read from a file. The closure is given its arguments, and
    /// results of the right types to overwrite, which are zero until then. A result of another type
    /// is an error of the function.
    ///
    /// ```
    /// # let module = wat::parse_str(r#"(module (import "env" "sum" (func $sum (param i32 i32) (result i64)))
    /// #   (func (export "sum") (result i64) (call $sum (i32.const 20) (i32.const 22))))"#).unwrap();
    /// use dormouse::{Runtime, Value, ValueType::{I32, I64}};
    ///
    /// let adder = Runtime::new()
    ///     .deployment("adder", &module)
    ///     .host_dynamic("env", "sum", &[I32, I32], &[I64], |_, args, results| {
    ///         results[0] = Value::I64(args.iter().map(|value| value.as_i64()).sum());
    ///         Ok(())
    ///     })
    ///     .deploy()?;
    /// assert_eq!(adder.call("sum", &[])?.values(), [Value::I64(42)]);
    /// # Ok::<(), dormouse::Error>(())
    /// ```
    pub fn host_dynamic(
        self,
        module: &str,
        name: &str,
        params: &[ValueType],
        results: &[ValueType],
        function: impl Fn(&mut Context<'_>, &[Value], &mut [Value]) -> Result<(), HostError> + Send + Sync + 'static,
    ) -> Self {
        self.grant(HostFunction::dynamic(module, name, params, results, function))
    }

    fn grant(mut self, function: HostFunction) -> Self {
        let host = &mut self.options.host;
        host.retain(|other| other.module != function.module || other.name != function.name);
        host.push(Arc::new(function));
        self
    }

    /// Deploys: validates the module, compiles it lazily, runs its initialisation and captures the
    /// image. Then it replaces a function of the same name atomically.
    ///
    /// Initialisation (start function, `_initialize`, one `alloc`, as the contract defines) runs
    /// once, here, within the function's limits. All invocations share whatever it computes.
    ///
    /// # Errors
    /// See [`DeployError`]. After an error nothing has changed.
    pub fn deploy(self) -> Result<Function, DeployError> {
        let module = Arc::clone(&self.module);
        deploy::deploy(self, &module)
    }

    /// Deploys a module that the deployment does not hold itself.
    pub(crate) fn deploy_module(self, module: &[u8]) -> Result<Function, DeployError> {
        deploy::deploy(self, module)
    }
}

impl fmt::Debug for Deployment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deployment")
            .field("name", &self.name)
            .field("module_bytes", &self.module.len())
            .field("options", &self.options)
            .field("kv", &self.kv)
            .field("instances", &self.instances)
            .field("max_wait", &self.max_wait)
            .finish()
    }
}
