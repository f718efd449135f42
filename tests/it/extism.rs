//! Extism plug-ins: how one is found, started and called, what counts as an error, and that nothing
//! of an invocation stays.
//!
//! `extism_calls.rs` has the answers of the functions of `extism:host/env`. `extism_blocks.rs` has
//! the blocks and the attacks on them.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use dormouse::{
    Context, ContractKind, DeployError, Deployment, Extism, Function, HostError, InvokeError, InvokeErrorKind, Reset,
    Runtime, Trap, Value,
};

use crate::support::{guest, wat};

/// All functions of `extism:host/env` in version 1.12, with their parameters and results.
pub(crate) const FUNCTIONS: &[(&str, &str, &str)] = &[
    ("alloc", "i64", "i64"),
    ("free", "i64", ""),
    ("length", "i64", "i64"),
    ("length_unsafe", "i64", "i64"),
    ("load_u8", "i64", "i32"),
    ("load_u64", "i64", "i64"),
    ("store_u8", "i64 i32", ""),
    ("store_u64", "i64 i64", ""),
    ("input_offset", "", "i64"),
    ("input_length", "", "i64"),
    ("input_load_u8", "i64", "i32"),
    ("input_load_u64", "i64", "i64"),
    ("input_set", "i64 i64", ""),
    ("output_set", "i64 i64", ""),
    ("output_offset", "", "i64"),
    ("output_length", "", "i64"),
    ("error_set", "i64", ""),
    ("error_get", "", "i64"),
    ("reset", "", ""),
    ("memory_bytes", "", "i64"),
    ("config_get", "i64", "i64"),
    ("var_get", "i64", "i64"),
    ("var_set", "i64 i64", ""),
    ("http_request", "i64 i64", "i64"),
    ("http_status_code", "", "i32"),
    ("http_headers", "", "i64"),
    ("log_trace", "i64", ""),
    ("log_debug", "i64", ""),
    ("log_info", "i64", ""),
    ("log_warn", "i64", ""),
    ("log_error", "i64", ""),
    ("get_log_level", "", "i32"),
];

fn import(name: &str, params: &str, results: &str) -> String {
    format!(r#"(import "extism:host/env" "{name}" (func ${name} (param {params}) (result {results})))"#)
}

/// A plug-in with all imports under their names, a memory, and `$text`, which copies bytes of the
/// memory into a new block.
pub(crate) fn plugin(body: &str) -> Vec<u8> {
    let imports: String = FUNCTIONS.iter().map(|(name, params, results)| import(name, params, results)).collect();
    wat(&format!(
        r#"(module {imports} (memory (export "memory") 1)
             (func $text (param $at i32) (param $len i32) (result i64) (local $block i64) (local $i i32)
               (local.set $block (call $alloc (i64.extend_i32_u (local.get $len))))
               (loop $next
                 (if (i32.lt_u (local.get $i) (local.get $len))
                   (then (call $store_u8 (i64.add (local.get $block) (i64.extend_i32_u (local.get $i)))
                           (i32.load8_u (i32.add (local.get $at) (local.get $i))))
                         (local.set $i (i32.add (local.get $i) (i32.const 1)))
                         (br $next))))
               (local.get $block))
             (func $reply (param $block i64) (call $output_set (local.get $block) (call $length (local.get $block))))
             {body})"#
    ))
}

pub(crate) fn deploy(body: &str) -> Function {
    Runtime::new().deploy("plugin", &plugin(body)).unwrap()
}

pub(crate) fn deploy_with(body: &str, with: impl FnOnce(Deployment) -> Deployment) -> Function {
    let runtime = Runtime::new();
    let module = plugin(body);
    with(runtime.deployment("plugin", &module)).deploy().unwrap()
}

