//! Plug-ins that call the functions of `extism:host/env`, of the key-value store and of a host in
//! any order. Their handles are right, stale, inside a block or wild.
//!
//! Every answer must be that of a model (`extism_model.rs`). So must the end: reply, error, log,
//! and the contents of the store. Each run is the same as the first, cold and warm, whatever ran in
//! between.

use std::{
    collections::BTreeMap,
    fmt::Write,
    sync::{Arc, LazyLock, Mutex},
    time::Duration,
};

use arbitrary::{Result, Unstructured};
use dormouse::{
    Context, Extism, Function, HostError, InvokeErrorKind, Limits, LogLevel, Reset, Runtime,
    kv::{self, KeyValue},
};

use super::{extism_model::Model, oracle::RESETS};

/// Functions with their parameters and results. `h` is a handle, `n` another i64, `i` an i32.
pub(super) const CALLS: [(&str, &str, &str); 41] = [
    ("alloc", "n", "h"),
    ("free", "h", ""),
    ("length", "h", "n"),
    ("length_unsafe", "h", "n"),
    ("load_u8", "h", "i"),
    ("load_u64", "h", "n"),
    ("store_u8", "hi", ""),
    ("store_u64", "hn", ""),
    ("input_offset", "", "h"),
    ("input_length", "", "n"),
    ("input_load_u8", "n", "i"),
    ("input_load_u64", "n", "n"),
    ("input_set", "hn", ""),
    ("output_set", "hn", ""),
    ("output_offset", "", "h"),
    ("output_length", "", "n"),
    ("error_set", "h", ""),
    ("error_get", "", "h"),
    ("memory_bytes", "", "n"),
    ("config_get", "h", "h"),
    ("var_get", "h", "h"),
    ("var_set", "hh", ""),
    ("http_status_code", "", "i"),
    ("http_headers", "", "h"),
    ("log_trace", "h", ""),
    ("log_debug", "h", ""),
    ("log_info", "h", ""),
    ("log_warn", "h", ""),
    ("log_error", "h", ""),
    ("get_log_level", "", "i"),
    ("kv_get", "h", "h"),
    ("kv_set", "hh", "n"),
    ("kv_delete", "h", "n"),
    ("kv_compare_and_set", "hhh", "n"),
    ("kv_list", "hh", "h"),
    // The calls that follow change or end much, so they are rare. `mirror` is the host's own. The
    // last three are not imported.
    ("mirror", "h", "h"),
    ("reset", "", ""),
    ("http_request", "hh", "h"),
    ("grow", "n", "i"),
    ("trap", "", ""),
    ("end", "i", ""),
];
const SELDOM: usize = 35;
const IMPORTED: usize = 38;

/// The parts of keys, values, logs and requests. The last one is not UTF-8, with which most calls
/// end the run.
const TEXTS: [&[u8]; 10] = [
    b"k",
    b"init",
    b"a longer text\nof two lines",
    "größe".as_bytes(),
    b"empty",
    b"k/1",
    b"k/2",
    b"a key of more than sixteen bytes",
    br#"{"url":"https://example.com"}"#,
    b"\xff\xfe",
];

pub(super) const CONFIG: [(&str, &str); 4] = [("k", "value"), ("größe", "100 µm"), ("empty", ""), ("", "nameless")];
/// Variables that a deployment gives, beside the program of initialisation.
pub(super) const VARS: [(&str, &[u8]); 2] = [("k", b"seed"), ("k/1", b"\0\xff")];
/// The contents of the store before each run.
pub(super) const KEPT: [(&[u8], &[u8]); 2] = [(b"k", b"kept"), (b"k/1", b"")];

pub(super) const PAGE: u64 = 65_536;
const OUTPUT: u64 = 1 << 10;
const LOG: u64 = 256;
/// Bytes of a key and of a value in the store.
pub(super) const KEY: usize = 16;
pub(super) const VALUE: usize = 1 << 10;

/// The most calls of one program. The 255th slot stands for no call.
const STEPS: usize = 255;
const NONE: u8 = 255;

/// One call. Each argument is the answer of a call, by its number, plus a number.
#[derive(Clone, Copy)]
pub(super) struct Call {
    pub(super) number: u8,
    slots: [u8; 3],
    numbers: [u64; 3],
}

impl Call {
    /// The arguments, if these are the answers.
    pub(super) fn args(&self, answers: &[u64]) -> [u64; 3] {
        [0, 1, 2].map(|at| {
            let answer = answers.get(usize::from(self.slots[at])).copied().unwrap_or(0);
            answer.wrapping_add(self.numbers[at])
        })
    }
}

