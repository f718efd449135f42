//! Counts of page faults, and the rings of perf events that record them.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with the error")]

use super::{Scene, call, check, deny, has_ring, in_a_process, open_ring, poke, settled};
use crate::{
    Reset,
    sys::{Mapped, Regions, available, faults},
};

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
fn a_ring_sees_every_fault_and_nothing_else() {
    in_a_process("rings::a_ring_sees_every_fault_and_nothing_else", || {
        if !open_ring() {
            println!("there are no rings here");
            return;
        }
        // Counts come from the ring now: the system call is denied.
        deny(libc::SYS_getrusage);
        let of_the_ring = faults();
        assert!(of_the_ring.is_some());
        assert_eq!(faults(), of_the_ring, "looking takes no fault");
        let engine = wasmi::Engine::default();
        // More faults than would pass if the kernel throttled the event, at 100,000 a second.
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
    in_a_process("rings::a_ring_goes_on_where_the_host_switches_its_events_off", || {
        let function = settled(Reset::ByFaultCount);
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
    in_a_process("rings::a_ring_is_of_its_thread_and_goes_with_it", || {
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
