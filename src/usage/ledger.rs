//! What functions used over time: counters by function and version, kept beyond the version's life.
//!
//! Invariants: an invocation that ends is counted while its own lane's counters are held, which nobody else does but another
//! invocation of the lane or who reads the ledger; the sum over all
//! entries and what is retired never loses one that has ended. (One that a panic of the host unwinds through has not.)
//!
//! Holding them is one atomic operation, some 5 ns: a flag that is set by an exchange and put down by a store. A lock takes two, and each counter
//! by itself took six.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{
        Arc,
        atomic::{
            AtomicBool, AtomicU64,
            Ordering::{Acquire, Relaxed, Release},
        },
    },
    thread,
    time::Duration,
};

use crossbeam::utils::{Backoff, CachePadded};
use parking_lot::Mutex;
use serde_json::{Value as Json, json};

use super::{Label, Report, Start, Version};

/// Durations below `256 << n` ns fall into bucket `n` at the latest; the last one takes all others: from 69 s.
const BUCKETS: usize = 30;
const FIRST_BELOW: u64 = 256;

/// The counters of one version, a set for each lane.
pub(crate) struct Tallies {
    lanes: Box<[CachePadded<Tally>]>,
    /// Failures and refusals by kind.
    errors: Mutex<BTreeMap<&'static str, u64>>,
    refused: AtomicU64,
}

/// What the invocations of one lane used. Read and changed only while it is [held](Tally::hold).
#[derive(Default)]
struct Tally {
    is_held: AtomicBool,
    fuel: AtomicU64,
    nanos: AtomicU64,
    input: AtomicU64,
    output: AtomicU64,
    cold: AtomicU64,
    memory: AtomicU64,
    /// By duration: their sum is the count of invocations.
    buckets: [AtomicU64; BUCKETS],
}

impl Tally {
    /// Runs `count` while nobody else reads or changes the counters: for some dozens of instructions, so that nobody waits for long but for a thread that
    /// was interrupted in between, which waiters give the processor to.
    fn hold<T>(&self, count: impl FnOnce(&Self) -> T) -> T {
        let backoff = Backoff::new();
        while self.is_held.swap(true, Acquire) {
            if backoff.is_completed() {
                thread::sleep(Duration::from_micros(50));
            }
            backoff.snooze();
        }
        let counted = count(self);
        self.is_held.store(false, Release);
        counted
    }
}

