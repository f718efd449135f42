//! WASI preview 1: programs as functions, what each call answers, and guests that attack by it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};

use dormouse::{ContractKind, DeployError, Function, InvokeErrorKind, Limits, Runtime, StartKind, Value, Wasi};

use crate::support::{guest, wat};

const FAULT: i32 = 21;

/// All functions of `wasi_snapshot_preview1.witx`, with their parameters and results.
const FUNCTIONS: &[(&str, &str)] = &[
    ("args_get", "i32 i32"),
    ("args_sizes_get", "i32 i32"),
    ("environ_get", "i32 i32"),
    ("environ_sizes_get", "i32 i32"),
    ("clock_res_get", "i32 i32"),
    ("clock_time_get", "i32 i64 i32"),
    ("fd_advise", "i32 i64 i64 i32"),
    ("fd_allocate", "i32 i64 i64"),
    ("fd_close", "i32"),
    ("fd_datasync", "i32"),
    ("fd_fdstat_get", "i32 i32"),
    ("fd_fdstat_set_flags", "i32 i32"),
    ("fd_fdstat_set_rights", "i32 i64 i64"),
    ("fd_filestat_get", "i32 i32"),
    ("fd_filestat_set_size", "i32 i64"),
    ("fd_filestat_set_times", "i32 i64 i64 i32"),
    ("fd_pread", "i32 i32 i32 i64 i32"),
    ("fd_prestat_get", "i32 i32"),
    ("fd_prestat_dir_name", "i32 i32 i32"),
    ("fd_pwrite", "i32 i32 i32 i64 i32"),
    ("fd_read", "i32 i32 i32 i32"),
    ("fd_readdir", "i32 i32 i32 i64 i32"),
    ("fd_renumber", "i32 i32"),
    ("fd_seek", "i32 i64 i32 i32"),
    ("fd_sync", "i32"),
    ("fd_tell", "i32 i32"),
    ("fd_write", "i32 i32 i32 i32"),
    ("path_create_directory", "i32 i32 i32"),
    ("path_filestat_get", "i32 i32 i32 i32 i32"),
    ("path_filestat_set_times", "i32 i32 i32 i32 i64 i64 i32"),
    ("path_link", "i32 i32 i32 i32 i32 i32 i32"),
    ("path_open", "i32 i32 i32 i32 i32 i64 i64 i32 i32"),
    ("path_readlink", "i32 i32 i32 i32 i32 i32"),
    ("path_remove_directory", "i32 i32 i32"),
    ("path_rename", "i32 i32 i32 i32 i32 i32"),
    ("path_symlink", "i32 i32 i32 i32 i32"),
    ("path_unlink_file", "i32 i32 i32"),
    ("poll_oneoff", "i32 i32 i32 i32"),
    ("proc_raise", "i32"),
    ("random_get", "i32 i32"),
    ("sched_yield", ""),
    ("sock_accept", "i32 i32 i32"),
    ("sock_recv", "i32 i32 i32 i32 i32 i32"),
    ("sock_send", "i32 i32 i32 i32 i32"),
    ("sock_shutdown", "i32 i32"),
];

