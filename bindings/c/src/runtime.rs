//! Runtimes: their options, making them, and finding functions in them.
//!
//! Invariant: user data passes to the library only if the call succeeds.

use std::{
    ffi::{c_char, c_void},
    sync::Arc,
};

use dormouse::{EventLimits, Runtime, RuntimeBuilder, RuntimeLimits};

use crate::{
    callback::{HostClock, PendingUserData, dormouse_clock, dormouse_user_data_free},
    edge::Given,
    error::dormouse_error,
    failure::Failure,
    function::dormouse_function,
    limits::{Bounds, dormouse_reset, dormouse_when_full},
    report::time,
    status::dormouse_status,
};

/// A function runtime: functions by name, and the budget that they share. It opens no socket, and
/// has no threads except the workers that the host starts.
///
/// Thread safety: any number of threads may use one handle at once.
///
/// Ownership: made by `dormouse_runtime_new`, `dormouse_runtime_open`, `dormouse_runtime_clone` and
/// `dormouse_context_runtime`. Free each handle once, with `dormouse_runtime_free`. The runtime
/// lives as long as a handle, a function handle or a call under way needs it. So a callback may
/// free the handle of the runtime that it runs in. That takes effect when the call is over.
pub struct dormouse_runtime(pub(crate) Runtime);

counted!(dormouse_runtime);

/// Options of a runtime. Fill them in with `dormouse_runtime_options_init`, then change them.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct dormouse_runtime_options {
    /// The size of this struct, which tells the library the header's version.
    pub size: usize,
    /// The most functions deployed at once; 10,000.
    pub functions: u64,
    /// The most live instances of all functions; 4,096. At the limit the runtime drops the least
    /// recently used idle instance. If there is none, the call returns DORMOUSE_BUSY.
    pub instances: u64,
    /// The most bytes of memory and bookkeeping of all live instances; 1 GiB. The limit works like
    /// that of `instances`.
    pub resident_memory: u64,
    /// How many nanoseconds an instance may be idle before `dormouse_runtime_tick` drops it; 5
    /// minutes.
    pub idle_ns: u64,
    /// The seed of the runtime's random numbers, which are the jitter of retries and the ids of
    /// events; 0. The same seed repeats a run.
    pub seed: u64,
    /// The most triggers bound at once; 100,000.
    pub triggers: u64,
    /// The most deliveries that have not ended; 65,536.
    pub deliveries: u64,
    /// The most bytes of the events of these deliveries; 256 MiB.
    pub delivery_bytes: u64,
    /// The most bytes of one event; 1 MiB.
    pub event_bytes: u64,
    /// The most dead letters kept; 10,000. A new one replaces the oldest.
    pub dead_letters: u64,
    /// The most bytes of the events of dead letters; 64 MiB.
    pub dead_letter_bytes: u64,
    /// The longest chain of replies that are published as events; 16.
    pub hops: u32,
    /// What happens to an event whose deliveries do not fit; DORMOUSE_WHEN_FULL_REJECT.
    pub when_full: dormouse_when_full,
    /// How used instances are cleaned; DORMOUSE_RESET_AUTO.
    pub reset: dormouse_reset,
    /// The host's clock. NULL for the machine's clock.
    pub clock: dormouse_clock,
    /// User data of the clock, ignored without a clock. The library owns it once the call that
    /// makes the runtime has returned DORMOUSE_OK, not before.
    pub clock_user_data: *mut c_void,
    /// Called when the clock is no longer needed. May be NULL.
    pub clock_user_data_free: dormouse_user_data_free,
}

options!(dormouse_runtime_options);

/// A builder with the caller's options.
fn builder(options: Given<dormouse_runtime_options>, pending: &mut PendingUserData) -> Result<RuntimeBuilder, Failure> {
    let builder = Runtime::builder();
    let Some(chosen) = crate::options::given(options)? else { return Ok(builder) };
    let (limits, events): (RuntimeLimits, EventLimits) = (chosen.bounds()?, chosen.bounds()?);
    let builder = builder.limits(limits).events(events).reset(chosen.reset()?).seed(chosen.seed);
    Ok(match chosen.clock {
        Some(now) => {
            let user = pending.take(chosen.clock_user_data, chosen.clock_user_data_free);
            builder.clock(HostClock { now, user })
        }
        None => builder,
    })
}

/// Makes a runtime on a file.
#[cfg(feature = "durable")]
fn open(builder: RuntimeBuilder, path: &[u8]) -> Result<Runtime, Failure> {
    Ok(builder.open(crate::text::path(path)?)?)
}

#[cfg(not(feature = "durable"))]
fn open(_: RuntimeBuilder, _: &[u8]) -> Result<Runtime, Failure> {
    Err(Failure::not_built("durable"))
}

