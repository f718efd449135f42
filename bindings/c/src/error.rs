//! Errors: what a failed call says besides its status.
//!
//! Invariant: an error never changes after it is made, and holds on to nothing else.

use std::ffi::c_char;

use crate::{
    failure::Failure,
    report::dormouse_report,
    status::{dormouse_status, dormouse_trap},
    text::Text,
};

/// Why a call failed. A call that fails writes it to `*error_out`, unless `error_out` is NULL. Then
/// the caller owns it and frees it with `dormouse_error_free`. It keeps nothing else alive. It
/// never changes, so any number of threads may read it.
pub struct dormouse_error {
    status: dormouse_status,
    trap: dormouse_trap,
    message: Text,
    report: Option<(dormouse_report, Text)>,
}

owned!(dormouse_error);

impl dormouse_error {
    pub(crate) fn new(failure: Failure) -> Self {
        let report = failure.report().map(|report| (report.into(), Text::new(report.to_string())));
        Self { status: failure.status(), trap: failure.trap(), message: Text::new(failure.to_string()), report }
    }

    pub(crate) fn panicked(text: &str) -> Self {
        let message = Text::new(format!("a bug in dormouse: a panic was caught at its edge: {text}"));
        let (status, trap) = (dormouse_status::DORMOUSE_PANIC, dormouse_trap::DORMOUSE_TRAP_NONE);
        Self { status, trap, message, report: None }
    }
}

impl crate::edge::Fallback for dormouse_status {
    const FALLBACK: Self = Self::DORMOUSE_NULL;
}

impl crate::edge::Fallback for dormouse_trap {
    const FALLBACK: Self = Self::DORMOUSE_TRAP_NONE;
}

exported! { total:
    /// The status that the call returned. DORMOUSE_NULL for NULL.
    pub unsafe extern "C" fn dormouse_error_status(error: *const dormouse_error) -> dormouse_status {
        error.optional().map_or(dormouse_status::DORMOUSE_NULL, |error| error.status)
    }

    /// How the guest trapped, if the failure is a trap, or an error of a plug-in or of
    /// initialisation that ended in a trap. Otherwise DORMOUSE_TRAP_NONE, also for NULL.
    pub unsafe extern "C" fn dormouse_error_trap(error: *const dormouse_error) -> dormouse_trap {
        error.optional().map_or(dormouse_trap::DORMOUSE_TRAP_NONE, |error| error.trap)
    }

    /// What went wrong, where, and what to do, in one or several lines. Text from guests is escaped
    /// and cut at 4 KiB. Lent until the error is freed. NULL for NULL. `len_out` may be NULL.
    /// `len_out` may be NULL.
    pub unsafe extern "C" fn dormouse_error_message(error: *const dormouse_error, len_out: *mut usize) -> *const c_char {
        error.optional().map_or(std::ptr::null(), |error| error.message.lend(len_out))
    }

    /// What the failed invocation did and used. NULL if no guest ran, and for NULL. Lent until the
    /// error is freed.
    pub unsafe extern "C" fn dormouse_error_report(error: *const dormouse_error) -> *const dormouse_report {
        error.optional().and_then(|error| error.report.as_ref()).map_or(std::ptr::null(), |(report, _)| report)
    }

    /// The report as one line, such as `REPORT greet@3f2a91c start=warm fuel=18204 ...`. Lent until
    /// the error is freed. `len_out` may be NULL.
    pub unsafe extern "C" fn dormouse_error_report_text(error: *const dormouse_error, len_out: *mut usize) -> *const c_char {
        error.optional().and_then(|error| error.report.as_ref()).map_or(std::ptr::null(), |(_, text)| text.lend(len_out))
    }

    /// Frees an error. NULL is allowed.
    pub unsafe extern "C" fn dormouse_error_free(error: *mut dormouse_error) {
        drop(error.take());
    }
}
