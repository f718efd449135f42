//! Each call of a generated module answers the same, whatever an earlier call left on the
//! interpreter's stack: see `fuzz/src/repeatable.rs`.
//!
//! `DORMOUSE_SHAPES=2000000 DORMOUSE_FIRST_SEED=0 cargo test --release --test it repeatable:: --
//! --nocapture` runs longer, on all cores, and prints what the modules consist of.

use std::{
    cell::Cell,
    panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use crate::{
    support::count,
    targets::{Census, repeatable},
};

/// The counts of all threads.
#[derive(Default)]
struct Done {
    modules: u64,
    calls: u64,
    traps: u64,
    exhausted: u64,
    census: Census,
    problems: Vec<(u64, String)>,
}

thread_local! {
    /// The seed that this thread runs.
    static SEED: Cell<Option<u64>> = const { Cell::new(None) };
}

/// Prints the seed before a panic that ends the process, as some of the interpreter's panics do.
fn tell_seeds() {
    let usual = take_hook();
    set_hook(Box::new(move |info| {
        if let Some(seed) = SEED.get() {
            eprintln!("seed {seed}:");
        }
        usual(info);
    }));
}

/// Runs seeds from `next` to an end, which it shares with the other threads.
fn run(next: &AtomicU64, end: u64, done: &Mutex<Done>) {
    let mut own = Done::default();
    loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= end {
            break;
        }
        SEED.set(Some(seed));
        own.modules += 1;
        // The interpreter panics on some code that it mistranslates.
        match catch_unwind(AssertUnwindSafe(|| repeatable(seed))) {
            Ok(Ok(repeated)) => {
                own.calls += repeated.calls;
                own.traps += repeated.traps;
                own.exhausted += repeated.exhausted;
                own.census.merge(&repeated.census);
            }
            Ok(Err(difference)) => own.problems.push((seed, difference.to_string())),
            Err(_) => own.problems.push((seed, format!("seed {seed}: a panic"))),
        }
    }
    SEED.set(None);
    let mut done = done.lock().unwrap();
    done.modules += own.modules;
    done.calls += own.calls;
    done.traps += own.traps;
    done.exhausted += own.exhausted;
    done.census.merge(&own.census);
    done.problems.extend(own.problems);
}

#[test]
fn calls_answer_alike_whatever_lies_in_the_stack() {
    let (first, seeds) = (count("DORMOUSE_FIRST_SEED", 0), count("DORMOUSE_SHAPES", 2_000));
    let (next, done) = (AtomicU64::new(first), Mutex::new(Done::default()));
    tell_seeds();
    let started = Instant::now();
    let threads = std::thread::available_parallelism().map_or(1, |threads| threads.get());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| run(&next, first + seeds, &done));
        }
    });
    let Done { modules, calls, traps, exhausted, census, mut problems } = done.into_inner().unwrap();
    if seeds > 10_000 {
        println!("{census}never made: {:?}", census.never_made());
    }
    let seconds = started.elapsed().as_secs_f64();
    println!(
        "{modules} modules, {calls} calls in {seconds:.1} s; {traps} of them trapped and {exhausted} ran out of fuel"
    );
    problems.sort();
    let shown: Vec<&str> = problems.iter().take(20).map(|(_, problem)| problem.as_str()).collect();
    assert!(problems.is_empty(), "{} modules answer differently:\n{}", problems.len(), shown.join("\n"));
    assert!(traps < calls / 3, "too many calls trap: {traps} of {calls}");
    assert!(exhausted < calls / 100, "too many calls run out of fuel: {exhausted} of {calls}");
}
