//! Deploying: from bytes and options to a version that can be invoked.

#[cfg(feature = "wasi")]
use std::time::SystemTime;
use std::{
    fmt,
    num::NonZero,
    ops::RangeInclusive,
    sync::{Arc, OnceLock, atomic::AtomicBool},
    thread,
    time::Duration,
};

use super::{
    Function, Target,
    deployed::{Deployed, Lanes, Mould},
    pool::{Pool, Ready},
};
#[cfg(feature = "extism")]
use crate::capability::extism;
#[cfg(feature = "wasi")]
use crate::capability::wasi;
use crate::{
    capability::{Context, HostError, HostFunction, IntoHostFunction, kv},
    contract::{Contract, ContractKind},
    error::{DeployError, InvokeErrorKind, cut, signature},
    instance::{Segment, Technique},
    limits::{Limits, STACK_MIN, is_name},
    module::{Prepared, Survey, self_check},
    runtime::Runtime,
    usage::{DeployReport, Label, Version, trace},
    value::{Value, ValueType},
};

/// Lanes of a function at most.
const LANES_MAX: usize = 16;

/// How long an invocation waits for an instance, unless the deployment says otherwise.
const MAX_WAIT: Duration = Duration::from_secs(1);

/// A deployment with choices, from [`Runtime::deployment`].
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
pub struct Deployment<'a> {
    runtime: &'a Runtime,
    name: &'a str,
    module: &'a [u8],
    options: Options<'a>,
    /// Beside the options, so that it is part of the versions of those alone that have it.
    kv: Option<Arc<kv::Granted>>,
    instances: RangeInclusive<usize>,
    max_wait: Duration,
}

/// What is part of a version besides the module. Its debug form is hashed, so it must not differ between machines.
#[derive(Debug)]
struct Options<'a> {
    limits: Limits,
    entry: Option<&'a str>,
    contract: Option<ContractKind>,
    #[cfg(feature = "wasi")]
    wasi: wasi::Options,
    #[cfg(feature = "extism")]
    extism: extism::Options,
    host: Vec<Arc<HostFunction>>,
}

impl fmt::Debug for HostFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}{}", self.module, self.name, signature(&self.params, &self.results))
    }
}

impl<'a> Deployment<'a> {
    pub(crate) fn new(runtime: &'a Runtime, name: &'a str, module: &'a [u8]) -> Self {
        Self {
            runtime,
            name,
            module,
            options: Options {
                limits: Limits::default(),
                entry: None,
                contract: None,
                #[cfg(feature = "wasi")]
                wasi: wasi::Options::default(),
                #[cfg(feature = "extism")]
                extism: extism::Options::default(),
                host: Vec::new(),
            },
            kv: None,
            instances: 0..=2 * cores(),
            max_wait: MAX_WAIT,
        }
    }

    /// The function's bounds, instead of [`Limits::default`].
    pub fn limits(mut self, limits: Limits) -> Self {
        self.options.limits = limits;
        self
    }

    /// Instances kept warm, and instances at most at once; default none, and twice the number of cores. With a maximum of
    /// 0 the function is off: its invocations are refused as busy.
    ///
    /// The minimum is made at deployment and kept by `trim`; a squeezed runtime takes from it all the same.
    pub fn instances(mut self, instances: RangeInclusive<usize>) -> Self {
        self.instances = instances;
        self
    }

    /// How long an invocation waits while all instances are in use; default 1 s, zero for not at all. Real time, whatever
    /// the runtime's clock says.
    pub fn max_wait(mut self, max_wait: Duration) -> Self {
        self.max_wait = max_wait;
        self
    }

    /// The export that is given events, `handle` unless named: `(ptr: i32, len: i32) -> i64`, of an Extism plug-in `() -> i32` or
    /// `() -> ()`. A plug-in that has no `handle` and one other such export is given them there;
    /// [`Invocation::entry`](crate::Invocation::entry) chooses for one invocation.
    pub fn entry(mut self, entry: &'a str) -> Self {
        self.options.entry = Some(entry);
        self
    }

    /// The contract by which the guest takes events, instead of the one that is found in its imports and exports. A module
    /// that does not keep it is refused.
    pub fn contract(mut self, contract: ContractKind) -> Self {
        self.options.contract = Some(contract);
        self
    }

