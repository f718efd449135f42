//! Events: CloudEvents 1.0 in memory and in JSON.
//!
//! An [`Event`] is made by [`Event::builder`] or read by [`Event::parse`]; both check everything, so that an event that
//! exists is a valid one.

mod attribute;
mod batch;
mod builder;
mod check;
mod error;
mod parse;
mod time;
mod write;

use std::{borrow::Cow, fmt, str::FromStr, sync::Arc};

pub use attribute::Attribute;
pub use builder::EventBuilder;
pub use error::EventError;
pub use time::{Timestamp, TimestampError};

/// What happened, as [CloudEvents 1.0](https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md) describes it:
/// attributes, and usually data.
///
/// An event never changes. Cloning it copies a pointer, and any thread may hold one. Two events are equal if all their
/// attributes and data are; `source` and `id` together say whether they are about the same occurrence.
///
/// ```
/// use dormouse::Event;
///
/// let event = Event::builder("order.created")
///     .id("A-1")
///     .source("/shop")
///     .extension("partitionkey", "customer-7")
///     .data_json(r#"{"total": 120}"#)
///     .build()?;
/// assert_eq!(event.ty(), "order.created");
/// assert_eq!(event.attribute("partitionkey").and_then(|key| key.into_string()).as_deref(), Some("customer-7"));
/// assert_eq!(event.data(), Some(&br#"{"total": 120}"#[..]));
/// assert_eq!(Event::parse(&event.to_json())?, event);
/// # Ok::<(), dormouse::EventError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Event(Arc<Fields>);

/// What an event is made of. Only checked values stand here.
#[derive(Clone, PartialEq, Eq)]
struct Fields {
    id: Box<str>,
    source: Box<str>,
    ty: Box<str>,
    datacontenttype: Option<Box<str>>,
    dataschema: Option<Box<str>>,
    subject: Option<Box<str>>,
    /// As it was written, so that it is written again in the same way.
    time: Option<Box<str>>,
    extensions: Extensions,
    data: Option<Data>,
}