/// The outcome of a run.
#[derive(Debug, PartialEq)]
struct Ran {
    /// The handle of the program, and the answer of each call that has returned.
    answers: Vec<u64>,
    ended: std::result::Result<(Vec<u8>, String, bool), InvokeErrorKind>,
    fuel: Option<u64>,
    kept: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// A deployment, and what its runs leave outside it.
struct Host {
    function: Function,
    answers: Arc<Mutex<Vec<u64>>>,
    store: Arc<kv::Memory>,
}

/// The options of all deployments of one input.
struct Options {
    limits: Limits,
    level: LogLevel,
    init: Vec<u8>,
}

pub fn extism_calls(bytes: &[u8]) {
    let mut source = Unstructured::new(bytes);
    let Ok((options, fuel, init, calls)) = input(&mut source) else { return };
    let program = encode(&calls);
    let fresh = Host::new(&Runtime::builder().reset(Reset::Portable).build(), &options);
    let reset = RESETS[bytes.len() % RESETS.len()];
    let host = Host::new(&Runtime::builder().reset(reset).build(), &options);
    let mut model = Model::new(options.limits.memory_bytes, options.level, &options.init);
    let (fresh, host) = match (fresh, host) {
        (Ok(fresh), Ok(host)) => (fresh, host),
        (Err(one), Err(other)) => {
            assert_eq!(one, other, "the same deployment");
            return check_failure(model.initialise(&options.init, &init, &one.0), &one.1, "initialisation");
        }
        (one, other) => panic!("{:?} {:?}", one.err(), other.err()),
    };
    let answers = fresh.answers();
    assert_eq!(answers, host.answers(), "initialisation is the same");
    let ends = model.initialise(&options.init, &init, &answers);
    assert!(ends.is_none(), "initialisation should have ended with one of {ends:?}");

    let expected = fresh.run(&program, fuel);
    check(&mut model, &program, &calls, &expected);
    for what in ["cold", "warm", "after another", "from the image"] {
        assert_eq!(host.run(&program, fuel), expected, "{what}, {reset:?}");
        match what {
            "warm" => drop(host.run(&options.init, fuel)),
            "after another" => drop(host.function.trim(Duration::ZERO)),
            _ => {}
        }
    }
}

/// A failure must be one that the model allows.
fn check_failure(allowed: Option<Vec<&'static str>>, kind: &InvokeErrorKind, what: &str) {
    let name = kind.name();
    // Whatever its end should be, it may lack the fuel for it.
    let allowed = allowed.unwrap_or_default();
    assert!(name == "out_of_fuel" || allowed.contains(&name), "{what}: {kind} is none of {allowed:?}");
}

/// Compares a run with the model.
fn check(model: &mut Model, program: &[u8], calls: &[Call], ran: &Ran) {
    let (kind, message) = match &ran.ended {
        Ok(_) => (None, None),
        Err(InvokeErrorKind::GuestError { code, message, ended }) => (ended.as_deref(), Some((*code, &**message))),
        Err(kind) => (Some(kind), None),
    };
    match model.follow(program, calls, &ran.answers) {
        Some(allowed) => {
            let kind = kind.unwrap_or_else(|| panic!("it should have ended with one of {allowed:?}: {ran:?}"));
            check_failure(Some(allowed), kind, "the run");
            // An error that is set takes precedence over a trap, and not over an end that the
            // library itself makes.
            let expected = model.error().filter(|_| ["trap", "host_function", "invalid_handle"].contains(&kind.name()));
            assert_eq!(message, expected.as_deref().map(|text| (-1, text)), "{kind}");
        }
        None => {
            let code = model.code();
            match (model.error(), &ran.ended) {
                (Some(text), _) => assert_eq!(message, Some((code, &*text))),
                (None, _) if code != 0 => assert_eq!(message, Some((code, ""))),
                (None, Ok((output, log, is_cut))) => {
                    assert_eq!(*output, model.output());
                    let all = model.log();
                    let right = if *is_cut { all.starts_with(log) && log.len() < all.len() } else { all == log };
                    assert!(right, "log: {log:?} where it should be {all:?}, cut: {is_cut}");
                    assert!(log.len() as u64 <= LOG, "{}", log.len());
                }
                (None, Err(InvokeErrorKind::OutputTooLarge { size, .. })) => {
                    assert!(*size > OUTPUT && *size == model.output().len() as u64, "{size}");
                }
                (None, Err(kind)) => assert_eq!(kind.name(), "out_of_fuel", "at its very end: {kind}"),
            }
        }
    }
    let kept = if ran.ended.is_ok() { model.kept().clone() } else { seeds() };
    assert_eq!(ran.kept, kept, "what the store holds");
}

fn seeds() -> BTreeMap<Vec<u8>, Vec<u8>> {
    KEPT.map(|(key, value)| (key.into(), value.into())).into()
}

impl Host {
    /// Deploys. If that fails, returns the answers of initialisation until then, and the reason.
    fn new(runtime: &Runtime, options: &Options) -> std::result::Result<Self, (Vec<u64>, InvokeErrorKind)> {
        let (store, answers) = (Arc::new(kv::Memory::new()), Arc::<Mutex<Vec<u64>>>::default());
        let noted = Arc::clone(&answers);
        let note = move |_: &mut Context<'_>, answer: u64| noted.lock().unwrap().push(answer);
        let limits = kv::Limits { key: KEY as u32, value: VALUE as u32, ..kv::Limits::default() };
        let mut given = Extism::new().var("init", &options.init).log_level(options.level);
        for (key, value) in CONFIG {
            given = given.config(key, value);
        }
        for (key, value) in VARS {
            given = given.var(key, value);
        }
        let deployed = runtime
            .deployment("f", &MODULE)
            .limits(options.limits.clone())
            .extism(given)
            .kv(kv::Grant::new(store.clone()).limits(limits))
            .host("extism:host/user", "note", note)
            .host("extism:host/user", "mirror", mirror)
            .deploy();
        match deployed {
            Ok(function) => Ok(Self { function, answers, store }),
            Err(dormouse::DeployError::Initialise { cause, .. }) => {
                let answers = std::mem::take(&mut *answers.lock().unwrap());
                Err((answers, *cause))
            }
            Err(error) => panic!("{error}"),
        }
    }