/// A module that exports every function of WASI as it imports it.
fn everything() -> Vec<u8> {
    let import = |(name, params): &(&str, &str)| {
        format!(r#"(import "wasi_snapshot_preview1" "{name}" (func ${name} (param {params}) (result i32)))"#)
    };
    let export = |(name, _): &(&str, &str)| format!(r#"(export "{name}" (func ${name}))"#);
    let imports: String = FUNCTIONS.iter().map(import).collect();
    let exports: String = FUNCTIONS.iter().map(export).collect();
    wat(&format!(
        r#"(module {imports} (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
             (memory (export "memory") 1) {exports} (export "proc_exit" (func $proc_exit))
             (func (export "loop") (param $at i32) (param $len i32) (loop (drop (call $random_get (local.get $at) (local.get $len))) (br 0)))
             (func (export "log") (param $at i32) (loop (drop (call $fd_write (i32.const 2) (local.get $at) (i32.const 1) (i32.const 0))) (br 0))))"#
    ))
}

fn deployed() -> Function {
    Runtime::new()
        .deployment("wasi", &everything())
        .wasi(Wasi::new().args(["prog", "a b"]).env("LANG", "C"))
        .deploy()
        .unwrap()
}

/// Calls functions one after the other on one instance, and returns their answers.
fn answers(function: &Function, calls: &[(&str, &[i64])]) -> Vec<i32> {
    let run = function.session(|guest| calls.iter().map(|call| answer(guest, call.0, call.1)).collect());
    run.unwrap().into_value()
}

fn answer(guest: &mut dormouse::Guest<'_>, name: &str, args: &[i64]) -> Result<i32, InvokeErrorKind> {
    let (_, params) = FUNCTIONS.iter().find(|(known, _)| *known == name).unwrap();
    let number =
        |(ty, number): (&str, &i64)| if ty == "i32" { Value::I32(*number as i32) } else { Value::I64(*number) };
    let args: Vec<Value> = params.split_whitespace().zip(args).map(number).collect();
    Ok(guest.call(name, &args)?[0].as_i32())
}

#[test]
fn programs_read_the_event_on_stdin_and_reply_on_stdout_cold_and_warm() {
    let order = br#"{"user": "ann", "min": 10, "items": [{"name": "pen", "price": 2, "qty": 3}, {"name": "lamp", "price": 5, "qty": 4}]}"#;
    let cases: [(&str, &[u8], &[u8]); 5] = [
        ("echo.c.command", b"hello, world", b"hello, world"),
        ("echo.zig.command", &[0xfe; 5_000], &[0xfe; 5_000]),
        ("wordcount.c.command", b"one two\nthree", br#"{"lines":1,"words":3,"bytes":13}"#),
        ("json.rust.command", order, br#"{"user":"ann","kept":["lamp"],"total":20}"#),
        ("counter.c.command", b"click", b"count=1 seen=5"),
    ];
    for (name, input, output) in cases {
        let runtime = Runtime::new();
        let function = runtime.deploy(name, &guest(name)).unwrap();
        assert_eq!(function.deploy_report().unwrap().contract(), "command");
        let mut fuel = None;
        for round in 0..4 {
            let reply = function.invoke(input).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(
                String::from_utf8_lossy(reply.output()),
                String::from_utf8_lossy(output),
                "{name}, round {round}"
            );
            assert_eq!(*fuel.get_or_insert(reply.report().fuel()), reply.report().fuel(), "{name}, round {round}");
        }
    }
}

#[test]
fn an_exit_code_is_a_typed_error_with_the_end_of_the_log() {
    let text = r#"(module (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
        (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 1) (data (i32.const 0) "\20\00\00\00\05\00\00\00") (data (i32.const 32) "oops\n")
        (data (i32.const 8) "\40\00\00\00\01\00\00\00")
        (func (export "_start")
          (drop (call $read (i32.const 0) (i32.const 8) (i32.const 1) (i32.const 24)))
          (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 24)))
          (drop (call $write (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 24)))
          (call $exit (i32.load8_u (i32.const 64)))))"#;
    let function = Runtime::new().deploy("exit", &wat(text)).unwrap();
    for _ in 0..2 {
        let error = function.invoke(&[7]).unwrap_err();
        assert_eq!(*error.kind(), InvokeErrorKind::Exit { code: 7, log: "oops".into() });
        assert_eq!(error.report().unwrap().outcome(), "exit");
        assert!(error.to_string().ends_with("the guest exited with code 7, having logged: oops"), "{error}");
        // Code 0 is success, and the instance is as good as after a return.
        let reply = function.invoke(&[0]).unwrap();
        assert_eq!(
            (reply.output(), &*reply.log(), reply.report().start()),
            (&b"oops\n"[..], "oops\n", StartKind::Warm)
        );
    }
}

