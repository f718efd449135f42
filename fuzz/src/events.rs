//! Takes any bytes as events, as patterns, and as both together.

use dormouse::{Event, Explanation, MatchError, Pattern, PatternIndex};

/// Any bytes as an event and as a batch.
pub fn event(bytes: &[u8]) {
    if let Ok(event) = Event::parse(bytes) {
        assert_eq!(Event::parse_within(&event.to_json(), usize::MAX).as_ref(), Ok(&event));
    }
    if let Ok(events) = Event::parse_batch(bytes) {
        assert_eq!(Event::parse_batch_within(&Event::batch_to_json(&events), usize::MAX), Ok(events));
    }
}

/// Any text as a pattern.
pub fn pattern(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match Pattern::parse(text) {
        // A text near the limit may be longer when it is written, as addresses may be.
        Ok(pattern) if text.len() < 1 << 15 => assert_eq!(Pattern::parse(&pattern.to_string()), Ok(pattern)),
        Ok(_) => {}
        Err(error) => assert!(error.to_string().len() < 4 << 10),
    }
}

/// Patterns on a line each, and an event on the last line.
pub fn matching(bytes: &[u8]) {
    let mut lines: Vec<&[u8]> = bytes.split(|&byte| byte == b'\n').collect();
    let Some(event) = lines.pop() else { return };
    let index = PatternIndex::new();
    let mut patterns = Vec::new();
    for (key, line) in lines.into_iter().enumerate().take(32) {
        let pattern = std::str::from_utf8(line).ok().and_then(|text| Pattern::parse(text).ok());
        if let Some(pattern) = pattern {
            index.add(key, &pattern).expect("keys are counted up");
            patterns.push((key, pattern));
        }
    }
    let found = index.matches(event);
    if let Err(MatchError::Ambiguous { .. }) = found {
        return;
    }
    for (key, pattern) in &patterns {
        let alone = pattern.matches(event);
        // Matching hardly checks what no pattern names. So with more names, more may be wrong.
        if let (Ok(found), Ok(alone)) = (&found, &alone) {
            assert_eq!(found.contains(key), *alone, "{pattern}");
            let explained = pattern.explain(event).expect("it was matched");
            assert_eq!(explained == Explanation::Matches, *alone, "{pattern}: {explained}");
        }
        assert!(found.is_err() || alone.is_ok(), "{pattern}: {alone:?}");
    }
    // An event that was parsed matches the same patterns as its JSON form.
    if let Ok(parsed) = Event::parse(event) {
        let json = parsed.to_json();
        for (_, pattern) in patterns.iter().filter(|(_, pattern)| !pattern.to_string().contains("data_base64")) {
            assert_eq!(pattern.matches_event(&parsed), pattern.matches(&json), "{pattern}");
        }
    }
}
