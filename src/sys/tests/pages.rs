//! The pages that the kernel says were written to, by scans and by entries, and swapped out.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with the error")]

use super::{call, check, deny_with, has_scan, in_a_process, poke, settled};
use crate::{
    Reset,
    sys::{Mapped, Regions, available, faults},
};

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
            // Some bytes are read, which makes no page private; most are written to.
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
fn a_kernel_without_scans_is_read_by_entries() {
    in_a_process("pages::a_kernel_without_scans_is_read_by_entries", || {
        // A kernel before 6.7 answers this.
        deny_with(libc::SYS_ioctl, libc::ENOTTY);
        if has_scan() {
            assert!(available(), "memory files, mremap and pagemap are older than scans");
        }
        for reset in [Reset::ByFaultCount, Reset::ByPageScan] {
            let function = settled(reset);
            for page in 20..120 {
                poke(&function, page);
                check(&function);
            }
            assert!(!function.deployed().unwrap().unmappable.load(std::sync::atomic::Ordering::Relaxed));
        }
    });
}

/// Asks the kernel to write the region's private pages to swap.
#[test]
fn pages_that_were_swapped_out_are_found() {
    in_a_process("pages::pages_that_were_swapped_out_are_found", || {
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
