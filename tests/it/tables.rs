//! Tables that grow: as WebAssembly says, within the limits, and only for the invocation that grew
//! them.

use dormouse::{
    Busy, Cancel, DeployError, Function, InvokeErrorKind, Limits, Runtime, RuntimeLimits, StartKind, Trap, Value,
};
use wasm_encoder::{
    CodeSection, ExportKind, ExportSection, Function as Body, FunctionSection, Module, RefType, TableSection,
    TableType, TypeSection, ValType,
};

use crate::support::{guest, in_use, wat};

/// Two tables of functions and one of external references. Exports grow each and return its size.
const THREE: &str = r#"(module
    (table $small (export "small") 1 3 funcref) (table $f 2 funcref) (table $e 0 externref)
    (type $number (func (result i32)))
    (elem declare func $seven)
    (func $seven (result i32) (i32.const 7))
    (func (export "grow small") (param i32) (result i32) (table.grow $small (ref.null func) (local.get 0)))
    (func (export "grow f") (param i32) (result i32) (table.grow $f (ref.func $seven) (local.get 0)))
    (func (export "grow e") (param i32) (result i32) (table.grow $e (ref.null extern) (local.get 0)))
    (func (export "sizes") (result i32 i32 i32) (table.size $small) (table.size $f) (table.size $e))
    (func (export "call") (param i32) (result i32) (call_indirect $f (type $number) (local.get 0)))
    (func (export "is null") (param i32) (result i32) (ref.is_null (table.get $e (local.get 0))))
    (func (export "grow and trap") (drop (table.grow $f (ref.null func) (i32.const 5))) unreachable))"#;

fn deploy(text: &str, limits: Limits) -> Function {
    Runtime::new().deployment("f", &wat(text)).limits(limits).deploy().unwrap_or_else(|error| panic!("{error}"))
}

fn sizes(function: &Function) -> ([i32; 3], StartKind) {
    let answer = function.call("sizes", &[]).unwrap();
    ([0, 1, 2].map(|at| answer.values()[at].as_i32()), answer.report().start())
}

#[test]
fn tables_grow_by_elements_of_the_value_given_and_answer_with_their_size_before() {
    let function = deploy(THREE, Limits::default());
    for _ in 0..3 {
        let session = function.session(|guest| {
            let mut grow = |name, by| guest.call(name, &[Value::I32(by)]).map(|size| size[0].as_i32());
            assert_eq!([grow("grow f", 0)?, grow("grow f", 3)?, grow("grow f", 1)?], [2, 2, 5]);
            assert_eq!([grow("grow e", 2)?, grow("grow e", 0)?], [0, 2]);
            assert_eq!([grow("grow small", 1)?, grow("grow small", 1)?, grow("grow small", 1)?], [1, 2, -1]);
            assert_eq!([grow("grow small", 0)?, grow("grow small", -1)?, grow("grow f", -1)?], [3, -1, -1]);
            for at in 2..6 {
                assert_eq!(guest.call("call", &[Value::I32(at)])?[0], Value::I32(7));
            }
            assert_eq!(guest.call("call", &[Value::I32(1)]), Err(InvokeErrorKind::Trap(Trap::IndirectCallToNull)));
            assert_eq!(guest.call("call", &[Value::I32(6)]), Err(InvokeErrorKind::Trap(Trap::TableOutOfBounds)));
            assert_eq!(guest.call("is null", &[Value::I32(1)])?[0], Value::I32(1));
            assert_eq!(guest.call("is null", &[Value::I32(2)]), Err(InvokeErrorKind::Trap(Trap::TableOutOfBounds)));
            assert_eq!(*guest.call("sizes", &[])?, [3, 6, 2].map(Value::I32));
            Ok(())
        });
        session.unwrap();
    }
}

