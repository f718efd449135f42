//! Runtimes.

use std::{ffi::c_char, sync::Arc};

use dormouse::Runtime;

use crate::{
    edge::Given,
    error::dormouse_error,
    function::dormouse_function,
    host::{Grants, UserData},
    limits::{HostClock, clamped, dormouse_deploy_options, dormouse_runtime_options},
    report::time,
    status::{Failure, dormouse_status},
};

/// A function runtime: functions by name, and the budget that they share. It starts no thread and opens no socket.
///
/// Thread safety: any number of threads may use one handle at once.
/// Ownership: made by `dormouse_runtime_new`, `dormouse_runtime_clone` and `dormouse_context_runtime`; each handle is
/// freed once, by `dormouse_runtime_free`. The runtime itself goes when no handle, no function handle and no call
/// under way needs it. So a callback may free the handle of the runtime that it runs in: that takes effect when the
/// call is over.
pub struct dormouse_runtime(pub(crate) Runtime);

counted!(dormouse_runtime);

/// A name that C gave.
///
/// # Safety
/// As `Given::text`.
unsafe fn name<'a>(at: Given<c_char>, len: usize) -> Result<&'a str, Failure> {
    // SAFETY: the caller's.
    unsafe { at.text(len) }
}

exported! { fallible:
    /// Makes a runtime. `options` may be NULL for the defaults.
    ///
    /// Statuses: DORMOUSE_NULL, DORMOUSE_ARGUMENT.
    pub unsafe extern "C" fn dormouse_runtime_new(
        options: *const dormouse_runtime_options,
        runtime_out: *mut *mut dormouse_runtime,
        error_out: *mut *mut dormouse_error,
    ) -> dormouse_status {
        let place = runtime_out.required()?;
        let mut builder = Runtime::builder();
        let mut clock_data = None;
        if let Some(chosen) = crate::limits::options(options)? {
            builder = builder.limits(chosen.limits()).reset(chosen.reset()?).events(chosen.events()?).seed(chosen.seed);
            if let Some(now) = chosen.clock {
                let user = Arc::new(UserData::new(chosen.clock_user_data, chosen.clock_user_data_free));
                clock_data = Some(Arc::clone(&user));
                builder = builder.clock(HostClock { now, user });
            }
        }
        place.share(dormouse_runtime(builder.build()));
        if let Some(user) = clock_data {
            user.accept();
        }
        Ok(())
    }

    /// Another handle of the same runtime, to be freed on its own.
    ///
    /// Statuses: DORMOUSE_NULL.
    pub unsafe extern "C" fn dormouse_runtime_clone(
        runtime: *const dormouse_runtime,
        runtime_out: *mut *mut dormouse_runtime,
        error_out: *mut *mut dormouse_error,
    ) -> dormouse_status {
        let (runtime, place) = (runtime.get()?, runtime_out.required()?);
        place.share(dormouse_runtime(runtime.0.clone()));
        Ok(())
    }

    /// Deploys a function under a name of 1 to 64 of the characters A-Z a-z 0-9 . _ -: validates the module, compiles
    /// it lazily, runs its initialisation once and keeps the state that this leaves. A function that has the name is
    /// replaced, once all has gone well; invocations under way finish on what they began with. The module's bytes are
    /// not needed afterwards.
    ///
    /// `options` may be NULL for the defaults. `function_out` may be NULL: `dormouse_runtime_find` finds the function
    /// later. The user data of host functions is the library's once the call has returned DORMOUSE_OK; after a
    /// failure it is the caller's as before.
    ///
    /// Needs 512 KiB of stack. Takes some 50 us for a small module, and about 1 ms more the first time in a process.
    ///
    /// Statuses: DORMOUSE_NULL, DORMOUSE_ARGUMENT, DORMOUSE_UTF8, 100 to 199, DORMOUSE_INITIALISE, DORMOUSE_BUSY.
    /// Nothing has changed then.
    pub unsafe extern "C" fn dormouse_runtime_deploy(
        runtime: *const dormouse_runtime,
        name: *const c_char,
        name_len: usize,
        module: *const u8,
        module_len: usize,
        options: *const dormouse_deploy_options,
        function_out: *mut *mut dormouse_function,
        error_out: *mut *mut dormouse_error,
    ) -> dormouse_status {
        let runtime = runtime.get()?;
        // SAFETY: each pointer is followed by its length.
        let (name, module) = unsafe { (self::name(name, name_len)?, module.slice(module_len)?) };
        let mut deployment = runtime.0.deployment(name, module);
        let mut grants = Grants::default();
        if let Some(chosen) = crate::limits::options(options)? {
            deployment = deployment
                .limits((&chosen.limits).into())
                .instances(clamped(chosen.instances_min)..=clamped(chosen.instances_max))
                .max_wait(time(chosen.max_wait_ns));
            // SAFETY: the options are the caller's, and so is what they point to.
            if let Some(entry) = unsafe { chosen.entry.optional("options->entry") }? {
                deployment = deployment.entry(entry);
            }
            // SAFETY: as above.
            let host = unsafe {
                Given::new(chosen.host_functions, "options->host_functions").slice(chosen.host_functions_len)?
            };
            for function in host {
                deployment = grants.grant(deployment, function)?;
            }
        }
        let function = deployment.deploy()?;
        grants.accept();
        if let Some(place) = function_out.optional() {
            place.share(dormouse_function::new(function));
        }
        Ok(())
    }

    /// Finds a function by name: a handle that follows it. With a version behind an `@`, as in `greet@3f2a91c`, a
    /// handle that stays with that version, if it is the current one or something keeps it alive; seven hexadecimal
    /// digits or more.
    ///
    /// Statuses: DORMOUSE_NULL, DORMOUSE_UTF8, DORMOUSE_NOT_FOUND.
    pub unsafe extern "C" fn dormouse_runtime_find(
        runtime: *const dormouse_runtime,
        name: *const c_char,
        name_len: usize,
        function_out: *mut *mut dormouse_function,
        error_out: *mut *mut dormouse_error,
    ) -> dormouse_status {
        let (runtime, place) = (runtime.get()?, function_out.required()?);
        // SAFETY: the pointer is followed by its length.
        let name = unsafe { self::name(name, name_len) }?;
        let function = runtime.0.find(name).ok_or_else(|| unknown(name))?;
        place.share(dormouse_function::new(function));
        Ok(())
    }

    /// Takes a function out of service: its handles answer DORMOUSE_UNDEPLOYED, invocations under way finish, pinned
    /// handles go on.
    ///
    /// Statuses: DORMOUSE_NULL, DORMOUSE_UTF8, DORMOUSE_NOT_FOUND.
    pub unsafe extern "C" fn dormouse_runtime_undeploy(
        runtime: *const dormouse_runtime,
        name: *const c_char,
        name_len: usize,
        error_out: *mut *mut dormouse_error,
    ) -> dormouse_status {
        let runtime = runtime.get()?;
        // SAFETY: the pointer is followed by its length.
        let name = unsafe { self::name(name, name_len) }?;
        if runtime.0.undeploy(name) { Ok(()) } else { Err(unknown(name)) }
    }

    /// Gives the version that the function stands for now a name of its own: `dormouse_runtime_find` and triggers
    /// know it as `name@alias`. An alias that is there moves. It keeps the version alive.
    ///
    /// Statuses: DORMOUSE_NULL, DORMOUSE_UTF8, DORMOUSE_UNDEPLOYED, DORMOUSE_INVALID_NAME, DORMOUSE_NOT_FOUND,
    /// DORMOUSE_TOO_MANY_ALIASES.
    pub unsafe extern "C" fn dormouse_runtime_alias(
        runtime: *const dormouse_runtime,
        alias: *const c_char,
        alias_len: usize,
        function: *const dormouse_function,
        error_out: *mut *mut dormouse_error,
    ) -> dormouse_status {
        let (runtime, function) = (runtime.get()?, &function.get()?.function);
        // SAFETY: the pointer is followed by its length.
        let alias = unsafe { self::name(alias, alias_len) }?;
        runtime.0.alias(alias, function.name(), function.deploy_report()?.version())?;
        Ok(())
    }

    /// Removes an alias of the function of this name: its handles answer DORMOUSE_UNDEPLOYED.
    ///
    /// Statuses: DORMOUSE_NULL, DORMOUSE_UTF8, DORMOUSE_NOT_FOUND.
    pub unsafe extern "C" fn dormouse_runtime_unalias(
        runtime: *const dormouse_runtime,
        alias: *const c_char,
        alias_len: usize,
        name: *const c_char,
        name_len: usize,
        error_out: *mut *mut dormouse_error,
    ) -> dormouse_status {
        let runtime = runtime.get()?;
        // SAFETY: each pointer is followed by its length.
        let (alias, name) = unsafe { (self::name(alias, alias_len)?, self::name(name, name_len)?) };
        if runtime.0.unalias(alias, name) {
            return Ok(());
        }
        Err(unknown(&format!("{name}@{alias}")))
    }

    /// Handles of the deployed functions, by name: as many as there is room for, each to be freed. `count_out`
    /// receives how many functions there are, which may be more than `room`: call with more then. `functions_out` may
    /// be NULL if `room` is 0.
    ///
    /// Statuses: DORMOUSE_NULL.
    pub unsafe extern "C" fn dormouse_runtime_functions(
        runtime: *const dormouse_runtime,
        functions_out: *mut *mut dormouse_function,
        room: usize,
        count_out: *mut usize,
        error_out: *mut *mut dormouse_error,
    ) -> dormouse_status {
        let (runtime, count) = (runtime.get()?, count_out.required()?);
        // SAFETY: the pointer is followed by its length.
        let room = unsafe { functions_out.room(room) }?;
        let functions = runtime.0.functions();
        count.put(functions.len());
        let shared = functions.into_iter().take(room.len()).map(|function| Arc::into_raw(Arc::new(dormouse_function::new(function))).cast_mut());
        room.fill(&shared.collect::<Vec<_>>());
        Ok(())
    }

    /// Drops instances of all functions that have been idle for at least `idle_ns` nanoseconds, but those that a
    /// deployment asked to keep. `count_out`, which may be NULL, receives how many went.
    ///
    /// Statuses: DORMOUSE_NULL.
    pub unsafe extern "C" fn dormouse_runtime_trim(
        runtime: *const dormouse_runtime,
        idle_ns: u64,
        count_out: *mut usize,
        error_out: *mut *mut dormouse_error,
    ) -> dormouse_status {
        let gone = runtime.get()?.0.trim(time(idle_ns));
        if let Some(place) = count_out.optional() {
            place.put(gone);
        }
        Ok(())
    }

    /// Live instances of all functions, and the bytes of memory and bookkeeping that they hold. Either place may be
    /// NULL.
    ///
    /// Statuses: DORMOUSE_NULL.
    pub unsafe extern "C" fn dormouse_runtime_in_use(
        runtime: *const dormouse_runtime,
        instances_out: *mut usize,
        bytes_out: *mut u64,
        error_out: *mut *mut dormouse_error,
    ) -> dormouse_status {
        let (instances, bytes) = runtime.get()?.0.in_use();
        if let Some(place) = instances_out.optional() {
            place.put(instances);
        }
        if let Some(place) = bytes_out.optional() {
            place.put(bytes);
        }
        Ok(())
    }
}

exported! { total:
    /// Frees a handle. The runtime goes with its last handle, once no function handle and no call under way needs it.
    /// NULL is allowed.
    pub unsafe extern "C" fn dormouse_runtime_free(runtime: *mut dormouse_runtime) {
        drop(runtime.take());
    }
}

fn unknown(name: &str) -> Failure {
    Failure::not_found(format!("no function {:?} is deployed", name.chars().take(100).collect::<String>()))
}
