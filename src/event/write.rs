//! Writes the JSON form of an event.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{Attribute, Data, Event};
use crate::json::write_string;

pub(super) fn write(event: &Event, out: &mut Vec<u8>) {
    let mut separator = b'{';
    for (name, value) in event.attributes() {
        member(out, &mut separator, name);
        match value {
            Attribute::String(text) => write_string(out, &text),
            other => out.extend_from_slice(other.to_string().as_bytes()),
        }
    }
    match &event.0.data {
        None => {}
        Some(Data::Json(json)) => {
            member(out, &mut separator, "data");
            out.extend_from_slice(json);
        }
        Some(Data::Text(text)) => {
            member(out, &mut separator, "data");
            write_string(out, text);
        }
        Some(Data::Binary(bytes)) => {
            member(out, &mut separator, "data_base64");
            out.push(b'"');
            out.extend_from_slice(STANDARD.encode(bytes).as_bytes());
            out.push(b'"');
        }
    }
    out.push(b'}');
}

/// A key and its colon. No name of an attribute needs escapes.
fn member(out: &mut Vec<u8>, separator: &mut u8, name: &str) {
    out.push(*separator);
    *separator = b',';
    out.push(b'"');
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}
