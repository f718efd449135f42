//! Threads that use two functions with few instances in every way at once. No caller waits for
//! ever. No caller gets an instance that another one has, or that is not clean. Nothing is left.
//!
//! `DORMOUSE_STRESS=100000 cargo test --release stress` runs longer.

use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use dormouse::{Busy, Function, InvokeError, InvokeErrorKind, Reset, Runtime, RuntimeLimits, Trap};

use crate::support::{Random, count, guest, idle_and_live, in_use};

const THREADS: u64 = 6;

/// Longer than anything takes if no caller is forgotten. A forgotten caller looks once more at the
/// end of its wait, and may find an instance then.
const FOR_EVER: Duration = Duration::from_secs(60);

/// Counts the outcome of an invocation, which must be one of the possible ones.
#[derive(Default)]
struct Counts {
    ran: AtomicU64,
    refused: AtomicU64,
}

impl Counts {
    fn add<T>(&self, result: Result<T, InvokeError>) -> Option<T> {
        let error = match result {
            Ok(value) => {
                self.ran.fetch_add(1, Relaxed);
                return Some(value);
            }
            Err(error) => error,
        };
        match error.kind() {
            InvokeErrorKind::Trap(Trap::Unreachable) => self.ran.fetch_add(1, Relaxed),
            // All of the runtime's memory or instances are lent, or this thread holds what it asks
            // for.
            InvokeErrorKind::Busy(Busy::RuntimeInstances { .. } | Busy::RuntimeMemory { .. })
            | InvokeErrorKind::Busy(Busy::Instances { waited: Duration::ZERO, .. }) => match error.report() {
                Some(_) => self.ran.fetch_add(1, Relaxed),
                None => self.refused.fetch_add(1, Relaxed),
            },
            other => panic!("{other}"),
        };
        None
    }
}

/// The guest counts in memory, a global and a table. It grows its memory and traps if its input
/// says so. A clean instance answers 1.
fn late(function: &Function, input: &[u8], counts: &Counts) {
    if let Some(reply) = counts.add(function.invoke(input)) {
        assert_eq!(reply.output(), b"1");
    }
}

fn one_operation(functions: &[Function; 2], runtime: &Runtime, random: &mut Random, counts: &Counts) {
    let [echo, grows] = functions;
    let either = &functions[random.below(2) as usize];
    match random.below(40) {
        0..=17 => {
            let len = random.below(200) as usize;
            let input = random.bytes(len);
            if let Some(reply) = counts.add(echo.invoke(&input)) {
                assert_eq!(reply.output(), input);
            }
        }
        18..=23 => late(grows, b"a", counts),
        24..=26 => late(grows, b"!", counts),
        27 => {
            // The host panics within a run, without the message that a panic prints.
            let ran = catch_unwind(AssertUnwindSafe(|| {
                either.session(|guest| -> Result<(), _> {
                    guest.write(600, b"left")?;
                    resume_unwind(Box::new(()))
                })
            }));
            // No counter has a run that a panic unwinds through.
            if let Ok(refused) = ran {
                counts.add(refused);
            }
        }
        28..=30 => {
            let nested = either.session(|guest| {
                guest.write(600, b"left")?;
                Ok(counts.add(echo.invoke(b"inner")).is_none_or(|reply| reply.output() == b"inner"))
            });
            assert!(counts.add(nested).is_none_or(|session| *session.value()));
        }
        31 | 32 => drop(either.trim(Duration::ZERO)),
        33 => drop(runtime.trim(Duration::ZERO)),
        34 | 35 => match either.prewarm(random.below(4) as usize) {
            Ok(idle) => assert!(idle <= 3, "{idle}"),
            Err(error) => assert!(matches!(error.kind(), InvokeErrorKind::Busy(_)), "{error}"),
        },
        36..=38 => either.set_max_instances(1 + random.below(3) as usize).unwrap(),
        _ => {
            either.set_max_instances(0).unwrap();
            thread::yield_now();
            either.set_max_instances(2).unwrap();
        }
    }
}

#[test]
fn threads_that_do_everything_at_once_lose_no_instance_and_no_wait() {
    for reset in [Reset::Auto, Reset::Portable, Reset::ByFaultCount] {
        let limits = RuntimeLimits { instances: 5, resident_memory: 1 << 20, ..RuntimeLimits::default() };
        let runtime = Runtime::builder().limits(limits).reset(reset).build();
        let deploy = |name: &'static str, module: &[u8]| {
            runtime.deployment(name, module).instances(0..=3).max_wait(FOR_EVER).deploy().unwrap()
        };
        let functions = [deploy("echo", &guest("echo")), deploy("grows", &guest("trap-late"))];
        let counts = Counts::default();
        thread::scope(|scope| {
            for seed in 0..THREADS {
                let (functions, runtime, counts) = (&functions, &runtime, &counts);
                scope.spawn(move || {
                    let mut random = Random::new(seed + count("DORMOUSE_FIRST_SEED", 0));
                    for _ in 0..count("DORMOUSE_STRESS", 500) {
                        let began = Instant::now();
                        one_operation(functions, runtime, &mut random, counts);
                        assert!(began.elapsed() < FOR_EVER, "a waiting thread was forgotten");
                    }
                });
            }
        });
        for function in &functions {
            function.set_max_instances(3).unwrap();
            let (idle, live) = idle_and_live(function);
            assert!(idle == live && live <= 3, "{reset:?}: {idle} of {live}");
        }
        let [echo, grows] = &functions;
        assert_eq!(echo.invoke(b"still here").unwrap().output(), b"still here");
        late(grows, b"a", &counts);
        let ledger = runtime.ledger();
        let sum = |figure: fn(&dormouse::FunctionUsage) -> u64| ledger.functions().iter().map(figure).sum::<u64>();
        let refused = counts.refused.load(Relaxed);
        assert_eq!(sum(dormouse::FunctionUsage::refused), refused, "{reset:?}");
        assert_eq!(sum(dormouse::FunctionUsage::invocations), counts.ran.load(Relaxed) + refused + 1, "{reset:?}");
        for function in functions {
            assert!(runtime.undeploy(function.name()));
        }
        assert_eq!(in_use(&runtime), (0, 0), "{reset:?}");
    }
}
