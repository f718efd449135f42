//! Builds an event from its parts, and checks them.
//!
//! Invariant: an event that it returns has passed all checks.

use serde::Serialize;

use super::{
    Attribute, Data, Event, Extensions, Fields, Timestamp, check,
    error::{EventError, cut},
};
use crate::json::{JsonError, Scanner};

/// The parts of an event to be, from [`Event::builder`]. [`EventBuilder::build`] checks them.
///
/// `id` and `source` have no defaults, so that a run can be repeated: the builder draws no ids and
/// reads no clock. [`EventBuilder::build`] needs both. [`EventBuilder::build_with`] takes what is
/// missing from its arguments. A runtime uses it with its own clock and seed.
#[derive(Clone, Debug)]
#[must_use = "an event is made by `build` or `build_with`"]
pub struct EventBuilder {
    ty: String,
    id: Option<String>,
    source: Option<String>,
    subject: Option<String>,
    time: Option<String>,
    content_type: Option<String>,
    schema: Option<String>,
    extensions: Vec<(String, Attribute<'static>)>,
    data: Option<Given>,
    bytes_max: usize,
}

#[derive(Clone, Debug)]
enum Given {
    Json(Vec<u8>),
    Text(String),
    Binary(Vec<u8>),
    /// serde's words on a value that has no JSON form.
    Failed(String),
}

impl EventBuilder {
    pub(super) fn new(ty: String) -> Self {
        Self {
            ty,
            id: None,
            source: None,
            subject: None,
            time: None,
            content_type: None,
            schema: None,
            extensions: Vec::new(),
            data: None,
            bytes_max: Event::BYTES_MAX,
        }
    }

    /// The attribute `id`, which identifies the event within its source.
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// The attribute `source`: where the event happened, a URI reference such as `/shop` or
    /// `https://example.com/shop`.
    pub fn source(mut self, source: impl Into<String>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The attribute `subject`: what the event is about.
    pub fn subject(mut self, subject: impl Into<String>) -> Self {
        self.subject = Some(subject.into());
        self
    }

    /// The attribute `time`: when the event happened.
    pub fn time(self, time: Timestamp) -> Self {
        self.time_text(time.to_string())
    }

    /// The attribute `time` as a text of RFC 3339, which is kept unchanged.
    pub fn time_text(mut self, time: impl Into<String>) -> Self {
        self.time = Some(time.into());
        self
    }

    /// The attribute `datacontenttype`: the media type of the data.
    pub fn data_content_type(mut self, content_type: impl Into<String>) -> Self {
        self.content_type = Some(content_type.into());
        self
    }

    /// The attribute `dataschema`: the schema of the data, an absolute URI.
    pub fn data_schema(mut self, schema: impl Into<String>) -> Self {
        self.schema = Some(schema.into());
        self
    }

    /// An extension. Its name consists of the characters `a-z` and `0-9`.
    pub fn extension<'a>(mut self, name: impl Into<String>, value: impl Into<Attribute<'a>>) -> Self {
        self.extensions.push((name.into(), value.into().into_owned()));
        self
    }

    /// The extension `expirytime`: when the event expires.
    pub fn expires(self, time: Timestamp) -> Self {
        self.extension("expirytime", time)
    }

    /// Data that is already JSON. Its bytes are kept unchanged.
    pub fn data_json(mut self, json: impl Into<Vec<u8>>) -> Self {
        self.data = Some(Given::Json(json.into()));
        self
    }

    /// Data from a value, which serde writes as JSON.
    pub fn data_value<T: Serialize + ?Sized>(mut self, value: &T) -> Self {
        self.data = Some(match serde_json::to_vec(value) {
            Ok(json) => Given::Json(json),
            Err(error) => Given::Failed(error.to_string()),
        });
        self
    }

    /// Data that is text other than JSON. Its media type is `text/plain` unless another is given.
    pub fn data_text(mut self, text: impl Into<String>) -> Self {
        self.data = Some(Given::Text(text.into()));
        self
    }

    /// Data that is bytes, of any media type.
    pub fn data_binary(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.data = Some(Given::Binary(bytes.into()));
        self
    }

    /// A limit other than [`Event::BYTES_MAX`] for the JSON form.
    pub fn bytes_max(mut self, bytes: usize) -> Self {
        self.bytes_max = bytes;
        self
    }

