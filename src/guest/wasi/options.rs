//! The options of a deployment for a guest of WASI.
//!
//! Invariant: the debug form of the options is part of the version.

use std::{fmt, sync::Arc, time::SystemTime};

use super::state::{Settings, Strings};
use crate::usage::{VARIABLE_PREFIX, VARIABLES_MAX};

/// A source of time, or of seeds, that a host grants.
pub(super) type TimeSource = dyn Fn() -> SystemTime + Send + Sync;
pub(super) type SeedSource = dyn Fn() -> [u8; 32] + Send + Sync;

/// What a deployment gives to a guest of WASI preview 1, for
/// [`Deployment::wasi`](crate::Deployment::wasi).
///
/// ```
/// use dormouse::Wasi;
///
/// let options = Wasi::new().args(["guest", "--verbose"]).env("TZ", "UTC").time(std::time::SystemTime::now);
/// # let _ = options;
/// ```
// The debug form is part of the version. Of a source, only its presence counts.
#[must_use = "it has no effect until it is given to a deployment"]
#[derive(Clone, Default)]
pub struct Wasi {
    args: Option<Vec<Box<str>>>,
    /// In ascending order of names.
    env: Vec<(Box<str>, Box<str>)>,
    time: Option<Arc<TimeSource>>,
    seeds: Option<Arc<SeedSource>>,
}

impl fmt::Debug for Wasi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { args, env, time, seeds } = self;
        write!(f, "{args:?} {env:?} {} {}", time.is_some(), seeds.is_some())
    }
}

/// The most bytes of all arguments, or of the whole environment.
const STRINGS_MAX: usize = 64 << 10;

/// The most bytes of the environment that a deployment may give. The rest is room for the variables
/// that describe a delivery.
const ENV_MAX: usize = STRINGS_MAX - VARIABLES_MAX;

impl Wasi {
    /// A name as the only argument, an empty environment, and a deterministic clock and random
    /// numbers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the arguments of a WASI program, its own name first. The default is `guest` alone. All
    /// arguments may have 64 KiB.
    pub fn args<'s>(mut self, args: impl IntoIterator<Item = &'s str>) -> Self {
        self.args = Some(args.into_iter().map(Into::into).collect());
        self
    }

    /// Sets a variable of a WASI guest's environment, which is empty by default. A later value of
    /// the same name replaces the earlier one. The environment may have 63.5 KiB.
    ///
    /// A guest that serves a delivery also finds these variables. Their prefix is reserved:
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
    /// They are absent in initialisation, and in an invocation through the function's handle. Some
    /// C libraries read the environment once, in initialisation, and keep it in memory. Such a
    /// guest keeps what was there then.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        let env = &mut self.env;
        match env.binary_search_by(|(known, _)| (**known).cmp(name)) {
            Ok(at) => env[at].1 = value.into(),
            Err(at) => env.insert(at, (name.into(), value.into())),
        }
        self
    }

    /// Grants the time to WASI guests. The runtime calls `time` with each reading of a clock, on
    /// the invoking thread. A guest's sleeps take no real time and are added to what it reads.
    ///
    /// Without it a guest's clock begins at 2000-01-01 in each invocation and advances by a
    /// microsecond with each reading. So invocations are repeatable. In initialisation, whose
    /// outcome all invocations share, the clock is always this one.
    ///
    /// ```
    /// # let module = wat::parse_str(r#"(module (import "wasi_snapshot_preview1" "clock_time_get" (func $time (param i32 i64 i32) (result i32)))
    /// #   (memory (export "memory") 1)
    /// #   (func (export "now") (result i64) (drop (call $time (i32.const 0) (i64.const 0) (i32.const 0))) (i64.load (i32.const 0))))"#).unwrap();
    /// # let runtime = dormouse::Runtime::new();
    /// use dormouse::Wasi;
    /// use std::time::SystemTime;
    ///
    /// let function = runtime.deployment("clock", &module).wasi(Wasi::new().time(SystemTime::now)).deploy()?;
    /// assert!(function.call("now", &[])?.values()[0].as_u64() > 1_700_000_000 * 1_000_000_000);
    /// # Ok::<(), dormouse::Error>(())
    /// ```
    pub fn time(mut self, time: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        self.time = Some(Arc::new(time));
        self
    }

    /// Grants seeds for the random numbers of WASI guests. The runtime calls `seeds` once in each
    /// invocation that draws random numbers, on the invoking thread. Random numbers are SHA-256 of
    /// the seed and a counter. They are as secret as the seed.
    ///
    /// Without it they come from a seed that is the same for all invocations of a version. So
    /// invocations are repeatable, and nothing that a guest draws is a secret. In initialisation,
    /// whose outcome all invocations share, the seed is always this one.
    pub fn seeds(mut self, seeds: impl Fn() -> [u8; 32] + Send + Sync + 'static) -> Self {
        self.seeds = Some(Arc::new(seeds));
        self
    }

    /// The first option that cannot be met, and why.
    pub(crate) fn problem(&self) -> Option<(&'static str, String)> {
        let args = self.args.iter().flatten();
        if args.clone().any(|arg| arg.contains('\0')) {
            return Some(("args", "an argument contains a NUL, which would end it early for the guest".into()));
        }
        if let Some((name, _)) =
            self.env.iter().find(|(name, value)| name.is_empty() || name.contains(['=', '\0']) || value.contains('\0'))
        {
            return Some((
                "env",
                format!(
                    "the variable {name:?} is invalid: a name must not be empty or contain `=`, and neither name nor value may contain a NUL"
                ),
            ));
        }
        if let Some((name, _)) = self.env.iter().find(|(name, _)| name.starts_with(VARIABLE_PREFIX)) {
            let problem = format!(
                "the variable {name:?} is reserved: names that begin with {VARIABLE_PREFIX} describe the delivery"
            );
            return Some(("env", problem));
        }
        let args = args.map(|arg| arg.len() + 1).sum::<usize>();
        let env = self.env.iter().map(|(name, value)| name.len() + value.len() + 2).sum::<usize>();
        let all = [("args", args, STRINGS_MAX), ("env", env, ENV_MAX)];
        let too_large = all.into_iter().find(|(_, bytes, max)| bytes > max);
        too_large.map(|(option, bytes, max)| (option, format!("{bytes} bytes, above the limit of {max}")))
    }

    /// The form that all instances of a version share.
    pub(crate) fn settings(&self, version: &[u8; 32]) -> Option<Arc<Settings>> {
        let env: Vec<String> = self.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
        Some(Arc::new(Settings {
            args: match &self.args {
                Some(args) => Strings::of(args.iter().map(|arg| &**arg)),
                None => Strings::of(["guest"].into_iter()),
            },
            env: Strings::of(env.iter().map(String::as_str)),
            seed: *version,
            time: self.time.clone(),
            seeds: self.seeds.clone(),
        }))
    }
}
