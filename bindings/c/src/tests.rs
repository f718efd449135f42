//! Tests what cannot be tested from C: panics, and that the files of the package agree with each
//! other and with the library.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with the error")]

use std::{
    env,
    ffi::{CStr, c_int, c_void},
    fmt::Write,
    fs,
    mem::MaybeUninit,
    path::{Path, PathBuf},
    ptr,
    sync::atomic::{AtomicBool, Ordering},
};

use crate::{status::of_outcome, *};

exported! { fallible:
    /// A bug.
    pub unsafe extern "C" fn dormouse_test_panic(
        text: *const u8,
        error_out: *mut *mut dormouse_error,
    ) -> dormouse_status {
        assert!(text.optional().is_some(), "no text");
        Ok(())
    }
}

exported! { total:
    /// A bug.
    pub unsafe extern "C" fn dormouse_test_total_panic(text: *const u8) -> u64 {
        u64::from(*text.optional().expect("a text"))
    }
}

fn message(error: *mut dormouse_error) -> String {
    // SAFETY: an error that a call has just handed over, freed once.
    unsafe {
        let text = CStr::from_ptr(dormouse_error_message(error, ptr::null_mut())).to_str().unwrap().to_owned();
        dormouse_error_free(error);
        text
    }
}

#[test]
fn a_panic_becomes_a_status() {
    let mut error = ptr::null_mut();
    // SAFETY: NULL is allowed everywhere, and `error` is there.
    unsafe {
        assert_eq!(dormouse_test_panic(ptr::null(), &mut error), dormouse_status::DORMOUSE_PANIC);
        assert_eq!(dormouse_error_status(error), dormouse_status::DORMOUSE_PANIC);
        assert_eq!(dormouse_test_panic(ptr::null(), ptr::null_mut()), dormouse_status::DORMOUSE_PANIC);
        assert_eq!(dormouse_test_total_panic(ptr::null()), 0);
    }
    assert!(message(error).ends_with("no text"));
}

unsafe extern "C-unwind" fn panics(
    _: *mut c_void,
    _: *mut dormouse_context,
    _: *const dormouse_value,
    _: *mut dormouse_value,
) -> c_int {
    panic!("of the host's")
}

unsafe extern "C-unwind" fn panics_for_time(_: *mut c_void) -> u64 {
    panic!("of the host's")
}

unsafe extern "C-unwind" fn panics_for_seeds(_: *mut c_void, _: *mut u8) {
    panic!("of the host's")
}

/// Reads a flag: whether the clock that has it panics.
unsafe extern "C-unwind" fn panics_if(flag: *mut c_void) -> u64 {
    // SAFETY: the flag of the test that gave it, which outlives its runtime.
    let panics = unsafe { &*flag.cast::<AtomicBool>() };
    assert!(!panics.load(Ordering::Relaxed), "of the host's");
    0
}

/// A runtime with one function, whose callbacks panic.
struct Panicking {
    runtime: *mut dormouse_runtime,
    function: *mut dormouse_function,
    clock_panics: Box<AtomicBool>,
}

