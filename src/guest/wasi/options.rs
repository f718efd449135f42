//! What a deployment gives to a guest of WASI.

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
// The debug form is part of the version: sources are told by their presence alone.
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

/// Bytes of all arguments, or of the whole environment, at most.
const STRINGS_MAX: usize = 64 << 10;

/// Of the environment, what a deployment may give: there is always room for what a delivery is told.
const ENV_MAX: usize = STRINGS_MAX - VARIABLES_MAX;

impl Wasi {
    /// No arguments but a name, an empty environment, and a clock and random numbers that repeat.
    pub fn new() -> Self {
        Self::default()
    }

    /// The arguments of a WASI program, its own name first; `guest` alone unless given. 64 KiB at most.
    pub fn args<'s>(mut self, args: impl IntoIterator<Item = &'s str>) -> Self {
        self.args = Some(args.into_iter().map(Into::into).collect());
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
    pub fn env(mut self, name: &str, value: &str) -> Self {
        let env = &mut self.env;
        match env.binary_search_by(|(known, _)| (**known).cmp(name)) {
            Ok(at) => env[at].1 = value.into(),
            Err(at) => env.insert(at, (name.into(), value.into())),
        }
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

    /// Grants seeds for the random numbers of WASI guests: asked for once in each invocation that draws any, on the invoking
    /// thread. Random numbers are SHA-256 of the seed and a counter: as good as the seed is secret.
    ///
    /// Without it they come from a seed that is the same for all invocations of a version, so that invocations are repeatable
    /// (and nothing that a guest draws is a secret). In initialisation, whose outcome all invocations share, they always do.
    pub fn seeds(mut self, seeds: impl Fn() -> [u8; 32] + Send + Sync + 'static) -> Self {
        self.seeds = Some(Arc::new(seeds));
        self
    }

    /// What is wrong with them.
    pub(crate) fn problem(&self) -> Option<(&'static str, String)> {
        let args = self.args.iter().flatten();
        if args.clone().any(|arg| arg.contains('\0')) {
            return Some(("args", "an argument has a NUL in it, where the guest would see its end".into()));
        }
        if let Some((name, _)) =
            self.env.iter().find(|(name, value)| name.is_empty() || name.contains(['=', '\0']) || value.contains('\0'))
        {
            return Some((
                "env",
                format!(
                    "the variable {name:?} is none: a name is not empty and has no `=`, and neither name nor value has a NUL"
                ),
            ));
        }
        if let Some((name, _)) = self.env.iter().find(|(name, _)| name.starts_with(VARIABLE_PREFIX)) {
            let problem = format!(
                "the variable {name:?} is reserved: names that begin with {VARIABLE_PREFIX} tell of the delivery"
            );
            return Some(("env", problem));
        }
        let args = args.map(|arg| arg.len() + 1).sum::<usize>();
        let env = self.env.iter().map(|(name, value)| name.len() + value.len() + 2).sum::<usize>();
        let all = [("args", args, STRINGS_MAX), ("env", env, ENV_MAX)];
        let too_large = all.into_iter().find(|(_, bytes, max)| bytes > max);
        too_large.map(|(option, bytes, max)| (option, format!("{bytes} bytes, above the limit of {max}")))
    }

    /// As all instances of a version share it.
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
