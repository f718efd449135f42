//! Instances: their number is bounded, the last used is lent first, and callers wait or are
//! refused. They are trimmed and quarantined, and right from many threads.

use std::{
    collections::HashSet,
    sync::{
        Arc, Barrier,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use dormouse::{Busy, Clock, Context, Function, HostError, InvokeErrorKind, Limits, Runtime, StartKind};

use crate::support::{Random, guest, idle_and_live, in_use, wat};

/// A clock that a test moves, or that moves by a fixed step at each reading.
#[derive(Clone, Default)]
pub(crate) struct TestClock(Arc<(AtomicU64, AtomicU64)>);

impl TestClock {
    pub(crate) fn advance(&self, time: Duration) {
        self.0.0.fetch_add(time.as_nanos() as u64, Relaxed);
    }

    pub(crate) fn step(&self, time: Duration) {
        self.0.1.store(time.as_nanos() as u64, Relaxed);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Duration {
        Duration::from_nanos(self.0.0.fetch_add(self.0.1.load(Relaxed), Relaxed))
    }
}

/// A function whose `run` calls the host, and the host can hold it there.
fn holding(
    runtime: &Runtime,
    instances: std::ops::RangeInclusive<usize>,
    hold: impl Fn() + Send + Sync + 'static,
) -> Function {
    let module = wat(r#"(module (import "host" "hold" (func $hold)) (func (export "run") (call $hold)))"#);
    let deployment = runtime.deployment("holding", &module).instances(instances).max_wait(Duration::from_millis(20));
    deployment.host("host", "hold", move |_: &mut dormouse::Context<'_>| hold()).deploy().unwrap()
}

#[test]
fn the_instance_that_deployment_initialised_serves_the_first_invocation_or_goes_with_the_next_deployment() {
    let runtime = Runtime::new();
    let first = runtime.deploy("first", &guest("counter")).unwrap();
    assert_eq!(idle_and_live(&first), (1, 1));
    let start = |function: &Function| function.call("memory_word", &[]).unwrap().report().start();
    assert_eq!([start(&first), start(&first)], [StartKind::Cold, StartKind::Warm]);
    assert_eq!(idle_and_live(&first), (1, 1), "one instance has served both");

    let second = runtime.deploy("second", &guest("counter")).unwrap();
    let third = runtime.deploy("third", &guest("counter")).unwrap();
    assert_eq!(idle_and_live(&first), (1, 1), "an instance that was used stays");
    assert_eq!((idle_and_live(&second), idle_and_live(&third)), ((0, 0), (1, 1)));
    assert_eq!(start(&second), StartKind::Cold);
    // An instance that was made ahead of time gives a warm start.
    assert_eq!(third.prewarm(1).unwrap(), 1);
    assert_eq!((start(&third), idle_and_live(&third)), (StartKind::Warm, (1, 1)));
    let off = runtime.deployment("off", &guest("counter")).instances(0..=0).deploy().unwrap();
    assert_eq!(idle_and_live(&off), (0, 0));
}

#[test]
fn threads_that_take_turns_share_one_instance() {
    let runtime = Runtime::new();
    let function = runtime.deployment("echo", &guest("echo")).instances(0..=8).deploy().unwrap();
    for turn in 0..12 {
        let start = thread::scope(|scope| scope.spawn(|| function.invoke(b"turn").unwrap().report().start()).join());
        assert_eq!(start.unwrap(), if turn == 0 { StartKind::Cold } else { StartKind::Warm }, "turn {turn}");
    }
    assert_eq!(idle_and_live(&function), (1, 1));
}

/// Instances that were made ahead of time lie in the lanes of different threads. One thread finds
/// all of them.
#[test]
fn one_thread_uses_trims_and_counts_the_instances_of_all_lanes() {
    let clock = TestClock::default();
    let runtime = Runtime::builder().clock(clock.clone()).build();
    let function = runtime.deployment("echo", &guest("echo")).instances(1..=6).deploy().unwrap();
    assert_eq!(function.prewarm(6).unwrap(), 6);
    let nested = |runtime: &Runtime| runtime.find("echo").unwrap().invoke(b"x").unwrap().report().start();
    assert!((0..20).all(|_| nested(&runtime) == StartKind::Warm));
    clock.advance(Duration::from_secs(60));
    function.invoke(b"x").unwrap();
    assert_eq!(function.trim(Duration::from_secs(30)), 5, "all but the one just used");
    assert_eq!(function.trim(Duration::ZERO), 0, "one is kept warm");
    assert_eq!(idle_and_live(&function), (1, 1));
}

#[test]
fn eight_threads_share_four_instances_and_every_answer_is_right() {
    let runtime = Runtime::new();
    let function =
        runtime.deployment("echo", &guest("echo")).instances(0..=4).max_wait(Duration::from_secs(60)).deploy().unwrap();
    let (answers, cold, most) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for seed in 0..8 {
            let (function, answers, cold, most) = (&function, &answers, &cold, &most);
            scope.spawn(move || {
                let mut random = Random::new(seed);
                for _ in 0..10_000 {
                    let len = random.below(300) as usize;
                    let input = random.bytes(len);
                    let reply = function.invoke(&input).unwrap();
                    assert_eq!(reply.output(), input);
                    answers.fetch_add(1, Relaxed);
                    cold.fetch_add(usize::from(reply.report().start() == StartKind::Cold), Relaxed);
                    most.fetch_max(idle_and_live(function).1, Relaxed);
                }
            });
        }
    });
    assert_eq!(answers.into_inner(), 80_000);
    assert!(most.into_inner() <= 4);
    assert!(cold.into_inner() <= 4, "instances are used again");
    let (idle, live) = idle_and_live(&function);
    assert_eq!(idle, live, "none is lost");
}

#[test]
fn threads_that_trap_grow_and_succeed_do_not_disturb_each_other() {
    let runtime = Runtime::new();
    let function = runtime
        .deployment("late", &guest("trap-late"))
        .instances(0..=3)
        .max_wait(Duration::from_secs(60))
        .deploy()
        .unwrap();
    thread::scope(|scope| {
        for seed in 0..6 {
            let function = &function;
            scope.spawn(move || {
                let mut random = Random::new(seed);
                for _ in 0..500 {
                    if random.below(2) == 0 {
                        assert!(function.invoke(b"!").is_err());
                    } else {
                        assert_eq!(function.invoke(b"a").unwrap().output(), b"1");
                    }
                }
            });
        }
    });
    // Each run grows its memory, so none of the instances was kept.
    assert_eq!(idle_and_live(&function), (0, 0));
    assert_eq!(in_use(&runtime), (0, 0));
}

#[test]
fn a_full_pool_waits_and_then_is_busy_with_figures() {
    let runtime = Runtime::new();
    let barrier = Arc::new(Barrier::new(2));
    let function = holding(&runtime, 0..=1, {
        let barrier = Arc::clone(&barrier);
        move || {
            barrier.wait();
            barrier.wait();
        }
    });
    thread::scope(|scope| {
        let held = scope.spawn(|| function.call("run", &[]).map(|_| ()));
        barrier.wait();
        let error = function.call("run", &[]).unwrap_err();
        let busy = Busy::Instances { max: 1, waited: Duration::from_millis(20) };
        assert_eq!(*error.kind(), InvokeErrorKind::Busy(busy));
        assert!(error.report().is_none(), "nothing ran");
        barrier.wait();
        held.join().unwrap().unwrap();
    });
}

#[test]
fn a_waiting_invocation_gets_the_instance_that_is_given_back() {
    let runtime = Runtime::new();
    let module = guest("echo");
    let function =
        runtime.deployment("echo", &module).instances(0..=1).max_wait(Duration::from_secs(60)).deploy().unwrap();
    let (entered, leave) = (Barrier::new(2), Barrier::new(2));
    thread::scope(|scope| {
        scope.spawn(|| {
            function.session(|_| {
                entered.wait();
                leave.wait();
                Ok(())
            })
        });
        entered.wait();
        let waiting = scope.spawn(|| function.invoke(b"hello").unwrap());
        leave.wait();
        let reply = waiting.join().unwrap();
        assert_eq!((reply.output(), reply.report().start()), (&b"hello"[..], StartKind::Warm));
    });
}

/// A forgotten caller looks once more at the end of its wait, and finds an instance then. So the
/// test looks at the time, not at the answer.
#[test]
fn who_waits_is_told_when_an_instance_comes_back_and_when_one_is_lost() {
    let forgotten_for = Duration::from_secs(60);
    let function =
        Runtime::new().deployment("echo", &guest("echo")).instances(0..=1).max_wait(forgotten_for).deploy().unwrap();
    for round in 0..20 {
        let is_lost = round % 2 == 1;
        let held = Barrier::new(2);
        thread::scope(|scope| {
            scope.spawn(|| {
                let holds = std::panic::AssertUnwindSafe(|| {
                    function.session(|_| {
                        held.wait();
                        // Mostly the other one sleeps by then. If not, this round shows nothing.
                        thread::sleep(Duration::from_millis(2));
                        if is_lost { std::panic::resume_unwind(Box::new(())) } else { Ok(()) }
                    })
                });
                assert_eq!(std::panic::catch_unwind(holds).is_err(), is_lost);
            });
            held.wait();
            let began = Instant::now();
            let reply = function.invoke(b"hello").unwrap();
            assert!(began.elapsed() < forgotten_for, "round {round}: no thread told the waiting one");
            assert_eq!(reply.report().start(), if is_lost { StartKind::Cold } else { StartKind::Warm });
        });
    }
}

#[test]
fn a_thread_that_holds_the_last_instance_is_busy_at_once() {
    let runtime = Runtime::new();
    let module = guest("echo");
    let function =
        runtime.deployment("echo", &module).instances(0..=1).max_wait(Duration::from_secs(3_600)).deploy().unwrap();
    let error = function.session(|_| Ok(function.invoke(b"x").unwrap_err())).unwrap();
    let busy = Busy::Instances { max: 1, waited: Duration::ZERO };
    assert_eq!(*error.value().kind(), InvokeErrorKind::Busy(busy));
}

#[test]
fn who_holds_an_instance_waits_for_one_of_another_function_until_the_callers_deadline() {
    let (clock, ms) = (TestClock::default(), Duration::from_millis);
    clock.advance(Duration::from_secs(60));
    let runtime = Runtime::builder().clock(clock).build();
    let outer = runtime.deploy("outer", &guest("echo")).unwrap();
    let inner = runtime.deployment("inner", &guest("echo")).instances(0..=1).max_wait(ms(20)).deploy().unwrap();
    let (entered, leave) = (Barrier::new(2), Barrier::new(2));
    let waited = |deadline| {
        let error = outer.invocation(b"").deadline(deadline).session(|_| Ok(inner.invoke(b"x").unwrap_err())).unwrap();
        error.into_value().into_kind()
    };
    let refusals = thread::scope(|scope| {
        scope.spawn(|| {
            inner.session(|_| {
                entered.wait();
                leave.wait();
                Ok(())
            })
        });
        entered.wait();
        let refusals = [Duration::MAX, ms(5)].map(waited);
        leave.wait();
        refusals
    });
    assert_eq!(refusals, [ms(20), ms(5)].map(|waited| InvokeErrorKind::Busy(Busy::Instances { max: 1, waited })));
}

#[test]
fn a_maximum_of_zero_switches_a_function_off() {
    let function = Runtime::new().deployment("off", &guest("echo")).instances(0..=0).deploy().unwrap();
    let error = function.invoke(b"x").unwrap_err();
    assert_eq!(*error.kind(), InvokeErrorKind::Busy(Busy::Instances { max: 0, waited: Duration::ZERO }));
}

#[test]
fn the_most_recently_used_instance_is_taken_first_and_the_others_age() {
    let clock = TestClock::default();
    let runtime = Runtime::builder().clock(clock.clone()).build();
    let function = runtime.deployment("echo", &guest("echo")).instances(0..=4).deploy().unwrap();
    assert_eq!(function.prewarm(3).unwrap(), 3);
    clock.advance(Duration::from_secs(60));
    for _ in 0..10 {
        assert_eq!(function.invoke(b"x").unwrap().report().start(), StartKind::Warm);
    }
    assert_eq!(function.trim(Duration::from_secs(60)), 2, "the two that were not used");
    assert_eq!(idle_and_live(&function), (1, 1));
    assert_eq!(function.trim(Duration::from_secs(1)), 0);
    assert_eq!(function.trim(Duration::ZERO), 1);
    assert_eq!(in_use(&runtime), (0, 0));
}

#[test]
fn unless_told_otherwise_a_function_has_two_instances_for_each_core() {
    let function = Runtime::new().deploy("echo", &guest("echo")).unwrap();
    assert_eq!(function.prewarm(10_000).unwrap(), 2 * thread::available_parallelism().unwrap().get());
}

#[test]
fn the_minimum_is_made_at_deployment_and_kept_by_trim() {
    let runtime = Runtime::new();
    let function = runtime.deployment("echo", &guest("echo")).instances(2..=4).deploy().unwrap();
    assert_eq!(idle_and_live(&function), (2, 2));
    assert_eq!(function.invoke(b"x").unwrap().report().start(), StartKind::Warm);
    assert_eq!(function.prewarm(9).unwrap(), 4, "as many as it may have");
    assert_eq!(runtime.trim(Duration::ZERO), 2);
    assert_eq!(idle_and_live(&function), (2, 2));
    assert!(runtime.undeploy("echo"));
    drop(function);
    assert_eq!(in_use(&runtime), (0, 0), "a version's instances go with it");
}

#[test]
fn a_function_that_keeps_failing_to_initialise_is_quarantined_for_a_while() {
    // It changes its table, so each instance runs its own initialisation, for longer than one slice
    // of fuel.
    let module = wat(r#"(module (table 1 funcref) (func $f)
             (func $init (local i32)
               (loop (local.set 0 (i32.add (local.get 0) (i32.const 1))) (br_if 0 (i32.lt_u (local.get 0) (i32.const 60000)))))
             (start $init)
             (func (export "run") (table.set (i32.const 0) (ref.null func))))"#);
    let clock = TestClock::default();
    let runtime = Runtime::builder().clock(clock.clone()).build();
    let limits = Limits { deadline: Duration::from_millis(1), ..Limits::default() };
    let function = runtime.deployment("slow", &module).limits(limits).deploy().unwrap();
    function.trim(Duration::ZERO);
    clock.step(Duration::from_millis(1));
    let fail = || {
        clock.step(Duration::from_millis(1));
        let error = function.call("run", &[]).unwrap_err();
        clock.step(Duration::ZERO);
        assert!(matches!(error.kind(), InvokeErrorKind::Initialise { step: "the start function", .. }), "{error}");
    };
    let left_alone_for = |count| {
        let error = function.call("run", &[]).unwrap_err();
        let InvokeErrorKind::Quarantined { failures, remaining, .. } = *error.kind() else { panic!("{error}") };
        assert_eq!((failures, idle_and_live(&function)), (count, (0, 0)));
        remaining
    };
    let second = Duration::from_secs(1);
    (0..3).for_each(|_| fail());
    let remaining = left_alone_for(3);
    assert!(!remaining.is_zero() && remaining <= second, "{remaining:?}");
    // It is tried again at the very end of that time. If it fails, it rests for twice as long.
    clock.advance(remaining);
    fail();
    let remaining = left_alone_for(4);
    assert!(remaining > second && remaining <= 2 * second, "{remaining:?}");
    clock.advance(remaining);
    function.call("run", &[]).unwrap();
    function.call("run", &[]).unwrap();
    // Failures before a success do not count.
    assert_eq!(function.trim(Duration::ZERO), 1);
    (0..3).for_each(|_| fail());
    left_alone_for(3);
}

#[test]
fn instances_are_apart_from_each_other() {
    let function = Runtime::new().deployment("counter", &guest("counter")).instances(0..=2).deploy().unwrap();
    let seen = function.session(|outer| {
        outer.call("memory_word", &[])?;
        outer.call("hidden_global", &[])?;
        let inner = function.session(|inner| {
            Ok((inner.call("memory_word", &[])?[0].as_i32(), inner.call("hidden_global", &[])?[0].as_i32()))
        });
        Ok((*inner.unwrap().value(), outer.call("memory_word", &[])?[0].as_i32()))
    });
    assert_eq!(*seen.unwrap().value(), ((1, 1), 2));
}

#[test]
fn functions_are_deployed_invoked_and_undeployed_from_many_threads_at_once() {
    let runtime = Runtime::new();
    let module = guest("echo");
    thread::scope(|scope| {
        for seed in 0..6 {
            let (runtime, module) = (&runtime, &module);
            scope.spawn(move || {
                let mut random = Random::new(seed);
                for _ in 0..150 {
                    let name = ["a", "b", "c"][random.below(3) as usize];
                    match random.below(5) {
                        0 => drop(runtime.deploy(name, module).unwrap()),
                        1 => drop(runtime.undeploy(name)),
                        2 => drop(runtime.trim(Duration::ZERO)),
                        _ => match runtime.find(name).map(|function| function.invoke(b"hello")) {
                            Some(Ok(reply)) => assert_eq!(reply.output(), b"hello"),
                            Some(Err(error)) => {
                                assert!(matches!(error.kind(), InvokeErrorKind::Undeployed { .. }), "{error}");
                            }
                            None => {}
                        },
                    }
                }
            });
        }
    });
    for name in ["a", "b", "c"] {
        runtime.undeploy(name);
    }
    assert_eq!(in_use(&runtime), (0, 0));
    assert_eq!(runtime.functions().len(), 0);
}

#[test]
fn a_report_names_the_version_that_ran() {
    let runtime = Runtime::new();
    let function = runtime.deploy("echo", &guest("echo")).unwrap();
    let versions: HashSet<_> = (0..3).map(|_| function.invoke(b"x").unwrap().report().version()).collect();
    assert_eq!(versions.into_iter().collect::<Vec<_>>(), [function.version().unwrap()]);
}

/// It changes its table, so each instance runs its own initialisation, for longer than a slice of
/// fuel.
const SLOW: &str = r#"(module (import "host" "hold" (func $hold)) (table 1 funcref)
    (func $start (local i32)
      (loop (local.set 0 (i32.add (local.get 0) (i32.const 1))) (br_if 0 (i32.lt_u (local.get 0) (i32.const 60000)))))
    (start $start)
    (func (export "hold") (call $hold))
    (func (export "run") (table.set (i32.const 0) (ref.null func))))"#;

#[test]
fn a_caller_that_is_out_of_time_does_not_quarantine_what_it_calls() {
    let clock = TestClock::default();
    let runtime = Runtime::builder().clock(clock.clone()).build();
    let module = wat(SLOW);
    let deployment = runtime.deployment("slow", &module).host("host", "hold", |_: &mut Context<'_>| ());
    let slow = deployment.deploy().unwrap();
    let late = move |guest: &mut Context<'_>| -> Result<(), HostError> {
        clock.advance(Duration::from_secs(2));
        guest.runtime().find("slow").ok_or("gone")?.call("run", &[])?;
        Ok(())
    };
    let module = wat(r#"(module (import "host" "late" (func $late)) (func (export "run") (call $late)))"#);
    let limits = Limits { deadline: Duration::from_secs(1), ..Limits::default() };
    let caller = runtime.deployment("caller", &module).limits(limits).host("host", "late", late).deploy().unwrap();
    for _ in 0..5 {
        let error = caller.call("run", &[]).unwrap_err();
        assert!(error.to_string().contains("deadline exceeded"), "{error}");
    }
    slow.call("run", &[]).unwrap();
}

#[test]
fn all_callers_that_wait_for_a_function_learn_that_it_is_quarantined() {
    let clock = TestClock::default();
    let runtime = Runtime::builder().clock(clock.clone()).build();
    let (entered, leave) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
    let hold = {
        let (entered, leave) = (Arc::clone(&entered), Arc::clone(&leave));
        move |_: &mut Context<'_>| -> () {
            entered.wait();
            leave.wait();
            panic!("gives its place up");
        }
    };
    let limits = Limits { deadline: Duration::from_millis(1), ..Limits::default() };
    let module = wat(SLOW);
    let deployment = runtime.deployment("slow", &module).limits(limits).host("host", "hold", hold);
    let function = deployment.instances(0..=1).max_wait(Duration::from_secs(60)).deploy().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| function.call("hold", &[]).map(|_| ()).unwrap_err());
        entered.wait();
        let began = Instant::now();
        let waiting: Vec<_> =
            (0..8).map(|_| scope.spawn(|| function.call("run", &[]).map(|_| ()).unwrap_err())).collect();
        // All of them have time to begin their wait. From now on the clock runs, so that each
        // initialisation takes too long.
        thread::sleep(Duration::from_millis(50));
        clock.step(Duration::from_millis(1));
        leave.wait();
        let errors: Vec<_> = waiting.into_iter().map(|waiting| waiting.join().unwrap()).collect();
        let told = errors.iter().filter(|error| matches!(error.kind(), InvokeErrorKind::Quarantined { .. })).count();
        assert_eq!(told, 5, "three fail: {errors:?}");
        assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    });
}

