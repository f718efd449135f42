//! Standard input, output and error: descriptors 0 to 2.
//!
//! Invariant: the guest pays for bytes before the host moves them. 64 bytes or a part of 64 cost 1
//! fuel, and each buffer of a list costs 8. So a list that names the same bytes a million times
//! costs what it moves. Calls with long lists check the time as they go.

use super::{
    calls::{Errno, Stop, load_u32, look_at_time, reach, store_u32, within},
    state::WasiState,
};
use crate::{error::InvokeErrorKind, host::Context};

/// An open descriptor.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Fd {
    In,
    Out,
    Err,
}

/// The descriptor with this number, if it is open.
pub(super) fn open(cx: &mut Context<'_>, fd: u32) -> Result<Fd, Stop> {
    let found = [Fd::In, Fd::Out, Fd::Err].get(fd as usize).copied();
    match found {
        Some(found) if cx.wasi()?.run.base.closed & (1 << fd) == 0 => Ok(found),
        _ => Err(Errno::BADF.into()),
    }
}

pub(super) fn close(cx: &mut Context<'_>, fd: u32) -> Result<(), Stop> {
    open(cx, fd)?;
    cx.wasi()?.run.base.closed |= 1 << fd;
    Ok(())
}

/// Bytes of input that the guest has not read yet.
pub(super) fn unread(wasi: &WasiState) -> u64 {
    (wasi.run.input.len() - wasi.run.read) as u64
}

/// `fd_read`: fills the buffers in order, until the input ends.
pub(super) fn read(cx: &mut Context<'_>, fd: u32, list: u32, count: u32, read_at: u32) -> Result<(), Stop> {
    if open(cx, fd)? != Fd::In {
        return Err(Errno::BADF.into());
    }
    let mut total = 0u32;
    for buffer in buffers(cx, list, count)? {
        let (at, len) = buffer(cx)?;
        // Not more than the answer can count.
        let wanted = u64::from(len.min(u32::MAX - total)).min(unread(cx.wasi()?)) as usize;
        if wanted == 0 {
            continue;
        }
        cx.pay(wanted as u64)?;
        let (data, state) = cx.memory_and_state();
        let wasi = state.host.guest.wasi.as_deref_mut().ok_or(Errno::NOSYS)?;
        let range = within(data, at, wanted)?;
        let from = wasi.run.read;
        data[range].copy_from_slice(&wasi.run.input[from..from + wanted]);
        wasi.run.read += wanted;
        total += wanted as u32;
    }
    store_u32(cx, read_at, total)
}

/// `fd_write`: the standard output of a command becomes the reply. All other output becomes the
/// log.
pub(super) fn write(cx: &mut Context<'_>, fd: u32, list: u32, count: u32, written_at: u32) -> Result<(), Stop> {
    let fd = open(cx, fd)?;
    if fd == Fd::In {
        return Err(Errno::BADF.into());
    }
    let mut total = 0u32;
    for buffer in buffers(cx, list, count)? {
        let (at, len) = buffer(cx)?;
        // Not more than the answer can count: a short write, as in POSIX.
        let len = len.min(u32::MAX - total);
        if len == 0 {
            continue;
        }
        cx.pay(u64::from(len))?;
        let (data, state) = cx.memory_and_state();
        let bytes = &data[within(data, at, len as usize)?];
        let run = &mut state.host.guest.wasi.as_deref_mut().ok_or(Errno::NOSYS)?.run;
        match &mut run.output {
            Some(output) if fd == Fd::Out => {
                let size = (output.len() + bytes.len()) as u64;
                if size > run.output_max {
                    return Err(InvokeErrorKind::OutputTooLarge { size, limit: run.output_max }.into());
                }
                output.extend_from_slice(bytes);
            }
            _ => state.log.bytes(bytes),
        }
        total += len;
    }
    store_u32(cx, written_at, total)
}

/// The buffers of a list (`iovec`, `ciovec`). Each is read only when it is used, as the host may
/// have overwritten it while it filled an earlier one.
fn buffers(
    cx: &mut Context<'_>,
    list: u32,
    count: u32,
) -> Result<impl Iterator<Item = impl FnOnce(&mut Context<'_>) -> Result<(u32, u32), Stop> + use<>> + use<>, Stop> {
    if u64::from(list) + u64::from(count) * 8 > reach(cx) {
        return Err(Errno::FAULT.into());
    }
    cx.charge(u64::from(count) * 8)?;
    Ok((0..count).map(move |number| {
        let at = list + 8 * number;
        move |cx: &mut Context<'_>| {
            look_at_time(cx, number)?;
            Ok((load_u32(cx, at)?, load_u32(cx, at + 4)?))
        }
    }))
}
