//! Every limit of a runtime and of nested invocations. The limit itself is accepted. One more is
//! refused.

use std::time::{Duration, Instant};

use dormouse::{
    Busy, Context, DeployError, Function, InvokeError, InvokeErrorKind, Limits, Runtime, RuntimeLimits, StartKind,
    Value,
};

use crate::support::{idle_and_live, in_use};
use crate::{
    limits::PAGE,
    limits_of_runs::{Hands, ms},
    pool::TestClock,
    support::{guest, wat},
};

#[test]
fn one_function_more_than_the_runtime_may_hold_is_refused() {
    let runtime = Runtime::builder().limits(RuntimeLimits { functions: 2, ..RuntimeLimits::default() }).build();
    let module = guest("fib");
    runtime.deploy("a", &module).unwrap();
    let b = runtime.deploy("b", &module).unwrap();
    let error = runtime.deploy("c", &module).unwrap_err();
    assert!(matches!(error, DeployError::TooManyFunctions { limit: 2 }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains(" 2 ") && text.contains("RuntimeLimits::functions"), "{text}");
    assert!(runtime.find("c").is_none());
    assert_eq!(runtime.trim(Duration::ZERO), 1, "what the deployment of b left");
    assert_eq!(in_use(&runtime), (0, 0));
    // A redeployment needs no room. An undeployed function frees its room, even if handles to it
    // remain.
    runtime.deploy("a", &guest("echo")).unwrap();
    assert!(runtime.undeploy("b"));
    runtime.deploy("c", &module).unwrap();
    let error = runtime.deploy("b", &module).unwrap_err();
    assert!(matches!(error, DeployError::TooManyFunctions { limit: 2 }), "{error:?}");
    assert!(b.version().is_none());
}

/// A runtime of `limits` with the functions a, b and c, each of one page and with any number of
/// instances.
fn three(limits: RuntimeLimits) -> (Runtime, Hands, [Function; 3]) {
    let hands = Hands { each_reading: 1, ..Hands::default() };
    let runtime = Runtime::builder().limits(limits).clock(hands.clone()).build();
    let module = guest("bomb");
    let functions = ["a", "b", "c"].map(|name| runtime.deployment(name, &module).instances(0..=9).deploy().unwrap());
    runtime.trim(Duration::ZERO);
    (runtime, hands, functions)
}

fn size(function: &Function) -> Result<StartKind, InvokeErrorKind> {
    function.call("size", &[]).map(|returned| returned.report().start()).map_err(InvokeError::into_kind)
}

/// The memory that one instance of those functions holds.
fn one_instance() -> u64 {
    let (runtime, _, [a, ..]) = three(RuntimeLimits::default());
    size(&a).unwrap();
    let (1, bytes) = in_use(&runtime) else { panic!("{:?}", in_use(&runtime)) };
    assert!(bytes > PAGE, "memory and bookkeeping");
    bytes
}

#[test]
fn one_instance_more_than_the_runtime_may_have_costs_the_least_recently_used() {
    let (runtime, _, [a, b, c]) = three(RuntimeLimits { instances: 2, ..RuntimeLimits::default() });
    for function in [&a, &b] {
        assert_eq!(size(function), Ok(StartKind::Cold));
    }
    assert_eq!(size(&a), Ok(StartKind::Warm));
    assert_eq!((idle_and_live(&a), idle_and_live(&b)), ((1, 1), (1, 1)));
    // b has been idle for longer.
    assert_eq!(size(&c), Ok(StartKind::Cold));
    assert_eq!((idle_and_live(&a), idle_and_live(&b), idle_and_live(&c)), ((1, 1), (0, 0), (1, 1)));
    assert_eq!(in_use(&runtime).0, 2);

    let held = in_use(&runtime);
    let nested = a.session(|_| {
        let inner = c.session(|_| {
            let limit = InvokeErrorKind::Busy(Busy::RuntimeInstances { limit: 2 });
            assert_eq!(size(&b), Err(limit.clone()));
            assert_eq!(size(&a), Err(limit));
            let refused = runtime.deploy("d", &guest("fib")).unwrap_err();
            assert!(matches!(refused, DeployError::Busy(Busy::RuntimeInstances { limit: 2 })), "{refused:?}");
            Ok(())
        });
        inner.map_err(InvokeError::into_kind)?;
        // c is idle again, and is dropped.
        assert_eq!(size(&b), Ok(StartKind::Cold));
        Ok(())
    });
    nested.unwrap();
    assert_eq!(in_use(&runtime), held);
}

#[test]
fn a_runtime_with_no_instances_refuses_to_deploy() {
    let runtime = Runtime::builder().limits(RuntimeLimits { instances: 0, ..RuntimeLimits::default() }).build();
    let error = runtime.deploy("fib", &guest("fib")).unwrap_err();
    assert!(matches!(error, DeployError::Busy(Busy::RuntimeInstances { limit: 0 })), "{error:?}");
    assert_eq!(in_use(&runtime), (0, 0));
}

#[test]
fn one_byte_more_than_the_resident_memory_costs_the_least_recently_used() {
    let one = one_instance();
    let (runtime, _, [a, b, c]) = three(RuntimeLimits { resident_memory: 2 * one, ..RuntimeLimits::default() });
    size(&a).unwrap();
    size(&b).unwrap();
    assert_eq!(in_use(&runtime), (2, 2 * one));
    size(&c).unwrap();
    assert_eq!((idle_and_live(&a), idle_and_live(&b), idle_and_live(&c)), ((0, 0), (1, 1), (1, 1)));

    let limit = 2 * one - 1;
    let (runtime, _, [a, b, _]) = three(RuntimeLimits { resident_memory: limit, ..RuntimeLimits::default() });
    size(&a).unwrap();
    size(&b).unwrap();
    assert_eq!((idle_and_live(&a), idle_and_live(&b)), ((0, 0), (1, 1)));
    let error = b.session(|_| size(&a)).unwrap_err();
    assert_eq!(*error.kind(), InvokeErrorKind::Busy(Busy::RuntimeMemory { wanted: one, limit }));
    assert_eq!(in_use(&runtime), (1, one));

    let runtime = Runtime::builder().limits(RuntimeLimits { resident_memory: one - 1, ..RuntimeLimits::default() });
    let error = runtime.build().deploy("bomb", &guest("bomb")).unwrap_err();
    assert!(
        matches!(error, DeployError::Busy(Busy::RuntimeMemory { wanted, limit }) if wanted == one && limit == one - 1),
        "{error:?}"
    );
}

/// Bytes that one instance of a module takes.
fn held(text: &str) -> u64 {
    let runtime = Runtime::new();
    runtime.deployment("f", &wat(text)).instances(1..=1).deploy().unwrap();
    in_use(&runtime).1
}

#[test]
fn tables_and_element_segments_count_as_resident_memory() {
    let none = held("(module (func $f))");
    // Each instance has four bytes for an element, measured.
    let table = held("(module (func $f) (table 100000 funcref))");
    assert!((400_000..2_000_000).contains(&(table - none)), "{}", table - none);
    // An instance keeps the first state of tables that code changes, and growing reserves as many
    // elements ahead.
    let text = "(module (table 100000 funcref) (func (table.set (i32.const 0) (ref.null func))))";
    let written = held(text) - none;
    assert!((1_950_000..3_000_000).contains(&written), "{written}");
    let segment = held(&format!("(module (func $f) (elem func {}))", "$f ".repeat(100_000)));
    assert!((400_000..2_000_000).contains(&(segment - none)), "{}", segment - none);
}

#[test]
fn functions_and_globals_count_as_resident_memory() {
    let (functions, globals) = ("(func)".repeat(1_000), "(global i32 (i32.const 0))".repeat(1_000));
    let module = |parts: &[&str]| held(&format!("(module {})", parts.concat()));
    let none = module(&[]);
    let (with_functions, with_globals) = (module(&[&functions]) - none, module(&[&globals]) - none);
    // They take 56 to 96 bytes each, and some 40 more, measured.
    assert!((56_000..200_000).contains(&with_functions), "{with_functions}");
    assert!((30_000..100_000).contains(&with_globals), "{with_globals}");
    assert_eq!(module(&[&functions, &globals]), none + with_functions + with_globals);
}

#[test]
fn a_running_guest_that_grows_beyond_the_budget_ends_as_busy() {
    let one = one_instance();
    let limit = one + 2 * PAGE;
    let (runtime, _, [a, ..]) = three(RuntimeLimits { resident_memory: limit, ..RuntimeLimits::default() });
    let grow = |pages| a.call("grow", &[Value::I32(pages)]);
    assert_eq!(in_use(&runtime), (0, 0));
    assert_eq!(grow(2).unwrap().values(), [Value::I32(1)]);
    // The instance grew, so it was dropped.
    assert_eq!(in_use(&runtime), (0, 0));
    size(&a).unwrap();
    assert_eq!(in_use(&runtime), (1, one));
    let error = grow(3).unwrap_err();
    assert_eq!(*error.kind(), InvokeErrorKind::Busy(Busy::RuntimeMemory { wanted: 3 * PAGE, limit }));
    assert_eq!(error.report().unwrap().outcome(), "busy");
    assert_eq!(in_use(&runtime), (1, one));
    // Page by page, the third growth fails, and everything is given back.
    let error = a.call("grow_all", &[]).unwrap_err();
    assert_eq!(*error.kind(), InvokeErrorKind::Busy(Busy::RuntimeMemory { wanted: PAGE, limit }));
    assert_eq!(error.report().unwrap().memory_bytes(), 3 * PAGE);
    assert_eq!(in_use(&runtime), (0, 0));
    assert_eq!(size(&a), Ok(StartKind::Cold));
    assert_eq!(in_use(&runtime), (1, one));
}

#[test]
fn a_running_guest_that_grows_takes_the_room_of_idle_instances_first() {
    let one = one_instance();
    let limits = RuntimeLimits { resident_memory: 3 * one, ..RuntimeLimits::default() };
    let (runtime, _, [a, b, c]) = three(limits);
    for function in [&b, &c, &a] {
        size(function).unwrap();
    }
    assert_eq!(in_use(&runtime), (3, 3 * one));
    a.session(|guest| {
        assert_eq!(guest.call("grow", &[Value::I32(1)])?[0], Value::I32(1));
        assert_eq!((idle_and_live(&b), idle_and_live(&c)), ((0, 0), (1, 1)));
        assert_eq!(in_use(&runtime), (2, 2 * one + PAGE));
        Ok(())
    })
    .unwrap();
    assert_eq!(in_use(&runtime), (1, one));
}

#[test]
fn what_all_instances_held_is_given_back() {
    let (runtime, _, [a, b, c]) = three(RuntimeLimits::default());
    for function in [&a, &b, &c] {
        function.prewarm(3).unwrap();
    }
    assert_eq!(in_use(&runtime).0, 9);
    assert_eq!(runtime.trim(Duration::ZERO), 9);
    assert_eq!(in_use(&runtime), (0, 0));
    // Once by undeploying, once by replacing.
    for function in [&a, &b, &c] {
        function.prewarm(3).unwrap();
    }
    runtime.undeploy("a");
    assert_eq!(in_use(&runtime).0, 6);
    runtime.deploy("b", &guest("fib")).unwrap().trim(Duration::ZERO);
    assert_eq!(in_use(&runtime).0, 3);
    drop(c);
    assert_eq!(in_use(&runtime).0, 3);
    runtime.undeploy("c");
    assert_eq!(in_use(&runtime), (0, 0));
}

#[test]
fn prewarming_more_than_the_runtime_may_have_is_busy() {
    let (runtime, _, [a, b, _]) = three(RuntimeLimits { instances: 3, ..RuntimeLimits::default() });
    size(&b).unwrap();
    // The idle instance of b is dropped. After that, dropping its own instances gains nothing.
    let error = a.prewarm(4).unwrap_err();
    assert_eq!(*error.kind(), InvokeErrorKind::Busy(Busy::RuntimeInstances { limit: 3 }));
    assert_eq!((idle_and_live(&a), idle_and_live(&b)), ((3, 3), (0, 0)));
    assert_eq!(in_use(&runtime).0, 3);
    assert_eq!(a.prewarm(3).unwrap(), 3);

    let four = runtime.deployment("d", &guest("bomb")).instances(4..=4).deploy().unwrap_err();
    assert!(matches!(four, DeployError::Busy(Busy::RuntimeInstances { limit: 3 })), "{four:?}");
    assert!(in_use(&runtime).0 <= 3, "{:?}", in_use(&runtime));
}

/// Deploys `down`: `down(n)` calls the host, which calls `down(n - 1)` of the same function, and
/// answers the depth.
fn nesting(runtime: &Runtime, instances: usize) -> Function {
    let module = wat(r#"(module (import "env" "down" (func $down (param i32) (result i32)))
        (func (export "down") (param i32) (result i32)
            (if (result i32) (local.get 0)
                (then (i32.add (i32.const 1) (call $down (i32.sub (local.get 0) (i32.const 1)))))
                (else (i32.const 1)))))"#);
    runtime
        .deployment("down", &module)
        .instances(0..=instances)
        .host("env", "down", |guest: &mut Context<'_>, n: i32| {
            let function = guest.runtime().find("down").ok_or("undeployed")?;
            Ok::<_, dormouse::HostError>(function.call("down", &[Value::I32(n)])?.values()[0].as_i32())
        })
        .deploy()
        .unwrap()
}

