//! The functions themselves, and what they answer if there is nothing for them to do. Guests have
//! no files, no directories and no sockets. Descriptors 0 to 2 are pipes.
//!
//! Invariant: a call answers an error number, or ends the run.

use std::{borrow::Cow, ops::Range, sync::Arc, time::Duration};

use super::{
    MODULE, poll,
    state::{Settings, Strings, TICK},
    stdio,
};
use crate::host::{HostState, Service, State};
use crate::{
    error::InvokeErrorKind,
    host::{Context, HostFunction, IntoHostFunction},
    host_error::HostError,
    text::tail,
};

/// An error number of `typenames.witx`.
#[derive(Clone, Copy)]
pub(super) struct Errno(pub(super) u32);

impl Errno {
    pub(super) const BADF: Self = Self(8);
    pub(super) const FAULT: Self = Self(21);
    pub(super) const INVAL: Self = Self(28);
    pub(super) const NOSYS: Self = Self(52);
    const NOTDIR: Self = Self(54);
    const NOTSOCK: Self = Self(57);
    const NOTSUP: Self = Self(58);
    const SPIPE: Self = Self(70);
}

/// Why a call does not succeed: it answers an error number, or it ends the run.
pub(super) enum Stop {
    Errno(Errno),
    End(InvokeErrorKind),
}

impl From<Errno> for Stop {
    fn from(errno: Errno) -> Self {
        Self::Errno(errno)
    }
}

impl From<InvokeErrorKind> for Stop {
    fn from(kind: InvokeErrorKind) -> Self {
        match kind {
            InvokeErrorKind::OutOfBounds { .. } => Self::Errno(Errno::FAULT),
            kind => Self::End(kind),
        }
    }
}

/// A range of the guest's memory.
pub(super) fn within(data: &[u8], at: u32, len: usize) -> Result<Range<usize>, Errno> {
    let at = at as usize;
    match at.checked_add(len) {
        Some(end) if end <= data.len() => Ok(at..end),
        _ => Err(Errno::FAULT),
    }
}

/// How far lists may reach: to the end of the memory and of 32-bit addresses. So sums of addresses
/// below it do not overflow.
pub(super) fn reach(cx: &Context<'_>) -> u64 {
    cx.memory_size().min(1 << 32)
}

/// Checks deadline and cancel handle once in 1,024 steps. Nothing else checks them while the host's
/// call runs.
pub(super) fn look_at_time(cx: &Context<'_>, number: u32) -> Result<(), Stop> {
    if number % 1_024 == 1_023 {
        cx.check_time()?;
    }
    Ok(())
}

pub(super) fn load<const N: usize>(cx: &mut Context<'_>, at: u32) -> Result<[u8; N], Stop> {
    let (data, _) = cx.memory_and_state();
    let mut bytes = [0; N];
    bytes.copy_from_slice(&data[within(data, at, N)?]);
    Ok(bytes)
}

pub(super) fn load_u32(cx: &mut Context<'_>, at: u32) -> Result<u32, Stop> {
    load(cx, at).map(u32::from_le_bytes)
}

pub(super) fn store(cx: &mut Context<'_>, at: u32, bytes: &[u8]) -> Result<(), Stop> {
    let (data, _) = cx.memory_and_state();
    let range = within(data, at, bytes.len())?;
    data[range].copy_from_slice(bytes);
    Ok(())
}

pub(super) fn store_u32(cx: &mut Context<'_>, at: u32, value: u32) -> Result<(), Stop> {
    store(cx, at, &value.to_le_bytes())
}

fn store_u64(cx: &mut Context<'_>, at: u32, value: u64) -> Result<(), Stop> {
    store(cx, at, &value.to_le_bytes())
}

