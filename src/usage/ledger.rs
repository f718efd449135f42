//! What functions used over time, as a host reads it.
//!
//! Invariant: the sum over the classes of durations and the refusals is the count of invocations.

use std::{collections::BTreeMap, fmt, time::Duration};

use serde::{Serialize, Serializer, ser::SerializeStruct};

use super::{Version, report::nanos};

/// Durations below `256 << n` ns fall into bucket `n` at the latest. The last one takes all others:
/// from 69 s.
pub(super) const BUCKETS: usize = 30;
const FIRST_BELOW: u64 = 256;

/// The bucket of a duration.
pub(super) fn bucket(nanos: u64) -> usize {
    let doublings = (u64::BITS - (nanos / FIRST_BELOW).leading_zeros()) as usize;
    doublings.min(BUCKETS - 1)
}

/// What functions have used since the runtime was made, from
/// [`Runtime::ledger`](crate::Runtime::ledger).
///
/// ```
/// # let echo = wat::parse_str(r#"(module (memory (export "memory") 1)
/// #   (func (export "alloc") (param i32) (result i32) (i32.const 0))
/// #   (func (export "handle") (param i32 i32) (result i64) (i64.extend_i32_u (local.get 1))))"#).unwrap();
/// # let runtime = dormouse::Runtime::new();
/// # runtime.deploy("echo", &echo)?.invoke(b"hello")?;
/// let ledger = runtime.ledger();
/// let [echo] = ledger.functions() else { panic!() };
/// assert_eq!((echo.function(), echo.invocations(), echo.input_bytes()), ("echo", 1, 5));
/// println!("{}", ledger.to_json()); // for an endpoint of the host, or for its bills
/// # Ok::<(), dormouse::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ledger {
    pub(super) functions: Vec<FunctionUsage>,
    pub(super) retired: FunctionUsage,
}

impl Ledger {
    /// An entry for each function and version that was ever deployed, sorted by name.
    ///
    /// Entries of versions that are gone stay as long as there is room: twice
    /// [`RuntimeLimits::functions`](crate::RuntimeLimits::functions).
    pub fn functions(&self) -> &[FunctionUsage] {
        &self.functions
    }

    /// The sum over the versions whose entries had to go.
    pub fn retired(&self) -> &FunctionUsage {
        &self.retired
    }

    /// As a JSON object: `{"functions": [{"function": …}, …], "retired": {…}}`. Times are in
    /// nanoseconds and sizes in bytes. Serde has the same.
    pub fn to_json(&self) -> String {
        // Texts and numbers always have a JSON form.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// What one version of a function has used. An invocation that runs at this moment is in all
/// figures or in none.
///
/// Serde has it as a struct with the methods below as fields. Durations are in nanoseconds:
/// `duration_ns`, and `durations` as a list of `{"below_ns": …, "count": …}`, the last class
/// without its bound.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct FunctionUsage {
    pub(super) function: String,
    pub(super) version: Option<Version>,
    pub(super) refused: u64,
    pub(super) errors: BTreeMap<&'static str, u64>,
    pub(super) cold_starts: u64,
    pub(super) fuel: u64,
    pub(super) duration: Duration,
    pub(super) buckets: [u64; BUCKETS],
    pub(super) memory_peak: u64,
    pub(super) input: u64,
    pub(super) output: u64,
}

impl FunctionUsage {
    /// The function's name. Empty for what is retired.
    pub fn function(&self) -> &str {
        &self.function
    }

    /// The version. `None` for what is retired.
    pub fn version(&self) -> Option<Version> {
        self.version
    }

    /// Invocations: those that ran and those that were refused.
    pub fn invocations(&self) -> u64 {
        self.buckets.iter().sum::<u64>() + self.refused
    }

    /// Invocations that were refused before the guest ran: no instance was free, or the input was
    /// too large. They count as errors too.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Invocations that failed or were refused, by the name of the kind: see
    /// [`InvokeErrorKind::name`](crate::InvokeErrorKind::name).
    pub fn errors(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.errors.iter().map(|(kind, count)| (*kind, *count))
    }

    /// Invocations that made their instance themselves.
    pub fn cold_starts(&self) -> u64 {
        self.cold_starts
    }

    /// Fuel of all invocations.
    pub fn fuel(&self) -> u64 {
        self.fuel
    }

    /// Time of all invocations, as their reports have it.
    pub fn duration(&self) -> Duration {
        self.duration
    }

