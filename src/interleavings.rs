//! Tests of the pool, the queue and the workers under many orders of events between threads. The
//! crate shuttle repeats each scenario. At each lock, condition variable and atomic of `sync.rs` it
//! decides which thread goes on. The functions are real.
//!
//! Invariant under test: no waiting thread is forgotten.
//!
//! A thread that sleeps and is forgotten fails its scenario: no thread can go on. Shuttle reports
//! this as a deadlock, with a schedule that repeats it. All atomics have one order here, whatever
//! the code asks for. Orders that only weak memory allows are not explored.
//!
//! ```sh
//! RUSTFLAGS='--cfg shuttle' cargo test --config 'profile.dev.package."*".opt-level=0' \
//!     --no-default-features --features events,portable-dispatch --lib interleavings
//! ```
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with the error")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use shuttle::{
    Config, Runner,
    scheduler::{PctScheduler, RandomScheduler, Scheduler},
    thread,
};

use crate::{
    Busy, Clock, Context, DeliveryOutcome, Event, Function, HostError, InvokeErrorKind, Reset, Retry, Runtime,
    RuntimeLimits, StartKind, Trigger, TriggerInput, Value,
    sync::{Condvar, Mutex},
};

/// A wait that no test outlasts.
const FOR_EVER: Duration = Duration::from_secs(1 << 20);

/// Runs a scenario in many orders: at random, and with few changes of thread. The latter find
/// faults that depend on a single moment more often.
fn explore(scenario: fn()) {
    let number = |variable: &str, default| std::env::var(variable).map_or(default, |text| text.parse().unwrap());
    let (count, seed) = (number("DORMOUSE_INTERLEAVINGS", 1_000), number("DORMOUSE_FIRST_SEED", 0));
    let run = |scheduler: Box<dyn Scheduler + Send>| {
        let mut config = Config::new();
        // Without optimisation, the interpreter's frames are large.
        config.stack_size = 1 << 20;
        config.silence_warnings = true;
        Runner::new(scheduler, config).run(scenario);
    };
    run(Box::new(RandomScheduler::new_from_seed(seed, count as usize)));
    run(Box::new(PctScheduler::new_from_seed(seed, 3, count as usize)));
}

/// A clock that only moves when a test moves it.
#[derive(Clone, Default)]
struct Still(Arc<AtomicU64>);

impl Clock for Still {
    fn now(&self) -> Duration {
        Duration::from_secs(self.0.load(Relaxed))
    }
}

fn runtime(instances: usize) -> (Runtime, Still) {
    let clock = Still::default();
    let limits = RuntimeLimits { instances, ..RuntimeLimits::default() };
    (Runtime::builder().reset(Reset::Portable).limits(limits).clock(clock.clone()).build(), clock)
}

/// A function whose `run` yields to other threads, and grows its memory by the given number of
/// pages. If that is not 0, its instance is lost. Asserts that at most `max` run at the same time.
fn function(runtime: &Runtime, name: &str, max: usize, max_wait: Duration) -> Function {
    let module = wat::parse_str(
        r#"(module (import "host" "stay" (func $stay)) (memory 1 2)
             (func (export "run") (param i32) (call $stay) (drop (memory.grow (local.get 0)))))"#,
    )
    .unwrap();
    let running = AtomicUsize::new(0);
    let stay = move |_: &mut Context<'_>| {
        assert!(running.fetch_add(1, Relaxed) < max, "more run at once than allowed");
        thread::yield_now();
        running.fetch_sub(1, Relaxed);
    };
    let deployment = runtime.deployment(name, &module).instances(0..=max).max_wait(max_wait);
    deployment.host("host", "stay", stay).deploy().unwrap()
}

fn run(function: &Function, pages: i32) -> Result<StartKind, InvokeErrorKind> {
    let ran = function.call("run", &[Value::I32(pages)]);
    ran.map(|returned| returned.report().start()).map_err(|error| error.kind().clone())
}

