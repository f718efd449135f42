//! Errors say what happened, where, and what to do. Text from guests cannot forge a line of a log.

use std::{error::Error as _, time::Duration};

use dormouse::{
    Context, DeployError, Error, Function, HostError, InvokeError, InvokeErrorKind, Json, Limits, Runtime, Trap, Value,
};

use crate::support::{guest, wat};

fn deploy(text: &str) -> Result<Function, DeployError> {
    Runtime::new().deploy("f", &wat(text))
}

/// Checks that each part is in the error's text, and that the text is printable.
#[track_caller]
fn says(error: &dyn std::error::Error, parts: &[&str]) {
    let text = error.to_string();
    for part in parts {
        assert!(text.contains(part), "{text:?} lacks {part:?}");
    }
    assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
}

/// The same on one line, with the function's name and version if the guest ran.
#[track_caller]
fn invocation_says(error: &InvokeError, ran: bool, name: &str, parts: &[&str]) {
    says(error, parts);
    let text = error.to_string();
    assert!(!text.contains('\n'), "{text:?}");
    assert_eq!(error.kind().name(), name);
    match error.report() {
        None => assert!(!ran, "{text}"),
        Some(report) => {
            assert!(ran, "{text}");
            assert_eq!(report.outcome(), name);
            let label = format!("{}@{}: ", report.function(), report.version().short());
            assert!(text.starts_with(&label), "{text} lacks {label}");
            let line = report.to_string();
            assert!(line.contains(&format!(" fuel={} ", report.fuel())), "{line}");
            assert!(line.ends_with(&format!(" outcome={name}")), "{line}");
        }
    }
}

#[test]
fn a_failed_invocation_names_the_function_what_happened_and_what_to_do() {
    let runtime = Runtime::new();
    let limits = Limits { fuel: 1_000_000, output_bytes: 4, input_bytes: 8, ..Limits::default() };
    let deploy = |name, guest: &[u8]| runtime.deployment(name, guest).limits(limits.clone()).deploy().unwrap();

    let spin = deploy("loop", &guest("loop"));
    let error = spin.call("spin", &[]).unwrap_err();
    invocation_says(&error, true, "out_of_fuel", &["out of fuel", "1000000", "Limits::fuel"]);
    assert!((999_990..=1_000_000).contains(&error.report().unwrap().fuel()), "{error}");
    let error = spin.invocation(b"").deadline(Duration::ZERO).call("spin", &[]).unwrap_err();
    invocation_says(&error, true, "deadline_exceeded", &["deadline exceeded", "0ns", "Limits::deadline"]);

    let echo = deploy("echo", &guest("echo"));
    let error = echo.invoke(b"123456789").unwrap_err();
    invocation_says(
        &error,
        false,
        "input_too_large",
        &["input has 9 bytes", "limit of 8", "raise `Limits::input_bytes`"],
    );
    let error = echo.invoke(b"12345").unwrap_err();
    invocation_says(
        &error,
        true,
        "output_too_large",
        &["output has 5 bytes", "limit of 4", "raise `Limits::output_bytes`"],
    );

    let error = echo.call("ehco", &[]).unwrap_err();
    invocation_says(&error, true, "no_such_export", &["no function \"ehco\"", "it exports alloc, handle"]);
    let error = echo.call("alloc", &[Value::I64(1), Value::F32(0.5)]).unwrap_err();
    let parts = ["\"alloc\" has the type (i32) -> i32", "does not take (i64, f32)"];
    invocation_says(&error, true, "signature", &parts);
    let error = echo.call("memory", &[]).unwrap_err();
    invocation_says(&error, true, "no_such_export", &["no function \"memory\""]);
    let error = echo.session(|guest| guest.read(65_530, 10)).unwrap_err();
    invocation_says(&error, true, "out_of_bounds", &["10 bytes at 65530", "memory of 65536 bytes"]);
    let error = echo.session(|guest| guest.write(u32::MAX, b"x")).unwrap_err();
    invocation_says(&error, true, "out_of_bounds", &["1 bytes at 4294967295"]);

    let fib = deploy("fib", &guest("fib"));
    let error = fib.invoke(b"").unwrap_err();
    let parts =
        ["takes no bytes", "no memory", "no function \"alloc\"", "`handle(i32, i32) -> i64`", "`call` or `session`"];
    invocation_says(&error, true, "not_invocable", &parts);
    let error = fib.session(|guest| guest.read(0, 1)).unwrap_err();
    invocation_says(&error, true, "out_of_bounds", &["memory of 0 bytes"]);

    let bad = deploy("bad", &guest("bad-answer"));
    for input in ["p", "l"] {
        let error = bad.invoke(input.as_bytes()).unwrap_err();
        let name = if input == "p" { "contract" } else { "output_too_large" };
        invocation_says(&error, true, name, &[]);
    }
    let error = bad.invoke(b"p").unwrap_err();
    invocation_says(&error, true, "contract", &["broke its contract", "the entry answered", "4 bytes at 2147418112"]);

    let undeployed = deploy("gone", &guest("fib"));
    runtime.undeploy("gone");
    let error = undeployed.invoke(b"").unwrap_err();
    invocation_says(&error, false, "undeployed", &["gone", "not deployed; deploy it"]);

    let off = runtime.deployment("off", &guest("fib")).instances(0..=0).deploy().unwrap();
    let error = off.invoke(b"").unwrap_err();
    invocation_says(&error, false, "busy", &["the function is off", "`Deployment::instances`", "no instance"]);
}