#[test]
fn invocations_nest_four_below_the_outermost_and_no_deeper() {
    let runtime = Runtime::new();
    let function = nesting(&runtime, 9);
    assert_eq!(function.call("down", &[Value::I32(4)]).unwrap().values(), [Value::I32(5)]);
    let error = function.call("down", &[Value::I32(5)]).unwrap_err();
    match error.kind() {
        InvokeErrorKind::HostFunction { message, .. } => assert!(message.contains("nested 5 deep"), "{message}"),
        other => panic!("{other:?}"),
    }
    // By type, if the host's own code nests.
    fn down(function: &Function, levels: usize) -> Result<(), InvokeErrorKind> {
        if levels == 0 {
            return Ok(());
        }
        function.session(|_| down(function, levels - 1)).map(|_| ()).map_err(InvokeError::into_kind)
    }
    assert_eq!(down(&function, 5), Ok(()));
    assert_eq!(down(&function, 6), Err(InvokeErrorKind::NestedTooDeep { limit: 5 }));
    assert_eq!(down(&function, 5), Ok(()));
    assert_eq!(in_use(&runtime).0, 5);
}

#[test]
fn a_function_that_invokes_itself_uses_another_instance_or_is_busy_at_once() {
    let runtime = Runtime::new();
    let function = nesting(&runtime, 2);
    assert_eq!(function.call("down", &[Value::I32(1)]).unwrap().values(), [Value::I32(2)]);
    let began = Instant::now();
    let error = function.call("down", &[Value::I32(2)]).unwrap_err();
    assert!(error.to_string().contains("all 2 instances"), "{error}");
    assert!(began.elapsed() < ms(900), "it did not wait");
}

