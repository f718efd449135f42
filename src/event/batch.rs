//! Batches: several events in one JSON array, read and written.

use super::{Event, EventError, parse};
use crate::json::{JsonProblem, Kind, Scanner};

pub(super) fn parse(json: &[u8], bytes_max: usize) -> Result<Vec<Event>, EventError> {
    let mut scanner = Scanner::new(json);
    if scanner.kind()? != Kind::Array {
        return Err(scanner.error(JsonProblem::Array).into());
    }
    scanner.open();
    let mut events = Vec::new();
    while scanner.element(events.is_empty())? {
        let start = scanner.offset();
        let event = parse::object(&mut scanner, 1).and_then(|event| {
            let bytes = scanner.since(start).len();
            if bytes > bytes_max { Err(EventError::TooLarge { bytes, limit: bytes_max }) } else { Ok(event) }
        });
        let position = events.len();
        events.push(event.map_err(|error| EventError::InBatch { position, error: Box::new(error) })?);
    }
    scanner.end()?;
    Ok(events)
}

pub(super) fn to_json(events: &[Event]) -> Vec<u8> {
    let mut json = vec![b'['];
    for (at, event) in events.iter().enumerate() {
        if at > 0 {
            json.push(b',');
        }
        event.write_json(&mut json);
    }
    json.push(b']');
    json
}
