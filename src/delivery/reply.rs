//! Replies that are events: a function's answer becomes an event.
//!
//! Invariant: the runtime sets `id`, `source` and the count of hops of such an event. A function
//! cannot choose them. The type is one that the trigger lists.

use super::DeliveryError;
use crate::{
    event::Event,
    queue::{HOPS, Job, hops},
    text::cut,
};

/// The event in a function's answer. `None` if the trigger does not publish replies, or if the
/// answer is blank.
pub(super) fn read(job: &Job, output: &[u8]) -> Result<Option<Event>, DeliveryError> {
    let Some(types) = &job.bound.trigger.delivery.emits else { return Ok(None) };
    if output.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    let reply = Event::parse(output)?;
    if !types.iter().any(|ty| **ty == *reply.ty()) {
        return Err(DeliveryError::ReplyType { ty: cut(reply.ty()) });
    }
    let hops = i32::try_from(hops(&job.event)).unwrap_or(i32::MAX).saturating_add(1);
    Ok(Some(reply.stamped(&job.id.to_string(), &job.bound.id, HOPS, hops)))
}
