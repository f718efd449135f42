//! The edge to C: calls, out-parameters and errors. Each is checked against the conventions of the
//! header.

use std::{ffi::c_char, mem::MaybeUninit, ptr, slice};

use dormouse_c::{dormouse_error, dormouse_status};

/// A call of the C interface.
macro_rules! call {
    ($call:expr) => {
        // SAFETY: the conventions of the header. A handle is NULL, or one that the machine holds
        // and lets go of before it frees it. Every other pointer is NULL, or leads to the caller's
        // data, which outlives the call and has its own length beside it.
        unsafe { $call }
    };
}
pub(super) use call;

/// Makes a fallible call, which must not panic, and checks its error. There is one exactly if the
/// call failed and was asked for it.
pub(super) fn check(
    asks: bool,
    what: &str,
    call: impl FnOnce(*mut *mut dormouse_error) -> dormouse_status,
) -> dormouse_status {
    let mut error = untouched();
    let status = call(if asks { &raw mut error } else { ptr::null_mut() });
    assert_ne!(status, dormouse_status::DORMOUSE_PANIC, "{what}");
    if !asks || status == dormouse_status::DORMOUSE_OK {
        assert_eq!(error, untouched(), "{what}: an error of a call that went well");
        return status;
    }
    look_at_error(error, status);
    call!(dormouse_c::dormouse_error_free(error));
    status
}

/// Reads everything that an error says.
pub(super) fn look_at_error(error: *const dormouse_error, status: dormouse_status) {
    assert_eq!(call!(dormouse_c::dormouse_error_status(error)), status);
    let message = text(|len| call!(dormouse_c::dormouse_error_message(error, len)));
    assert!(!message.is_empty(), "{status:?} says nothing");
    let trap = call!(dormouse_c::dormouse_error_trap(error));
    let is_trap = status == dormouse_status::DORMOUSE_TRAP;
    assert_eq!(trap != dormouse_c::dormouse_trap::DORMOUSE_TRAP_NONE, is_trap, "{message}");
    let report = call!(dormouse_c::dormouse_error_report(error));
    // SAFETY: NULL, or lent until the error is freed.
    match unsafe { report.as_ref() } {
        Some(report) => {
            assert!(report.outcome == status || status == dormouse_status::DORMOUSE_NO_ROOM, "{message}");
            assert!(!text(|len| call!(dormouse_c::dormouse_error_report_text(error, len))).is_empty());
        }
        None => assert!(call!(dormouse_c::dormouse_error_report_text(error, ptr::null_mut())).is_null()),
    }
}

/// The content of an out-parameter before the call.
fn untouched<T>() -> *mut T {
    ptr::without_provenance_mut(align_of::<u64>())
}

/// The out-parameter for a handle that a call makes. At times it is NULL.
pub(super) struct Out<T>(*mut T, bool);

impl<T> Out<T> {
    pub(super) fn new(is_null: bool) -> Self {
        Self(untouched(), is_null)
    }

    pub(super) fn at(&mut self) -> *mut *mut T {
        if self.1 { ptr::null_mut() } else { &raw mut self.0 }
    }

    /// The handle that the call has made, if it should have. It must write only on success.
    pub(super) fn made(self, status: dormouse_status, expected: dormouse_status, what: &str) -> Option<*mut T> {
        self.made_by(status, &[expected], what)
    }

    /// The same, if several statuses are correct.
    pub(super) fn made_by(self, status: dormouse_status, expected: &[dormouse_status], what: &str) -> Option<*mut T> {
        if self.1 {
            assert_eq!(status, dormouse_status::DORMOUSE_NULL, "{what} without a place for the result");
        } else {
            assert!(expected.contains(&status), "{what}: {status:?} where {expected:?} is right");
        }
        if status == dormouse_status::DORMOUSE_OK {
            assert!(!self.0.is_null() && self.0 != untouched(), "{what}: no result");
            return Some(self.0);
        }
        assert_eq!(self.0, untouched(), "{what}: a result of a call that failed");
        None
    }
}

/// The status of a call that can only fail for NULL.
pub(super) fn ok_unless_null<T>(given: Option<T>) -> dormouse_status {
    given.map_or(dormouse_status::DORMOUSE_NULL, |_| dormouse_status::DORMOUSE_OK)
}

/// Options with their defaults.
pub(super) fn init<T>(init: unsafe extern "C" fn(*mut T, usize, *mut *mut dormouse_error) -> dormouse_status) -> T {
    let mut options = MaybeUninit::uninit();
    let status = check(true, "options_init", |error| call!(init(options.as_mut_ptr(), size_of::<T>(), error)));
    assert_eq!(status, dormouse_status::DORMOUSE_OK);
    // SAFETY: the call has filled it in.
    unsafe { options.assume_init() }
}

/// Bytes that a call lends. Empty for NULL.
pub(super) fn bytes<'a>(lend: impl FnOnce(*mut usize) -> *const u8) -> Option<&'a [u8]> {
    let mut len = usize::MAX;
    let at = lend(&raw mut len);
    // SAFETY: if it is not NULL, it has that many bytes. The caller does not keep them longer than
    // what lends them.
    (!at.is_null()).then(|| unsafe { slice::from_raw_parts(at, len) })
}

/// Text that a call lends, which has a NUL behind it.
pub(super) fn text<'a>(lend: impl FnOnce(*mut usize) -> *const c_char) -> &'a str {
    let bytes = bytes(|len| lend(len).cast()).expect("a text");
    // SAFETY: texts have a NUL behind them.
    assert_eq!(unsafe { *bytes.as_ptr().add(bytes.len()) }, 0, "no NUL behind {bytes:?}");
    std::str::from_utf8(bytes).expect("text is UTF-8")
}

/// A text as a pointer and a length.
pub(super) fn chars(text: &str) -> (*const c_char, usize) {
    (text.as_ptr().cast(), text.len())
}

/// A text in a struct.
pub(super) fn string(text: &str) -> dormouse_c::dormouse_string {
    dormouse_c::dormouse_string { chars: text.as_ptr().cast(), len: text.len() }
}