#[test]
fn arguments_and_environment_are_those_of_the_deployment() {
    let read = |guest: &mut dormouse::Guest<'_>, sizes: &str, get: &str| {
        assert_eq!(answer(guest, sizes, &[0, 4])?, 0);
        assert_eq!(answer(guest, get, &[64, 128])?, 0);
        let number = |bytes: Vec<u8>| u32::from_le_bytes(bytes.try_into().unwrap());
        let (count, bytes) = (number(guest.read(0, 4)?), number(guest.read(4, 4)?));
        let pointers: Vec<u32> = (0..count).map(|n| number(guest.read(64 + 4 * n, 4).unwrap())).collect();
        Ok((pointers, String::from_utf8(guest.read(128, bytes as usize)?).unwrap()))
    };
    let args = deployed().session(|guest| read(guest, "args_sizes_get", "args_get")).unwrap().into_value();
    assert_eq!(args, (vec![128, 133], "prog\0a b\0".to_owned()));
    let env = deployed().session(|guest| read(guest, "environ_sizes_get", "environ_get")).unwrap().into_value();
    assert_eq!(env, (vec![128], "LANG=C\0".to_owned()));

    let runtime = Runtime::new();
    let plain = runtime.deploy("wasi", &everything()).unwrap();
    let args = plain.session(|guest| read(guest, "args_sizes_get", "args_get")).unwrap().into_value();
    assert_eq!(args.1, "guest\0");
    let other = runtime.deployment("wasi", &everything()).wasi(Wasi::new().env("A", "1")).deploy().unwrap();
    assert_ne!(plain.pinned().unwrap().version(), None);
    assert_ne!(
        other.version(),
        runtime.deploy("wasi", &everything()).unwrap().version(),
        "the environment is part of the version"
    );
    for (option, refused) in [
        ("args", runtime.deployment("f", &everything()).wasi(Wasi::new().args(["a\0b"])).deploy()),
        ("env", runtime.deployment("f", &everything()).wasi(Wasi::new().env("A=B", "1")).deploy()),
        ("env", runtime.deployment("f", &everything()).wasi(Wasi::new().env("", "1")).deploy()),
        ("args", runtime.deployment("f", &everything()).wasi(Wasi::new().args([&*"x".repeat(70_000)])).deploy()),
    ] {
        assert!(matches!(refused, Err(DeployError::InvalidOption { option: found, .. }) if found == option));
    }
}

#[test]
fn every_function_is_there_and_what_has_no_meaning_answers_its_errno() {
    let function = deployed();
    let (badf, inval, nosys, notdir, notsock, notsup, spipe) = (8, 28, 52, 54, 57, 58, 70);
    for fd in [0, 1, 2] {
        let each: [(&str, i32); 26] = [
            ("fd_advise", spipe),
            ("fd_allocate", spipe),
            ("fd_datasync", inval),
            ("fd_fdstat_set_flags", 0),
            ("fd_fdstat_set_rights", notsup),
            ("fd_filestat_set_size", inval),
            ("fd_filestat_set_times", notsup),
            ("fd_pread", spipe),
            ("fd_prestat_get", badf),
            ("fd_prestat_dir_name", badf),
            ("fd_pwrite", spipe),
            ("fd_readdir", notdir),
            ("fd_renumber", notsup),
            ("fd_seek", spipe),
            ("fd_sync", inval),
            ("fd_tell", spipe),
            ("path_create_directory", notdir),
            ("path_filestat_get", notdir),
            ("path_filestat_set_times", notdir),
            ("path_link", notdir),
            ("path_open", notdir),
            ("path_readlink", notdir),
            ("path_remove_directory", notdir),
            ("path_rename", notdir),
            ("path_unlink_file", notdir),
            ("sock_recv", notsock),
        ];
        for (name, errno) in each {
            assert_eq!(answers(&function, &[(name, &[fd, 0, 0, 0, 0, 0, 0, 0, 0])]), [errno], "{name} of {fd}");
        }
    }
    // No other descriptor is open. The first argument of each of these is a descriptor.
    let with_fd =
        |name: &&str| ["fd_", "path_", "sock_"].iter().any(|kind| name.starts_with(kind)) && *name != "path_symlink";
    for name in FUNCTIONS.iter().map(|(name, _)| *name).filter(|name| with_fd(name)) {
        for fd in [3, 4, 31, 32, 33, -1] {
            assert_eq!(answers(&function, &[(name, &[fd, 0, 0, 0, 0, 0, 0, 0, 0])]), [badf], "{name} of {fd}");
        }
    }
    assert_eq!(
        answers(&function, &[("path_symlink", &[0, 0, 3, 0, 0]), ("proc_raise", &[6]), ("sched_yield", &[])]),
        [badf, nosys, 0]
    );
    assert_eq!(answers(&function, &[("fd_read", &[1, 0, 0, 0]), ("fd_write", &[0, 0, 0, 0])]), [badf, badf]);
}

