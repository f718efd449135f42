//! Stack safety: no guest overflows the native stack, and 512 KiB of it are enough.
//!
//! A failure here kills the test process, without a failed assertion.

use std::{
    hint::black_box,
    sync::{Arc, Mutex},
    thread,
};

use dormouse::{Context, InvokeErrorKind, Limits, Runtime, Trap};

use crate::support::{count, wat};

/// Runs `run` of a module on a thread with 512 KiB of stack. Returns how it ended and the fuel that
/// it used.
fn on_512_kib(text: &str, fuel: u64) -> (InvokeErrorKind, u64) {
    let module = wat(text);
    let run = move || {
        let limits = Limits { fuel, ..Limits::default() };
        let function = Runtime::new().deployment("f", &module).limits(limits).deploy().unwrap();
        let error = function.call("run", &[]).unwrap_err();
        let fuel = error.report().unwrap().fuel();
        (error.into_kind(), fuel)
    };
    thread::Builder::new().stack_size(512 << 10).spawn(run).unwrap().join().unwrap()
}

/// Fuel for some millions of growths. One costs 1 for the operator and 1 for each operator around
/// it.
fn plenty() -> u64 {
    count("DORMOUSE_GROWTH_FUEL", 10_000_000)
}

#[test]
fn millions_of_failing_growths_in_the_tightest_loop_end_in_out_of_fuel() {
    let text = r#"(module (memory 1) (func (export "run") (loop (drop (memory.grow (i32.const 70000))) (br 0))))"#;
    let (error, fuel) = on_512_kib(text, plenty());
    assert_eq!(error, InvokeErrorKind::OutOfFuel { limit: plenty() });
    assert!(fuel > plenty() - 100, "{fuel}");
}

#[test]
fn growths_that_the_limit_refuses_leak_no_more_than_those_that_the_memory_does() {
    let text = r#"(module (memory 1) (func (export "run") (loop (drop (memory.grow (i32.const 2000))) (br 0))))"#;
    assert_eq!(on_512_kib(text, plenty()).0, InvokeErrorKind::OutOfFuel { limit: plenty() });
}

