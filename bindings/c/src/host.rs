//! Host functions in C, and what they may do to the guest that calls them.
//!
//! Invariant: a `dormouse_context` lives on the stack of the call that lends it; guest memory is copied through it, never
//! lent.

use std::{
    cell::Cell,
    ffi::{c_char, c_int, c_void},
};

use dormouse::{Context, Deployment, HostError, InvokeErrorKind, ValueType};

use crate::{
    callback::{Grants, dormouse_user_data_free},
    edge::Given,
    error::dormouse_error,
    report::nanos,
    runtime::dormouse_runtime,
    status::{Failure, dormouse_status},
    text::dormouse_string,
    value::{Values, dormouse_value, dormouse_value_type, number, value_type},
};

/// A function of the host's that guests call.
///
/// It is given its `user_data`, a context that is good until it returns, its arguments, and its results, which have
/// their types and are zero until it writes to their `of`. It returns 0, or anything else to end the invocation with
/// DORMOUSE_HOST_FUNCTION; then `dormouse_context_fail` has said why, or the error names the number.
///
/// It runs on the thread that invokes the function; on several at once if several do. It may call all of this
/// library, but must not leave by `longjmp` or by a C++ exception.
pub type dormouse_host_callback = Option<
    unsafe extern "C-unwind" fn(
        user_data: *mut c_void,
        context: *mut dormouse_context,
        args: *const dormouse_value,
        results: *mut dormouse_value,
    ) -> c_int,
>;

/// A function that a guest may import. The texts and arrays are copied by the deployment.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct dormouse_host_function {
    /// The module by whose name guests import it, `env` for one.
    pub module: dormouse_string,
    /// The name by which guests import it.
    pub name: dormouse_string,
    /// The types of its parameters.
    pub params: *const dormouse_value_type,
    /// How many.
    pub params_len: usize,
    /// The types of its results.
    pub results: *const dormouse_value_type,
    /// How many.
    pub results_len: usize,
    /// The function.
    pub callback: dormouse_host_callback,
    /// Passed to the function. The library's once the deployment has returned DORMOUSE_OK, not before.
    pub user_data: *mut c_void,
    /// Called with `user_data` when the function is not needed any more: its version is superseded or undeployed, no
    /// handle and no invocation keeps it, or the runtime goes. May be NULL. Called once for each entry.
    pub user_data_free: dormouse_user_data_free,
}

plain!(dormouse_host_function);

/// A host function's view of the guest that calls it. Lent to a `dormouse_host_callback`, for the thread and for the
/// time of that call: never keep it. Guest memory is only copied through it, and each 64 bytes begun that it moves
/// cost the guest 1 fuel; a guest that cannot pay ends with DORMOUSE_OUT_OF_FUEL when the host function returns,
/// whatever it returns.
pub struct dormouse_context {
    /// A `&mut Context`, whose lifetimes C does not know.
    context: *mut c_void,
    failure: Cell<Option<String>>,
}

lent!(dormouse_context);

impl dormouse_context {
    fn new(context: &mut Context<'_>) -> Self {
        Self { context: (&raw mut *context).cast(), failure: Cell::new(None) }
    }