    fn answers(&self) -> Vec<u64> {
        std::mem::take(&mut self.answers.lock().unwrap())
    }

    fn run(&self, program: &[u8], fuel: u64) -> Ran {
        let namespace = self.kept();
        let gone = namespace.keys().map(|key| kv::Change::delete(key));
        let changes: Vec<_> = gone.chain(KEPT.map(|(key, value)| kv::Change::set(key, value))).collect();
        let quota = kv::Size { entries: 10, bytes: 1 << 10 };
        for change in changes {
            self.store.commit("f", &[change], quota).unwrap();
        }
        let ran = self.function.invocation(program).fuel(fuel).run();
        let answers = self.answers();
        let (ended, fuel) = match ran {
            Ok(reply) => {
                let (log, report) = (reply.log().into_owned(), reply.report().clone());
                (Ok((reply.into_output(), log, report.log_cut())), Some(report.fuel()))
            }
            Err(error) => {
                let fuel = error.report().map(|report| report.fuel());
                (Err(error.into_kind()), fuel)
            }
        };
        Ran { answers, ended, fuel, kept: self.kept() }
    }

    fn kept(&self) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let keys = self.store.list("f", b"", b"", usize::MAX).unwrap();
        let value = |key: &Vec<u8>| self.store.get("f", key).unwrap().unwrap();
        keys.into_iter().map(|key| (key.clone(), value(&key))).collect()
    }
}

/// A host function that does all that it may do with blocks. It reverses the bytes in place, and
/// copies them to a new block.
fn mirror(guest: &mut Context<'_>, handle: u64) -> std::result::Result<u64, HostError> {
    let mut bytes = guest.read_block(handle)?;
    bytes.reverse();
    if !bytes.is_empty() {
        guest.write_block(handle, &bytes)?;
    }
    // An empty one is not a block.
    guest.free_block(0)?;
    Ok(guest.new_block(&bytes)?)
}

/// Limits and other options, the fuel of a run, and both programs.
fn input(source: &mut Unstructured<'_>) -> Result<(Options, u64, Vec<Call>, Vec<Call>)> {
    let room = *source.choose(&[20 << 10, PAGE, 40 * PAGE, 9 << 10])?;
    let levels = [LogLevel::Trace, LogLevel::Debug, LogLevel::Info, LogLevel::Warn, LogLevel::Error, LogLevel::Off];
    let level = *source.choose(&levels)?;
    let fuel = *source.choose(&[u64::MAX, u64::MAX, 30_000, 3_000])?;
    let init_calls = *source.choose(&[0, 0, 0, 12])?;
    let init = calls(source, init_calls)?;
    let calls = calls(source, STEPS)?;
    let limits = Limits {
        fuel: 3_000_000,
        memory_bytes: PAGE + room,
        output_bytes: OUTPUT,
        log_bytes: LOG,
        deadline: Duration::MAX,
        ..Limits::default()
    };
    Ok((Options { limits, level, init: encode(&init) }, fuel, init, calls))
}

