//! What could hide a written page from the gate, each in a process of its own: locked memory, forks, denied calls,
//! descriptors that became other files, a process that may not look at itself. After each, no byte of an earlier run may
//! be seen.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with the error")]

mod descriptors;
mod filters;

use std::{env, io, process::Command};

use super::{
    Mapped, Regions, available, faults,
    linux::{ASKS_BEFORE_RING, has_ring},
};
use filters::{deny, deny_with};

use crate::{
    Function, Reset, Runtime, Start, Value,
    instance::{Gate, moment},
};

const PAGES: i32 = 17;

/// A function on a region: used often enough to have moved there, with some pages written.
fn settled(reset: Reset) -> Function {
    let text = format!(
        r#"(module (memory (export "memory") {PAGES}) (data (i32.const 70000) "image")
             (func (export "poke") (param i32 i32) (i32.store (local.get 0) (local.get 1)))
             (func (export "peek") (param i32) (result i32) (i32.load (local.get 0))))"#
    );
    let runtime = Runtime::builder().reset(reset).build();
    let module = wat::parse_str(text).unwrap();
    let function = runtime.deployment("f", &module).instances(0..=1).deploy().unwrap();
    for page in 0..20 {
        poke(&function, page);
    }
    check(&function);
    function
}

/// Writes into a page; which start it was.
fn poke(function: &Function, page: i32) -> Start {
    let args = [Value::I32(page * 4_096 + 8), Value::I32(-1)];
    function.call("poke", &args).unwrap().report().start()
}

/// Looks at the whole memory.
fn check(function: &Function) {
    let memory = function.session(|guest| guest.read(0, PAGES as usize * 65_536)).unwrap().into_value();
    let mut image = vec![0; memory.len()];
    image[70_000..70_005].copy_from_slice(b"image");
    assert!(memory == image, "a byte of an earlier run");
}

/// Runs `body` in a process of its own: this test, called again. `name` is the test's path.
fn in_a_process(name: &str, body: impl FnOnce()) {
    const MARK: &str = "DORMOUSE_OWN_PROCESS";
    if env::var_os(MARK).is_some() {
        body();
        return;
    }
    let path = format!("sys::tests::{name}");
    let output = Command::new(env::current_exe().unwrap())
        .args([&path, "--exact", "--nocapture", "--test-threads=1"])
        .env(MARK, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}{}", String::from_utf8_lossy(&output.stderr));
}

/// Makes this thread count its faults by a ring from now on. Whether it does: where the process may have one.
fn open_ring() -> bool {
    if !available() {
        return false;
    }
    for _ in 0..=ASKS_BEFORE_RING {
        faults();
    }
    // What the kernel says to a program without privileges, unless it says otherwise: up to 2 it may.
    let paranoid = std::fs::read_to_string("/proc/sys/kernel/perf_event_paranoid").unwrap_or_default();
    // SAFETY: asks for two numbers.
    let filtered = unsafe { libc::prctl(libc::PR_GET_SECCOMP) } != 0;
    let may = !filtered && paranoid.trim().parse::<i32>().is_ok_and(|level| level <= 2);
    assert!(has_ring() || !may, "this process may open a ring and has not");
    has_ring()
}

fn call(result: i32) {
    assert_eq!(result, 0, "{}", io::Error::last_os_error());
}

/// Whether this kernel lists private pages.
fn has_scan() -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = release.split(['.', '-']).filter_map(|part| part.parse::<u32>().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (6, 7)
}

/// A self-test that fails for no reason would only make everything slower: no other test would notice.
#[test]
fn a_kernel_that_can_do_it_is_used() {
    // SAFETY: sysconf reads a constant of the system.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    if has_scan() && page == 4_096 && std::fs::File::open("/proc/self/pagemap").is_ok() {
        assert!(available());
        let technique = settled(Reset::Gated).deploy_report().unwrap().reset();
        assert_eq!(technique, "gated");
    }
}

#[test]
fn counts_of_faults_of_two_threads_are_never_the_same() {
    if !available() {
        return;
    }
    let of_others = [(); 2].map(|()| std::thread::spawn(faults).join().unwrap().unwrap().thread);
    let own = faults().unwrap().thread;
    assert_eq!(faults().unwrap().thread, own);
    assert!(of_others[0] != of_others[1] && !of_others.contains(&own), "{own} {of_others:?}");
}

