//! The counters that invocations write to: those of each instance, and their sum by version.
//!
//! Each live instance has counters of its own, and only the invocation that uses the instance
//! writes to them. So it needs no read-modify-write instruction, and no other thread writes to its
//! cache line. A lock around counters by lane took two such instructions, 12 ns, and made threads
//! wait for each other.
//!
//! Invariants: a reader finds an invocation in all counters of an instance or in none, and no error
//! without its invocation. No sum loses an invocation that has ended, unless a panic of the host
//! unwound through it.

use std::{
    collections::BTreeMap,
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

use super::{
    FunctionUsage, Report, StartKind,
    ledger::{BUCKETS, bucket},
    report::nanos,
};

/// The counters of one version.
#[derive(Default)]
pub(crate) struct VersionCounters {
    instances: Mutex<Instances>,
    /// Failures and refusals by kind.
    errors: Mutex<BTreeMap<&'static str, u64>>,
    refused: AtomicU64,
}

#[derive(Default)]
struct Instances {
    /// The counters of the live instances, by their addresses.
    live: BTreeMap<usize, Arc<CachePadded<InstanceCounters>>>,
    /// The sum over the instances that were dropped.
    dropped: FunctionUsage,
}

/// What the invocations of one instance used.
#[derive(Default)]
struct InstanceCounters {
    /// Odd while the writer counts an invocation.
    changes: AtomicU64,
    fuel: AtomicU64,
    nanos: AtomicU64,
    input: AtomicU64,
    output: AtomicU64,
    cold: AtomicU64,
    memory: AtomicU64,
    /// Invocations by duration. Their sum is the count of invocations.
    buckets: [AtomicU64; BUCKETS],
}

/// The one writer to the counters of an instance.
pub(crate) struct Counter {
    own: Arc<CachePadded<InstanceCounters>>,
    version: Arc<VersionCounters>,
}

impl Counter {
    /// Counts an invocation that ran.
    pub(crate) fn ran(&mut self, report: &Report) {
        let (own, nanos) = (&self.own, nanos(report.duration));
        let changes = own.changes.load(Relaxed);
        own.changes.store(changes.wrapping_add(1), Relaxed);
        // A thread that reads one of the following finds the number odd, or changed when it looks
        // again.
        fence(Release);
        add(&own.fuel, report.fuel);
        add(&own.nanos, nanos);
        add(&own.input, report.input);
        add(&own.output, report.output);
        add(&own.buckets[bucket(nanos)], 1);
        add(&own.cold, u64::from(report.start == StartKind::Cold));
        own.memory.store(own.memory.load(Relaxed).max(report.memory), Relaxed);
        own.changes.store(changes.wrapping_add(2), Release);
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        let mut instances = self.version.instances.lock();
        instances.live.remove(&Arc::as_ptr(&self.own).addr());
        instances.dropped.add(&self.own.read());
    }
}

impl InstanceCounters {
    /// What has been counted. The reader waits for a writer that is counting: some nanoseconds, or
    /// as long as the system interrupts the writer's thread.
    fn read(&self) -> FunctionUsage {
        let backoff = Backoff::new();
        loop {
            let before = self.changes.load(Acquire);
            let usage = FunctionUsage {
                fuel: self.fuel.load(Relaxed),
                duration: Duration::from_nanos(self.nanos.load(Relaxed)),
                input: self.input.load(Relaxed),
                output: self.output.load(Relaxed),
                cold_starts: self.cold.load(Relaxed),
                memory_peak: self.memory.load(Relaxed),
                buckets: std::array::from_fn(|number| self.buckets[number].load(Relaxed)),
                ..FunctionUsage::default()
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

/// Adds to a counter that no other thread changes meanwhile.
fn add(counter: &AtomicU64, more: u64) {
    counter.store(counter.load(Relaxed).saturating_add(more), Relaxed);
}

impl VersionCounters {
    /// Counters for one more instance.
    pub(crate) fn counter(self: &Arc<Self>) -> Counter {
        let own = Arc::<CachePadded<InstanceCounters>>::default();
        self.instances.lock().live.insert(Arc::as_ptr(&own).addr(), Arc::clone(&own));
        Counter { own, version: Arc::clone(self) }
    }

    /// Counts the error of an invocation that ran.
    pub(crate) fn failed(&self, kind: &'static str) {
        *self.errors.lock().entry(kind).or_default() += 1;
    }

    /// Counts an invocation that was refused before the guest ran.
    #[cold]
    pub(crate) fn refused(&self, kind: &'static str) {
        self.refused.fetch_add(1, Relaxed);
        self.failed(kind);
    }

    /// Adds all that was counted to a sum.
    pub(super) fn add_to(&self, usage: &mut FunctionUsage) {
        // Invocations are counted before their errors. So errors are read first: no error is found
        // without its invocation.
        for (kind, count) in &*self.errors.lock() {
            *usage.errors.entry(kind).or_default() += count;
        }
        usage.refused += self.refused.load(Relaxed);
        let live: Vec<_> = {
            let instances = self.instances.lock();
            usage.add(&instances.dropped);
            instances.live.values().cloned().collect()
        };
        live.iter().for_each(|instance| usage.add(&instance.read()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::usage::{Label, Version};

    #[test]
    fn an_invocation_that_is_being_counted_is_in_all_figures_or_in_none() {
        let label = Arc::new(Label { name: "f".into(), version: Version::of(b"", &()) });
        let report = Report {
            label,
            start: StartKind::Cold,
            fuel: 1,
            duration: Duration::from_nanos(1),
            memory: 1,
            input: 1,
            output: 1,
            host_calls: 0,
            log_cut: false,
            outcome: "ok",
        };
        let counters = Arc::<VersionCounters>::default();
        let count = 200_000;
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    // The second half by another instance, the first of which is gone then.
                    for _ in 0..2 {
                        let mut counter = counters.counter();
                        (0..count).for_each(|_| counter.ran(&report));
                    }
                });
            }
            let mut seen = 0;
            while seen < 4 * count {
                let mut usage = FunctionUsage::default();
                counters.add_to(&mut usage);
                let invocations = usage.invocations();
                assert!(invocations >= seen, "{invocations} after {seen}");
                seen = invocations;
                let figures = [usage.fuel, usage.input, usage.output, usage.cold_starts];
                assert_eq!(figures, [seen; 4]);
                assert_eq!(u128::from(seen), usage.duration.as_nanos());
            }
        });
        assert!(counters.instances.lock().live.is_empty());
    }
}
