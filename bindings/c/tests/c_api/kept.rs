//! Results that the host keeps. Each says the same however long it is kept, even if what it came
//! from is gone.

use std::ptr;

use dormouse_c::{self as c, dormouse_status as S};

use super::edge::{self, call, check};

/// Each with what it should say.
pub(super) enum Kept {
    Reply(*mut c::dormouse_reply, Vec<u8>),
    Text(*mut c::dormouse_text, String),
    Names(*mut c::dormouse_names, Vec<String>),
    /// Its type, and its data.
    Event(*mut c::dormouse_event, &'static str, &'static str),
    Pattern(*mut c::dormouse_pattern, &'static str),
    Outcomes(*mut c::dormouse_outcomes, Vec<String>),
    /// Their numbers.
    Letters(*mut c::dormouse_dead_letters, Vec<u64>),
    Response(*mut c::dormouse_response, u32),
}

impl Kept {
    pub(super) fn look(&self) {
        match self {
            Self::Reply(reply, output) => look_at_reply(*reply, Some(output)),
            Self::Text(text, right) => assert_eq!(edge::text(|len| call!(c::dormouse_text_chars(*text, len))), right),
            Self::Names(names, right) => {
                assert_eq!(call!(c::dormouse_names_count(*names)), right.len());
                for (at, name) in right.iter().enumerate() {
                    assert_eq!(edge::text(|len| call!(c::dormouse_names_at(*names, at, len))), name);
                }
                assert!(call!(c::dormouse_names_at(*names, right.len(), ptr::null_mut())).is_null());
            }
            Self::Event(event, ty, data) => look_at_event(*event, ty, Some(data)),
            Self::Pattern(pattern, ty) => {
                let json = format!(r#"{{"type": "{ty}"}}"#);
                let ((chars, len), mut matches) = (edge::chars(&json), false);
                let status = check(true, "pattern_matches", |error| {
                    call!(c::dormouse_pattern_matches(*pattern, chars, len, &mut matches, ptr::null_mut(), error))
                });
                assert!(status == S::DORMOUSE_OK && matches, "{status:?}");
            }
            Self::Outcomes(outcomes, triggers) => look_at_outcomes(*outcomes, triggers),
            Self::Letters(letters, ids) => assert_eq!(look_at_letters(*letters), *ids),
            Self::Response(response, status) => {
                assert_eq!(call!(c::dormouse_response_status(*response)), *status);
                assert!(edge::bytes(|len| call!(c::dormouse_response_body(*response, len))).is_some());
                // SAFETY: all zeros are no text.
                let mut header = unsafe { std::mem::zeroed() };
                let beyond = check(true, "response_header", |error| {
                    call!(c::dormouse_response_header(*response, usize::MAX, &mut header, error))
                });
                assert_eq!(beyond, S::DORMOUSE_NOT_FOUND);
            }
        }
    }

    pub(super) fn free(self) {
        match self {
            Self::Reply(at, _) => call!(c::dormouse_reply_free(at)),
            Self::Text(at, _) => call!(c::dormouse_text_free(at)),
            Self::Names(at, _) => call!(c::dormouse_names_free(at)),
            Self::Event(at, ..) => call!(c::dormouse_event_free(at)),
            Self::Pattern(at, _) => call!(c::dormouse_pattern_free(at)),
            Self::Outcomes(at, _) => call!(c::dormouse_outcomes_free(at)),
            Self::Letters(at, _) => call!(c::dormouse_dead_letters_free(at)),
            Self::Response(at, _) => call!(c::dormouse_response_free(at)),
        }
    }
}

fn look_at_reply(reply: *const c::dormouse_reply, output: Option<&[u8]>) {
    let said = edge::bytes(|len| call!(c::dormouse_reply_output(reply, len))).expect("a reply lends its output");
    assert!(output.is_none_or(|output| output == said), "{said:?}");
    assert!(edge::text(|len| call!(c::dormouse_reply_report_text(reply, len))).starts_with("REPORT "));
    edge::text(|len| call!(c::dormouse_reply_log(reply, len)));
    let report = call!(c::dormouse_reply_report(reply));
    // SAFETY: NULL, or lent by the reply.
    let report = unsafe { report.as_ref() }.expect("a reply has a report");
    assert!(report.outcome == S::DORMOUSE_OK && report.output_bytes == said.len() as u64, "{:?}", report.outcome);
}

fn look_at_event(event: *const c::dormouse_event, ty: &str, data: Option<&str>) {
    let (mut text, (name, len)) = (edge::Out::new(false), edge::chars("type"));
    let status =
        check(true, "event_attribute", |error| call!(c::dormouse_event_attribute(event, name, len, text.at(), error)));
    let text = text.made(status, S::DORMOUSE_OK, "event_attribute").expect("events have a type");
    assert_eq!(edge::text(|len| call!(c::dormouse_text_chars(text, len))), ty);
    call!(c::dormouse_text_free(text));
    assert!(edge::text(|len| call!(c::dormouse_event_json(event, len))).contains(ty));
    if let Some(data) = data {
        assert_eq!(edge::bytes(|len| call!(c::dormouse_event_data(event, len))), Some(data.as_bytes()));
    }
}

/// A text of a struct. It may be no text.
fn said<'a>(string: c::dormouse_string) -> Option<&'a str> {
    (!string.chars.is_null()).then(|| {
        edge::text(|len| {
            // SAFETY: the place of `text`.
            unsafe { len.write(string.len) };
            string.chars
        })
    })
}

fn look_at_outcomes(outcomes: *const c::dormouse_outcomes, triggers: &[String]) {
    assert_eq!(call!(c::dormouse_outcomes_count(outcomes)), triggers.len());
    for at in 0..=triggers.len() {
        // SAFETY: numbers, and pointers that may be NULL.
        let mut outcome: c::dormouse_outcome = unsafe { std::mem::zeroed() };
        let status =
            check(true, "outcomes_at", |error| call!(c::dormouse_outcomes_at(outcomes, at, &mut outcome, error)));
        let Some(trigger) = triggers.get(at) else {
            assert_eq!(status, S::DORMOUSE_NOT_FOUND);
            break;
        };
        assert_eq!((status, said(outcome.trigger)), (S::DORMOUSE_OK, Some(&**trigger)));
        use c::dormouse_outcome_kind as Kind;
        let succeeded = outcome.kind == Kind::DORMOUSE_OUTCOME_SUCCEEDED;
        let failed = [Kind::DORMOUSE_OUTCOME_RETRY, Kind::DORMOUSE_OUTCOME_DEAD_LETTER].contains(&outcome.kind);
        assert!(outcome.kind != Kind::DORMOUSE_OUTCOME_OTHER);
        assert_eq!((outcome.reply.is_null(), outcome.error.is_null()), (!succeeded, !failed), "{:?}", outcome.kind);
        assert_eq!(outcome.delivery == 0, outcome.kind == Kind::DORMOUSE_OUTCOME_DROPPED);
        if succeeded {
            look_at_reply(outcome.reply, None);
        }
        if failed {
            edge::look_at_error(outcome.error, call!(c::dormouse_error_status(outcome.error)));
        }
    }
}

/// Reads all letters. Returns their numbers.
pub(super) fn look_at_letters(letters: *const c::dormouse_dead_letters) -> Vec<u64> {
    let count = call!(c::dormouse_dead_letters_count(letters));
    let one = |at| {
        // SAFETY: as above.
        let mut letter: c::dormouse_dead_letter = unsafe { std::mem::zeroed() };
        let status =
            check(true, "dead_letters_at", |error| call!(c::dormouse_dead_letters_at(letters, at, &mut letter, error)));
        assert_eq!(status, if at < count { S::DORMOUSE_OK } else { S::DORMOUSE_NOT_FOUND });
        if at == count {
            return None;
        }
        assert!(said(letter.trigger).is_some() && said(letter.function).is_some());
        assert!(letter.attempts == 0 || said(letter.error).is_some_and(|error| !error.is_empty()));
        assert!(edge::text(|len| call!(c::dormouse_event_json(letter.event, len))).starts_with('{'));
        Some(letter.id)
    };
    (0..=count).filter_map(one).collect()
}
