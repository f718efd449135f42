//! What the host keeps for a guest of WASI preview 1: its clock, its random numbers, its input and its output.
//!
//! Source: `wasi_snapshot_preview1.witx` and its `typenames.witx`.
//!
//! Invariant: what a guest can observe through it is the same in each invocation, unless the host grants time or seeds; and
//! nothing here keeps more than the limits on input, output and log allow.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use sha2::{Digest, Sha256};

use super::options::{SeedSource, TimeSource};

/// When a guest's clock begins, unless the host grants time: 2000-01-01T00:00:00Z.
const EPOCH: Duration = Duration::from_secs(946_684_800);

/// What one reading of that clock takes.
pub(super) const TICK: Duration = Duration::from_micros(1);

/// Room for an input or a reply that an idle instance keeps.
const KEPT_MAX: usize = 64 << 10;

/// What a deployment gives to its guest, the same for all instances.
pub(crate) struct Settings {
    /// Each ends in NUL.
    pub(super) args: Strings,
    pub(super) env: Strings,
    /// What random numbers come from where the host grants nothing else: the same for a version.
    pub(super) seed: [u8; 32],
    pub(super) time: Option<Arc<TimeSource>>,
    pub(super) seeds: Option<Arc<SeedSource>>,
}

/// Strings as a guest gets them: one after the other, each with a NUL behind it.
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

    /// One more, in parts.
    pub(super) fn push(&mut self, parts: &[&str]) {
        parts.iter().for_each(|part| self.bytes.extend_from_slice(part.as_bytes()));
        self.bytes.push(0);
        self.count += 1;
    }
}

/// The host's side of one instance.
pub(crate) struct WasiState {
    pub(super) settings: Arc<Settings>,
    pub(super) base: Base,
    pub(super) run: RunState,
}

/// What initialisation leaves for every run to begin with: where the guest's memory remembers it, it must still hold.
#[derive(Clone, Copy, Default)]
pub(crate) struct Base {
    /// By how much the guest's clock is ahead, by readings and by sleeping.
    pub(super) ahead: Duration,
    /// The latest time that the guest's monotonic clock has shown.
    pub(super) latest: Duration,
    /// Descriptors that were closed, a bit each.
    pub(super) closed: u8,
}

/// What belongs to one run.
#[derive(Default)]
pub(super) struct RunState {
    pub(super) input: Vec<u8>,
    /// How much of it has been read.
    pub(super) read: usize,
    /// Where standard output goes, for a command; else it goes to the log.
    pub(super) output: Option<Vec<u8>>,
    pub(super) output_max: u64,
    /// Initialisation, whose outcome all invocations share: nothing that the host grants is used in it.
    pub(super) initialising: bool,
    /// As it is now.
    pub(super) base: Base,
    /// The seed of this run, once it is known, and how many bytes have been drawn.
    pub(super) seed: Option<[u8; 32]>,
    pub(super) drawn: u64,
}

impl WasiState {
    pub(crate) fn new(settings: &Arc<Settings>, base: Base) -> Self {
        Self { settings: Arc::clone(settings), base, run: RunState { base, ..RunState::default() } }
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
        self.run = RunState { input, base: self.base, ..RunState::default() };
    }

    /// What random numbers of this run come from.
    pub(crate) fn seed(&mut self, seed: [u8; 32]) {
        self.run.seed = Some(seed);
    }

    /// Gives a command its input, and where its output goes: into `output`, which is taken until [`WasiState::take_output`].
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

    /// The same for a clock that never goes back.
    pub(super) fn monotonic(&mut self) -> Duration {
        let now = self.now();
        let latest = &mut self.run.base.latest;
        *latest = (*latest).max(now);
        *latest
    }

    /// Sleeps: the guest's clock moves on.
    pub(super) fn sleep(&mut self, time: Duration) {
        self.run.base.ahead = self.run.base.ahead.saturating_add(time);
    }

    /// Random bytes: SHA-256 of the seed, of what is run, and of a counter.
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