#[test]
fn a_closed_descriptor_is_closed_until_the_invocation_ends() {
    let function = deployed();
    for _ in 0..2 {
        let calls: [(&str, &[i64]); 4] =
            [("fd_fdstat_get", &[1, 0]), ("fd_close", &[1]), ("fd_close", &[1]), ("fd_fdstat_get", &[1, 0])];
        assert_eq!(answers(&function, &calls), [0, 0, 8, 8]);
    }
}

#[test]
fn clocks_and_random_numbers_are_the_same_in_each_invocation_of_a_version() {
    let run = |function: &Function| {
        let run = function.session(|guest| {
            let calls: [(&str, &[i64]); 5] = [
                ("clock_time_get", &[0, 0, 0]),
                ("clock_time_get", &[0, 0, 8]),
                ("clock_time_get", &[1, 0, 16]),
                ("random_get", &[32, 50]),
                ("random_get", &[82, 50]),
            ];
            for (name, args) in calls {
                assert_eq!(answer(guest, name, args)?, 0);
            }
            guest.read(0, 132)
        });
        run.unwrap().into_value()
    };
    let function = deployed();
    let first = run(&function);
    let time = |at: usize| u64::from_le_bytes(first[at..at + 8].try_into().unwrap());
    assert_eq!([time(0), time(8), time(16)], [1, 2, 3].map(|ticks| 946_684_800_000_000_000 + ticks * 1_000));
    let zeros = first[32..132].iter().filter(|byte| **byte == 0).count();
    assert!(zeros < 10, "random bytes");
    assert_ne!(first[32..82], first[82..132]);
    assert_eq!(run(&function), first, "warm");
    assert_eq!(run(&deployed()), first, "another runtime");
}

#[test]
fn a_host_grants_time_and_seeds() {
    let (readings, seeds) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let time = {
        let readings = Arc::clone(&readings);
        move || SystemTime::UNIX_EPOCH + Duration::from_secs(5_000 + readings.fetch_add(1, Relaxed))
    };
    let source = {
        let seeds = Arc::clone(&seeds);
        move || [seeds.fetch_add(1, Relaxed) as u8; 32]
    };
    let module = everything();
    let function =
        Runtime::new().deployment("wasi", &module).wasi(Wasi::new().time(time).seeds(source)).deploy().unwrap();
    let draw = |seed: Option<[u8; 32]>| {
        let invocation = function.invocation(&[]);
        let invocation = if let Some(seed) = seed { invocation.seed(seed) } else { invocation };
        let drawn = invocation.session(|guest| {
            answer(guest, "random_get", &[0, 16])?;
            answer(guest, "random_get", &[16, 16])?;
            guest.read(0, 32)
        });
        drawn.unwrap().into_value()
    };
    assert_ne!(draw(None), draw(None));
    assert_eq!(seeds.load(Relaxed), 2, "once in each invocation that draws");
    assert_eq!(draw(Some([9; 32])), draw(Some([9; 32])));
    assert_ne!(draw(Some([9; 32])), draw(Some([8; 32])));
    assert_eq!(seeds.load(Relaxed), 2);
    let read = || {
        let read = function.session(|guest| {
            answer(guest, "clock_time_get", &[0, 0, 0])?;
            guest.read(0, 8)
        });
        u64::from_le_bytes(read.unwrap().into_value().try_into().unwrap()) / 1_000_000_000
    };
    assert_eq!((read(), read()), (5_000, 5_001));
}