#[test]
fn there_are_no_more_aliases_than_functions_may_be() {
    let limits = RuntimeLimits { functions: 2, ..RuntimeLimits::default() };
    let runtime = Runtime::builder().limits(limits).build();
    let version = runtime.deploy("f", &guest("fib")).unwrap().version().unwrap();
    for alias in ["a", "b", "a"] {
        runtime.alias(alias, "f", version).unwrap();
    }
    assert_eq!(runtime.alias("c", "f", version).unwrap_err(), dormouse::AliasError::TooMany { limit: 2 });
    assert!(runtime.unalias("a", "f"));
    runtime.alias("c", "f", version).unwrap();
}

#[test]
fn names_that_come_and_go_are_forgotten_but_for_those_that_somebody_holds() {
    let runtime = Runtime::new();
    let module = guest("fib");
    let held = runtime.deploy("held", &module).unwrap();
    assert!(runtime.undeploy("held"));
    for number in 0..100 {
        runtime.deploy(&number.to_string(), &module).unwrap();
        assert!(runtime.undeploy(&number.to_string()));
    }
    assert!(runtime.functions().is_empty() && runtime.find("held").is_none());
    runtime.deploy("held", &module).unwrap();
    assert!(held.version().is_some(), "a handle follows its name");
}

#[test]
fn figures_at_their_extremes_panic_nowhere() {
    let module = wat(r#"(module (memory (export "memory") 0)
        (func (export "run") (param i32) (result i32) (memory.grow (local.get 0)))
        (func (export "alloc") (param i32) (result i32) (i32.const 0))
        (func (export "handle") (param i32 i32) (result i64) (i64.const -1)))"#);
    let limits = |wide: u64, narrow: u32, deadline: Duration| Limits {
        fuel: wide,
        deadline,
        input_bytes: wide,
        output_bytes: wide,
        log_bytes: wide,
        memory_bytes: wide,
        table_elements: wide,
        stack_bytes: wide.max(4 << 10),
        call_depth: narrow,
        module_bytes: wide,
        functions: narrow,
        imports: narrow,
        exports: narrow,
        globals: narrow,
        types: narrow,
        memories: narrow,
        tables: narrow,
        data_segments: narrow,
        element_segments: narrow,
        body_bytes: narrow,
        locals: narrow,
    };
    let most = RuntimeLimits {
        functions: usize::MAX,
        instances: usize::MAX,
        resident_memory: u64::MAX,
        idle_for: Duration::MAX,
    };
    let none = RuntimeLimits { functions: 0, instances: 0, resident_memory: 0, idle_for: Duration::ZERO };
    for of_runtime in [RuntimeLimits::default(), most, none] {
        for age in [0, u64::MAX / 2] {
            let clock = TestClock::default();
            clock.advance(Duration::from_nanos(age));
            let runtime = Runtime::builder().limits(of_runtime.clone()).clock(clock).build();
            for (wide, narrow, deadline) in [
                (u64::MAX, u32::MAX, Duration::MAX),
                (u64::MAX, u32::MAX, Duration::ZERO),
                (1 << 20, 1_000, Duration::MAX),
                (1, 1, Duration::MAX),
                (0, 0, Duration::ZERO),
            ] {
                for instances in [0..=0, 0..=usize::MAX, 1..=usize::MAX] {
                    let deployment = runtime.deployment("f", &module).limits(limits(wide, narrow, deadline));
                    let Ok(function) = deployment.instances(instances).max_wait(Duration::MAX).deploy() else {
                        continue;
                    };
                    for pages in [0, 1, -1] {
                        let invocation = function.invocation(b"x").fuel(u64::MAX).deadline(Duration::MAX);
                        let _ = invocation.call("run", &[Value::I32(pages)]);
                    }
                    let _ = function.invocation(b"x").fuel(0).deadline(Duration::ZERO).run();
                    let _ = function.invoke(b"hello");
                    let _ = function.session(|guest| {
                        assert!(guest.read(u32::MAX, usize::MAX).is_err());
                        assert!(guest.write(u32::MAX, b"x").is_err());
                        guest.read(0, usize::MAX)
                    });
                    if of_runtime.instances <= 4_096 {
                        let _ = function.prewarm(usize::MAX);
                    }
                    assert_eq!(function.trim(Duration::MAX), 0);
                    let _ = runtime.trim(Duration::ZERO);
                }
            }
        }
    }
}