#[test]
fn millions_of_failing_growths_unrolled_end_in_out_of_fuel() {
    for growth in
        ["(drop (memory.grow (i32.const 70000)))", "(drop (memory.grow (memory.grow (memory.grow (i32.const 70000)))))"]
    {
        let text = format!(r#"(module (memory 1) (func (export "run") (loop {} (br 0))))"#, growth.repeat(2_000));
        assert_eq!(on_512_kib(&text, plenty()).0, InvokeErrorKind::OutOfFuel { limit: plenty() });
    }
}

/// In wasmi, a growth of a table leaks whether it fails or not.
const TABLE_GROWTHS: [&str; 5] = [
    "(drop (table.grow $f (ref.null func) (i32.const 70000)))",
    "(drop (table.grow $e (ref.null extern) (i32.const 70000)))",
    "(drop (table.grow $f (ref.null func) (i32.const -1)))",
    "(drop (table.grow $f (ref.null func) (i32.const 0)))",
    "(drop (table.grow $e (ref.null extern) (i32.const 1)))",
];

/// The tables have too little room for most of that.
const TABLES: &str = "(memory 1) (table $f 1 2 funcref) (table $e 1 externref)";

#[test]
fn millions_of_growths_of_tables_end_in_out_of_fuel() {
    for growth in TABLE_GROWTHS {
        for times in [1, 2_000] {
            let body = growth.repeat(times);
            let text = format!(r#"(module {TABLES} (func (export "run") (loop {body} (br 0))))"#);
            let (error, fuel) = on_512_kib(&text, plenty());
            assert_eq!(error, InvokeErrorKind::OutOfFuel { limit: plenty() }, "{growth}");
            assert!(fuel > plenty() - 20_000, "{growth}: {fuel}");
        }
    }
}

#[test]
fn growths_of_tables_that_were_paid_for_before_a_recursion_do_not_overflow_after_it() {
    for growth in TABLE_GROWTHS {
        let text = format!(
            r#"(module {TABLES}
                 (func $f (param $n i32)
                   (if (local.get $n) (then (call $f (i32.sub (local.get $n) (i32.const 1)))))
                   {})
                 (func (export "run") (call $f (i32.const 900)) unreachable))"#,
            growth.repeat(100)
        );
        assert_eq!(on_512_kib(&text, 1_000_000_000).0, InvokeErrorKind::Trap(Trap::Unreachable), "{growth}");
    }
}

#[test]
fn tail_calls_around_growths_of_tables_use_no_stack() {
    for growth in TABLE_GROWTHS {
        let text = format!(r#"(module {TABLES} (func $f {growth} (return_call $f)) (func (export "run") (call $f)))"#);
        assert_eq!(on_512_kib(&text, plenty()).0, InvokeErrorKind::OutOfFuel { limit: plenty() }, "{growth}");
    }
}

/// A function pays for its straight code when it is entered. So it pays for all these growths on
/// the way down. They run on the way up without a check of fuel, so slices of fuel cannot interrupt
/// them.
#[test]
fn growths_that_were_paid_for_before_a_recursion_do_not_overflow_after_it() {
    let text = format!(
        r#"(module (memory 1)
             (func $f (param $n i32)
               (if (local.get $n) (then (call $f (i32.sub (local.get $n) (i32.const 1)))))
               {})
             (func (export "run") (call $f (i32.const 900)) unreachable))"#,
        "(drop (memory.grow (i32.const 70000)))".repeat(1_000)
    );
    assert_eq!(on_512_kib(&text, 1_000_000_000).0, InvokeErrorKind::Trap(Trap::Unreachable));
}

#[test]
fn growing_within_initialisation_is_as_safe() {
    let module =
        wat(r#"(module (memory 1) (func $f (loop (drop (memory.grow (i32.const 70000))) (br 0))) (start $f))"#);
    let deploy = move || {
        let limits = Limits { fuel: plenty(), ..Limits::default() };
        Runtime::new().deployment("f", &module).limits(limits).deploy().map(|_| ()).unwrap_err().to_string()
    };
    let error = thread::Builder::new().stack_size(512 << 10).spawn(deploy).unwrap().join().unwrap();
    assert!(error.contains("start function") && error.contains("fuel"), "{error}");
}

#[test]
fn endless_recursion_of_every_kind_traps() {
    for body in [
        "(call $f)",
        "(call_indirect (i32.const 0))",
        "(call $g)",
        "(drop (memory.grow (i32.const 0))) (call $f)",
        "(drop (table.grow (ref.null func) (i32.const 0))) (call $f)",
    ] {
        let text = format!(
            r#"(module (memory 1) (table 1 funcref) (elem (i32.const 0) $f)
                 (func $g (local i64 i64 i64 i64 i64 i64 i64 i64) (call $f))
                 (func $f {body})
                 (func (export "run") (call $f)))"#
        );
        assert_eq!(on_512_kib(&text, 1_000_000).0, InvokeErrorKind::Trap(Trap::StackOverflow), "{body}");
    }
}

#[test]
fn endless_tail_calls_use_no_stack() {
    let text = r#"(module (memory 1)
        (func $f (drop (memory.grow (i32.const 70000))) (return_call $f))
        (func (export "run") (call $f)))"#;
    assert_eq!(on_512_kib(text, plenty()).0, InvokeErrorKind::OutOfFuel { limit: plenty() });
}

#[test]
fn invocations_nested_to_the_limit_fit_in_512_kib() {
    let module = wat(r#"(module (import "host" "again" (func $again)) (memory 1)
             (func $grow (loop (br_if 0 (i32.ne (memory.grow (i32.const 70000)) (i32.const -1)))))
             (func (export "run") (call $grow) (call $again) (call $grow)))"#);
    let run = move || {
        let again = |guest: &mut dormouse::Context<'_>| -> Result<(), dormouse::HostError> {
            guest.runtime().find("f").ok_or("gone")?.call("run", &[])?;
            Ok(())
        };
        let runtime = Runtime::new();
        let function = runtime.deployment("f", &module).instances(0..=8).host("host", "again", again).deploy().unwrap();
        function.call("run", &[]).unwrap_err().to_string()
    };
    let error = thread::Builder::new().stack_size(512 << 10).spawn(run).unwrap().join().unwrap();
    assert!(error.contains("nested 5 deep"), "{error}");
}

