//! An invocation leaves no trace. The guests here try to keep something, each in another place.

use dormouse::{Function, InvokeErrorKind, Limits, Runtime, StartKind, Trap, Value};

use crate::support::{guest, idle_and_live, wat};

fn deploy(text: &str) -> Function {
    Runtime::new().deploy("f", &wat(text)).unwrap_or_else(|error| panic!("{error}"))
}

/// Calls an export on an instance that may have been used before. Returns the results as bits.
fn results(function: &Function, export: &str) -> Vec<u64> {
    function.call(export, &[]).unwrap().values().iter().map(|value| value.as_u64()).collect()
}

#[test]
fn a_counter_never_counts_whatever_it_counts_in() {
    let function = Runtime::new().deploy("counter", &guest("counter")).unwrap();
    for _ in 0..3 {
        for export in ["hidden_global", "shown_global", "memory_word", "table_entry", "grow_memory", "grow_table"] {
            assert_eq!(results(&function, export), [1], "{export}");
        }
    }
}

#[test]
fn a_grown_memory_is_not_used_again() {
    let function = Runtime::new().deploy("counter", &guest("counter")).unwrap();
    function.call("grow_memory", &[]).unwrap();
    let after = function.call("memory_word", &[]).unwrap();
    assert_eq!(after.report().start(), StartKind::Cold);
    assert_eq!(after.report().memory_bytes(), 65_536);
}

#[test]
fn a_trap_leaves_nothing_behind_and_the_instance_is_used_again() {
    let function = Runtime::new().deploy("late", &guest("trap-late")).unwrap();
    for round in 0..3 {
        let error = function.invoke(b"!").unwrap_err();
        assert_eq!(*error.kind(), InvokeErrorKind::Trap(Trap::Unreachable), "round {round}");
        assert_eq!(function.invoke(b"a").unwrap().output(), b"1", "round {round}");
    }
    let function = deploy(
        r#"(module (memory (export "memory") 1) (global $g (mut i32) (i32.const 5))
             (func (export "spoil") (global.set $g (i32.const 9)) (i32.store (i32.const 0) (i32.const 9)) unreachable)
             (func (export "look") (result i32 i32) (global.get $g) (i32.load (i32.const 0))))"#,
    );
    assert_eq!(results(&function, "look"), [5, 0]);
    assert_eq!(function.call("spoil", &[]).unwrap_err().report().unwrap().start(), StartKind::Warm);
    let after = function.call("look", &[]).unwrap();
    assert_eq!((after.values(), after.report().start()), (&[Value::I32(5), Value::I32(0)][..], StartKind::Warm));
}

#[test]
fn running_out_of_fuel_leaves_nothing_behind() {
    let function = deploy(
        r#"(module (memory (export "memory") 2) (global $g (mut i64) (i64.const 1))
             (func (export "run")
               (loop
                 (global.set $g (i64.add (global.get $g) (i64.const 1)))
                 (i64.store (i32.wrap_i64 (global.get $g)) (global.get $g))
                 (br_if 0 (i64.lt_u (global.get $g) (i64.const 100000)))))
             (func (export "look") (result i64 i64) (global.get $g) (i64.load (i32.const 300))))"#,
    );
    for fuel in [0, 1, 10, 1_000, 99_999, 100_000, 100_001, 500_000] {
        let error = function.invocation(b"").fuel(fuel).call("run", &[]).unwrap_err();
        assert_eq!(*error.kind(), InvokeErrorKind::OutOfFuel { limit: fuel });
        assert_eq!(results(&function, "look"), [1, 0], "after {fuel} fuel");
    }
}

#[test]
fn bulk_operators_and_host_writes_are_undone() {
    let function = deploy(
        r#"(module (memory (export "memory") 1) (data (i32.const 100) "pristine") (data $p "passive")
             (func (export "fill") (memory.fill (i32.const 0) (i32.const 7) (i32.const 65536)))
             (func (export "copy") (memory.copy (i32.const 0) (i32.const 100) (i32.const 8)))
             (func (export "init") (memory.init $p (i32.const 50) (i32.const 0) (i32.const 7)))
             (func (export "look") (result i64 i64 i32)
               (i64.load (i32.const 0)) (i64.load (i32.const 100)) (i32.load (i32.const 50))))"#,
    );
    let pristine = results(&function, "look");
    for export in ["fill", "copy", "init"] {
        function.call(export, &[]).unwrap();
        assert_eq!(results(&function, "look"), pristine, "after {export}");
    }
    function.session(|guest| guest.write(100, b"trace")).unwrap();
    assert_eq!(results(&function, "look"), pristine, "after a write of the host");
}

