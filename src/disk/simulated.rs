//! A disk for tests that forgets what was not written through when its power fails, after so many writes, and that may be full.
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
    /// What a reader sees.
    now: Vec<u8>,
    /// What is there after a power cut: as of the last time that all was written through.
    safe: Vec<u8>,
    /// Writes until the power fails.
    left: Option<u64>,
    writes: u64,
    /// Bytes that fit.
    capacity: Option<u64>,
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

    /// The disk after a power cut.
    pub(crate) fn after_the_cut(&self) -> Self {
        let disk = self.0.lock().unwrap();
        Self(Arc::new(Mutex::new(Medium { now: disk.safe.clone(), safe: disk.safe.clone(), ..Medium::default() })))
    }

    /// A file on it.
    pub(crate) fn open(&self) -> Result<Disk, StoreError> {
        let disk = self.clone();
        Disk::with(move || Builder::new().set_cache_size(1 << 20).create_with_backend(disk.clone()))
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
            disk.now.resize(len as usize, 0);
            Ok(())
        })
    }

    fn sync_data(&self, _: bool) -> io::Result<()> {
        self.write(|disk| {
            disk.safe.clone_from(&disk.now);
            Ok(())
        })
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        Simulated::write(self, |disk| {
            disk.now[offset as usize..offset as usize + data.len()].copy_from_slice(data);
            Ok(())
        })
    }
}