impl Panicking {
    fn new(module: &str) -> Self {
        let module = wat::parse_str(module).unwrap();
        let (mut runtime, mut function, mut error) = (ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
        let clock_panics = Box::new(AtomicBool::new(false));
        let text = c"ef".as_ptr();
        let host = dormouse_host_function {
            module: dormouse_string { chars: text, len: 1 },
            name: dormouse_string { chars: text.wrapping_add(1), len: 1 },
            params: ptr::null(),
            params_len: 0,
            results: ptr::null(),
            results_len: 0,
            callback: Some(panics),
            user_data: ptr::null_mut(),
            user_data_free: None,
        };
        let mut runtime_options = MaybeUninit::<dormouse_runtime_options>::uninit();
        let mut options = MaybeUninit::<dormouse_deploy_options>::uninit();
        // SAFETY: as a host in C: each pointer leads to something that is there, each length is
        // that of what its pointer leads to.
        unsafe {
            dormouse_runtime_options_init(
                runtime_options.as_mut_ptr(),
                size_of::<dormouse_runtime_options>(),
                &mut error,
            );
            let runtime_options = runtime_options.assume_init_mut();
            runtime_options.clock = Some(panics_if);
            runtime_options.clock_user_data = (&raw const *clock_panics).cast_mut().cast();
            assert_eq!(dormouse_runtime_new(runtime_options, &mut runtime, &mut error), dormouse_status::DORMOUSE_OK);
            dormouse_deploy_options_init(options.as_mut_ptr(), size_of::<dormouse_deploy_options>(), &mut error);
            let options = options.assume_init_mut();
            (options.host_functions, options.host_functions_len) = (&host, 1);
            options.time = Some(panics_for_time);
            options.seeds = Some(panics_for_seeds);
            let (at, len) = (module.as_ptr(), module.len());
            let deployed = dormouse_runtime_deploy(runtime, text, 1, at, len, options, &mut function, &mut error);
            assert_eq!(deployed, dormouse_status::DORMOUSE_OK);
        }
        Self { runtime, function, clock_panics }
    }

    /// Calls an export without arguments.
    fn call(&self, export: &CStr) -> (dormouse_status, String) {
        let (mut reply, mut error) = (ptr::null_mut(), ptr::null_mut());
        let (name, len) = (export.as_ptr(), export.to_bytes().len());
        // SAFETY: as above.
        unsafe {
            let ran =
                dormouse_function_call(self.function, name, len, ptr::null(), 0, ptr::null(), &mut reply, &mut error);
            assert_eq!(reply.is_null(), ran != dormouse_status::DORMOUSE_OK);
            dormouse_reply_free(reply);
            (ran, if error.is_null() { String::new() } else { message(error) })
        }
    }
}

impl Drop for Panicking {
    fn drop(&mut self) {
        // SAFETY: handles of this test's own, freed once.
        unsafe {
            dormouse_function_free(self.function);
            dormouse_runtime_free(self.runtime);
        }
    }
}

#[test]
fn a_panic_in_a_callback_becomes_a_status() {
    let host = Panicking::new(
        r#"(module
            (import "e" "f" (func $f))
            (import "wasi_snapshot_preview1" "clock_time_get" (func $time (param i32 i64 i32) (result i32)))
            (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
            (memory (export "memory") 1)
            (func (export "run") (call $f))
            (func (export "time") (drop (call $time (i32.const 0) (i64.const 0) (i32.const 0))))
            (func (export "random") (drop (call $random (i32.const 0) (i32.const 8))))
            (func (export "nothing")))"#,
    );
    for _ in 0..3 {
        for (export, name) in [
            (c"run", "e.f"),
            (c"time", "wasi_snapshot_preview1.clock_time_get"),
            (c"random", "wasi_snapshot_preview1.random_get"),
        ] {
            let (status, message) = host.call(export);
            assert_eq!(status, dormouse_status::DORMOUSE_HOST_PANIC, "{message}");
            assert!(message.contains(&format!("{name} panicked: of the host's")), "{message}");
        }
        host.clock_panics.store(true, Ordering::Relaxed);
        let (status, message) = host.call(c"nothing");
        assert_eq!(status, dormouse_status::DORMOUSE_PANIC);
        assert!(message.ends_with("of the host's"), "{message}");
        host.clock_panics.store(false, Ordering::Relaxed);
        assert_eq!(host.call(c"nothing").0, dormouse_status::DORMOUSE_OK);
    }
}

#[test]
fn a_panic_on_a_worker_becomes_a_dead_letter() {
    let host = Panicking::new(
        r#"(module (import "e" "f" (func $f)) (memory (export "memory") 1)
            (func (export "alloc") (param i32) (result i32) (i32.const 0))
            (func (export "handle") (param i32 i32) (result i64) (call $f) (i64.const 0)))"#,
    );
    let json = r#"{"specversion":"1.0","type":"e","id":"1","source":"/s"}"#;
    let mut options = MaybeUninit::<dormouse_trigger_options>::uninit();
    let (mut workers, mut event, mut letters, mut error) =
        (ptr::null_mut(), ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
    // SAFETY: as above.
    unsafe {
        dormouse_trigger_options_init(options.as_mut_ptr(), size_of::<dormouse_trigger_options>(), &mut error);
        let options = options.assume_init_mut();
        options.on = dormouse_string { chars: c"e".as_ptr(), len: 1 };
        options.target = options.on;
        (options.retry, options.retry_attempts) = (DORMOUSE_RETRY_FIXED, 1);
        assert_eq!(
            dormouse_runtime_bind(host.runtime, c"t".as_ptr(), 1, options, &mut error),
            dormouse_status::DORMOUSE_OK
        );
        dormouse_event_from_json(json.as_ptr().cast(), json.len(), &mut event, &mut error);
        assert_eq!(dormouse_runtime_workers(host.runtime, 1, &mut workers, &mut error), dormouse_status::DORMOUSE_OK);
        for _ in 0..3 {
            let published = dormouse_runtime_publish(host.runtime, event, ptr::null_mut(), &mut error);
            assert_eq!(published, dormouse_status::DORMOUSE_OK);
        }
        dormouse_workers_free(workers);
        dormouse_event_free(event);
        dormouse_runtime_dead_letters(host.runtime, &mut letters, &mut error);
        assert_eq!(dormouse_dead_letters_count(letters), 3);
        dormouse_dead_letters_free(letters);
    }
}

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The library's enums are not exhaustive, so the compiler cannot report a new kind without a
/// status. Its source can.
#[test]
fn every_kind_of_error_has_a_status() {
    let sources = [read("../../src/error/invoke.rs"), read("../../src/kv/error.rs")];
    let names = |source: &String| -> Vec<String> {
        let body = source.split(" fn name(&self)").nth(1).unwrap().split("\n    }\n").next().unwrap();
        body.split("=> \"").skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned).collect()
    };
    let names: Vec<String> = sources.iter().flat_map(names).collect();
    let has = |name: &str| names.iter().any(|known| known == name);
    assert!(names.len() >= 26 && has("out_of_fuel") && has("kv_full"), "{names:?}");
    // Failures of typed payloads and of events that host functions stage. C has neither.
    let absent = ["codec", "unpublished"];
    assert!(absent.iter().all(|name| has(name)), "{names:?}");
    for name in names.iter().filter(|name| !absent.contains(&name.as_str())) {
        assert_ne!(of_outcome(name), dormouse_status::DORMOUSE_OTHER, "{name} has no status");
    }
}