#[test]
fn a_contract_that_is_broken_by_alloc_is_told() {
    let bad = Runtime::new().deploy("bad", &guest("bad-answer")).unwrap();
    let error = bad.invoke(b"exactly 13 by").unwrap_err();
    invocation_says(&error, true, "contract", &["alloc answered", "13 bytes at 4294967288"]);
}

#[test]
fn each_trap_has_its_name() {
    let traps = Runtime::new().deploy("traps", &guest("traps")).unwrap();
    for (export, args, trap, words) in [
        ("unreachable", &[][..], Trap::Unreachable, "unreachable"),
        ("div_zero", &[], Trap::DivisionByZero, "divide by zero"),
        ("rem_zero", &[], Trap::DivisionByZero, "divide by zero"),
        ("div_overflow", &[Value::I32(-1)], Trap::IntegerOverflow, "integer overflow"),
        ("bad_float", &[Value::F64(f64::NAN)], Trap::BadConversion, "invalid conversion"),
        ("oob_load", &[Value::I32(-1)], Trap::MemoryOutOfBounds, "out of bounds memory"),
        ("oob_store", &[Value::I32(0)], Trap::MemoryOutOfBounds, "out of bounds memory"),
        ("oob_copy", &[], Trap::MemoryOutOfBounds, "out of bounds memory"),
        ("oob_table", &[Value::I32(2)], Trap::TableOutOfBounds, "out of bounds table"),
        ("null_entry", &[], Trap::IndirectCallToNull, "uninitialized"),
        ("bad_type", &[], Trap::BadSignature, "type mismatch"),
    ] {
        let error = traps.call(export, args).unwrap_err();
        assert_eq!(*error.kind(), InvokeErrorKind::Trap(trap), "{export}");
        invocation_says(&error, true, "trap", &["the guest trapped", words]);
        assert!(error.report().unwrap().fuel() > 0);
        assert_eq!(traps.call("ok", &[]).unwrap().values(), [Value::I32(42)]);
    }
}

