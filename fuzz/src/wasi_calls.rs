//! A guest that calls WASI with any arguments. Nothing panics, errors are those of the interface,
//! and limits hold. Each run is the same as the first, cold and warm, whatever ran in between.

use std::{fmt::Write, time::Duration};

use arbitrary::{Result, Unstructured};
use dormouse::{Function, InvokeErrorKind, Limits, Reset, Runtime, Trap, Wasi};

use super::oracle::RESETS;

/// Names and parameters: `i` for i32, `I` for i64.
const CALLS: [(&str, &str); 45] = [
    ("args_get", "ii"),
    ("args_sizes_get", "ii"),
    ("environ_get", "ii"),
    ("environ_sizes_get", "ii"),
    ("clock_res_get", "ii"),
    ("clock_time_get", "iIi"),
    ("fd_advise", "iIIi"),
    ("fd_allocate", "iII"),
    ("fd_close", "i"),
    ("fd_datasync", "i"),
    ("fd_fdstat_get", "ii"),
    ("fd_fdstat_set_flags", "ii"),
    ("fd_fdstat_set_rights", "iII"),
    ("fd_filestat_get", "ii"),
    ("fd_filestat_set_size", "iI"),
    ("fd_filestat_set_times", "iIIi"),
    ("fd_pread", "iiiIi"),
    ("fd_prestat_get", "ii"),
    ("fd_prestat_dir_name", "iii"),
    ("fd_pwrite", "iiiIi"),
    ("fd_read", "iiii"),
    ("fd_readdir", "iiiIi"),
    ("fd_renumber", "ii"),
    ("fd_seek", "iIii"),
    ("fd_sync", "i"),
    ("fd_tell", "ii"),
    ("fd_write", "iiii"),
    ("path_create_directory", "iii"),
    ("path_filestat_get", "iiiii"),
    ("path_filestat_set_times", "iiiiIIi"),
    ("path_link", "iiiiiii"),
    ("path_open", "iiiiiIIii"),
    ("path_readlink", "iiiiii"),
    ("path_remove_directory", "iii"),
    ("path_rename", "iiiiii"),
    ("path_symlink", "iiiii"),
    ("path_unlink_file", "iii"),
    ("poll_oneoff", "iiii"),
    ("proc_raise", "i"),
    ("random_get", "ii"),
    ("sched_yield", ""),
    ("sock_accept", "iii"),
    ("sock_recv", "iiiiii"),
    ("sock_send", "iiiii"),
    ("sock_shutdown", "ii"),
];

/// The calls that do most are the most frequent.
const BUSY: [&str; 10] = [
    "fd_read",
    "fd_write",
    "poll_oneoff",
    "random_get",
    "clock_time_get",
    "args_get",
    "environ_get",
    "fd_close",
    "fd_fdstat_get",
    "fd_filestat_get",
];

const PAGE: u32 = 65_536;

/// The fuel of a run: enough for a call that fills a page, and for some more.
const FUEL: u64 = 80_000;
const OUTPUT: u64 = 4 << 10;
const LOG: u64 = 1 << 10;

/// The last number of `errno` in `typenames.witx`.
const ERRNO_MAX: u32 = 76;

pub fn wasi_calls(bytes: &[u8]) {
    let mut source = Unstructured::new(bytes);
    let Ok(module) = guest(&mut source) else { return };
    let module = wat::parse_str(&module).unwrap_or_else(|error| panic!("{error}\n{module}"));
    let reset = RESETS[bytes.len() % RESETS.len()];
    let input = source.take_rest();
    let function = deploy(&Runtime::builder().reset(reset).build(), &module);
    let fresh = deploy(&Runtime::builder().reset(Reset::Portable).build(), &module);
    let (Some(function), Some(fresh)) = (function, fresh) else { return };
    let expected = run(&fresh, input);
    for what in ["cold", "warm", "after another", "from the image"] {
        assert_eq!(run(&function, input), expected, "{what}, {reset:?}");
        match what {
            "warm" => drop(run(&function, b"something else")),
            "after another" => drop(function.trim(Duration::ZERO)),
            _ => {}
        }
    }
}

/// A deployment with arguments and an environment. `None` if initialisation fails, as these calls
/// may make it.
fn deploy(runtime: &Runtime, module: &[u8]) -> Option<Function> {
    let limits = Limits {
        fuel: FUEL,
        output_bytes: OUTPUT,
        log_bytes: LOG,
        memory_bytes: 2 * u64::from(PAGE),
        ..Limits::default()
    };
    let deployment = runtime
        .deployment("f", module)
        .limits(limits)
        .wasi(Wasi::new().args(["guest", "--all", ""]).env("NAME", "value"));
    deployment.deploy().ok()
}

