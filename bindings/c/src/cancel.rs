//! Cancel handles.
//!
//! Invariant: a handle that was cancelled stays cancelled.

use dormouse::Cancel;

use crate::{error::dormouse_error, status::dormouse_status};

/// Ends invocations from another thread. Made by `dormouse_cancel_new`, given to invocations in
/// `dormouse_invoke_options.cancel`, freed by `dormouse_cancel_free`.
///
/// Thread safety: any number of threads may use one handle at once. Invocations keep what they need
/// of it, so it may be freed before they end. Their callbacks may free it, and so may a thread that
/// knows that the invocations have reached a callback.
pub struct dormouse_cancel(pub(crate) Cancel);

counted!(dormouse_cancel);

exported! { fallible:
    /// Makes a cancel handle that has not been used yet.
    ///
    /// Statuses: DORMOUSE_NULL.
    pub unsafe extern "C" fn dormouse_cancel_new(
        cancel_out: *mut *mut dormouse_cancel,
        error_out: *mut *mut dormouse_error,
    ) -> dormouse_status {
        cancel_out.required()?.share(dormouse_cancel(Cancel::new()));
        Ok(())
    }

    /// Ends the invocations that have this handle, those that run now and those that begin later:
    /// it stays cancelled. They end with DORMOUSE_CANCELLED at their next slice of 100,000 fuel, or
    /// when the host function that they are in returns.
    ///
    /// Statuses: DORMOUSE_NULL.
    pub unsafe extern "C" fn dormouse_cancel_cancel(
        cancel: *const dormouse_cancel,
        error_out: *mut *mut dormouse_error,
    ) -> dormouse_status {
        cancel.get()?.0.cancel();
        Ok(())
    }
}

exported! { total:
    /// Whether `dormouse_cancel_cancel` was called. False for NULL.
    pub unsafe extern "C" fn dormouse_cancel_is_cancelled(cancel: *const dormouse_cancel) -> bool {
        cancel.optional().is_some_and(|cancel| cancel.0.is_cancelled())
    }

    /// Frees a cancel handle. This cancels nothing. NULL is allowed.
    pub unsafe extern "C" fn dormouse_cancel_free(cancel: *mut dormouse_cancel) {
        drop(cancel.take());
    }
}
