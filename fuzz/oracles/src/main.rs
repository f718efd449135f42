//! Compares the library with other engines on generated modules: Node's V8, and with the feature
//! `wasmtime` Wasmtime.
//!
//! The library's other tests have wasmi itself as their oracle, so they cannot see a fault in
//! wasmi's translation.
//!
//! The program deploys each module, and calls its exports on cold and on used instances, between
//! calls that trap. Each call of the oracle begins on a fresh instance. Values must agree bit for
//! bit. So must the kind of trap, and a digest of memories, globals and tables.
//!
//! It ends with 1 if anything differs or too little could be compared, and with 2 if it cannot run.

mod compare;
mod engine;
mod fitted;
mod options;
mod ours;
mod outcome;
mod reduce;
mod runs;
mod source;
mod tally;
#[cfg(test)]
mod tests;

// From the fuzz targets, without libFuzzer.
#[allow(unreachable_pub, dead_code, reason = "elsewhere it is a library, and some of it is used there alone")]
#[path = "../../src/random.rs"]
mod random;
#[allow(unreachable_pub, dead_code, reason = "elsewhere it is a library, and some of it is used there alone")]
#[path = "../../src/shapes/mod.rs"]
mod shapes;
#[allow(unreachable_pub, reason = "elsewhere it is a library")]
#[path = "../../src/smith.rs"]
mod smith;

#[cfg(feature = "wasmtime")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    process::ExitCode,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use compare::Case;
use engine::Engine;
use options::{Modules, Options, Oracle};
use ours::Ours;
use random::Random;
use source::Source;
use tally::Tally;

const PROGRESS: Duration = Duration::from_secs(10);

/// How many modules with a difference are reported in full, and kept.
const TOLD: u64 = 25;
const KEPT: u64 = 1_000;

