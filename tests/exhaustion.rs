//! The machine has no memory left. The first large allocation that the library promises an error
//! for fails, then the second, and so on, until a run passes without a failure. After each failure
//! the next invocations are right, and nothing is lost.
//!
//! This is its own binary, without the test harness, as the allocator fails for the whole process.
//!
//! The library promises:
//!
//! - `memory.grow` and `table.grow` answer -1.
//! - If an instance cannot be made, or a guest's stack of values outgrows the memory, the
//!   invocation ends with [`Trap::OutOfSystemMemory`].
//! - A plug-in's `alloc` answers 0.
//! - A deployment fails, and changes nothing.
//!
//! Other allocations of the host's side end the process, as everywhere in Rust: inputs, outputs,
//! copies of tables, and the interpreter's records of a call.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with the error")]
#![allow(unsafe_code, reason = "an allocator cannot be written without")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use dormouse::{DeployError, Function, InUse, InstanceCount, InvokeErrorKind, Limits, Reset, Runtime, Trap, Value};

/// Smaller allocations never fail.
const LARGE: usize = 64 << 10;

/// How many large allocations there are until one fails. 0 if none fails.
static LEFT: AtomicU64 = AtomicU64::new(0);

struct Exhausted;

#[global_allocator]
static ALLOCATOR: Exhausted = Exhausted;

fn fails(bytes: usize) -> bool {
    bytes >= LARGE && LEFT.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)) == Ok(1)
}

// SAFETY: it answers what the system's allocator does for the same call, or null, which any allocator may, and then does nothing.
unsafe impl GlobalAlloc for Exhausted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promises.
        if fails(layout.size()) { std::ptr::null_mut() } else { unsafe { System.alloc(layout) } }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises; it came from the system's allocator.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // A block that shrinks has room where it is.
        if size > layout.size() && fails(size) {
            return std::ptr::null_mut();
        }
        // SAFETY: as the caller promises; it came from the system's allocator.
        unsafe { System.realloc(at, layout, size) }
    }
}

/// Runs something whose n-th large allocation fails, for n from 1 until none fails. Returns how
/// many there were.
fn each_failure<T>(mut run: impl FnMut() -> T, mut after: impl FnMut(u64, T)) -> u64 {
    for failing in 1.. {
        LEFT.store(failing, Relaxed);
        let outcome = run();
        let is_over = LEFT.swap(0, Relaxed) > 0;
        if is_over {
            return failing - 1;
        }
        after(failing, outcome);
    }
    unreachable!("it returns when a run passes");
}

fn main() {
    for reset in [Reset::Auto, Reset::Portable, Reset::ByFaultCount, Reset::ByPageScan] {
        whichever_growth_or_instance_has_no_memory_the_next_invocation_is_right(reset);
        a_recursion_that_has_no_memory_ends_and_the_next_one_is_right(reset);
        whatever_a_deployment_has_no_memory_for_nothing_is_left_of_it(reset);
        #[cfg(feature = "extism")]
        whichever_block_has_no_memory_the_plug_in_is_told(reset);
    }
    println!("exhaustion: ok");
}

