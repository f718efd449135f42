//! What the host keeps for an Extism plug-in: blocks, variables, and what a run has set.
//!
//! Invariant: nothing of a run is left when it is cleared, and a run can tell nothing of earlier ones.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use super::{
    area::{Area, Placement},
    options::LogLevel,
    vars::{Changes, Vars},
};
use crate::{budget::Reservation, error::InvokeErrorKind, limits::ERROR_TEXT_MAX, text::cut};

/// What a deployment gives to its guest, the same for all instances.
pub(crate) struct Settings {
    pub(super) config: BTreeMap<Box<str>, Arc<[u8]>>,
    pub(super) vars: Arc<Vars>,
    pub(super) log_level: LogLevel,
}

/// The host's side of one instance.
pub(crate) struct ExtismState {
    pub(super) settings: Arc<Settings>,
    /// What every run begins with.
    pub(super) vars: Arc<Vars>,
    pub(super) area: Area,
    pub(super) changes: Changes,
    pub(super) run: RunState,
}

/// What a run has set, beside blocks and variables.
#[derive(Default)]
pub(super) struct RunState {
    pub(super) input: BlockSpan,
    pub(super) output: BlockSpan,
    /// The address of the error's text, which must be its block's handle when it is read.
    pub(super) error: u64,
}

/// Bytes of the area, under the address by which a plug-in knows them.
#[derive(Clone, Default)]
pub(super) struct BlockSpan {
    pub(super) at: u64,
    pub(super) start: usize,
    pub(super) len: usize,
}

impl BlockSpan {
    /// `len` bytes from an offset on, if they lie within.
    pub(super) fn range(&self, offset: u64, len: usize) -> Option<Range<usize>> {
        let end = usize::try_from(offset).ok()?.checked_add(len).filter(|end| *end <= self.len)?;
        Some(self.start + end - len..self.start + end)
    }
}

impl ExtismState {
    /// `vars` are what initialisation has left, where it has run.
    pub(crate) fn new(settings: &Arc<Settings>, vars: Option<&Arc<Vars>>) -> Self {
        let vars = Arc::clone(vars.unwrap_or(&settings.vars));
        Self {
            settings: Arc::clone(settings),
            vars,
            area: Area::default(),
            changes: Changes::default(),
            run: RunState::default(),
        }
    }

    /// Lets every run begin with the variables that this one has left, which is initialisation.
    pub(crate) fn seal(&mut self) {
        self.vars = self.changes.merge(&self.vars);
    }

    pub(crate) fn vars(&self) -> Arc<Vars> {
        Arc::clone(&self.vars)
    }

    /// Bytes of the run that `Limits::memory` counts.
    pub(crate) fn used(&self) -> u64 {
        self.area.used() + self.changes.held()
    }

    /// What the plug-in has set as its output.
    pub(crate) fn output(&self) -> &[u8] {
        let BlockSpan { start, len, .. } = self.run.output;
        self.area.bytes(start..start + len)
    }

    /// The text of the error that the plug-in has set.
    pub(crate) fn error(&self) -> Option<Box<str>> {
        let bytes = self.bytes(self.block(self.run.error)?);
        // An error carries no more of it anyway.
        let head = &bytes[..bytes.len().min(ERROR_TEXT_MAX)];
        Some(cut(&String::from_utf8_lossy(head)))
    }

    /// Where the bytes of the live block lie whose handle this is exactly.
    pub(crate) fn block(&self, handle: u64) -> Option<Range<usize>> {
        self.area.range(handle, self.area.len(handle)?.into())
    }

    pub(crate) fn bytes(&self, at: Range<usize>) -> &[u8] {
        self.area.bytes(at)
    }

    /// Overwrites bytes of one live block; `false` if they do not lie in one.
    pub(crate) fn write(&mut self, at: u64, bytes: &[u8]) -> bool {
        let Some(range) = self.area.range(at, bytes.len() as u64) else { return false };
        self.area.bytes_mut(range).copy_from_slice(bytes);
        true
    }

    pub(crate) fn clear(&mut self, reservation: &mut Reservation) {
        self.area.clear(reservation);
        self.changes.clear(reservation);
        self.run = RunState::default();
    }
}

impl ExtismState {
    /// Bytes that the area may use: what variables leave of `left`, which linear memories leave of `Limits::memory`.
    pub(super) fn room(&self, left: u64) -> u64 {
        left.saturating_sub(self.changes.held())
    }

    /// Where a block can lie.
    pub(super) fn place(&self, len: u64, left: u64) -> Option<Placement> {
        self.area.place(len, self.room(left))
    }

    /// Makes a block in its place.
    pub(super) fn take(
        &mut self,
        place: &Placement,
        len: u64,
        reservation: &mut Reservation,
    ) -> Result<u64, InvokeErrorKind> {
        // `place` has found that a block can be so long.
        self.area.take(place, len as u32, reservation).map_err(InvokeErrorKind::Busy)
    }

    /// Copies bytes into a new block, and answers its handle: 0 for no bytes. None of it if there is no room.
    pub(crate) fn give(
        &mut self,
        bytes: &[u8],
        left: u64,
        reservation: &mut Reservation,
    ) -> Result<Option<u64>, InvokeErrorKind> {
        if bytes.is_empty() {
            return Ok(Some(0));
        }
        let len = bytes.len() as u64;
        let Some(found) = self.place(len, left) else { return Ok(None) };
        let handle = self.take(&found, len, reservation)?;
        // Where the machine has no memory left, the block has no bytes.
        let range = self.area.range(handle, len);
        Ok(range.map(|range| {
            self.area.bytes_mut(range).copy_from_slice(bytes);
            handle
        }))
    }
}

/// The error of calls that need the area where there is none.
pub(crate) fn absent() -> InvokeErrorKind {
    InvokeErrorKind::Contract { problem: "the function is no Extism plug-in: it has no blocks".into() }
}