/// Asserts that all runs have ended: all live instances are idle, and there are not too many.
fn is_quiet(function: &Function, max: usize) {
    let crate::InstanceCount { idle, live } = function.instances();
    assert!(idle == live && live <= max, "{idle} idle of {live}, {max} may live");
    assert_eq!(function.name(), "f");
    run(function, 0).unwrap();
}

fn join(threads: Vec<thread::JoinHandle<()>>) {
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

fn threads(count: usize, each: impl Fn(usize) + Clone + Send + 'static) -> Vec<thread::JoinHandle<()>> {
    let spawn = |number| {
        let each = each.clone();
        thread::spawn(move || each(number))
    };
    (0..count).map(spawn).collect()
}

#[test]
fn a_waiting_thread_is_served_when_an_instance_comes_back_or_is_lost() {
    explore(|| {
        let max = 1 + shuttle::rand::Rng::gen_range(&mut shuttle::rand::thread_rng(), 0..2);
        let (runtime, _) = runtime(8);
        let f = function(&runtime, "f", max, FOR_EVER);
        let invokes = f.clone();
        join(threads(3, move |number| {
            for turn in 0..2 {
                run(&invokes, i32::from((number + turn) % 2 == 0)).unwrap();
            }
        }));
        is_quiet(&f, max);
    });
}

#[test]
fn a_waiting_thread_is_served_when_the_maximum_is_raised_and_lowered() {
    explore(|| {
        let (runtime, _) = runtime(8);
        let f = function(&runtime, "f", 3, FOR_EVER);
        f.set_max_instances(1).unwrap();
        let invokes = f.clone();
        let invoking = threads(3, move |number| _ = run(&invokes, i32::from(number == 0)).unwrap());
        f.set_max_instances(3).unwrap();
        f.set_max_instances(1).unwrap();
        join(invoking);
        is_quiet(&f, 1);
    });
}

#[test]
fn a_thread_that_waits_while_a_function_is_switched_off_is_served_when_it_is_on_again() {
    explore(|| {
        let (runtime, _) = runtime(8);
        let f = function(&runtime, "f", 1, FOR_EVER);
        let invokes = f.clone();
        let invoking = threads(2, move |_| match run(&invokes, 0) {
            Ok(_) | Err(InvokeErrorKind::Busy(Busy::Instances { max: 0, .. })) => {}
            Err(error) => panic!("{error}"),
        });
        f.set_max_instances(0).unwrap();
        f.set_max_instances(1).unwrap();
        join(invoking);
        is_quiet(&f, 1);
    });
}

#[test]
fn a_waiting_thread_is_served_while_instances_are_made_ahead_trimmed_and_evicted() {
    explore(|| {
        let (runtime, clock) = runtime(2);
        let (f, other) = (function(&runtime, "f", 1, FOR_EVER), function(&runtime, "other", 2, FOR_EVER));
        clock.0.store(60, Relaxed);
        let invokes = f.clone();
        let full = |error: InvokeErrorKind| {
            assert!(matches!(error, InvokeErrorKind::Busy(Busy::RuntimeInstances { limit: 2 })), "{error}");
        };
        let mut all = threads(2, move |_| run(&invokes, 0).map_or_else(full, drop));
        let warmed = f.clone();
        all.push(thread::spawn(move || {
            warmed.prewarm(1).map_or_else(|error| full(error.kind().clone()), drop);
            warmed.trim(Duration::ZERO);
        }));
        all.extend(threads(1, move |_| run(&other, 0).map_or_else(full, drop)));
        join(all);
        runtime.trim(Duration::ZERO);
        assert_eq!(runtime.in_use().instances, 0);
        is_quiet(&f, 1);
    });
}

#[test]
fn a_thread_that_gives_up_waiting_takes_nothing_with_it() {
    explore(|| {
        let (runtime, _) = runtime(8);
        let f = function(&runtime, "f", 1, Duration::from_millis(1));
        let invokes = f.clone();
        join(threads(3, move |number| match run(&invokes, i32::from(number == 0)) {
            Ok(_) | Err(InvokeErrorKind::Busy(Busy::Instances { max: 1, .. })) => {}
            Err(error) => panic!("{error}"),
        }));
        is_quiet(&f, 1);
    });
}

/// Records what has happened, for threads that wait for it.
#[derive(Clone)]
struct Journal(Arc<(Mutex<Vec<String>>, Condvar)>);

impl Journal {
    fn new() -> Self {
        Self(Arc::new((Mutex::default(), Condvar::new())))
    }

    fn record(&self, what: String) {
        self.0.0.lock().push(what);
        self.0.1.notify_all();
    }

    /// Waits for this many events, and returns all.
    fn wait(&self, count: usize) -> Vec<String> {
        let mut journal = self.0.0.lock();
        while journal.len() < count {
            self.0.1.wait(&mut journal);
        }
        journal.clone()
    }
}

/// Deploys a function that records its input. On `once` it fails the first time. On `publish` and
/// the name of an event it publishes that event.
fn deploy(runtime: &Runtime, name: &'static str, journal: &Journal) -> Function {
    let module = wat::parse_str(
        r#"(module (import "host" "note" (func $note (param i32 i32))) (memory (export "memory") 1)
             (func (export "alloc") (param i32) (result i32) (i32.const 1024))
             (func (export "handle") (param i32 i32) (result i64) (call $note (local.get 0) (local.get 1)) (i64.const 0)))"#,
    )
    .unwrap();
    let (journal, failed) = (journal.clone(), AtomicUsize::new(0));
    let note = move |guest: &mut Context<'_>, at: u32, len: u32| -> Result<(), HostError> {
        let text = guest.read_text(at, len)?;
        thread::yield_now();
        if text == "once" && failed.fetch_add(1, Relaxed) == 0 {
            return Err("the first time".into());
        }
        if text.starts_with("publish ") {
            guest.publish(event(text.trim_start_matches("publish "), "staged"))?;
        }
        journal.record(format!("{name} {text}"));
        Ok(())
    };
    runtime.deployment(name, &module).instances(0..=2).max_wait(FOR_EVER).host("host", "note", note).deploy().unwrap()
}