#[test]
fn a_grown_table_is_not_used_again() {
    let function = deploy(THREE, Limits::default());
    assert_eq!(sizes(&function).0, [1, 2, 0]);
    assert_eq!(sizes(&function), ([1, 2, 0], StartKind::Warm));
    for name in ["grow small", "grow f", "grow e"] {
        assert_eq!(function.call(name, &[Value::I32(1)]).unwrap().report().start(), StartKind::Warm, "{name}");
        assert_eq!(sizes(&function), ([1, 2, 0], StartKind::Cold), "{name}");
    }
    // The growth does not stay after a trap or at the end of the fuel.
    assert_eq!(*function.call("grow and trap", &[]).unwrap_err().kind(), InvokeErrorKind::Trap(Trap::Unreachable));
    assert_eq!(sizes(&function), ([1, 2, 0], StartKind::Cold));
    // An instance without growth is used again.
    for by in [0, -1, 100_000] {
        function.call("grow f", &[Value::I32(by)]).unwrap();
        assert_eq!(sizes(&function), ([1, 2, 0], StartKind::Warm), "{by}");
    }
}

#[test]
fn tables_grow_together_to_the_limit_and_then_answer_minus_one() {
    for limit in [3, 4, 10] {
        let function = deploy(THREE, Limits { table_elements: limit, ..Limits::default() });
        // The table begins with three elements.
        let room = limit as i32 - 3;
        for name in ["grow f", "grow e"] {
            let grow = |by| function.call(name, &[Value::I32(by)]).unwrap().values()[0].as_i32();
            let before = if name == "grow f" { 2 } else { 0 };
            assert_eq!((grow(room), grow(room + 1)), (before, -1), "{name} within {limit}");
        }
        let session = function.session(|guest| {
            for _ in 0..room {
                assert_ne!(guest.call("grow e", &[Value::I32(1)])?[0], Value::I32(-1));
            }
            for name in ["grow small", "grow f", "grow e"] {
                assert_eq!(guest.call(name, &[Value::I32(1)])?[0], Value::I32(-1), "{name} beyond {limit}");
            }
            assert_eq!(guest.call("grow f", &[Value::I32(0)])?[0], Value::I32(2));
            Ok(())
        });
        session.unwrap();
    }
    // The default limit, and no limit at all. No machine has that much memory.
    let grows = |limits, by| deploy(THREE, limits).call("grow f", &[Value::I32(by)]).unwrap().values()[0].as_i32();
    assert_eq!((grows(Limits::default(), 99_997), grows(Limits::default(), 99_998)), (2, -1));
    let none = Limits { table_elements: u64::MAX, ..Limits::default() };
    assert_eq!(grows(none, -2), -1);
}

#[test]
fn a_table_that_grows_beyond_the_budget_of_the_runtime_ends_the_invocation_as_busy() {
    let limit = 1 << 20;
    let runtime =
        Runtime::builder().limits(RuntimeLimits { resident_memory: limit, ..RuntimeLimits::default() }).build();
    let function = runtime.deploy("f", &wat(THREE)).unwrap();
    assert_eq!(sizes(&function).0, [1, 2, 0]);
    let idle = in_use(&runtime);
    let error = function.call("grow f", &[Value::I32(99_000)]).unwrap_err();
    assert!(
        matches!(error.kind(), InvokeErrorKind::Busy(Busy::RuntimeMemory { wanted, limit: of })
            if *wanted >= 99_000 * 4 && *of == limit),
        "{error:?}"
    );
    // The table did not grow, and holds nothing.
    assert_eq!((in_use(&runtime), sizes(&function)), (idle, ([1, 2, 0], StartKind::Warm)));
    let held = function.session(|guest| {
        guest.call("grow f", &[Value::I32(10_000)])?;
        Ok(in_use(&runtime).1)
    });
    assert!(held.unwrap().into_value() >= idle.1 + 40_000);
    assert_eq!(in_use(&runtime), (0, 0));
}