#[test]
fn private_pages_are_those_written_to_and_go_when_they_are_dropped() {
    if !available() {
        return;
    }
    let engine = wasmi::Engine::default();
    let mut store = wasmi::Store::new(&engine, Regions::new());
    let mapped = Mapped::new(65_536, |bytes| bytes[5_000] = 5).unwrap();
    let ty = wasmi::MemoryType::new(1, None);
    let memory = Regions::memory(&mut store, ty, &mapped, 65_536, |regions: &mut Regions| regions).unwrap();
    let pages = |store: &wasmi::Store<Regions>| {
        let mut ranges = Vec::new();
        store.data().get(0).private_pages(&mut ranges).unwrap();
        ranges.into_iter().flatten().collect::<Vec<_>>()
    };
    assert_eq!(memory.data(&store)[5_000], 5);
    assert_eq!(pages(&store), [0u32; 0]);
    let before = faults();
    assert_eq!(faults(), before, "looking takes no fault");
    for page in [3, 4, 9, 15] {
        memory.data_mut(&mut store)[page * 4_096] = 1;
    }
    assert_ne!(faults(), before);
    assert_eq!(pages(&store), [3, 4, 9, 15]);
    assert!(store.data().get(0).is_sound());
    store.data().get(0).drop_pages(4..10).unwrap();
    assert_eq!(pages(&store), [3, 15]);
    assert_eq!((memory.data(&store)[4 * 4_096], memory.data(&store)[3 * 4_096]), (0, 1));
    assert_eq!(mapped.bytes()[3 * 4_096], 0, "the image is as it was");
}

#[test]
fn a_ring_sees_every_fault_and_nothing_else() {
    in_a_process("a_ring_sees_every_fault_and_nothing_else", || {
        if !open_ring() {
            println!("there are no rings here");
            return;
        }
        // Counts are the ring's now: without the system call there would be none.
        deny(libc::SYS_getrusage);
        let of_the_ring = faults();
        assert!(of_the_ring.is_some());
        assert_eq!(faults(), of_the_ring, "looking takes no fault");
        let engine = wasmi::Engine::default();
        // More than would pass if the kernel throttled the event: 100,000 a second.
        for round in 0..10 {
            let mut store = wasmi::Store::new(&engine, Regions::new());
            let mapped = Mapped::new(16 << 20, |bytes| bytes.fill(round)).unwrap();
            let ty = wasmi::MemoryType::new(256, None);
            let memory = Regions::memory(&mut store, ty, &mapped, 16 << 20, |regions: &mut Regions| regions).unwrap();
            let bytes = memory.data_mut(&mut store);
            let missed = |bytes: &mut [u8], mut touch: Box<dyn FnMut(&mut u8)>| {
                let pages = bytes.chunks_mut(4_096);
                let missed = pages.filter_map(|page| {
                    let before = faults().unwrap();
                    touch(&mut page[round as usize]);
                    (faults().unwrap() == before).then_some(())
                });
                missed.count()
            };
            let written = missed(bytes, Box::new(|byte| *byte = 1));
            assert_eq!(written, 0, "first writes that were not seen");
            let written = missed(bytes, Box::new(|byte| *byte = 2));
            assert!(written > 4_000, "{written} of 4,096 second writes took no fault");
        }
    });
}

#[test]
fn a_ring_goes_on_where_the_host_switches_its_events_off() {
    in_a_process("a_ring_goes_on_where_the_host_switches_its_events_off", || {
        let function = settled(Reset::Gated);
        if !open_ring() {
            println!("there are no rings here");
            return;
        }
        let mut scene = Scene::new(|_| {});
        for _ in 0..3 {
            // SAFETY: changes events that this thread has opened, and no memory.
            call(unsafe { libc::prctl(libc::PR_TASK_PERF_EVENTS_DISABLE) });
            for page in 20..120 {
                poke(&function, page);
                check(&function);
            }
            let missed = (0..32).filter(|page| {
                scene.store.data().get(0).drop_pages(*page..page + 1).unwrap();
                let before = faults().unwrap();
                scene.memory.data_mut(&mut scene.store)[*page as usize * 4_096] = 1;
                faults().unwrap() == before
            });
            assert_eq!(missed.count(), 0, "first writes that were not seen");
            assert!(has_ring());
        }
    });
}