    /// The arguments of a WASI program, its own name first; `guest` alone unless given. 64 KiB at most.
    #[cfg(feature = "wasi")]
    pub fn args<'s>(mut self, args: impl IntoIterator<Item = &'s str>) -> Self {
        self.options.wasi.args = Some(args.into_iter().map(Into::into).collect());
        self
    }

    /// A variable of a WASI guest's environment, which is empty unless given; of one name the later value holds. 63.5 KiB at
    /// most in all.
    ///
    /// A guest that is given an event by a trigger finds these beside them, whose prefix is reserved:
    ///
    /// | | |
    /// |---|---|
    /// | `DORMOUSE_FUNCTION` | the function's name |
    /// | `DORMOUSE_VERSION` | its version, 64 hexadecimal digits |
    /// | `DORMOUSE_TRIGGER` | the id of the trigger |
    /// | `DORMOUSE_DELIVERY` | the number of the delivery, the same at each attempt |
    /// | `DORMOUSE_ATTEMPT` | 1 at the first attempt |
    /// | `DORMOUSE_DEADLINE_MS` | the milliseconds that its run was given |
    ///
    /// In initialisation, and where its handle is invoked, there are none. A guest that reads its environment in initialisation, as some
    /// C libraries do on the first look, and keeps it in memory will find there what was there then.
    #[cfg(feature = "wasi")]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        let env = &mut self.options.wasi.env;
        match env.binary_search_by(|(known, _)| (**known).cmp(name)) {
            Ok(at) => env[at].1 = value.into(),
            Err(at) => env.insert(at, (name.into(), value.into())),
        }
        self
    }

    /// A value of an Extism plug-in's configuration, of which there is none unless given; of one key the later value holds. 1 MiB at
    /// most, 48 bytes for each key included. Keys that begin with `DORMOUSE_` are reserved: a plug-in that is given an event by a trigger
    /// finds under them what a WASI program finds in its environment.
    #[cfg(feature = "extism")]
    pub fn config(mut self, key: &str, value: &str) -> Self {
        self.options.extism.config.insert(key.into(), value.into());
        self
    }

    /// A variable that an Extism plug-in finds set in each invocation. What it sets itself is gone when the invocation ends. 1 MiB
    /// at most, 48 bytes for each key included.
    ///
    /// ```
    /// # let module = wat::parse_str(r#"(module (import "extism:host/env" "input_offset" (func $input (result i64)))
    /// #   (import "extism:host/env" "length" (func $length (param i64) (result i64)))
    /// #   (import "extism:host/env" "var_get" (func $get (param i64) (result i64)))
    /// #   (import "extism:host/env" "output_set" (func $output (param i64 i64)))
    /// #   (func (export "look") (local $at i64) (local.set $at (call $get (call $input)))
    /// #     (call $output (local.get $at) (call $length (local.get $at)))))"#).unwrap();
    /// let runtime = dormouse::Runtime::new();
    /// let look = runtime.deployment("look", &module).var("greeting", b"hello").deploy()?;
    /// assert_eq!(look.invoke(b"greeting")?.output(), b"hello");
    /// # Ok::<(), dormouse::Error>(())
    /// ```
    #[cfg(feature = "extism")]
    pub fn var(mut self, key: &str, value: &[u8]) -> Self {
        self.options.extism.vars.insert(key.into(), value.into());
        self
    }

    /// From which level on an Extism plug-in's log is kept; all of it unless given. Plug-ins can ask for it.
    #[cfg(feature = "extism")]
    pub fn log_level(mut self, level: crate::LogLevel) -> Self {
        self.options.extism.log_level = level;
        self
    }

    /// Grants the time to WASI guests: read with each of their readings of a clock, on the invoking thread. Their sleeps take
    /// no time and are added to what they read.
    ///
    /// Without it a guest's clock begins at 2000-01-01 in each invocation and advances by a microsecond with each reading, so
    /// that invocations are repeatable. In initialisation, whose outcome all invocations share, it always does.
    ///
    /// ```
    /// # let module = wat::parse_str(r#"(module (import "wasi_snapshot_preview1" "clock_time_get" (func $time (param i32 i64 i32) (result i32)))
    /// #   (memory (export "memory") 1)
    /// #   (func (export "now") (result i64) (drop (call $time (i32.const 0) (i64.const 0) (i32.const 0))) (i64.load (i32.const 0))))"#).unwrap();
    /// # let runtime = dormouse::Runtime::new();
    /// let function = runtime.deployment("clock", &module).time(std::time::SystemTime::now).deploy()?;
    /// assert!(function.call("now", &[])?.values()[0].as_u64() > 1_700_000_000 * 1_000_000_000);
    /// # Ok::<(), dormouse::Error>(())
    /// ```
    #[cfg(feature = "wasi")]
    pub fn time(mut self, time: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        self.options.wasi.time = Some(Arc::new(time));
        self
    }

    /// Grants seeds for the random numbers of WASI guests: asked for once in each invocation that draws any, on the invoking
    /// thread. Random numbers are SHA-256 of the seed and a counter: as good as the seed is secret.
    ///
    /// Without it they come from a seed that is the same for all invocations of a version, so that invocations are repeatable
    /// (and nothing that a guest draws is a secret). In initialisation, whose outcome all invocations share, they always do.
    #[cfg(feature = "wasi")]
    pub fn seeds(mut self, seeds: impl Fn() -> [u8; 32] + Send + Sync + 'static) -> Self {
        self.options.wasi.seeds = Some(Arc::new(seeds));
        self
    }

    /// Grants the guest a key-value store, which it imports from `dormouse:kv`, or as a plug-in from `extism:host/user`: see [`kv`](crate::kv). Without it there is none. Given
    /// twice, the later holds. The namespace and its limits are part of the version, the store is not.
    pub fn kv(mut self, grant: kv::Grant) -> Self {
        let granted = Arc::new(grant.to(self.name));
        self.kv = Some(Arc::clone(&granted));
        #[cfg(feature = "extism")]
        let this = kv::block_functions(&granted).into_iter().fold(self, Self::grant);
        #[cfg(not(feature = "extism"))]
        let this = self;
        kv::functions(&granted).into_iter().fold(this, Self::grant)
    }

    /// Grants the guest a function of the host under the module and name by which it imports it. Given twice, the later
    /// holds. See [`IntoHostFunction`] for what closures fit.
    ///
    /// An error or a panic in it ends the invocation. It may invoke other functions through
    /// [`Context::runtime`](crate::Context::runtime).
    ///
    /// A closure is not part of the version's hash, only its name and type are.
    pub fn host<P, R>(self, module: &str, name: &str, function: impl IntoHostFunction<P, R>) -> Self {
        self.grant(HostFunction::new(module, name, function))
    }

    /// As [`host`](Self::host), for a function whose type is known at run time alone: bindings to other languages, imports
    /// read from a file. It is given its arguments, and results of the right types to overwrite, zeros until then; a result of
    /// another type is an error of the function's.
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

    /// Deploys: validates the module, compiles it lazily, runs its initialisation and captures the image. A function that
    /// has the name is replaced atomically, once all has gone well.
    ///
    /// Initialisation (start function, `_initialize`, one `alloc`, as the contract has it) runs once, here, within the function's limits.
    /// Whatever it computes is shared by all invocations.
    ///
    /// # Errors
    /// See [`DeployError`]; nothing has changed then.
    pub fn deploy(self) -> Result<Function, DeployError> {
        let Self { runtime, name, module, mut options, kv, instances, max_wait } = self;
        let _span = trace::deployment(name);
        let clock = runtime.clock();
        let began = clock.now();
        // The order in which they were given is no part of the version.
        options.host.sort_by(|a, b| (&a.module, &a.name).cmp(&(&b.module, &b.name)));
        if !is_name(name) {
            return Err(DeployError::InvalidName { name: cut(name) });
        }
        check_options(&options, &instances)?;
        if let Some(problem) = kv.as_ref().and_then(|granted| granted.problem()) {
            return Err(DeployError::InvalidOption { option: "kv", problem: problem.into() });
        }
        self_check()?;

        let survey = Survey::of(module, &options.limits)?;
        let prepared = Prepared::new(&survey, &options.host, &options.limits, *instances.end())?;
        let code = prepared.compile().map_err(|problem| DeployError::Refused { problem })?;
        let contract = Contract::detect(&prepared, options.contract, options.entry)?;
        let segments = segments(&survey)?;
        let version = match &kv {
            None => Version::of(module, &options),
            Some(granted) => Version::of(module, &(&options, granted)),
        };
        let label = Label { name: name.into(), version };
        #[cfg(feature = "wasi")]
        let grant = prepared.imports_wasi.then(|| Arc::new(options.wasi.grant(label.version.as_bytes())));
        #[cfg(feature = "extism")]
        let plugin = (contract.is_extism() || prepared.imports_extism).then(|| Arc::new(options.extism.grant()));
        let lanes = lanes(*instances.end());
        let mould = Mould {
            prepared: Arc::new(prepared),
            lanes: Lanes::new(lanes, code, label),
            contract,
            #[cfg(feature = "wasi")]
            wasi: grant,
            #[cfg(feature = "extism")]
            extism: plugin,
            limits: options.limits,
            clock: Arc::clone(clock),
            home: runtime.home(),
            budget: Arc::clone(runtime.budget()),
        };
        let (instance, init) = mould.initialise(0, &segments).map_err(refused)?;
        let prepared = &mould.prepared;
        if prepared.reinitialises && init.host_calls > 0 {
            return Err(DeployError::UnrepeatableInitialisation { calls: init.host_calls });
        }
        let image = instance.capture();
        let technique = Technique::choose(runtime.reset(), prepared, &image, &mould.limits);
        let report = DeployReport {
            label: Arc::clone(mould.label()),
            module_bytes: module.len() as u64,
            functions: prepared.functions,
            contract: mould.contract.name(),
            init_fuel: init.fuel,
            duration: clock.now().saturating_sub(began),
            memory: image.memory_bytes(),
            image_bytes: image.kept_bytes(),
            reset: technique.name(),
        };
        trace::report(&report);
        let pool = Arc::new(Pool::new(*instances.start(), *instances.end(), lanes, max_wait));
        let (tallies, is_new) = runtime.books().open(mould.label());
        let deployed = Arc::new(Deployed {
            report,
            image,
            segments: if prepared.reinitialises { segments } else { Vec::new() },
            pool,
            tallies: Arc::clone(&tallies),
            reset: runtime.reset(),
            technique,
            mapped: OnceLock::new(),
            unmappable: AtomicBool::new(false),
            started: AtomicBool::new(*instances.end() > 0),
            mould,
        });
        if *instances.end() > 0 {
            let bound = deployed.mould.contract.bind(&instance);
            let counter = deployed.tallies.counter();
            deployed.pool.adopt(
                Ready { instance, bound, counter, lane: 0, is_newborn: true, since: Duration::ZERO },
                clock.now(),
            );
        }
        let prewarmed = if *instances.start() > 0 { deployed.prewarm(*instances.start()) } else { Ok(0) };
        let installed = prewarmed.map_err(refused).and_then(|_| runtime.install(name, &deployed));
        if installed.is_err() && is_new {
            let label = Arc::clone(deployed.label());
            drop(deployed);
            runtime.books().withdraw(&label, &tallies);
        }
        Ok(Function { runtime: runtime.clone(), target: Target::Name(installed?) })
    }
}