#[test]
fn a_table_that_initialisation_has_grown_begins_every_invocation_at_that_size() {
    let text = r#"(module
        (table $t 1 funcref) (type $number (func (result i32))) (elem declare func $seven)
        (func $seven (result i32) (i32.const 7))
        (func $init (drop (table.grow $t (ref.func $seven) (i32.const 3))))
        (start $init)
        (func (export "spoil") (table.fill $t (i32.const 0) (ref.null func) (i32.const 4)))
        (func (export "grow") (result i32) (table.grow $t (ref.null func) (i32.const 1)))
        (func (export "last") (result i32) (call_indirect (type $number) (i32.const 3)))
        (func (export "sizes") (result i32 i32 i32) (table.size $t) (i32.const 0) (i32.const 0)))"#;
    let function = deploy(text, Limits { table_elements: 5, ..Limits::default() });
    for start in [StartKind::Cold, StartKind::Warm] {
        assert_eq!(sizes(&function), ([4, 0, 0], start));
    }
    function.call("spoil", &[]).unwrap();
    let last = function.call("last", &[]).unwrap();
    assert_eq!((last.values(), last.report().start()), (&[Value::I32(7)][..], StartKind::Warm));
    for _ in 0..2 {
        assert_eq!(function.call("grow", &[]).unwrap().values(), [Value::I32(4)]);
        assert_eq!(sizes(&function), ([4, 0, 0], StartKind::Cold));
    }
    // With one less, start-up goes on without it.
    let small = deploy(text, Limits { table_elements: 3, ..Limits::default() });
    assert_eq!(sizes(&small).0, [1, 0, 0]);
}

#[test]
fn a_run_whose_fuel_ends_within_a_growth_leaves_no_trace_of_it() {
    let function = deploy(THREE, Limits::default());
    // 90,000 elements of 4 bytes cost a unit for each 64.
    let grow = |fuel| function.invocation(b"").fuel(fuel).call("grow f", &[Value::I32(90_000)]);
    let whole = grow(1_000_000).unwrap().report().fuel();
    assert!((5_625..5_650).contains(&whole), "{whole}");
    assert_eq!(grow(whole).unwrap().values(), [Value::I32(2)]);
    for fuel in [whole - 1, whole / 2, 6, 5, 4, 1] {
        assert_eq!(*grow(fuel).unwrap_err().kind(), InvokeErrorKind::OutOfFuel { limit: fuel });
        assert_eq!(sizes(&function).0, [1, 2, 0], "{fuel}");
    }
}

#[test]
fn a_growth_is_done_once_however_often_the_run_is_interrupted() {
    // If the interpreter's own operator runs out of fuel, it runs again what came before it.
    let text = r#"(module (import "host" "tick" (func $tick (result i32))) (table $t 0 funcref)
        (func (export "run") (result i32) (local $n i32)
          (loop $next
            (drop (table.grow $t (ref.null func) (call $tick)))
            (br_if $next (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 900))))
          (table.size $t)))"#;
    let ticks = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
    let seen = std::sync::Arc::clone(&ticks);
    let tick = move |_: &mut dormouse::Context<'_>| {
        seen.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        16_000i32
    };
    let limits = Limits { table_elements: u64::MAX, ..Limits::default() };
    let function = Runtime::new().deployment("f", &wat(text)).limits(limits).host("host", "tick", tick).deploy();
    let answer = function.unwrap().invocation(b"").cancel(&Cancel::new()).call("run", &[]).unwrap();
    // Each costs 1,000, which makes nine slices.
    assert!(answer.report().fuel() > 900_000, "{}", answer.report());
    assert_eq!(
        (answer.values(), ticks.load(std::sync::atomic::Ordering::Relaxed)),
        (&[Value::I32(14_400_000)][..], 900)
    );
}