#[test]
fn a_ring_is_of_its_thread_and_goes_with_it() {
    in_a_process("a_ring_is_of_its_thread_and_goes_with_it", || {
        if !open_ring() {
            println!("there are no rings here");
            return;
        }
        let rings = || {
            let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
            maps.lines().filter(|line| line.contains("anon_inode:[perf_event]")).count()
        };
        assert_eq!(rings(), 1);
        let own = faults().unwrap();
        let others = [(); 4].map(|()| {
            std::thread::spawn(|| {
                assert!(open_ring());
                faults().unwrap().thread
            })
        });
        let others = others.map(|thread| thread.join().unwrap());
        assert!(!others.contains(&own.thread) && others[0] != others[1], "{own:?} {others:?}");
        assert_eq!(rings(), 1, "threads that have ended leave nothing mapped");
        let open = std::fs::read_dir("/proc/self/fd").unwrap().filter_map(Result::ok);
        let names = open.filter_map(|entry| std::fs::read_link(entry.path()).ok());
        assert!(names.into_iter().all(|name| !name.to_string_lossy().contains("perf")), "no descriptor stays open");
    });
}

#[test]
fn the_entries_of_pagemap_tell_the_same_as_a_scan() {
    if !available() {
        return;
    }
    let engine = wasmi::Engine::default();
    let mut store = wasmi::Store::new(&engine, Regions::new());
    let mapped = Mapped::new(48 << 16, |bytes| bytes.fill(7)).unwrap();
    let ty = wasmi::MemoryType::new(48, None);
    let memory = Regions::memory(&mut store, ty, &mapped, 64 << 16, |regions: &mut Regions| regions).unwrap();
    let mut seed = 7u32;
    for round in 0..20 {
        for _ in 0..round {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let at = (seed >> 8) as usize % (48 << 16);
            // Some are read, which makes no page private, most are written to.
            if seed % 4 == 0 {
                assert!([7, 1].contains(&memory.data(&store)[at]));
            } else {
                memory.data_mut(&mut store)[at] = 1;
            }
        }
        let (mut scanned, mut entries) = (Vec::new(), Vec::new());
        store.data().get(0).scan(&mut scanned).unwrap();
        store.data().get(0).read_entries(&mut entries).unwrap();
        let pages = |ranges: Vec<std::ops::Range<u32>>| ranges.into_iter().flatten().collect::<Vec<_>>();
        assert_eq!(pages(scanned), pages(entries), "round {round}");
    }
}

#[test]
fn a_kernel_without_scans_is_read_by_entries() {
    in_a_process("a_kernel_without_scans_is_read_by_entries", || {
        // What a kernel before 6.7 answers.
        deny_with(libc::SYS_ioctl, libc::ENOTTY);
        if has_scan() {
            assert!(available(), "memory files, mremap and pagemap are older than scans");
        }
        for reset in [Reset::Gated, Reset::Scanned] {
            let function = settled(reset);
            for page in 20..120 {
                poke(&function, page);
                check(&function);
            }
            assert!(!function.deployed().unwrap().unmappable.load(std::sync::atomic::Ordering::Relaxed));
        }
    });
}

/// Asks the kernel to write the region's private pages to swap, and whether it did.
#[test]
fn pages_that_were_swapped_out_are_found() {
    in_a_process("pages_that_were_swapped_out_are_found", || {
        let swap = std::fs::read_to_string("/proc/swaps").unwrap_or_default();
        if !available() || swap.lines().count() < 2 {
            println!("there is no swap here");
            return;
        }
        let engine = wasmi::Engine::default();
        let mut store = wasmi::Store::new(&engine, Regions::new());
        let mapped = Mapped::new(1 << 20, |_| {}).unwrap();
        let ty = wasmi::MemoryType::new(16, None);
        let memory = Regions::memory(&mut store, ty, &mapped, 1 << 20, |regions: &mut Regions| regions).unwrap();
        for page in (0..256).step_by(3) {
            memory.data_mut(&mut store)[page * 4_096] = 1;
        }
        let bytes = memory.data_mut(&mut store);
        // SAFETY: the pages keep their content, wherever it goes.
        call(unsafe { libc::madvise(bytes.as_mut_ptr().cast(), bytes.len(), libc::MADV_PAGEOUT) });
        for entries in [false, true] {
            let mut ranges = Vec::new();
            let region = store.data().get(0);
            if entries { region.read_entries(&mut ranges) } else { region.private_pages(&mut ranges) }.unwrap();
            assert_eq!(ranges.into_iter().flatten().collect::<Vec<_>>(), (0..256).step_by(3).collect::<Vec<u32>>());
        }
    });
}

