//! Worker threads that run the queue.
//!
//! Invariant: a call that fails leaves no thread behind.

use dormouse::Workers;

use crate::{error::dormouse_error, failure::Failure, runtime::dormouse_runtime, status::dormouse_status};

/// Threads that run the queue of a runtime, started by `dormouse_runtime_workers`.
///
/// Ownership: the caller owns them and ends them with `dormouse_workers_free`. They do not keep the
/// runtime alive. When the runtime ends, they end too, and only the handle is left to be freed. A
/// child process of `fork` has none of these threads.
///
/// Thread safety: any number of threads may read it.
pub struct dormouse_workers(Workers);

owned!(dormouse_workers);

/// The most threads: far more than cores, as a delivery may wait for its host.
const THREADS_MAX: usize = 1_024;

exported! { fallible:
    /// Starts `count` threads, 1 to 1,024, that run deliveries as they become ready, retries
    /// included. They do not fire schedules: a host that has schedules still calls
    /// `dormouse_runtime_tick`. Host functions and all other callbacks then run on these threads.
    ///
    /// Statuses: DORMOUSE_NULL, DORMOUSE_ARGUMENT, DORMOUSE_NO_THREAD. After a failure no thread is
    /// left.
    pub unsafe extern "C" fn dormouse_runtime_workers(
        runtime: *const dormouse_runtime,
        count: usize,
        workers_out: *mut *mut dormouse_workers,
        error_out: *mut *mut dormouse_error,
    ) -> dormouse_status {
        let (runtime, place) = (runtime.get()?, workers_out.required()?);
        if !(1..=THREADS_MAX).contains(&count) {
            return Err(Failure::argument(format!("{count} workers: the number must be 1 to {THREADS_MAX}")));
        }
        let workers = runtime.0.deliveries().workers(count).map_err(Failure::no_thread)?;
        place.give(Box::new(dormouse_workers(workers)));
        Ok(())
    }
}

exported! { total:
    /// The number of threads. 0 for NULL.
    pub unsafe extern "C" fn dormouse_workers_count(workers: *const dormouse_workers) -> usize {
        workers.optional().map_or(0, |workers| workers.0.count())
    }

    /// Ends the threads and frees their handle. The threads finish the deliveries that are
    /// published and ready by now. Deliveries that wait for another attempt or for their function
    /// stay in the queue. The call returns when the threads have ended, so do not make it under a
    /// lock that a callback takes.
    ///
    /// A callback that runs on one of the threads may make the call. Then its thread ends after the
    /// delivery that it runs, and the call waits only for the others. NULL is allowed.
    pub unsafe extern "C" fn dormouse_workers_free(workers: *mut dormouse_workers) {
        drop(workers.take());
    }
}