#[test]
fn a_growth_is_found_however_its_numbers_are_written() {
    // Numbers may have more bytes than they need. Here those of the operator and of the table have.
    for (operator, table) in
        [(&[0x0f][..], &[0x01][..]), (&[0x8f, 0x00], &[0x81, 0x80, 0x00]), (&[0x8f, 0x80, 0x00], &[1])]
    {
        let mut types = TypeSection::new();
        types.ty().function([], [ValType::I32]);
        let mut functions = FunctionSection::new();
        functions.function(0);
        let mut tables = TableSection::new();
        let ty =
            |element_type, minimum| TableType { element_type, table64: false, minimum, maximum: None, shared: false };
        tables.table(ty(RefType::FUNCREF, 10)).table(ty(RefType::EXTERNREF, 20));
        let mut exports = ExportSection::new();
        exports.export("run", ExportKind::Func, 0);
        let mut body = Body::new([]);
        // The operators before and after it must stay as they are.
        let mut code = vec![0xd0, 0x6f, 0x41, 5, 0xfc];
        code.extend(operator.iter().chain(table));
        code.push(0x1a);
        code.extend([0xfc, 0x10, 0x01, 0x0b]);
        body.raw(code);
        let mut bodies = CodeSection::new();
        bodies.function(&body);
        let mut module = Module::new();
        module.section(&types).section(&functions).section(&tables).section(&exports).section(&bodies);
        let function = Runtime::new().deploy("f", &module.finish()).unwrap();
        assert_eq!(function.call("run", &[]).unwrap().values(), [Value::I32(25)], "{operator:x?} {table:x?}");
    }
}

#[test]
fn what_grows_may_stand_anywhere_beside_memories_and_in_code_that_is_never_reached() {
    let text = r#"(module
        (memory $a 1) (memory $b 1) (table $t 0 funcref) (table $u 0 externref)
        (func (export "never") unreachable (drop (table.grow $u (ref.null extern) (i32.const 1))))
        (func (export "run") (result i32 i32 i32 i32)
          (memory.grow $b (table.grow $u (ref.null extern) (i32.const 3)))
          (memory.grow $b (i32.const 1))
          (table.grow $u (ref.null extern) (table.grow $u (ref.null extern) (i32.const 1)))
          (memory.size $a)))"#;
    let function = deploy(text, Limits::default());
    for _ in 0..2 {
        assert_eq!(function.call("run", &[]).unwrap().values(), [1, 1, 4, 1].map(Value::I32));
    }
    assert_eq!(*function.call("never", &[]).unwrap_err().kind(), InvokeErrorKind::Trap(Trap::Unreachable));
}

#[test]
fn an_imported_table_is_refused_by_name_whether_it_grows_or_not() {
    let text = r#"(module (import "env" "table" (table 1 funcref))
        (func (export "run") (result i32) (table.grow 0 (ref.null func) (i32.const 1))))"#;
    let error = Runtime::new().deploy("f", &wat(text)).unwrap_err();
    assert!(matches!(&error, DeployError::UnknownImports { imports } if imports.len() == 1), "{error:?}");
    assert!(error.to_string().contains("env.table: table of 1 elements"), "{error}");
}

#[test]
fn the_counter_that_counts_in_the_size_of_a_table_never_gets_past_one() {
    let function = Runtime::new().deploy("counter", &guest("counter")).unwrap();
    for _ in 0..3 {
        for export in ["grow_table", "table_entry", "grow_memory"] {
            assert_eq!(function.call(export, &[]).unwrap().values(), [Value::I32(1)], "{export}");
        }
    }
}

#[cfg(feature = "memory64")]
#[test]
fn a_table_of_64_bit_addresses_grows_alike() {
    let text = r#"(module (table $t i64 1 5 funcref) (table $e i64 0 externref)
        (func (export "f") (param i64) (result i64) (table.grow $t (ref.null func) (local.get 0)))
        (func (export "e") (param i64) (result i64) (table.grow $e (ref.null extern) (local.get 0))))"#;
    let function = deploy(text, Limits { table_elements: 10, ..Limits::default() });
    let grow = |name, by| function.call(name, &[Value::I64(by)]).unwrap().values()[0].as_i64();
    assert_eq!([grow("f", 4), grow("f", 5), grow("f", -1), grow("f", 0)], [1, -1, -1, 1]);
    assert_eq!([grow("e", 9), grow("e", 10), grow("e", i64::MIN), grow("e", 1 << 32)], [0, -1, -1, -1]);
}
