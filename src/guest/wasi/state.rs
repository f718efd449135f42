//! The host's state for a guest of WASI preview 1: its clock, its random numbers, its input and its
//! output.
//!
//! Source: `wasi_snapshot_preview1.witx` and its `typenames.witx`.
//!
//! Invariant: a guest observes the same in each invocation, unless the host grants time or seeds.
//! Nothing here keeps more than the limits on input, output and log allow.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use sha2::{Digest, Sha256};

use super::options::{SeedSource, TimeSource};

/// The first time of a guest's clock, unless the host grants time: 2000-01-01T00:00:00Z.
const EPOCH: Duration = Duration::from_secs(946_684_800);

/// How far one reading moves that clock.
pub(super) const TICK: Duration = Duration::from_micros(1);

/// Room for an input or a reply that an idle instance keeps.
const KEPT_MAX: usize = 64 << 10;

/// The options of a deployment, in the form that all instances share.
pub(crate) struct Settings {
    /// Each ends with a NUL.
    pub(super) args: Strings,
    pub(super) env: Strings,
    /// The seed of random numbers if the host grants no seeds. It is the same for all invocations
    /// of a version.
    pub(super) seed: [u8; 32],
    pub(super) time: Option<Arc<TimeSource>>,
    pub(super) seeds: Option<Arc<SeedSource>>,
}

/// Strings in the form that a guest reads: one after the other, each with a NUL behind it.
#[derive(Clone, Default)]
pub(super) struct Strings {
    pub(super) count: u32,
    pub(super) bytes: Vec<u8>,
}

impl Strings {
    pub(super) fn of<'a>(strings: impl Iterator<Item = &'a str>) -> Self {
        let mut all = Self::default();
        strings.for_each(|string| all.push(&[string]));
        all
    }

    /// Appends one string, given in parts.
    pub(super) fn push(&mut self, parts: &[&str]) {
        parts.iter().for_each(|part| self.bytes.extend_from_slice(part.as_bytes()));
        self.bytes.push(0);
        self.count += 1;
    }
}

/// The host's state for one instance.
pub(crate) struct WasiState {
    pub(super) settings: Arc<Settings>,
    pub(super) base: Base,
    pub(super) run: RunState,
}

/// What initialisation leaves for every run to begin with. If the guest's memory remembers it, it
/// must still hold in the run.
#[derive(Clone, Copy, Default)]
pub(crate) struct Base {
    /// How far readings and sleeps have moved the guest's clock ahead.
    pub(super) ahead: Duration,
    /// The latest time that the guest's monotonic clock has shown.
    pub(super) latest: Duration,
    /// Closed descriptors, a bit for each.
    pub(super) closed: u8,
}

/// The state of one run.
#[derive(Default)]
pub(super) struct RunState {
    pub(super) input: Vec<u8>,
    /// How much of the input the guest has read.
    pub(super) read: usize,
    /// Where the standard output of a command goes. `None` if standard output goes to the log.
    pub(super) output: Option<Vec<u8>>,
    pub(super) output_max: u64,
    /// The run is initialisation. All invocations share its outcome, so it uses neither time nor
    /// seeds of the host.
    pub(super) initialising: bool,
    /// The values of `base` now.
    pub(super) base: Base,
    /// The seed of this run, once it is known, and how many random bytes the guest has drawn.
    pub(super) seed: Option<[u8; 32]>,
    pub(super) drawn: u64,
}

impl WasiState {
    pub(crate) fn new(settings: &Arc<Settings>, base: Base) -> Self {
        Self { settings: Arc::clone(settings), base, run: RunState { base, ..RunState::default() } }
    }

    /// Marks the run that begins as initialisation.
    pub(crate) fn initialise(&mut self) {
        self.run.initialising = true;
    }

    /// Lets every later run begin where this one, initialisation, has ended.
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
        self.run = RunState { input, base: self.base, ..RunState::default() };
    }

    /// Sets the seed for the random numbers of this run.
    pub(crate) fn seed(&mut self, seed: [u8; 32]) {
        self.run.seed = Some(seed);
    }

    /// Gives a command its input, and takes `output` to collect its standard output, until
    /// [`WasiState::take_output`].
    pub(crate) fn begin(&mut self, input: &[u8], output: &mut Vec<u8>, output_max: u64) {
        self.run.input.extend_from_slice(input);
        self.run.output = Some(std::mem::take(output));
        self.run.output_max = output_max;
    }

    /// What a command has written, in the vector that [`WasiState::begin`] took.
    pub(crate) fn take_output(&mut self) -> Vec<u8> {
        self.run.output.take().unwrap_or_default()
    }

    /// Reads the guest's clock, as the time since 1970. It is the time that the host grants, or a
    /// time that advances with each reading.
    pub(super) fn now(&mut self) -> Duration {
        let run = &mut self.run;
        let base = match &self.settings.time {
            Some(time) if !run.initialising => time().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default(),
            _ => {
                run.base.ahead = run.base.ahead.saturating_add(TICK);
                EPOCH
            }
        };
        base.saturating_add(run.base.ahead)
    }

    /// Reads the guest's clock, which never goes back here.
    pub(super) fn monotonic(&mut self) -> Duration {
        let now = self.now();
        let latest = &mut self.run.base.latest;
        *latest = (*latest).max(now);
        *latest
    }

    /// Sleeps: moves the guest's clock on.
    pub(super) fn sleep(&mut self, time: Duration) {
        self.run.base.ahead = self.run.base.ahead.saturating_add(time);
    }

    /// Draws random bytes: SHA-256 of the seed, of whether the run is initialisation, and of a
    /// counter.
    pub(super) fn random(&mut self, bytes: &mut [u8]) {
        let Self { settings, run, .. } = self;
        let seed = *run.seed.get_or_insert_with(|| match &settings.seeds {
            Some(seeds) if !run.initialising => seeds(),
            _ => settings.seed,
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
