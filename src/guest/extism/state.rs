//! The host's state for an Extism plug-in: blocks, variables, and what a run has set.
//!
//! Invariant: `clear` leaves nothing of a run, and a run cannot observe earlier runs.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use super::{
    area::{Area, Placement},
    options::LogLevel,
    vars::{Changes, Vars},
};
use crate::{budget::Reservation, error::InvokeErrorKind, limits::ERROR_TEXT_MAX, text::cut};

/// The options of a deployment, in the form that all instances share.
pub(crate) struct Settings {
    pub(super) config: BTreeMap<Box<str>, Arc<[u8]>>,
    pub(super) vars: Arc<Vars>,
    pub(super) log_level: LogLevel,
}

/// The host's state for one instance.
pub(crate) struct ExtismState {
    pub(super) settings: Arc<Settings>,
    /// The variables that every run begins with.
    pub(super) vars: Arc<Vars>,
    pub(super) area: Area,
    pub(super) changes: Changes,
    pub(super) run: RunState,
}

/// What a run has set, besides blocks and variables.
#[derive(Default)]
pub(super) struct RunState {
    pub(super) input: BlockSpan,
    pub(super) output: BlockSpan,
    /// The address of the error's text. It must be the handle of a block when it is read.
    pub(super) error: u64,
}

/// Bytes of the area, with the address that the plug-in uses for them.
#[derive(Clone, Default)]
pub(super) struct BlockSpan {
    pub(super) at: u64,
    pub(super) start: usize,
    pub(super) len: usize,
}

impl BlockSpan {
    /// `len` bytes from an offset on, if they lie in the span.
    pub(super) fn range(&self, offset: u64, len: usize) -> Option<Range<usize>> {
        let end = usize::try_from(offset).ok()?.checked_add(len).filter(|end| *end <= self.len)?;
        Some(self.start + end - len..self.start + end)
    }
}

impl ExtismState {
    /// `vars` are the variables that initialisation has left, if it has run.
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

    /// Lets every later run begin with the variables that this one, initialisation, has left.
    pub(crate) fn seal(&mut self) {
        self.vars = self.changes.merge(&self.vars);
    }

    pub(crate) fn vars(&self) -> Arc<Vars> {
        Arc::clone(&self.vars)
    }

    /// Bytes of the run that `Limits::memory_bytes` counts.
    pub(crate) fn used(&self) -> u64 {
        self.area.used() + self.changes.held()
    }

    /// The output that the plug-in has set.
    pub(crate) fn output(&self) -> &[u8] {
        let BlockSpan { start, len, .. } = self.run.output;
        self.area.bytes(start..start + len)
    }

    /// The text of the error that the plug-in has set.
    pub(crate) fn error(&self) -> Option<Box<str>> {
        let bytes = self.bytes(self.block(self.run.error)?);
        // An error carries no more text than this.
        let head = &bytes[..bytes.len().min(ERROR_TEXT_MAX)];
        Some(cut(&String::from_utf8_lossy(head)))
    }

    /// The range of the live block with exactly this handle.
    pub(crate) fn block(&self, handle: u64) -> Option<Range<usize>> {
        self.area.range(handle, self.area.len(handle)?.into())
    }

    pub(crate) fn bytes(&self, at: Range<usize>) -> &[u8] {
        self.area.bytes(at)
    }

    /// Overwrites bytes of one live block. `false` if they do not lie in one.
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
    /// Bytes that the area may use. `left` is what linear memories leave of `Limits::memory_bytes`.
    /// Variables take their part of it.
    pub(super) fn room(&self, left: u64) -> u64 {
        left.saturating_sub(self.changes.held())
    }

    /// Finds where a block can lie.
    pub(super) fn place(&self, len: u64, left: u64) -> Option<Placement> {
        self.area.place(len, self.room(left))
    }

    /// Makes a block in the place that was found.
    pub(super) fn take(
        &mut self,
        place: &Placement,
        len: u64,
        reservation: &mut Reservation,
    ) -> Result<u64, InvokeErrorKind> {
        // `place` has checked that a block can be so long.
        self.area.take(place, len as u32, reservation).map_err(InvokeErrorKind::Busy)
    }

    /// Copies bytes into a new block and returns its handle, 0 for zero bytes. `None` if there is
    /// no room: then nothing is copied.
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
        // If the machine has no memory left, the block has no bytes.
        let range = self.area.range(handle, len);
        Ok(range.map(|range| {
            self.area.bytes_mut(range).copy_from_slice(bytes);
            handle
        }))
    }
}

/// The error for a call that needs the area if the guest has none.
pub(crate) fn absent() -> InvokeErrorKind {
    InvokeErrorKind::Contract { problem: "the function is not an Extism plug-in: it has no blocks".into() }
}