/// Invokes four times, once on a new instance. Outcome, fuel and log are the same each time.
#[track_caller]
pub(crate) fn alike(function: &Function, input: &[u8]) -> Result<(Vec<u8>, String), InvokeErrorKind> {
    let mut first = None;
    for round in 0..4 {
        // The session holds the instance that is ready.
        let ran = match round {
            2 => function.session(|_| Ok(function.invoke(input))).unwrap().into_value(),
            _ => function.invoke(input),
        };
        let outcome = match ran {
            Ok(reply) => {
                let (log, fuel) = (reply.log().into_owned(), reply.report().fuel());
                (Ok((reply.into_output(), log)), fuel)
            }
            Err(error) => {
                let fuel = error.report().unwrap().fuel();
                (Err(error.into_kind()), fuel)
            }
        };
        assert_eq!(first.get_or_insert_with(|| outcome.clone()), &outcome, "round {round}");
    }
    first.unwrap().0
}

pub(crate) fn output(function: &Function, input: &[u8]) -> String {
    String::from_utf8(alike(function, input).unwrap().0).unwrap()
}

pub(crate) fn failure(function: &Function, input: &[u8]) -> InvokeErrorKind {
    alike(function, input).unwrap_err()
}

fn refused(module: &str) -> String {
    Runtime::new().deploy("f", &wat(module)).unwrap_err().to_string()
}