#[test]
fn more_private_pages_than_one_scan_returns_are_all_found() {
    if !available() {
        return;
    }
    let engine = wasmi::Engine::default();
    let mut store = wasmi::Store::new(&engine, Regions::new());
    let mapped = Mapped::new(16 << 20, |_| {}).unwrap();
    let ty = wasmi::MemoryType::new(256, None);
    let memory = Regions::memory(&mut store, ty, &mapped, 16 << 20, |regions: &mut Regions| regions).unwrap();
    for page in (0..4_096).step_by(2) {
        memory.data_mut(&mut store)[page * 4_096] = 1;
    }
    let mut ranges = Vec::new();
    store.data().get(0).private_pages(&mut ranges).unwrap();
    assert_eq!(ranges.into_iter().flatten().collect::<Vec<_>>(), (0..4_096).step_by(2).collect::<Vec<u32>>());
}

#[test]
fn memory_that_is_locked_between_two_runs_hides_no_write() {
    in_a_process("memory_that_is_locked_between_two_runs_hides_no_write", || {
        for (reset, ring) in [(Reset::Gated, false), (Reset::Scanned, false), (Reset::Gated, true)] {
            let function = settled(reset);
            if ring {
                open_ring();
            }
            // SAFETY: locks the pages of this process, which runs this test alone.
            if unsafe { libc::mlockall(libc::MCL_CURRENT) } != 0 {
                println!("locking is not allowed here: {}", io::Error::last_os_error());
                return;
            }
            // Every page is private now, without a fault of ours: writes to them take none either.
            for page in 30..200 {
                poke(&function, page);
                check(&function);
            }
            // SAFETY: as above.
            call(unsafe { libc::munlockall() });
        }
    });
}

#[test]
fn memory_that_is_locked_within_a_run_hides_no_write_of_it() {
    in_a_process("memory_that_is_locked_within_a_run_hides_no_write_of_it", || {
        for ring in [false, true] {
            let function = settled(Reset::Gated);
            if ring {
                open_ring();
            }
            lock_within_a_run(&function);
        }
    });
}

fn lock_within_a_run(function: &Function) {
    let locked = function.session(|guest| {
        // SAFETY: locks the pages of this process, which runs this test alone.
        let locked = unsafe { libc::mlockall(libc::MCL_CURRENT) } == 0;
        guest.call("poke", &[Value::I32(800_000), Value::I32(-1)])?;
        guest.write(900_000, b"trace")?;
        Ok(locked)
    });
    check(function);
    if *locked.unwrap().value() {
        if has_scan() {
            assert!(function.deployed().unwrap().unmappable.load(std::sync::atomic::Ordering::Relaxed));
        }
        // SAFETY: as above.
        call(unsafe { libc::munlockall() });
    }
}

#[test]
fn memory_that_is_locked_for_the_future_leaves_regions_alone() {
    in_a_process("memory_that_is_locked_for_the_future_leaves_regions_alone", || {
        // SAFETY: locks the pages of this process, which runs this test alone.
        if unsafe { libc::mlockall(libc::MCL_CURRENT | libc::MCL_FUTURE) } == 0 {
            assert!(!available());
        }
        let function = settled(Reset::Gated);
        for page in 20..60 {
            poke(&function, page);
            check(&function);
        }
    });
}

#[test]
fn memory_that_is_locked_while_a_region_is_made_hides_no_write() {
    in_a_process("memory_that_is_locked_while_a_region_is_made_hides_no_write", || {
        for ring in [false, true] {
            if !available() || (ring && !open_ring()) {
                return;
            }
            // What the count says before the second region's run comes from a reset of the first.
            let (mut first, mut gate) = (Scene::new(|_| {}), Gate::default());
            first.reset(&mut gate, moment());
            let mut allowed = true;
            for round in 0..20 {
                // The library asks for the third time when the canary is mapped, and the image is not yet.
                let mut second = Scene::new(|asked| {
                    if asked == 2 {
                        // SAFETY: locks what this process maps from now on; it runs this test alone.
                        allowed = unsafe { libc::mlockall(libc::MCL_FUTURE) } == 0;
                    }
                });
                if !allowed {
                    println!("locking is not allowed here");
                    return;
                }
                // SAFETY: as above.
                call(unsafe { libc::munlockall() });
                // The first look at a canary takes a fault, which would lead to a scan by chance.
                assert!(second.store.data().get(0).is_sound());
                let mut new = Gate::default();
                first.reset(&mut gate, moment());
                let before = moment();
                second.memory.data_mut(&mut second.store)[round * 4_096] = 1;
                second.reset(&mut new, before);
                assert!(*second.memory.data(&second.store) == *second.mapped.bytes(), "round {round}, ring: {ring}");
            }
        }
    });
}