/// The places of the native stack in the calls of a host function.
#[derive(Clone, Default)]
struct Span(Arc<Mutex<Vec<usize>>>);

impl Span {
    fn note(&self) {
        let here = 0u8;
        self.0.lock().unwrap().push(std::ptr::from_ref(black_box(&here)).addr());
    }

    fn bytes(&self) -> usize {
        let noted = self.0.lock().unwrap();
        noted.iter().max().unwrap() - noted.iter().min().unwrap()
    }
}

#[test]
fn no_operator_that_succeeds_or_fails_and_goes_on_leaks_native_stack() {
    let module = wat(r#"(module (import "host" "f" (func $f (param i32))) (type $t (func (param i32)))
        (memory 1) (memory $m 1) (table 2 funcref) (table $x 2 externref)
        (elem (i32.const 0) $f $g) (elem $p func $f) (elem $q func $g) (data $d "abc") (data $e "x")
        (func $g (param i32))
        (func $tail (return_call $f (i32.const 1)))
        (func $tail_indirect (return_call_indirect (type $t) (i32.const 1) (i32.const 0)))
        (func $turn (param $n i32)
          (call $f (i32.const 1)) (drop (memory.grow (i32.const 70000)))
          (if (local.get $n) (then (return_call $turn (i32.sub (local.get $n) (i32.const 1))))))
        (func (export "run") (local i32)
          (call $turn (i32.const 5000))
          (loop
            (call $f (i32.const 1)) (call $tail) (call $tail_indirect)
            (call_indirect (type $t) (i32.const 1) (i32.const 0))
            (memory.fill (i32.const 65536) (i32.const 0) (i32.const 0))
            (memory.init $d (i32.const 0) (i32.const 0) (i32.const 3))
            (memory.copy $m 0 (i32.const 65536) (i32.const 0) (i32.const 0))
            (table.init $p (i32.const 1) (i32.const 0) (i32.const 1))
            (table.copy (i32.const 0) (i32.const 0) (i32.const 2))
            (table.fill $x (i32.const 0) (ref.null extern) (i32.const 2))
            (table.set (i32.const 1) (table.get (i32.const 1)))
            (table.set (i32.const 1) (ref.func $g))
            (drop (memory.grow (i32.const 0))) (drop (memory.grow $m (i32.const -1)))
            (data.drop $e) (elem.drop $q)
            (br_if 0 (i32.lt_u (local.tee 0 (i32.add (local.get 0) (i32.const 1))) (i32.const 5000))))))"#);
    let span = Span::default();
    let note = {
        let span = span.clone();
        move |_: &mut Context<'_>, _: i32| span.note()
    };
    let function = Runtime::new().deployment("f", &module).host("host", "f", note).deploy().unwrap();
    function.call("run", &[]).unwrap();
    assert!(span.bytes() < 4_096, "{} bytes", span.bytes());
}

#[test]
fn calls_that_trap_within_a_session_leak_no_native_stack() {
    let module = wat(r#"(module (import "host" "f" (func $f)) (type $t (func)) (memory 1 1) (table 1 funcref)
        (func $deep (param i32)
          (if (local.get 0) (then (call $deep (i32.sub (local.get 0) (i32.const 1)))) (else unreachable)))
        (func (export "deep") (call $f) (call $deep (i32.const 100)))
        (func (export "load") (call $f) (drop (i32.load (i32.const 65536))))
        (func (export "null") (call $f) (call_indirect (type $t) (i32.const 0)))
        (func (export "grow") (call $f) (drop (memory.grow (i32.const 1))) (drop (i32.div_u (i32.const 1) (i32.const 0))))
        (func $endless (export "endless") (call $f) (call $endless)))"#);
    let span = Span::default();
    let note = {
        let span = span.clone();
        move |_: &mut Context<'_>| span.note()
    };
    let function = Runtime::new().deployment("f", &module).host("host", "f", note).deploy().unwrap();
    let session = function.session(|guest| {
        for turn in 0..1_000 {
            for export in ["deep", "load", "null", "grow"] {
                guest.call(export, &[]).unwrap_err();
            }
            if turn % 100 == 0 {
                guest.call("endless", &[]).unwrap_err();
            }
        }
        Ok(())
    });
    session.unwrap();
    assert!(span.bytes() < 4_096, "{} bytes", span.bytes());
}
