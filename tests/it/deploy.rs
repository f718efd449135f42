//! Deployments that are refused, and their errors.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use dormouse::{Context, DeployError, Function, InvokeError, InvokeErrorKind, Limits, Runtime, Trap, Value};

use crate::support::{Random, guest, idle_and_live, in_use, wat};

/// Deploys a module's text under the name `f`.
pub(crate) fn deploy(text: &str) -> Result<Function, DeployError> {
    Runtime::new().deploy("f", &wat(text))
}

/// A module whose export `id` answers n.
pub(crate) fn numbered(n: i32) -> Vec<u8> {
    wat(&format!(r#"(module (func (export "id") (result i32) (i32.const {n})))"#))
}

pub(crate) fn id(function: &Function) -> Result<i32, InvokeErrorKind> {
    function.call("id", &[]).map(|returned| returned.values()[0].as_i32()).map_err(InvokeError::into_kind)
}

#[test]
fn names_of_letters_digits_dots_underscores_and_hyphens_are_good() {
    let runtime = Runtime::new();
    let module = numbered(1);
    let longest = "n".repeat(64);
    for name in ["a", "Z9", "get-item", "com.example_v2", ".", "..", "-", "_", &longest] {
        assert_eq!(runtime.deploy(name, &module).unwrap().name(), name);
    }
    let longer = "n".repeat(65);
    for name in ["", " ", "a b", "a/b", "a@b", "a:b", "a\n", "ä", "a\0", "名", "a\u{202e}b", &longer] {
        match runtime.deploy(name, &module) {
            Err(DeployError::InvalidName { name: given }) => assert_eq!(*given, *name),
            other => panic!("{name:?}: {other:?}"),
        }
    }
}

#[test]
fn a_bad_name_is_printed_escaped_and_cut() {
    let error = Runtime::new().deploy("a\n\u{1b}[31m", &numbered(1)).unwrap_err();
    assert!(error.to_string().contains(r#""a\n\u{1b}[31m""#), "{error}");
    let error = Runtime::new().deploy(&"ö".repeat(100_000), &numbered(1)).unwrap_err();
    assert!(error.to_string().len() < 5_000);
}

#[track_caller]
fn invalid(bytes: &[u8]) -> (usize, String) {
    match Runtime::new().deploy("f", bytes) {
        Err(DeployError::InvalidModule { offset, problem }) => {
            assert!(offset <= bytes.len(), "{offset} of {}: {problem}", bytes.len());
            (offset, problem.into())
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn bytes_that_are_no_module_are_refused_with_a_hint() {
    for bytes in [&b""[..], b"\0", b"\0as", b"MZ\x90\0", b"\x7fELF", &[0xff; 100], "{\"json\": true}".as_bytes()] {
        let (offset, problem) = invalid(bytes);
        assert_eq!(offset, 0);
        assert!(problem.contains("00 61 73 6d"), "{problem}");
    }
    assert!(invalid(b"").1.contains("no bytes at all"));
    for bytes in [&b"\0asm"[..], b"\0asm\x01\0\0", b"\0asm\x02\0\0\0"] {
        let (offset, problem) = invalid(bytes);
        let expected = if bytes.len() < 8 { (4, "unexpected end-of-file") } else { (0, "unknown binary version: 0x2") };
        assert_eq!((offset, &*problem), expected);
    }
}

#[test]
fn the_text_format_is_refused_by_name() {
    for text in ["(module)", "  \n(module (func))", ";; a comment\n(module)"] {
        let (offset, problem) = invalid(text.as_bytes());
        assert_eq!(offset, 0);
        assert!(problem.contains("text format") && problem.contains("wat2wasm"), "{problem}");
    }
}

#[test]
fn a_component_is_refused_by_name() {
    // The preamble alone, and one with an empty core module inside.
    let preamble = b"\0asm\x0d\0\x01\0";
    for bytes in [&preamble[..], b"\0asm\x01\0\x01\0", &[&preamble[..], b"\x01\x08\0asm\x01\0\0\0"].concat()] {
        let (_, problem) = invalid(bytes);
        assert!(problem.contains("this is a component") && problem.contains("core module"), "{problem}");
    }
}

#[test]
fn a_module_cut_short_anywhere_is_refused_where_it_ends() {
    for module in [guest("echo"), guest("passive"), guest("start"), guest("table")] {
        let mut refused = 0;
        for len in 0..module.len() {
            // A module that ends between two sections can be complete.
            let whole = wasmparser::Validator::new().validate_all(&module[..len]).is_ok();
            match Runtime::new().deploy("f", &module[..len]) {
                Ok(_) => assert!(whole, "{len} of {} bytes", module.len()),
                Err(DeployError::InvalidModule { offset, .. }) => {
                    assert!(!whole && offset <= len, "at {offset}, {len} of {} bytes", module.len());
                    refused += 1;
                }
                Err(other) => panic!("{len} of {} bytes: {other:?}", module.len()),
            }
        }
        assert!(refused > module.len() / 2);
    }
}

#[test]
fn a_module_with_any_byte_changed_is_refused_or_runs_and_nothing_panics() {
    let mut random = Random::new(7);
    let limits = Limits { fuel: 1_000, memory_bytes: 1 << 20, ..Limits::default() };
    let exports = ["handle", "text", "drop_text", "fill", "drop_elem", "active", "clear", "get", "ready", "spoil"];
    let mut accepted = 0;
    for module in [guest("echo"), guest("passive"), guest("start")] {
        for at in 8..module.len() {
            let mut changed = module.clone();
            changed[at] = random.next() as u8;
            let runtime = Runtime::new();
            let Ok(function) = runtime.deployment("f", &changed).limits(limits.clone()).deploy() else { continue };
            accepted += 1;
            let _ = function.invoke(b"hello");
            for export in exports {
                let _ = function.call(export, &[]);
            }
        }
    }
    assert!(accepted > 20, "{accepted}");
}

#[test]
fn all_unknown_imports_are_listed_at_once_with_module_name_and_type() {
    let error = deploy(
        r#"(module
            (import "env" "now" (func (result i64)))
            (import "env" "log" (func (param i32 i32)))
            (import "wasi_unstable" "fd_write" (func (param i32 i32 i32 i32) (result i32)))
            (import "env" "many" (func (param f64) (result i32 f32)))
            (import "env" "opaque" (func (param externref))))"#,
    )
    .unwrap_err();
    let DeployError::UnknownImports { imports } = &error else { panic!("{error:?}") };
    let listed: Vec<_> = imports.iter().map(|import| (&*import.module, &*import.name, &*import.ty)).collect();
    assert_eq!(
        listed,
        [
            ("env", "now", "func () -> i64"),
            ("env", "log", "func (i32, i32)"),
            ("wasi_unstable", "fd_write", "func (i32, i32, i32, i32) -> i32"),
            ("env", "many", "func (f64) -> (i32, f32)"),
            ("env", "opaque", "func (externref)"),
        ]
    );
    assert!(imports.iter().all(|import| import.provided.is_none()));
    let text = error.to_string();
    assert!(text.contains("\n  env.now: func () -> i64\n  env.log: func (i32, i32)\n"), "{text}");
    assert!(text.contains("Deployment::host"), "{text}");
}

#[test]
fn an_import_of_another_type_is_told_what_is_provided() {
    let runtime = Runtime::new();
    let deploy = |ty: &str| {
        let module = wat(&format!(r#"(module (import "env" "add" {ty}) (import "env" "more" (func)))"#));
        let add = |_: &mut Context<'_>, a: i32, b: i64| -> f64 { f64::from(a) + b as f64 };
        match runtime.deployment("f", &module).host("env", "add", add).deploy() {
            Err(DeployError::UnknownImports { imports }) => imports,
            other => panic!("{other:?}"),
        }
    };
    for ty in [
        "(func)",
        "(func (param i32 i32) (result f64))",
        "(func (param i32 i64))",
        "(func (param i32 i64) (result f32))",
        "(func (param i32 i64 i64) (result f64))",
        "(func (param i32 i64) (result f64 f64))",
        "(global f64)",
        "(memory 1)",
    ] {
        let imports = deploy(ty);
        assert_eq!(imports.len(), 2, "{ty}");
        assert_eq!(imports[0].provided.as_deref(), Some("func (i32, i64) -> f64"), "{ty}");
        assert_eq!(imports[1].provided, None);
    }
    // The import whose type fits is not among the missing ones.
    assert_eq!(deploy("(func (param i32 i64) (result f64))").len(), 1);
}

#[test]
fn memories_tables_and_globals_cannot_be_imported() {
    let error = deploy(
        r#"(module
            (import "env" "memory" (memory 2 10))
            (import "env" "table" (table 3 funcref))
            (import "env" "constant" (global i64))
            (import "env" "variable" (global (mut f32)))
            (data (global.get 0) "at an imported address"))"#
            .replace("(global i64)", "(global i32)")
            .as_str(),
    )
    .unwrap_err();
    let DeployError::UnknownImports { imports } = &error else { panic!("{error:?}") };
    let types: Vec<_> = imports.iter().map(|import| &*import.ty).collect();
    assert_eq!(types, ["memory of 2 pages", "table of 3 elements", "global i32", "global mut f32"]);
    assert!(error.to_string().contains("memories, tables and globals cannot be imported"), "{error}");
}

#[test]
fn missing_proposals_are_told_by_name() {
    let on =
        |feature| cfg!(feature = "simd") && feature == "simd" || cfg!(feature = "memory64") && feature == "memory64";
    for (proposal, text) in [
        ("threads", "(module (memory 1 1 shared))"),
        ("threads", "(module (memory 1) (func (drop (i32.atomic.load (i32.const 0)))))"),
        ("threads", "(module (func (atomic.fence)))"),
        // The module is invalid further on too. The error says so once this is repaired.
        ("threads", "(module (memory 1 1 shared) (func (result i32)))"),
        ("exception-handling", "(module (tag $e) (func (throw $e)))"),
        ("exception-handling", "(module (tag $e (param i32)))"),
        ("exception-handling", r#"(module (import "env" "e" (tag)))"#),
        (
            "exception-handling",
            "(module (func (block $b (result exnref) (try_table (catch_all_ref $b)) unreachable) drop))",
        ),
        ("exception-handling", "(module (func try nop catch_all end))"),
        ("function-references", "(module (type $t (func)) (func (param (ref $t)) (call_ref $t (local.get 0))))"),
        ("function-references", "(module (type $t (func)) (func (param (ref null $t))))"),
        ("function-references", "(module (func (param funcref) (drop (ref.as_non_null (local.get 0)))))"),
        ("function-references", "(module (type $t (func)) (table 1 (ref null $t)))"),
        ("gc", "(module (type (struct (field i32))))"),
        ("gc", "(module (type (array i8)))"),
        ("gc", "(module (rec (type (func)) (type (func))))"),
        ("gc", "(module (func (drop (ref.i31 (i32.const 1)))))"),
        ("gc", "(module (func (param anyref)))"),
        ("stack-switching", "(module (type $f (func)) (type $c (cont $f)))"),
        ("custom-page-sizes", "(module (memory 100 (pagesize 1)))"),
        (
            "wide-arithmetic",
            "(module (func (param i64 i64) (result i64 i64) (i64.mul_wide_u (local.get 0) (local.get 1))))",
        ),
        ("simd", "(module (func (param v128)))"),
        ("simd", "(module (func (drop (v128.const i64x2 0 0))))"),
        ("simd", "(module (memory 1) (func (drop (v128.load (i32.const 0)))))"),
        ("simd", "(module (func (param i32) (drop (i32x4.splat (local.get 0)))))"),
        ("memory64", "(module (memory i64 1))"),
        ("memory64", "(module (table i64 1 funcref))"),
    ] {
        match deploy(text) {
            Ok(_) if on(proposal) => {}
            Err(error @ DeployError::MissingProposal { .. }) => {
                let DeployError::MissingProposal { proposal: named, offset, .. } = error else { unreachable!() };
                assert_eq!(named, proposal, "{text}");
                assert!(offset >= 8 && offset <= wat(text).len(), "{offset}: {text}");
                assert!(error.to_string().contains(&format!("proposal {proposal} (at byte {offset})")), "{error}");
                if ["simd", "memory64"].contains(&proposal) {
                    assert!(error.to_string().contains(&format!("feature `{proposal}`")), "{error}");
                }
            }
            other => panic!("{text}: {other:?}"),
        }
    }
}

#[test]
fn standard_proposals_are_there() {
    for text in [
        "(module (memory 1) (memory 1))",
        "(module (func (result i32 i64) (i32.const 1) (i64.const 2)))",
        "(module (func $f (return_call $f)))",
        "(module (memory 1) (func (memory.fill (i32.const 0) (i32.const 0) (i32.const 0))))",
        "(module (func (param i32) (result i32) (i32.extend8_s (local.get 0))))",
        "(module (func (param f32) (result i32) (i32.trunc_sat_f32_s (local.get 0))))",
        "(module (table 1 externref) (func (result externref) (table.get 0 (i32.const 0))))",
        "(module (memory 1) (data (i32.add (i32.const 1) (i32.mul (i32.const 2) (i32.const 3))) \"x\"))",
        "(module (global (export \"g\") (mut i32) (i32.const 0)))",
    ] {
        deploy(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    }
}

#[track_caller]
fn fails_in(result: Result<Function, DeployError>, in_step: &str, with: InvokeErrorKind) {
    match result {
        Err(DeployError::Initialise { step, cause }) => assert_eq!((step, *cause), (in_step, with)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn initialisation_that_traps_is_refused_with_its_step() {
    let trap = || InvokeErrorKind::Trap(Trap::Unreachable);
    fails_in(Runtime::new().deploy("f", &guest("start-trap")), "the start function", trap());
    fails_in(deploy(r#"(module (func (export "_initialize") unreachable))"#), "_initialize", trap());
    let buffer = |alloc, dealloc| {
        deploy(&format!(
            r#"(module (memory (export "memory") 1)
                (func (export "alloc") (param i32) (result i32) {alloc})
                (func (export "dealloc") (param i32 i32) {dealloc})
                (func (export "handle") (param i32 i32) (result i64) unreachable))"#
        ))
    };
    fails_in(buffer("unreachable", ""), "alloc", trap());
    fails_in(buffer("(i32.const 0)", "unreachable"), "dealloc", trap());
    buffer("(i32.const 0)", "").unwrap();
    let error = deploy("(module (func $f unreachable) (start $f))").unwrap_err().to_string();
    assert!(error.contains("the start function") && error.contains("unreachable"), "{error}");
}

#[test]
fn initialisation_that_never_ends_runs_out_of_fuel() {
    let runtime = Runtime::new();
    let limits = || Limits { fuel: 300_000, ..Limits::default() };
    let out = || InvokeErrorKind::OutOfFuel { limit: 300_000 };
    fails_in(runtime.deployment("f", &guest("start-loop")).limits(limits()).deploy(), "the start function", out());
    // All steps share one budget.
    let module = wat(r#"(module (func $some (local $n i32) (local.set $n (i32.const 20000))
        (loop $l (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))
        (func (export "_initialize") (call $some)) (start $some))"#);
    let fuel = runtime.deploy("f", &module).unwrap().deploy_report().unwrap().init_fuel();
    let with = |fuel| runtime.deployment("f", &module).limits(Limits { fuel, ..Limits::default() }).deploy();
    with(fuel).unwrap();
    fails_in(with(fuel - 1), "_initialize", InvokeErrorKind::OutOfFuel { limit: fuel - 1 });
    assert_eq!(runtime.trim(Duration::ZERO), 1, "the instance of the last deployment that succeeded");
    assert_eq!(in_use(&runtime), (0, 0));
}

#[test]
fn a_data_segment_out_of_bounds_is_refused_with_its_figures() {
    for (text, segment, memory, offset, len, size) in [
        (r#"(memory 1) (data (i32.const 0) "ok") (data (i32.const 65534) "abc")"#, 1, 0, 65_534, 3, 65_536),
        (r#"(memory 1) (memory 2) (data (memory 1) (i32.const 131073) "")"#, 0, 1, 131_073, 0, 131_072),
        (r#"(memory 1) (data (i32.const -1) "a")"#, 0, 0, 0xffff_ffff, 1, 65_536),
        (r#"(memory 0) (data (i32.const 0) "a")"#, 0, 0, 0, 1, 0),
        (r#"(memory 1) (data (i32.sub (i32.const 0) (i32.const 2)) "a")"#, 0, 0, 0xffff_fffe, 1, 65_536),
    ] {
        match deploy(&format!("(module {text})")) {
            Err(DeployError::SegmentOutOfBounds { segment: s, memory: m, offset: o, len: l, size: z }) => {
                assert_eq!((s, m, o, l, z), (segment, memory, offset, len, size), "{text}");
            }
            other => panic!("{text}: {other:?}"),
        }
    }
    deploy(r#"(module (memory 1) (data (i32.const 65533) "abc") (data (i32.const 65536) ""))"#).unwrap();
}

#[test]
fn offsets_of_data_segments_may_be_computed() {
    let offset = "(i32.sub (i32.add (i32.const 5) (i32.mul (i32.const 2) (i32.const 3))) (i32.const 4))";
    let mut modules = vec![format!(r#"(module (memory (export "memory") 1) (data (offset {offset}) "here"))"#)];
    if cfg!(feature = "memory64") {
        modules.push(modules[0].replace("i32", "i64").replace(") 1)", ") i64 1)"));
    }
    for text in modules {
        let read = deploy(&text).unwrap().session(|guest| guest.read(6, 6)).unwrap();
        assert_eq!(read.value(), b"\0here\0", "{text}");
    }
}

#[test]
fn an_element_segment_out_of_bounds_is_refused() {
    let out = || InvokeErrorKind::Trap(Trap::TableOutOfBounds);
    fails_in(deploy("(module (table 1 funcref) (func $f) (elem (i32.const 0) $f $f))"), "instantiation", out());
    fails_in(deploy("(module (table 1 funcref) (func $f) (elem (i32.const -1) $f))"), "instantiation", out());
    deploy("(module (table 1 funcref) (func $f) (elem (i32.const 0) $f))").unwrap();
}

#[test]
fn an_entry_that_is_missing_or_of_another_type_is_refused() {
    let module = wat(r#"(module (memory (export "memory") 1)
        (global (export "number") i32 (i32.const 0))
        (func (export "alloc") (param i32) (result i32) (i32.const 0))
        (func (export "on_event") (param i32 i32) (result i64) (i64.const 0))
        (func (export "wrong") (param i32) (result i64) (i64.const 0)))"#);
    let runtime = Runtime::new();
    let with = |entry| runtime.deployment("f", &module).entry(entry).deploy();
    assert_eq!(with("on_event").unwrap().invoke(b"").unwrap().output(), b"");
    for (entry, found) in [
        ("missing", "no function \"missing\""),
        ("number", "no function \"number\""),
        ("memory", "no function \"memory\""),
        ("wrong", "\"wrong\" is (i32) -> i64"),
        ("", "no function \"\""),
        ("a\n", "no function \"a\\n\""),
    ] {
        match with(entry) {
            Err(error @ DeployError::Entry { .. }) => {
                assert!(error.to_string().contains(found), "{error}");
                assert!(error.to_string().contains("(i32, i32) -> i64"), "{error}");
                assert!(!error.to_string().contains('\n'), "{error}");
            }
            other => panic!("{entry}: {other:?}"),
        }
    }
    // A good entry is useless without the rest of the contract.
    let module = wat(r#"(module (func (export "on_event") (param i32 i32) (result i64) (i64.const 0)))"#);
    let error = runtime.deployment("f", &module).entry("on_event").deploy().unwrap_err().to_string();
    assert!(error.contains("no memory") && error.contains("no function \"alloc\""), "{error}");
}

#[test]
fn options_that_contradict_themselves_are_refused_with_their_figures() {
    let runtime = Runtime::new();
    let module = numbered(1);
    #[expect(clippy::reversed_empty_ranges, reason = "the mistake that is to be refused")]
    let error = runtime.deployment("f", &module).instances(3..=2).deploy().unwrap_err();
    assert!(matches!(error, DeployError::InvalidOption { option: "instances", .. }), "{error:?}");
    assert!(error.to_string().contains("3 instances kept warm are more than the maximum of 2"), "{error}");

    let with =
        |stack| runtime.deployment("f", &module).limits(Limits { stack_bytes: stack, ..Limits::default() }).deploy();
    with(4_096).unwrap();
    let error = with(4_095).unwrap_err();
    assert!(matches!(error, DeployError::InvalidOption { option: "limits", .. }), "{error:?}");
    assert!(error.to_string().contains("4095") && error.to_string().contains("4096"), "{error}");
}

#[test]
fn any_number_of_instances_may_be_allowed() {
    let function = Runtime::new().deployment("f", &numbered(1)).instances(0..=usize::MAX).deploy().unwrap();
    assert_eq!(id(&function), Ok(1));
    let function = Runtime::new().deployment("f", &numbered(1)).instances(2..=usize::MAX).deploy().unwrap();
    assert_eq!(idle_and_live(&function), (2, 2));
}

/// A module whose start function calls `env.tick` and does something else.
fn ticking(then: &str) -> Result<Function, DeployError> {
    let module = wat(&format!(
        r#"(module (import "env" "tick" (func $tick))
            (memory 1) (table 1 funcref) (data $d "x") (elem declare func $start)
            (global $r (mut funcref) (ref.null func))
            (func $start (call $tick) (call $tick))
            (func (export "then") {then})
            (start $start))"#
    ));
    Runtime::new().deployment("f", &module).host("env", "tick", |_: &mut Context<'_>| {}).deploy()
}

#[test]
fn initialisation_that_must_be_repeated_may_not_call_the_host() {
    for then in ["(table.set 0 (i32.const 0) (ref.func $start))", "(global.set $r (ref.func $start))", "(data.drop $d)"]
    {
        let error = ticking(then).unwrap_err();
        assert!(matches!(error, DeployError::UnrepeatableInitialisation { calls: 2 }), "{then}: {error:?}");
        assert!(error.to_string().contains("2 times"), "{error}");
    }
    ticking("(memory.fill (i32.const 0) (i32.const 1) (i32.const 9))").unwrap();
}

#[test]
fn a_refused_redeployment_leaves_the_version_in_service() {
    let runtime = Runtime::new();
    let function = runtime.deployment("f", &numbered(1)).instances(1..=2).deploy().unwrap();
    let before = (function.version(), idle_and_live(&function), in_use(&runtime));
    let wrong = r#"(module (import "a" "b" (func)))"#;
    for module in [&b"garbage"[..], &wat(wrong), &guest("start-trap"), &guest("bomb-declared")] {
        runtime.deploy("f", module).unwrap_err();
        let limits = Limits { stack_bytes: 1, ..Limits::default() };
        runtime.deployment("f", &numbered(2)).limits(limits).deploy().unwrap_err();
        assert_eq!((function.version(), idle_and_live(&function), in_use(&runtime)), before);
        assert_eq!(id(&function), Ok(1));
    }
}

#[test]
fn a_host_function_given_twice_is_the_later_one() {
    let module =
        wat(r#"(module (import "env" "n" (func $n (result i32))) (func (export "id") (result i32) (call $n)))"#);
    let runtime = Runtime::new();
    let function = runtime
        .deployment("f", &module)
        .host("env", "n", |_: &mut Context<'_>| 1i64)
        .host("env", "n", |_: &mut Context<'_>| 2)
        .deploy()
        .unwrap();
    assert_eq!(id(&function), Ok(2));
}

#[test]
fn exports_that_look_like_our_own_are_left_alone() {
    let exports: String = (0..20).map(|n| format!(r#"(export "dormouse{}" (func $id))"#, ":".repeat(n))).collect();
    let module = wat(&format!(
        r#"(module (memory 1) (global $n (mut i32) (i32.const 7)) {exports}
            (export "dormouse:g0" (func $id)) (export "dormouse:start" (func $id)) (export "dormouse:grow" (func $id))
            (export "dormouse:0:g0" (func $id)) (export "dormouse:1:start" (func $id)) (export "dormouse:2:" (func $id))
            (export "dormouse:99999999999999999999:" (func $id)) (export "dormouse:+3:g0" (func $id))
            (func $id (export "id") (result i32)
                (drop (memory.grow (i32.const 1)))
                (global.set $n (i32.add (global.get $n) (i32.const 1))) (global.get $n))
            (func $start (drop (call $id)))
            (start $start))"#
    ));
    let function = Runtime::new().deploy("f", &module).unwrap();
    assert_eq!(id(&function), Ok(9));
    for export in ["dormouse", "dormouse:::", "dormouse:g0", "dormouse:start", "dormouse:0:g0", "dormouse:1:start"] {
        assert_eq!(function.call(export, &[]).unwrap().values(), [Value::I32(9)], "{export}");
    }
    // The exports that the library adds cannot be called under any name.
    for number in 0..9 {
        let name = format!("dormouse:{number}:start");
        let called = function.call(&name, &[]).map(|returned| returned.values().to_vec());
        match called.map_err(InvokeError::into_kind) {
            Err(InvokeErrorKind::NoSuchExport { .. }) => assert_ne!(number, 1),
            other => assert_eq!((number, other), (1, Ok(vec![Value::I32(9)]))),
        }
    }
}

#[test]
fn long_names_like_our_own_make_deployment_neither_slow_nor_large() {
    // Each export's name begins with the one before, so the shared prefix grows.
    let exports: String =
        (0..30).map(|n| format!(r#"(export "dormouse{}{n}" (func $f))"#, ":".repeat(99_000))).collect();
    let globals = "(global (mut i32) (i32.const 0))".repeat(1_000);
    let writes: String = (0..1_000).map(|n| format!("(global.set {n} (i32.const 1))")).collect();
    let module = wat(&format!("(module {globals} (func $f {writes}) {exports})"));
    let began = Instant::now();
    Runtime::new().deploy("f", &module).unwrap();
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

#[test]
fn a_deployment_that_panics_in_the_host_is_refused_and_leaves_nothing() {
    let module = wat(
        r#"(module (import "env" "boom" (func $boom (result i32))) (func $start (drop (call $boom))) (start $start))"#,
    );
    let runtime = Runtime::new();
    let calls = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&calls);
    let result = runtime
        .deployment("f", &module)
        .host("env", "boom", move |_: &mut Context<'_>| -> i32 {
            counted.fetch_add(1, Relaxed);
            std::panic::resume_unwind(Box::new("boom"));
        })
        .deploy();
    let panic = InvokeErrorKind::HostPanic { module: "env".into(), name: "boom".into(), message: "boom".into() };
    fails_in(result, "the start function", panic);
    assert_eq!(calls.load(Relaxed), 1);
    assert_eq!(in_use(&runtime), (0, 0));
    assert!(runtime.find("f").is_none());
}

/// Each would keep the validator busy for a minute. A block of a wide type takes three bytes, and a
/// target of a branch table takes one.
#[test]
fn code_that_moves_operands_without_end_is_refused_in_time() {
    let many = |n: usize| "i32 ".repeat(n);
    let ints = "(i32.const 0)".repeat(1_000);
    let blocks = format!(
        r#"(module (type $w (func (param {p}) (result {p}))) (func {ints} {b} {d}))"#,
        p = many(1_000),
        b = "(block (type $w))".repeat(20_000),
        d = "drop ".repeat(1_000),
    );
    let table = format!(
        r#"(module (type $w (func (result {p}))) (func (block (type $w) {ints} (br_table {t} (i32.const 0))) {d}))"#,
        p = many(1_000),
        t = "0 ".repeat(20_000),
        d = "drop ".repeat(1_000),
    );
    let began = std::time::Instant::now();
    for text in [blocks, table] {
        let error = Runtime::new().deploy("wide", &wat(&text)).unwrap_err();
        assert!(matches!(error, DeployError::Refused { .. }), "{error}");
        assert!(error.to_string().contains("operands"), "{error}");
    }
    assert!(began.elapsed() < std::time::Duration::from_secs(20), "{:?}", began.elapsed());
}
