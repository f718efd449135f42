//! A disk for tests, whose power fails after so many writes. It then keeps some or none of what was
//! not written through. It may also be full.
//!
//! Invariant: what was written through survives.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with the error")]

use std::{
    io,
    sync::{Arc, Mutex},
};

use redb::{Builder, StorageBackend};

use super::{Disk, StoreError};

/// A disk in memory.
#[derive(Debug, Default)]
struct Medium {
    /// The bytes that a reader sees.
    now: Vec<u8>,
    /// The bytes that survive a power cut in any case: those of the last time that all was written
    /// through.
    safe: Vec<u8>,
    /// The changes since then. Any of them may have reached the disk.
    loose: Vec<Loose>,
    /// Writes until the power fails.
    left: Option<u64>,
    writes: u64,
    /// Bytes that fit.
    capacity: Option<u64>,
}

/// A change that was not written through.
#[derive(Clone, Debug)]
enum Loose {
    Len(usize),
    Write(usize, Vec<u8>),
}

/// Bytes that a disk writes in one piece.
const SECTOR: usize = 512;

/// Which loose changes reach the disk.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Survive {
    Nothing,
    /// Any changes, drawn from this seed: a write as a whole, or some of its sectors.
    Some(u64),
}

impl Loose {
    /// Applies the change to an earlier disk. Of a write, those sectors are applied for which
    /// `reaches` answers `true`.
    fn apply(&self, disk: &mut Vec<u8>, mut reaches: impl FnMut() -> bool) {
        match self {
            Self::Len(len) => disk.resize(*len, 0),
            Self::Write(offset, data) => {
                let mut at = *offset;
                while at < offset + data.len() {
                    let end = ((at / SECTOR + 1) * SECTOR).min(offset + data.len());
                    // The sector does not exist if the file was never made longer.
                    if reaches() && end <= disk.len() {
                        disk[at..end].copy_from_slice(&data[at - offset..end - offset]);
                    }
                    at = end;
                }
            }
        }
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Simulated(Arc<Mutex<Medium>>);

impl Simulated {
    fn write(&self, write: impl FnOnce(&mut Medium) -> io::Result<()>) -> io::Result<()> {
        let mut disk = self.0.lock().unwrap();
        disk.writes += 1;
        match &mut disk.left {
            Some(0) => return Err(io::Error::other("the power has failed")),
            Some(left) => *left -= 1,
            None => {}
        }
        write(&mut disk)
    }

    /// The disk after a power cut.
    pub(crate) fn after_the_cut(&self, survive: Survive) -> Self {
        let disk = self.0.lock().unwrap();
        let mut now = disk.safe.clone();
        if let Survive::Some(seed) = survive {
            let mut drawn = 0;
            let mut draw = || {
                drawn += 1;
                random(seed, drawn)
            };
            for loose in &disk.loose {
                // A change is applied as a whole, in parts, or not at all. A length always
                // survives, as journals keep it. (If it does not and the write of the header does,
                // redb 2.6.4 panics when it opens the file. The library turns that into an error.)
                match draw() % 4 {
                    _ if matches!(loose, Loose::Len(_)) => loose.apply(&mut now, || true),
                    0 => {}
                    1 => loose.apply(&mut now, || draw() % 2 == 0),
                    _ => loose.apply(&mut now, || true),
                }
            }
        }
        Self(Arc::new(Mutex::new(Medium { now: now.clone(), safe: now, ..Medium::default() })))
    }

    /// A file on it.
    pub(crate) fn open(&self) -> Result<Disk, StoreError> {
        let disk = self.clone();
        Disk::with(move || Builder::new().set_cache_size(1 << 20).create_with_backend(disk.clone()))
    }

    /// Writes so far.
    pub(crate) fn writes(&self) -> u64 {
        self.0.lock().unwrap().writes
    }

    /// Lets the power fail after so many writes.
    pub(crate) fn cut_after(&self, left: u64) {
        self.0.lock().unwrap().left = Some(left);
    }

    /// Leaves room for nothing more.
    pub(crate) fn fill(&self) {
        let mut disk = self.0.lock().unwrap();
        disk.capacity = Some(disk.now.len() as u64);
    }

    pub(crate) fn make_room(&self) {
        self.0.lock().unwrap().capacity = None;
    }
}

impl StorageBackend for Simulated {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().now.len() as u64)
    }

    fn read(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let disk = self.0.lock().unwrap();
        disk.now
            .get(offset as usize..offset as usize + len)
            .map(<[u8]>::to_vec)
            .ok_or(io::ErrorKind::UnexpectedEof.into())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.write(|disk| {
            if disk.capacity.is_some_and(|capacity| len > capacity) {
                return Err(io::ErrorKind::StorageFull.into());
            }
            disk.loose.push(Loose::Len(len as usize));
            disk.now.resize(len as usize, 0);
            Ok(())
        })
    }

    fn sync_data(&self, eventual: bool) -> io::Result<()> {
        self.write(|disk| {
            // An eventual sync only promises to write later.
            if !eventual {
                disk.safe.clone_from(&disk.now);
                disk.loose.clear();
            }
            Ok(())
        })
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        Simulated::write(self, |disk| {
            disk.loose.push(Loose::Write(offset as usize, data.to_vec()));
            disk.now[offset as usize..offset as usize + data.len()].copy_from_slice(data);
            Ok(())
        })
    }
}

/// A number from a seed and a count: splitmix64.
fn random(seed: u64, count: u64) -> u64 {
    let mut number = seed.wrapping_add(count.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}