fn event(ty: &str, data: &str) -> Event {
    Event::builder(ty).id("1").source("/test").data_text(data).build().unwrap()
}

fn bind(runtime: &Runtime, ty: &str, function: &str) {
    let retry = Retry::fixed(Duration::from_secs(10)).without_jitter();
    runtime.bind(ty, Trigger::on(ty).to(function).input(TriggerInput::Data).retry(retry)).unwrap();
}

/// Asserts that this many deliveries have succeeded, and that the counts balance.
fn have_succeeded(runtime: &Runtime, count: u64) {
    let deliveries = runtime.deliveries().stats();
    assert!(deliveries.is_balanced(), "{deliveries:?}");
    assert_eq!((deliveries.succeeded, deliveries.pending()), (count, 0), "{deliveries:?}");
}

#[test]
fn workers_deliver_all_that_is_published_dispatched_and_staged() {
    explore(|| {
        let (runtime, _) = runtime(8);
        let journal = Journal::new();
        deploy(&runtime, "f", &journal);
        bind(&runtime, "a", "f");
        bind(&runtime, "b", "f");
        let workers = runtime.deliveries().workers(2).unwrap();
        let (publishes, dispatches, looks) = (runtime.clone(), runtime.clone(), runtime.clone());
        let all = vec![
            thread::spawn(move || {
                assert_eq!(publishes.publish(event("a", "publish b")).unwrap(), 1);
                assert_eq!(publishes.publish(event("a", "")).unwrap(), 1);
            }),
            thread::spawn(move || {
                let dispatched = dispatches.dispatch(event("a", "publish b")).unwrap();
                assert!(matches!(&dispatched[0].outcome, DeliveryOutcome::Succeeded(_)), "{dispatched:?}");
            }),
            thread::spawn(move || assert!(looks.deliveries().is_balanced())),
        ];
        journal.wait(5);
        join(all);
        drop(workers);
        have_succeeded(&runtime, 5);
    });
}

