//! The host's side of Extism plug-ins: all functions of `extism:host/env`, as version 1.12 of the interface has them.
//!
//! `area.rs` holds the blocks, `kernel.rs` the functions that move bytes, `calls.rs` those that a plug-in asks its host for, `vars.rs` the
//! variables. README, "Extism plug-ins", lists all functions, what each does here and what it costs.
//!
//! Invariant: nothing of a run is left when it is cleared, and a run can tell nothing of earlier ones.

mod area;
mod calls;
mod kernel;
mod vars;

use std::{
    collections::BTreeMap,
    fmt,
    ops::Range,
    sync::{Arc, LazyLock},
};

use super::HostFunction;
#[cfg(feature = "events")]
use crate::usage::VARIABLE_PREFIX;
use crate::{
    error::{InvokeErrorKind, cut},
    instance::State,
    limits::ERROR_TEXT_MAX,
    usage::Reservation,
};
use area::{Area, Place};
pub(crate) use vars::Vars;
use vars::{Changes, VARS_MAX, entry};

/// The module that plug-ins import it from.
pub(crate) const MODULE: &str = "extism:host/env";

/// All its functions.
pub(crate) fn functions() -> &'static [Arc<HostFunction>] {
    static FUNCTIONS: LazyLock<Vec<Arc<HostFunction>>> =
        LazyLock::new(|| kernel::all().into_iter().chain(calls::all()).map(Arc::new).collect());
    &FUNCTIONS
}

/// From which level on an Extism plug-in's log is kept, for [`Deployment::log_level`](crate::Deployment::log_level).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LogLevel {
    /// All of it.
    #[default]
    Trace,
    /// All but what is logged as a trace.
    Debug,
    /// Information, warnings and errors.
    Info,
    /// Warnings and errors.
    Warn,
    /// Errors alone.
    Error,
    /// Nothing.
    Off,
}

impl LogLevel {
    /// As `get_log_level` answers it.
    fn number(self) -> u32 {
        match self {
            Self::Off => i32::MAX as u32,
            level => level as u32,
        }
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
            Self::Off => "off",
        })
    }
}

/// What a deployment asks for. Its debug form is part of the version.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    pub(crate) config: BTreeMap<Box<str>, Box<str>>,
    pub(crate) vars: BTreeMap<Box<str>, Arc<[u8]>>,
    pub(crate) log_level: LogLevel,
}

impl Options {
    /// What is wrong with them.
    pub(crate) fn problem(&self) -> Option<(&'static str, String)> {
        #[cfg(feature = "events")]
        if let Some(key) = self.config.keys().find(|key| key.starts_with(VARIABLE_PREFIX)) {
            let problem =
                format!("the key {key:?} is reserved: those that begin with {VARIABLE_PREFIX} tell of the delivery");
            return Some(("config", problem));
        }
        let config = self.config.iter().map(|(key, value)| entry(key, value.len() as u64)).sum::<u64>();
        let vars = self.vars.iter().map(|(key, value)| entry(key, value.len() as u64)).sum::<u64>();
        let too_large = [("config", config), ("var", vars)].into_iter().find(|(_, bytes)| *bytes > VARS_MAX);
        let problem = |bytes| format!("{bytes} bytes, 48 for each key included, are above the limit of {VARS_MAX}");
        too_large.map(|(option, bytes)| (option, problem(bytes)))
    }

    /// As all instances of a version share it.
    pub(crate) fn grant(self) -> Grant {
        let config = self.config.into_iter().map(|(key, value)| (key, value.as_bytes().into())).collect();
        Grant { config, vars: Arc::new(Vars::new(self.vars)), log_level: self.log_level }
    }
}

/// What a deployment gives to its guest, the same for all instances.
pub(crate) struct Grant {
    config: BTreeMap<Box<str>, Arc<[u8]>>,
    vars: Arc<Vars>,
    log_level: LogLevel,
}

/// The host's side of one instance.
pub(crate) struct Extism {
    grant: Arc<Grant>,
    /// What every run begins with.
    vars: Arc<Vars>,
    area: Area,
    changes: Changes,
    run: Run,
}

/// What a run has set, beside blocks and variables.
#[derive(Default)]
struct Run {
    input: Span,
    output: Span,
    /// The address of the error's text, which must be its block's handle when it is read.
    error: u64,
}

