//! The length of a chain of replies, as an extension attribute of events.
//!
//! Invariant: only the runtime sets this attribute.

use crate::event::{Attribute, Event};

/// The extension that counts how many replies led to an event.
pub(crate) const HOPS: &str = "dormousehops";

/// How many replies led to an event. It is 0 for an event that the host published.
pub(crate) fn hops(event: &Event) -> u32 {
    match event.attribute(HOPS) {
        Some(Attribute::Integer(hops)) => u32::try_from(hops).unwrap_or(0),
        _ => 0,
    }
}

/// A copy of the event with another count of hops.
pub(super) fn with_hops(event: &Event, hops: u32) -> Event {
    let hops = i32::try_from(hops).unwrap_or(i32::MAX);
    event.stamped(event.id(), event.source(), HOPS, hops)
}
