//! Invoking functions and calling exports.
//!
//! Invariant: a result is written to the caller's buffer only as a whole.

use std::{cell::Cell, ffi::c_char};

use dormouse::{Function, Invocation};

use crate::{
    cancel::dormouse_cancel,
    edge::Given,
    error::dormouse_error,
    failure::Failure,
    function::dormouse_function,
    reply::dormouse_reply,
    report::{dormouse_report, time},
    status::dormouse_status,
    text::dormouse_string,
    value::{dormouse_value, values},
};

/// Options of one invocation. Fill them in with `dormouse_invoke_options_init`, then change them.
/// An option can only lower a limit: fuel and deadline are cut to the function's limits.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct dormouse_invoke_options {
    /// The size of this struct, which tells the library the header's version.
    pub size: usize,
    /// Fuel. UINT64_MAX for the function's limit.
    pub fuel: u64,
    /// Time in nanoseconds. UINT64_MAX for the function's limit.
    pub deadline_ns: u64,
    /// A handle with which another thread can end the invocation. NULL for none. A callback of the
    /// invocation may free it.
    pub cancel: *const dormouse_cancel,
    /// The seed of the random numbers of this invocation, 32 bytes, for WASI guests. NULL for the
    /// deployment's seeds. The library never prints it.
    pub seed: *const u8,
    /// The export that is given the event, for guests with several entries, such as Extism
    /// plug-ins. No text means the deployment's entry. Calls and sessions ignore it, but it must be
    /// valid text there too.
    pub entry: dormouse_string,
}

options!(dormouse_invoke_options);

/// An invocation with the caller's options.
pub(crate) fn invocation<'a>(
    function: &'a Function,
    input: &'a [u8],
    options: Given<dormouse_invoke_options>,
) -> Result<Invocation<'a>, Failure> {
    let invocation = function.invocation(input);
    let Some(chosen) = crate::options::given(options)? else { return Ok(invocation) };
    let mut invocation = invocation.fuel(chosen.fuel).deadline(time(chosen.deadline_ns));
    // SAFETY: the options are the caller's, and so is what they point to.
    let (cancel, seed) = unsafe {
        (Given::new(chosen.cancel, "options->cancel"), Given::new(chosen.seed.cast::<[u8; 32]>(), "options->seed"))
    };
    if let Some(cancel) = cancel.optional() {
        invocation = invocation.cancel(&cancel.0);
    }
    if let Some(seed) = seed.optional() {
        invocation = invocation.seed(*seed);
    }
    // SAFETY: as above.
    if let Some(entry) = unsafe { chosen.entry.optional("options->entry") }? {
        invocation = invocation.entry(entry);
    }
    Ok(invocation)
}

/// Bytes of room that a thread keeps between invocations into the caller's buffers.
const KEPT: usize = 64 << 10;

thread_local! {
    /// Where the reply goes before it is copied to the caller's buffer. An invocation takes it out,
    /// as invocations may be nested.
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

exported! { fallible:
    /// Fills in the defaults. `size` is `sizeof *options`. If it is not the size that this library
    /// knows, the call fails and writes nothing.
    ///
    /// Statuses: DORMOUSE_NULL, DORMOUSE_ARGUMENT.
    pub unsafe extern "C" fn dormouse_invoke_options_init(
        options: *mut dormouse_invoke_options,
        size: usize,
        error_out: *mut *mut dormouse_error,
    ) -> dormouse_status {
        crate::options::init(options, size, |options| {
            options.fuel = u64::MAX;
            options.deadline_ns = u64::MAX;
        })
    }

    /// Gives the function an event and gives its reply. The invocation is stateless and keeps to
    /// the function's limits. The function must take bytes: `dormouse_deploy_report.takes_bytes`.
    ///
    /// `input` may be NULL if `input_len` is 0. `options` may be NULL for the defaults. The call
    /// blocks while the guest runs, and up to the deployment's `max_wait_ns` while all instances
    /// are in use. It needs 512 KiB of stack.
    ///
    /// Statuses: DORMOUSE_NULL, DORMOUSE_ARGUMENT, DORMOUSE_UTF8, 200 to 299. If the guest ran, the
    /// error carries its report.
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

    /// As `dormouse_function_invoke`, with the output copied to the caller's buffer. On a warm
    /// instance this allocates nothing, if the output has at most 64 KiB and the guest logs
    /// nothing. The log is dropped.
    ///
    /// If the output does not fit, the call fails with DORMOUSE_NO_ROOM, and `output` of the
    /// error's report is the number of bytes needed. The invocation itself has then succeeded: what
    /// it wrote to its store and what it published stands. `report_out` may be NULL. `output` may
    /// be the memory of `input`.
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

    /// Calls one export with numbers. The call is an invocation of its own, stateless as any other.
    /// `dormouse_reply_values` gives its results.
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