/// Grows a memory and a table by turns and writes to both. It answers with how often each growth
/// was refused, and with a sum of what it found. The table that changes begins small, as each
/// instance keeps a copy of its first state.
const GROWS: &str = r#"(module
    (memory (export "memory") 3 64) (data (i32.const 4000) "pristine") (global $g (mut i64) (i64.const 7))
    (table $t 2 funcref) (table $fixed 20000 funcref) (elem (table $fixed) (i32.const 0) func $one)
    (type $number (func (result i32))) (func $one (result i32) (i32.const 1))
    (func (export "look") (result i64 i64 i32 i32 i32)
      (global.get $g) (i64.load (i32.const 4000)) (memory.size) (table.size $t)
      (call_indirect $fixed (type $number) (i32.const 0)))
    (func (export "grows") (result i32 i32 i64) (local $left i32) (local $memories i32) (local $tables i32)
      (local.set $left (i32.const 6))
      (loop
        (global.set $g (i64.mul (i64.add (global.get $g) (i64.load (i32.const 4000))) (i64.const 31)))
        (i64.store (i32.const 4000) (global.get $g))
        (if (i32.eq (memory.grow (i32.const 4)) (i32.const -1))
          (then (local.set $memories (i32.add (local.get $memories) (i32.const 1)))))
        (i64.store (i32.sub (i32.mul (memory.size) (i32.const 65536)) (i32.const 8)) (global.get $g))
        (if (i32.eq (table.grow $t (ref.func $one) (i32.const 10000)) (i32.const -1))
          (then (local.set $tables (i32.add (local.get $tables) (i32.const 1)))))
        (table.set $t (i32.sub (table.size $t) (i32.const 1)) (ref.func $one))
        (br_if 0 (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
      (local.get $memories) (local.get $tables) (global.get $g)))"#;

/// The outcome of each without memory.
fn is_exhausted(kind: &InvokeErrorKind) -> bool {
    match kind {
        InvokeErrorKind::Initialise { step: "instantiation", cause } => is_exhausted(cause),
        kind => *kind == InvokeErrorKind::Trap(Trap::OutOfSystemMemory),
    }
}

fn numbers(function: &Function, export: &str) -> Result<Vec<u64>, InvokeErrorKind> {
    let returned = function.call(export, &[]).map_err(|error| error.kind().clone())?;
    Ok(returned.values().iter().map(|value| value.as_u64()).collect())
}

fn whichever_growth_or_instance_has_no_memory_the_next_invocation_is_right(reset: Reset) {
    let runtime = Runtime::builder().reset(reset).build();
    let limits = Limits { table_elements: 100_000, ..Limits::default() };
    let module = wat::parse_str(GROWS).unwrap();
    let function = runtime.deployment("f", &module).limits(limits).instances(0..=1).deploy().unwrap();
    let pristine = numbers(&function, "look").unwrap();
    let right = numbers(&function, "grows").unwrap();
    assert_eq!(right[..2], [0, 0]);
    let (mut memories, mut tables, mut instances) = (0, 0, 0);
    let failures = each_failure(
        || numbers(&function, "grows"),
        |failing, outcome| {
            match outcome {
                // The guest sees the failure, and goes on.
                Ok(found) => {
                    assert_eq!((found[0] + found[1], found[2]), (1, right[2]), "{reset:?}, failure {failing}");
                    memories += found[0];
                    tables += found[1];
                }
                Err(error) => {
                    assert!(is_exhausted(&error), "{reset:?}, failure {failing}: {error}");
                    instances += 1;
                }
            }
            assert_eq!(
                (function.instances(), runtime.in_use()),
                (InstanceCount::default(), InUse::default()),
                "{reset:?}, failure {failing}"
            );
            assert_eq!(numbers(&function, "look").as_ref(), Ok(&pristine), "{reset:?}, failure {failing}");
            assert_eq!(numbers(&function, "grows").as_ref(), Ok(&right), "{reset:?}, failure {failing}");
        },
    );
    let found = format!("{memories} growths of memory, {tables} of tables, {instances} instances");
    assert_eq!(failures, memories + tables + instances, "{reset:?}: {found}");
    assert!(memories >= 2 && tables >= 2 && instances >= 2, "{reset:?}: {found}");
}

fn a_recursion_that_has_no_memory_ends_and_the_next_one_is_right(reset: Reset) {
    // Few calls with many locals. The interpreter records calls in a vector, whose allocation must
    // not fail.
    let locals = "i64 ".repeat(200);
    let module = wat::parse_str(format!(
        r#"(module (func $sum (export "sum") (param i64) (result i64) (local {locals})
             (if (result i64) (i64.eqz (local.get 0)) (then (i64.const 0))
               (else (i64.add (local.get 0) (call $sum (i64.sub (local.get 0) (i64.const 1))))))))"#,
    ))
    .unwrap();
    let runtime = Runtime::builder().reset(reset).build();
    let limits = Limits { stack_bytes: 8 << 20, ..Limits::default() };
    // An engine keeps the stack of a run for the next one. A new engine has none.
    let mut failed = 0;
    for failing in 1.. {
        let function = runtime.deployment("f", &module).limits(limits.clone()).instances(0..=1).deploy().unwrap();
        let sum = || function.call("sum", &[Value::I64(500)]).map(|sum| sum.values()[0].as_u64());
        LEFT.store(failing, Relaxed);
        let outcome = sum();
        if LEFT.swap(0, Relaxed) > 0 {
            break;
        }
        let error = outcome.unwrap_err();
        assert!(is_exhausted(error.kind()), "{reset:?}, failure {failing}: {error}");
        assert_eq!(
            (function.instances().idle, function.instances().live),
            (1, 1),
            "nothing is wrong with the instance"
        );
        for _ in 0..2 {
            assert_eq!(sum().unwrap(), 500 * 501 / 2);
        }
        failed += 1;
    }
    assert!(failed >= 2, "{reset:?}: the stack grew {failed} times");
}