#[test]
fn sleeping_takes_no_time_and_moves_the_clock_on() {
    let year: u64 = 365 * 24 * 3_600 * 1_000_000_000;
    let mut subscription = vec![0; 48];
    subscription[..8].copy_from_slice(&77u64.to_le_bytes());
    subscription[16..20].copy_from_slice(&1u32.to_le_bytes());
    subscription[24..32].copy_from_slice(&year.to_le_bytes());
    let function = deployed();
    let began = std::time::Instant::now();
    let slept = function.session(|guest| {
        guest.write(256, &subscription)?;
        // And an absolute time, two years on.
        subscription[24..32].copy_from_slice(&(946_684_800_000_000_000 + 2 * year).to_le_bytes());
        subscription[40] = 1;
        guest.write(304, &subscription)?;
        assert_eq!(answer(guest, "poll_oneoff", &[256, 512, 2, 0])?, 0);
        assert_eq!(guest.read(0, 4)?, [1, 0, 0, 0], "one of the two");
        assert_eq!(guest.read(512, 11)?, [77, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(answer(guest, "clock_time_get", &[1, 0, 0])?, 0);
        guest.read(0, 8)
    });
    let now = u64::from_le_bytes(slept.unwrap().into_value().try_into().unwrap());
    assert!((946_684_800_000_000_000 + year..946_684_801_000_000_000 + year).contains(&now), "{now}");
    assert!(began.elapsed() < Duration::from_secs(20));
}

#[test]
fn what_is_ready_is_told_without_sleeping() {
    let module = wat(
        r#"(module (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 1)
        (data (i32.const 8) "\01") (data (i32.const 56) "\02") (data (i32.const 64) "\01")
        (data (i32.const 112) "\09") (data (i32.const 144) "\40\42\0f") (data (i32.const 1000) "\00\04\00\00\60\00\00\00")
        (func (export "_start")
          (drop (call $poll (i32.const 0) (i32.const 1024) (i32.const 2) (i32.const 992)))
          (drop (call $write (i32.const 1) (i32.const 1000) (i32.const 1) (i32.const 900)))))"#,
    );
    let reply = Runtime::new().deploy("poll", &module).unwrap().invoke(b"four").unwrap();
    let (stdin, stdout) = (&reply.output()[..32], &reply.output()[32..64]);
    assert_eq!((stdin[10], stdin[16], stdin[24]), (1, 4, 0), "four bytes of input");
    assert_eq!((stdout[10], stdout[8]), (2, 0));
}

#[test]
fn wild_pointers_and_lengths_end_in_an_errno() {
    let function = deployed();
    let wild: [i64; 5] = [65_533, 65_536, i64::from(i32::MAX), -8, -1];
    for at in wild {
        let calls: [(&str, &[i64]); 12] = [
            ("args_sizes_get", &[0, at]),
            ("args_get", &[0, at]),
            ("args_get", &[at, 0]),
            ("environ_get", &[at, 0]),
            ("clock_time_get", &[0, 0, at]),
            ("clock_res_get", &[0, at]),
            ("fd_fdstat_get", &[0, at]),
            ("fd_filestat_get", &[2, at]),
            ("random_get", &[at, 8]),
            ("fd_write", &[1, at, 1, 0]),
            ("fd_read", &[0, at, 1, 0]),
            ("poll_oneoff", &[at, 0, 1, 0]),
        ];
        for (name, args) in calls {
            assert_eq!(answers(&function, &[(name, args)]), [FAULT], "{name} {args:?}");
        }
    }
    let huge: [(&str, &[i64]); 5] = [
        ("fd_write", &[1, 0, -1, 0]),
        ("fd_read", &[0, 0, -1, 0]),
        ("poll_oneoff", &[0, 0, -1, 0]),
        ("poll_oneoff", &[0, 65_500, 2, 0]),
        ("random_get", &[0, -1]),
    ];
    for (name, args) in huge {
        // A huge length may cost more fuel than there is. That is a valid end too.
        let ended = function.invocation(&[]).fuel(1_000_000).session(|guest| answer(guest, name, args));
        match ended {
            Ok(answer) => assert_eq!(*answer.value(), FAULT, "{name} {args:?}"),
            Err(error) => assert_eq!(error.kind().name(), "out_of_fuel", "{name} {args:?}"),
        }
    }
    assert_eq!(answers(&function, &[("poll_oneoff", &[0, 0, 0, 0]), ("clock_time_get", &[4, 0, 0])]), [28, 28]);
}

#[test]
fn buffers_that_overlap_or_name_the_same_bytes_are_read_and_written_in_their_order() {
    let function = Runtime::new().deployment("wasi", &everything()).contract(ContractKind::Plain).deploy().unwrap();
    let logged = function.session(|guest| {
        // The same five bytes three times, then no bytes.
        let list: Vec<u8> = [(40u32, 5u32), (40, 5), (0, 0), (40, 5)]
            .iter()
            .flat_map(|(at, len)| [at.to_le_bytes(), len.to_le_bytes()])
            .flatten()
            .collect();
        guest.write(0, &list)?;
        guest.write(40, b"again")?;
        assert_eq!(answer(guest, "fd_write", &[1, 0, 4, 200])?, 0);
        assert_eq!(guest.read(200, 4)?, [15, 0, 0, 0]);
        Ok(())
    });
    assert_eq!(logged.unwrap().log(), "againagainagain", "the output of a guest that is not a program is its log");
}

#[test]
fn what_fills_the_log_is_not_cut() {
    let text = r#"(module (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 1) (data (i32.const 0) "\20\00\00\00\64\00\00\00")
        (func (export "_start") (drop (call $write (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 16)))))"#;
    for (log, is_cut) in [(100, false), (99, true)] {
        let limits = Limits { log_bytes: log, ..Limits::default() };
        let function = Runtime::new().deployment("log", &wat(text)).limits(limits).deploy().unwrap();
        let reply = function.invoke(b"").unwrap();
        assert_eq!((reply.log().len() as u64, reply.report().log_cut()), (log, is_cut));
    }
}