    /// The event. The arguments stand for `id`, `source` and `time` where the builder has none.
    ///
    /// # Errors
    /// As for [`EventBuilder::build`].
    pub fn build_with(mut self, id: impl Into<String>, source: &str, time: Timestamp) -> Result<Event, EventError> {
        self.id.get_or_insert_with(|| id.into());
        self.source.get_or_insert_with(|| source.to_owned());
        self.time.get_or_insert_with(|| time.to_string());
        self.build()
    }

    /// The event.
    ///
    /// # Errors
    /// Something is missing, or breaks a rule of the specification. The error names the attribute.
    pub fn build(mut self) -> Result<Event, EventError> {
        let data = self.data.take().map(Given::checked).transpose()?;
        if let (Some(Data::Text(_)), None) = (&data, &self.content_type) {
            self.content_type = Some("text/plain".to_owned());
        }
        if let Some(content_type) = &self.content_type {
            check::attribute("datacontenttype", content_type)?;
            let problem = match (&data, check::is_json(content_type)) {
                (Some(Data::Json(_)), false) => "it is JSON; give it as text or bytes, or leave out the media type",
                (Some(Data::Text(_)), true) => "it is text; give it by `data_json`",
                _ => "",
            };
            if !problem.is_empty() {
                return Err(EventError::ContentType { content_type: cut(content_type), problem });
            }
        }
        let optional = |name: &'static str, value: Option<String>| -> Result<Option<Box<str>>, EventError> {
            value
                .map(|value| {
                    check::attribute(name, &value)?;
                    Ok(value.into_boxed_str())
                })
                .transpose()
        };
        let required = |name: &'static str, value: Option<String>| -> Result<Box<str>, EventError> {
            optional(name, value)?.ok_or(EventError::Missing { attribute: name })
        };
        let event = Event::from_fields(Fields {
            id: required("id", self.id)?,
            source: required("source", self.source)?,
            ty: required("type", Some(self.ty))?,
            datacontenttype: self.content_type.map(String::into_boxed_str),
            dataschema: optional("dataschema", self.schema)?,
            subject: optional("subject", self.subject)?,
            time: optional("time", self.time)?,
            extensions: extensions(self.extensions)?,
            data,
        });
        let bytes = event.to_json().len();
        if bytes > self.bytes_max {
            return Err(EventError::TooLarge { bytes, limit: self.bytes_max });
        }
        Ok(event)
    }
}

/// Checks extensions, and sorts them by name.
pub(super) fn extensions(mut given: Vec<(String, Attribute<'static>)>) -> Result<Extensions, EventError> {
    given.sort_by(|(a, _), (b, _)| a.cmp(b));
    if let Some(pair) = given.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        return Err(EventError::Duplicate { attribute: cut(&pair[0].0) });
    }
    for (name, value) in &given {
        check::extension_name(name)?;
        if let Attribute::String(text) = value {
            check::characters(name, text)?;
        }
        if name == "expirytime" {
            let Attribute::String(text) = value else {
                let found = if matches!(value, Attribute::Boolean(_)) { "a boolean" } else { "a number" };
                return Err(EventError::Type { attribute: name.as_str().into(), found, expected: "an RFC 3339 time" });
            };
            check::time(name, text)?;
        }
    }
    Ok(given.into_iter().map(|(name, value)| (name.into_boxed_str(), value)).collect())
}

impl Given {
    fn checked(self) -> Result<Data, EventError> {
        Ok(match self {
            Given::Json(json) => Data::Json(checked_json(&json)?.into()),
            Given::Text(text) => Data::Text(text.into_boxed_str()),
            Given::Binary(bytes) => Data::Binary(bytes.into_boxed_slice()),
            Given::Failed(problem) => return Err(EventError::Serialize { problem: problem.into_boxed_str() }),
        })
    }
}

/// A JSON text without the white space around it. Data stands one level deep within its event.
fn checked_json(json: &[u8]) -> Result<&[u8], JsonError> {
    let mut scanner = Scanner::new(json);
    let start = scanner.offset();
    scanner.skip(1)?;
    let value = scanner.since(start);
    scanner.end()?;
    Ok(value)
}