/// The text of all Rust files in a folder and its subfolders.
fn sources_below(folder: &Path) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            text.push_str(&sources_below(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&fs::read_to_string(path).unwrap());
        }
    }
    text
}

/// The same for everything else that may get new variants: each is named here, although the code
/// compiles without it.
#[test]
fn every_variant_of_the_library_is_said_in_c() {
    let sources: String = ["deliveries", "dead", "deploy", "failure", "limits", "plugin", "status", "trigger"]
        .map(|name| read(&format!("src/{name}.rs")))
        .concat();
    let enums = [
        ("DeployError", 14),
        ("Trap", 10),
        ("PublishError", 5),
        ("RedriveError", 3),
        ("DeliveryError", 2),
        ("DeadLetterReason", 4),
        ("WhenFull", 3),
        ("DeliveryOutcome", 7),
        ("StoreProblem", 4),
        ("ContractKind", 3),
        ("Reset", 4),
        ("AliasError", 3),
        ("TriggerInput", 3),
        ("Verdict", 2),
        ("Missed", 3),
        ("LogLevel", 6),
    ];
    let library = sources_below(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../src"));
    for (name, least) in enums {
        let body = library.split(&format!("pub enum {name} {{\n")).nth(1).unwrap_or_else(|| panic!("no {name}"));
        let variants: Vec<&str> = body
            .split("\n}\n")
            .next()
            .unwrap()
            .lines()
            .filter_map(|line| {
                line.strip_prefix("    ").filter(|line| line.starts_with(|c: char| c.is_ascii_uppercase()))
            })
            .map(|line| line.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap())
            .collect();
        assert!(variants.len() >= least, "{name}: {variants:?}");
        for variant in variants {
            // C has no staged events of host functions.
            if (name, variant) == ("PublishError", "Initialising") {
                continue;
            }
            let said = sources.contains(&format!("{name}::{variant}")) || sources.contains(&format!(" = {variant}"));
            assert!(said, "{name}::{variant} is not said in C");
        }
    }
}

#[test]
fn versions_agree() {
    let here = format!("{DORMOUSE_VERSION_MAJOR}.{DORMOUSE_VERSION_MINOR}.{DORMOUSE_VERSION_PATCH}");
    assert_eq!(here, env!("CARGO_PKG_VERSION"));
    let library = format!("version = \"{here}\"");
    assert!(read("../../Cargo.toml").lines().any(|line| line == library), "the library has another version");
}

/// The C files have guests as bytes below their text.
#[test]
fn guests_in_c_are_what_their_text_says() {
    let bless = env::var_os("DORMOUSE_BLESS").is_some();
    let mut found = 0;
    for folder in ["tests", "examples"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<PathBuf> = entries.filter(|path| path.is_file()).collect();
        files.sort();
        for file in files {
            let text = fs::read_to_string(&file).unwrap();
            let (right, count) = with_guests(&text);
            found += count;
            if bless && right != text {
                fs::write(&file, right).unwrap();
            } else {
                assert!(right == text, "{}: a guest differs from its text: see DORMOUSE_BLESS", file.display());
            }
        }
    }
    assert!(found >= 9, "{found} guests");
}

/// The file as it should be, and the number of its guests.
fn with_guests(text: &str) -> (String, usize) {
    let (mut right, mut comment, mut count) = (String::new(), String::new(), 0);
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        writeln!(right, "{line}").unwrap();
        if let Some(words) = line.strip_prefix("//") {
            comment.push_str(words);
            comment.push('\n');
        } else if line.starts_with("static const uint8_t ") && line.ends_with("_wasm[] = {") {
            count += 1;
            let module = &comment[comment.find("(module").unwrap_or_else(|| panic!("{line}: no text above"))..];
            for row in wat::parse_str(module).unwrap_or_else(|error| panic!("{line}: {error}")).chunks(20) {
                let bytes: Vec<String> = row.iter().map(|byte| format!("0x{byte:02x}")).collect();
                writeln!(right, "    {},", bytes.join(", ")).unwrap();
            }
            assert!(lines.any(|line| line == "};"), "{line}: no end");
            right.push_str("};\n");
        } else {
            comment.clear();
        }
    }
    (right, count)
}