#[test]
fn endless_output_logs_and_random_numbers_end_at_a_limit() {
    let limits = Limits { fuel: 200_000, log_bytes: 1_000, output_bytes: 1_000, ..Limits::default() };
    let function = Runtime::new().deployment("wasi", &everything()).limits(limits.clone()).deploy().unwrap();
    let random = function.call("loop", &[Value::I32(0), Value::I32(65_536)]).unwrap_err();
    assert_eq!(random.kind().name(), "out_of_fuel");
    let log = function.session(|guest| {
        guest.write(16, &[64, 0, 0, 0, 0, 128, 0, 0])?;
        drop(guest.call("log", &[Value::I32(16)]));
        Ok(())
    });
    let log = log.unwrap();
    assert_eq!((log.log().len(), log.report().log_cut()), (1_000, true));

    let text = r#"(module (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 1) (data (i32.const 0) "\20\00\00\00\64\00\00\00")
        (func (export "_start") (loop (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16))) (br 0))))"#;
    let function = Runtime::new().deployment("out", &wat(text)).limits(limits).deploy().unwrap();
    for _ in 0..2 {
        let error = function.invoke(b"").unwrap_err();
        assert_eq!(*error.kind(), InvokeErrorKind::OutputTooLarge { size: 1_100, limit: 1_000 });
    }
}

