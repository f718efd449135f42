//! What one invocation, or one deployment, did and used.
//!
//! Invariant: making a report allocates nothing; it shares the function's label and holds numbers.

use std::{fmt, sync::Arc, time::Duration};

use super::Version;

/// Name and version of a function, shared by all that speak of it.
#[derive(Clone, Debug)]
pub(crate) struct Label {
    pub(crate) name: Box<str>,
    pub(crate) version: Version,
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.version.short())
    }
}

/// Whether an invocation created its instance itself or found one ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Start {
    /// No instance was ready: the invocation made one from the image. Or it is the first since deployment, on the instance that
    /// was initialised there.
    Cold,
    /// An instance was ready, cleaned after its last use or made ahead of time.
    Warm,
}

impl fmt::Display for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cold => "cold",
            Self::Warm => "warm",
        })
    }
}

/// What one invocation did and used. Its `Display` is one line, the same on a cold and a warm start but for `start`
/// and `duration`:
///
/// `REPORT greet@3f2a91c start=warm fuel=18204 duration=21.3us memory=128KiB in=16B out=13B host_calls=0 outcome=ok`
#[derive(Clone, Debug)]
pub struct Report {
    pub(crate) label: Arc<Label>,
    pub(crate) start: Start,
    pub(crate) fuel: u64,
    pub(crate) duration: Duration,
    pub(crate) memory: u64,
    pub(crate) input: u64,
    pub(crate) output: u64,
    pub(crate) host_calls: u64,
    pub(crate) log_cut: bool,
    pub(crate) outcome: &'static str,
}

impl Report {
    /// The function's name.
    pub fn function(&self) -> &str {
        &self.label.name
    }

    /// The version that ran.
    pub fn version(&self) -> Version {
        self.label.version
    }

    /// Cold or warm.
    pub fn start(&self) -> Start {
        self.start
    }

    /// Fuel used: the same for the same input, whatever ran before, cold or warm.
    pub fn fuel(&self) -> u64 {
        self.fuel
    }

    /// Time that the run took, by the runtime's clock: the guest, host functions, the copies of input and output, and the
    /// closure of a session. Waiting for an instance, making one and cleaning it are not in it.
    pub fn duration(&self) -> Duration {
        self.duration
    }

    /// Bytes of linear memory at the end, which is the peak: a memory never shrinks.
    pub fn memory(&self) -> u64 {
        self.memory
    }

    /// Bytes of input.
    pub fn input(&self) -> u64 {
        self.input
    }

    /// Bytes of output; 0 for a failed invocation.
    pub fn output(&self) -> u64 {
        self.output
    }

    /// Calls of custom host functions.
    pub fn host_calls(&self) -> u64 {
        self.host_calls
    }

    /// Whether the log was cut at its limit.
    pub fn log_cut(&self) -> bool {
        self.log_cut
    }

    /// `ok`, or the error's kind in one word, as [`InvokeErrorKind::name`](crate::InvokeErrorKind::name) has it.
    pub fn outcome(&self) -> &'static str {
        self.outcome
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "REPORT {} start={} fuel={} duration={} memory={} in={} out={} host_calls={} outcome={}",
            self.label,
            self.start,
            self.fuel,
            Time(self.duration),
            Bytes(self.memory),
            Bytes(self.input),
            Bytes(self.output),
            self.host_calls,
            self.outcome
        )?;
        if self.log_cut {
            f.write_str(" log=cut")?;
        }
        Ok(())
    }
}

/// What one deployment found and cost. Its `Display` is one line.
#[derive(Clone, Debug)]
pub struct DeployReport {
    pub(crate) label: Arc<Label>,
    pub(crate) module_bytes: u64,
    pub(crate) functions: u32,
    pub(crate) contract: &'static str,
    pub(crate) init_fuel: u64,
    pub(crate) duration: Duration,
    pub(crate) memory: u64,
    pub(crate) image_bytes: u64,
    pub(crate) reset: &'static str,
}

impl DeployReport {
    /// The function's name.
    pub fn function(&self) -> &str {
        &self.label.name
    }

    /// The version that was deployed.
    pub fn version(&self) -> Version {
        self.label.version
    }

    /// Bytes of the module.
    pub fn module_bytes(&self) -> u64 {
        self.module_bytes
    }

    /// Functions that the module defines.
    pub fn functions(&self) -> u32 {
        self.functions
    }

    /// The contract that the module keeps: `extism`, `command`, `buffer`, or `plain` where it takes no bytes and its exports are called one by
    /// one.
    pub fn contract(&self) -> &'static str {
        self.contract
    }

    /// Fuel that initialisation burnt: paid once, here, and by no invocation.
    pub fn init_fuel(&self) -> u64 {
        self.init_fuel
    }

    /// Time that the whole deployment took, by the runtime's clock.
    pub fn duration(&self) -> Duration {
        self.duration
    }

    /// Bytes of linear memory after initialisation: what each instance starts with.
    pub fn memory(&self) -> u64 {
        self.memory
    }

    /// Bytes of the image that are not zero, in pages of 4 KiB: what is kept of the pristine state.
    pub fn image_bytes(&self) -> u64 {
        self.image_bytes
    }

    /// How a used instance becomes clean.
    ///
    /// | | |
    /// |---|---|
    /// | `none` | no code of the guest changes anything; what the host writes is undone all the same |
    /// | `gated` | in place, as below, and for instances that are used often only the pages of memory that were written to: they are looked for where the thread took page faults during the run |
    /// | `scanned` | the same, but they are looked for after every run |
    /// | `portable` | in place: memories as a whole, where the guest writes to any; globals and tables |
    /// | `replaced` | by a fresh instance, as the module drops segments, which cannot be undone |
    ///
    /// What can be had depends on the module, on the machine, and on [`Reset`](crate::Reset).
    pub fn reset(&self) -> &'static str {
        self.reset
    }
}

impl fmt::Display for DeployReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "DEPLOY {} contract={} module={} functions={} init_fuel={} duration={} memory={} image={} reset={}",
            self.label,
            self.contract,
            Bytes(self.module_bytes),
            self.functions,
            self.init_fuel,
            Time(self.duration),
            Bytes(self.memory),
            Bytes(self.image_bytes),
            self.reset,
        )
    }
}

/// Bytes in the largest unit that divides them: `128KiB`, `13B`.
struct Bytes(u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            n if n >= 1 << 20 && n % (1 << 20) == 0 => write!(f, "{}MiB", n >> 20),
            n if n >= 1 << 10 && n % (1 << 10) == 0 => write!(f, "{}KiB", n >> 10),
            n => write!(f, "{n}B"),
        }
    }
}

/// A duration with one decimal in the unit that fits: `21.3us`.
struct Time(Duration);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ns = self.0.as_nanos();
        match ns {
            0..1_000 => write!(f, "{ns}ns"),
            1_000..1_000_000 => write!(f, "{:.1}us", ns as f64 / 1e3),
            1_000_000..1_000_000_000 => write!(f, "{:.1}ms", ns as f64 / 1e6),
            _ => write!(f, "{:.1}s", ns as f64 / 1e9),
        }
    }
}
