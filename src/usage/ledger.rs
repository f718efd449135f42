//! What functions used over time: counters by function and version, kept beyond the version's life.
//!
//! Each live instance has counters of its own, which only the invocation writes to that uses it: without an atomic operation or a line of the cache that
//! others write to. (A lock around the counters of each lane took two of the former, 12 ns, and threads that shared a lane waited for each other.)
//!
//! Invariants: whoever reads an instance's counters finds an invocation in all of them or in none, and no error without its invocation; the sum over all
//! entries and what is retired never loses one that has ended. (One that a panic of the host unwinds through has not.)

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{
        Arc,
        atomic::{
            AtomicU64,
            Ordering::{Acquire, Relaxed, Release},
            fence,
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

/// The counters of one version.
#[derive(Default)]
pub(crate) struct Tallies {
    tallies: Mutex<Kept>,
    /// Failures and refusals by kind.
    errors: Mutex<BTreeMap<&'static str, u64>>,
    refused: AtomicU64,
}

#[derive(Default)]
struct Kept {
    /// Those of the instances that live, by their addresses.
    live: BTreeMap<usize, Arc<CachePadded<Tally>>>,
    /// The sum over those that are gone.
    gone: Usage,
}

/// What the invocations of one instance used.
#[derive(Default)]
struct Tally {
    /// Odd while an invocation is being counted.
    changes: AtomicU64,
    fuel: AtomicU64,
    nanos: AtomicU64,
    input: AtomicU64,
    output: AtomicU64,
    cold: AtomicU64,
    memory: AtomicU64,
    /// By duration: their sum is the count of invocations.
    buckets: [AtomicU64; BUCKETS],
}

/// Where the invocations of one instance are counted.
pub(crate) struct Counter {
    tally: Arc<CachePadded<Tally>>,
    tallies: Arc<Tallies>,
}

impl Counter {
    /// Counts an invocation that ran.
    pub(crate) fn ran(&mut self, report: &Report) {
        let (tally, nanos) = (&self.tally, nanos(report.duration));
        let changes = tally.changes.load(Relaxed);
        tally.changes.store(changes.wrapping_add(1), Relaxed);
        // Whoever reads one of the following finds the number odd, or changed when it looks again.
        fence(Release);
        add(&tally.fuel, report.fuel);
        add(&tally.nanos, nanos);
        add(&tally.input, report.input);
        add(&tally.output, report.output);
        add(&tally.buckets[bucket(nanos)], 1);
        add(&tally.cold, u64::from(report.start == Start::Cold));
        tally.memory.store(tally.memory.load(Relaxed).max(report.memory), Relaxed);
        tally.changes.store(changes.wrapping_add(2), Release);
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        let mut kept = self.tallies.tallies.lock();
        kept.live.remove(&Arc::as_ptr(&self.tally).addr());
        kept.gone.add(&self.tally.read());
    }
}

impl Tally {
    /// What has been counted. Who is just counting is waited for: a few nanoseconds, or as long as its thread is interrupted.
    fn read(&self) -> Usage {
        let backoff = Backoff::new();
        loop {
            let before = self.changes.load(Acquire);
            let usage = Usage {
                fuel: self.fuel.load(Relaxed),
                duration: Duration::from_nanos(self.nanos.load(Relaxed)),
                input: self.input.load(Relaxed),
                output: self.output.load(Relaxed),
                cold_starts: self.cold.load(Relaxed),
                memory_peak: self.memory.load(Relaxed),
                buckets: std::array::from_fn(|number| self.buckets[number].load(Relaxed)),
                ..Usage::default()
            };
            fence(Acquire);
            if before % 2 == 0 && self.changes.load(Relaxed) == before {
                return usage;
            }
            if backoff.is_completed() {
                thread::sleep(Duration::from_micros(50));
            }
            backoff.snooze();
        }
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
    /// Counters for one more instance.
    pub(crate) fn counter(self: &Arc<Self>) -> Counter {
        let tally = Arc::<CachePadded<Tally>>::default();
        self.tallies.lock().live.insert(Arc::as_ptr(&tally).addr(), Arc::clone(&tally));
        Counter { tally, tallies: Arc::clone(self) }
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
        // In the other order than they are counted in, so that no error is found without its invocation.
        for (kind, count) in &*self.errors.lock() {
            *usage.errors.entry(kind).or_default() += count;
        }
        usage.refused += self.refused.load(Relaxed);
        let live: Vec<_> = {
            let kept = self.tallies.lock();
            usage.add(&kept.gone);
            kept.live.values().cloned().collect()
        };
        live.iter().for_each(|tally| usage.add(&tally.read()));
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

    /// The counters of a version: those that it had before, if it was deployed before, and whether it was not. Where there is no room, of the versions
    /// that are gone the one whose last deployment is longest ago is retired.
    pub(crate) fn open(&self, label: &Label) -> (Arc<Tallies>, bool) {
        let mut entries = self.entries.lock();
        let key = (label.name.clone(), label.version);
        let opened = entries.opened;
        entries.opened += 1;
        if let Some((last, tallies)) = entries.by_version.get_mut(&key) {
            *last = opened;
            return (Arc::clone(tallies), false);
        }
        while entries.by_version.len() >= self.limit {
            let gone = entries.by_version.iter().filter(|(_, (_, tallies))| Arc::strong_count(tallies) == 1);
            let Some(key) = gone.min_by_key(|(_, (opened, _))| *opened).map(|(key, _)| key.clone()) else { break };
            if let Some((_, tallies)) = entries.by_version.remove(&key) {
                tallies.add_to(&mut entries.retired);
            }
        }
        let tallies = Arc::<Tallies>::default();
        entries.by_version.insert(key, (opened, Arc::clone(&tallies)));
        (tallies, true)
    }

    /// Forgets a version that was new, and was not deployed in the end.
    pub(crate) fn withdraw(&self, label: &Label, tallies: &Arc<Tallies>) {
        let mut entries = self.entries.lock();
        // Besides this one and the caller's there may be that of a deployment of the same, which went better.
        if Arc::strong_count(tallies) == 2 {
            entries.by_version.remove(&(label.name.clone(), label.version));
        }
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

    /// Adds what the invocations of an instance used.
    fn add(&mut self, one: &Self) {
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
    fn an_invocation_that_is_being_counted_is_in_all_figures_or_in_none() {
        let label = Arc::new(Label { name: "f".into(), version: Version::of(b"", &()) });
        let report = Report {
            label,
            start: Start::Cold,
            fuel: 1,
            duration: Duration::from_nanos(1),
            memory: 1,
            input: 1,
            output: 1,
            host_calls: 0,
            log_cut: false,
            outcome: "ok",
        };
        let tallies = Arc::<Tallies>::default();
        let count = 200_000;
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    // The second half by another instance, the first of which is gone then.
                    for _ in 0..2 {
                        let mut counter = tallies.counter();
                        (0..count).for_each(|_| counter.ran(&report));
                    }
                });
            }
            let mut seen = 0;
            while seen < 4 * count {
                let mut usage = Usage::default();
                tallies.add_to(&mut usage);
                let invocations = usage.invocations();
                assert!(invocations >= seen, "{invocations} after {seen}");
                seen = invocations;
                let figures = [usage.fuel, usage.input, usage.output, usage.cold_starts];
                assert_eq!(figures, [seen; 4]);
                assert_eq!(u128::from(seen), usage.duration.as_nanos());
            }
        });
        assert!(tallies.tallies.lock().live.is_empty());
    }

    #[test]
    fn versions_that_are_gone_are_retired_into_a_sum_when_there_is_no_room() {
        let books = Books::new(2);
        let label = |name: &str| Label { name: name.into(), version: Version::of(b"", &()) };
        let [(gone, _), (kept, _)] = ["gone", "kept"].map(|name| books.open(&label(name)));
        gone.refused("busy");
        kept.refused("busy");
        drop(gone);
        let _third = books.open(&label("third"));
        let ledger = books.ledger();
        let names: Vec<_> = ledger.functions().iter().map(Usage::function).collect();
        assert_eq!(names, ["kept", "third"]);
        assert_eq!(ledger.retired().invocations(), 1);
        assert_eq!(books.open(&label("kept")).0.refused.load(Relaxed), 1, "deployed again it goes on");
    }
}
