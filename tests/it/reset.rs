//! Cleaning instances, by every technique: after any run, on any thread, no byte of memory differs
//! from the image.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    thread,
    time::Duration,
};

use dormouse::{Context, Function, Limits, Reset, Runtime, StartKind, Value};

use crate::support::{Random, count, wat};

const ALL: [Reset; 4] = [Reset::Portable, Reset::Auto, Reset::ByFaultCount, Reset::ByPageScan];

/// Some pages with data far apart. `poke` writes a word, `fill` writes a range and `peek` reads a
/// word, all at given addresses.
fn module(pages: u32) -> Vec<u8> {
    wat(&format!(
        r#"(module (import "host" "call" (func $host)) (memory (export "memory") {pages})
             (data (i32.const 100) "first") (data (i32.const {last}) "last")
             (func (export "poke") (param i32 i32) (i32.store (local.get 0) (local.get 1)))
             (func (export "peek") (param i32) (result i32) (i32.load (local.get 0)))
             (func (export "fill") (param i32 i32 i32) (memory.fill (local.get 0) (local.get 1) (local.get 2)))
             (func (export "nested") (param i32) (i32.store (local.get 0) (i32.const -1)) (call $host)
               (i32.store offset=8192 (local.get 0) (i32.const -1)))
             (func (export "trap") (param i32) (i32.store (local.get 0) (i32.const -1)) unreachable))"#,
        last = pages * 65_536 - 10,
    ))
}