/// Adds to a counter that nobody else changes meanwhile.
fn add(counter: &AtomicU64, more: u64) {
    counter.store(counter.load(Relaxed).saturating_add(more), Relaxed);
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn bucket(nanos: u64) -> usize {
    let doublings = (u64::BITS - (nanos / FIRST_BELOW).leading_zeros()) as usize;
    doublings.min(BUCKETS - 1)
}

impl Tallies {
    fn new(lanes: usize) -> Arc<Self> {
        let lanes = (0..lanes).map(|_| CachePadded::default()).collect();
        Arc::new(Self { lanes, errors: Mutex::default(), refused: AtomicU64::new(0) })
    }

    /// Counts an invocation that ran.
    pub(crate) fn ran(&self, lane: usize, report: &Report) {
        let nanos = nanos(report.duration);
        // A version that is deployed again with more lanes shares the counters that are there.
        let tally = self.lanes.get(lane).unwrap_or_else(|| &self.lanes[lane % self.lanes.len()]);
        tally.hold(|tally| {
            add(&tally.fuel, report.fuel);
            add(&tally.nanos, nanos);
            add(&tally.input, report.input);
            add(&tally.output, report.output);
            add(&tally.buckets[bucket(nanos)], 1);
            add(&tally.cold, u64::from(report.start == Start::Cold));
            tally.memory.store(tally.memory.load(Relaxed).max(report.memory), Relaxed);
        });
    }

    /// Counts what made an invocation fail that ran.
    pub(crate) fn failed(&self, kind: &'static str) {
        *self.errors.lock().entry(kind).or_default() += 1;
    }

    /// Counts an invocation that was refused before the guest ran.
    #[cold]
    pub(crate) fn refused(&self, kind: &'static str) {
        self.refused.fetch_add(1, Relaxed);
        self.failed(kind);
    }

    fn add_to(&self, usage: &mut Usage) {
        for tally in &self.lanes {
            tally.hold(|tally| {
                usage.fuel = usage.fuel.saturating_add(tally.fuel.load(Relaxed));
                usage.duration = usage.duration.saturating_add(Duration::from_nanos(tally.nanos.load(Relaxed)));
                usage.input = usage.input.saturating_add(tally.input.load(Relaxed));
                usage.output = usage.output.saturating_add(tally.output.load(Relaxed));
                usage.cold_starts += tally.cold.load(Relaxed);
                usage.memory_peak = usage.memory_peak.max(tally.memory.load(Relaxed));
                for (sum, count) in usage.buckets.iter_mut().zip(&tally.buckets) {
                    *sum += count.load(Relaxed);
                }
            });
        }
        usage.refused += self.refused.load(Relaxed);
        for (kind, count) in &*self.errors.lock() {
            *usage.errors.entry(kind).or_default() += count;
        }
    }
}

/// All counters of a runtime.
pub(crate) struct Books {
    limit: usize,
    entries: Mutex<Entries>,
}

#[derive(Default)]
struct Entries {
    by_version: HashMap<(Box<str>, Version), (u64, Arc<Tallies>)>,
    opened: u64,
    retired: Usage,
}

impl Books {
    /// Room for so many versions.
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, entries: Mutex::default() }
    }

    /// The counters of a version: those that it had before, if it was deployed before. Where there is no room, the version that has been gone
    /// longest is retired.
    pub(crate) fn open(&self, label: &Label, lanes: usize) -> Arc<Tallies> {
        let mut entries = self.entries.lock();
        let key = (label.name.clone(), label.version);
        if let Some((_, tallies)) = entries.by_version.get(&key) {
            return Arc::clone(tallies);
        }
        if entries.by_version.len() >= self.limit {
            let gone = entries.by_version.iter().filter(|(_, (_, tallies))| Arc::strong_count(tallies) == 1);
            if let Some(key) = gone.min_by_key(|(_, (opened, _))| *opened).map(|(key, _)| key.clone()) {
                if let Some((_, tallies)) = entries.by_version.remove(&key) {
                    tallies.add_to(&mut entries.retired);
                }
            }
        }
        let opened = entries.opened;
        entries.opened += 1;
        let tallies = Tallies::new(lanes);
        entries.by_version.insert(key, (opened, Arc::clone(&tallies)));
        tallies
    }

    pub(crate) fn ledger(&self) -> Ledger {
        let entries = self.entries.lock();
        let mut functions: Vec<Usage> = Vec::with_capacity(entries.by_version.len());
        for ((name, version), (_, tallies)) in &entries.by_version {
            let mut usage = Usage { function: name.to_string(), version: Some(*version), ..Usage::default() };
            tallies.add_to(&mut usage);
            functions.push(usage);
        }
        functions.sort_by(|a, b| (&a.function, a.version).cmp(&(&b.function, b.version)));
        Ledger { functions, retired: entries.retired.clone() }
    }
}

/// What functions have used since the runtime was made, from [`Runtime::ledger`](crate::Runtime::ledger).
///
/// ```
/// # let echo = wat::parse_str(r#"(module (memory (export "memory") 1)
/// #   (func (export "alloc") (param i32) (result i32) (i32.const 0))
/// #   (func (export "handle") (param i32 i32) (result i64) (i64.extend_i32_u (local.get 1))))"#).unwrap();
/// # let runtime = dormouse::Runtime::new();
/// # runtime.deploy("echo", &echo)?.invoke(b"hello")?;
/// let ledger = runtime.ledger();
/// let [echo] = ledger.functions() else { panic!() };
/// assert_eq!((echo.function(), echo.invocations(), echo.input()), ("echo", 1, 5));
/// println!("{}", ledger.to_json()); // for an endpoint of the host, or for its bills
/// # Ok::<(), dormouse::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Ledger {
    functions: Vec<Usage>,
    retired: Usage,
}

impl Ledger {
    /// An entry for each function and version that was ever deployed, by name; also of those that are gone, as long as there is room: twice
    /// [`RuntimeLimits::functions`](crate::RuntimeLimits::functions).
    pub fn functions(&self) -> &[Usage] {
        &self.functions
    }

