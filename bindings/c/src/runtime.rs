//! Runtimes.

use std::{
    ffi::{c_char, c_void},
    sync::Arc,
};

use dormouse::{EventLimits, Runtime, RuntimeBuilder, RuntimeLimits};

use crate::{
    callback::{Grants, HostClock, dormouse_clock, dormouse_user_data_free},
    edge::Given,
    error::dormouse_error,
    function::dormouse_function,
    limits::{Bounds, dormouse_reset, dormouse_when_full},
    report::time,
    status::{Failure, dormouse_status},
};

/// A function runtime: functions by name, and the budget that they share. It opens no socket, and keeps no thread
/// except the workers that are asked for.
///
/// Thread safety: any number of threads may use one handle at once.
/// Ownership: made by `dormouse_runtime_new`, `dormouse_runtime_open`, `dormouse_runtime_clone` and
/// `dormouse_context_runtime`; each handle is freed once, by `dormouse_runtime_free`. The runtime itself goes when no
/// handle, no function handle and no call under way needs it. So a callback may free the handle of the runtime that
/// it runs in: that takes effect when the call is over.
pub struct dormouse_runtime(pub(crate) Runtime);

counted!(dormouse_runtime);

/// Choices for a runtime. Fill in with `dormouse_runtime_options_init`, then change.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct dormouse_runtime_options {
    /// The size of this struct, by which the library knows the header's version.
    pub size: usize,
    /// Functions deployed at once; 10,000.
    pub functions: u64,
    /// Live instances of all functions; 4,096. At the limit the least recently used idle instance goes; then
    /// DORMOUSE_BUSY.
    pub instances: u64,
    /// Bytes of memory and bookkeeping of all live instances; 1 GiB. At the limit as above.
    pub resident_memory: u64,
    /// How long an instance may be idle, in nanoseconds, before `dormouse_runtime_tick` drops it; 5 minutes.
    pub idle_ns: u64,
    /// What random numbers are drawn from: the jitter of retries, and ids of events; 0, so that a run can be
    /// repeated.
    pub seed: u64,
    /// Triggers bound at once; 100,000.
    pub triggers: u64,
    /// Deliveries that have not ended; 65,536.
    pub deliveries: u64,
    /// Bytes of their events; 256 MiB.
    pub delivery_bytes: u64,
    /// Bytes of one event; 1 MiB.
    pub event_bytes: u64,
    /// Dead letters kept; 10,000. A new one takes the place of the oldest.
    pub dead_letters: u64,
    /// Bytes of their events; 64 MiB.
    pub dead_letter_bytes: u64,
    /// How long a chain of replies may become that are published as events; 16.
    pub hops: u32,
    /// What happens to an event whose deliveries do not fit; DORMOUSE_WHEN_FULL_REJECT.
    pub when_full: dormouse_when_full,
    /// How used instances are made clean; DORMOUSE_RESET_AUTO.
    pub reset: dormouse_reset,
    /// A clock of the host's; NULL for the machine's.
    pub clock: dormouse_clock,
    /// For the clock; not looked at without one. The library's once the call that makes the runtime has returned
    /// DORMOUSE_OK, not before.
    pub clock_user_data: *mut c_void,
    /// Called when the clock is not needed any more; may be NULL.
    pub clock_user_data_free: dormouse_user_data_free,
}

options!(dormouse_runtime_options);

/// A runtime with the caller's choices.
fn builder(options: Given<dormouse_runtime_options>, grants: &mut Grants) -> Result<RuntimeBuilder, Failure> {
    let builder = Runtime::builder();
    let Some(chosen) = crate::options::given(options)? else { return Ok(builder) };
    let (limits, events): (RuntimeLimits, EventLimits) = (chosen.bounds()?, chosen.bounds()?);
    let builder = builder.limits(limits).events(events).reset(chosen.reset()?).seed(chosen.seed);
    Ok(match chosen.clock {
        Some(now) => {
            let user = grants.take(chosen.clock_user_data, chosen.clock_user_data_free);
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
    /// Fills in the defaults. `size` is `sizeof *options`; if it is not what this library knows, the call fails and
    /// nothing is written.
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
        let mut grants = Grants::default();
        place.share(dormouse_runtime(builder(options, &mut grants)?.build()));
        grants.accept();
        Ok(())
    }

    /// Makes a runtime whose deliveries and dead letters survive the process, in a file that is made if it is not
    /// there. The file is this runtime's alone until it is gone. Functions and triggers are not in it: the host
    /// deploys and binds as always, and deliveries that were left go on when the trigger of their id is bound.
    ///
    /// `dormouse_runtime_publish` returns when its deliveries are on disk, which takes as long as the disk takes to
    /// write through. A delivery that has ended is removed soon after: if the process dies in between, it is made
    /// again. Time in which no process runs ages nothing.
    ///
    /// `path` is what the system takes for a path: bytes on Unix, UTF-8 elsewhere. `options` may be NULL for the
    /// defaults.
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
        let mut grants = Grants::default();
        place.share(dormouse_runtime(open(builder(options, &mut grants)?, path)?));
        grants.accept();
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

    /// Finds a function by name: a handle that follows it. With an alias behind an `@`, as in `greet@prod`, a handle
    /// that follows the alias. With a version, as in `greet@3f2a91c`, one that stays with that version, if it is the
    /// current one or something keeps it alive; seven hexadecimal digits or more.
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

    /// Takes a function out of service, and its aliases with it: handles answer DORMOUSE_UNDEPLOYED, invocations under way
    /// finish, pinned handles go on.
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
        let alias = unsafe { alias.text(alias_len) }?;
        // A handle that follows an alias has another name than its function.
        let pinned = function.pinned()?;
        runtime.0.alias(alias, pinned.name(), pinned.deploy_report()?.version())?;
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
        let (alias, name) = unsafe { (alias.text(alias_len)?, name.text(name_len)?) };
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