/// The number that a call answers to the guest: an errno, or 0 for success.
fn answer(cx: &mut Context<'_>, done: Result<(), Stop>) -> Result<u32, HostError> {
    match done {
        Ok(()) => Ok(0),
        Err(Stop::Errno(Errno(number))) => Ok(number),
        Err(Stop::End(kind)) => Err(cx.end(kind)),
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Reads a clock by its number: realtime, monotonic, or one of the two CPU clocks, which are the
/// monotonic clock here.
pub(super) fn time_of(cx: &mut Context<'_>, clock: u32) -> Result<u64, Stop> {
    let wasi = cx.wasi()?;
    match clock {
        0 => Ok(nanoseconds(wasi.now())),
        1..=3 => Ok(nanoseconds(wasi.monotonic())),
        _ => Err(Errno::INVAL.into()),
    }
}

/// The environment of a run: the deployment's variables, and then those that describe the delivery.
fn environment<'a>(cx: &mut Context<'_>, settings: &'a Settings) -> Cow<'a, Strings> {
    if let State { host: HostState { service: Some(Service { origin: Some(origin), .. }), .. }, label, meter, .. } =
        cx.state()
    {
        let mut env = settings.env.clone();
        origin.variables(label, meter.deadline()).iter().for_each(|(name, value)| env.push(&[name, "=", value]));
        return Cow::Owned(env);
    }
    Cow::Borrowed(&settings.env)
}

/// `args_get`, `environ_get`: write the pointers, and the strings that they point to.
fn strings(cx: &mut Context<'_>, env: bool, pointers: u32, at: u32) -> Result<(), Stop> {
    let settings = Arc::clone(&cx.wasi()?.settings);
    let strings = if env { environment(cx, &settings) } else { Cow::Borrowed(&settings.args) };
    cx.pay(strings.bytes.len() as u64 + 4 * u64::from(strings.count))?;
    store(cx, at, &strings.bytes)?;
    let (mut pointer, mut to) = (pointers, at);
    for string in strings.bytes.split_inclusive(|byte| *byte == 0) {
        store_u32(cx, pointer, to)?;
        // All of it lies in the memory, or an earlier store has failed.
        pointer = pointer.checked_add(4).ok_or(Errno::FAULT)?;
        // The last string may end at the last address.
        to = to.wrapping_add(string.len() as u32);
    }
    Ok(())
}

fn strings_sizes(cx: &mut Context<'_>, env: bool, count_at: u32, bytes_at: u32) -> Result<(), Stop> {
    let settings = Arc::clone(&cx.wasi()?.settings);
    let strings = if env { environment(cx, &settings) } else { Cow::Borrowed(&settings.args) };
    let (count, bytes) = (strings.count, strings.bytes.len() as u32);
    store_u32(cx, count_at, count)?;
    store_u32(cx, bytes_at, bytes)
}

/// `fdstat`: 24 bytes. It describes a pipe, whose kind has no number of its own.
fn fdstat(cx: &mut Context<'_>, fd: u32, at: u32) -> Result<(), Stop> {
    const READ: u64 = 1 << 1;
    const WRITE: u64 = 1 << 6;
    const POLL: u64 = 1 << 27;
    let rights = if stdio::open(cx, fd)? == stdio::Fd::In { READ | POLL } else { WRITE | POLL };
    let mut stat = [0; 24];
    stat[8..16].copy_from_slice(&rights.to_le_bytes());
    store(cx, at, &stat)
}

/// `filestat`: 64 bytes. All are zero, except the number of links.
fn filestat(cx: &mut Context<'_>, fd: u32, at: u32) -> Result<(), Stop> {
    stdio::open(cx, fd)?;
    let mut stat = [0; 64];
    stat[24] = 1;
    store(cx, at, &stat)
}

/// Random bytes that are drawn at once.
const CHUNK: usize = 64;

fn random(cx: &mut Context<'_>, at: u32, len: u32) -> Result<(), Stop> {
    // Making a byte takes as long as several operators.
    cx.charge(u64::from(len))?;
    let (data, _) = cx.memory_and_state();
    let range = within(data, at, len as usize)?;
    for (number, begin) in (0..).zip(range.clone().step_by(CHUNK)) {
        look_at_time(cx, number)?;
        let (data, state) = cx.memory_and_state();
        let wasi = state.host.guest.wasi.as_deref_mut().ok_or(Errno::NOSYS)?;
        wasi.random(&mut data[begin..range.end.min(begin + CHUNK)]);
    }
    Ok(())
}

/// The answer of an open descriptor to a call that does not apply to a pipe.
fn no_pipe(cx: &mut Context<'_>, fd: u32, errno: Errno) -> Result<(), Stop> {
    stdio::open(cx, fd)?;
    Err(errno.into())
}

/// A function with its name.
fn function<P, R>(name: &str, function: impl IntoHostFunction<P, R>) -> Arc<HostFunction> {
    Arc::new(HostFunction::own(MODULE, name, function))
}

/// Declares calls that answer an errno: the name, the parameters after the context, and the body.
macro_rules! calls {
    ($($name:literal ($cx:ident $(, $param:ident: $ty:ty)*) $body:expr;)*) => {
        vec![$(function($name, |$cx: &mut Context<'_> $(, $param: $ty)*| {
            let done: Result<(), Stop> = $body;
            answer($cx, done)
        })),*]
    };
}

/// All functions of the interface.
pub(super) fn all() -> Vec<Arc<HostFunction>> {
    let mut all = calls! {
        "args_get" (cx, argv: u32, buf: u32) strings(cx, false, argv, buf);
        "args_sizes_get" (cx, count: u32, size: u32) strings_sizes(cx, false, count, size);
        "environ_get" (cx, environ: u32, buf: u32) strings(cx, true, environ, buf);
        "environ_sizes_get" (cx, count: u32, size: u32) strings_sizes(cx, true, count, size);
        "clock_res_get" (cx, clock: u32, at: u32) match clock {
            0..=3 => store_u64(cx, at, nanoseconds(TICK)),
            _ => Err(Errno::INVAL.into()),
        };
        "clock_time_get" (cx, clock: u32, _precision: u64, at: u32) time_of(cx, clock).and_then(|time| store_u64(cx, at, time));
        "fd_advise" (cx, fd: u32, _offset: u64, _len: u64, _advice: u32) no_pipe(cx, fd, Errno::SPIPE);
        "fd_allocate" (cx, fd: u32, _offset: u64, _len: u64) no_pipe(cx, fd, Errno::SPIPE);
        "fd_close" (cx, fd: u32) stdio::close(cx, fd);
        "fd_datasync" (cx, fd: u32) no_pipe(cx, fd, Errno::INVAL);
        "fd_fdstat_get" (cx, fd: u32, at: u32) fdstat(cx, fd, at);
        "fd_fdstat_set_flags" (cx, fd: u32, _flags: u32) stdio::open(cx, fd).map(drop);
        "fd_fdstat_set_rights" (cx, fd: u32, _base: u64, _inheriting: u64) no_pipe(cx, fd, Errno::NOTSUP);
        "fd_filestat_get" (cx, fd: u32, at: u32) filestat(cx, fd, at);
        "fd_filestat_set_size" (cx, fd: u32, _size: u64) no_pipe(cx, fd, Errno::INVAL);
        "fd_filestat_set_times" (cx, fd: u32, _atim: u64, _mtim: u64, _flags: u32) no_pipe(cx, fd, Errno::NOTSUP);
        "fd_pread" (cx, fd: u32, _list: u32, _count: u32, _offset: u64, _at: u32) no_pipe(cx, fd, Errno::SPIPE);
        "fd_prestat_get" (cx, fd: u32, _at: u32) no_pipe(cx, fd, Errno::BADF);
        "fd_prestat_dir_name" (cx, fd: u32, _at: u32, _len: u32) no_pipe(cx, fd, Errno::BADF);
        "fd_pwrite" (cx, fd: u32, _list: u32, _count: u32, _offset: u64, _at: u32) no_pipe(cx, fd, Errno::SPIPE);
        "fd_read" (cx, fd: u32, list: u32, count: u32, at: u32) stdio::read(cx, fd, list, count, at);
        "fd_readdir" (cx, fd: u32, _at: u32, _len: u32, _cookie: u64, _used: u32) no_pipe(cx, fd, Errno::NOTDIR);
        "fd_renumber" (cx, fd: u32, _to: u32) no_pipe(cx, fd, Errno::NOTSUP);
        "fd_seek" (cx, fd: u32, _offset: i64, _whence: u32, _at: u32) no_pipe(cx, fd, Errno::SPIPE);
        "fd_sync" (cx, fd: u32) no_pipe(cx, fd, Errno::INVAL);
        "fd_tell" (cx, fd: u32, _at: u32) no_pipe(cx, fd, Errno::SPIPE);
        "fd_write" (cx, fd: u32, list: u32, count: u32, at: u32) stdio::write(cx, fd, list, count, at);
        "path_create_directory" (cx, fd: u32, _path: u32, _len: u32) no_pipe(cx, fd, Errno::NOTDIR);
        "path_filestat_get" (cx, fd: u32, _flags: u32, _path: u32, _len: u32, _at: u32) no_pipe(cx, fd, Errno::NOTDIR);
        "path_filestat_set_times" (cx, fd: u32, _flags: u32, _path: u32, _len: u32, _atim: u64, _mtim: u64, _set: u32)
            no_pipe(cx, fd, Errno::NOTDIR);
        "path_link" (cx, fd: u32, _flags: u32, _path: u32, _len: u32, _to: u32, _to_path: u32, _to_len: u32)
            no_pipe(cx, fd, Errno::NOTDIR);
        "path_open" (cx, fd: u32, _flags: u32, _path: u32, _len: u32, _open: u32, _base: u64, _inheriting: u64, _fd_flags: u32, _at: u32)
            no_pipe(cx, fd, Errno::NOTDIR);
        "path_readlink" (cx, fd: u32, _path: u32, _len: u32, _at: u32, _room: u32, _used: u32) no_pipe(cx, fd, Errno::NOTDIR);
        "path_remove_directory" (cx, fd: u32, _path: u32, _len: u32) no_pipe(cx, fd, Errno::NOTDIR);
        "path_rename" (cx, fd: u32, _path: u32, _len: u32, _to: u32, _to_path: u32, _to_len: u32) no_pipe(cx, fd, Errno::NOTDIR);
        "path_symlink" (cx, _path: u32, _len: u32, fd: u32, _to_path: u32, _to_len: u32) no_pipe(cx, fd, Errno::NOTDIR);
        "path_unlink_file" (cx, fd: u32, _path: u32, _len: u32) no_pipe(cx, fd, Errno::NOTDIR);
        "poll_oneoff" (cx, subscriptions: u32, events: u32, count: u32, at: u32) poll::poll(cx, subscriptions, events, count, at);
        "proc_raise" (_cx, _signal: u32) Err(Errno::NOSYS.into());
        "random_get" (cx, at: u32, len: u32) random(cx, at, len);
        "sched_yield" (_cx) Ok(());
        "sock_accept" (cx, fd: u32, _flags: u32, _at: u32) no_pipe(cx, fd, Errno::NOTSOCK);
        "sock_recv" (cx, fd: u32, _list: u32, _count: u32, _flags: u32, _at: u32, _out: u32) no_pipe(cx, fd, Errno::NOTSOCK);
        "sock_send" (cx, fd: u32, _list: u32, _count: u32, _flags: u32, _at: u32) no_pipe(cx, fd, Errno::NOTSOCK);
        "sock_shutdown" (cx, fd: u32, _how: u32) no_pipe(cx, fd, Errno::NOTSOCK);
    };
    all.push(function("proc_exit", |cx: &mut Context<'_>, code: u32| -> Result<(), HostError> {
        let kind = InvokeErrorKind::Exit { code, log: tail(cx.logged()) };
        Err(cx.end(kind))
    }));
    all
}
