//! Host functions in C, and what they may do to the guest that calls them.
//!
//! Invariant: a `dormouse_context` lives on the stack of the call that lends it. Guest memory is
//! copied through it, never lent.

use std::{
    cell::Cell,
    ffi::{c_char, c_int, c_void},
};

use dormouse::{Context, Deployment, HostError, InvokeErrorKind, ValueType};

use crate::{
    callback::{PendingUserData, dormouse_user_data_free},
    edge::Given,
    error::dormouse_error,
    failure::Failure,
    report::nanos,
    runtime::dormouse_runtime,
    status::dormouse_status,
    text::dormouse_string,
    value::{Values, dormouse_value, dormouse_value_type, number, value_type},
};

/// A function of the host that guests call.
///
/// It is given its `user_data`, a context that is valid until it returns, its arguments, and its
/// results. The results have their types and are zero until it writes to their `of`. It returns 0.
/// Any other number ends the invocation with DORMOUSE_HOST_FUNCTION. Then the error has the message
/// of `dormouse_context_fail`, or else the number.
///
/// It runs on the thread that invokes the function, and on several threads at once if several
/// invoke. It may call all of this library. It must not leave by `longjmp` or by a C++ exception.
pub type dormouse_host_callback = Option<
    unsafe extern "C-unwind" fn(
        user_data: *mut c_void,
        context: *mut dormouse_context,
        args: *const dormouse_value,
        results: *mut dormouse_value,
    ) -> c_int,
>;

/// A function that a guest may import. The deployment copies the texts and arrays.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct dormouse_host_function {
    /// The module from which guests import it, such as `env`.
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
    /// Passed to the function. The library owns it once the deployment has returned DORMOUSE_OK,
    /// not before.
    pub user_data: *mut c_void,
    /// Called with `user_data` when the function is no longer needed. That is when its version is
    /// superseded or undeployed and no handle and no invocation keeps it, or when the runtime ends.
    /// May be NULL. Called once for each entry of the array.
    pub user_data_free: dormouse_user_data_free,
}

plain!(dormouse_host_function);

/// A host function's view of the guest that calls it. It is lent to a `dormouse_host_callback`, for
/// the thread and the duration of that call. Never keep it.
///
/// Guest memory is only copied through it. Bytes that a call moves cost the guest fuel: 1 for 64
/// bytes or a part of 64. A guest that cannot pay ends with DORMOUSE_OUT_OF_FUEL when the host
/// function returns, whatever it returns.
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
        // SAFETY: from the `&mut Context` of `new`, which outlives this struct: both are made for
        // one call of a callback, and the struct is dropped first. Nothing else borrows it, as this
        // runs on the thread of that call, which waits for the callback. Of the methods of
        // `Context`, `delivery` calls the host's clock, which must not call this library.
        // `new_block` may free user data with what it evicts, and that must not use a context.
        run(unsafe { &mut *self.context.cast::<Context<'_>>() })
    }
}

impl dormouse_host_function {
    /// Adds the function to a deployment.
    ///
    /// # Safety
    /// The struct is among the options of an exported function's caller, and the call is not over.
    pub(crate) unsafe fn grant(
        &self,
        deployment: Deployment,
        pending: &mut PendingUserData,
    ) -> Result<Deployment, Failure> {
        let (module, name, params, results);
        // SAFETY: the caller's; each pointer is followed by its length.
        unsafe {
            module = self.module.get("host_functions->module")?;
            name = self.name.get("host_functions->name")?;
            params = types(Given::new(self.params, "host_functions->params").slice(self.params_len)?)?;
            results = types(Given::new(self.results, "host_functions->results").slice(self.results_len)?)?;
        }
        let callback = self.callback.ok_or_else(|| Failure::null("host_functions->callback"))?;
        let user = pending.take(self.user_data, self.user_data_free);
        Ok(deployment.host_dynamic(module, name, &params, &results, move |context, args, results| {
            let args: Values = args.iter().map(|value| (*value).into()).collect();
            let mut answers: Values = results.iter().map(|value| (*value).into()).collect();
            let mut lent = dormouse_context::new(context);
            // SAFETY: the host gave the function and its user data together, for use from any
            // thread. The context and the arrays outlive the call. The arrays have as many values
            // as the types that were given with the function.
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
    /// Copies `len` bytes at address `at` of the guest's memory to `bytes`: all or nothing. The
    /// memory is the export `memory`, or else the first exported memory.
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

    /// Appends a line to the invocation's log, which the reply carries. The log is cut at its
    /// limit.
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

    /// Sets the message of the error, if the host function then returns a number other than 0. The
    /// last message counts. It is cut at 4 KiB.
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

    /// Gives a handle of the runtime that the invocation belongs to, with which the host function
    /// may invoke other functions. Free the handle. Invocations nest up to four levels deep, each
    /// within the caller's deadline. The same function runs on another instance, or answers
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

    /// Copies the name of the running function: at most 64 characters and a NUL.
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
    /// The number of the delivery. It is the same at each attempt.
    pub id: u64,
    /// Time until the invocation's deadline in nanoseconds, by the runtime's clock.
    pub remaining_ns: u64,
    /// The number of the attempt. 1 is the first.
    pub attempt: u32,
    /// The id of the trigger, with a NUL behind it.
    pub trigger: [c_char; 65],
}

plain!(dormouse_delivery);

exported! { fallible:
    /// Gives the delivery that the invocation belongs to. DORMOUSE_NOT_FOUND if the host invoked
    /// the function's handle.
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
        // Ids have at most 64 characters, so the last byte stays a NUL.
        for (to, from) in trigger.iter_mut().zip(delivery.trigger.bytes().take(64)) {
            *to = from as c_char;
        }
        let (id, attempt, remaining_ns) = (delivery.id, delivery.attempt, nanos(delivery.remaining));
        place.put(dormouse_delivery { id, remaining_ns, attempt, trigger });
        Ok(())
    }
}

exported! { total:
    /// Bytes of the guest's memory now. 0 if it exports no memory, and for NULL.
    pub unsafe extern "C" fn dormouse_context_memory_size(context: *mut dormouse_context) -> u64 {
        context.get().map_or(0, |context| context.with(|guest| guest.memory_size()))
    }
}