/// As many calls as there are bytes for, within a limit.
fn calls(source: &mut Unstructured<'_>, max: usize) -> Result<Vec<Call>> {
    let mut calls = Vec::new();
    while calls.len() < max && !source.is_empty() {
        let seldom = source.ratio(1, 100)?;
        let number =
            if seldom { source.int_in_range(SELDOM..=CALLS.len() - 1)? } else { source.choose_index(SELDOM)? };
        let (name, params, _) = CALLS[number];
        // These end the run on an invalid handle, which must not happen soon.
        let is_strict = ["config_get", "var_", "kv_", "log_", "mirror"].iter().any(|strict| name.starts_with(strict));
        let is_right = is_strict && !source.ratio(1, 40)?;
        let (mut slots, mut numbers) = ([NONE; 3], [0; 3]);
        for (at, kind) in params.bytes().enumerate() {
            if kind == b'h' && is_right && !source.ratio(1, 6)? {
                slots[at] = calls.len() as u8;
                let most = TEXTS.len() - usize::from(!source.ratio(1, 8)?);
                text(source.choose(&TEXTS[..most])?, &mut calls);
            } else if kind == b'h' && !is_right {
                (slots[at], numbers[at]) = handle(source, calls.len())?;
            } else if kind != b'h' {
                numbers[at] = word(source)?;
            }
        }
        calls.push(Call { number: number as u8, slots, numbers });
    }
    calls.truncate(max);
    Ok(calls)
}

/// A block with a text.
fn text(text: &[u8], calls: &mut Vec<Call>) {
    let slot = calls.len() as u8;
    let mut call = |name: &str, slots: [u8; 3], numbers: [u64; 3]| {
        let number = CALLS.iter().position(|(known, ..)| *known == name).unwrap() as u8;
        calls.push(Call { number, slots, numbers });
    };
    call("alloc", [NONE; 3], [text.len() as u64, 0, 0]);
    let slots = [slot, NONE, NONE];
    let words = text.chunks_exact(8);
    let rest = words.remainder();
    for (at, word) in words.enumerate() {
        call("store_u64", slots, [at as u64 * 8, u64::from_le_bytes(word.try_into().unwrap()), 0]);
    }
    for (at, byte) in rest.iter().enumerate() {
        call("store_u8", slots, [(text.len() - rest.len() + at) as u64, u64::from(*byte), 0]);
    }
}

/// The answer of an earlier call, mostly one of the last, and a distance from it, mostly zero.
fn handle(source: &mut Unstructured<'_>, made: usize) -> Result<(u8, u64)> {
    let slot = |back: usize| made.checked_sub(back + 1).map_or(NONE, |slot| slot as u8);
    Ok(match source.int_in_range(0..=11)? {
        0..=5 => (slot(source.int_in_range(0..=12)?), 0),
        6 => (slot(source.int_in_range(0..=STEPS)?), 0),
        7 => (slot(source.int_in_range(0..=12)?), source.int_in_range(0..=40)?),
        8 => (slot(source.int_in_range(0..=12)?), source.arbitrary()?),
        9 => (NONE, 0),
        10 => (NONE, (source.int_in_range(0..=20)? << 32) + source.int_in_range(0..=2)?),
        _ => (NONE, source.arbitrary()?),
    })
}

/// A length, an offset, a value.
fn word(source: &mut Unstructured<'_>) -> Result<u64> {
    Ok(match source.int_in_range(0..=7)? {
        0..=3 => source.int_in_range(0..=40)?,
        4 => source.int_in_range(0..=5_000)?,
        5 => source.int_in_range(0..=3 << 20)?,
        6 => u64::MAX - source.int_in_range(0..=20)?,
        _ => source.arbitrary()?,
    })
}

/// 32 bytes for each call, as the plug-in reads them.
fn encode(calls: &[Call]) -> Vec<u8> {
    let words = |call: &Call| {
        let [a, b, c] = call.slots;
        [u64::from_le_bytes([call.number, a, b, c, 0, 0, 0, 0]), call.numbers[0], call.numbers[1], call.numbers[2]]
    };
    calls.iter().flat_map(words).flat_map(u64::to_le_bytes).collect()
}

