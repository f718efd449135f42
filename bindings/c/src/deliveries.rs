//! Deliveries: publishing, dispatching, running the queue.
//!
//! Invariant: what outcomes lend is valid until the outcomes are freed.

use dormouse::{AfterFailure, DeliveryOutcome, Dispatched, Timestamp};

use crate::{
    error::dormouse_error,
    event::dormouse_event,
    failure::Failure,
    reply::dormouse_reply,
    report::nanos,
    runtime::dormouse_runtime,
    status::dormouse_status,
    text::{Text, dormouse_string, dormouse_text},
};

/// The outcome of one attempt to deliver an event.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum dormouse_outcome_kind {
    /// An outcome without a number in this version.
    DORMOUSE_OUTCOME_OTHER = 0,
    /// The function ran, and there is a reply.
    DORMOUSE_OUTCOME_SUCCEEDED = 1,
    /// The attempt failed, and is made again later. There is an error.
    DORMOUSE_OUTCOME_RETRY = 2,
    /// The attempt failed, and the delivery is given up as a dead letter. There is an error.
    DORMOUSE_OUTCOME_DEAD_LETTER = 3,
    /// The function is not deployed, or off. The delivery waits for the function.
    DORMOUSE_OUTCOME_PARKED = 4,
    /// The trigger is ordered and other deliveries come first, or the function has just been
    /// deployed. The delivery waits for its turn.
    DORMOUSE_OUTCOME_QUEUED = 5,
    /// The event's `expirytime` had passed.
    DORMOUSE_OUTCOME_EXPIRED = 6,
    /// The delivery would have been too old at its next attempt, and is a dead letter.
    DORMOUSE_OUTCOME_TOO_OLD = 7,
    /// The queue was full.
    DORMOUSE_OUTCOME_DROPPED = 8,
}
use dormouse_outcome_kind as Kind;

/// What `dormouse_runtime_dispatch` did for one trigger. Plain data. The outcomes that it comes
/// from lend what it points to.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct dormouse_outcome {
    /// The outcome.
    pub kind: dormouse_outcome_kind,
    /// The number of the delivery, which identifies a dead letter. 0 for a dropped delivery.
    pub delivery: u64,
    /// The id of the trigger, with a NUL behind it.
    pub trigger: dormouse_string,
    /// The function's reply. NULL unless it succeeded.
    pub reply: *const dormouse_reply,
    /// What went wrong. NULL unless it failed.
    pub error: *const dormouse_error,
}

plain!(dormouse_outcome);

/// What `dormouse_runtime_dispatch` did, trigger by trigger in the order of binding. The caller
/// owns it and frees it with `dormouse_outcomes_free`. It never changes, so any number of threads
/// may read it.
pub struct dormouse_outcomes(Vec<Attempt>);

owned!(dormouse_outcomes);

/// One outcome, with what it lends.
struct Attempt {
    kind: dormouse_outcome_kind,
    delivery: u64,
    trigger: Text,
    reply: Option<Box<dormouse_reply>>,
    error: Option<Box<dormouse_error>>,
}

impl From<Dispatched> for Attempt {
    fn from(dispatched: Dispatched) -> Self {
        let Dispatched { trigger, delivery, outcome, .. } = dispatched;
        let (mut reply, mut error) = (None, None);
        let kind = match outcome {
            DeliveryOutcome::Succeeded(given) => {
                reply = Some(given.into());
                Kind::DORMOUSE_OUTCOME_SUCCEEDED
            }
            DeliveryOutcome::Failed { error: why, next } => {
                error = Some(Box::new(dormouse_error::new(why.into())));
                match next {
                    AfterFailure::Retry(_) => Kind::DORMOUSE_OUTCOME_RETRY,
                    AfterFailure::DeadLetter(_) => Kind::DORMOUSE_OUTCOME_DEAD_LETTER,
                    _ => Kind::DORMOUSE_OUTCOME_OTHER,
                }
            }
            DeliveryOutcome::Parked => Kind::DORMOUSE_OUTCOME_PARKED,
            DeliveryOutcome::Queued => Kind::DORMOUSE_OUTCOME_QUEUED,
            DeliveryOutcome::Expired => Kind::DORMOUSE_OUTCOME_EXPIRED,
            DeliveryOutcome::TooOld => Kind::DORMOUSE_OUTCOME_TOO_OLD,
            DeliveryOutcome::Dropped => Kind::DORMOUSE_OUTCOME_DROPPED,
            _ => Kind::DORMOUSE_OUTCOME_OTHER,
        };
        Self { kind, delivery, trigger: Text::new(trigger), reply, error }
    }
}

