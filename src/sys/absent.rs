//! Platforms on which written pages cannot be found. The time is the standard library's.
//!
//! Invariant: no image and no region can be made, so no method of either can be called.

use std::{
    convert::Infallible,
    io,
    ops::Range,
    sync::OnceLock,
    time::{Duration, Instant},
};

use wasmi::{Memory, MemoryType, Store};

use super::Faults;

pub(crate) fn available() -> bool {
    false
}

pub(crate) fn faults() -> Option<Faults> {
    None
}

pub(crate) fn release() {}

/// Time since this was first asked.
pub(crate) fn now() -> Duration {
    static BEGAN: OnceLock<Instant> = OnceLock::new();
    BEGAN.get_or_init(Instant::now).elapsed()
}

pub(crate) struct Mapped(Infallible);

impl Mapped {
    pub(crate) fn new(_: usize, _: impl FnOnce(&mut [u8])) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        match self.0 {}
    }
}

pub(crate) struct Regions(());

impl Regions {
    pub(crate) fn new() -> Self {
        Self(())
    }

    pub(crate) fn get(&self, _: usize) -> &Region {
        unreachable!("no image can be mapped here, so there is no memory on a region")
    }

    pub(crate) fn memory<T>(
        _: &mut Store<T>,
        _: MemoryType,
        mapped: &Mapped,
        _: usize,
        _: impl Fn(&mut T) -> &mut Self,
    ) -> io::Result<Memory> {
        match mapped.0 {}
    }
}

pub(crate) struct Region(Infallible);

impl Region {
    pub(crate) fn private_pages(&self, _: &mut Vec<Range<u32>>) -> io::Result<()> {
        match self.0 {}
    }

    pub(crate) fn is_sound(&self) -> bool {
        match self.0 {}
    }

    pub(crate) fn drop_pages(&self, _: Range<u32>) -> io::Result<()> {
        match self.0 {}
    }
}