    /// How long invocations took: for each class its upper bound, which is not part of it, and the
    /// count of invocations. Empty classes are left out.
    ///
    /// The first bound is 256 ns, and each class is twice as wide as the one before. The bound of
    /// the last class, from 69 s on, is `Duration::MAX`.
    pub fn durations(&self) -> impl Iterator<Item = (Duration, u64)> {
        let classes = self.buckets.iter().enumerate().filter(|(_, count)| **count > 0);
        classes.map(|(number, count)| match number {
            number if number == BUCKETS - 1 => (Duration::MAX, *count),
            number => (Duration::from_nanos(FIRST_BELOW << number), *count),
        })
    }

    /// The most bytes of memory that an instance had.
    pub fn memory_peak_bytes(&self) -> u64 {
        self.memory_peak
    }

    /// Bytes of input of all invocations.
    pub fn input_bytes(&self) -> u64 {
        self.input
    }

    /// Bytes of output of all invocations.
    pub fn output_bytes(&self) -> u64 {
        self.output
    }

    /// Adds what the invocations of an instance used.
    pub(super) fn add(&mut self, one: &Self) {
        self.fuel = self.fuel.saturating_add(one.fuel);
        self.duration = self.duration.saturating_add(one.duration);
        self.input = self.input.saturating_add(one.input);
        self.output = self.output.saturating_add(one.output);
        self.cold_starts += one.cold_starts;
        self.memory_peak = self.memory_peak.max(one.memory_peak);
        for (sum, count) in self.buckets.iter_mut().zip(&one.buckets) {
            *sum += count;
        }
    }
}

/// As a struct of the figures, in the order of their names.
impl Serialize for FunctionUsage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        /// The last class has no bound.
        #[derive(Serialize)]
        struct Class {
            #[serde(skip_serializing_if = "Option::is_none")]
            below_ns: Option<u64>,
            count: u64,
        }
        let class = |(below, count)| Class { below_ns: (below < Duration::MAX).then(|| nanos(below)), count };
        let mut fields = serializer.serialize_struct("FunctionUsage", 12)?;
        fields.serialize_field("cold_starts", &self.cold_starts)?;
        fields.serialize_field("duration_ns", &nanos(self.duration))?;
        fields.serialize_field("durations", &self.durations().map(class).collect::<Vec<_>>())?;
        fields.serialize_field("errors", &self.errors)?;
        fields.serialize_field("fuel", &self.fuel)?;
        fields.serialize_field("function", &self.function)?;
        fields.serialize_field("input", &self.input)?;
        fields.serialize_field("invocations", &self.invocations())?;
        fields.serialize_field("memory_peak", &self.memory_peak)?;
        fields.serialize_field("output", &self.output)?;
        fields.serialize_field("refused", &self.refused)?;
        fields.serialize_field("version", &self.version)?;
        fields.end()
    }
}

impl fmt::Debug for FunctionUsage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FunctionUsage")
            .field("function", &self.function)
            .field("version", &self.version)
            .field("invocations", &self.invocations())
            .field("refused", &self.refused)
            .field("errors", &self.errors)
            .field("cold_starts", &self.cold_starts)
            .field("fuel", &self.fuel)
            .field("duration", &self.duration)
            .field("durations", &self.durations().collect::<Vec<_>>())
            .field("memory_peak", &self.memory_peak)
            .field("input", &self.input)
            .field("output", &self.output)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_duration_falls_into_the_class_whose_bound_it_stays_below() {
        for (nanos, expected) in
            [(0, 0), (255, 0), (256, 1), (511, 1), (512, 2), ((256 << 28) - 1, 28), (256 << 28, 29)]
        {
            assert_eq!(bucket(nanos), expected, "{nanos}");
        }
        assert_eq!(bucket(nanos(Duration::MAX)), BUCKETS - 1);
    }

    #[test]
    fn a_ledger_is_json_whose_names_are_sorted_and_whose_last_class_has_no_bound() {
        let mut usage =
            FunctionUsage { function: "f".into(), version: Some(Version::of(b"", &())), ..FunctionUsage::default() };
        usage.errors.insert("trap", 2);
        usage.buckets[1] = 3;
        usage.buckets[BUCKETS - 1] = 1;
        let json = Ledger { functions: vec![usage], retired: FunctionUsage::default() }.to_json();
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json, value.to_string());
        let durations = serde_json::json!([{ "below_ns": 512, "count": 3 }, { "count": 1 }]);
        assert_eq!(value["functions"][0]["durations"], durations);
        assert_eq!(value["functions"][0]["errors"]["trap"], 2);
        assert!(value["retired"]["version"].is_null());
    }
}
