//! Checks the strings of attributes: the grammars of RFC 3986 (URIs), and of RFC 2045 and RFC 7231
//! (media types).

use super::error::{EventError, cut};

/// The names of attributes and members in the specification. No extension may have one.
const TAKEN: [&str; 10] =
    ["specversion", "id", "source", "type", "datacontenttype", "dataschema", "subject", "time", "data", "data_base64"];

/// Checks that any attribute may hold this string.
pub(super) fn characters(attribute: &str, text: &str) -> Result<(), EventError> {
    let illegal = |character: &char| {
        let code = u32::from(*character);
        character.is_control() || (0xfdd0..=0xfdef).contains(&code) || code & 0xfffe == 0xfffe
    };
    match text.chars().find(illegal) {
        Some(character) => Err(EventError::Character { attribute: attribute.into(), character }),
        None => Ok(()),
    }
}

/// Checks an attribute of the specification: it is not empty, and has the form that its name asks
/// for.
pub(super) fn attribute(name: &'static str, text: &str) -> Result<(), EventError> {
    if text.is_empty() {
        return Err(EventError::Empty { attribute: name.into() });
    }
    characters(name, text)?;
    let form = match name {
        "source" => uri_reference(text),
        "dataschema" => uri(text),
        "datacontenttype" => media_type(text).map(drop),
        "time" => return time(name, text),
        _ => Ok(()),
    };
    form.map_err(|problem| EventError::Invalid { attribute: name.into(), value: cut(text), problem })
}

pub(super) fn time(name: &str, text: &str) -> Result<(), EventError> {
    match text.parse::<super::Timestamp>() {
        Ok(_) => Ok(()),
        Err(error) => Err(EventError::Time { attribute: name.into(), value: cut(text), error }),
    }
}

pub(super) fn extension_name(name: &str) -> Result<(), EventError> {
    let problem = if TAKEN.contains(&name) {
        "is a name of the specification's own"
    } else if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()) {
        "has characters other than a-z and 0-9, or none"
    } else {
        return Ok(());
    };
    Err(EventError::ExtensionName { name: cut(name), problem })
}

/// Checks a URI with its scheme.
pub(super) fn uri(text: &str) -> Result<(), &'static str> {
    uri_reference(text)?;
    match scheme(text) {
        Some(scheme) if is_scheme(scheme) => Ok(()),
        _ => Err("which is not an absolute URI: it has no scheme"),
    }
}

/// Checks a URI or a relative reference (RFC 3986, section 4.1).
pub(super) fn uri_reference(text: &str) -> Result<(), &'static str> {
    if scheme(text).is_some_and(|scheme| !is_scheme(scheme)) {
        return Err("which is not a URI reference: what stands before the first colon is not a scheme");
    }
    let (text, fragment) = text.split_once('#').unwrap_or((text, ""));
    let (hierarchy, query) = text.split_once('?').unwrap_or((text, ""));
    let rest = scheme(hierarchy).map_or(hierarchy, |scheme| &hierarchy[scheme.len() + 1..]);
    let (authority, path) = match rest.strip_prefix("//") {
        Some(rest) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
        None => ("", rest),
    };
    let sound =
        made_of(authority, b":@[]") && made_of(path, b":@/") && made_of(query, b":@/?") && made_of(fragment, b":@/?");
    if sound {
        Ok(())
    } else {
        Err("which is not a URI reference: a character must be written as % and two digits, or a % lacks them")
    }
}

/// The text before the first colon, if no slash, question mark or hash stands before it.
fn scheme(text: &str) -> Option<&str> {
    let end = text.find([':', '/', '?', '#'])?;
    text[end..].starts_with(':').then_some(&text[..end])
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

/// Whether a part of a URI has only unreserved characters, sub-delimiters, escapes, and the given
/// others.
fn made_of(part: &str, others: &[u8]) -> bool {
    let bytes = part.as_bytes();
    bytes.iter().enumerate().all(|(at, &byte)| match byte {
        b'%' => bytes.get(at + 1..at + 3).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)),
        _ => byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(&byte) || others.contains(&byte),
    })
}

/// Whether a media type says that the content is JSON.
pub(super) fn is_json(content_type: &str) -> bool {
    media_type(content_type).is_ok_and(|subtype| {
        subtype.eq_ignore_ascii_case("json")
            || subtype.len() > 5 && subtype.as_bytes()[subtype.len() - 5..].eq_ignore_ascii_case(b"+json")
    })
}

/// The subtype of a media type (RFC 7231, section 3.1.1.1).
fn media_type(text: &str) -> Result<&str, &'static str> {
    const PROBLEM: &str = "which is not a media type such as application/json";
    let token_end = |text: &str| text.bytes().position(|byte| !is_token(byte)).unwrap_or(text.len());
    let (kind, rest) = text.split_at(token_end(text));
    let rest = rest.strip_prefix('/').filter(|_| !kind.is_empty()).ok_or(PROBLEM)?;
    let (subtype, mut rest) = rest.split_at(token_end(rest));
    if subtype.is_empty() {
        return Err(PROBLEM);
    }
    let space = [' ', '\t'];
    loop {
        rest = rest.trim_start_matches(space);
        if rest.is_empty() {
            return Ok(subtype);
        }
        rest = rest.strip_prefix(';').ok_or(PROBLEM)?.trim_start_matches(space);
        let (name, value) = rest.split_at(token_end(rest));
        let value = value.strip_prefix('=').filter(|_| !name.is_empty()).ok_or(PROBLEM)?;
        rest = match value.strip_prefix('"') {
            Some(quoted) => &quoted[quoted_end(quoted).ok_or(PROBLEM)?..],
            None => match token_end(value) {
                0 => return Err(PROBLEM),
                end => &value[end..],
            },
        };
    }
}

/// The offset behind the quote that ends a quoted string.
fn quoted_end(text: &str) -> Option<usize> {
    let mut bytes = text.bytes().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'"' => return Some(at + 1),
            b'\\' => drop(bytes.next()?),
            _ => {}
        }
    }
    None
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