/// Bytes of the area, under the address by which a plug-in knows them.
#[derive(Clone, Default)]
struct Span {
    at: u64,
    start: usize,
    len: usize,
}

impl Span {
    /// `len` bytes from an offset on, if they lie within.
    fn range(&self, offset: u64, len: usize) -> Option<Range<usize>> {
        let end = usize::try_from(offset).ok()?.checked_add(len).filter(|end| *end <= self.len)?;
        Some(self.start + end - len..self.start + end)
    }
}

impl Extism {
    /// `vars` are what initialisation has left, where it has run.
    pub(crate) fn new(grant: Arc<Grant>, vars: Option<&Arc<Vars>>) -> Self {
        let vars = Arc::clone(vars.unwrap_or(&grant.vars));
        Self { grant, vars, area: Area::default(), changes: Changes::default(), run: Run::default() }
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
        let Span { start, len, .. } = self.run.output;
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
    pub(super) fn block(&self, handle: u64) -> Option<Range<usize>> {
        self.area.range(handle, self.area.len(handle)?.into())
    }

    pub(super) fn bytes(&self, at: Range<usize>) -> &[u8] {
        self.area.bytes(at)
    }

    /// Overwrites bytes of one live block; `false` if they do not lie in one.
    pub(super) fn write(&mut self, at: u64, bytes: &[u8]) -> bool {
        let Some(range) = self.area.range(at, bytes.len() as u64) else { return false };
        self.area.bytes_mut(range).copy_from_slice(bytes);
        true
    }

    fn clear(&mut self, reservation: &mut Reservation) {
        self.area.clear(reservation);
        self.changes.clear(reservation);
        self.run = Run::default();
    }
}

/// Forgets the run.
pub(crate) fn clear(state: &mut State) {
    let State { extism, reservation, .. } = state;
    if let Some(extism) = extism {
        extism.clear(reservation);
    }
}

/// The error of calls that need the area where there is none.
pub(super) fn absent() -> InvokeErrorKind {
    InvokeErrorKind::Contract { problem: "the function is no Extism plug-in: it has no blocks".into() }
}

/// Bytes that the area may use: what linear memories and variables leave of `Limits::memory`.
fn room(state: &State) -> u64 {
    let vars = state.extism.as_ref().map_or(0, |extism| extism.changes.held());
    state.memory_max.saturating_sub(state.memory_bytes).saturating_sub(vars)
}

/// Where a block can lie.
fn place(state: &State, len: u64) -> Option<Place> {
    state.extism.as_ref()?.area.place(len, room(state))
}

/// Makes a block in its place.
fn take(state: &mut State, place: &Place, len: u64) -> Result<u64, InvokeErrorKind> {
    let State { extism, reservation, .. } = state;
    let extism = extism.as_deref_mut().ok_or_else(absent)?;
    // `place` has found that a block can be so long.
    extism.area.take(place, len as u32, reservation).map_err(InvokeErrorKind::Busy)
}

/// Copies bytes into a new block and answers its handle: 0 for none.
pub(crate) fn give(state: &mut State, bytes: &[u8]) -> Result<u64, InvokeErrorKind> {
    if state.extism.is_none() {
        return Err(absent());
    }
    if bytes.is_empty() {
        return Ok(0);
    }
    let wanted = bytes.len() as u64;
    let full = |state: &State| InvokeErrorKind::MemoryLimit { wanted, limit: state.memory_max };
    let Some(found) = place(state, wanted) else { return Err(full(state)) };
    let handle = take(state, &found, wanted)?;
    let area = &mut state.extism.as_deref_mut().ok_or_else(absent)?.area;
    match area.range(handle, wanted) {
        Some(range) => area.bytes_mut(range).copy_from_slice(bytes),
        // The machine has no memory left.
        None => return Err(full(state)),
    }
    Ok(handle)
}

/// Gives the plug-in its event.
pub(crate) fn give_input(state: &mut State, input: &[u8]) -> Result<(), InvokeErrorKind> {
    let at = give(state, input)?;
    let extism = state.extism.as_deref_mut().ok_or_else(absent)?;
    extism.set_input(at, input.len() as u64);
    Ok(())
}