#[test]
fn a_nested_invocation_waits_no_longer_than_its_callers_deadline() {
    let runtime = Runtime::new();
    let empty = wat(r#"(module (func (export "run")))"#);
    let held = runtime.deployment("held", &empty).instances(0..=1).max_wait(Duration::from_secs(60)).deploy().unwrap();
    let call = |guest: &mut Context<'_>| -> Result<(), HostError> {
        guest.runtime().find("held").ok_or("gone")?.call("run", &[])?;
        Ok(())
    };
    let module = wat(r#"(module (import "host" "call" (func $call)) (func (export "run") (call $call)))"#);
    let limits = Limits { deadline: Duration::from_millis(50), ..Limits::default() };
    let caller = runtime.deployment("caller", &module).limits(limits).host("host", "call", call).deploy().unwrap();
    let (entered, leave) = (Barrier::new(2), Barrier::new(2));
    thread::scope(|scope| {
        scope.spawn(|| {
            held.session(|_| {
                entered.wait();
                leave.wait();
                Ok(())
            })
        });
        entered.wait();
        let began = Instant::now();
        let error = caller.call("run", &[]).unwrap_err();
        let took = began.elapsed();
        leave.wait();
        assert!(took < Duration::from_secs(30), "{took:?}: {error}");
    });
}
