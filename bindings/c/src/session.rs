//! Sessions: several calls on one instance, within one invocation.
//!
//! Invariant: one call at a time uses the guest, only while the session's body runs.

use std::{
    cell::Cell,
    ffi::{c_char, c_int, c_void},
    ptr,
};

use dormouse::{Guest, InvokeErrorKind};

use crate::{
    edge::Passed,
    error::dormouse_error,
    failure::Failure,
    function::dormouse_function,
    invoke::{dormouse_invoke_options, invocation},
    reply::dormouse_reply,
    status::dormouse_status,
    value::{dormouse_value, values},
};

/// The body of a session. It returns 0. Any other number ends the session with a failure: the
/// failure of its last failed call on the guest, or else DORMOUSE_HOST_FUNCTION with the number. It
/// must not leave by `longjmp` or by a C++ exception.
pub type dormouse_session_callback =
    Option<unsafe extern "C-unwind" fn(user_data: *mut c_void, guest: *mut dormouse_guest) -> c_int>;

impl Passed for dormouse_session_callback {
    type Inside = Self;

    unsafe fn look(self, _: &'static str) -> Self {
        self
    }
}

/// A guest within a session. It is lent to a `dormouse_session_callback`, for the thread and the
/// duration of that call. Never keep it.
pub struct dormouse_guest {
    /// A `&mut Guest`, whose lifetime C does not know.
    guest: Cell<*mut c_void>,
    /// The error of the last failed call on the guest.
    failure: Cell<Option<InvokeErrorKind>>,
}

lent!(dormouse_guest);

impl dormouse_guest {
    /// Runs a call on the guest, and remembers its failure.
    fn with<T>(&self, run: impl FnOnce(&mut Guest<'_>) -> Result<T, InvokeErrorKind>) -> Result<T, Failure> {
        let at = self.guest.replace(ptr::null_mut());
        // SAFETY: NULL, or from the `&mut Guest` of the session that is waiting for the callback,
        // and that outlives this struct. It is taken out for the duration of this call: a host
        // function that the guest calls may have got this struct from the host, and finds it empty.
        let Some(guest) = (unsafe { at.cast::<Guest<'_>>().as_mut() }) else {
            return Err(Failure::argument("`guest` is in use: a host function that it calls cannot call it".into()));
        };
        let ran = run(guest);
        self.guest.set(at);
        ran.map_err(|kind| {
            self.failure.set(Some(kind.clone()));
            kind.into()
        })
    }
}

exported! { fallible:
    /// Runs several calls on one instance in one invocation, for guests with a protocol of their
    /// own. The library calls `body` once, with `user_data` and the guest. Then it cleans the
    /// instance like any other. Fuel and deadline are those of one invocation.
    ///
    /// The caller keeps `user_data`. `options` may be NULL for the defaults. The reply has a log
    /// and a report.
    ///
    /// Statuses: DORMOUSE_NULL, DORMOUSE_ARGUMENT, DORMOUSE_UTF8, 200 to 299.
    pub unsafe extern "C" fn dormouse_function_session(
        function: *const dormouse_function,
        body: dormouse_session_callback,
        user_data: *mut c_void,
        options: *const dormouse_invoke_options,
        reply_out: *mut *mut dormouse_reply,
        error_out: *mut *mut dormouse_error,
    ) -> dormouse_status {
        let (function, place) = (function.get()?, reply_out.required()?);
        let body = body.ok_or_else(|| Failure::null("body"))?;
        let returned = invocation(&function.function, &[], options)?.session(|guest| {
            let mut lent = dormouse_guest { guest: Cell::new((&raw mut *guest).cast()), failure: Cell::new(None) };
            // SAFETY: the host gave the body and its user data together. The guest outlives the
            // call.
            match unsafe { body(user_data, &mut lent) } {
                0 => Ok(()),
                code => Err(lent.failure.take().unwrap_or_else(|| InvokeErrorKind::HostFunction {
                    module: "session".into(),
                    name: "body".into(),
                    message: format!("it returned {code}").into(),
                })),
            }
        })?;
        place.give(returned.into());
        Ok(())
    }

    /// Calls an exported function. Its results go to `results_out`, and `count_out` receives how
    /// many there are. If they do not fit, the call has still run, and fails with DORMOUSE_NO_ROOM.
    /// `results_out` may be NULL if `results_room` is 0. `count_out` may be NULL.
    ///
    /// Statuses: DORMOUSE_NULL, DORMOUSE_ARGUMENT, DORMOUSE_UTF8, DORMOUSE_NO_ROOM, 200 to 299.
    pub unsafe extern "C" fn dormouse_guest_call(
        guest: *mut dormouse_guest,
        export_name: *const c_char,
        export_name_len: usize,
        args: *const dormouse_value,
        args_len: usize,
        results_out: *mut dormouse_value,
        results_room: usize,
        count_out: *mut usize,
        error_out: *mut *mut dormouse_error,
    ) -> dormouse_status {
        let guest = guest.get()?;
        // SAFETY: each pointer is followed by its length.
        let (export, args, room) =
            unsafe { (export_name.text(export_name_len)?, args.slice(args_len)?, results_out.room(results_room)?) };
        let args = values(args)?;
        let results = guest.with(|guest| guest.call(export, &args))?;
        let given: crate::value::Values = results.iter().map(|value| (*value).into()).collect();
        if !room.fill(&given) {
            let (needed, has) = (given.len(), room.len());
            return Err(Failure::no_room(format!("`{export}` has {needed} results, `results_out` has room for {has}")));
        }
        if let Some(place) = count_out.optional() {
            place.put(given.len());
        }
        Ok(())
    }

    /// Copies `len` bytes at address `at` of the guest's memory to `bytes`: all or nothing. The
    /// memory is the export `memory`, or else the first exported memory.
    ///
    /// Statuses: DORMOUSE_NULL, DORMOUSE_ARGUMENT, DORMOUSE_OUT_OF_BOUNDS.
    pub unsafe extern "C" fn dormouse_guest_read(
        guest: *mut dormouse_guest,
        at: u32,
        bytes: *mut u8,
        len: usize,
        error_out: *mut *mut dormouse_error,
    ) -> dormouse_status {
        let guest = guest.get()?;
        // SAFETY: the pointer is followed by its length.
        let room = unsafe { bytes.room(len) }?;
        room.fill(&guest.with(|guest| guest.read(at, len))?);
        Ok(())
    }

    /// Copies `len` bytes into the guest's memory at address `at`: all or nothing.
    ///
    /// Statuses: DORMOUSE_NULL, DORMOUSE_ARGUMENT, DORMOUSE_OUT_OF_BOUNDS.
    pub unsafe extern "C" fn dormouse_guest_write(
        guest: *mut dormouse_guest,
        at: u32,
        bytes: *const u8,
        len: usize,
        error_out: *mut *mut dormouse_error,
    ) -> dormouse_status {
        let guest = guest.get()?;
        // SAFETY: the pointer is followed by its length.
        let bytes = unsafe { bytes.slice(len) }?;
        guest.with(|guest| guest.write(at, bytes))
    }
}
