//! Invoking functions and calling exports.

use std::{cell::Cell, ffi::c_char};

use dormouse::{Function, Invocation};

use crate::{
    edge::Given,
    error::dormouse_error,
    function::dormouse_function,
    limits::dormouse_invoke_options,
    reply::dormouse_reply,
    report::{dormouse_report, time},
    status::{Failure, dormouse_status},
    value::{dormouse_value, values},
};

/// An invocation with the caller's choices.
pub(crate) fn invocation<'a>(
    function: &'a Function,
    input: &'a [u8],
    options: Given<dormouse_invoke_options>,
) -> Result<Invocation<'a>, Failure> {
    let invocation = function.invocation(input);
    let Some(chosen) = crate::limits::options(options)? else { return Ok(invocation) };
    let invocation = invocation.fuel(chosen.fuel).deadline(time(chosen.deadline_ns));
    // SAFETY: the options are the caller's, and so is what they point to.
    let cancel = unsafe { Given::new(chosen.cancel, "options->cancel") };
    Ok(match cancel.optional() {
        Some(cancel) => invocation.cancel(&cancel.0),
        None => invocation,
    })
}

/// Bytes of room that a thread keeps between invocations into buffers of the caller's.
const KEPT: usize = 64 << 10;

thread_local! {
    /// Where the reply goes before it is copied to the caller's buffer. Taken out for the time of an invocation, as
    /// one may be nested in another.
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

exported! { fallible:
    /// Gives the function an event and returns its reply: stateless, within its limits. The function must keep the
    /// buffer contract.
    ///
    /// `input` may be NULL if `input_len` is 0. `options` may be NULL for the defaults. Blocks for as long as the
    /// guest runs, and up to the deployment's `max_wait_ns` while all instances are in use. Needs 512 KiB of stack.
    ///
    /// Statuses: DORMOUSE_NULL, DORMOUSE_ARGUMENT, 200 to 299. The error of a guest that ran carries its report.
    pub unsafe extern "C" fn dormouse_function_invoke(
        function: *const dormouse_function,
        input: *const u8,
        input_len: usize,
        options: *const dormouse_invoke_options,
        reply_out: *mut *mut dormouse_reply,
        error_out: *mut *mut dormouse_error,
    ) -> dormouse_status {
        let (function, place) = (function.get()?, reply_out.required()?);
        // SAFETY: the pointer is followed by its length.
        let input = unsafe { input.slice(input_len) }?;
        place.give(invocation(&function.function, input, options)?.run()?.into());
        Ok(())
    }

    /// As `dormouse_function_invoke`, with the output copied to the caller's buffer: on a warm instance nothing is
    /// allocated, as long as the output has at most 64 KiB and the guest logs nothing. The log is dropped.
    ///
    /// If the output does not fit, the call fails with DORMOUSE_NO_ROOM, and the `output` of the error's report says
    /// how many bytes it has. `report_out` may be NULL.
    ///
    /// Statuses: as `dormouse_function_invoke`, DORMOUSE_NO_ROOM.
    pub unsafe extern "C" fn dormouse_function_invoke_into(
        function: *const dormouse_function,
        input: *const u8,
        input_len: usize,
        options: *const dormouse_invoke_options,
        output: *mut u8,
        output_room: usize,
        output_len_out: *mut usize,
        report_out: *mut dormouse_report,
        error_out: *mut *mut dormouse_error,
    ) -> dormouse_status {
        let (function, len) = (function.get()?, output_len_out.required()?);
        // SAFETY: each pointer is followed by its length.
        let (input, room) = unsafe { (input.slice(input_len)?, output.room(output_room)?) };
        let invocation = invocation(&function.function, input, options)?;
        let mut scratch = SCRATCH.take();
        let ran = invocation.run_into(&mut scratch);
        let fits = room.fill(&scratch);
        let needed = scratch.len();
        if scratch.capacity() <= KEPT {
            SCRATCH.set(scratch);
        }
        let report = ran?;
        if !fits {
            return Err(Failure::NoRoom { needed, room: room.len(), report: Box::new(report) });
        }
        len.put(needed);
        if let Some(place) = report_out.optional() {
            place.put((&report).into());
        }
        Ok(())
    }

    /// Calls one export with numbers: an invocation of its own, stateless as any other. `dormouse_reply_values` are
    /// its results.
    ///
    /// `args` may be NULL if `args_len` is 0. `options` may be NULL for the defaults.
    ///
    /// Statuses: DORMOUSE_NULL, DORMOUSE_ARGUMENT, DORMOUSE_UTF8, 200 to 299.
    pub unsafe extern "C" fn dormouse_function_call(
        function: *const dormouse_function,
        export_name: *const c_char,
        export_name_len: usize,
        args: *const dormouse_value,
        args_len: usize,
        options: *const dormouse_invoke_options,
        reply_out: *mut *mut dormouse_reply,
        error_out: *mut *mut dormouse_error,
    ) -> dormouse_status {
        let (function, place) = (function.get()?, reply_out.required()?);
        // SAFETY: each pointer is followed by its length.
        let (export, args) = unsafe { (export_name.text(export_name_len)?, values(args.slice(args_len)?)?) };
        place.give(invocation(&function.function, &[], options)?.call(export, &args)?.into());
        Ok(())
    }
}
