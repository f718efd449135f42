//! Reads the JSON form of an event, strictly.
//!
//! It is stricter than the specification in one place: it refuses a member that stands there twice,
//! as two readers could see two different events in that.
//!
//! Invariant: an event that it returns has passed all checks.

use std::borrow::Cow;

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{
    Attribute, Data, Event, Fields, builder, check,
    error::{EventError, cut},
};
use crate::json::{JsonProblem, Kind, Raw, Scanner};

pub(super) fn parse(json: &[u8], bytes_max: usize) -> Result<Event, EventError> {
    if json.len() > bytes_max {
        return Err(EventError::TooLarge { bytes: json.len(), limit: bytes_max });
    }
    let mut scanner = Scanner::new(json);
    let event = object(&mut scanner, 0)?;
    scanner.end()?;
    Ok(event)
}

/// What the reader has found of an event.
#[derive(Default)]
struct Found<'a> {
    /// In the order of [`OWN`].
    own: [Option<Cow<'a, str>>; 8],
    extensions: Vec<(String, Attribute<'static>)>,
    data: Option<(Kind, Raw<'a>)>,
    base64: Option<Cow<'a, str>>,
}

const OWN: [&str; 8] = ["specversion", "id", "source", "type", "datacontenttype", "dataschema", "subject", "time"];

/// Reads the event that begins here, `level` arrays and objects deep.
pub(super) fn object(scanner: &mut Scanner<'_>, level: u32) -> Result<Event, EventError> {
    if scanner.kind()? != Kind::Object {
        return Err(scanner.error(JsonProblem::Object).into());
    }
    let mut found = Found::default();
    // A member that is null counts as absent. It must not stand there again all the same.
    let mut seen: Vec<Cow<'_, str>> = Vec::new();
    scanner.open();
    let mut first = true;
    while let Some(key) = scanner.key(first)? {
        first = false;
        let name = key.text();
        member(scanner, &name, &mut found, level)?;
        seen.push(name);
    }
    seen.sort_unstable();
    if let Some(pair) = seen.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(EventError::Duplicate { attribute: cut(&pair[0]) });
    }
    found.event()
}

fn member<'a>(scanner: &mut Scanner<'a>, name: &str, found: &mut Found<'a>, level: u32) -> Result<(), EventError> {
    let kind = scanner.kind()?;
    if name == "data" {
        let start = scanner.offset();
        scanner.skip(level + 1)?;
        let bytes = scanner.since(start);
        found.data = Some((kind, Raw { bytes, escaped: bytes.contains(&b'\\') }));
        return Ok(());
    }
    if kind == Kind::Null {
        scanner.literal(kind)?;
        return if OWN.contains(&name) || name == "data_base64" { Ok(()) } else { check::extension_name(name) };
    }
    if let Some(at) = OWN.iter().position(|own| *own == name) {
        found.own[at] = Some(string(scanner, name, kind)?);
    } else if name == "data_base64" {
        found.base64 = Some(string(scanner, name, kind)?);
    } else {
        check::extension_name(name)?;
        let value = extension(scanner, name, kind)?;
        found.extensions.push((name.to_owned(), value));
    }
    Ok(())
}

fn string<'a>(scanner: &mut Scanner<'a>, name: &str, kind: Kind) -> Result<Cow<'a, str>, EventError> {
    if kind != Kind::String {
        return Err(EventError::Type { attribute: name.into(), found: kind.describe(), expected: "a string" });
    }
    Ok(scanner.string()?.text())
}

fn extension(scanner: &mut Scanner<'_>, name: &str, kind: Kind) -> Result<Attribute<'static>, EventError> {
    match kind {
        Kind::String => Ok(Attribute::String(Cow::Owned(scanner.string()?.text().into_owned()))),
        Kind::True | Kind::False => {
            scanner.literal(kind)?;
            Ok(Attribute::Boolean(kind == Kind::True))
        }
        Kind::Number => {
            let digits = scanner.number()?;
            let integer = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
            integer.map(Attribute::Integer).ok_or(EventError::Type {
                attribute: name.into(),
                found: "a number with a fraction or an exponent, or beyond 32 bits",
                expected: "an integer from -2147483648 to 2147483647, or a string",
            })
        }
        _ => Err(EventError::Type {
            attribute: name.into(),
            found: kind.describe(),
            expected: "a string, an integer or a boolean",
        }),
    }
}

impl Found<'_> {
    fn event(self) -> Result<Event, EventError> {
        let [specversion, id, source, ty, datacontenttype, dataschema, subject, time] = self.own;
        let required = |name: &'static str, value: Option<Cow<'_, str>>| -> Result<Box<str>, EventError> {
            let value = value.ok_or(EventError::Missing { attribute: name })?;
            check::attribute(name, &value)?;
            Ok(value.into())
        };
        let optional = |name: &'static str, value: Option<Cow<'_, str>>| -> Result<Option<Box<str>>, EventError> {
            value.map(|value| required(name, Some(value))).transpose()
        };
        match specversion.as_deref() {
            None => return Err(EventError::Missing { attribute: "specversion" }),
            Some("1.0") => {}
            Some(other) => return Err(EventError::SpecVersion { found: cut(other) }),
        }
        let datacontenttype = optional("datacontenttype", datacontenttype)?;
        let data = match (self.data, self.base64) {
            (Some(_), Some(_)) => return Err(EventError::TwoPayloads),
            (None, None) => None,
            (None, Some(base64)) => Some(Data::Binary(decode(&base64)?.into_boxed_slice())),
            // A string under a media type other than JSON's stands for its text. Any other value is
            // JSON.
            (Some((Kind::String, raw)), None) if datacontenttype.as_deref().is_some_and(|ty| !check::is_json(ty)) => {
                let inner = Raw { bytes: &raw.bytes[1..raw.bytes.len() - 1], escaped: raw.escaped };
                Some(Data::Text(inner.text().into()))
            }
            (Some((_, raw)), None) => Some(Data::Json(raw.bytes.into())),
        };
        Ok(Event::from_fields(Fields {
            id: required("id", id)?,
            source: required("source", source)?,
            ty: required("type", ty)?,
            datacontenttype,
            dataschema: optional("dataschema", dataschema)?,
            subject: optional("subject", subject)?,
            time: optional("time", time)?,
            extensions: builder::extensions(self.extensions)?,
            data,
        }))
    }
}

fn decode(base64: &str) -> Result<Vec<u8>, EventError> {
    STANDARD.decode(base64).map_err(|error| EventError::Base64 { problem: error.to_string().into_boxed_str() })
}
