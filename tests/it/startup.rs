//! Start-up work is done once, before the image is captured. No invocation pays for it, warm or
//! cold.

use std::time::Duration;

use dormouse::{Function, Runtime, StartKind, Value};

use crate::support::{guest, wat};

/// The least fuel that the start-up of the guests here burns.
const START_UP: u64 = 10_000_000;

/// A guest in the buffer contract whose start-up makes a long calculation. It answers with the
/// result, and with how often it was started. `module` says what calls `$start_up`.
fn slow_to_start(module: &str) -> Vec<u8> {
    wat(&format!(
        r#"(module
             (memory (export "memory") 1)
             (global $starts (mut i32) (i32.const 0))
             (func $start_up (local $n i32) (local $hash i32)
               (loop $next
                 (local.set $hash (i32.add (i32.mul (local.get $hash) (i32.const 31)) (local.get $n)))
                 (local.set $n (i32.add (local.get $n) (i32.const 1)))
                 (br_if $next (i32.lt_u (local.get $n) (i32.const 1000000))))
               (i32.store (i32.const 0) (local.get $hash))
               (global.set $starts (i32.add (global.get $starts) (i32.const 1)))
               (i32.store (i32.const 4) (global.get $starts)))
             (func (export "alloc") (param i32) (result i32) (i32.const 1024))
             (func (export "handle") (param i32 i32) (result i64) (i64.const 8))
             (func (export "starts") (result i32) (global.get $starts))
             {module})"#
    ))
}

/// The result of the calculation, made once.
fn expected() -> [u8; 8] {
    let hash = (0..1_000_000u32).fold(0u32, |hash, n| hash.wrapping_mul(31).wrapping_add(n));
    (u64::from(hash) | 1 << 32).to_le_bytes()
}

#[test]
fn a_start_up_of_ten_million_fuel_is_in_the_report_of_deployment_and_in_no_invocation() {
    for (how, module) in
        [("_initialize", r#"(export "_initialize" (func $start_up))"#), ("the start function", "(start $start_up)")]
    {
        let function = Runtime::new().deploy("slow", &slow_to_start(module)).unwrap();
        let report = function.deploy_report().unwrap();
        assert!(report.init_fuel() > START_UP, "{how}: {report}");
        let mut fuel = None;
        for round in 0..12 {
            // Every third invocation is cold, on an instance from the image.
            let start = if round % 3 == 0 { StartKind::Cold } else { StartKind::Warm };
            if round % 3 == 0 {
                function.trim(Duration::ZERO);
            }
            let reply = function.invoke(b"event").unwrap();
            assert_eq!((reply.output(), reply.report().start()), (&expected()[..], start), "{how}, round {round}");
            assert!(reply.report().fuel() < 100, "{how}, round {round}: {}", reply.report());
            assert_eq!(*fuel.get_or_insert(reply.report().fuel()), reply.report().fuel(), "{how}, round {round}");
            let starts = function.call("starts", &[]).unwrap();
            assert_eq!(starts.values(), [Value::I32(1)], "{how}, round {round}");
        }
    }
}

/// Instances that are made ahead, and those that live at the same time, begin with the same image.
#[test]
fn no_instance_of_a_version_starts_up_again() {
    let module = slow_to_start(r#"(export "_initialize" (func $start_up))"#);
    let function = Runtime::new().deployment("slow", &module).instances(3..=3).deploy().unwrap();
    // All three are open at once. Each next instance is called within a session on the one before.
    fn nested(function: &Function, depth: u32) {
        let session = function.session(|guest| {
            assert_eq!(guest.call("starts", &[])?[0], Value::I32(1));
            if depth > 0 {
                nested(function, depth - 1);
            }
            assert_eq!(guest.read(0, 8)?, expected());
            Ok(())
        });
        let session = session.unwrap();
        assert!(session.report().fuel() < 100, "{}", session.report());
    }
    nested(&function, 2);
}

/// An image has no tables. A guest that changes one starts up with each instance, except that no
/// invocation pays for it.
#[test]
fn a_guest_that_must_start_up_with_each_instance_does_so_at_no_cost_of_fuel() {
    let module = slow_to_start(
        r#"(table $t 1 funcref)
           (func (export "_initialize") (call $start_up) (table.set $t (i32.const 0) (ref.null func)))"#,
    );
    let function = Runtime::new().deploy("slow", &module).unwrap();
    for _ in 0..2 {
        function.trim(Duration::ZERO);
        for start in [StartKind::Cold, StartKind::Warm] {
            let reply = function.invoke(b"event").unwrap();
            assert_eq!((reply.output(), reply.report().start()), (&expected()[..], start));
            assert!(reply.report().fuel() < 100, "{}", reply.report());
        }
    }
}

/// The same with a real guest: `_initialize` has set up the allocator of a C reactor and run its
/// constructors.
#[test]
fn a_redeployment_starts_up_again_and_no_more() {
    let runtime = Runtime::new();
    let module = slow_to_start(r#"(export "_initialize" (func $start_up))"#);
    let first = runtime.deploy("f", &guest("counter.c.reactor")).unwrap();
    assert_eq!(first.invoke(b"click").unwrap().output(), b"count=1 seen=5");
    let slow = runtime.deploy("f", &module).unwrap();
    assert!(slow.deploy_report().unwrap().init_fuel() > START_UP);
    // The handle follows the name.
    let reply = first.invoke(b"event").unwrap();
    assert_eq!(reply.output(), expected());
    assert!(reply.report().fuel() < 100, "{}", reply.report());
}