#[test]
fn a_host_write_into_a_memory_that_no_code_writes_is_undone() {
    let function = deploy(
        r#"(module (memory (export "memory") 1)
             (func (export "look") (result i32) (i32.load (i32.const 8))))"#,
    );
    assert_eq!(function.deploy_report().unwrap().reset(), "none");
    function.session(|guest| guest.write(8, b"trace")).unwrap();
    let after = function.call("look", &[]).unwrap();
    assert_eq!((after.values(), after.report().start()), (&[Value::I32(0)][..], StartKind::Warm));
}

#[test]
fn data_that_initialisation_has_erased_does_not_come_back() {
    let function = deploy(
        r#"(module (memory (export "memory") 1) (data (i32.const 8) "secret")
             (func $erase (memory.fill (i32.const 8) (i32.const 0) (i32.const 6))) (start $erase)
             (func (export "look") (result i64) (i64.load (i32.const 8))))"#,
    );
    for start in [StartKind::Cold, StartKind::Warm, StartKind::Cold] {
        if start == StartKind::Cold {
            function.trim(std::time::Duration::ZERO);
        }
        let looked = function.call("look", &[]).unwrap();
        assert_eq!((looked.values(), looked.report().start()), (&[Value::I64(0)][..], start));
    }
}

#[test]
fn a_dropped_segment_is_there_again() {
    let function = Runtime::new().deploy("passive", &guest("passive")).unwrap();
    assert_eq!(function.deploy_report().unwrap().reset(), "replaced");
    for _ in 0..3 {
        assert_eq!(results(&function, "text"), [532]);
        assert_eq!(results(&function, "fill"), [33]);
        function.call("drop_text", &[]).unwrap();
        function.call("drop_elem", &[]).unwrap();
        assert_eq!(results(&function, "active"), [97]);
    }
}

#[test]
fn a_dropped_element_segment_is_there_again_and_an_active_data_segment_is_dropped_already() {
    let function = deploy(
        r#"(module (table 1 funcref) (func $f) (elem $e func $f)
             (func (export "init") (table.init $e (i32.const 0) (i32.const 0) (i32.const 1)))
             (func (export "drop") (elem.drop $e)))"#,
    );
    for export in ["init", "drop", "init"] {
        function.call(export, &[]).unwrap();
    }
    let function = deploy(
        r#"(module (memory 1) (data $d (i32.const 0) "active") (data "passive") (func (export "drop") (data.drop $d)))"#,
    );
    function.call("drop", &[]).unwrap();
    assert_eq!(function.call("drop", &[]).unwrap().report().start(), StartKind::Warm, "nothing has changed");
}

#[test]
fn a_segment_that_initialisation_dropped_stays_dropped() {
    let function = deploy(
        r#"(module (memory (export "memory") 1) (data $p "gone")
             (func $init (memory.init $p (i32.const 0) (i32.const 0) (i32.const 4)) (data.drop $p))
             (start $init)
             (func (export "again") (memory.init $p (i32.const 8) (i32.const 0) (i32.const 4)))
             (func (export "look") (result i32) (i32.load8_u (i32.const 0))))"#,
    );
    for _ in 0..3 {
        let error = function.call("again", &[]).unwrap_err();
        assert_eq!(*error.kind(), InvokeErrorKind::Trap(Trap::MemoryOutOfBounds));
        assert_eq!(results(&function, "look"), [u64::from(b'g')]);
    }
}

