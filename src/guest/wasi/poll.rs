//! `poll_oneoff`: it says what is ready, and sleeps.
//!
//! Invariant: a sleep takes no real time. It moves the guest's clock on.

use std::time::Duration;

use super::{
    calls::{Errno, Stop, load, look_at_time, reach, store, store_u32, time_of},
    stdio::{self, Fd},
};
use crate::host::Context;

/// Bytes of a `subscription` and of an `event`.
const SUBSCRIPTION: u32 = 48;
const EVENT: u32 = 32;

/// Fuel for a subscription. The host reads it twice.
const PRICE: u64 = 32;

/// The state of a subscription at one moment.
enum Readiness {
    /// It is ready in this many nanoseconds.
    In(u64),
    Ready {
        bytes: u64,
        /// There are no more bytes to read.
        hung_up: bool,
    },
    Wrong(Errno),
}

pub(super) fn poll(cx: &mut Context<'_>, list: u32, events: u32, count: u32, at: u32) -> Result<(), Stop> {
    if count == 0 {
        return Err(Errno::INVAL.into());
    }
    let size = reach(cx);
    let end = |at: u32, each: u32| u64::from(at) + u64::from(count) * u64::from(each);
    if end(list, SUBSCRIPTION) > size || end(events, EVENT) > size {
        return Err(Errno::FAULT.into());
    }
    cx.charge(u64::from(count) * PRICE)?;

    // The host reads the list twice, so that it keeps nothing of the list's size. Both times it
    // uses one moment of the guest's clock.
    let now = [time_of(cx, 0)?, time_of(cx, 1)?];
    let mut soonest = u64::MAX;
    for number in 0..count {
        look_at_time(cx, number)?;
        let (_, _, state) = look(cx, list + number * SUBSCRIPTION, now)?;
        soonest = soonest.min(if let Readiness::In(left) = state { left } else { 0 });
    }
    cx.wasi()?.sleep(Duration::from_nanos(soonest));
    let mut written = 0;
    for number in 0..count {
        look_at_time(cx, number)?;
        let (userdata, kind, state) = look(cx, list + number * SUBSCRIPTION, now)?;
        let mut event = [0; EVENT as usize];
        event[..8].copy_from_slice(&userdata);
        event[10] = kind;
        match state {
            Readiness::In(left) if left > soonest => continue,
            Readiness::In(_) => {}
            Readiness::Ready { bytes, hung_up } => {
                event[16..24].copy_from_slice(&bytes.to_le_bytes());
                event[24] = u8::from(hung_up);
            }
            Readiness::Wrong(Errno(error)) => event[8..10].copy_from_slice(&(error as u16).to_le_bytes()),
        }
        store(cx, events + written * EVENT, &event)?;
        written += 1;
    }
    store_u32(cx, at, written)
}

/// Reads a subscription: its user data, its kind, and whether it is ready.
fn look(cx: &mut Context<'_>, at: u32, now: [u64; 2]) -> Result<([u8; 8], u8, Readiness), Stop> {
    const ABSOLUTE: u16 = 1;
    let userdata = load(cx, at)?;
    let [kind] = load(cx, at + 8)?;
    let number = u32::from_le_bytes(load(cx, at + 16)?);
    let state = match kind {
        0 => {
            let timeout = u64::from_le_bytes(load(cx, at + 24)?);
            let flags = u16::from_le_bytes(load(cx, at + 40)?);
            match number {
                0..=3 if flags & ABSOLUTE == 0 => Readiness::In(timeout),
                0..=3 => Readiness::In(timeout.saturating_sub(now[usize::from(number != 0)])),
                _ => Readiness::Wrong(Errno::INVAL),
            }
        }
        1 | 2 => match stdio::open(cx, number) {
            Ok(Fd::In) if kind == 1 => {
                let bytes = stdio::unread(cx.wasi()?);
                Readiness::Ready { bytes, hung_up: bytes == 0 }
            }
            Ok(Fd::Out | Fd::Err) if kind == 2 => Readiness::Ready { bytes: 4_096, hung_up: false },
            _ => Readiness::Wrong(Errno::BADF),
        },
        _ => Readiness::Wrong(Errno::INVAL),
    };
    Ok((userdata, kind, state))
}