    pub(crate) fn with<T>(&self, run: impl FnOnce(&mut Context<'_>) -> T) -> T {
        // SAFETY: from the `&mut Context` of `new`, which outlives this struct, as both are made for one call of a callback and
        // the struct is dropped first. Nothing else borrows it: this runs on the thread of that call, which waits for the
        // callback. Of the methods of `Context`, `delivery` calls the host's clock, which must not call this library, and `new_block` may free
        // user data with what it evicts, which must not use a context.
        run(unsafe { &mut *self.context.cast::<Context<'_>>() })
    }
}

impl dormouse_host_function {
    /// Adds it to a deployment.
    ///
    /// # Safety
    /// It is among the options of an exported function's caller, and the call is not over.
    pub(crate) unsafe fn grant(&self, deployment: Deployment, grants: &mut Grants) -> Result<Deployment, Failure> {
        let (module, name, params, results);
        // SAFETY: the caller's; each pointer is followed by its length.
        unsafe {
            module = self.module.get("host_functions->module")?;
            name = self.name.get("host_functions->name")?;
            params = types(Given::new(self.params, "host_functions->params").slice(self.params_len)?)?;
            results = types(Given::new(self.results, "host_functions->results").slice(self.results_len)?)?;
        }
        let callback = self.callback.ok_or_else(|| Failure::null("host_functions->callback"))?;
        let user = grants.take(self.user_data, self.user_data_free);
        Ok(deployment.host_dynamic(module, name, &params, &results, move |context, args, results| {
            let args: Values = args.iter().map(|value| (*value).into()).collect();
            let mut answers: Values = results.iter().map(|value| (*value).into()).collect();
            let mut lent = dormouse_context::new(context);
            // SAFETY: a function and its user data, given together for use from any thread; the context and the arrays
            // outlive the call, and the arrays have as many values as the types say that were given with it.
            let code = unsafe { callback(user.data(), &mut lent, args.as_ptr(), answers.as_mut_ptr()) };
            if code != 0 {
                return Err(lent.failure.take().unwrap_or_else(|| format!("it returned {code}")).into());
            }
            for (result, answer) in results.iter_mut().zip(&answers) {
                *result = number(*answer).map_err(|failure| HostError::from(failure.to_string()))?;
            }
            Ok(())
        }))
    }
}

fn types(given: &[dormouse_value_type]) -> Result<Vec<ValueType>, Failure> {
    given.iter().map(|ty| value_type(*ty)).collect()
}

exported! { fallible:
    /// Copies `len` bytes at address `at` of the guest's memory to `bytes`: all or nothing. The memory is the export
    /// `memory`, or else the first that is exported.
    ///
    /// Statuses: DORMOUSE_NULL, DORMOUSE_OUT_OF_BOUNDS, DORMOUSE_OUT_OF_FUEL.
    pub unsafe extern "C" fn dormouse_context_read(
        context: *mut dormouse_context,
        at: u32,
        bytes: *mut u8,
        len: usize,
        error_out: *mut *mut dormouse_error,
    ) -> dormouse_status {
        let context = context.get()?;
        // SAFETY: the pointer is followed by its length.
        let room = unsafe { bytes.room(len) }?;
        let read = context.with(|guest| match u32::try_from(len) {
            Ok(len) => guest.read(at, len),
            Err(_) => Err(InvokeErrorKind::OutOfBounds { at: at.into(), len: len as u64, size: guest.memory_size() }),
        });
        room.fill(&read?);
        Ok(())
    }

    /// Copies `len` bytes into the guest's memory at address `at`: all or nothing.
    ///
    /// Statuses: DORMOUSE_NULL, DORMOUSE_OUT_OF_BOUNDS, DORMOUSE_OUT_OF_FUEL.
    pub unsafe extern "C" fn dormouse_context_write(
        context: *mut dormouse_context,
        at: u32,
        bytes: *const u8,
        len: usize,
        error_out: *mut *mut dormouse_error,
    ) -> dormouse_status {
        let context = context.get()?;
        // SAFETY: the pointer is followed by its length.
        let bytes = unsafe { bytes.slice(len) }?;
        Ok(context.with(|guest| guest.write(at, bytes))?)
    }

    /// Appends a line to the invocation's log, which the reply carries; cut at the limit.
    ///
    /// Statuses: DORMOUSE_NULL, DORMOUSE_UTF8, DORMOUSE_OUT_OF_FUEL.
    pub unsafe extern "C" fn dormouse_context_log(
        context: *mut dormouse_context,
        line: *const c_char,
        line_len: usize,
        error_out: *mut *mut dormouse_error,
    ) -> dormouse_status {
        let context = context.get()?;
        // SAFETY: the pointer is followed by its length.
        let line = unsafe { line.text(line_len) }?;
        Ok(context.with(|guest| guest.log(line))?)
    }

    /// Charges the guest for work that the host does for it.
    ///
    /// Statuses: DORMOUSE_NULL, DORMOUSE_OUT_OF_FUEL.
    pub unsafe extern "C" fn dormouse_context_charge(
        context: *mut dormouse_context,
        fuel: u64,
        error_out: *mut *mut dormouse_error,
    ) -> dormouse_status {
        Ok(context.get()?.with(|guest| guest.charge(fuel))?)
    }

    /// Says why the host function is about to return something else than 0. The last one counts; it is cut at 4 KiB.
    ///
    /// Statuses: DORMOUSE_NULL, DORMOUSE_UTF8.
    pub unsafe extern "C" fn dormouse_context_fail(
        context: *mut dormouse_context,
        message: *const c_char,
        message_len: usize,
        error_out: *mut *mut dormouse_error,
    ) -> dormouse_status {
        let context = context.get()?;
        // SAFETY: the pointer is followed by its length.
        context.failure.set(Some(unsafe { message.text(message_len) }?.to_owned()));
        Ok(())
    }

    /// A handle of the runtime that the invocation belongs to, to be freed: for invoking other functions, up to four
    /// levels deep, each within the caller's deadline. The same function again runs on another instance, or is
    /// DORMOUSE_BUSY at once.
    ///
    /// Statuses: DORMOUSE_NULL.
    pub unsafe extern "C" fn dormouse_context_runtime(
        context: *mut dormouse_context,
        runtime_out: *mut *mut dormouse_runtime,
        error_out: *mut *mut dormouse_error,
    ) -> dormouse_status {
        let (context, place) = (context.get()?, runtime_out.required()?);
        place.share(dormouse_runtime(context.with(|guest| guest.runtime())));
        Ok(())
    }

    /// The name of the function that is running, copied: at most 64 characters and a NUL behind them.
    ///
    /// Statuses: DORMOUSE_NULL, DORMOUSE_NO_ROOM.
    pub unsafe extern "C" fn dormouse_context_function(
        context: *mut dormouse_context,
        name: *mut c_char,
        room: usize,
        error_out: *mut *mut dormouse_error,
    ) -> dormouse_status {
        let context = context.get()?;
        // SAFETY: the pointer is followed by its length.
        let room = unsafe { name.room(room) }?;
        context.with(|guest| crate::text::copy(guest.function(), &room))
    }
}

/// The delivery that an invocation belongs to. Plain data.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct dormouse_delivery {
    /// The number of the delivery: the same at each attempt.
    pub id: u64,
    /// Time until the invocation's deadline in nanoseconds, by the runtime's clock.
    pub remaining_ns: u64,
    /// 1 at the first attempt.
    pub attempt: u32,
    /// The id of the trigger, with a NUL behind it.
    pub trigger: [c_char; 65],
}

plain!(dormouse_delivery);

exported! { fallible:
    /// The delivery that the invocation belongs to. DORMOUSE_NOT_FOUND if it was invoked by its function's handle.
    ///
    /// Statuses: DORMOUSE_NULL, DORMOUSE_NOT_FOUND.
    pub unsafe extern "C" fn dormouse_context_delivery(
        context: *mut dormouse_context,
        delivery_out: *mut dormouse_delivery,
        error_out: *mut *mut dormouse_error,
    ) -> dormouse_status {
        let (context, place) = (context.get()?, delivery_out.required()?);
        let delivery = context.with(|guest| guest.delivery());
        let delivery = delivery.ok_or_else(|| Failure::not_found("the invocation belongs to no delivery".into()))?;
        let mut trigger = [0; 65];
        // Ids have 64 characters at most, so that the last stays a NUL.
        for (to, from) in trigger.iter_mut().zip(delivery.trigger.bytes().take(64)) {
            *to = from as c_char;
        }
        let (id, attempt, remaining_ns) = (delivery.id, delivery.attempt, nanos(delivery.remaining));
        place.put(dormouse_delivery { id, remaining_ns, attempt, trigger });
        Ok(())
    }
}

exported! { total:
    /// Bytes of the guest's memory now; 0 if it exports none, and for NULL.
    pub unsafe extern "C" fn dormouse_context_memory_size(context: *mut dormouse_context) -> u64 {
        context.get().map_or(0, |context| context.with(|guest| guest.memory_size()))
    }
}