/// Where the deliveries of a runtime are, at one moment. Plain data. `matched` is the sum of all
/// others except `refused`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct dormouse_deliveries {
    /// Deliveries made, one for each trigger that a published event matched.
    pub matched: u64,
    /// Deliveries that succeeded.
    pub succeeded: u64,
    /// Dead letters held now.
    pub dead_letters: u64,
    /// Dead letters delivered again.
    pub redriven: u64,
    /// Dead letters that the host took out.
    pub drained: u64,
    /// Dead letters that were dropped because their ring was full.
    pub evicted: u64,
    /// Deliveries that did not run, as the event's `expirytime` had passed.
    pub expired: u64,
    /// Deliveries that were dropped because the queue was full.
    pub dropped: u64,
    /// Deliveries that have not ended: ready, waiting for another attempt, or behind others of
    /// their order.
    pub queued: u64,
    /// Deliveries that a function is running.
    pub running: u64,
    /// Deliveries that wait until their function is deployed.
    pub parked: u64,
    /// Deliveries that were refused because the queue was full. The publisher got an error. They
    /// are not in `matched`.
    pub refused: u64,
}

plain!(dormouse_deliveries);

/// What one `dormouse_runtime_tick` did. Plain data.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct dormouse_tick {
    /// Events that schedules fired, without those that a full queue dropped.
    pub fired: u64,
    /// Attempts to deliver an event.
    pub ran: u64,
    /// Idle instances that were dropped.
    pub trimmed: u64,
    /// Instances made ahead of time, to replace those whose memory had grown.
    pub replaced: u64,
}

plain!(dormouse_tick);