fn main() -> ExitCode {
    let run = Options::read(std::env::args().skip(1)).and_then(|options| run(&options));
    match run {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

fn start(oracle: Oracle) -> Result<Box<dyn Engine>, String> {
    match oracle {
        Oracle::Node => Ok(Box::new(engine::node::Node::start()?)),
        #[cfg(feature = "wasmtime")]
        Oracle::Wasmtime => Ok(Box::new(engine::wasmtime::Wasmtime::start()?)),
    }
}

/// Whether the run succeeded.
fn run(options: &Options) -> Result<bool, String> {
    if let Some(folder) = &options.keep {
        fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    match &options.modules {
        Modules::File(path) => {
            let bytes = wat::parse_file(path).map_err(|error| error.to_string())?;
            one(options, 0, &bytes, false)
        }
        Modules::Seeds { source, first, is_verbose: true, .. } => {
            let Some((bytes, _)) = source.module(*first) else {
                return Err(format!("the seed {first} makes no module"));
            };
            one(options, *first, &bytes, *source == Source::Shapes)
        }
        Modules::Seeds { source, first, count, is_verbose: false } => many(options, *source, *first, *count),
    }
}

/// Reports one module in full.
fn one(options: &Options, seed: u64, bytes: &[u8], has_patterns: bool) -> Result<bool, String> {
    let (mut oracle, mut tally) = (start(options.oracle)?, Tally::default());
    let case = Case { seed, bytes, has_patterns, is_verbose: !options.reduces };
    let ours = Ours::new();
    let text = compare::compare(&case, &ours, &mut *oracle, &mut tally);
    if options.reduces && !text.is_empty() {
        // The generated code comes first, one function for each export. It calls the functions
        // behind it.
        let functions = if has_patterns { fitted::fit(bytes).map_or(0, |module| module.digest()) } else { usize::MAX };
        let bytes = reduce::reduce(bytes, functions, |bytes| {
            let case = Case { seed, bytes, has_patterns, is_verbose: false };
            !compare::compare(&case, &ours, &mut *oracle, &mut Tally::default()).is_empty()
        });
        print!("{}", reduce::listing(&bytes, functions));
        let case = Case { seed, bytes: &bytes, has_patterns, is_verbose: false };
        print!("{}", compare::compare(&case, &ours, &mut *oracle, &mut Tally::default()));
        if let Some(folder) = &options.keep {
            keep(folder, &format!("{seed}-reduced"), &bytes);
        }
        return Ok(false);
    }
    if let Some(folder) = &options.keep {
        keep(folder, &format!("{seed}"), bytes);
    }
    print!("{text}{tally}");
    Ok(text.is_empty())
}

/// Modules one after the other, on several threads.
fn many(options: &Options, source: Source, first: u64, count: u64) -> Result<bool, String> {
    let began = Instant::now();
    let (next, done) = (AtomicU64::new(0), AtomicU64::new(0));
    let told = AtomicU64::new(0);
    let total = Mutex::new(Tally::default());
    let work = || -> Result<(), String> {
        let (mut oracle, ours, mut tally) = (start(options.oracle)?, Ours::new(), Tally::default());
        loop {
            let at = next.fetch_add(1, Relaxed);
            if at >= count || options.seconds.is_some_and(|seconds| began.elapsed() >= seconds) {
                break;
            }
            let seed = first + at;
            let text = catch_unwind(AssertUnwindSafe(|| {
                let Some((bytes, census)) = source.module(seed) else {
                    tally.left_out("the source makes none");
                    return (None, String::new());
                };
                let case = Case { seed, bytes: &bytes, has_patterns: source == Source::Shapes, is_verbose: false };
                let before = tally.modules;
                let text = compare::compare(&case, &ours, &mut *oracle, &mut tally);
                if let (Some(census), true) = (census, tally.modules > before) {
                    tally.census.get_or_insert_default().merge(&census);
                }
                (Some(bytes), text)
            }));
            let (bytes, text) = text.unwrap_or_else(|_| (None, "  a panic, told above\n".to_owned()));
            tally.seeds += 1;
            done.fetch_add(1, Relaxed);
            if !text.is_empty() {
                tally.differences += 1;
                let nth = told.fetch_add(1, Relaxed);
                if nth < TOLD {
                    print!("difference: seed {seed} of {}\n{text}", source.name());
                } else if nth == TOLD {
                    println!("differences of more modules are counted, and not told");
                }
                if let (Some(folder), Some(bytes), true) = (&options.keep, &bytes, nth < KEPT) {
                    keep(folder, &format!("{}-{seed}", source.name()), bytes);
                }
            }
        }
        *total.lock().expect("nobody panics with it") += tally;
        Ok(())
    };
    let outcome = std::thread::scope(|scope| {
        let mut threads: Vec<std::thread::ScopedJoinHandle<'_, Result<(), String>>> = Vec::new();
        for _ in 0..options.threads {
            // An interpreter that recurses natively, and compiled code, have their stack here.
            let thread = std::thread::Builder::new().stack_size(16 << 20);
            threads.push(thread.spawn_scoped(scope, work).map_err(|error| error.to_string())?);
        }
        let mut said = Instant::now();
        while !threads.iter().all(|thread| thread.is_finished()) {
            std::thread::sleep(Duration::from_millis(20));
            if said.elapsed() >= PROGRESS {
                said = Instant::now();
                let (done, told) = (done.load(Relaxed), told.load(Relaxed));
                let speed = done as f64 / began.elapsed().as_secs_f64();
                println!(
                    "{:>6.0} s  {done} seeds, {speed:.0} a second, {told} with a difference",
                    began.elapsed().as_secs_f64()
                );
            }
        }
        threads.into_iter().try_for_each(|thread| thread.join().expect("panics are caught"))
    });
    outcome?;
    let tally = total.into_inner().expect("nobody panics with it");
    let seconds = began.elapsed().as_secs_f64();
    print!("{tally}");
    println!(
        "{seconds:.1} s, {:.0} seeds a second, {:.0} modules compared a second",
        tally.seeds as f64 / seconds,
        tally.modules as f64 / seconds
    );
    let mut is_well = tally.differences == 0;
    for (what, percent, most) in [
        ("calls skipped", tally.skipped_percent(), options.skipped_at_most(source)),
        ("modules that the oracle lacks something for", tally.lacking_percent(), options.lacking_at_most()),
    ] {
        if percent > most {
            println!("{what}: {percent:.2} %, which is more than {most} %");
            is_well = false;
        }
    }
    if tally.modules == 0 {
        println!("nothing was compared");
        is_well = false;
    }
    Ok(is_well)
}

fn keep(folder: &std::path::Path, name: &str, bytes: &[u8]) {
    let path = folder.join(format!("{name}.wasm"));
    if let Err(error) = fs::write(&path, bytes) {
        eprintln!("{}: {error}", path.display());
    }
}
