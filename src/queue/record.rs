//! The form of deliveries and dead letters on disk: one byte for the version of the form, the
//! length of the head, the head as JSON, the event as JSON.
//!
//! Invariant: bytes of another form are an error. They are never read as a record.

use std::time::Duration;

use serde_json::{Value as Json, json};

use super::dead::{DeadLetter, DeadLetterReason};
use crate::disk::StoreError;
use crate::{event::Event, usage::Version};

const FORM: u8 = 1;

/// A delivery as it is stored.
pub(super) struct Record {
    pub(super) trigger: Box<str>,
    pub(super) attempts: u32,
    pub(super) failures: u32,
    pub(super) age: Duration,
    pub(super) version: Option<Version>,
    pub(super) error: Option<Box<str>>,
    pub(super) event: Event,
}

impl Record {
    pub(super) fn read(bytes: &[u8]) -> Result<Self, StoreError> {
        let (head, event) = split(bytes)?;
        Ok(Self {
            trigger: text(&head, "trigger")?.ok_or_else(|| corrupt("trigger"))?,
            attempts: count(&head, "attempts")?,
            failures: count(&head, "failures")?,
            age: Duration::from_nanos(number(&head, "age")?),
            version: version(&head)?,
            error: text(&head, "error")?,
            event,
        })
    }

    pub(super) fn write(&self) -> Vec<u8> {
        let head = json!({
            "trigger": self.trigger,
            "attempts": self.attempts,
            "failures": self.failures,
            "age": nanos(self.age),
            "version": self.version.map(|version| version.to_string()),
            "error": self.error,
        });
        join(&head, &self.event)
    }
}

pub(super) fn write_letter(letter: &DeadLetter) -> Vec<u8> {
    let head = json!({
        "trigger": *letter.trigger,
        "function": letter.function,
        "version": letter.version.map(|version| version.to_string()),
        "reason": letter.reason.name(),
        "attempts": letter.attempts,
        "error": letter.error,
        "age": nanos(letter.age),
        "at": letter.at.map(|at| at.to_string()),
    });
    join(&head, &letter.event)
}

pub(super) fn read_letter(id: u64, bytes: &[u8]) -> Result<DeadLetter, StoreError> {
    let (head, event) = split(bytes)?;
    let reason = text(&head, "reason")?;
    let reason =
        [DeadLetterReason::Attempts, DeadLetterReason::Age, DeadLetterReason::Permanent, DeadLetterReason::Loop]
            .into_iter()
            .find(|known| reason.as_deref() == Some(known.name()));
    Ok(DeadLetter {
        id,
        event,
        bytes: 0,
        trigger: text(&head, "trigger")?.ok_or_else(|| corrupt("trigger"))?.into(),
        function: text(&head, "function")?.ok_or_else(|| corrupt("function"))?,
        version: version(&head)?,
        reason: reason.ok_or_else(|| corrupt("reason"))?,
        attempts: count(&head, "attempts")?,
        error: text(&head, "error")?,
        age: Duration::from_nanos(number(&head, "age")?),
        at: text(&head, "at")?.and_then(|at| at.parse().ok()),
    })
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn join(head: &Json, event: &Event) -> Vec<u8> {
    let head = head.to_string();
    let mut bytes = vec![FORM];
    bytes.extend_from_slice(&(head.len() as u32).to_le_bytes());
    bytes.extend_from_slice(head.as_bytes());
    event.write_json(&mut bytes);
    bytes
}

fn split(bytes: &[u8]) -> Result<(Json, Event), StoreError> {
    let split = || {
        let (form, rest) = bytes.split_first()?;
        let (len, rest) = rest.split_first_chunk::<4>().filter(|_| *form == FORM)?;
        let (head, event) = rest.split_at_checked(u32::from_le_bytes(*len) as usize)?;
        Some((serde_json::from_slice(head).ok()?, event))
    };
    let (head, event) = split().ok_or_else(|| corrupt("form"))?;
    let event = Event::parse_within(event, usize::MAX);
    Ok((head, event.map_err(|error| StoreError::corrupt("reading an event", &error.to_string()))?))
}

fn corrupt(member: &str) -> StoreError {
    StoreError::corrupt(
        "reading a record",
        &format!("its {member} is missing, or not in the form that this version writes"),
    )
}

fn text(head: &Json, member: &str) -> Result<Option<Box<str>>, StoreError> {
    match &head[member] {
        Json::Null => Ok(None),
        Json::String(text) => Ok(Some(text.as_str().into())),
        _ => Err(corrupt(member)),
    }
}

fn number(head: &Json, member: &str) -> Result<u64, StoreError> {
    head[member].as_u64().ok_or_else(|| corrupt(member))
}

fn count(head: &Json, member: &str) -> Result<u32, StoreError> {
    u32::try_from(number(head, member)?).map_err(|_| corrupt(member))
}

fn version(head: &Json) -> Result<Option<Version>, StoreError> {
    let text = text(head, "version")?;
    text.map(|text| Version::from_hex(&text).ok_or_else(|| corrupt("version"))).transpose()
}