exported! { fallible:
    /// Queues a delivery for each trigger that the event matches: all of them, or none and an
    /// error. The functions run in `dormouse_runtime_run_pending` and `dormouse_runtime_tick`, and
    /// on workers. `count_out`, which may be NULL, receives how many deliveries were queued.
    ///
    /// An event is delivered at least once to each trigger that it matches, as long as the process
    /// lives, or the file of `dormouse_runtime_open`. A function may see an event twice.
    ///
    /// Statuses: DORMOUSE_NULL, 301 to 305, 320 to 329. Nothing is queued then.
    pub unsafe extern "C" fn dormouse_runtime_publish(
        runtime: *const dormouse_runtime,
        event: *const dormouse_event,
        count_out: *mut usize,
        error_out: *mut *mut dormouse_error,
    ) -> dormouse_status {
        let (runtime, event) = (runtime.get()?, event.get()?);
        let count = runtime.0.publish(event.event.clone())?;
        if let Some(place) = count_out.optional() {
            place.put(count);
        }
        Ok(())
    }

    /// As `dormouse_runtime_publish`, and makes the first attempt of each delivery now, on this
    /// thread. A failed delivery stays in the queue like any other, to be retried. It is not a
    /// failure of this call.
    ///
    /// Statuses: DORMOUSE_NULL, 301 to 305, 320 to 329. Nothing is queued then.
    pub unsafe extern "C" fn dormouse_runtime_dispatch(
        runtime: *const dormouse_runtime,
        event: *const dormouse_event,
        outcomes_out: *mut *mut dormouse_outcomes,
        error_out: *mut *mut dormouse_error,
    ) -> dormouse_status {
        let (runtime, event, place) = (runtime.get()?, event.get()?, outcomes_out.required()?);
        let dispatched = runtime.0.dispatch(event.event.clone())?;
        place.give(Box::new(dormouse_outcomes(dispatched.into_iter().map(Attempt::from).collect())));
        Ok(())
    }

    /// Gives the outcome at `index`, which is below `dormouse_outcomes_count`.
    ///
    /// Statuses: DORMOUSE_NULL, DORMOUSE_NOT_FOUND.
    pub unsafe extern "C" fn dormouse_outcomes_at(
        outcomes: *const dormouse_outcomes,
        index: usize,
        outcome_out: *mut dormouse_outcome,
        error_out: *mut *mut dormouse_error,
    ) -> dormouse_status {
        let (outcomes, place) = (outcomes.get()?, outcome_out.required()?);
        let count = outcomes.0.len();
        let attempt = outcomes.0.get(index);
        let attempt = attempt.ok_or_else(|| Failure::not_found(format!("there is no outcome {index}: there are {count}")))?;
        place.put(dormouse_outcome {
            kind: attempt.kind,
            delivery: attempt.delivery,
            trigger: attempt.trigger.string(),
            reply: attempt.reply.as_deref().map_or(std::ptr::null(), |reply| reply),
            error: attempt.error.as_deref().map_or(std::ptr::null(), |error| error),
        });
        Ok(())
    }

    /// Runs ready deliveries on this thread, the oldest first, and makes at most `budget` attempts.
    /// `ran_out`, which may be NULL, receives how many it made.
    ///
    /// Statuses: DORMOUSE_NULL.
    pub unsafe extern "C" fn dormouse_runtime_run_pending(
        runtime: *const dormouse_runtime,
        budget: usize,
        ran_out: *mut usize,
        error_out: *mut *mut dormouse_error,
    ) -> dormouse_status {
        let ran = runtime.get()?.0.deliveries().run_pending(budget);
        if let Some(place) = ran_out.optional() {
            place.put(ran);
        }
        Ok(())
    }

    /// Drives the runtime, for a host that calls this from time to time. It tells the runtime the
    /// date, in nanoseconds since 1970 in UTC. It fires the schedules, runs as many attempts as are
    /// ready when it begins, and drops idle instances. `tick_out` may be NULL.
    ///
    /// Statuses: DORMOUSE_NULL, DORMOUSE_ARGUMENT.
    pub unsafe extern "C" fn dormouse_runtime_tick(
        runtime: *const dormouse_runtime,
        unix_ns: i64,
        tick_out: *mut dormouse_tick,
        error_out: *mut *mut dormouse_error,
    ) -> dormouse_status {
        let runtime = runtime.get()?;
        let now = Timestamp::from_unix_nanos(unix_ns.into());
        let now = now.ok_or_else(|| Failure::argument(format!("{unix_ns} is not a time that the runtime knows")))?;
        let tick = runtime.0.tick(now);
        if let Some(place) = tick_out.optional() {
            let (fired, ran) = (tick.fired as u64, tick.ran as u64);
            place.put(dormouse_tick { fired, ran, trimmed: tick.trimmed as u64, replaced: tick.replaced as u64 });
        }
        Ok(())
    }

    /// Gives how many nanoseconds a host may sleep before there is something to do, by the
    /// runtime's clock. 0 if a delivery is ready. UINT64_MAX if only a call of the host can change
    /// that.
    ///
    /// Statuses: DORMOUSE_NULL.
    pub unsafe extern "C" fn dormouse_runtime_next_deadline(
        runtime: *const dormouse_runtime,
        ns_out: *mut u64,
        error_out: *mut *mut dormouse_error,
    ) -> dormouse_status {
        let (runtime, place) = (runtime.get()?, ns_out.required()?);
        place.put(runtime.0.deliveries().next_deadline().map_or(u64::MAX, nanos));
        Ok(())
    }

    /// Gives where all deliveries are.
    ///
    /// Statuses: DORMOUSE_NULL.
    pub unsafe extern "C" fn dormouse_runtime_deliveries(
        runtime: *const dormouse_runtime,
        deliveries_out: *mut dormouse_deliveries,
        error_out: *mut *mut dormouse_error,
    ) -> dormouse_status {
        let (runtime, place) = (runtime.get()?, deliveries_out.required()?);
        let all = runtime.0.deliveries().stats();
        place.put(dormouse_deliveries {
            matched: all.matched,
            succeeded: all.succeeded,
            dead_letters: all.dead_letters,
            redriven: all.redriven,
            drained: all.drained,
            evicted: all.evicted,
            expired: all.expired,
            dropped: all.dropped,
            queued: all.queued,
            running: all.running,
            parked: all.parked,
            refused: all.refused,
        });
        Ok(())
    }

    /// Gives what each version of each function has used so far, as a JSON object:
    /// `{"functions": [{"function": ..., ...}], "retired": {...}}`. Times are in nanoseconds and
    /// sizes in bytes.
    ///
    /// Statuses: DORMOUSE_NULL.
    pub unsafe extern "C" fn dormouse_runtime_ledger(
        runtime: *const dormouse_runtime,
        json_out: *mut *mut dormouse_text,
        error_out: *mut *mut dormouse_error,
    ) -> dormouse_status {
        let (runtime, place) = (runtime.get()?, json_out.required()?);
        place.give(dormouse_text::new(runtime.0.ledger().to_json()));
        Ok(())
    }
}

exported! { total:
    /// The number of outcomes, one for each trigger that the event matched. 0 for NULL.
    pub unsafe extern "C" fn dormouse_outcomes_count(outcomes: *const dormouse_outcomes) -> usize {
        outcomes.optional().map_or(0, |outcomes| outcomes.0.len())
    }

    /// Frees outcomes, and the replies and errors that they lend. NULL is allowed.
    pub unsafe extern "C" fn dormouse_outcomes_free(outcomes: *mut dormouse_outcomes) {
        drop(outcomes.take());
    }
}