fn deploy(
    reset: Reset,
    pages: u32,
    instances: usize,
    call: impl Fn(&mut Context<'_>) + Send + Sync + 'static,
) -> Function {
    let runtime = Runtime::builder().reset(reset).build();
    let module = module(pages);
    let deployment = runtime.deployment("f", &module).instances(0..=instances).max_wait(Duration::from_secs(60));
    deployment.host("host", "call", call).deploy().unwrap()
}

/// The whole memory, as a new session sees it.
fn memory(function: &Function, pages: u32) -> Vec<u8> {
    function.session(|guest| guest.read(0, pages as usize * 65_536)).unwrap().into_value()
}

fn image(pages: u32) -> Vec<u8> {
    let mut image = vec![0; pages as usize * 65_536];
    image[100..105].copy_from_slice(b"first");
    let last = image.len() - 10;
    image[last..last + 4].copy_from_slice(b"last");
    image
}

/// One random run: light, heavy, or a write by the host. It ends well, by a trap or without fuel.
fn disturb(function: &Function, random: &mut Random, pages: u32) {
    let size = u64::from(pages) * 65_536;
    let at = |random: &mut Random| Value::I32(random.below(size - 16) as i32);
    match random.below(10) {
        0..=3 => {
            let args = [at(random), Value::I32(random.next() as i32)];
            function.call("poke", &args).unwrap();
        }
        4 => {
            let from = random.below(size);
            let len = random.below((size - from).min(200_000) + 1);
            let args = [Value::I32(from as i32), Value::I32(random.next() as i32), Value::I32(len as i32)];
            function.call("fill", &args).unwrap();
        }
        5 => drop(function.call("peek", &[at(random)]).unwrap()),
        6 => drop(function.call("trap", &[at(random)]).unwrap_err()),
        7 => drop(function.invocation(b"").fuel(3).call("fill", &[Value::I32(0), Value::I32(1), Value::I32(500)])),
        8 => {
            let len = 1 + random.below(10_000.min(size - 1)) as usize;
            let from = random.below(size - len as u64) as u32;
            let bytes = random.bytes(len);
            function.session(|guest| guest.write(from, &bytes)).unwrap();
        }
        _ => {
            let from = random.below(size - 16_384) as i32;
            drop(function.call("nested", &[Value::I32(from)]));
        }
    }
}

#[test]
fn the_report_of_deployment_says_how_instances_become_clean_and_they_are_used_again() {
    for reset in ALL {
        let function = deploy(reset, 2, 1, |_| {});
        let report = function.deploy_report().unwrap();
        let wished = match reset {
            Reset::Portable => "portable",
            Reset::ByPageScan => "by_page_scan",
            _ => "by_fault_count",
        };
        assert_eq!(report.reset(), if has_regions() { wished } else { "portable" }, "{reset:?}");
        assert_eq!(report.image_bytes(), 2 * 4_096, "two pages with data");
        for run in 0..20 {
            let poked = function.call("poke", &[Value::I32(run * 4_096), Value::I32(1)]).unwrap();
            assert_eq!(
                poked.report().start(),
                if run == 0 { StartKind::Cold } else { StartKind::Warm },
                "{reset:?}, {run}"
            );
        }
    }
    let empty = wat(r#"(module (memory 0) (func (export "poke") (i32.store (i32.const 0) (i32.const 1))))"#);
    assert_eq!(Runtime::new().deploy("empty", &empty).unwrap().deploy_report().unwrap().reset(), "portable");
}

/// Whether instances can stand on regions here.
fn has_regions() -> bool {
    deploy(Reset::ByFaultCount, 1, 1, |_| {}).deploy_report().unwrap().reset() == "by_fault_count"
}

#[test]
fn random_runs_leave_no_byte_behind_whatever_the_technique() {
    for reset in ALL {
        for pages in [1, 17] {
            let function = deploy(reset, pages, 1, |_| {});
            let (mut random, image) = (Random::new(u64::from(pages)), image(pages));
            for run in 0..count("DORMOUSE_RUNS", 400) {
                disturb(&function, &mut random, pages);
                assert!(memory(&function, pages) == image, "{reset:?}, {pages} pages, run {run}");
            }
        }
    }
}

#[test]
fn random_runs_on_several_threads_and_instances_leave_no_byte_behind() {
    let pages = 4;
    let image = image(pages);
    for reset in ALL {
        let function = deploy(reset, pages, 3, |_| {});
        let runs = AtomicU64::new(0);
        thread::scope(|scope| {
            for seed in 0..4 {
                let (function, image, runs) = (&function, &image, &runs);
                scope.spawn(move || {
                    let mut random = Random::new(seed);
                    while runs.fetch_add(1, Relaxed) < count("DORMOUSE_RUNS", 1_500) {
                        disturb(function, &mut random, pages);
                        assert!(memory(function, pages) == *image, "{reset:?}, seed {seed}");
                    }
                });
            }
        });
    }
}

#[test]
fn an_instance_that_wanders_between_two_threads_is_clean_on_both() {
    let pages = 2;
    for reset in ALL {
        let function = deploy(reset, pages, 1, |_| {});
        let image = image(pages);
        for round in 0..60 {
            // T1, T2, T1: each writes to its own page, some of them for the first time.
            let poke = |page: i32| {
                let at = Value::I32((page % 32) * 4_096 + 4);
                function.call("poke", &[at, Value::I32(-1)]).unwrap();
            };
            poke(round);
            thread::scope(|scope| scope.spawn(|| poke(round + 7)).join()).unwrap();
            assert!(memory(&function, pages) == image, "{reset:?}, round {round}");
        }
    }
}

#[test]
fn a_run_within_a_run_on_one_thread_hides_nothing_of_the_outer() {
    let pages = 17;
    for reset in ALL {
        let function = deploy(reset, pages, 2, |guest| {
            // The inner run takes its own faults and reads the thread's count.
            let runtime = guest.runtime();
            let function = runtime.find("f").unwrap();
            function.call("poke", &[Value::I32(50_000), Value::I32(-1)]).unwrap();
        });
        let image = image(pages);
        for round in 0..60 {
            function.call("nested", &[Value::I32(round * 8_192)]).unwrap();
            assert!(memory(&function, pages) == image, "{reset:?}, round {round}");
            let seen = function.session(|outer| {
                outer.write(70_000 + 4_096 * round as u32, b"outer")?;
                Ok(memory(&function, pages) == image)
            });
            assert!(*seen.unwrap().value(), "{reset:?}, round {round}: instances are apart");
        }
    }
}

#[test]
fn a_heavy_run_does_not_make_later_ones_wrong_while_its_pages_are_given_back() {
    let pages = 64;
    let image = image(pages);
    for reset in [Reset::ByFaultCount, Reset::ByPageScan] {
        let function = deploy(reset, pages, 1, |_| {});
        for _ in 0..3 {
            let all = [Value::I32(0), Value::I32(7), Value::I32(pages as i32 * 65_536)];
            function.call("fill", &all).unwrap();
            for round in 0..80 {
                function.call("poke", &[Value::I32(round * 4_096), Value::I32(9)]).unwrap();
                if round % 10 == 0 {
                    assert!(memory(&function, pages) == image, "{reset:?}, round {round}");
                }
            }
        }
    }
}

#[test]
fn an_instance_that_moves_stays_warm_and_burns_the_same_fuel() {
    let function = deploy(Reset::Auto, 17, 1, |_| {});
    let fuel = |start| {
        let returned = function.call("poke", &[Value::I32(4), Value::I32(4)]).unwrap();
        assert_eq!(returned.report().start(), start);
        returned.report().fuel()
    };
    let first = fuel(StartKind::Cold);
    for round in 0..100 {
        assert_eq!(fuel(StartKind::Warm), first, "round {round}");
    }
}

#[test]
fn a_memory_on_a_region_grows_up_to_its_limit_and_is_replaced() {
    let module = wat(r#"(module (memory (export "memory") 2 6)
             (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
             (func (export "poke") (param i32) (i32.store (local.get 0) (i32.const -1)))
             (func (export "size") (result i32) (memory.size)))"#);
    for reset in ALL {
        for (memory, most) in [(64 << 20, 4), (4 << 16, 2)] {
            let runtime = Runtime::builder().reset(reset).build();
            let limits = Limits { memory_bytes: memory, ..Limits::default() };
            let function = runtime.deployment("f", &module).limits(limits).deploy().unwrap();
            for round in 0..40 {
                function.call("poke", &[Value::I32(131_000 - round % 30 * 4_096)]).unwrap();
                if round % 5 == 4 {
                    let grown = function.session(|guest| {
                        let last = guest.call("grow", &[Value::I32(most)])?[0];
                        let refused = guest.call("grow", &[Value::I32(1)])?[0];
                        let end = (2 + most) * 65_536 - 4;
                        guest.call("poke", &[Value::I32(end)])?;
                        Ok((
                            last,
                            refused,
                            guest.read(131_072, most as usize * 65_536 - 4)?.iter().all(|byte| *byte == 0),
                        ))
                    });
                    assert_eq!(*grown.unwrap().value(), (Value::I32(2), Value::I32(-1), true), "{reset:?}");
                }
                let size = function.call("size", &[]).unwrap();
                assert_eq!(size.values(), [Value::I32(2)], "{reset:?}, round {round}");
            }
        }
    }
}
