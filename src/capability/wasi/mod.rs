//! WASI preview 1 for guests that know nothing of us: the part of it that means something to a function.
//!
//! Source: `wasi_snapshot_preview1.witx` and its `typenames.witx`. Every function of it is provided, so that any program
//! deploys; those without meaning here answer the errno that says so. README, "WASI", lists which.
//!
//! Invariant: what a guest can observe through it is the same in each invocation, unless the host grants time or seeds; and
//! nothing here keeps more than the limits on input, output and log allow.

mod calls;
mod poll;
mod stdio;

use std::{
    fmt, str,
    sync::{Arc, LazyLock},
    time::{Duration, SystemTime},
};

use sha2::{Digest, Sha256};

use super::HostFunction;
#[cfg(feature = "events")]
use crate::usage::{VARIABLE_PREFIX, VARIABLES_MAX};

/// The module that guests import it from.
pub(crate) const MODULE: &str = "wasi_snapshot_preview1";

/// All its functions.
pub(crate) fn functions() -> &'static [Arc<HostFunction>] {
    static FUNCTIONS: LazyLock<Vec<Arc<HostFunction>>> = LazyLock::new(calls::all);
    &FUNCTIONS
}

/// When a guest's clock begins, unless the host grants time: 2000-01-01T00:00:00Z.
const EPOCH: Duration = Duration::from_secs(946_684_800);

/// What one reading of that clock takes.
const TICK: Duration = Duration::from_micros(1);

/// Room for an input or a reply that an idle instance keeps.
const KEPT_MAX: usize = 64 << 10;

/// A source of time, or of seeds, that a host grants.
pub(crate) type TimeSource = dyn Fn() -> SystemTime + Send + Sync;
pub(crate) type SeedSource = dyn Fn() -> [u8; 32] + Send + Sync;

/// What a deployment gives to its guest, the same for all instances.
pub(crate) struct Grant {
    /// Each ends in NUL.
    args: Strings,
    env: Strings,
    /// What random numbers come from where the host grants nothing else: the same for a version.
    seed: [u8; 32],
    time: Option<Arc<TimeSource>>,
    seeds: Option<Arc<SeedSource>>,
}

/// Strings as a guest gets them: one after the other, each with a NUL behind it.
#[derive(Clone, Default)]
struct Strings {
    count: u32,
    bytes: Vec<u8>,
}

impl Strings {
    fn of<'a>(strings: impl Iterator<Item = &'a str>) -> Self {
        let mut all = Self::default();
        strings.for_each(|string| all.push(&[string]));
        all
    }

    /// One more, in parts.
    fn push(&mut self, parts: &[&str]) {
        parts.iter().for_each(|part| self.bytes.extend_from_slice(part.as_bytes()));
        self.bytes.push(0);
        self.count += 1;
    }
}

/// What a deployment asks for. Its debug form is part of the version: sources are told by their presence alone.
#[derive(Clone, Default)]
pub(crate) struct Options {
    pub(crate) args: Option<Vec<Box<str>>>,
    /// In ascending order of names.
    pub(crate) env: Vec<(Box<str>, Box<str>)>,
    pub(crate) time: Option<Arc<TimeSource>>,
    pub(crate) seeds: Option<Arc<SeedSource>>,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { args, env, time, seeds } = self;
        write!(f, "{args:?} {env:?} {} {}", time.is_some(), seeds.is_some())
    }
}

/// Bytes of all arguments, or of the whole environment, at most.
const STRINGS_MAX: usize = 64 << 10;

/// Of the environment, what a deployment may give: there is always room for what a delivery is told.
#[cfg(feature = "events")]
const ENV_MAX: usize = STRINGS_MAX - VARIABLES_MAX;
#[cfg(not(feature = "events"))]
const ENV_MAX: usize = STRINGS_MAX;

impl Options {
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
        #[cfg(feature = "events")]
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
    pub(crate) fn grant(&self, version: &[u8; 32]) -> Grant {
        let env: Vec<String> = self.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
        Grant {
            args: match &self.args {
                Some(args) => Strings::of(args.iter().map(|arg| &**arg)),
                None => Strings::of(["guest"].into_iter()),
            },
            env: Strings::of(env.iter().map(String::as_str)),
            seed: *version,
            time: self.time.clone(),
            seeds: self.seeds.clone(),
        }
    }
}

