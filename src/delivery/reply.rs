//! Replies that are events: what a function answers, with an identity that it cannot choose.
//!
//! Invariant: `id`, `source` and the count of hops of such an event are the runtime's, and its type is one that the trigger
//! lists.

use super::{DeliveryError, queue::Job};
use crate::{
    error::cut,
    event::{Attribute, DataKind, Event, EventError},
};

/// The extension that counts how many replies led to an event.
const HOPS: &str = "dormousehops";

/// How many replies led to an event: none, for one that the host published.
pub(super) fn hops(event: &Event) -> u32 {
    match event.attribute(HOPS) {
        Some(Attribute::Integer(hops)) => u32::try_from(hops).unwrap_or(0),
        _ => 0,
    }
}

/// The event that a function's answer stands for; none where nothing is published.
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
    Ok(Some(with_identity(&reply, &format!("{}", job.id), &job.bound.id, hops)?))
}

/// The same event with another count of hops.
pub(super) fn with_hops(event: &Event, hops: u32) -> Event {
    let hops = i32::try_from(hops).unwrap_or(i32::MAX);
    // Of parts that an event had, and one that any may have.
    with_identity(event, event.id(), event.source(), hops).unwrap_or_else(|_| event.clone())
}

/// The same event under another identity.
fn with_identity(event: &Event, id: &str, source: &str, hops: i32) -> Result<Event, EventError> {
    let mut builder = Event::builder(event.ty()).id(id).source(source).bytes_max(usize::MAX);
    if let Some(subject) = event.subject() {
        builder = builder.subject(subject);
    }
    if let Some(time) = event.time_text() {
        builder = builder.time_text(time);
    }
    if let Some(content_type) = event.data_content_type() {
        builder = builder.data_content_type(content_type);
    }
    if let Some(schema) = event.data_schema() {
        builder = builder.data_schema(schema);
    }
    for (name, value) in event.extensions().filter(|(name, _)| *name != HOPS) {
        builder = builder.extension(name, value);
    }
    builder = builder.extension(HOPS, hops);
    if let (Some(data), Some(kind)) = (event.data(), event.data_kind()) {
        builder = match kind {
            DataKind::Json => builder.data_json(data),
            DataKind::Text => builder.data_text(String::from_utf8_lossy(data)),
            DataKind::Binary => builder.data_binary(data),
        };
    }
    builder.build()
}
