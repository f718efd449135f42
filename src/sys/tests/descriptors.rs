//! Descriptors of ours that mean other files by now, since the host closed them.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with the error")]

use std::{
    fs, io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
};

use super::{Scene, call, check, in_a_process, poke, settled};
use crate::{
    Reset,
    sys::{Mapped, Regions, available},
};

/// The descriptors of this process whose files have a name that contains `name`.
fn descriptors(name: &str) -> Vec<i32> {
    let open = fs::read_dir("/proc/self/fd").unwrap().filter_map(Result::ok);
    let named =
        open.filter(|entry| fs::read_link(entry.path()).is_ok_and(|file| file.to_string_lossy().contains(name)));
    named.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// The library's descriptor of `pagemap`.
fn own_pagemap() -> i32 {
    let [own] = descriptors(&format!("/proc/{}/pagemap", std::process::id()))[..] else {
        panic!("one descriptor of pagemap");
    };
    own
}

/// A file in memory of this many bytes, sparse except for `content`.
fn foreign_file(len: u64, content: &[u8]) -> fs::File {
    use std::io::Write;
    // SAFETY: the name is a string that ends in NUL; the descriptor that comes back is new and ours
    // alone.
    let mut file = unsafe {
        let fd = libc::memfd_create(c"foreign".as_ptr(), 0);
        assert!(fd >= 0, "{}", io::Error::last_os_error());
        fs::File::from(OwnedFd::from_raw_fd(fd))
    };
    file.write_all(content).unwrap();
    file.set_len(len).unwrap();
    file
}

/// Gives the number of a descriptor that somebody else owns to another file.
fn usurp(number: i32, file: &impl AsRawFd) {
    // SAFETY: the owner of the descriptor must cope with that, which is what is tested.
    assert_eq!(unsafe { libc::dup2(file.as_raw_fd(), number) }, number);
}

/// The child of a fork, which waits until it is ended.
struct Sleeper(libc::pid_t);

impl Sleeper {
    fn new() -> Self {
        // SAFETY: this process runs one test alone; the child does nothing but wait, and ends with
        // its parent.
        let child = unsafe { libc::fork() };
        if child == 0 {
            loop {
                // SAFETY: as above.
                unsafe {
                    libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                    libc::pause();
                }
            }
        }
        Self(child)
    }

    fn pagemap(&self) -> fs::File {
        fs::File::open(format!("/proc/{}/pagemap", self.0)).unwrap()
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        // SAFETY: ends the child made above, and waits for it.
        unsafe {
            libc::kill(self.0, libc::SIGKILL);
            libc::waitpid(self.0, std::ptr::null_mut(), 0);
        }
    }
}

#[test]
fn another_file_in_place_of_pagemap_hides_no_write() {
    in_a_process("descriptors::another_file_in_place_of_pagemap_hides_no_write", || {
        if !available() {
            return;
        }
        for reset in [Reset::ByFaultCount, Reset::ByPageScan] {
            let function = settled(reset);
            // What is written after this is private here, and not in the child.
            let child = Sleeper::new();
            let mut page = 20;
            let mut work = || {
                for _ in 0..10 {
                    page += 1;
                    poke(&function, page);
                    check(&function);
                }
            };
            let own = own_pagemap();
            // SAFETY: closes what the library owns, and must cope with.
            call(unsafe { libc::close(own) });
            work();
            let files = [child.pagemap(), foreign_file(1 << 40, &[]), fs::File::open("/dev/zero").unwrap()];
            for file in files {
                let own = own_pagemap();
                usurp(own, &file);
                work();
                // SAFETY: reads a flag of a descriptor; then closes what was opened for this test.
                unsafe {
                    assert!(libc::fcntl(own, libc::F_GETFD) >= 0, "another file was closed");
                    call(libc::close(own));
                }
            }
            assert!(!function.deployed().unwrap().unmappable.load(std::sync::atomic::Ordering::Relaxed));
        }
    });
}

#[test]
fn another_file_in_place_of_pagemap_hides_no_entry() {
    in_a_process("descriptors::another_file_in_place_of_pagemap_hides_no_entry", || {
        if !available() {
            return;
        }
        let child = Sleeper::new();
        let mut scene = Scene::new(|_| {});
        for file in [child.pagemap(), foreign_file(1 << 40, &[])] {
            usurp(own_pagemap(), &file);
            scene.memory.data_mut(&mut scene.store)[5 * 4_096] = 1;
            let mut entries = Vec::new();
            scene.store.data().get(0).read_entries(&mut entries).unwrap();
            assert_eq!(entries.into_iter().flatten().collect::<Vec<_>>(), [5]);
        }
    });
}

#[test]
fn another_file_in_place_of_an_image_is_not_shown() {
    in_a_process("descriptors::another_file_in_place_of_an_image_is_not_shown", || {
        if !available() {
            return;
        }
        let foreign = foreign_file(1 << 20, &[0xff; 2 << 16]);
        let make = |mapped: &Mapped| {
            let mut store = wasmi::Store::new(&wasmi::Engine::default(), Regions::new());
            let ty = wasmi::MemoryType::new(2, None);
            let memory = Regions::memory(&mut store, ty, mapped, 2 << 16, |regions: &mut Regions| regions);
            memory.map(|memory| memory.data(&store).to_vec())
        };
        let canary = descriptors("memfd:dormouse");
        let mapped = Mapped::new(2 << 16, |bytes| bytes.fill(7)).unwrap();
        assert!(make(&mapped).unwrap() == mapped.bytes());
        let images = descriptors("memfd:dormouse").into_iter().filter(|fd| !canary.contains(fd));
        let images: Vec<_> = images.collect();
        assert_eq!(images.len(), 1);
        usurp(images[0], &foreign);
        assert!(make(&mapped).is_err());
        drop(mapped);
        assert_eq!(descriptors("memfd:foreign").len(), 2, "another file was closed");
        // The canary's descriptor: with another file it could seem sound for ever.
        let mapped = Mapped::new(2 << 16, |bytes| bytes.fill(7)).unwrap();
        usurp(canary[0], &foreign);
        assert!(make(&mapped).is_err());
    });
}