/// Calls a function whose host function returns this.
fn host_fails(with: impl Fn() -> Result<(), HostError> + Send + Sync + 'static) -> InvokeError {
    let runtime = Runtime::new();
    let module = wat(r#"(module (import "env" "h\1b[2J\n" (func $h)) (func (export "run") (call $h)))"#);
    let host = move |_: &mut Context<'_>| with();
    let function = runtime.deployment("f", &module).host("env", "h\u{1b}[2J\n", host).deploy().unwrap();
    function.call("run", &[]).unwrap_err()
}

#[test]
fn text_of_host_functions_is_escaped_and_cut() {
    let error = host_fails(|| Err("no\n\u{1b}[31mREPORT forged \u{202e}".into()));
    let parts = [r"env.h\u{1b}[2J\n failed: no\n\u{1b}[31mREPORT forged \u{202e}"];
    invocation_says(&error, true, "host_function", &parts);
    let error = host_fails(|| Err("ö".repeat(100_000).into()));
    invocation_says(&error, true, "host_function", &["öö"]);
    assert!(error.to_string().len() < 5_000);
    let error = host_fails(|| std::panic::resume_unwind(Box::new("bad\0".to_owned())));
    invocation_says(&error, true, "host_panic", &[r"env.h\u{1b}[2J\n panicked: bad\0"]);
    let error = host_fails(|| std::panic::resume_unwind(Box::new(7)));
    invocation_says(&error, true, "host_panic", &["a panic without a text"]);
    assert_eq!(error.report().unwrap().host_calls(), 1);
}

#[test]
fn names_of_exports_are_escaped_and_cut() {
    let function = deploy(r#"(module (func (export "a\1b[31m\nb") (param i32)) (func (export "\"q\"")))"#).unwrap();
    let error = function.call("c\r", &[]).unwrap_err();
    invocation_says(&error, true, "no_such_export", &[r#"no function "c\r""#, r#"it exports "q", a\u{1b}[31m\nb"#]);
    let error = function.call("a\u{1b}[31m\nb", &[]).unwrap_err();
    invocation_says(&error, true, "signature", &[r#"the export "a\u{1b}[31m\nb" has the type (i32)"#]);

    let exports: String = (0..50).map(|n| format!(r#"(func (export "e{n:02}{}"))"#, "x".repeat(1_000))).collect();
    let error = deploy(&format!("(module {exports})")).unwrap().call("e", &[]).unwrap_err();
    assert!(error.to_string().len() < 5_000);
    let exports: String = (0..50).map(|n| format!(r#"(func (export "e{n:02}"))"#)).collect();
    let error = deploy(&format!("(module {exports})")).unwrap().call("e", &[]).unwrap_err();
    invocation_says(&error, true, "no_such_export", &["e00, e01", "e19 and 30 more"]);
    let error = deploy("(module)").unwrap().call("e", &[]).unwrap_err();
    invocation_says(&error, true, "no_such_export", &["it exports none"]);
}

#[test]
fn exports_that_give_or_take_other_values_than_numbers_cannot_be_called() {
    let function = deploy(
        r#"(module (func (export "gives") (result funcref) (ref.null func)) (func (export "takes") (param externref)))"#,
    );
    let function = function.unwrap();
    for (export, args) in [("gives", &[][..]), ("takes", &[]), ("takes", &[Value::I32(0)])] {
        let error = function.call(export, args).unwrap_err();
        assert!(matches!(error.kind(), InvokeErrorKind::Signature { .. }), "{export}: {error}");
    }
}

#[test]
fn names_of_imports_are_escaped_and_cut() {
    let error = deploy(r#"(module (import "e\1b[1m" "a\nb" (func)))"#).unwrap_err();
    says(&error, &[r"e\u{1b}[1m.a\nb: func ()"]);
    let imports: String = (0..60).map(|n| format!(r#"(import "env" "{n}{}" (func))"#, "x".repeat(9_000))).collect();
    let error = deploy(&format!("(module {imports})")).unwrap_err();
    says(&error, &["and 10 more"]);
    let DeployError::UnknownImports { imports } = &error else { panic!("{error:?}") };
    assert_eq!(imports.len(), 60);
    assert!(imports.iter().all(|import| import.name.len() <= 4_096));
}

#[test]
fn the_validators_words_about_names_are_escaped_and_cut() {
    // The text format cannot give two exports one name, so the test changes the second's last
    // letter.
    let duplicate = |name: &str| {
        let mut module = wat(&format!(r#"(module (func) (export "{name}a" (func 0)) (export "{name}b" (func 0)))"#));
        let at = module.iter().rposition(|byte| *byte == b'b').unwrap();
        module[at] = b'a';
        Runtime::new().deploy("f", &module).unwrap_err()
    };
    let error = duplicate(r"\1b[2J\n");
    assert!(matches!(error, DeployError::InvalidModule { .. }), "{error:?}");
    says(&error, &["duplicate export name", r"\u{1b}[2J\na"]);
    assert!(!error.to_string().contains('\n'), "{error}");
    let error = duplicate(&"x".repeat(90_000));
    assert!(error.to_string().len() < 5_000, "{} bytes", error.to_string().len());
}

#[test]
fn the_codecs_words_about_a_reply_are_escaped_and_cut() {
    #[derive(Debug, serde::Serialize, serde::Deserialize)]
    enum Only {
        This,
    }
    let echo = Runtime::new().deploy("echo", &guest("echo")).unwrap();
    let read = |text: &str| echo.invoke_as::<_, Only>(Json, text).unwrap_err();
    let error = read("\u{1b}[2J\n");
    // The guest did its part. The error is about its reply.
    assert_eq!(error.kind().name(), "codec");
    assert_eq!(error.report().unwrap().outcome(), "ok");
    says(&error, &["the output is not what the codec expects", r"\u{1b}[2J\n"]);
    assert!(!error.to_string().contains('\n'), "{error}");
    assert!(read(&"x".repeat(100_000)).to_string().len() < 5_000);
    let only: Only = echo.invoke_as(Json, &Only::This).unwrap();
    assert!(matches!(only, Only::This));
}

#[test]
fn a_refused_deployment_says_what_where_and_what_to_do() {
    let runtime = Runtime::new();
    says(&runtime.deploy("a b", b"").unwrap_err(), &["\"a b\"", "1 to 64", "A-Z a-z 0-9 . _ -"]);
    says(
        &runtime.deploy("f", b"\0asm\x01\0\0\0\xff").unwrap_err(),
        &["not a valid WebAssembly module", "at byte 8 (0x8)"],
    );
    says(&runtime.deploy("f", b"(module)").unwrap_err(), &["text format", "wat2wasm"]);
    says(
        &deploy(r#"(module (import "env" "f" (func (param i64))))"#).unwrap_err(),
        &["env.f: func (i64)", "Deployment::host"],
    );
    says(&deploy("(module (memory 1 1 shared))").unwrap_err(), &["proposal threads", "wasmi does not support"]);
    says(
        &deploy(r#"(module (memory 1) (data (i32.const 65535) "ab"))"#).unwrap_err(),
        &["data segment 0", "from 65535 for 2 bytes", "memory 0 of 65536 bytes"],
    );
    says(
        &deploy("(module (memory 2000))").unwrap_err(),
        &["131072000 bytes of initial memory", "limit of 67108864", "raise `Limits::memory_bytes`"],
    );
    says(
        &deploy("(module (func $s unreachable) (start $s))").unwrap_err(),
        &["initialisation failed in the start function"],
    );
}

#[test]
fn errors_convert_into_the_one_and_keep_their_words() {
    fn both() -> Result<(), Error> {
        let runtime = Runtime::new();
        let function = runtime.deploy("traps", &guest("traps"))?;
        function.call("unreachable", &[])?;
        Ok(())
    }
    let error = both().unwrap_err();
    let Error::Invoke(invoke) = &error else { panic!("{error:?}") };
    assert_eq!(error.to_string(), invoke.to_string());
    assert!(invoke.source().is_none());
    let deploy: Error = deploy("(module (func $s unreachable) (start $s))").unwrap_err().into();
    assert!(matches!(deploy, Error::Deploy(DeployError::Initialise { .. })));
    says(&deploy, &["the start function", "unreachable"]);
}

#[test]
fn a_failure_costs_its_fuel_in_the_report() {
    // The trap comes after work. The run without the trap tells its fuel.
    let module = wat(r#"(module (func $work (local $n i32) (local.set $n (i32.const 1000))
            (loop $l (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))
        (func (export "well") (call $work))
        (func (export "ill") (call $work) unreachable))"#);
    let function = Runtime::new().deploy("f", &module).unwrap();
    let well = function.call("well", &[]).unwrap().report().fuel();
    let error = function.call("ill", &[]).unwrap_err();
    let ill = error.report().unwrap().fuel();
    assert!((well..=well + 2).contains(&ill), "{ill} after {well}");
}

#[test]
fn the_type_of_an_unknown_import_is_cut_too() {
    let types = "i32 ".repeat(1_000);
    let text = format!(r#"(module (import "m" "n" (func (param {types}) (result {types}))))"#);
    let error = Runtime::new().deploy("f", &wat(&text)).unwrap_err();
    let DeployError::UnknownImports { imports } = error else { panic!("{error}") };
    assert_eq!(imports[0].ty.len(), 4 << 10);
}
