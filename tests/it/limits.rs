//! Every limit of a module and of an instance. The limit itself is accepted. One more is refused,
//! with the limit's name and the figures.

use std::time::Duration;

use dormouse::{
    Context, DeployError, Function, InvokeError, InvokeErrorKind, LimitKind, Limits, Runtime, RuntimeLimits, Trap,
    Value,
};

use crate::support::{guest, wat};

pub(crate) const PAGE: u64 = 65_536;

/// Deploys with limits and host functions `env.a` and `env.b`, which do nothing.
pub(crate) fn deploy(module: &[u8], limits: Limits) -> Result<Function, DeployError> {
    let runtime = Runtime::new();
    let nothing = |_: &mut Context<'_>| {};
    runtime.deployment("f", module).limits(limits).host("env", "a", nothing).host("env", "b", nothing).deploy()
}

/// `module(n)` has n of what `kind` is about, `limits(n)` allows n.
#[track_caller]
fn holds_at(n: u64, kind: LimitKind, limits: impl Fn(u64) -> Limits, module: impl Fn(u64) -> Vec<u8>) {
    deploy(&module(n), limits(n)).unwrap_or_else(|error| panic!("exactly {n}: {error}"));
    let error = deploy(&module(n + 1), limits(n)).unwrap_err();
    match error {
        DeployError::TooLarge { kind: of, found, limit } => assert_eq!((of, found, limit), (kind, n + 1, n)),
        ref other => panic!("{other:?}"),
    }
    let text = error.to_string();
    for part in [format!(" {} ", n + 1), format!("limit of {n};"), format!("`Limits::{}`", kind.field())] {
        assert!(text.contains(&part), "{text} lacks {part}");
    }
}

/// A module with `part` n times.
fn repeated(before: &str, n: u64, part: impl Fn(u64) -> String) -> Vec<u8> {
    wat(&format!("(module {before} {})", (0..n).map(part).collect::<String>()))
}

#[test]
fn the_defaults_are_the_documented_figures() {
    let Limits {
        fuel,
        deadline,
        input_bytes,
        output_bytes,
        log_bytes,
        memory_bytes,
        table_elements,
        stack_bytes,
        call_depth,
        module_bytes,
        functions,
        imports,
        exports,
        globals,
        types,
        memories,
        tables,
        data_segments,
        element_segments,
        body_bytes,
        locals,
    } = Limits::default();
    assert_eq!((fuel, deadline), (1_000_000_000, Duration::from_secs(30)));
    assert_eq!((input_bytes, output_bytes, log_bytes), (6 << 20, 6 << 20, 64 << 10));
    assert_eq!((memory_bytes, table_elements), (64 << 20, 100_000));
    assert_eq!((stack_bytes, call_depth), (1 << 20, 1_000));
    assert_eq!(module_bytes, 32 << 20);
    assert_eq!((functions, imports, exports, globals, types), (100_000, 1_000, 10_000, 10_000, 10_000));
    assert_eq!((memories, tables), (8, 100));
    assert_eq!((data_segments, element_segments), (100_000, 100_000));
    assert_eq!((body_bytes, locals), (1 << 20, 10_000));

    let RuntimeLimits { functions, instances, resident_memory, idle_for } = RuntimeLimits::default();
    assert_eq!((functions, instances, resident_memory), (10_000, 4_096, 1 << 30));
    assert_eq!(idle_for, Duration::from_secs(300));
}

#[test]
fn a_module_of_one_byte_more_is_refused() {
    // A custom section fills the module: id, size, an empty name.
    let module = |n: u64| {
        let mut bytes = b"\0asm\x01\0\0\0\0".to_vec();
        bytes.push(n as u8 - 10);
        bytes.resize(n as usize, 0);
        bytes
    };
    holds_at(100, LimitKind::ModuleBytes, |n| Limits { module_bytes: n, ..Limits::default() }, module);
}

#[test]
fn one_function_more_is_refused() {
    let limits = |n| Limits { functions: n as u32, ..Limits::default() };
    holds_at(5, LimitKind::Functions, limits, |n| repeated("", n, |_| "(func)".into()));
}

