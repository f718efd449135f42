//! The host side of an instance: the data that the interpreter's store carries for this library.
//!
//! Invariant: all data of one run is cleared when the instance is reset, or set again when the next
//! run is armed.

use std::{ops::Range, sync::Arc};

use wasmi::{AsContext, AsContextMut, Memory, Store};

use super::{Request, slices::Meter};
use crate::{budget::Reservation, error::InvokeErrorKind, module::Prepared, sys::Regions, usage::Label};

/// What the host keeps for an instance beside the interpreter's state. Modules above this one
/// implement it, by one type. So this module does not depend on any kind of guest.
pub(crate) trait HostSide: Send + 'static {
    /// Bytes that it holds and that count towards `Limits::memory_bytes`.
    fn used_bytes(&self) -> u64;

    /// Makes the state after initialisation the initial state of every run.
    fn seal(&mut self);

    /// Clears the state of the run, and returns its memory to the budget.
    fn clear(&mut self, reservation: &mut Reservation);
}

/// The data in a store.
pub(crate) struct State<H> {
    pub(crate) prepared: Arc<Prepared>,
    pub(crate) label: Arc<Label>,
    pub(crate) meter: Meter,
    pub(crate) memories: Vec<Memory>,
    pub(crate) main_memory: Option<Memory>,
    /// The regions that the memories are on, if any. None is ever removed, so they live as long as
    /// the store.
    pub(crate) regions: Regions,
    /// Bytes of all memories, and their limit.
    pub(crate) memory_bytes: u64,
    pub(crate) memory_max: u64,
    /// Elements of all tables, and their limit.
    pub(crate) table_elements: u64,
    pub(crate) table_elements_max: u64,
    /// The share of the runtime's budget. It is returned when the instance is dropped.
    pub(crate) reservation: Reservation,
    pub(crate) log: Log,
    pub(crate) host: H,
    /// Calls of custom host functions in this run.
    pub(crate) host_calls: u64,
    /// Host code panicked while the guest was on the stack. What it left half done is unknown.
    pub(crate) poisoned: bool,
    /// The host wrote to a memory that the guest's own code does not write to.
    pub(crate) host_wrote: bool,
}

impl<H: HostSide> State<H> {
    pub(crate) fn new(request: Request<'_, H>) -> Self {
        Self {
            prepared: Arc::clone(request.prepared),
            label: Arc::clone(request.label),
            meter: Meter::new(Arc::clone(request.clock)),
            memories: Vec::new(),
            main_memory: None,
            regions: Regions::new(),
            memory_bytes: 0,
            memory_max: request.memory_max,
            table_elements: request.prepared.table_elements,
            table_elements_max: request.table_elements_max,
            reservation: request.reservation,
            log: Log { text: Vec::new(), max: request.log_max, cut: false },
            host: request.host,
            host_calls: 0,
            poisoned: false,
            host_wrote: false,
        }
    }

    /// Clears all data of one run.
    pub(crate) fn clear(&mut self) {
        self.meter.disarm();
        self.log.text.clear();
        self.log.cut = false;
        self.host.clear(&mut self.reservation);
        self.host_calls = 0;
        self.host_wrote = false;
    }

    /// Bytes that count towards `Limits::memory_bytes`: linear memories, and what the host keeps for the
    /// guest.
    pub(crate) fn bytes_in_use(&self) -> u64 {
        self.memory_bytes.saturating_add(self.host.used_bytes())
    }
}

/// The log of one run, by host functions and by programs on standard error. It is cut at a limit.
pub(crate) struct Log {
    pub(crate) text: Vec<u8>,
    max: u64,
    pub(crate) cut: bool,
}

impl Log {
    /// Appends bytes as they are. Bytes that do not fit are left out.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        let max = if self.cut { 0 } else { usize::try_from(self.max).unwrap_or(usize::MAX) };
        let room = max.saturating_sub(self.text.len());
        self.cut |= bytes.len() > room;
        self.text.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    /// Appends a line, given in parts. What does not fit is left out, from a character's boundary
    /// on.
    pub(crate) fn line(&mut self, parts: &[&str]) {
        // Once cut, nothing is added. So the kept part is a prefix of what was logged.
        let max = if self.cut { 0 } else { usize::try_from(self.max).unwrap_or(usize::MAX) };
        let mut room = max.saturating_sub(self.text.len());
        let fits = parts.iter().map(|part| part.len()).sum::<usize>() < room;
        for part in parts {
            let mut end = part.len().min(room);
            while !part.is_char_boundary(end) {
                end -= 1;
            }
            self.text.extend_from_slice(&part.as_bytes()[..end]);
            // A cut within a character ends the line.
            room = if end < part.len() { 0 } else { room - end };
        }
        if fits {
            self.text.push(b'\n');
        }
        self.cut |= !fits;
    }
}

/// Bytes of the memory that hosts read and write. 0 without such a memory.
pub(crate) fn memory_size<H: HostSide>(store: impl AsContext<Data = State<H>>) -> u64 {
    let store = store.as_context();
    store.data().main_memory.map_or(0, |memory| memory.data_size(store) as u64)
}

/// Copies bytes out of the guest's memory.
pub(crate) fn memory_read<H: HostSide>(
    store: impl AsContext<Data = State<H>>,
    at: u64,
    len: u64,
) -> Result<Vec<u8>, InvokeErrorKind> {
    let store = store.as_context();
    let data = store.data().main_memory.map_or(&[][..], |memory| memory.data(store));
    Ok(data[range(at, len, data.len())?].to_vec())
}

/// The bytes `at..at + len` of the guest's memory.
pub(crate) fn slice<H: HostSide>(store: &Store<State<H>>, at: u64, len: u64) -> Result<&[u8], InvokeErrorKind> {
    let data = store.data().main_memory.map_or(&[][..], |memory| memory.data(store));
    Ok(&data[range(at, len, data.len())?])
}

/// Copies bytes into the guest's memory.
pub(crate) fn memory_write<H: HostSide>(
    mut store: impl AsContextMut<Data = State<H>>,
    at: u64,
    bytes: &[u8],
) -> Result<(), InvokeErrorKind> {
    let mut store = store.as_context_mut();
    store.data_mut().host_wrote = true;
    let data = match store.data().main_memory {
        Some(memory) => memory.data_mut(&mut store),
        None => &mut [],
    };
    let range = range(at, bytes.len() as u64, data.len())?;
    data[range].copy_from_slice(bytes);
    Ok(())
}

/// The guest's memory, to read and write, and the state of the run.
pub(crate) fn memory_and_state<'a, H: HostSide>(
    caller: &'a mut wasmi::Caller<'_, State<H>>,
) -> (&'a mut [u8], &'a mut State<H>) {
    caller.data_mut().host_wrote = true;
    match caller.data().main_memory {
        Some(memory) => memory.data_and_store_mut(caller),
        None => (&mut [], caller.data_mut()),
    }
}

fn range(at: u64, len: u64, size: usize) -> Result<Range<usize>, InvokeErrorKind> {
    match at.checked_add(len) {
        // Both are at most `size`, which is a `usize`.
        Some(end) if end <= size as u64 => Ok(at as usize..end as usize),
        _ => Err(InvokeErrorKind::OutOfBounds { at, len, size: size as u64 }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_follows_a_character_for_which_a_log_has_no_room() {
        let mut log = Log { text: Vec::new(), max: 4, cut: false };
        log.line(&["a", "öö", "b"]);
        assert_eq!((&log.text[..], log.cut), ("aö".as_bytes(), true));
    }
}