exported! { fallible:
    /// Fills in the defaults. `size` is `sizeof *options`. If it is not the size that this library
    /// knows, the call fails and writes nothing.
    ///
    /// Statuses: DORMOUSE_NULL, DORMOUSE_ARGUMENT.
    pub unsafe extern "C" fn dormouse_runtime_options_init(
        options: *mut dormouse_runtime_options,
        size: usize,
        error_out: *mut *mut dormouse_error,
    ) -> dormouse_status {
        crate::options::init(options, size, |options| {
            options.set(RuntimeLimits::default());
            options.set(EventLimits::default());
        })
    }

    /// Makes a runtime. `options` may be NULL for the defaults.
    ///
    /// Statuses: DORMOUSE_NULL, DORMOUSE_ARGUMENT.
    pub unsafe extern "C" fn dormouse_runtime_new(
        options: *const dormouse_runtime_options,
        runtime_out: *mut *mut dormouse_runtime,
        error_out: *mut *mut dormouse_error,
    ) -> dormouse_status {
        let place = runtime_out.required()?;
        let mut pending = PendingUserData::default();
        place.share(dormouse_runtime(builder(options, &mut pending)?.build()));
        pending.accept();
        Ok(())
    }

    /// Makes a runtime whose deliveries and dead letters survive the process, in a file. The call
    /// makes the file if there is none. The file belongs to this runtime until the runtime is gone.
    /// Functions and triggers are not in the file: the host deploys and binds as always. Deliveries
    /// that were left go on when the trigger of their id is bound.
    ///
    /// `dormouse_runtime_publish` returns when its deliveries are on disk, which takes as long as
    /// the disk takes to write through. A delivery that has ended is removed soon after. If the
    /// process dies in between, the delivery is made again. Time without a process does not age a
    /// delivery.
    ///
    /// `path` is bytes on Unix, and UTF-8 elsewhere. `options` may be NULL for the defaults.
    ///
    /// Statuses: DORMOUSE_NULL, DORMOUSE_ARGUMENT, DORMOUSE_UTF8, DORMOUSE_NOT_BUILT, 320 to 329.
    pub unsafe extern "C" fn dormouse_runtime_open(
        path: *const c_char,
        path_len: usize,
        options: *const dormouse_runtime_options,
        runtime_out: *mut *mut dormouse_runtime,
        error_out: *mut *mut dormouse_error,
    ) -> dormouse_status {
        let place = runtime_out.required()?;
        // SAFETY: the pointer is followed by its length.
        let path = unsafe { path.bytes(path_len) }?;
        let mut pending = PendingUserData::default();
        place.share(dormouse_runtime(open(builder(options, &mut pending)?, path)?));
        pending.accept();
        Ok(())
    }

    /// Gives another handle of the same runtime. Free it on its own.
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

    /// Finds a function by name and gives a handle that follows the name. With an alias, such as
    /// `greet@prod`, the handle follows the alias. With a version, such as `greet@3f2a91c`, the
    /// handle stays with that version. The version has seven hexadecimal digits or more, and must
    /// be the current one or kept alive by something.
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
        let name = unsafe { name.text(name_len) }?;
        let function = runtime.0.find(name).ok_or_else(|| unknown(name))?;
        place.share(dormouse_function::new(function));
        Ok(())
    }

    /// Takes a function and its aliases out of service. Its handles then answer
    /// DORMOUSE_UNDEPLOYED. Invocations under way finish, and pinned handles go on.
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
        let name = unsafe { name.text(name_len) }?;
        if runtime.0.undeploy(name) { Ok(()) } else { Err(unknown(name)) }
    }

    /// Gives the function's current version a name: `dormouse_runtime_find` and triggers know it as
    /// `name@alias`. An existing alias moves. The alias keeps the version alive.
    ///
    /// Statuses: DORMOUSE_NULL, DORMOUSE_UTF8, DORMOUSE_UNDEPLOYED, DORMOUSE_INVALID_NAME,
    /// DORMOUSE_NOT_FOUND, DORMOUSE_TOO_MANY_ALIASES.
    pub unsafe extern "C" fn dormouse_runtime_alias(
        runtime: *const dormouse_runtime,
        alias: *const c_char,
        alias_len: usize,
        function: *const dormouse_function,
        error_out: *mut *mut dormouse_error,
    ) -> dormouse_status {
        let (runtime, function) = (runtime.get()?, &function.get()?.function);
        // SAFETY: the pointer is followed by its length.
        let alias = unsafe { alias.text(alias_len) }?;
        // The name of a handle that follows an alias is not the function's name.
        let pinned = function.pinned()?;
        runtime.0.alias(alias, pinned.name(), pinned.deploy_report()?.version())?;
        Ok(())
    }

    /// Removes an alias of the function of this name. Handles of the alias then answer
    /// DORMOUSE_UNDEPLOYED.
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
        let (alias, name) = unsafe { (alias.text(alias_len)?, name.text(name_len)?) };
        if runtime.0.unalias(alias, name) {
            return Ok(());
        }
        Err(unknown(&format!("{name}@{alias}")))
    }

    /// Gives handles of the deployed functions, in the order of their names. It gives as many as
    /// there is room for. Free each of them. `count_out` receives the number of functions. If it is
    /// more than `room`, call again with more room. `functions_out` may be NULL if `room` is 0.
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

    /// Drops instances of all functions that have been idle for at least `idle_ns` nanoseconds. It
    /// keeps the minimum of each deployment. `count_out`, which may be NULL, receives how many it
    /// dropped.
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

    /// Gives the live instances of all functions, and the bytes of memory and bookkeeping that they
    /// hold. Either out-parameter may be NULL.
    ///
    /// Statuses: DORMOUSE_NULL.
    pub unsafe extern "C" fn dormouse_runtime_in_use(
        runtime: *const dormouse_runtime,
        instances_out: *mut usize,
        bytes_out: *mut u64,
        error_out: *mut *mut dormouse_error,
    ) -> dormouse_status {
        let dormouse::InUse { instances, bytes, .. } = runtime.get()?.0.in_use();
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
    /// Frees a handle. The runtime ends with its last handle, once no function handle and no call
    /// under way needs it. NULL is allowed.
    pub unsafe extern "C" fn dormouse_runtime_free(runtime: *mut dormouse_runtime) {
        drop(runtime.take());
    }
}

fn unknown(name: &str) -> Failure {
    Failure::not_found(format!("no function {:?} is deployed", name.chars().take(100).collect::<String>()))
}