#[test]
fn moving_bytes_costs_fuel() {
    let function = deployed();
    let cost = |len: i64| {
        let run = function.session(|guest| answer(guest, "random_get", &[0, len]));
        run.unwrap().report().fuel()
    };
    assert_eq!(cost(64) - cost(0), 64);
    let written = |len: u8| {
        let run = function.session(|guest| {
            guest.write(0, &[64, 0, 0, 0, 0, len, 0, 0])?;
            answer(guest, "fd_write", &[2, 0, 1, 16])
        });
        run.unwrap().report().fuel()
    };
    assert_eq!(written(128) - written(0), 128 * 256 / 64);
}

#[test]
fn a_long_call_ends_at_the_deadline() {
    let memory = Limits { memory_bytes: 128 << 20, ..Limits::default() };
    let module =
        wat(r#"(module (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 1500)
        (func (export "random") (drop (call $random (i32.const 0) (i32.const 90000000))))
        (func (export "write") (drop (call $write (i32.const 1) (i32.const 0) (i32.const 10000000) (i32.const 0))))
        (func (export "poll") (drop (call $poll (i32.const 0) (i32.const 0) (i32.const 2000000) (i32.const 0)))))"#);
    let function = Runtime::new().deployment("long", &module).limits(memory).deploy().unwrap();
    for export in ["random", "write", "poll"] {
        let ended = function.invocation(&[]).deadline(Duration::from_millis(2)).call(export, &[]).unwrap_err();
        assert_eq!(ended.kind().name(), "deadline_exceeded", "{export}");
        let took = ended.report().unwrap().duration();
        assert!(took < Duration::from_secs(1), "{export} took {took:?}");
    }
}

#[test]
fn the_monotonic_clock_goes_on_where_initialisation_left_it() {
    let text = r#"(module (import "wasi_snapshot_preview1" "clock_time_get" (func $time (param i32 i64 i32) (result i32)))
        (import "wasi_snapshot_preview1" "fd_close" (func $close (param i32) (result i32)))
        (memory (export "memory") 1)
        (func (export "_initialize") (drop (call $time (i32.const 1) (i64.const 0) (i32.const 0)))
          (drop (call $time (i32.const 1) (i64.const 0) (i32.const 0))) (drop (call $close (i32.const 1))))
        (func (export "elapsed") (result i64) (drop (call $time (i32.const 1) (i64.const 0) (i32.const 8)))
          (i64.sub (i64.load (i32.const 8)) (i64.load (i32.const 0))))
        (func (export "close") (result i32) (call $close (i32.const 1))))"#;
    let function = Runtime::new().deploy("f", &wat(text)).unwrap();
    for _ in 0..3 {
        assert_eq!(function.call("elapsed", &[]).unwrap().values(), [Value::I64(1_000)]);
        assert_eq!(function.call("close", &[]).unwrap().values(), [Value::I32(8)]);
        // The same on an instance from the image.
        function.trim(Duration::ZERO);
    }
}

#[test]
fn a_module_without_a_memory_is_told_so_by_errno() {
    let text = r#"(module (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
        (func (export "run") (result i32) (call $random (i32.const 0) (i32.const 1))))"#;
    let function = Runtime::new().deploy("bare", &wat(text)).unwrap();
    assert_eq!(function.call("run", &[]).unwrap().values(), [Value::I32(FAULT)]);
}

#[test]
fn a_function_of_the_host_takes_the_place_of_one_of_wasi() {
    let text = r#"(module (import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32)))
        (func (export "run") (result i32) (call $yield)))"#;
    let runtime = Runtime::new();
    let module = wat(text);
    let custom = runtime.deployment("f", &module).host(
        "wasi_snapshot_preview1",
        "sched_yield",
        |_: &mut dormouse::Context<'_>| 5i32,
    );
    let returned = custom.deploy().unwrap().call("run", &[]).unwrap();
    assert_eq!((returned.values(), returned.report().host_calls()), (&[Value::I32(5)][..], 1));
    let own = runtime.deploy("f", &wat(text)).unwrap().call("run", &[]).unwrap();
    assert_eq!((own.values(), own.report().host_calls()), (&[Value::I32(0)][..], 0));
}

