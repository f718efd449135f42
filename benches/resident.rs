//! How much memory do 1,000 idle instances of a 17-page Rust guest hold, and does trimming give it
//! back?
//!
//! `cargo bench --bench resident` prints a table. With `DORMOUSE_RECORD=1` it writes the table to
//! benches/README.md. Each row is measured in a process of its own, so that no row finds what
//! another has left in the allocator. The kernel counts bytes and page faults.

use std::{env, fs, process::Command, sync::Barrier, thread, time::Duration};

use dormouse::{Function, Reset, Runtime, RuntimeLimits, StartKind};

#[path = "support/guests.rs"]
#[allow(dead_code, reason = "one guest of them is enough here")]
mod guests;
#[path = "support/raw.rs"]
#[allow(dead_code, reason = "what keeps an instance going is not needed here")]
mod raw;
#[path = "support/record.rs"]
#[allow(dead_code, reason = "there are no times here")]
mod record;

use guests::{EVENT, built};
use raw::Raw;
use record::table;

/// The folder of the package.
const REPOSITORY: &str = env!("CARGO_MANIFEST_DIR");

/// A Rust guest of 17 pages that grows to 18 when its allocator is first called.
const GUEST: &str = "echo.rust.reactor";

const INSTANCES: usize = 1_000;

/// What is measured, and how often each instance has been invoked.
const ROWS: [(&str, usize); 6] = [("raw", 0), ("raw", 1), ("ours", 0), ("ours", 1), ("ours", 32), ("ours_portable", 1)];

/// The variable that holds the number of the row for the process that measures it.
const ROW: &str = "DORMOUSE_RESIDENT_ROW";

fn main() {
    // As with criterion, `--test` runs everything once with few instances, and measures nothing.
    let count = if env::args().any(|argument| argument == "--test") { 8 } else { INSTANCES };
    if let Some(row) = env::var_os(ROW) {
        let row = row.to_str().and_then(|row| row.parse().ok()).and_then(|row: usize| ROWS.get(row));
        let (contender, runs) = row.expect("a row of the table");
        println!("{}", measure(contender, *runs, count).map(|cell| cell.to_string()).join(" "));
        return;
    }
    let head = [
        "",
        "runs of each",
        "resident KiB each",
        "of these not shared",
        "page faults to make one",
        "KiB each after trimming",
    ];
    let mut cells = vec![head.map(str::to_owned).to_vec()];
    for (row, (contender, runs)) in ROWS.iter().enumerate() {
        let program = env::current_exe().expect("this program has a path");
        let output =
            Command::new(program).args(env::args().skip(1)).env(ROW, row.to_string()).output().expect("it starts");
        assert!(output.status.success(), "{contender}, {runs} runs: {}", String::from_utf8_lossy(&output.stderr));
        let figures = String::from_utf8_lossy(&output.stdout).trim().split(' ').map(str::to_owned).collect::<Vec<_>>();
        cells.push([vec![format!("`{contender}`"), runs.to_string()], figures].concat());
    }
    let text = table(&cells);
    println!("{count} idle instances of {GUEST}\n\n{text}");
    if record::is_asked_for() && count == INSTANCES {
        record::write("benches/README.md", "resident", &text);
    }
}

/// For each instance: its resident KiB, those that are this process's alone, the page faults of
/// making it, and its resident KiB after it was dropped.
fn measure(contender: &str, runs: usize, count: usize) -> [i64; 4] {
    match contender {
        "raw" => measure_raw(runs, count),
        "ours" => measure_ours(Reset::Auto, runs, count),
        "ours_portable" => measure_ours(Reset::Portable, runs, count),
        other => unreachable!("no contender is named {other}"),
    }
}

