//! Patterns on their own: to try one before it is bound, and for hosts that match their own events.
//!
//! Invariant: a pattern never changes after it is made.

use std::ffi::c_char;

use dormouse::{Explanation, Pattern};

use crate::{
    edge::{Out, Place},
    error::dormouse_error,
    failure::Failure,
    status::dormouse_status,
    text::dormouse_text,
};

/// A pattern in the dialect of EventBridge, which describes events. Made by `dormouse_pattern_new`,
/// freed by `dormouse_pattern_free`. It never changes, so any number of threads may use it.
pub struct dormouse_pattern(Pattern);

owned!(dormouse_pattern);

/// Writes whether something matches. If it does not, and the caller asks for it, writes why.
pub(crate) fn say(matches: Place<bool>, why_out: Out<*mut dormouse_text>, why_not: Option<String>) {
    matches.put(why_not.is_none());
    match (why_out.optional(), why_not) {
        (Some(place), Some(why)) => place.give(dormouse_text::new(why)),
        (Some(place), None) => place.put(std::ptr::null_mut()),
        (None, _) => {}
    }
}

exported! { fallible:
    /// Reads a pattern, which is JSON such as `{"type": ["order.created"], "data": {"total":
    /// [{"numeric": [">", 100]}]}}`. It may have 64 KiB.
    ///
    /// Statuses: DORMOUSE_NULL, DORMOUSE_UTF8, DORMOUSE_PATTERN.
    pub unsafe extern "C" fn dormouse_pattern_new(
        pattern: *const c_char,
        pattern_len: usize,
        pattern_out: *mut *mut dormouse_pattern,
        error_out: *mut *mut dormouse_error,
    ) -> dormouse_status {
        let place = pattern_out.required()?;
        // SAFETY: the pointer is followed by its length.
        let text = unsafe { pattern.text(pattern_len) }?;
        place.give(Box::new(dormouse_pattern(Pattern::parse(text)?)));
        Ok(())
    }

    /// Gives whether a JSON object matches: an event's `dormouse_event_json`, or any other.
    /// `why_out`, which may be NULL, receives the first field that fails and why, such as
    /// `data.total must be one of [...], but is 80`. Free it. It receives NULL if the object
    /// matches. Asking why takes longer.
    ///
    /// Statuses: DORMOUSE_NULL, DORMOUSE_EVENT if it is not a JSON object, DORMOUSE_AMBIGUOUS.
    pub unsafe extern "C" fn dormouse_pattern_matches(
        pattern: *const dormouse_pattern,
        json: *const c_char,
        json_len: usize,
        matches_out: *mut bool,
        why_out: *mut *mut dormouse_text,
        error_out: *mut *mut dormouse_error,
    ) -> dormouse_status {
        let (pattern, place) = (pattern.get()?, matches_out.required()?);
        // SAFETY: the pointer is followed by its length.
        let json = unsafe { json.bytes(json_len) }?;
        let why_not = if why_out.optional().is_some() {
            let explanation = pattern.0.explain(json)?;
            (explanation != Explanation::Matches).then(|| explanation.to_string())
        } else {
            (!pattern.0.matches(json)?).then(String::new)
        };
        say(place, why_out, why_not);
        Ok(())
    }
}

exported! { total:
    /// Frees a pattern. NULL is allowed.
    pub unsafe extern "C" fn dormouse_pattern_free(pattern: *mut dormouse_pattern) {
        drop(pattern.take());
    }
}

impl From<dormouse::PatternError> for Failure {
    fn from(error: dormouse::PatternError) -> Self {
        Self::Edge(dormouse_status::DORMOUSE_PATTERN, error.to_string().into())
    }
}