#[test]
fn workers_deliver_to_a_function_when_it_is_deployed() {
    explore(|| {
        let (runtime, _) = runtime(8);
        let journal = Journal::new();
        bind(&runtime, "a", "f");
        let workers = runtime.deliveries().workers(2).unwrap();
        let publishes = runtime.clone();
        let publishing = threads(1, move |_| {
            for _ in 0..2 {
                assert_eq!(publishes.publish(event("a", "")).unwrap(), 1);
            }
        });
        deploy(&runtime, "f", &journal);
        journal.wait(2);
        join(publishing);
        drop(workers);
        have_succeeded(&runtime, 2);
    });
}

#[test]
fn what_waits_for_a_function_that_is_off_is_delivered_by_workers_when_it_is_on() {
    explore(|| {
        let (runtime, _) = runtime(8);
        let journal = Journal::new();
        let f = deploy(&runtime, "f", &journal);
        f.set_max_instances(0).unwrap();
        bind(&runtime, "a", "f");
        let workers = runtime.deliveries().workers(1).unwrap();
        let publishes = runtime.clone();
        let publishing = threads(2, move |_| _ = publishes.publish(event("a", "")).unwrap());
        f.set_max_instances(2).unwrap();
        journal.wait(2);
        join(publishing);
        drop(workers);
        have_succeeded(&runtime, 2);
    });
}

#[test]
fn workers_deliver_all_that_is_ready_before_they_end() {
    explore(|| {
        let (runtime, _) = runtime(8);
        let journal = Journal::new();
        deploy(&runtime, "f", &journal);
        bind(&runtime, "a", "f");
        let workers = runtime.deliveries().workers(2).unwrap();
        runtime.publish(event("a", "before")).unwrap();
        runtime.publish(event("a", "before")).unwrap();
        let publishes = runtime.clone();
        let publishing = threads(1, move |_| _ = publishes.publish(event("a", "later")).unwrap());
        drop(workers);
        let before = journal.wait(0).iter().filter(|text| text.ends_with("before")).count();
        assert_eq!(before, 2, "the workers have ended");
        join(publishing);
        runtime.deliveries().run_pending(usize::MAX);
        have_succeeded(&runtime, 3);
    });
}

#[test]
fn deliveries_of_one_order_keep_to_it_and_none_is_left_behind() {
    explore(|| {
        let (runtime, _) = runtime(8);
        let journal = Journal::new();
        deploy(&runtime, "f", &journal);
        runtime.bind("a", Trigger::on("a").to("f").input(TriggerInput::Data).ordered()).unwrap();
        let workers = runtime.deliveries().workers(2).unwrap();
        for number in 0..3 {
            runtime.publish(event("a", &number.to_string())).unwrap();
        }
        assert_eq!(journal.wait(3), ["f 0", "f 1", "f 2"]);
        drop(workers);
        have_succeeded(&runtime, 3);
    });
}

#[test]
fn a_failed_delivery_is_tried_again_when_it_is_due() {
    explore(|| {
        let (runtime, clock) = runtime(8);
        let journal = Journal::new();
        deploy(&runtime, "f", &journal);
        bind(&runtime, "a", "f");
        let workers = runtime.deliveries().workers(2).unwrap();
        runtime.publish(event("a", "once")).unwrap();
        // Each step is ten seconds. The delivery becomes due ten seconds after its first attempt
        // has ended, whenever that is.
        while journal.wait(0).is_empty() {
            clock.0.fetch_add(10, Relaxed);
            runtime.tick(crate::Timestamp::UNIX_EPOCH);
            thread::yield_now();
        }
        drop(workers);
        have_succeeded(&runtime, 1);
    });
}

#[test]
fn workers_end_by_themselves_when_their_runtime_is_gone() {
    explore(|| {
        let (runtime, _) = runtime(8);
        let journal = Journal::new();
        deploy(&runtime, "f", &journal);
        bind(&runtime, "a", "f");
        // Dropping the guard would wait for the workers. Here nothing tells them to end.
        std::mem::forget(runtime.deliveries().workers(2).unwrap());
        let other = runtime.clone();
        let publishing = threads(1, move |_| _ = other.publish(event("a", "")).unwrap());
        runtime.publish(event("a", "")).unwrap();
        drop(runtime);
        join(publishing);
    });
}
