//! What cannot be tested from C: panics, and that the files of the package agree with each other and with the library.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with the error")]

use std::{
    env,
    ffi::{CStr, c_int, c_void},
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    ptr,
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

#[test]
fn a_panic_in_a_host_function_becomes_a_status() {
    let module = wat::parse_str(r#"(module (import "e" "f" (func $f)) (func (export "run") (call $f)))"#).unwrap();
    let (mut runtime, mut function, mut reply, mut error) =
        (ptr::null_mut(), ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
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
    let mut options = std::mem::MaybeUninit::<dormouse_deploy_options>::uninit();
    // SAFETY: as a host in C would: each pointer to something that is there, each length that of what it points to.
    unsafe {
        assert_eq!(dormouse_runtime_new(ptr::null(), &mut runtime, &mut error), dormouse_status::DORMOUSE_OK);
        dormouse_deploy_options_init(options.as_mut_ptr(), size_of::<dormouse_deploy_options>(), &mut error);
        let options = options.assume_init_mut();
        (options.host_functions, options.host_functions_len) = (&host, 1);
        let (at, len) = (module.as_ptr(), module.len());
        let deployed = dormouse_runtime_deploy(runtime, text, 1, at, len, options, &mut function, &mut error);
        assert_eq!(deployed, dormouse_status::DORMOUSE_OK);
        for _ in 0..3 {
            let run = c"run".as_ptr();
            let ran = dormouse_function_call(function, run, 3, ptr::null(), 0, ptr::null(), &mut reply, &mut error);
            assert_eq!(ran, dormouse_status::DORMOUSE_HOST_PANIC);
            assert!(reply.is_null() && !dormouse_error_report(error).is_null());
            assert!(message(error).contains("e.f panicked: of the host's"));
        }
        dormouse_function_free(function);
        dormouse_runtime_free(runtime);
    }
}

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The library's enums are not exhaustive, so the compiler cannot say that a new kind has no status: its source does.
#[test]
fn every_kind_of_error_has_a_status() {
    let source = read("../../src/error.rs");
    let names = source.split("pub fn name(&self)").nth(1).unwrap().split("\n    }\n").next().unwrap();
    let names: Vec<&str> = names.split('"').skip(1).step_by(2).collect();
    assert!(names.len() >= 20 && names.contains(&"out_of_fuel"), "{names:?}");
    for name in names {
        // A failure of typed payloads, which C does not have.
        assert!(name == "codec" || of_outcome(name) != dormouse_status::DORMOUSE_OTHER, "{name} has no status");
    }
}

/// The same of everything else that may get new variants: each is named here, though it need not be to compile.
#[test]
fn every_variant_of_the_library_is_said_in_c() {
    let sources: String = ["deliveries", "dead", "deploy", "limits", "status", "trigger"]
        .map(|name| read(&format!("src/{name}.rs")))
        .concat();
    let enums = [
        ("error", "DeployError", 15),
        ("error", "Trap", 10),
        ("delivery/error", "PublishError", 5),
        ("delivery/error", "RedriveError", 3),
        ("delivery/error", "DeliveryError", 2),
        ("delivery/dead", "Reason", 4),
        ("delivery/limits", "WhenFull", 3),
        ("delivery/run", "Outcome", 7),
        ("delivery/store", "StoreProblem", 4),
        ("contract/mod", "ContractKind", 3),
        ("limits", "Reset", 4),
        ("runtime/alias", "AliasError", 3),
        ("trigger/mod", "Input", 3),
        ("trigger/mod", "Verdict", 2),
        ("trigger/schedule", "Missed", 3),
    ];
    for (file, name, least) in enums {
        let source = read(&format!("../../src/{file}.rs"));
        let body =
            source.split(&format!("pub enum {name} {{\n")).nth(1).unwrap_or_else(|| panic!("{file} has no {name}"));
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
        let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
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

/// The file as it should be, and how many guests it has.
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