/// A plug-in that does what its event says, and in initialisation what the variable `init` says. It
/// records its input's handle and the answer of each call. The program lies at 0, the answers at
/// 16,384.
static MODULE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut text = String::from(r#"(module (import "extism:host/user" "note" (func $note (param i64)))"#);
    let mut wrappers = String::new();
    for (number, (name, params, result)) in CALLS.iter().enumerate() {
        let wide = |kind: u8| if kind == b'i' { "i32" } else { "i64" };
        let types: Vec<&str> = params.bytes().map(wide).collect();
        if number < IMPORTED {
            let module = if name.starts_with("kv_") || *name == "mirror" { "user" } else { "env" };
            let results: Vec<&str> = result.bytes().map(wide).collect();
            let (types, results) = (types.join(" "), results.concat());
            write!(
                text,
                r#"(import "extism:host/{module}" "{name}" (func ${name} (param {types}) (result {results})))"#
            )
            .unwrap();
        }
        let arg = |(at, ty): (usize, &&str)| {
            if *ty == "i32" { format!("(i32.wrap_i64 (local.get {at}))") } else { format!("(local.get {at})") }
        };
        let call = format!("(call ${name} {})", types.iter().enumerate().map(arg).collect::<String>());
        let body = match *result {
            "" => format!("{call} (i64.const 0)"),
            "i" => format!("(i64.extend_i32_u {call})"),
            _ => call,
        };
        write!(wrappers, "(func $call_{name} (param i64 i64 i64) (result i64) {body})").unwrap();
    }
    let table: String = CALLS.iter().map(|(name, ..)| format!(" $call_{name}")).collect();
    write!(
        text,
        r#"(memory 1) (type $call (func (param i64 i64 i64) (result i64))) (table funcref (elem {table}))
        (global $code (mut i32) (i32.const 0)) (global $done (mut i32) (i32.const 0))
        (func $grow (param i64) (result i32) (memory.grow (i32.and (i32.wrap_i64 (local.get 0)) (i32.const 3))))
        (func $trap unreachable)
        (func $end (param i32) (global.set $code (local.get 0)) (global.set $done (i32.const 1)))
        {wrappers}
        (func $argument (param $at i32) (param $argument i32) (result i64) (local $slot i32)
          (local.set $slot (i32.load8_u offset=1 (i32.add (local.get $at) (local.get $argument))))
          (i64.add (i64.load offset=8 (i32.add (local.get $at) (i32.shl (local.get $argument) (i32.const 3))))
            (if (result i64) (i32.eq (local.get $slot) (i32.const 255)) (then (i64.const 0))
              (else (i64.load offset=16384 (i32.shl (local.get $slot) (i32.const 3)))))))
        (func $interpret (param $program i64) (param $len i64) (local $at i32) (local $end i32) (local $answer i64)
          (global.set $code (i32.const 0)) (global.set $done (i32.const 0))
          (call $note (local.get $program))
          (local.set $end (i32.wrap_i64 (local.get $len)))
          (loop $copy (if (i32.lt_u (local.get $at) (local.get $end)) (then
            (i64.store (local.get $at) (call $load_u64 (i64.add (local.get $program) (i64.extend_i32_u (local.get $at)))))
            (local.set $at (i32.add (local.get $at) (i32.const 8)))
            (br $copy))))
          (local.set $at (i32.const 0))
          (loop $next (if (i32.and (i32.lt_u (local.get $at) (local.get $end)) (i32.eqz (global.get $done))) (then
            (local.set $answer (call_indirect (type $call)
              (call $argument (local.get $at) (i32.const 0))
              (call $argument (local.get $at) (i32.const 1))
              (call $argument (local.get $at) (i32.const 2))
              (i32.load8_u (local.get $at))))
            (i64.store offset=16384 (i32.shr_u (local.get $at) (i32.const 2)) (local.get $answer))
            (call $note (local.get $answer))
            (local.set $at (i32.add (local.get $at) (i32.const 32)))
            (br $next)))))
        (func (export "_initialize") (local $key i64)
          (local.set $key (call $alloc (i64.const 4)))
          (call $store_u8 (local.get $key) (i32.const 105))
          (call $store_u8 (i64.add (local.get $key) (i64.const 1)) (i32.const 110))
          (call $store_u8 (i64.add (local.get $key) (i64.const 2)) (i32.const 105))
          (call $store_u8 (i64.add (local.get $key) (i64.const 3)) (i32.const 116))
          (local.set $key (call $var_get (local.get $key)))
          (call $interpret (local.get $key) (call $length (local.get $key))))
        (func (export "go") (result i32) (call $interpret (call $input_offset) (call $input_length)) (global.get $code)))"#
    )
    .unwrap();
    wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
});