#[test]
fn what_wasi_has_not_or_has_otherwise_is_refused_by_name() {
    let refused = |import: &str| {
        let text = format!(r#"(module (import "wasi_snapshot_preview1" {import}))"#);
        Runtime::new().deploy("f", &wat(&text)).unwrap_err().to_string()
    };
    let unknown = refused(r#""fd_fly" (func (param i32))"#);
    assert!(unknown.contains("fd_fly"), "{unknown}");
    let other = refused(r#""fd_close" (func (param i64) (result i32))"#);
    assert!(other.contains("fd_close") && other.contains("func (i32) -> i32"), "{other}");
}

#[test]
fn the_contract_that_a_deployment_names_must_be_kept() {
    let runtime = Runtime::new();
    let command = guest("echo.c.command");
    let plain = runtime.deployment("f", &command).contract(ContractKind::Plain).deploy().unwrap();
    assert_eq!(plain.deploy_report().unwrap().contract(), "plain");
    let not_invocable = plain.invoke(b"").unwrap_err();
    assert_eq!(not_invocable.kind().name(), "not_invocable");
    let refused = runtime.deployment("f", &command).contract(ContractKind::Buffer).deploy().unwrap_err().to_string();
    assert!(refused.contains(r#"no function "alloc""#), "{refused}");
    let refused =
        runtime.deployment("f", &guest("echo")).contract(ContractKind::Command).deploy().unwrap_err().to_string();
    assert!(refused.contains(r#"no function "_start""#), "{refused}");
    // A program's start under another name is a plain export.
    let module = wat(r#"(module (func (export "_start")))"#);
    assert_eq!(runtime.deploy("f", &module).unwrap().deploy_report().unwrap().contract(), "plain");
    let named = runtime.deployment("f", &module).contract(ContractKind::Command).deploy().unwrap();
    assert_eq!(named.invoke(b"ignored").unwrap().output(), b"");
}

#[test]
fn what_initialisation_draws_and_logs_is_not_what_an_invocation_does() {
    let text = r#"(module (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 1) (data (i32.const 0) "\20\00\00\00\05\00\00\00") (data (i32.const 32) "start")
        (func (export "_initialize")
          (drop (call $random (i32.const 64) (i32.const 32)))
          (drop (call $write (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 24))))
        (func (export "run") (drop (call $random (i32.const 96) (i32.const 32)))))"#;
    let function = Runtime::new().deploy("f", &wat(text)).unwrap();
    let run = || {
        let run = function.session(|guest| {
            guest.call("run", &[])?;
            guest.read(64, 64)
        });
        let run = run.unwrap();
        assert_eq!(run.log(), "");
        run.into_value()
    };
    let drawn = run();
    assert_ne!(drawn[..32], drawn[32..]);
    assert_eq!(run(), drawn);
}

#[test]
fn a_variable_that_is_set_twice_has_its_last_value() {
    let runtime = Runtime::new();
    let module = guest("wasi-all");
    let version = |variables: &[(&str, &str)]| {
        let options = variables.iter().fold(Wasi::new(), |options, (name, value)| options.env(name, value));
        runtime.deployment("f", &module).wasi(options).deploy().unwrap().version().unwrap()
    };
    // All that an instance is made of determines its version.
    assert_eq!(version(&[("A", "1"), ("B", "1"), ("A", "2")]), version(&[("A", "2"), ("B", "1")]));
    assert_ne!(version(&[("A", "1"), ("B", "1")]), version(&[("A", "2"), ("B", "1")]));
}
