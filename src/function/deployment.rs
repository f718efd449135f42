//! Deploying: from bytes and options to a version that can be invoked.

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
    deployed::{Deployed, Mould},
    pool::{Pool, Ready},
};
use crate::{
    capability::{HostFunction, IntoHostFunction},
    contract::Contract,
    error::{DeployError, InvokeErrorKind, cut, signature},
    instance::Segment,
    limits::{Limits, STACK_MIN},
    module::{Prepared, Survey, self_check},
    runtime::Runtime,
    usage::{DeployReport, Label, Version, trace},
};

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
    instances: RangeInclusive<usize>,
    max_wait: Duration,
}

/// What is part of a version besides the module. Its debug form is hashed, so it must not differ between machines.
#[derive(Debug)]
struct Options<'a> {
    limits: Limits,
    entry: Option<&'a str>,
    host: Vec<Arc<HostFunction>>,
}

impl fmt::Debug for HostFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}{}", self.module, self.name, signature(self.params, self.results))
    }
}

impl<'a> Deployment<'a> {
    pub(crate) fn new(runtime: &'a Runtime, name: &'a str, module: &'a [u8]) -> Self {
        Self {
            runtime,
            name,
            module,
            options: Options { limits: Limits::default(), entry: None, host: Vec::new() },
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

    /// The export that is given events, `handle` unless named: `(ptr: i32, len: i32) -> i64`.
    pub fn entry(mut self, entry: &'a str) -> Self {
        self.options.entry = Some(entry);
        self
    }

    /// Grants the guest a function of the host under the module and name by which it imports it. Given twice, the later
    /// holds. See [`IntoHostFunction`] for what closures fit.
    ///
    /// An error or a panic in it ends the invocation. It may invoke other functions through
    /// [`Context::runtime`](crate::Context::runtime).
    ///
    /// A closure is not part of the version's hash, only its name and type are.
    pub fn host<P, R>(mut self, module: &str, name: &str, function: impl IntoHostFunction<P, R>) -> Self {
        let host = &mut self.options.host;
        host.retain(|other| *other.module != *module || *other.name != *name);
        host.push(Arc::new(HostFunction::new(module, name, function)));
        self
    }

    /// Deploys: validates the module, compiles it lazily, runs its initialisation and captures the image. A function that
    /// has the name is replaced atomically, once all has gone well.
    ///
    /// Initialisation (start function, `_initialize`, one `alloc`) runs once, here, within the function's limits.
    /// Whatever it computes is shared by all invocations.
    ///
    /// # Errors
    /// See [`DeployError`]; nothing has changed then.
    pub fn deploy(self) -> Result<Function, DeployError> {
        let Self { runtime, name, module, mut options, instances, max_wait } = self;
        let _span = trace::deployment(name);
        let clock = runtime.clock();
        let began = clock.now();
        // The order in which they were given is no part of the version.
        options.host.sort_by(|a, b| (&a.module, &a.name).cmp(&(&b.module, &b.name)));
        check_name(name)?;
        check_options(&options, &instances)?;
        self_check()?;

        let survey = Survey::of(module, &options.limits)?;
        let prepared = Prepared::new(module, &survey, &options.host, &options.limits, *instances.end())?;
        let contract = Contract::detect(&prepared, options.entry)?;
        let segments = segments(module, &survey)?;
        let label = Arc::new(Label { name: name.into(), version: Version::of(module, &options) });
        let mould = Mould {
            prepared: Arc::new(prepared),
            contract,
            label: Arc::clone(&label),
            limits: options.limits,
            clock: Arc::clone(clock),
            home: runtime.home(),
            budget: Arc::clone(runtime.budget()),
        };
        let (instance, init) = mould.initialise(&segments).map_err(refused)?;
        let prepared = &mould.prepared;
        if prepared.reinitialises && init.host_calls > 0 {
            return Err(DeployError::UnrepeatableInitialisation { calls: init.host_calls });
        }
        let image = instance.capture();
        let report = DeployReport {
            label: Arc::clone(&label),
            module_bytes: module.len() as u64,
            functions: prepared.functions,
            contract: mould.contract.name(),
            init_fuel: init.fuel,
            duration: clock.now().saturating_sub(began),
            memory: image.memory_bytes(),
            image_bytes: image.kept_bytes(),
            reset: match prepared {
                p if p.drops_segments => "replaced",
                p if p.globals.is_empty() && p.tables.is_empty() && !p.memories.iter().any(|memory| memory.written) => {
                    "none"
                }
                _ => "in place",
            },
        };
        trace::report(&report);
        let pool = Pool::new(*instances.start(), *instances.end(), max_wait);
        let deployed = Arc::new(Deployed {
            label,
            report,
            image,
            segments: if prepared.reinitialises { segments } else { Vec::new() },
            pool,
            reset: runtime.reset(),
            mapped: OnceLock::new(),
            unmappable: AtomicBool::new(false),
            mould,
        });
        if *instances.start() > 0 {
            let bound = deployed.mould.contract.bind(&instance);
            deployed.pool.adopt(Ready { instance, bound }, clock.now());
            deployed.prewarm(*instances.start()).map_err(refused)?;
        }
        let slot = runtime.install(name, &deployed)?;
        Ok(Function { runtime: runtime.clone(), target: Target::Name(slot) })
    }
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

/// Names are what can stand in a file name, a URL and a log line as it is.
fn check_name(name: &str) -> Result<(), DeployError> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if (1..=64).contains(&name.len()) && name.bytes().all(fits) {
        return Ok(());
    }
    Err(DeployError::InvalidName { name: cut(name) })
}

fn check_options(options: &Options<'_>, instances: &RangeInclusive<usize>) -> Result<(), DeployError> {
    let invalid = |option, problem: String| Err(DeployError::InvalidOption { option, problem: problem.into() });
    if instances.start() > instances.end() {
        return invalid(
            "instances",
            format!("{} kept warm are more than {} at most", instances.start(), instances.end()),
        );
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
fn segments(module: &[u8], survey: &Survey) -> Result<Vec<Segment>, DeployError> {
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
            bytes: module[data.bytes.clone()].into(),
        });
    }
    Ok(segments)
}
