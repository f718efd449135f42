//! Events: CloudEvents 1.0 in memory and in JSON.
//!
//! Invariant: every [`Event`] is valid. [`Event::builder`] makes one and [`Event::parse`] reads
//! one, and both check everything.

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

/// What happened, as
/// [CloudEvents 1.0](https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md) describes
/// it: attributes, and usually data.
///
/// An event never changes. Cloning it copies a pointer, and any thread may hold one.
///
/// Two events are equal if all their attributes and data are equal. They are about the same
/// occurrence if their `source` and `id` are equal.
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

/// The parts of an event. Each has been checked.
#[derive(Clone, PartialEq, Eq)]
struct Fields {
    id: Box<str>,
    source: Box<str>,
    ty: Box<str>,
    datacontenttype: Option<Box<str>>,
    dataschema: Option<Box<str>>,
    subject: Option<Box<str>>,
    /// The text as it was read, so that the same text is written.
    time: Option<Box<str>>,
    extensions: Extensions,
    data: Option<Data>,
}

/// Names and values, in ascending order of the names.
type Extensions = Box<[(Box<str>, Attribute<'static>)]>;

/// The payload.
#[derive(Clone, PartialEq, Eq)]
enum Data {
    /// The text of a JSON value.
    Json(Box<[u8]>),
    /// Text that is not JSON, as `datacontenttype` says.
    Text(Box<str>),
    Binary(Box<[u8]>),
}

/// The form in which an event carries its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DataKind {
    /// A JSON value. Patterns look into it.
    Json,
    /// Text of another media type. Patterns see it as one string.
    Text,
    /// Bytes. Patterns do not see them.
    Binary,
}

impl Event {
    /// The default limit on the bytes of an event's JSON form: 1 MiB.
    pub const BYTES_MAX: usize = 1 << 20;

    fn from_fields(fields: Fields) -> Self {
        Self(Arc::new(fields))
    }

    /// The same event under another identity, with one extension set. The caller gives valid values
    /// for all three.
    pub(crate) fn stamped(&self, id: &str, source: &str, name: &str, value: i32) -> Self {
        let others = self.0.extensions.iter().filter(|(known, _)| **known != *name).cloned();
        let mut extensions: Vec<_> = others.chain([(name.into(), Attribute::Integer(value))]).collect();
        extensions.sort_by(|(a, _), (b, _)| a.cmp(b));
        let fields =
            Fields { id: id.into(), source: source.into(), extensions: extensions.into(), ..(*self.0).clone() };
        Self::from_fields(fields)
    }

    /// Begins an event of the given type, such as `com.example.order.created`.
    pub fn builder(ty: impl Into<String>) -> EventBuilder {
        EventBuilder::new(ty.into())
    }

    /// Reads an event from its JSON form (`application/cloudevents+json`), of at most
    /// [`Event::BYTES_MAX`] bytes.
    ///
    /// # Errors
    /// Something is malformed, is missing, or breaks a rule of the specification. The error names
    /// the attribute.
    pub fn parse(json: &[u8]) -> Result<Self, EventError> {
        Self::parse_within(json, Self::BYTES_MAX)
    }

    /// [`Event::parse`] with another limit, in bytes.
    ///
    /// # Errors
    /// As for [`Event::parse`].
    pub fn parse_within(json: &[u8], bytes_max: usize) -> Result<Self, EventError> {
        parse::parse(json, bytes_max)
    }

    /// Reads a batch (`application/cloudevents-batch+json`): an array of events, each of at most
    /// [`Event::BYTES_MAX`] bytes. The array may be empty.
    ///
    /// # Errors
    /// As for [`Event::parse`], with the position of the event in the batch. One invalid event
    /// makes the whole batch an error.
    pub fn parse_batch(json: &[u8]) -> Result<Vec<Self>, EventError> {
        Self::parse_batch_within(json, Self::BYTES_MAX)
    }

    /// [`Event::parse_batch`] with another limit for each event, in bytes.
    ///
    /// # Errors
    /// As for [`Event::parse_batch`].
    pub fn parse_batch_within(json: &[u8], bytes_max: usize) -> Result<Vec<Self>, EventError> {
        batch::parse(json, bytes_max)
    }

    /// The JSON form. [`Event::parse`] reads an equal event from it.
    pub fn to_json(&self) -> Vec<u8> {
        let mut json = Vec::with_capacity(256 + self.data().map_or(0, <[u8]>::len));
        self.write_json(&mut json);
        json
    }

    /// Appends the JSON form to `out`.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        write::write(self, out);
    }

    /// The JSON form of a batch.
    pub fn batch_to_json(events: &[Self]) -> Vec<u8> {
        batch::to_json(events)
    }

    /// The attribute `id`, which identifies the event within its source.
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// The attribute `source`, a URI reference: where the event happened.
    pub fn source(&self) -> &str {
        &self.0.source
    }

    /// The attribute `type`. The method is named `ty`, as `type` is a keyword of Rust.
    pub fn ty(&self) -> &str {
        &self.0.ty
    }

    /// The attribute `subject`: what the event is about, within its source.
    pub fn subject(&self) -> Option<&str> {
        self.0.subject.as_deref()
    }

    /// The attribute `time`: when the event happened.
    pub fn time(&self) -> Option<Timestamp> {
        self.0.time.as_deref()?.parse().ok()
    }

    /// The attribute `time` as it was read, with its own offset and digits.
    pub fn time_text(&self) -> Option<&str> {
        self.0.time.as_deref()
    }

    /// The attribute `datacontenttype`: the media type of the data. Without it, data that is not
    /// binary is JSON.
    pub fn data_content_type(&self) -> Option<&str> {
        self.0.datacontenttype.as_deref()
    }

    /// The attribute `dataschema`: the schema of the data, an absolute URI.
    pub fn data_schema(&self) -> Option<&str> {
        self.0.dataschema.as_deref()
    }

    /// The extension `expirytime`: when the event expires. The runtime does not deliver an expired
    /// event.
    pub fn expires(&self) -> Option<Timestamp> {
        match self.attribute("expirytime")? {
            Attribute::String(text) => text.parse().ok(),
            _ => None,
        }
    }

    /// The attribute or extension of this name, for instance `subject` or `partitionkey`.
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

    /// All attributes that the event has: those of the specification, then the extensions in
    /// ascending order of their names.
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

    /// The bytes of the data: a JSON value's text, a text's UTF-8, or binary data itself. `None` if
    /// the event carries no data. That is not the same as the JSON value `null`.
    pub fn data(&self) -> Option<&[u8]> {
        self.0.data.as_ref().map(|data| match data {
            Data::Json(bytes) | Data::Binary(bytes) => &**bytes,
            Data::Text(text) => text.as_bytes(),
        })
    }

    /// The form of what [`Event::data`] returns.
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