/// Lanes of a function with so many instances: as many as can run at once, within reason, since each compiles the code that
/// it runs for itself.
fn lanes(instances: usize) -> usize {
    instances.min(cores()).clamp(1, LANES_MAX)
}

/// Cores that this process may use. Asked once: the standard library opens files of the control group to find out, which
/// took most of the time of deploying a small module.
fn cores() -> usize {
    static CORES: OnceLock<usize> = OnceLock::new();
    *CORES.get_or_init(|| thread::available_parallelism().map_or(1, NonZero::get))
}

/// A failure of initialisation as a refusal to deploy.
fn refused(kind: InvokeErrorKind) -> DeployError {
    match kind {
        InvokeErrorKind::Busy(busy) => DeployError::Busy(busy),
        InvokeErrorKind::Initialise { step, cause } => DeployError::Initialise { step, cause },
        cause => DeployError::Initialise { step: "instantiation", cause: Box::new(cause) },
    }
}

fn check_options(options: &Options<'_>, instances: &RangeInclusive<usize>) -> Result<(), DeployError> {
    let invalid = |option, problem: String| Err(DeployError::InvalidOption { option, problem: problem.into() });
    if instances.start() > instances.end() {
        return invalid(
            "instances",
            format!("{} kept warm are more than {} at most", instances.start(), instances.end()),
        );
    }
    #[cfg(feature = "wasi")]
    if let Some((option, problem)) = options.wasi.problem() {
        return invalid(option, problem);
    }
    #[cfg(feature = "extism")]
    if let Some((option, problem)) = options.extism.problem() {
        return invalid(option, problem);
    }
    if options.limits.stack < STACK_MIN {
        return invalid(
            "limits",
            format!("a stack of {} bytes is below the minimum of {STACK_MIN}", options.limits.stack),
        );
    }
    Ok(())
}

/// The active data segments, each of which must lie within its memory.
fn segments(survey: &Survey<'_>) -> Result<Vec<Segment>, DeployError> {
    let mut segments = Vec::new();
    for (index, data) in survey.data.iter().enumerate() {
        let Some((memory, offset)) = data.active else { continue };
        let size = survey.memories[memory as usize].initial_bytes();
        let len = data.bytes.len() as u64;
        if offset.checked_add(len).is_none_or(|end| end > size) {
            return Err(DeployError::SegmentOutOfBounds { segment: index as u32, memory, offset, len, size });
        }
        segments.push(Segment {
            memory: memory as usize,
            at: offset as usize,
            bytes: survey.module[data.bytes.clone()].into(),
        });
    }
    Ok(segments)
}