#[test]
fn imported_functions_count_as_functions() {
    let limits = |n| Limits { functions: n as u32, ..Limits::default() };
    let two = r#"(import "env" "a" (func)) (import "env" "b" (func))"#;
    holds_at(5, LimitKind::Functions, limits, |n| repeated(two, n - 2, |_| "(func)".into()));
    // Also if the module has nothing else.
    holds_at(2, LimitKind::Functions, limits, |n| repeated("", n, |_| r#"(import "env" "a" (func))"#.into()));
}

#[test]
fn one_import_more_is_refused() {
    let limits = |n| Limits { imports: n as u32, ..Limits::default() };
    holds_at(5, LimitKind::Imports, limits, |n| repeated("", n, |_| r#"(import "env" "a" (func))"#.into()));
}

#[test]
fn one_export_more_is_refused() {
    let limits = |n| Limits { exports: n as u32, ..Limits::default() };
    let export = |n| format!(r#"(export "{n}" (func $f))"#);
    holds_at(5, LimitKind::Exports, limits, |n| repeated("(func $f)", n, export));
}

#[test]
fn one_global_more_is_refused() {
    let limits = |n| Limits { globals: n as u32, ..Limits::default() };
    holds_at(5, LimitKind::Globals, limits, |n| repeated("", n, |_| "(global i32 (i32.const 0))".into()));
}

#[test]
fn one_type_more_is_refused() {
    let limits = |n| Limits { types: n as u32, ..Limits::default() };
    holds_at(5, LimitKind::Types, limits, |n| repeated("", n, |_| "(type (func))".into()));
    // The types that the library adds for the growth of memory do not count.
    let grows = "(memory 1) (type $f (func)) (func (type $f) (drop (memory.grow (i32.const 1))))";
    holds_at(5, LimitKind::Types, limits, |n| repeated(grows, n - 1, |_| "(type (func))".into()));
}

#[test]
fn one_memory_more_is_refused() {
    let limits = |n| Limits { memories: n as u32, ..Limits::default() };
    holds_at(3, LimitKind::Memories, limits, |n| repeated("", n, |_| "(memory 1)".into()));
}

#[test]
fn one_table_more_is_refused() {
    let limits = |n| Limits { tables: n as u32, ..Limits::default() };
    holds_at(3, LimitKind::Tables, limits, |n| repeated("", n, |_| "(table 1 funcref)".into()));
}

#[test]
fn the_default_of_tables_is_the_most_and_growing_takes_one_of_them() {
    let module = |before, n| repeated(before, n, |_| "(table 1 funcref)".into());
    deploy(&module("", 100), Limits::default()).unwrap();
    for grows in [
        r#"(memory 1) (func (export "grow") (result i32) (memory.grow (i32.const 1)))"#,
        r#"(func (export "grow") (result i32) (table.grow 7 (ref.null func) (i32.const 1)))"#,
    ] {
        let function = deploy(&module(grows, 99), Limits::default()).unwrap();
        assert_eq!(function.call("grow", &[]).unwrap().values(), [Value::I32(1)]);
        let error = deploy(&module(grows, 100), Limits::default()).unwrap_err();
        assert!(matches!(error, DeployError::Refused { .. }), "{error:?}");
        assert!(
            error.to_string().contains("the module has 100 tables") && error.to_string().contains("adds 1,"),
            "{error}"
        );
    }
}

/// The stub by which a memory grows has a type of its own.
#[test]
fn as_many_types_as_the_interpreter_takes_leave_no_room_for_that_of_a_growth() {
    use wasm_encoder::{CodeSection, Function, FunctionSection, MemorySection, MemoryType, Module, TypeSection};
    let module = |count| {
        let (mut types, mut functions) = (TypeSection::new(), FunctionSection::new());
        (0..count).for_each(|_| types.ty().function([], []));
        functions.function(0);
        let mut memories = MemorySection::new();
        memories.memory(MemoryType { minimum: 1, maximum: None, memory64: false, shared: false, page_size_log2: None });
        let mut grow = Function::new([]);
        grow.instructions().i32_const(1).memory_grow(0).drop().end();
        let mut code = CodeSection::new();
        code.function(&grow);
        Module::new().section(&types).section(&functions).section(&memories).section(&code).clone().finish()
    };
    let limits = Limits { types: u32::MAX, ..Limits::default() };
    deploy(&module(999_999), limits.clone()).unwrap();
    let error = deploy(&module(1_000_000), limits).unwrap_err();
    assert!(matches!(error, DeployError::Refused { .. }), "{error:?}");
    assert!(
        error.to_string().contains("the module has 1000000 types") && error.to_string().contains("adds 1,"),
        "{error}"
    );
}

/// Each import and export counts, and each parameter and result of its function. A global that code
/// sets is exported.
#[test]
fn types_of_exports_as_large_as_the_interpreter_takes_leave_no_room_for_those_that_are_added() {
    let many = "i32 ".repeat(1_000);
    let exports = (0..499).map(|n| format!(r#"(export "{n}" (func $f))"#)).collect::<String>();
    // 499 times 2,002, one export of 2, the memory: 999,001.
    let module = |globals: u64| {
        let set = (0..globals).map(|n| format!("(global.set {n} (i32.const 1))")).collect::<String>();
        let globals = "(global (mut i32) (i32.const 0))".repeat(globals as usize);
        wat(&format!(
            r#"(module (memory 1) {globals} (func $f (param {many}) (result {many}) unreachable) (func (export "g") {set}) {exports})"#
        ))
    };
    let function = deploy(&module(997), Limits::default()).unwrap();
    function.call("g", &[]).unwrap();
    let error = deploy(&module(998), Limits::default()).unwrap_err();
    assert!(matches!(error, DeployError::Refused { .. }), "{error:?}");
    assert!(
        error.to_string().contains("the module has 999000 parts in the types of its imports and exports"),
        "{error}"
    );
}

#[test]
fn one_data_segment_more_is_refused() {
    let limits = |n| Limits { data_segments: n as u32, ..Limits::default() };
    let active = |_| r#"(data (i32.const 0) "x")"#.into();
    holds_at(5, LimitKind::DataSegments, limits, |n| repeated("(memory 1)", n, active));
    // Announced by a data count section, before the code.
    let named = "(memory 1) (func (memory.init 0 (i32.const 0) (i32.const 0) (i32.const 1)))";
    holds_at(5, LimitKind::DataSegments, limits, |n| repeated(named, n, |_| r#"(data "x")"#.into()));
}

#[test]
fn one_element_segment_more_is_refused() {
    let limits = |n| Limits { element_segments: n as u32, ..Limits::default() };
    let segment = |_| "(elem (i32.const 0) func)".into();
    holds_at(5, LimitKind::ElementSegments, limits, |n| repeated("(table 1 funcref)", n, segment));
}

#[test]
fn a_body_of_one_byte_more_is_refused() {
    let limits = |n| Limits { body_bytes: n as u32, ..Limits::default() };
    // One byte for no locals, one for the end.
    let module = |n| wat(&format!("(module (func) (func {}) (func))", "nop ".repeat(n as usize - 2)));
    holds_at(20, LimitKind::BodyBytes, limits, module);
}

#[test]
fn one_local_more_is_refused_and_parameters_do_not_count() {
    let limits = |n| Limits { locals: n as u32, ..Limits::default() };
    let module = |n| {
        let locals = "(local i64) (local i32) ".repeat(n as usize / 2);
        let odd = if n % 2 == 1 { "(local f64)" } else { "" };
        wat(&format!("(module (func (local i32)) (func (param i32 i32 i32 i64) {locals} {odd}))"))
    };
    holds_at(8, LimitKind::Locals, limits, module);
}

#[test]
fn operands_by_the_million_are_refused_before_room_is_made_for_them() {
    // Each call takes two bytes and puts 1,000 operands on the stack. So 10 KB of code make 20 MB
    // of them.
    let results = "i32 ".repeat(1_000);
    let module = |calls| {
        let calls = "call $g ".repeat(calls);
        wat(&format!("(module (func $g (result {results}) unreachable) (func {calls} unreachable))"))
    };
    deploy(&module(65), Limits::default()).unwrap();
    let error = deploy(&module(5_000), Limits::default()).unwrap_err();
    assert!(matches!(error, DeployError::Refused { .. }), "{error:?}");
    assert!(
        error
            .to_string()
            .contains("function 1 puts too many operands on its stack: over the interpreter's limit of 65535"),
        "{error}"
    );
}

#[test]
fn locals_by_the_billion_are_refused_before_room_is_made_for_them() {
    // Two groups of 2^32 - 1 locals each: a body of 14 bytes.
    let count = [0xff, 0xff, 0xff, 0xff, 0x0f, 0x7f];
    let body = [&[2][..], &count[..], &count[..], &[0x0b][..]].concat();
    let mut module = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03\x02\x01\0\x0a".to_vec();
    module.extend([body.len() as u8 + 2, 1, body.len() as u8]);
    module.extend(body);
    let error = deploy(&module, Limits::default()).unwrap_err();
    assert!(matches!(error, DeployError::TooLarge { kind: LimitKind::Locals, limit: 10_000, .. }), "{error}");
}

#[test]
fn a_count_of_billions_is_refused_before_room_is_made_for_it() {
    // Each section that is a vector announces 2^32 - 1 entries and has none.
    for (id, bound) in [
        (1, LimitKind::Types),
        (2, LimitKind::Imports),
        (3, LimitKind::Functions),
        (4, LimitKind::Tables),
        (5, LimitKind::Memories),
        (6, LimitKind::Globals),
        (7, LimitKind::Exports),
        (9, LimitKind::ElementSegments),
        (11, LimitKind::DataSegments),
        (12, LimitKind::DataSegments),
    ] {
        let mut module = b"\0asm\x01\0\0\0".to_vec();
        module.extend([id, 5, 0xff, 0xff, 0xff, 0xff, 0x0f]);
        match deploy(&module, Limits::default()) {
            Err(DeployError::TooLarge { kind: of, found: 0xffff_ffff, .. }) => assert_eq!(of, bound),
            other => panic!("section {id}: {other:?}"),
        }
    }
}

#[test]
fn initial_memory_above_the_limit_is_refused() {
    let limits = |memory| Limits { memory_bytes: memory, ..Limits::default() };
    let module = wat("(module (memory 3))");
    deploy(&module, limits(3 * PAGE)).unwrap();
    let error = deploy(&module, limits(3 * PAGE - 1)).unwrap_err();
    assert!(
        matches!(error, DeployError::TooLarge { kind: LimitKind::Memory, found, limit }
            if found == 3 * PAGE && limit == 3 * PAGE - 1),
        "{error:?}"
    );
    assert!(error.to_string().contains("`Limits::memory_bytes`"), "{error}");
}

#[test]
fn initial_memories_count_together() {
    let limits = |memory| Limits { memory_bytes: memory, ..Limits::default() };
    let module = wat("(module (memory 1) (memory 0) (memory 2))");
    deploy(&module, limits(3 * PAGE)).unwrap();
    let error = deploy(&module, limits(3 * PAGE - 1)).unwrap_err();
    assert!(matches!(error, DeployError::TooLarge { kind: LimitKind::Memory, found: 196_608, .. }), "{error:?}");
    // Sums that do not fit into 64 bits do not evade it.
    let huge = wat("(module (memory 65536) (memory 65536) (memory 65536))");
    let error = deploy(&huge, Limits::default()).unwrap_err();
    assert!(
        matches!(error, DeployError::TooLarge { kind: LimitKind::Memory, found, .. } if found == 3 << 32),
        "{error:?}"
    );
}

#[test]
fn memory_grows_to_the_limit_and_then_answers_minus_one() {
    for memory in [3 * PAGE, 4 * PAGE - 1] {
        let function = deploy(&guest("bomb"), Limits { memory_bytes: memory, ..Limits::default() }).unwrap();
        let grow = |pages| function.call("grow", &[Value::I32(pages)]).unwrap();
        assert_eq!(grow(2).values(), [Value::I32(1)]);
        assert_eq!(grow(2).report().memory_bytes(), 3 * PAGE);
        assert_eq!(grow(3).values(), [Value::I32(-1)]);
        assert_eq!(grow(3).report().memory_bytes(), PAGE);
        assert_eq!(grow(-1).values(), [Value::I32(-1)]);
        assert_eq!(function.call("grow_all", &[]).unwrap().values(), [Value::I32(3)]);
        assert_eq!(function.call("touch_all", &[]).unwrap().values(), [Value::I32(3)]);
        function
            .session(|guest| {
                assert_eq!(guest.call("grow", &[Value::I32(1)])?[0], Value::I32(1));
                assert_eq!(guest.call("grow", &[Value::I32(1)])?[0], Value::I32(2));
                assert_eq!(guest.call("grow", &[Value::I32(1)])?[0], Value::I32(-1));
                assert_eq!(guest.call("grow", &[Value::I32(0)])?[0], Value::I32(3));
                Ok(())
            })
            .unwrap();
    }
}

#[test]
fn a_memory_of_32_bits_grows_to_4_gib_at_most_whatever_the_limit() {
    let function = deploy(&guest("bomb"), Limits { memory_bytes: u64::MAX, ..Limits::default() }).unwrap();
    assert_eq!(function.call("grow", &[Value::I32(65_536)]).unwrap().values(), [Value::I32(-1)]);
}

#[test]
fn memories_grow_together_to_the_limit() {
    let module = wat(r#"(module (memory $a 1) (memory $b 1)
        (func (export "a") (param i32) (result i32) (memory.grow $a (local.get 0)))
        (func (export "b") (param i32) (result i32) (memory.grow $b (local.get 0))))"#);
    let function = deploy(&module, Limits { memory_bytes: 4 * PAGE, ..Limits::default() }).unwrap();
    function
        .session(|guest| {
            assert_eq!(guest.call("b", &[Value::I32(3)])?[0], Value::I32(-1));
            assert_eq!(guest.call("a", &[Value::I32(1)])?[0], Value::I32(1));
            assert_eq!(guest.call("b", &[Value::I32(2)])?[0], Value::I32(-1));
            assert_eq!(guest.call("b", &[Value::I32(1)])?[0], Value::I32(1));
            assert_eq!(guest.call("a", &[Value::I32(1)])?[0], Value::I32(-1));
            Ok(())
        })
        .unwrap();
}

#[test]
fn initialisation_grows_memory_within_the_limit_too() {
    let ready = |pages| {
        let function = deploy(&guest("start"), Limits { memory_bytes: pages * PAGE, ..Limits::default() });
        function.map(|function| function.call("pages", &[]).unwrap().values()[0])
    };
    assert_eq!(ready(2).unwrap(), Value::I32(2));
    // The guest writes to the page that it did not get.
    let error = ready(1).unwrap_err();
    assert!(
        matches!(&error, DeployError::Initialise { step: "the start function", cause }
            if **cause == InvokeErrorKind::Trap(Trap::MemoryOutOfBounds)),
        "{error:?}"
    );
}

#[test]
fn table_elements_count_together() {
    let limits = |n| Limits { table_elements: n, ..Limits::default() };
    holds_at(5, LimitKind::TableElements, limits, |n| repeated("", 1, |_| format!("(table {n} 1000000 funcref)")));
    let two = |n| repeated("(table 2 funcref)", 1, |_| format!("(table {} externref)", n - 2));
    holds_at(5, LimitKind::TableElements, limits, two);
    let huge = wat("(module (table 0xffff_ffff funcref) (table 0xffff_ffff funcref))");
    assert!(deploy(&huge, Limits::default()).is_err());
}

#[track_caller]
pub(crate) fn is_overflow(result: Result<impl std::fmt::Debug, InvokeError>) -> bool {
    match result {
        Ok(_) => false,
        Err(error) => {
            assert_eq!(*error.kind(), InvokeErrorKind::Trap(Trap::StackOverflow));
            true
        }
    }
}

#[test]
fn as_many_nested_calls_as_the_limit_work_and_one_more_traps() {
    for call_depth in [1, 2, 10, 1_000] {
        let function = deploy(&guest("recurse"), Limits { call_depth, ..Limits::default() }).unwrap();
        // depth(n) is n + 1 frames: n calls within the guest, and the host's of the export.
        let last = call_depth as i32;
        for (n, overflows) in [(last - 1, false), (last, true)] {
            let result = function.call("depth", &[Value::I32(n)]);
            if let Ok(returned) = &result {
                assert_eq!(returned.values(), [Value::I32(n)]);
            }
            assert_eq!(is_overflow(result), overflows, "depth({n}) at {call_depth}");
        }
        for (export, args) in [("forever", &[][..]), ("wide", &[Value::I64(0)]), ("mutual", &[Value::I32(0)])] {
            assert!(is_overflow(function.call(export, args)), "{export}");
        }
    }
}

/// What the library adds to a guest to zero the interpreter's stack does not count against the
/// guest's limits.
#[test]
fn guests_have_all_of_the_stack_that_their_limits_say() {
    let recursion = |before: &str, after: &str| {
        wat(&format!(
            r#"(module (func $f (export "f") (param i32) {before}
                 (if (local.get 0) (then {after} (call $f (i32.sub (local.get 0) (i32.const 1))) {})))"#,
            "drop ".repeat(after.matches("local.get").count()) + ")"
        ))
    };
    let operands = |count: usize| "(i32.const 1)".repeat(count) + &"(drop)".repeat(count);
    let stack = |stack| Limits { stack_bytes: stack, ..Limits::default() };
    let of_parameters = wat(&format!(r#"(module (func (export "f") (param {})))"#, "i64 ".repeat(200)));
    let cases = [
        (recursion(&operands(20_000), ""), stack(1 << 20), 999),
        (recursion(&operands(9_000), &"(local.get 0)".repeat(115)), stack(1 << 20), 998),
        (recursion(&operands(300), ""), stack(4_096), 0),
        (recursion("", ""), stack(4_096), 500),
    ];
    for (module, limits, depth) in cases {
        deploy(&module, limits).unwrap().call("f", &[Value::I32(depth)]).unwrap();
    }
    deploy(&of_parameters, stack(4_096)).unwrap().call("f", &[Value::I64(0); 200]).unwrap();
}

#[test]
fn as_many_element_segments_as_the_interpreter_takes_leave_no_room_for_one_that_declares() {
    let limits = Limits { element_segments: u32::MAX, ..Limits::default() };
    let module = |count: usize| {
        let segments = "(elem declare func)".repeat(count);
        wat(&format!(r#"(module (func $f (export "f") (drop (ref.func $f))) {segments})"#))
    };
    deploy(&module(99_999), limits.clone()).unwrap();
    let error = deploy(&module(100_000), limits).unwrap_err();
    assert!(error.to_string().contains("the module has 100000 element segments"), "{error}");
}

#[test]
fn growing_memory_counts_as_a_call() {
    let function = |call_depth| deploy(&guest("bomb"), Limits { call_depth, ..Limits::default() }).unwrap();
    assert!(is_overflow(function(1).call("grow", &[Value::I32(1)])));
    assert_eq!(function(2).call("grow", &[Value::I32(1)]).unwrap().values(), [Value::I32(1)]);
}

#[test]
fn a_value_stack_of_one_cell_less_traps() {
    let module = guest("recurse");
    let overflows = |stack, export, args: &[Value]| {
        let limits = Limits { stack_bytes: stack, call_depth: 1_000_000, ..Limits::default() };
        is_overflow(deploy(&module, limits).unwrap().call(export, args))
    };
    // The smallest stack with which depth(n) works.
    let needed = |n| {
        let (mut below, mut enough) = (4_096, 1 << 20);
        assert!(!overflows(enough, "depth", &[Value::I32(n)]));
        assert!(overflows(below, "depth", &[Value::I32(n)]));
        while enough - below > 1 {
            let middle = (below + enough) / 2;
            if overflows(middle, "depth", &[Value::I32(n)]) { below = middle } else { enough = middle }
        }
        enough
    };
    let (some, twice) = (needed(1_000), needed(2_000));
    // A frame has its parameter and its operands, in cells of 8 bytes. The limit is in bytes. The
    // library raises it by the cell that it adds to each call, up to twice the limit.
    let frame = (twice - some) / 1_000;
    assert_eq!((twice - some) % 1_000, 0);
    assert!(frame % 4 == 0 && (8..=64).contains(&frame), "{frame} bytes a frame");
    assert!(overflows(1 << 20, "forever", &[]));
    assert!(overflows(1 << 20, "wide", &[Value::I64(0)]));
}

#[test]
fn extreme_stacks_and_depths_are_no_way_to_crash() {
    let module = guest("recurse");
    for limits in [
        Limits { stack_bytes: 4_096, ..Limits::default() },
        Limits { call_depth: 0, ..Limits::default() },
        Limits { stack_bytes: u64::MAX, call_depth: 10_000, ..Limits::default() },
        Limits { call_depth: u32::MAX, ..Limits::default() },
    ] {
        let function = deploy(&module, limits.clone()).unwrap();
        for (export, args) in [("forever", &[][..]), ("wide", &[Value::I64(0)]), ("mutual", &[Value::I32(0)])] {
            assert!(is_overflow(function.call(export, args)), "{export} with {limits:?}");
        }
    }
    // The host's own call of an export is a frame as well.
    let none = deploy(&module, Limits { call_depth: 0, ..Limits::default() }).unwrap();
    assert!(is_overflow(none.call("depth", &[Value::I32(0)])));
}

#[test]
fn modules_at_the_default_figures_are_accepted() {
    let body = format!("(func (export \"f\") {})", "nop ".repeat((1 << 20) - 2));
    let modules = [
        repeated("(memory 1)", 100_000, |_| r#"(data (i32.const 0) "x")"#.into()),
        repeated("(table 1 funcref)", 100_000, |_| "(elem (i32.const 0) func)".into()),
        repeated("", 1, |_| "(table 100000 funcref)".into()),
        repeated("", 1, |_| format!("(func (export \"f\") {})", "(local i32)".repeat(10_000))),
        repeated("", 1, |_| body.clone()),
    ];
    for (index, module) in modules.iter().enumerate() {
        let function = deploy(module, Limits::default()).unwrap_or_else(|error| panic!("module {index}: {error}"));
        if index >= 3 {
            function.call("f", &[]).unwrap_or_else(|error| panic!("module {index}: {error}"));
        }
    }
}

/// A memory of 64 bits grows by more than any machine has, with limits that allow it.
#[cfg(feature = "memory64")]
#[test]
fn growths_by_more_than_any_machine_has_are_answered() {
    let module = wat(r#"(module (memory i64 1) (memory 1 3)
        (func (export "run") (param i64) (result i64 i64) (memory.grow (local.get 0)) (memory.size))
        (func (export "small") (param i32) (result i32 i32) (memory.grow 1 (local.get 0)) (memory.size 1)))"#);
    let most = RuntimeLimits { resident_memory: u64::MAX, ..RuntimeLimits::default() };
    let runtime = Runtime::builder().limits(most).build();
    let limits = Limits { memory_bytes: u64::MAX, fuel: u64::MAX, ..Limits::default() };
    let function = runtime.deployment("f", &module).limits(limits).deploy().unwrap();
    for pages in [-1, i64::MIN, i64::MAX, 1 << 48, (1 << 48) - 1, 1 << 47, 1 << 46] {
        let returned = function.call("run", &[Value::I64(pages)]).unwrap();
        assert_eq!(returned.values(), [Value::I64(-1), Value::I64(1)], "{pages}");
    }
    assert_eq!(function.call("run", &[Value::I64(2)]).unwrap().values(), [Value::I64(1), Value::I64(3)]);
    assert_eq!(function.call("small", &[Value::I32(2)]).unwrap().values(), [Value::I32(1), Value::I32(3)]);
    assert_eq!(function.call("small", &[Value::I32(3)]).unwrap().values(), [Value::I32(-1), Value::I32(1)]);
    assert_eq!(runtime.trim(Duration::ZERO), 1);
    assert_eq!(crate::support::in_use(&runtime), (0, 0));
}