/// A memory of 32 pages on a region.
struct Scene {
    store: wasmi::Store<Regions>,
    memory: wasmi::Memory,
    mapped: Mapped,
}

impl Scene {
    /// `asked` is called whenever the library asks where regions are kept, with how often it has asked before.
    fn new(asked: impl FnMut(usize)) -> Self {
        let mapped = Mapped::new(2 << 16, |bytes| bytes.fill(7)).unwrap();
        let mut store = wasmi::Store::new(&wasmi::Engine::default(), Regions::new());
        let asked = std::cell::RefCell::new((0, asked));
        let ty = wasmi::MemoryType::new(2, None);
        let memory = Regions::memory(&mut store, ty, &mapped, 2 << 16, |regions: &mut Regions| {
            let (times, asked) = &mut *asked.borrow_mut();
            asked(*times);
            *times += 1;
            regions
        });
        Self { store, memory: memory.unwrap(), mapped }
    }

    /// The reset after a run that began at `before`.
    fn reset(&mut self, gate: &mut Gate, before: Option<super::Faults>) {
        gate.arm(before);
        let (data, regions) = self.memory.data_and_store_mut(&mut self.store);
        assert!(gate.restore(regions.get(0), self.mapped.bytes(), data, false));
    }
}

#[test]
fn the_child_of_a_fork_and_its_parent_both_stay_clean() {
    in_a_process("the_child_of_a_fork_and_its_parent_both_stay_clean", fork_within_a_run);
}

#[test]
fn the_child_of_a_fork_does_not_count_by_its_parents_ring() {
    in_a_process("the_child_of_a_fork_does_not_count_by_its_parents_ring", || {
        open_ring();
        fork_within_a_run();
    });
}

fn fork_within_a_run() {
    let function = settled(Reset::Gated);
    // A fork within a run too: the run ends in both.
    let child = function.session(|guest| {
        guest.call("poke", &[Value::I32(600_000), Value::I32(-1)])?;
        // SAFETY: this process has no other thread that could hold a lock, as it runs this test alone; the child calls
        // nothing but this library and leaves by `_exit`.
        let child = unsafe { libc::fork() };
        guest.call("poke", &[Value::I32(700_000), Value::I32(-1)])?;
        Ok(child)
    });
    let child = child.unwrap().into_value();
    let work = || {
        for page in 40..120 {
            check(&function);
            poke(&function, page);
            check(&function);
        }
    };
    if child == 0 {
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        // SAFETY: ends the child without running what the parent will run.
        unsafe { libc::_exit(i32::from(outcome.is_err())) };
    }
    work();
    let mut status = 0;
    // SAFETY: waits for the child made above; the status is a local.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    assert_eq!(status, 0, "the child found a byte of an earlier run");
}

#[test]
fn a_process_that_may_not_look_at_itself_uses_no_regions() {
    in_a_process("a_process_that_may_not_look_at_itself_uses_no_regions", || {
        // SAFETY: sets a flag of this process and drops to a user that owns nothing; it runs this test alone.
        unsafe {
            if libc::getuid() == 0 {
                call(libc::setgid(65_534));
                call(libc::setuid(65_534));
            }
            call(libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0));
        }
        assert!(!available());
        let function = settled(Reset::Gated);
        poke(&function, 30);
        check(&function);
    });
}

#[test]
fn more_functions_than_there_are_descriptors_for_stay_clean_the_portable_way() {
    in_a_process("more_functions_than_there_are_descriptors_for_stay_clean_the_portable_way", || {
        let runtime = Runtime::builder().reset(Reset::Gated).build();
        let text = r#"(module (memory (export "memory") 1)
            (func (export "poke") (param i32 i32) (i32.store (local.get 0) (local.get 1))))"#;
        let module = wat::parse_str(text).unwrap();
        for number in 0..300 {
            let function = runtime.deploy(&format!("f{number}"), &module).unwrap();
            for page in 0..4 {
                poke(&function, page);
            }
            let memory = function.session(|guest| guest.read(0, 65_536)).unwrap().into_value();
            assert!(memory.iter().all(|byte| *byte == 0), "function {number}");
        }
        let open = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
        assert!(open < 300, "{open} descriptors are open");
    });
}