#[test]
fn every_function_of_the_interface_is_there_by_its_type_and_no_other() {
    let function = deploy(r#"(func (export "nothing"))"#);
    assert_eq!(function.deploy_report().unwrap().contract(), "extism");
    assert_eq!(output(&function, b"ignored"), "");

    for (name, params, results) in FUNCTIONS {
        let other = refused(&format!(r#"(module {})"#, import(name, &format!("{params} f32"), results)));
        assert!(other.contains(name) && other.contains("but the deployment provides func ("), "{other}");
    }
    let unknown = refused(r#"(module (import "extism:host/env" "teleport" (func (param i64))))"#);
    assert!(unknown.contains("teleport") && unknown.contains("built for another version"), "{unknown}");
    for import in ["memory 1", "global i32", "table 1 funcref"] {
        let unknown = refused(&format!(r#"(module (import "extism:host/env" "memory" ({import})))"#));
        assert!(unknown.contains("extism:host/env.memory"), "{unknown}");
    }
    let old = refused(r#"(module (import "env" "extism_input_length" (func (result i64))))"#);
    assert!(old.contains("before 1.0") && old.contains("a later PDK"), "{old}");
    assert!(!unknown.contains("before 1.0"), "{unknown}");
}

/// A plug-in that sets the error `no luck` if its event says so, and then ends as the event says.
fn errors() -> Function {
    deploy(
        r#"(data (i32.const 0) "no luck\ff")
           (func $byte (param $at i64) (result i32) (call $input_load_u8 (local.get $at)))
           (func (export "go") (result i32) (local $text i64)
             (call $output_set (call $input_offset) (call $input_length))
             (local.set $text (call $text (i32.const 0) (i32.const 7)))
             (if (i32.eq (call $byte (i64.const 0)) (i32.const 0x65)) (then (call $error_set (local.get $text))))  ;; e
             (if (i32.eq (call $byte (i64.const 0)) (i32.const 0x69))                                              ;; i: interior
               (then (call $error_set (i64.add (local.get $text) (i64.const 1)))))
             (if (i32.eq (call $byte (i64.const 0)) (i32.const 0x63))                                              ;; c: cleared
               (then (call $error_set (local.get $text)) (call $error_set (i64.const 0))))
             (if (i32.eq (call $byte (i64.const 0)) (i32.const 0x66))                                              ;; f: freed
               (then (call $error_set (local.get $text)) (call $free (local.get $text))))
             (if (i32.eq (call $byte (i64.const 0)) (i32.const 0x6f))                                              ;; o: out of bounds
               (then (call $error_set (local.get $text))
                     (call $error_set (i64.add (local.get $text) (i64.const 7))) (call $error_set (i64.const -1))
                     (if (i64.ne (call $error_get) (local.get $text)) (then (return (i32.const 9))))))
             (if (i32.eq (call $byte (i64.const 0)) (i32.const 0x75))                                              ;; u: no UTF-8
               (then (call $error_set (call $text (i32.const 0) (i32.const 8)))))
             (if (i32.eq (call $byte (i64.const 0)) (i32.const 0x6c))                                              ;; l: long
               (then (call $error_set (call $alloc (i64.const 100000)))))
             (if (i32.eq (call $byte (i64.const 1)) (i32.const 0x74)) (then unreachable))                          ;; t: traps
             (if (i32.eq (call $byte (i64.const 1)) (i32.const 0x68)) (then (call $log_info (i64.const 1))))       ;; h: a host function fails
             (if (i32.eq (call $byte (i64.const 1)) (i32.const 0x73)) (then (loop (br 0))))                        ;; s: spins
             (i32.sub (call $byte (i64.const 1)) (i32.const 0x30)))"#,
    )
}

#[test]
fn an_error_that_is_set_comes_before_how_the_run_ends_and_that_before_its_code() {
    let function = errors();
    let said = |code: i32, message: &str, ended: Option<InvokeErrorKind>| InvokeErrorKind::GuestError {
        code,
        message: message.into(),
        ended: ended.map(Box::new),
    };
    // Without an error, the code decides.
    for input in ["-0", "i0", "c0", "f0"] {
        assert_eq!(output(&function, input.as_bytes()), input);
    }
    for input in ["-7", "i7", "c7", "f7"] {
        assert_eq!(failure(&function, input.as_bytes()), said(7, "", None), "{input}");
    }
    assert_eq!(failure(&function, b"-/"), said(-1, "", None));
    // An error counts whatever the code is.
    for input in ["e0", "o0"] {
        assert_eq!(failure(&function, input.as_bytes()), said(0, "no luck", None), "{input}");
    }
    assert_eq!(failure(&function, b"e3"), said(3, "no luck", None));
    assert_eq!(failure(&function, b"u0"), said(0, "no luck\u{fffd}", None));
    // A trap alone is a trap. After an error, the error counts.
    let trap = InvokeErrorKind::Trap(Trap::Unreachable);
    assert_eq!(failure(&function, b"-t"), trap);
    assert_eq!(failure(&function, b"ct"), trap);
    assert_eq!(failure(&function, b"et"), said(-1, "no luck", Some(trap)));
    let InvokeErrorKind::GuestError { code: -1, ended: Some(host), .. } = failure(&function, b"eh") else { panic!() };
    assert!(matches!(*host, InvokeErrorKind::HostFunction { .. }), "{host}");
    // The host's limits come first.
    let spun = function.invocation(b"es").fuel(10_000).run().unwrap_err();
    assert_eq!(*spun.kind(), InvokeErrorKind::OutOfFuel { limit: 10_000 });
    // An error carries no more than 4 KiB.
    let InvokeErrorKind::GuestError { message, .. } = failure(&function, b"l0") else { panic!() };
    assert_eq!(message.len(), 4_096);

    let text = |input: &[u8]| function.invoke(input).unwrap_err().kind().to_string();
    assert_eq!(text(b"-7"), "the guest failed with code 7");
    assert_eq!(text(b"e3"), "the guest failed with code 3: no luck");
    assert_eq!(text(b"et"), "the guest failed: no luck (the guest trapped: wasm `unreachable` instruction executed)");
    let error = function.invoke(b"e0").unwrap_err();
    assert_eq!((error.kind().name(), error.report().unwrap().outcome()), ("guest_error", "guest_error"));
    assert_eq!(error.report().unwrap().output_bytes(), 0);
}

pub(crate) fn run(function: &Function, entry: &str, input: &[u8]) -> Result<String, InvokeError> {
    let reply = function.invocation(input).entry(entry).run()?;
    Ok(String::from_utf8(reply.into_output()).unwrap())
}

#[test]
fn initialisation_is_haskells_or_constructors_or_initialize_once() {
    // Each step adds a digit to a number, which the entry answers with.
    let step = |name: &str, params: &str, digit: u32| {
        let add = format!("(global.set $n (i32.add (i32.mul (global.get $n) (i32.const 10)) (i32.const {digit})))");
        format!(r#"(func (export "{name}") (param {params}) {add})"#)
    };
    let initialize = step("_initialize", "", 1);
    let constructors = step("__wasm_call_ctors", "", 2);
    let haskell = step("hs_init", "i32 i32", 3);
    let start = step("_start", "", 4);
    let run = |steps: &[&str]| {
        let body = format!(
            r#"(global $n (mut i32) (i32.const 0)) {} (func (export "go") (result i32) (global.get $n))"#,
            steps.concat()
        );
        match failure(&deploy(&body), b"") {
            InvokeErrorKind::GuestError { code, .. } => code,
            other => panic!("{other}"),
        }
    };
    assert_eq!(run(&[&initialize]), 1);
    assert_eq!(run(&[&constructors, &initialize, &start]), 2);
    assert_eq!(run(&[&haskell, &initialize]), 13);
    assert_eq!(run(&[&haskell, &constructors]), 3);
    assert_eq!(run(&[&haskell, &constructors, &initialize, &start]), 13);
    // With another type, none of them has its special meaning.
    assert_eq!(run(&[&step("hs_init", "i32", 3), &step("__wasm_call_ctors", "i32", 2), &initialize]), 1);
    assert_eq!(run(&[&step("_initialize", "i32", 1), r#"(func $s (global.set $n (i32.const 5))) (start $s)"#]), 5);

    for step in ["_initialize", "__wasm_call_ctors"] {
        let module = plugin(&format!(r#"(func (export "{step}") unreachable) (func (export "go"))"#));
        let error = Runtime::new().deploy("plugin", &module).unwrap_err();
        assert!(matches!(error, DeployError::Initialise { step: at, .. } if at == step), "{error}");
    }
}

#[test]
fn initialisation_is_paid_once_and_what_it_sets_is_what_every_invocation_begins_with() {
    let function = deploy_with(
        r#"(data (i32.const 0) "kv!\ff") (global $block (mut i64) (i64.const 0))
           (func (export "_initialize") (local $i i32)
             (loop (br_if 0 (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 100000))))
             (call $var_set (call $text (i32.const 0) (i32.const 1)) (call $text (i32.const 1) (i32.const 2)))
             (call $var_set (call $text (i32.const 2) (i32.const 1)) (i64.const 0))
             (call $log_info (call $text (i32.const 0) (i32.const 2)))
             (global.set $block (call $text (i32.const 0) (i32.const 3)))
             (call $output_set (global.get $block) (i64.const 3))
             (call $error_set (global.get $block)))
           (func (export "handle") (result i32)
             ;; Blocks of initialisation are gone.
             (if (i64.ne (call $length (global.get $block)) (i64.const 0)) (then (return (i32.const 1))))
             (if (i64.ne (call $output_length) (i64.const 0)) (then (return (i32.const 2))))
             (if (i64.ne (call $error_get) (i64.const 0)) (then (return (i32.const 3))))
             (call $reply (call $var_get (call $text (i32.const 0) (i32.const 1))))
             (i64.ne (call $var_get (call $text (i32.const 2) (i32.const 1))) (i64.const 0)))"#,
        |deployment| deployment.extism(Extism::new().var("!", b"removed in initialisation")),
    );
    assert!(function.deploy_report().unwrap().init_fuel() > 100_000);
    let reply = function.invoke(b"").unwrap();
    assert_eq!((reply.output(), &*reply.log()), (&b"v!"[..], ""));
    assert!(reply.report().fuel() < 1_000);
    // The same on an instance from the image.
    let _other = function.invoke(b"").unwrap();
    function
        .session(|_| {
            assert_eq!(function.invoke(b"").unwrap().output(), b"v!");
            Ok(())
        })
        .unwrap();
}

#[test]
fn the_entry_is_the_one_that_is_named_or_handle_or_the_only_one() {
    let answer = |name: &str| {
        format!(
            r#"(func (export "{name}") (call $reply (call $text (i32.const {}) (i32.const 1))))"#,
            name.as_bytes()[0]
        )
    };
    let data = r#"(data (i32.const 97) "abcdefghijkl") (func (export "_hidden")) (func (export "hs_free_fun_ptr")) (func (export "add") (param i32) (result i32) (i32.const 0))"#;
    let one = deploy(&format!("{data} {}", answer("a1")));
    assert_eq!(output(&one, b""), "a");
    let with_handle = deploy(&format!("{data} {} {}", answer("a1"), answer("handle")));
    assert_eq!(output(&with_handle, b""), "h");
    assert_eq!(run(&with_handle, "a1", b"").unwrap(), "a");
    let several = plugin(&format!("{data} {} {}", answer("a1"), answer("b1")));
    let runtime = Runtime::new();
    let function = runtime.deploy("plugin", &several).unwrap();
    let error = function.invoke(b"").unwrap_err();
    assert_eq!(error.kind().name(), "no_such_export");
    assert!(error.to_string().contains("a1, b1: name the one that is meant"), "{error}");
    assert_eq!([run(&function, "a1", b"").unwrap(), run(&function, "b1", b"").unwrap()], ["a", "b"]);
    assert_eq!(run(&function, "c1", b"").unwrap_err().kind().name(), "no_such_export");
    let error = run(&function, "add", b"").unwrap_err();
    assert_eq!(error.kind().name(), "signature");
    assert!(
        error.to_string().contains("(i32) -> i32") && error.to_string().contains("() -> i32 or () -> ()"),
        "{error}"
    );
    let named = runtime.deployment("plugin", &several).entry("b1").deploy().unwrap();
    assert_eq!(output(&named, b""), "b");
    assert_eq!(run(&named, "a1", b"").unwrap(), "a");
    assert_eq!(run(&named, "_hidden", b"").unwrap(), "");
    for (entry, found) in
        [("c1", r#"no function "c1""#), ("add", r#""add" is (i32) -> i32"#), ("memory", "no function")]
    {
        let error = runtime.deployment("plugin", &several).entry(entry).deploy().unwrap_err();
        assert!(matches!(error, DeployError::Entry { .. }), "{error}");
        assert!(
            error.to_string().contains(found) && error.to_string().contains("an export () -> i32 or () -> ()"),
            "{error}"
        );
    }
}

#[test]
fn an_entry_of_one_invocation_is_found_in_the_other_contracts_too() {
    let text = r#"(module (memory (export "memory") 1) (func (export "alloc") (param i32) (result i32) (i32.const 8))
        (func (export "handle") (param i32 i32) (result i64) (i64.const 0x800000001))
        (func (export "all") (param i32 i32) (result i64) (i64.or (i64.const 0x800000000) (i64.extend_i32_u (local.get 1)))))"#;
    let buffer = Runtime::new().deploy("f", &wat(text)).unwrap();
    assert_eq!([run(&buffer, "all", b"abc").unwrap(), run(&buffer, "handle", b"abc").unwrap()], ["abc", "a"]);
    assert_eq!(run(&buffer, "alloc", b"").unwrap_err().kind().name(), "signature");
    assert_eq!(run(&buffer, "nothing", b"").unwrap_err().kind().name(), "no_such_export");
    assert_eq!(buffer.invoke(b"abc").unwrap().output(), b"a");
}

#[test]
fn a_contract_can_be_named_and_what_fits_none_says_what_was_found() {
    let runtime = Runtime::new();
    let module = plugin(r#"(func (export "go"))"#);
    let plain = runtime.deployment("f", &module).contract(ContractKind::Plain).deploy().unwrap();
    assert_eq!(plain.deploy_report().unwrap().contract(), "plain");
    assert_eq!(plain.invoke(b"").unwrap_err().kind().name(), "not_invocable");
    // Its functions are there all the same.
    assert!(plain.call("go", &[]).is_ok());
    let refused = runtime.deployment("f", &module).contract(ContractKind::Buffer).deploy().unwrap_err().to_string();
    assert!(refused.contains(r#"no function "alloc""#), "{refused}");
    // A plug-in that needs nothing of its host.
    let silent = wat(r#"(module (func (export "run") (result i32) (i32.const 3)))"#);
    assert_eq!(runtime.deploy("f", &silent).unwrap().deploy_report().unwrap().contract(), "plain");
    let named = runtime.deployment("f", &silent).contract(ContractKind::Extism).deploy().unwrap();
    assert!(matches!(failure(&named, b"event"), InvokeErrorKind::GuestError { code: 3, .. }));
    let refused = runtime.deployment("f", &guest("echo")).contract(ContractKind::Extism).deploy().unwrap_err();
    assert!(refused.to_string().contains("does not fit the Extism contract"), "{refused}");
    // No export can take an event.
    let function = deploy(r#"(func (export "add") (param i32) (result i32) (local.get 0))"#);
    assert_eq!(function.deploy_report().unwrap().contract(), "plain");
    assert_eq!(function.call("add", &[Value::I32(4)]).unwrap().values(), [Value::I32(4)]);
    let error = function.invoke(b"").unwrap_err().to_string();
    for part in
        ["for the buffer contract found no function \"alloc\"", "for an Extism plug-in no export () -> i32 or () -> ()"]
    {
        assert!(error.contains(part), "{error}");
    }
}

#[cfg(feature = "wasi")]
#[test]
fn a_plug_in_that_imports_wasi_gets_both() {
    let text = r#"(module
        (import "extism:host/env" "input_offset" (func $input (result i64)))
        (import "extism:host/env" "input_length" (func $length (result i64)))
        (import "extism:host/env" "output_set" (func $output (param i64 i64)))
        (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
        (memory (export "memory") 1) (data (i32.const 0) "\10\00\00\00\06\00\00\00") (data (i32.const 16) "hello\n")
        (func (export "_start") unreachable)
        (func (export "echo") (call $output (call $input) (call $length))
          (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 32)))
          (drop (call $write (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 32)))
          (if (i64.eq (call $length) (i64.const 1)) (then (call $exit (i32.const 0))))
          (if (i64.eq (call $length) (i64.const 2)) (then (call $exit (i32.const 5))))))"#;
    let function = Runtime::new().deploy("f", &wat(text)).unwrap();
    assert_eq!(function.deploy_report().unwrap().contract(), "extism");
    // What it prints is its log. An exit with 0 is success, and its output counts.
    assert_eq!(alike(&function, b"three").unwrap(), (b"three".to_vec(), "hello\nhello\n".to_owned()));
    assert_eq!(alike(&function, b"1").unwrap(), (b"1".to_vec(), "hello\nhello\n".to_owned()));
    assert!(matches!(failure(&function, b"22"), InvokeErrorKind::Exit { code: 5, .. }));
}

#[test]
fn host_functions_read_write_make_and_free_blocks() {
    let text = r#"(module
        (import "extism:host/env" "input_offset" (func $input (result i64)))
        (import "extism:host/env" "length" (func $length (param i64) (result i64)))
        (import "extism:host/env" "output_set" (func $output (param i64 i64)))
        (import "extism:host/user" "work" (func $work (param i64) (result i64)))
        (func (export "go") (local $made i64) (local.set $made (call $work (call $input)))
          (call $output (local.get $made) (call $length (local.get $made)))))"#;
    let module = wat(text);
    let deploy = |work: fn(&mut Context<'_>, u64) -> Result<u64, HostError>| {
        Runtime::new().deployment("f", &module).host("extism:host/user", "work", work).deploy().unwrap()
    };
    let function = deploy(|guest, handle| {
        let text = guest.read_block(handle)?;
        guest.write_block(handle + 1, b"XY")?;
        assert_eq!(guest.read_block(handle)?[1..3], *b"XY");
        assert!(guest.read_block(0)?.is_empty() && guest.new_block(b"")? == 0);
        guest.write_block(0, b"")?;
        assert_eq!((guest.block_len(handle)?, guest.block_len(0)?), (text.len(), 0));
        let made = guest.new_block(&text)?;
        assert_ne!(made, handle);
        let gone = guest.new_block(b"gone")?;
        guest.free_block(gone)?;
        guest.free_block(gone)?;
        for bad in [gone, handle + 1, 1, u64::MAX] {
            assert_eq!(guest.read_block(bad), Err(InvokeErrorKind::InvalidHandle { handle: bad }));
            assert_eq!(guest.block_len(bad), Err(InvokeErrorKind::InvalidHandle { handle: bad }));
        }
        let beyond = handle + text.len() as u64;
        for (at, bytes) in [(beyond, &b"x"[..]), (beyond - 1, b"xy"), (gone, b"x"), (0, b"x"), (u64::MAX, b"x")] {
            assert_eq!(guest.write_block(at, bytes), Err(InvokeErrorKind::InvalidHandle { handle: at }));
        }
        Ok(made)
    });
    assert_eq!(output(&function, b"event"), "event");
    // It pays fuel for all of it: 1 for each 64 bytes.
    let (little, much) =
        (deploy(|_, handle| Ok(handle)), deploy(|guest, handle| Ok((guest.read_block(handle)?, handle).1)));
    let fuel = |function: &Function| function.invoke(&[7; 6_400]).unwrap().report().fuel();
    assert_eq!(fuel(&much) - fuel(&little), 100);
    // More than the room allows.
    let function = deploy(|guest, _| match guest.new_block(&vec![0; 65 << 20]) {
        Err(InvokeErrorKind::MemoryLimit { wanted, limit }) => Err(format!("{wanted} of {limit}").into()),
        other => panic!("{other:?}"),
    });
    let error = failure(&function, b"event").to_string();
    assert!(error.contains(&format!("{} of {}", 65 << 20, 64 << 20)), "{error}");

    // A guest of another kind has no blocks.
    let module = wat(r#"(module (import "env" "work" (func $work)) (func (export "go") (call $work)))"#);
    let work = |guest: &mut Context<'_>| -> Result<(), HostError> {
        let tries = [
            guest.read_block(1).map(drop),
            guest.block_len(1).map(drop),
            guest.write_block(1, b""),
            guest.new_block(b"x").map(drop),
            guest.free_block(1),
        ];
        assert!(tries.iter().all(|tried| matches!(tried, Err(InvokeErrorKind::Contract { .. }))), "{tries:?}");
        Ok(())
    };
    let function = Runtime::new().deployment("f", &module).host("env", "work", work).deploy().unwrap();
    function.call("go", &[]).unwrap();
}

#[test]
fn nothing_of_an_invocation_stays_whatever_it_did() {
    // Reads what is there and answers with it. Then it leaves behind all that it can, and ends as
    // its event says.
    let body = r#"(data (i32.const 0) "k")
        (func $add (param $at i32) (param $value i64) (i64.store (local.get $at) (local.get $value)))
        (func (export "handle") (local $block i64)
          (call $add (i32.const 64) (call $input_length))
          (call $add (i32.const 72) (call $input_offset))
          (call $add (i32.const 80) (call $output_offset))
          (call $add (i32.const 88) (call $output_length))
          (call $add (i32.const 96) (call $error_get))
          (call $add (i32.const 104) (call $memory_bytes))
          (call $add (i32.const 112) (call $var_get (call $text (i32.const 0) (i32.const 1))))
          (call $add (i32.const 120) (call $alloc (i64.const 40)))
          (call $add (i32.const 128) (call $load_u64 (i64.load (i32.const 120))))
          (call $add (i32.const 136) (call $load_u64 (i64.const 0x300000000)))
          (call $add (i32.const 144) (call $alloc (i64.const 100000)))
          (call $var_set (call $text (i32.const 0) (i32.const 1)) (call $text (i32.const 0) (i32.const 1)))
          (call $log_info (call $text (i32.const 64) (i32.const 0)))
          (call $store_u64 (i64.load (i32.const 144)) (i64.const -1))
          (call $store_u64 (i64.load (i32.const 120)) (i64.const -1))
          (call $free (i64.load (i32.const 120)))
          (call $reply (call $text (i32.const 64) (i32.const 88)))
          (if (i32.eq (call $input_load_u8 (i64.const 0)) (i32.const 0x65))
            (then (call $error_set (call $text (i32.const 0) (i32.const 1)))))
          (if (i32.eq (call $input_load_u8 (i64.const 0)) (i32.const 0x74)) (then unreachable))
          (if (i32.eq (call $input_load_u8 (i64.const 0)) (i32.const 0x6c)) (then (drop (call $alloc (i64.const 2000000)))))
          (if (i32.eq (call $input_load_u8 (i64.const 0)) (i32.const 0x73)) (then (loop (br 0)))))"#;
    for reset in [Reset::Auto, Reset::Portable, Reset::ByFaultCount, Reset::ByPageScan] {
        let runtime = Runtime::builder().reset(reset).build();
        let module = plugin(body);
        let function = runtime.deploy("plugin", &module).unwrap();
        let look = || {
            let reply = function.invoke(b"-").unwrap();
            let log = reply.log().into_owned();
            let fuel = reply.report().fuel();
            (reply.into_output(), log, fuel)
        };
        let first = look();
        for before in ["e", "t", "l", "s", "longer than that", ""] {
            let _ = function.invocation(before.as_bytes()).fuel(100_000).run();
            assert_eq!(look(), first, "{reset:?}, after {before:?}");
        }
        // On another instance, during the run of this one.
        function
            .session(|_| {
                assert_eq!(look(), first);
                Ok(())
            })
            .unwrap();
        // Sessions and calls leave nothing behind either.
        function.session(|guest| guest.call("handle", &[]).map(drop)).unwrap();
        assert_eq!(look(), first);
    }
}

#[test]
fn a_plug_in_of_a_pdk_runs_unmodified() {
    let calls = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&calls);
    let translate = move |guest: &mut Context<'_>, text: u64| -> Result<u64, HostError> {
        counted.fetch_add(1, Relaxed);
        let text = String::from_utf8(guest.read_block(text)?)?;
        Ok(guest.new_block(format!("Guten Tag, {text}!").as_bytes())?)
    };
    let runtime = Runtime::new();
    let module = guest("plugin.as.extism");
    let function = runtime
        .deployment("plugin", &module)
        .host("extism:host/user", "translate", translate)
        .extism(Extism::new().config("unit", "vowels").var("total", b"5"))
        .deploy()
        .unwrap();
    assert_eq!(function.deploy_report().unwrap().contract(), "extism");
    let alike = |entry: &str, input: &[u8]| {
        let run = || {
            function.prewarm(1).unwrap();
            let error = |error: InvokeError| {
                let fuel = error.report().unwrap().fuel();
                (Err(error.into_kind()), fuel)
            };
            let done = function.invocation(input).entry(entry).run();
            done.map_or_else(error, |reply| {
                let (log, fuel) = (reply.log().into_owned(), reply.report().fuel());
                (Ok((reply.into_output(), log)), fuel)
            })
        };
        let first = run();
        for round in 0..3 {
            assert_eq!(run(), first, "{entry}, round {round}");
        }
        first.0
    };
    for input in [&b""[..], b"1234567", b"12345678", b"123456789", &[0xfe; 65_536]] {
        assert_eq!(alike("echo", input).unwrap().0, input);
    }
    let counted = br#"{"vowels":3,"before":5,"total":3,"calls":1}"#;
    assert_eq!(alike("count_vowels", b"Hello, world").unwrap(), (counted.to_vec(), "info: counted 3\n".to_owned()));
    assert_eq!(alike("greet", "Jürgen".as_bytes()).unwrap().0, "Guten Tag, Jürgen!".as_bytes());
    assert_eq!(calls.load(Relaxed), 4);
    let refused = InvokeErrorKind::GuestError { code: 7, message: "I will not: dance".into(), ended: None };
    assert_eq!(alike("refuse", b"dance").unwrap_err(), refused);
    let ended = Some(Box::new(InvokeErrorKind::Trap(Trap::Unreachable)));
    let failed = InvokeErrorKind::GuestError { code: -1, message: "given up".into(), ended };
    assert_eq!(alike("fail", b"").unwrap_err(), failed);
}