/// The host's side of one instance.
pub(crate) struct Wasi {
    grant: Arc<Grant>,
    base: Base,
    run: Run,
}

/// What initialisation leaves for every run to begin with: where the guest's memory remembers it, it must still hold.
#[derive(Clone, Copy, Default)]
pub(crate) struct Base {
    /// By how much the guest's clock is ahead, by readings and by sleeping.
    ahead: Duration,
    /// The latest time that the guest's monotonic clock has shown.
    latest: Duration,
    /// Descriptors that were closed, a bit each.
    closed: u8,
}

/// What belongs to one run.
#[derive(Default)]
struct Run {
    input: Vec<u8>,
    /// How much of it has been read.
    read: usize,
    /// Where standard output goes, for a command; else it goes to the log.
    output: Option<Vec<u8>>,
    output_max: u64,
    /// Initialisation, whose outcome all invocations share: nothing that the host grants is used in it.
    initialising: bool,
    /// As it is now.
    base: Base,
    /// The seed of this run, once it is known, and how many bytes have been drawn.
    seed: Option<[u8; 32]>,
    drawn: u64,
}

impl Wasi {
    pub(crate) fn new(grant: Arc<Grant>, base: Base) -> Self {
        Self { grant, base, run: Run { base, ..Run::default() } }
    }

    /// The run that begins is initialisation.
    pub(crate) fn initialise(&mut self) {
        self.run.initialising = true;
    }

    /// Lets every run begin where this one has ended, which is initialisation.
    pub(crate) fn seal(&mut self) {
        self.base = self.run.base;
    }

    pub(crate) fn base(&self) -> Base {
        self.base
    }

    /// Forgets the run.
    pub(crate) fn clear(&mut self) {
        let mut input = std::mem::take(&mut self.run.input);
        input.clear();
        input.shrink_to(KEPT_MAX);
        self.run = Run { input, base: self.base, ..Run::default() };
    }

    /// What random numbers of this run come from.
    pub(crate) fn seed(&mut self, seed: [u8; 32]) {
        self.run.seed = Some(seed);
    }

    /// Gives a command its input, and where its output goes: into `output`, which is taken until [`Wasi::take_output`].
    pub(crate) fn begin(&mut self, input: &[u8], output: &mut Vec<u8>, output_max: u64) {
        self.run.input.extend_from_slice(input);
        self.run.output = Some(std::mem::take(output));
        self.run.output_max = output_max;
    }

    /// What a command has written, and the room that it was given for it.
    pub(crate) fn take_output(&mut self) -> Vec<u8> {
        self.run.output.take().unwrap_or_default()
    }

    /// A reading of the guest's clock, since 1970: of the time that the host grants, or of one that advances with each reading.
    fn now(&mut self) -> Duration {
        let run = &mut self.run;
        let base = match &self.grant.time {
            Some(time) if !run.initialising => time().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default(),
            _ => {
                run.base.ahead = run.base.ahead.saturating_add(TICK);
                EPOCH
            }
        };
        base.saturating_add(run.base.ahead)
    }

    /// The same for a clock that never goes back.
    fn monotonic(&mut self) -> Duration {
        let now = self.now();
        let latest = &mut self.run.base.latest;
        *latest = (*latest).max(now);
        *latest
    }

    /// Sleeps: the guest's clock moves on.
    fn sleep(&mut self, time: Duration) {
        self.run.base.ahead = self.run.base.ahead.saturating_add(time);
    }

    /// Random bytes: SHA-256 of the seed, of what is run, and of a counter.
    fn random(&mut self, bytes: &mut [u8]) {
        let Self { grant, run, .. } = self;
        let seed = *run.seed.get_or_insert_with(|| match &grant.seeds {
            Some(seeds) if !run.initialising => seeds(),
            _ => grant.seed,
        });
        let mut bytes = bytes.iter_mut();
        while bytes.len() > 0 {
            let mut hash = Sha256::new();
            hash.update(seed);
            hash.update([u8::from(run.initialising)]);
            hash.update((run.drawn / 32).to_le_bytes());
            let block = hash.finalize();
            let skip = (run.drawn % 32) as usize;
            for (to, from) in (&mut bytes).take(32 - skip).zip(&block[skip..]) {
                *to = *from;
                run.drawn += 1;
            }
        }
    }
}