fn whatever_a_deployment_has_no_memory_for_nothing_is_left_of_it(reset: Reset) {
    let runtime = Runtime::builder().reset(reset).build();
    let module = wat::parse_str(GROWS).unwrap();
    let deploy = || runtime.deployment("f", &module).deploy();
    let failures = each_failure(deploy, |failing, outcome| {
        match outcome {
            Err(DeployError::Initialise { step: "instantiation", cause }) => assert!(is_exhausted(&cause), "{cause}"),
            other => panic!("{reset:?}, failure {failing}: {other:?}"),
        }
        assert_eq!(
            (runtime.in_use(), runtime.functions().len()),
            (InUse::default(), 0),
            "{reset:?}, failure {failing}"
        );
    });
    assert!(failures >= 2, "a memory and a table at the least, not {failures}");
    assert_eq!(numbers(&runtime.find("f").unwrap(), "grows").unwrap()[..2], [0, 0]);
}

#[cfg(feature = "extism")]
fn whichever_block_has_no_memory_the_plug_in_is_told(reset: Reset) {
    // Takes blocks, each larger than all before it together. Returns how many were refused.
    let text = r#"(module
        (import "extism:host/env" "alloc" (func $alloc (param i64) (result i64)))
        (import "extism:host/env" "load_u8" (func $load (param i64) (result i32)))
        (import "extism:host/env" "store_u8" (func $store (param i64 i32)))
        (func (export "refused") (result i32) (local $size i64) (local $refused i32) (local $block i64)
          (local.set $size (i64.const 100000))
          (loop
            (local.set $block (call $alloc (local.get $size)))
            (if (i64.eqz (local.get $block))
              (then (local.set $refused (i32.add (local.get $refused) (i32.const 1))))
              (else
                (if (call $load (local.get $block)) (then unreachable))
                (call $store (local.get $block) (i32.const 7))))
            (br_if 0 (i64.lt_u (local.tee $size (i64.mul (local.get $size) (i64.const 2))) (i64.const 4000000))))
          (local.get $refused)))"#;
    let runtime = Runtime::builder().reset(reset).build();
    let module = wat::parse_str(text).unwrap();
    let function = runtime.deployment("f", &module).instances(0..=1).deploy().unwrap();
    let refused = || numbers(&function, "refused");
    assert_eq!(refused(), Ok(vec![0]));
    let held = runtime.in_use();
    let failures = each_failure(refused, |failing, outcome| {
        assert_eq!(outcome, Ok(vec![1]), "{reset:?}, failure {failing}");
        assert_eq!(refused(), Ok(vec![0]), "{reset:?}, failure {failing}");
        assert_eq!(runtime.in_use(), held, "{reset:?}, failure {failing}");
    });
    assert!(failures >= 5, "{failures}");
}
