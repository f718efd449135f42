//! Replies: what a successful invocation gives back.
//!
//! Invariant: a reply never changes after it is made.

use std::{ffi::c_char, ptr, sync::OnceLock};

use dormouse::{Reply, Report, SessionReply};

use crate::{
    edge::Given,
    report::dormouse_report,
    text::Text,
    value::{Values, dormouse_value},
};

/// What a successful invocation gave back. The caller owns it and frees it with
/// `dormouse_reply_free`. Everything that it lends is valid until then. It may outlive its function
/// and its runtime. It never changes, so any number of threads may read it.
pub struct dormouse_reply {
    answer: Answer,
    log: Text,
    values: Values,
    report: dormouse_report,
    report_text: OnceLock<Text>,
}

owned!(dormouse_reply);

/// What a reply is made from.
enum Answer {
    Bytes(Reply),
    Numbers(SessionReply<dormouse::Values>),
    Session(SessionReply<()>),
}

impl Answer {
    fn report(&self) -> &Report {
        match self {
            Self::Bytes(reply) => reply.report(),
            Self::Numbers(returned) => returned.report(),
            Self::Session(returned) => returned.report(),
        }
    }
}

impl dormouse_reply {
    fn new(answer: Answer, log: String, values: Values) -> Box<Self> {
        let report = answer.report().into();
        Box::new(Self { answer, log: Text::new(log), values, report, report_text: OnceLock::new() })
    }
}

impl From<Reply> for Box<dormouse_reply> {
    fn from(reply: Reply) -> Self {
        let log = reply.log().into_owned();
        dormouse_reply::new(Answer::Bytes(reply), log, Values::new())
    }
}

impl From<SessionReply<dormouse::Values>> for Box<dormouse_reply> {
    fn from(returned: SessionReply<dormouse::Values>) -> Self {
        let (log, values) =
            (returned.log().into_owned(), returned.values().iter().map(|value| (*value).into()).collect());
        dormouse_reply::new(Answer::Numbers(returned), log, values)
    }
}

impl From<SessionReply<()>> for Box<dormouse_reply> {
    fn from(returned: SessionReply<()>) -> Self {
        let log = returned.log().into_owned();
        dormouse_reply::new(Answer::Session(returned), log, Values::new())
    }
}

/// Lends elements. The pointer is never NULL if there is a reply.
fn lend<T>(elements: &[T], len_out: crate::edge::Out<usize>) -> *const T {
    if let Some(place) = len_out.optional() {
        place.put(elements.len());
    }
    elements.as_ptr()
}

fn of<T>(reply: Given<dormouse_reply>, part: impl FnOnce(&dormouse_reply) -> *const T) -> *const T {
    reply.optional().map_or(ptr::null(), part)
}

exported! { total:
    /// The function's output: bytes of `dormouse_function_invoke`, and empty for the other calls.
    /// Lent. NULL for NULL. `len_out` may be NULL. `len_out` may be NULL.
    pub unsafe extern "C" fn dormouse_reply_output(reply: *const dormouse_reply, len_out: *mut usize) -> *const u8 {
        of(reply, |reply| match &reply.answer {
            Answer::Bytes(bytes) => lend(bytes.output(), len_out),
            Answer::Numbers(_) | Answer::Session(_) => lend(&[], len_out),
        })
    }

    /// The results of `dormouse_function_call`, and empty for the other calls. Lent. NULL for NULL.
    /// `len_out` may be NULL. `len_out` may be NULL.
    pub unsafe extern "C" fn dormouse_reply_values(reply: *const dormouse_reply, len_out: *mut usize) -> *const dormouse_value {
        of(reply, |reply| lend(&reply.values, len_out))
    }

    /// The log: what the guest wrote to its standard error, and what host functions logged, a line
    /// each. Bytes that are not UTF-8 are replaced with U+FFFD. Lent. NULL for NULL. `len_out` may
    /// be NULL. `len_out` may be NULL.
    pub unsafe extern "C" fn dormouse_reply_log(reply: *const dormouse_reply, len_out: *mut usize) -> *const c_char {
        of(reply, |reply| reply.log.lend(len_out))
    }

    /// What the invocation did and used. Lent. NULL for NULL.
    pub unsafe extern "C" fn dormouse_reply_report(reply: *const dormouse_reply) -> *const dormouse_report {
        of(reply, |reply| &raw const reply.report)
    }

    /// The report as one line, such as `REPORT greet@3f2a91c start=warm fuel=18204 ...`. Lent. NULL
    /// for NULL. `len_out` may be NULL.
    pub unsafe extern "C" fn dormouse_reply_report_text(reply: *const dormouse_reply, len_out: *mut usize) -> *const c_char {
        of(reply, |reply| {
            let text = || Text::new(reply.answer.report().to_string());
            reply.report_text.get_or_init(text).lend(len_out)
        })
    }

    /// Frees a reply. NULL is allowed.
    pub unsafe extern "C" fn dormouse_reply_free(reply: *mut dormouse_reply) {
        drop(reply.take());
    }
}
