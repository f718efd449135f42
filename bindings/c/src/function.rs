//! Function handles: what a host asks a function, besides invoking it.
//!
//! Invariant: a handle's name never changes.

use std::{ffi::c_char, ptr};

use dormouse::Function;

use crate::{
    error::dormouse_error,
    report::{dormouse_deploy_report, time},
    status::dormouse_status,
    text::Text,
};

/// A deployed function. A handle follows its name. After a redeployment its next invocation runs
/// the new version. After `dormouse_runtime_undeploy` it answers DORMOUSE_UNDEPLOYED. A pinned
/// handle stays with its version.
///
/// Thread safety: any number of threads may use one handle at once, each on its own instance. The
/// threads then share the handle's count, which each call changes. A clone for each thread shares
/// nothing.
///
/// Ownership: made by `dormouse_runtime_deploy`, `dormouse_runtime_find`,
/// `dormouse_runtime_functions`, `dormouse_function_clone` and `dormouse_function_pin`. Free each
/// handle once, with `dormouse_function_free`. A handle keeps its runtime alive, and calls under
/// way keep what they need. So a callback may free the handle of the function that it runs in.
pub struct dormouse_function {
    pub(crate) function: Function,
    name: Text,
}

counted!(dormouse_function);

impl dormouse_function {
    pub(crate) fn new(function: Function) -> Self {
        let name = Text::new(function.name());
        Self { function, name }
    }
}

exported! { fallible:
    /// Gives another handle of the same function. Free it on its own.
    ///
    /// Statuses: DORMOUSE_NULL.
    pub unsafe extern "C" fn dormouse_function_clone(
        function: *const dormouse_function,
        function_out: *mut *mut dormouse_function,
        error_out: *mut *mut dormouse_error,
    ) -> dormouse_status {
        let (function, place) = (function.get()?, function_out.required()?);
        place.share(dormouse_function::new(function.function.clone()));
        Ok(())
    }

    /// Gives a handle that stays with the current version, through redeployments and
    /// `dormouse_runtime_undeploy`, and keeps it alive. Free it on its own.
    ///
    /// Statuses: DORMOUSE_NULL, DORMOUSE_UNDEPLOYED.
    pub unsafe extern "C" fn dormouse_function_pin(
        function: *const dormouse_function,
        function_out: *mut *mut dormouse_function,
        error_out: *mut *mut dormouse_error,
    ) -> dormouse_status {
        let (function, place) = (function.get()?, function_out.required()?);
        place.share(dormouse_function::new(function.function.pinned()?));
        Ok(())
    }

    /// Gives the report of the current version's deployment: what it found and what it cost.
    ///
    /// Statuses: DORMOUSE_NULL, DORMOUSE_UNDEPLOYED.
    pub unsafe extern "C" fn dormouse_function_deploy_report(
        function: *const dormouse_function,
        report_out: *mut dormouse_deploy_report,
        error_out: *mut *mut dormouse_error,
    ) -> dormouse_status {
        let (function, place) = (function.get()?, report_out.required()?);
        place.put((&function.function.deploy_report()?).into());
        Ok(())
    }

    /// Gives the version that the next invocation runs, as 64 hexadecimal digits and a NUL. `room`
    /// must be 65 or more.
    ///
    /// Statuses: DORMOUSE_NULL, DORMOUSE_UNDEPLOYED, DORMOUSE_NO_ROOM.
    pub unsafe extern "C" fn dormouse_function_version(
        function: *const dormouse_function,
        version: *mut c_char,
        room: usize,
        error_out: *mut *mut dormouse_error,
    ) -> dormouse_status {
        let function = function.get()?;
        // SAFETY: the pointer is followed by its length.
        let room = unsafe { version.room(room) }?;
        crate::text::copy(&function.function.deploy_report()?.version().to_string(), &room)
    }

    /// Makes instances ahead of time until `count` are idle, or the function has as many as it may
    /// have. `idle_out`, which may be NULL, receives how many are idle then.
    ///
    /// Statuses: DORMOUSE_NULL, DORMOUSE_UNDEPLOYED, DORMOUSE_BUSY, DORMOUSE_INITIALISE.
    pub unsafe extern "C" fn dormouse_function_prewarm(
        function: *const dormouse_function,
        count: usize,
        idle_out: *mut usize,
        error_out: *mut *mut dormouse_error,
    ) -> dormouse_status {
        let idle = function.get()?.function.prewarm(count)?;
        if let Some(place) = idle_out.optional() {
            place.put(idle);
        }
        Ok(())
    }

    /// Drops instances that have been idle for at least `idle_ns` nanoseconds, the longest idle
    /// first. It keeps the minimum of the deployment. `count_out`, which may be NULL, receives how
    /// many it dropped.
    ///
    /// Statuses: DORMOUSE_NULL.
    pub unsafe extern "C" fn dormouse_function_trim(
        function: *const dormouse_function,
        idle_ns: u64,
        count_out: *mut usize,
        error_out: *mut *mut dormouse_error,
    ) -> dormouse_status {
        let gone = function.get()?.function.trim(time(idle_ns));
        if let Some(place) = count_out.optional() {
            place.put(gone);
        }
        Ok(())
    }

    /// Sets how many invocations may run at once from now on, for the version that the handle
    /// stands for now. With 0 the function is off. Its invocations are refused as DORMOUSE_BUSY,
    /// and deliveries to it wait until it is on again. Invocations under way finish.
    ///
    /// Statuses: DORMOUSE_NULL, DORMOUSE_UNDEPLOYED.
    pub unsafe extern "C" fn dormouse_function_set_concurrency(
        function: *const dormouse_function,
        max: usize,
        error_out: *mut *mut dormouse_error,
    ) -> dormouse_status {
        Ok(function.get()?.function.set_max_instances(max)?)
    }

    /// Gives the instances of the current version: how many are idle, and how many there are.
    /// Either out-parameter may be NULL.
    ///
    /// Statuses: DORMOUSE_NULL.
    pub unsafe extern "C" fn dormouse_function_instances(
        function: *const dormouse_function,
        idle_out: *mut usize,
        all_out: *mut usize,
        error_out: *mut *mut dormouse_error,
    ) -> dormouse_status {
        let dormouse::InstanceCount { idle, live: all, .. } = function.get()?.function.instances();
        if let Some(place) = idle_out.optional() {
            place.put(idle);
        }
        if let Some(place) = all_out.optional() {
            place.put(all);
        }
        Ok(())
    }
}

exported! { total:
    /// The function's name. Lent until the handle is freed. NULL for NULL. `len_out` may be NULL.
    pub unsafe extern "C" fn dormouse_function_name(function: *const dormouse_function, len_out: *mut usize) -> *const c_char {
        function.optional().map_or(ptr::null(), |function| function.name.lend(len_out))
    }

    /// Frees a handle. NULL is allowed.
    pub unsafe extern "C" fn dormouse_function_free(function: *mut dormouse_function) {
        drop(function.take());
    }
}