/// By name, in ascending order.
type Extensions = Box<[(Box<str>, Attribute<'static>)]>;

/// The payload.
#[derive(Clone, PartialEq, Eq)]
enum Data {
    /// The text of a JSON value.
    Json(Box<[u8]>),
    /// Characters that are no JSON, as `datacontenttype` says.
    Text(Box<str>),
    Binary(Box<[u8]>),
}

/// In which form an event carries its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DataKind {
    /// A JSON value: patterns look into it.
    Json,
    /// Text of another media type. To a pattern it is one string.
    Text,
    /// Bytes. Patterns do not see them.
    Binary,
}

impl Event {
    /// Bytes of an event's JSON form at most, unless a limit is given: 1 MiB.
    pub const BYTES_MAX: usize = 1 << 20;

    fn from_fields(fields: Fields) -> Self {
        Self(Arc::new(fields))
    }

    /// The same event under another identity, with one extension set. All three must be what an event may have.
    pub(crate) fn stamped(&self, id: &str, source: &str, name: &str, value: i32) -> Self {
        let others = self.0.extensions.iter().filter(|(known, _)| **known != *name).cloned();
        let mut extensions: Vec<_> = others.chain([(name.into(), Attribute::Integer(value))]).collect();
        extensions.sort_by(|(a, _), (b, _)| a.cmp(b));
        let fields =
            Fields { id: id.into(), source: source.into(), extensions: extensions.into(), ..(*self.0).clone() };
        Self::from_fields(fields)
    }

    /// Begins an event of a type, such as `com.example.order.created`.
    pub fn builder(ty: impl Into<String>) -> EventBuilder {
        EventBuilder::new(ty.into())
    }

    /// Reads an event from its JSON form (`application/cloudevents+json`), of at most [`Event::BYTES_MAX`] bytes.
    ///
    /// # Errors
    /// What is malformed, missing or not as the specification has it; attributes by name.
    pub fn parse(json: &[u8]) -> Result<Self, EventError> {
        Self::parse_within(json, Self::BYTES_MAX)
    }

    /// [`Event::parse`] with a limit of one's own, in bytes.
    ///
    /// # Errors
    /// As for [`Event::parse`].
    pub fn parse_within(json: &[u8], bytes_max: usize) -> Result<Self, EventError> {
        parse::parse(json, bytes_max)
    }

    /// Reads a batch (`application/cloudevents-batch+json`): an array of events, each of at most [`Event::BYTES_MAX`] bytes. An
    /// empty one is legal.
    ///
    /// # Errors
    /// As for [`Event::parse`], with the position of the event in the batch. One bad event refuses the batch.
    pub fn parse_batch(json: &[u8]) -> Result<Vec<Self>, EventError> {
        Self::parse_batch_within(json, Self::BYTES_MAX)
    }

    /// [`Event::parse_batch`] with a limit of one's own for each event, in bytes.
    ///
    /// # Errors
    /// As for [`Event::parse_batch`].
    pub fn parse_batch_within(json: &[u8], bytes_max: usize) -> Result<Vec<Self>, EventError> {
        batch::parse(json, bytes_max)
    }

    /// The JSON form. What [`Event::parse`] reads from it is equal to this event.
    pub fn to_json(&self) -> Vec<u8> {
        let mut json = Vec::with_capacity(256 + self.data().map_or(0, <[u8]>::len));
        self.write_json(&mut json);
        json
    }

    /// [`Event::to_json`] behind what is in `out`.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        write::write(self, out);
    }

    /// The JSON form of a batch.
    pub fn batch_to_json(events: &[Self]) -> Vec<u8> {
        batch::to_json(events)
    }

    /// Identifies the event within its source.
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// Where it happened: a URI reference.
    pub fn source(&self) -> &str {
        &self.0.source
    }

    /// The attribute `type`, a word that Rust keeps for itself.
    pub fn ty(&self) -> &str {
        &self.0.ty
    }

    /// What it is about, within the source.
    pub fn subject(&self) -> Option<&str> {
        self.0.subject.as_deref()
    }

    /// When it happened.
    pub fn time(&self) -> Option<Timestamp> {
        self.0.time.as_deref()?.parse().ok()
    }

    /// The attribute `time` as it was written: its offset and its digits are kept.
    pub fn time_text(&self) -> Option<&str> {
        self.0.time.as_deref()
    }

    /// The media type of the data. Without one, data that is not binary is JSON.
    pub fn data_content_type(&self) -> Option<&str> {
        self.0.datacontenttype.as_deref()
    }

    /// The schema of the data: an absolute URI.
    pub fn data_schema(&self) -> Option<&str> {
        self.0.dataschema.as_deref()
    }

    /// When the event stops being of use: the extension `expirytime`. An expired event is not delivered.
    pub fn expires(&self) -> Option<Timestamp> {
        match self.attribute("expirytime")? {
            Attribute::String(text) => text.parse().ok(),
            _ => None,
        }
    }

    /// An attribute or extension by its name, for instance `subject` or `partitionkey`.
    pub fn attribute(&self, name: &str) -> Option<Attribute<'_>> {
        let text = match name {
            "specversion" => Some("1.0"),
            "id" => Some(self.id()),
            "source" => Some(self.source()),
            "type" => Some(self.ty()),
            "datacontenttype" => self.data_content_type(),
            "dataschema" => self.data_schema(),
            "subject" => self.subject(),
            "time" => self.time_text(),
            _ => {
                let at = self.0.extensions.binary_search_by(|(known, _)| (**known).cmp(name)).ok()?;
                return Some(self.0.extensions[at].1.borrowed());
            }
        };
        text.map(|text| Attribute::String(Cow::Borrowed(text)))
    }

    /// All attributes that the event has, by name: the specification's, then extensions in ascending order.
    pub fn attributes(&self) -> impl Iterator<Item = (&str, Attribute<'_>)> {
        const NAMES: [&str; 8] =
            ["specversion", "id", "source", "type", "datacontenttype", "dataschema", "subject", "time"];
        let own = NAMES.into_iter().filter_map(|name| Some((name, self.attribute(name)?)));
        own.chain(self.extensions())
    }

    /// The extensions, in ascending order of their names.
    pub fn extensions(&self) -> impl Iterator<Item = (&str, Attribute<'_>)> {
        self.0.extensions.iter().map(|(name, value)| (&**name, value.borrowed()))
    }

    /// The bytes of the data: a JSON value's text, a text's UTF-8, or binary data itself. None where the event carries no data,
    /// which is not the same as the JSON value `null`.
    pub fn data(&self) -> Option<&[u8]> {
        self.0.data.as_ref().map(|data| match data {
            Data::Json(bytes) | Data::Binary(bytes) => &**bytes,
            Data::Text(text) => text.as_bytes(),
        })
    }

    /// What [`Event::data`] gives.
    pub fn data_kind(&self) -> Option<DataKind> {
        self.0.data.as_ref().map(|data| match data {
            Data::Json(_) => DataKind::Json,
            Data::Text(_) => DataKind::Text,
            Data::Binary(_) => DataKind::Binary,
        })
    }
}

/// The kind in one word: `json`, `text`, `binary`.
impl fmt::Display for DataKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Json => "json",
            Self::Text => "text",
            Self::Binary => "binary",
        })
    }
}

impl FromStr for Event {
    type Err = EventError;

    /// The same as [`Event::parse`].
    fn from_str(json: &str) -> Result<Self, EventError> {
        Self::parse(json.as_bytes())
    }
}

/// The JSON form, as [`Event::to_json`] writes it.
impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.to_json()))
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Event({self})")
    }
}