fn measure_raw(runs: usize, count: usize) -> [i64; 4] {
    let engine = raw::engine();
    let module = raw::compile(&engine, &built(GUEST));
    // The first one translates functions, which all share.
    let run = |raw: &mut Raw| {
        let mut reply = Vec::new();
        raw.run(&EVENT, &mut reply);
        assert_eq!(reply, EVENT);
    };
    run(&mut Raw::new(&engine, &module));
    let before = Memory::now();
    let faults = faults();
    let mut instances: Vec<_> = (0..count).map(|_| Raw::new(&engine, &module)).collect();
    let faults = self::faults() - faults;
    instances.iter_mut().for_each(|raw| (0..runs).for_each(|_| run(raw)));
    let held = Memory::now();
    drop(instances);
    figures(count, before, held, Memory::now(), faults)
}

fn measure_ours(reset: Reset, runs: usize, count: usize) -> [i64; 4] {
    let limits = RuntimeLimits { resident_memory: 8 << 30, ..RuntimeLimits::default() };
    let runtime = Runtime::builder().limits(limits).reset(reset).build();
    let function = runtime.deployment("echo", &built(GUEST)).instances(0..=count).deploy().expect("it deploys");
    use_all(&function, 1, 1);
    function.trim(Duration::ZERO);
    let before = Memory::now();
    let faults = faults();
    assert_eq!(function.prewarm(count).expect("there is room"), count);
    let faults = self::faults() - faults;
    for _ in 0..runs {
        use_all(&function, count, 0);
    }
    let instances = function.instances();
    assert_eq!((instances.idle, instances.live), (count, count));
    let held = Memory::now();
    assert_eq!(function.trim(Duration::ZERO), count);
    figures(count, before, held, Memory::now(), faults)
}

/// Invokes each of so many instances once. `cold` of them are not made yet.
///
/// The pool lends the last used instance first. So each of as many threads holds one at the same
/// time, in a session.
fn use_all(function: &Function, count: usize, cold: usize) {
    let meet = Barrier::new(count);
    let use_one = || {
        let ran = function.session(|guest| {
            meet.wait();
            let at = guest.call("alloc", &[(EVENT.len() as i32).into()])?[0];
            guest.write(at.as_u32(), &EVENT)?;
            let answer = guest.call("handle", &[at, (EVENT.len() as i32).into()])?[0].as_u64();
            guest.read((answer >> 32) as u32, answer as u32 as usize)
        });
        let ran = ran.expect("it answers");
        assert_eq!(ran.value(), &EVENT);
        ran.report().start()
    };
    let starts: Vec<_> = thread::scope(|scope| {
        let small = || thread::Builder::new().stack_size(1 << 20);
        let users: Vec<_> =
            (0..count).map(|_| small().spawn_scoped(scope, use_one).expect("a thread starts")).collect();
        users.into_iter().map(|user| user.join().expect("no user panics")).collect()
    });
    assert_eq!(starts.iter().filter(|start| **start == StartKind::Cold).count(), cold);
}

/// What this process holds, in KiB.
#[derive(Clone, Copy)]
struct Memory {
    resident: i64,
    private: i64,
}

impl Memory {
    fn now() -> Self {
        let text = fs::read_to_string("/proc/self/smaps_rollup").expect("Linux tells what a process holds");
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("no {name}"));
            line.trim().trim_end_matches(" kB").parse::<i64>().expect("a number of KiB")
        };
        Self { resident: field("Rss:"), private: field("Private_Clean:") + field("Private_Dirty:") }
    }
}

/// Page faults of this thread so far that needed no disk.
fn faults() -> i64 {
    let text = fs::read_to_string("/proc/thread-self/stat").expect("Linux counts page faults");
    // The second field is a name in brackets, which may hold anything; minflt is the eighth after
    // it.
    let (_, fields) = text.rsplit_once(')').expect("a name in brackets");
    fields.split_whitespace().nth(7).and_then(|field| field.parse().ok()).expect("minflt")
}

fn figures(count: usize, before: Memory, held: Memory, after: Memory, faults: i64) -> [i64; 4] {
    let each = |total: i64| (total as f64 / count as f64).round() as i64;
    [
        each(held.resident - before.resident),
        each(held.private - before.private),
        each(faults),
        each(after.resident - before.resident),
    ]
}
