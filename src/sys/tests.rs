//! What could hide a written page from the gate, each in a process of its own: locked memory,
//! forks, denied calls, descriptors that became other files, a process that may not look at itself.
//! After each, no byte of an earlier invocation may be seen.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with the error")]

mod descriptors;
mod filters;
mod forks;
mod locks;
mod pages;
mod rings;

use std::{env, io, process::Command};

use super::{
    Mapped, Regions, available, faults,
    linux::{ASKS_BEFORE_RING, has_ring},
};
use filters::{deny, deny_with};

use crate::{Function, Reset, Runtime, StartKind, Value, instance::Gate};

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

/// Writes into a page, and returns how the instance was started.
fn poke(function: &Function, page: i32) -> StartKind {
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

/// Makes this thread count its faults by a ring from now on, if the process may have one. Returns
/// whether it does.
fn open_ring() -> bool {
    if !available() {
        return false;
    }
    for _ in 0..=ASKS_BEFORE_RING {
        faults();
    }
    // The kernel allows a program without privileges levels up to 2.
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

/// A self-test that fails for no reason would only make everything slower. No other test would
/// notice.
#[test]
fn a_kernel_that_can_do_it_is_used() {
    // SAFETY: sysconf reads a constant of the system.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    if has_scan() && page == 4_096 && std::fs::File::open("/proc/self/pagemap").is_ok() {
        assert!(available());
        let technique = settled(Reset::ByFaultCount).deploy_report().unwrap().reset();
        assert_eq!(technique, "by_fault_count");
    }
}

/// A memory of 32 pages on a region.
struct Scene {
    store: wasmi::Store<Regions>,
    memory: wasmi::Memory,
    mapped: Mapped,
}

impl Scene {
    /// `asked` is called whenever the library asks where regions are kept. Its argument is how
    /// often the library has asked before.
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

    /// The reset after an invocation that began at `before`.
    fn reset(&mut self, gate: &mut Gate, before: Option<super::Faults>) {
        gate.arm(before);
        let (data, regions) = self.memory.data_and_store_mut(&mut self.store);
        assert!(gate.restore(regions.get(0), self.mapped.bytes(), data, false));
    }
}

#[test]
fn a_process_that_may_not_look_at_itself_uses_no_regions() {
    in_a_process("a_process_that_may_not_look_at_itself_uses_no_regions", || {
        // SAFETY: sets a flag of this process and drops to a user that owns nothing; it runs this
        // test alone.
        unsafe {
            if libc::getuid() == 0 {
                call(libc::setgid(65_534));
                call(libc::setuid(65_534));
            }
            call(libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0));
        }
        assert!(!available());
        let function = settled(Reset::ByFaultCount);
        poke(&function, 30);
        check(&function);
    });
}

#[test]
fn more_functions_than_there_are_descriptors_for_stay_clean_the_portable_way() {
    in_a_process("more_functions_than_there_are_descriptors_for_stay_clean_the_portable_way", || {
        let runtime = Runtime::builder().reset(Reset::ByFaultCount).build();
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