#[test]
fn tables_and_references_are_restored_entry_by_entry() {
    let function = deploy(
        r#"(module (table $t 3 funcref) (elem (i32.const 0) $one $two) (elem declare func $two)
             (global $r (mut funcref) (ref.func $one)) (type $n (func (result i32)))
             (func $one (result i32) (i32.const 1)) (func $two (result i32) (i32.const 2))
             (func (export "spoil")
               (table.set $t (i32.const 0) (ref.func $two))
               (table.copy (i32.const 2) (i32.const 1) (i32.const 1))
               (table.fill $t (i32.const 1) (ref.null func) (i32.const 1))
               (global.set $r (ref.null func)))
             (func (export "look") (result i32 i32 i32 i32)
               (call_indirect (type $n) (i32.const 0)) (call_indirect (type $n) (i32.const 1))
               (ref.is_null (table.get $t (i32.const 2))) (ref.is_null (global.get $r))))"#,
    );
    for _ in 0..3 {
        assert_eq!(results(&function, "look"), [1, 2, 1, 0]);
        function.call("spoil", &[]).unwrap();
    }
    assert_eq!(function.call("look", &[]).unwrap().report().start(), StartKind::Warm);
}

#[test]
fn references_that_initialisation_set_are_those_of_each_instance() {
    let module = wat(r#"(module (table $t 2 funcref) (elem declare func $one $two) (type $n (func (result i32)))
             (global $calls (mut i32) (i32.const 0))
             (func $one (result i32) (i32.const 1)) (func $two (result i32) (i32.const 2))
             (func $init (table.set $t (i32.const 0) (ref.func $two)) (global.set $calls (i32.const 40)))
             (start $init)
             (func (export "spoil") (table.set $t (i32.const 0) (ref.func $one)) (global.set $calls (i32.const 1)))
             (func (export "look") (result i32 i32) (call_indirect (type $n) (i32.const 0)) (global.get $calls)))"#);
    let function = Runtime::new().deployment("f", &module).instances(0..=3).deploy().unwrap();
    // Three instances are open at once, one within the other.
    let seen = function.session(|_| Ok(function.session(|_| Ok(results(&function, "look"))).unwrap().into_value()));
    assert_eq!(seen.unwrap().value(), &[2, 40]);
    for _ in 0..4 {
        function.call("spoil", &[]).unwrap();
        assert_eq!(results(&function, "look"), [2, 40]);
    }
}

#[test]
fn what_initialisation_did_is_in_the_image_and_is_not_done_again() {
    let function = Runtime::new().deploy("start", &guest("start")).unwrap();
    let fuel = function.deploy_report().unwrap().init_fuel();
    assert!(fuel > 1_000, "it grows by a page: {fuel}");
    for _ in 0..3 {
        assert_eq!(results(&function, "get"), [5555]);
        assert_eq!(results(&function, "ready"), [1]);
        assert_eq!(results(&function, "pages"), [2]);
        function.call("spoil", &[]).unwrap();
    }
    function.trim(std::time::Duration::ZERO);
    let cold = function.call("get", &[]).unwrap();
    assert_eq!((cold.report().start(), cold.values()), (StartKind::Cold, &[Value::I32(5555)][..]));
    assert!(cold.report().fuel() < 20, "{}", cold.report().fuel());
}

#[test]
fn the_second_memory_is_cleaned_as_the_first() {
    let function = Runtime::new().deploy("two", &guest("multi-memory")).unwrap();
    for _ in 0..3 {
        let answer = function.call("note", &[Value::I32(7)]).unwrap();
        assert_eq!(answer.values(), [Value::I32(0)]);
        assert_eq!(results(&function, "grow"), [1]);
    }
}

#[test]
fn a_session_keeps_state_within_and_nothing_beyond() {
    let function = Runtime::new().deploy("counter", &guest("counter")).unwrap();
    for _ in 0..2 {
        let counts = function.session(|guest| {
            let mut counts = Vec::new();
            for export in ["hidden_global", "hidden_global", "memory_word", "memory_word", "table_entry", "table_entry"]
            {
                counts.push(guest.call(export, &[])?[0].as_i32());
            }
            Ok(counts)
        });
        assert_eq!(counts.unwrap().value(), &[1, 2, 1, 2, 1, 2]);
    }
}

#[test]
fn a_session_goes_on_after_a_trap_as_webassembly_has_it() {
    let function = Runtime::new().deploy("traps", &guest("traps")).unwrap();
    let seen = function.session(|guest| {
        let trap = guest.call("unreachable", &[]).unwrap_err();
        Ok((trap, guest.call("ok", &[])?[0]))
    });
    let seen = seen.unwrap();
    assert_eq!(seen.value(), &(InvokeErrorKind::Trap(Trap::Unreachable), Value::I32(42)));
}