/// The outcome of an invocation as a text: reply, log, fuel.
fn run(function: &Function, input: &[u8]) -> String {
    let ran = if function.deploy_report().unwrap().contract() == "command" {
        let ran = function.invoke(input);
        ran.map(|reply| (reply.output().to_vec(), reply.log().to_string(), reply.report().clone()))
    } else {
        let ran = function.call("run", &[]);
        ran.map(|called| (Vec::new(), called.log().to_string(), called.report().clone()))
    };
    match ran {
        Ok((output, log, report)) => {
            // A character that is cut shows as one of three bytes.
            assert!(output.len() as u64 <= OUTPUT && log.len() as u64 <= 3 * LOG, "{} {}", output.len(), log.len());
            format!("{output:?} {log:?} {} {}", report.fuel(), report.log_cut())
        }
        Err(error) => {
            let unknown = *error.kind() == InvokeErrorKind::Trap(Trap::Unreachable);
            assert!(!unknown, "a call answered a number that is not an errno");
            let panicked = matches!(error.kind(), InvokeErrorKind::HostPanic { .. });
            assert!(!panicked, "{error}");
            format!("{error} {:?}", error.report().map(|report| (report.fuel(), report.log_cut())))
        }
    }
}

/// The text of a module: a page of memory that begins with any bytes, and up to 24 calls and
/// stores. The first ones may stand in `_initialize`. It traps by `unreachable` only if an answer
/// is not an errno.
fn guest(source: &mut Unstructured<'_>) -> Result<String> {
    let is_command = source.arbitrary::<bool>()?;
    let steps = source.int_in_range(1..=24)?;
    let before = if is_command { 0 } else { source.int_in_range(0..=steps)? };
    let mut imports = Vec::new();
    let mut bodies = [String::new(), String::new()];
    for step in 0..steps {
        let body = &mut bodies[usize::from(step >= before)];
        if source.ratio(1, 4)? {
            let (at, value) = (source.int_in_range(0..=PAGE / 4 - 1)? * 4, word(source)?);
            write!(body, "(i32.store (i32.const {at}) (i32.const {value}))").unwrap();
            continue;
        }
        if source.ratio(1, 40)? {
            imports.push(("proc_exit", "i"));
            write!(body, "(call $proc_exit (i32.const {}))", word(source)?).unwrap();
            continue;
        }
        let (name, params) = if source.ratio(3, 4)? {
            let name = source.choose(&BUSY)?;
            *CALLS.iter().find(|(call, _)| call == name).unwrap()
        } else {
            *source.choose(&CALLS)?
        };
        imports.push((name, params));
        write!(body, "(call $check (call ${name}").unwrap();
        for (number, param) in params.chars().enumerate() {
            if param == 'I' {
                write!(body, " (i64.const {})", *source.choose(&[0, 1, -1, i64::MIN, 1_000_000])?).unwrap();
            } else {
                // The first one is mostly a descriptor.
                let value =
                    if number == 0 && source.ratio(3, 4)? { source.int_in_range(0..=3)? } else { word(source)? };
                write!(body, " (i32.const {value})").unwrap();
            }
        }
        body.push_str("))");
    }
    imports.sort_unstable();
    imports.dedup();
    let mut text = String::from("(module ");
    for (name, params) in imports {
        let types: String = params.chars().map(|param| if param == 'I' { " i64" } else { " i32" }).collect();
        let result = if name == "proc_exit" { "" } else { "(result i32)" };
        write!(text, r#"(import "wasi_snapshot_preview1" "{name}" (func ${name} (param{types}) {result}))"#).unwrap();
    }
    let len = source.int_in_range(0..=512)?;
    let data: String = source.bytes(len.min(source.len()))?.iter().map(|byte| format!("\\{byte:02x}")).collect();
    let [first, second] = bodies;
    write!(
        text,
        r#"(memory (export "memory") 1) (data (i32.const 0) "{data}")
        (func $check (param i32) (if (i32.gt_u (local.get 0) (i32.const {ERRNO_MAX})) (then unreachable)))
        (func (export "{}") {second})"#,
        if is_command { "_start" } else { "run" }
    )
    .unwrap();
    if !first.is_empty() {
        write!(text, r#"(func (export "_initialize") {first})"#).unwrap();
    }
    text.push(')');
    Ok(text)
}

/// An address, a length or a count: within the data, anywhere, near the end of the memory or of all
/// addresses.
fn word(source: &mut Unstructured<'_>) -> Result<u32> {
    Ok(match source.int_in_range(0..=5)? {
        0 => source.int_in_range(0..=3)?,
        1 => source.int_in_range(0..=127)? * 4,
        2 => source.int_in_range(0..=PAGE)?,
        3 => PAGE - source.int_in_range(0..=64)?,
        4 => u32::MAX - source.int_in_range(0..=64)?,
        _ => source.arbitrary()?,
    })
}
