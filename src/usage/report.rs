//! What one invocation, or one deployment, did and used.
//!
//! Invariant: making a report allocates nothing. It shares the function's label and holds numbers.

use std::{fmt, str::FromStr, sync::Arc, time::Duration};

use serde::{Serialize, Serializer, ser::SerializeStruct};

use super::Version;
use crate::limits::{ParseError, word};

/// Name and version of a function, shared by all reports and errors that name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Label {
    pub(crate) name: Box<str>,
    pub(crate) version: Version,
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.version.short())
    }
}

/// Whether an invocation made its instance itself or found one ready.
///
/// As a text, and in serde, it is `cold` or `warm`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StartKind {
    /// No instance was ready, so the invocation made one from the image. The first invocation after
    /// a deployment is cold too: it runs on the instance that the deployment initialised.
    Cold,
    /// An instance was ready. The runtime had cleaned it after its last use, or made it ahead of
    /// time.
    Warm,
}

impl fmt::Display for StartKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cold => "cold",
            Self::Warm => "warm",
        })
    }
}

impl FromStr for StartKind {
    type Err = ParseError;

    /// Reads what `Display` writes.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        word("start of an invocation", &[Self::Cold, Self::Warm], text)
    }
}

/// What one invocation did and used.
///
/// Its `Display` is one line, which is the same on a cold and a warm start except for `start` and
/// `duration`:
///
/// `REPORT greet@3f2a91c start=warm fuel=18204 duration=21.3us memory=128KiB in=16B out=13B host_calls=0 outcome=ok`
///
/// Serde has it as a struct with the methods below as fields, and `duration_ns` in nanoseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    pub(crate) label: Arc<Label>,
    pub(crate) start: StartKind,
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
    pub fn start(&self) -> StartKind {
        self.start
    }

    /// The fuel that it used. It is the same for the same input, whatever ran before, cold or warm.
    pub fn fuel(&self) -> u64 {
        self.fuel
    }

    /// The time that the run took, by the runtime's clock.
    ///
    /// It includes the guest, host functions, the copies of input and output, and the closure of a
    /// session. It does not include the time to wait for an instance, to make one and to clean it.
    pub fn duration(&self) -> Duration {
        self.duration
    }

    /// Bytes of linear memory at the end. This is the peak, because a memory never shrinks.
    pub fn memory_bytes(&self) -> u64 {
        self.memory
    }

    /// Bytes of input.
    pub fn input_bytes(&self) -> u64 {
        self.input
    }

    /// Bytes of output. 0 for a failed invocation.
    pub fn output_bytes(&self) -> u64 {
        self.output
    }

    /// Calls of custom host functions.
    pub fn host_calls(&self) -> u64 {
        self.host_calls
    }

    /// Whether the runtime cut the log at its limit.
    pub fn log_cut(&self) -> bool {
        self.log_cut
    }

    /// `ok`, or the error's kind in one word, as
    /// [`InvokeErrorKind::name`](crate::InvokeErrorKind::name) has it.
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

/// As a struct of the figures, with the duration in nanoseconds.
impl Serialize for Report {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { label, start, fuel, duration, memory, input, output, host_calls, log_cut, outcome } = self;
        let mut fields = serializer.serialize_struct("Report", 11)?;
        fields.serialize_field("function", &label.name)?;
        fields.serialize_field("version", &label.version)?;
        fields.serialize_field("start", start)?;
        fields.serialize_field("fuel", fuel)?;
        fields.serialize_field("duration_ns", &nanos(*duration))?;
        fields.serialize_field("memory", memory)?;
        fields.serialize_field("input", input)?;
        fields.serialize_field("output", output)?;
        fields.serialize_field("host_calls", host_calls)?;
        fields.serialize_field("log_cut", log_cut)?;
        fields.serialize_field("outcome", outcome)?;
        fields.end()
    }
}

/// A duration in nanoseconds, as figures have it.
pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// What one deployment found and cost. Its `Display` is one line.
///
/// Serde has it as a struct with the methods below as fields, and `duration_ns` in nanoseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
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

    /// The contract that the module keeps: `extism`, `command`, `buffer`, or `plain` if it takes no
    /// bytes and the host calls its exports one by one.
    pub fn contract(&self) -> &'static str {
        self.contract
    }

    /// The fuel that initialisation used. The deployment pays it once, and no invocation does.
    pub fn init_fuel(&self) -> u64 {
        self.init_fuel
    }

    /// The time that the whole deployment took, by the runtime's clock.
    pub fn duration(&self) -> Duration {
        self.duration
    }

    /// Bytes of linear memory after initialisation. Each instance starts with them.
    pub fn memory_bytes(&self) -> u64 {
        self.memory
    }

    /// Bytes of the image that are not zero, in pages of 4 KiB. The runtime keeps these of the
    /// pristine state.
    pub fn image_bytes(&self) -> u64 {
        self.image_bytes
    }

    /// How a used instance becomes clean.
    ///
    /// - `none`: no code of the guest changes anything. The runtime undoes what the host writes.
    /// - `portable`: in place. The runtime cleans memories as a whole, if the guest writes to any,
    ///   and globals and tables.
    /// - `by_fault_count`: as `portable`. In instances that are used often, the runtime cleans only the
    ///   pages of memory that the run wrote to. It looks for them if the thread took page faults
    ///   during the run.
    /// - `by_page_scan`: as `by_fault_count`, except that the runtime looks for such pages after every run.
    /// - `replaced`: a fresh instance takes its place, because the module drops segments. Nothing
    ///   can undo that.
    ///
    /// It depends on the module, on the machine, and on [`Reset`](crate::Reset).
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

/// As a struct of the figures, with the duration in nanoseconds.
impl Serialize for DeployReport {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { label, module_bytes, functions, contract, init_fuel, duration, memory, image_bytes, reset } = self;
        let mut fields = serializer.serialize_struct("DeployReport", 10)?;
        fields.serialize_field("function", &label.name)?;
        fields.serialize_field("version", &label.version)?;
        fields.serialize_field("contract", contract)?;
        fields.serialize_field("module_bytes", module_bytes)?;
        fields.serialize_field("functions", functions)?;
        fields.serialize_field("init_fuel", init_fuel)?;
        fields.serialize_field("duration_ns", &nanos(*duration))?;
        fields.serialize_field("memory", memory)?;
        fields.serialize_field("image_bytes", image_bytes)?;
        fields.serialize_field("reset", reset)?;
        fields.end()
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