#[test]
fn a_session_that_panics_gives_its_instance_up_and_nothing_else() {
    let function = Runtime::new().deployment("counter", &guest("counter")).instances(0..=1).deploy().unwrap();
    let panicking = std::panic::AssertUnwindSafe(|| {
        function.session(|guest| -> Result<(), InvokeErrorKind> {
            guest.call("hidden_global", &[])?;
            panic!("the host's own fault")
        })
    });
    assert!(std::panic::catch_unwind(panicking).is_err());
    assert_eq!(idle_and_live(&function), (0, 0));
    assert_eq!(results(&function, "hidden_global"), [1]);
}

#[test]
fn guests_that_answer_with_wild_addresses_are_refused() {
    let function = Runtime::new().deploy("bad", &guest("bad-answer")).unwrap();
    for (input, says) in [
        (&b"p"[..], "entry answered"),
        (b"l", "entry answered"),
        (b"w", "output has"),
        (b"x123456789012", "alloc answered"),
    ] {
        let error = function.invoke(input).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
    assert_eq!(function.invoke(b"ok").unwrap().output(), b"");
}

#[test]
fn fuel_is_the_same_cold_and_warm_and_on_a_fresh_instance() {
    let module = guest("json.rust.reactor");
    let function = Runtime::new().deployment("json", &module).instances(0..=2).deploy().unwrap();
    let limits = Limits::default();
    let input = br#"{"user": "bob", "min": 1, "items": [{"name": "a", "price": 2, "qty": 1}]}"#;
    let fuels: Vec<u64> = (0..6)
        .map(|round| {
            if round == 3 {
                function.trim(std::time::Duration::ZERO);
            }
            let fuel = function.invocation(input).fuel(limits.fuel).run().unwrap().report().fuel();
            // Another run comes between, and is cut short.
            let _ = function.invocation(b"{]").fuel(round * 1_000).run();
            fuel
        })
        .collect();
    assert!(fuels.iter().all(|fuel| *fuel == fuels[0]), "{fuels:?}");
}

/// Each operator that stores must mark its memory as written. Otherwise what it leaves would stay.
#[test]
fn what_any_single_store_operator_writes_is_undone() {
    let at = "(i32.const 64)";
    let mut stores: Vec<String> = vec![];
    for (ty, operators) in [
        ("i32", &["store", "store8", "store16"][..]),
        ("i64", &["store", "store8", "store16", "store32"]),
        ("f32", &["store"]),
        ("f64", &["store"]),
    ] {
        for operator in operators {
            // In each form, the lowest bits are set.
            let value = if ty.starts_with('f') { "nan" } else { "-1" };
            stores.push(format!("({ty}.{operator} {at} ({ty}.const {value}))"));
        }
    }
    stores.push(format!("(memory.fill {at} (i32.const 255) (i32.const 9))"));
    stores.push(format!("(memory.copy {at} (i32.const 0) (i32.const 8))"));
    stores.push(format!("(memory.init $p {at} (i32.const 0) (i32.const 8))"));
    if cfg!(feature = "simd") {
        stores.push(format!("(v128.store {at} (v128.const i64x2 -1 -1))"));
        for lanes in [8, 16, 32, 64] {
            stores.push(format!("(v128.store{lanes}_lane 0 {at} (v128.const i64x2 -1 -1))"));
        }
    }
    for store in stores {
        let function = deploy(&format!(
            r#"(module (memory (export "memory") 1) (data (i32.const 0) "\ff\ff\ff\ff\ff\ff\ff\ff") (data $p "\ff\ff\ff\ff\ff\ff\ff\ff")
                 (func (export "run") {store})
                 (func (export "look") (result i64) (i64.load (i32.const 64))))"#
        ));
        let within = function.session(|guest| {
            guest.call("run", &[])?;
            Ok(guest.call("look", &[])?[0])
        });
        assert_ne!(within.unwrap().value(), &Value::I64(0), "{store} writes");
        assert_eq!(results(&function, "look"), [0], "{store}");
        assert_ne!(function.deploy_report().unwrap().reset(), "none", "{store}");
    }
}