    /// The sum over those whose entries had to go.
    pub fn retired(&self) -> &Usage {
        &self.retired
    }

    /// As a JSON object: `{"functions": [{"function": …}, …], "retired": {…}}`, times in nanoseconds and sizes in bytes.
    pub fn to_json(&self) -> String {
        let functions: Vec<Json> = self.functions.iter().map(Usage::json).collect();
        json!({ "functions": functions, "retired": self.retired.json() }).to_string()
    }
}

/// What one version of a function has used. Figures of invocations that go on meanwhile are in it or not.
#[derive(Clone, Default)]
pub struct Usage {
    function: String,
    version: Option<Version>,
    refused: u64,
    errors: BTreeMap<&'static str, u64>,
    cold_starts: u64,
    fuel: u64,
    duration: Duration,
    buckets: [u64; BUCKETS],
    memory_peak: u64,
    input: u64,
    output: u64,
}

impl Usage {
    /// The function's name; empty for what is retired.
    pub fn function(&self) -> &str {
        &self.function
    }

    /// The version; none for what is retired.
    pub fn version(&self) -> Option<Version> {
        self.version
    }

    /// Invocations: those that ran and those that were refused.
    pub fn invocations(&self) -> u64 {
        self.buckets.iter().sum::<u64>() + self.refused
    }

    /// Invocations that were refused before the guest ran: no instance was to be had, or the input was too large. They count as errors
    /// too.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Invocations that failed or were refused, by the kind's name: see [`InvokeErrorKind::name`](crate::InvokeErrorKind::name).
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

    /// How long invocations took: for each class a bound that they stay below and how many they are. Classes that are empty are left out; each
    /// is twice as wide as the one before, from 256 ns on. The bound of the last one, from 69 s on, is `Duration::MAX`.
    pub fn durations(&self) -> impl Iterator<Item = (Duration, u64)> {
        let classes = self.buckets.iter().enumerate().filter(|(_, count)| **count > 0);
        classes.map(|(number, count)| match number {
            number if number == BUCKETS - 1 => (Duration::MAX, *count),
            number => (Duration::from_nanos(FIRST_BELOW << number), *count),
        })
    }

    /// The most bytes of memory that an instance had.
    pub fn memory_peak(&self) -> u64 {
        self.memory_peak
    }

    /// Bytes of input of all invocations.
    pub fn input(&self) -> u64 {
        self.input
    }

    /// Bytes of output of all invocations.
    pub fn output(&self) -> u64 {
        self.output
    }

    fn json(&self) -> Json {
        let durations = self.durations().map(|(below, count)| match below {
            Duration::MAX => json!({ "count": count }),
            below => json!({ "below_ns": below.as_nanos() as u64, "count": count }),
        });
        json!({
            "function": self.function,
            "version": self.version.map(|version| version.to_string()),
            "invocations": self.invocations(),
            "refused": self.refused,
            "errors": self.errors,
            "cold_starts": self.cold_starts,
            "fuel": self.fuel,
            "duration_ns": nanos(self.duration),
            "durations": durations.collect::<Vec<_>>(),
            "memory_peak": self.memory_peak,
            "input": self.input,
            "output": self.output,
        })
    }
}

impl fmt::Debug for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.json().fmt(f)
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
    fn versions_that_are_gone_are_retired_into_a_sum_when_there_is_no_room() {
        let books = Books::new(2);
        let label = |name: &str| Label { name: name.into(), version: Version::of(b"", &()) };
        let (gone, kept) = (books.open(&label("gone"), 1), books.open(&label("kept"), 1));
        gone.refused("busy");
        kept.refused("busy");
        drop(gone);
        let _third = books.open(&label("third"), 1);
        let ledger = books.ledger();
        let names: Vec<_> = ledger.functions().iter().map(Usage::function).collect();
        assert_eq!(names, ["kept", "third"]);
        assert_eq!(ledger.retired().invocations(), 1);
        assert_eq!(books.open(&label("kept"), 1).refused.load(Relaxed), 1, "deployed again it goes on");
    }
}
