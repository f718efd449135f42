//! Worker threads that run the queue.

use dormouse::Workers;

use crate::{
    error::dormouse_error,
    runtime::dormouse_runtime,
    status::{Failure, dormouse_status},
};

/// Threads that run the queue of a runtime, started by `dormouse_runtime_workers`.
///
/// Ownership: the caller's, who ends them with `dormouse_workers_free`. They do not keep the runtime alive: when it
/// goes, they end by themselves, and only the handle is left to be freed. A process made by `fork` has none of
/// them.
/// Thread safety: any number of threads may read it.
pub struct dormouse_workers(Workers);

owned!(dormouse_workers);

/// Threads at most: far more than cores, as a delivery may wait for its host.
const THREADS_MAX: usize = 1_024;

exported! { fallible:
    /// Starts `count` threads, 1 to 1,024, that run deliveries as they become ready, those to be tried again
    /// included. They fire no schedules: a host that has any calls `dormouse_runtime_tick` all the same. Host
    /// functions and all other callbacks are called on these threads then.
    ///
    /// Statuses: DORMOUSE_NULL, DORMOUSE_ARGUMENT, DORMOUSE_NO_THREAD. No thread is left then.
    pub unsafe extern "C" fn dormouse_runtime_workers(
        runtime: *const dormouse_runtime,
        count: usize,
        workers_out: *mut *mut dormouse_workers,
        error_out: *mut *mut dormouse_error,
    ) -> dormouse_status {
        let (runtime, place) = (runtime.get()?, workers_out.required()?);
        if !(1..=THREADS_MAX).contains(&count) {
            return Err(Failure::argument(format!("{count} workers; 1 to {THREADS_MAX} can be had")));
        }
        let workers = runtime.0.deliveries().workers(count).map_err(Failure::no_thread)?;
        place.give(Box::new(dormouse_workers(workers)));
        Ok(())
    }
}

exported! { total:
    /// How many threads there are; 0 for NULL.
    pub unsafe extern "C" fn dormouse_workers_count(workers: *const dormouse_workers) -> usize {
        workers.optional().map_or(0, |workers| workers.0.count())
    }

    /// Ends the threads and frees their handle. They finish what was published and is ready by now; what waits for
    /// another attempt or for its function stays in the queue. The call returns when they have ended, so it must not
    /// be made under a lock that a callback takes. A callback that runs on one of them may make it: then that one
    /// ends after the delivery that it runs, and the call waits for the others alone. NULL is allowed.
    pub unsafe extern "C" fn dormouse_workers_free(workers: *mut dormouse_workers) {
        drop(workers.take());
    }
}
