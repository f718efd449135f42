//! Triggers: they decide which events reach a function.
//!
//! Invariant: a trigger is bound as a whole, or not at all.

use std::{ffi::c_char, sync::Arc, time::Duration};

use dormouse::{Missed, Retry, Trigger, TriggerInput, Verdict};

use crate::{
    edge::Given,
    error::dormouse_error,
    event::dormouse_event,
    failure::Failure,
    report::{nanos, time},
    runtime::dormouse_runtime,
    status::dormouse_status,
    text::{dormouse_names, dormouse_string, dormouse_text},
};

/// What wakes a trigger: one of the DORMOUSE_TRIGGER_ constants.
pub type dormouse_trigger_kind = u32;

/// Events of exactly the type `on`.
pub const DORMOUSE_TRIGGER_TYPE: dormouse_trigger_kind = 1;
/// Events whose attribute `attribute` is a topic that the MQTT filter `on` matches.
pub const DORMOUSE_TRIGGER_TOPIC: dormouse_trigger_kind = 2;
/// Events that match the pattern `on`, in the dialect of EventBridge.
pub const DORMOUSE_TRIGGER_PATTERN: dormouse_trigger_kind = 3;
/// The schedule `on`: cron, `rate(5 minutes)`, `cron(...)` or `at(...)`. `dormouse_runtime_tick`
/// fires it.
pub const DORMOUSE_TRIGGER_SCHEDULE: dormouse_trigger_kind = 4;
/// Requests with the method `method` and a path that fits `on`, such as `/items/{id}`. See
/// `dormouse_runtime_request`.
pub const DORMOUSE_TRIGGER_ROUTE: dormouse_trigger_kind = 5;

/// Which part of an event a function is given: one of the DORMOUSE_INPUT_ constants.
pub type dormouse_input = u32;

/// The whole event in its JSON form.
pub const DORMOUSE_INPUT_EVENT: dormouse_input = 0;
/// The bytes of its data.
pub const DORMOUSE_INPUT_DATA: dormouse_input = 1;
/// The bytes `constant`.
pub const DORMOUSE_INPUT_CONSTANT: dormouse_input = 2;

/// After which delays a failed delivery is retried: one of the DORMOUSE_RETRY_ constants.
pub type dormouse_retry = u32;

/// The default of the kind of trigger: exponential from 1 s up to 5 minutes, 3 attempts within 1
/// hour, and no retry for routes. The other members that begin with `retry_` are ignored.
pub const DORMOUSE_RETRY_DEFAULT: dormouse_retry = 0;
/// Delays that double, beginning with the first.
pub const DORMOUSE_RETRY_EXPONENTIAL: dormouse_retry = 1;
/// Delays of once, twice, three times the first.
pub const DORMOUSE_RETRY_LINEAR: dormouse_retry = 2;
/// The same delay each time.
pub const DORMOUSE_RETRY_FIXED: dormouse_retry = 3;

/// What happens to the instants of a schedule that the host was late for: one of the
/// DORMOUSE_MISSED_ constants.
pub type dormouse_missed = u32;

/// One event stands for all of them.
pub const DORMOUSE_MISSED_COALESCE: dormouse_missed = 0;
/// Only the last instant fires, and only if it is at most a minute ago.
pub const DORMOUSE_MISSED_SKIP: dormouse_missed = 1;
/// The last `missed_max` instants fire, each an event of its own.
pub const DORMOUSE_MISSED_ALL: dormouse_missed = 2;

/// A trigger. Fill it in with `dormouse_trigger_options_init`, then change it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct dormouse_trigger_options {
    /// The size of this struct, which tells the library the header's version.
    pub size: usize,
    /// What wakes it; DORMOUSE_TRIGGER_TYPE.
    pub kind: dormouse_trigger_kind,
    /// The type, filter, pattern, schedule or path. Required.
    pub on: dormouse_string,
    /// The attribute, for topics.
    pub attribute: dormouse_string,
    /// The method, for routes.
    pub method: dormouse_string,
    /// The function: a name, which may have a version or an alias after an `@`. It need not be
    /// deployed yet. Required.
    pub target: dormouse_string,
    /// What the function is given; DORMOUSE_INPUT_EVENT.
    pub input: dormouse_input,
    /// The bytes for DORMOUSE_INPUT_CONSTANT.
    pub constant: *const u8,
    /// How many bytes.
    pub constant_len: usize,
    /// Whether deliveries run in order, for each `partitionkey` if events have one; false.
    pub ordered: bool,
    /// Whether the trigger is switched off when it is bound; false.
    pub disabled: bool,
    /// For schedules: whether a run may begin before the previous run has ended; false.
    pub overlapping: bool,
    /// Whether delays are exactly as computed, not shortened by a random part; false.
    pub retry_without_jitter: bool,
    /// After which delays a delivery is retried; DORMOUSE_RETRY_DEFAULT.
    pub retry: dormouse_retry,
    /// The most runs, the first included; 3. 0 and 1 both mean one run.
    pub retry_attempts: u32,
    /// The first delay in nanoseconds; 1 s.
    pub retry_first_ns: u64,
    /// The longest delay in nanoseconds; 5 minutes.
    pub retry_longest_ns: u64,
    /// The greatest age of a delivery in nanoseconds; 1 hour.
    pub retry_age_ns: u64,
    /// What happens to missed instants of schedules; DORMOUSE_MISSED_COALESCE.
    pub missed: dormouse_missed,
    /// The most instants that fire, for DORMOUSE_MISSED_ALL; 1.
    pub missed_max: u32,
    /// The types that replies may have. Each such reply is then published as an event. NULL if
    /// replies are not published.
    pub emits: *const dormouse_string,
    /// How many.
    pub emits_len: usize,
}

options!(dormouse_trigger_options);

/// The trigger that the options describe.
///
/// # Safety
/// The options belong to the caller of an exported function, and the call is not over.
unsafe fn trigger(chosen: &dormouse_trigger_options) -> Result<Trigger, Failure> {
    // SAFETY: the caller's.
    unsafe {
        let on = chosen.on.get("options->on")?;
        let mut trigger = match chosen.kind {
            DORMOUSE_TRIGGER_TYPE => Trigger::on(on),
            DORMOUSE_TRIGGER_TOPIC => Trigger::topic(chosen.attribute.get("options->attribute")?, on)?,
            DORMOUSE_TRIGGER_PATTERN => Trigger::pattern(on)?,
            DORMOUSE_TRIGGER_SCHEDULE => Trigger::schedule(on)?,
            DORMOUSE_TRIGGER_ROUTE => Trigger::route(chosen.method.get("options->method")?, on)?,
            other => return Err(Failure::argument(format!("{other} is not a dormouse_trigger_kind"))),
        };
        trigger = trigger.to(chosen.target.get("options->target")?);
        let constant = Given::new(chosen.constant, "options->constant").slice(chosen.constant_len)?;
        if chosen.input != DORMOUSE_INPUT_CONSTANT && !constant.is_empty() {
            let problem = "`options->constant` is given, but `options->input` is not DORMOUSE_INPUT_CONSTANT";
            return Err(Failure::argument(problem.into()));
        }
        trigger = trigger.input(match chosen.input {
            DORMOUSE_INPUT_EVENT => TriggerInput::Event,
            DORMOUSE_INPUT_DATA => TriggerInput::Data,
            DORMOUSE_INPUT_CONSTANT => TriggerInput::Constant(Arc::from(constant)),
            other => return Err(Failure::argument(format!("{other} is not a dormouse_input"))),
        });
        let first = time(chosen.retry_first_ns);
        let retry = match chosen.retry {
            DORMOUSE_RETRY_DEFAULT => None,
            DORMOUSE_RETRY_EXPONENTIAL => Some(Retry::exponential(first)),
            DORMOUSE_RETRY_LINEAR => Some(Retry::linear(first)),
            DORMOUSE_RETRY_FIXED => Some(Retry::fixed(first)),
            other => return Err(Failure::argument(format!("{other} is not a dormouse_retry"))),
        };
        if let Some(retry) = retry {
            let (longest, age) = (time(chosen.retry_longest_ns), time(chosen.retry_age_ns));
            let retry = retry.max_delay(longest).max_age(age).attempts(chosen.retry_attempts);
            trigger = trigger.retry(if chosen.retry_without_jitter { retry.without_jitter() } else { retry });
        }
        trigger = trigger.missed(match chosen.missed {
            DORMOUSE_MISSED_COALESCE => Missed::Coalesce,
            DORMOUSE_MISSED_SKIP => Missed::Skip,
            DORMOUSE_MISSED_ALL => Missed::All(chosen.missed_max),
            other => return Err(Failure::argument(format!("{other} is not a dormouse_missed"))),
        });
        if chosen.ordered {
            trigger = trigger.ordered();
        }
        if chosen.overlapping {
            trigger = trigger.overlapping();
        }
        if chosen.disabled {
            trigger = trigger.disabled();
        }
        let emits = Given::new(chosen.emits, "options->emits").slice(chosen.emits_len)?;
        if !chosen.emits.is_null() {
            let types: Vec<&str> = emits.iter().map(|ty| ty.get("options->emits")).collect::<Result<_, _>>()?;
            trigger = trigger.emits(types);
        }
        Ok(trigger)
    }
}

fn unknown(id: &str) -> Failure {
    Failure::not_found(format!("no trigger {:?} is bound", id.chars().take(100).collect::<String>()))
}

fn known(there: bool, id: &str) -> Result<(), Failure> {
    there.then_some(()).ok_or_else(|| unknown(id))
}

exported! { fallible:
    /// Fills in the defaults. `size` is `sizeof *options`.
    ///
    /// Statuses: DORMOUSE_NULL, DORMOUSE_ARGUMENT.
    pub unsafe extern "C" fn dormouse_trigger_options_init(
        options: *mut dormouse_trigger_options,
        size: usize,
        error_out: *mut *mut dormouse_error,
    ) -> dormouse_status {
        crate::options::init(options, size, |options| {
            let second = Duration::from_secs(1);
            options.kind = DORMOUSE_TRIGGER_TYPE;
            options.retry_attempts = 3;
            options.retry_first_ns = nanos(second);
            options.retry_longest_ns = nanos(300 * second);
            options.retry_age_ns = nanos(3_600 * second);
            options.missed_max = 1;
        })
    }

    /// Binds a trigger under an id of its own, of 1 to 64 of the characters A-Z a-z 0-9 . _ -. It
    /// applies to events that are published from now on. What the options point to is not needed
    /// afterwards.
    ///
    /// Statuses: DORMOUSE_NULL, DORMOUSE_ARGUMENT, DORMOUSE_UTF8, DORMOUSE_INVALID_NAME, 310 to
    /// 319.
    pub unsafe extern "C" fn dormouse_runtime_bind(
        runtime: *const dormouse_runtime,
        id: *const c_char,
        id_len: usize,
        options: *const dormouse_trigger_options,
        error_out: *mut *mut dormouse_error,
    ) -> dormouse_status {
        let runtime = runtime.get()?;
        let chosen = crate::options::needed(options)?;
        // SAFETY: the pointer is followed by its length, and the options are the caller's.
        let (id, trigger) = unsafe { (id.text(id_len)?, trigger(&chosen)?) };
        Ok(runtime.0.bind(id, trigger)?)
    }

    /// Unbinds a trigger. Deliveries that it has made go on.
    ///
    /// Statuses: DORMOUSE_NULL, DORMOUSE_UTF8, DORMOUSE_NOT_FOUND.
    pub unsafe extern "C" fn dormouse_runtime_unbind(
        runtime: *const dormouse_runtime,
        id: *const c_char,
        id_len: usize,
        error_out: *mut *mut dormouse_error,
    ) -> dormouse_status {
        // SAFETY: the pointer is followed by its length.
        let (runtime, id) = (runtime.get()?, unsafe { id.text(id_len) }?);
        known(runtime.0.triggers().unbind(id), id)
    }

    /// Switches a trigger on or off, for events that are published from now on. A trigger that is
    /// off matches nothing and keeps its id.
    ///
    /// Statuses: DORMOUSE_NULL, DORMOUSE_UTF8, DORMOUSE_NOT_FOUND.
    pub unsafe extern "C" fn dormouse_runtime_enable(
        runtime: *const dormouse_runtime,
        id: *const c_char,
        id_len: usize,
        on: bool,
        error_out: *mut *mut dormouse_error,
    ) -> dormouse_status {
        // SAFETY: the pointer is followed by its length.
        let (runtime, id) = (runtime.get()?, unsafe { id.text(id_len) }?);
        known(if on { runtime.0.triggers().enable(id) } else { runtime.0.triggers().disable(id) }, id)
    }

    /// Gives the ids of all triggers, in the order of binding.
    ///
    /// Statuses: DORMOUSE_NULL.
    pub unsafe extern "C" fn dormouse_runtime_triggers(
        runtime: *const dormouse_runtime,
        names_out: *mut *mut dormouse_names,
        error_out: *mut *mut dormouse_error,
    ) -> dormouse_status {
        let (runtime, place) = (runtime.get()?, names_out.required()?);
        place.give(dormouse_names::new(runtime.0.triggers().ids()));
        Ok(())
    }

    /// A dry run: gives the ids of the triggers that an event would wake, in the order of binding.
    ///
    /// Statuses: DORMOUSE_NULL, DORMOUSE_AMBIGUOUS.
    pub unsafe extern "C" fn dormouse_runtime_matches(
        runtime: *const dormouse_runtime,
        event: *const dormouse_event,
        names_out: *mut *mut dormouse_names,
        error_out: *mut *mut dormouse_error,
    ) -> dormouse_status {
        let (runtime, event, place) = (runtime.get()?, event.get()?, names_out.required()?);
        place.give(dormouse_names::new(runtime.0.triggers().matches(&event.event)?));
        Ok(())
    }

    /// Gives whether an event would wake a trigger. `why_out`, which may be NULL, receives the
    /// first attribute or field that fails and why, such as
    /// `subject: level 3 should be "temperature", but is "humidity"`. Free it. It receives NULL if
    /// the event would wake the trigger.
    ///
    /// Statuses: DORMOUSE_NULL, DORMOUSE_UTF8, DORMOUSE_NOT_FOUND.
    pub unsafe extern "C" fn dormouse_runtime_explain(
        runtime: *const dormouse_runtime,
        id: *const c_char,
        id_len: usize,
        event: *const dormouse_event,
        matches_out: *mut bool,
        why_out: *mut *mut dormouse_text,
        error_out: *mut *mut dormouse_error,
    ) -> dormouse_status {
        let (runtime, event, place) = (runtime.get()?, event.get()?, matches_out.required()?);
        // SAFETY: the pointer is followed by its length.
        let id = unsafe { id.text(id_len) }?;
        let verdict = runtime.0.triggers().explain(&event.event, id).ok_or_else(|| unknown(id))?;
        let why_not = match verdict {
            Verdict::Matches => None,
            Verdict::Fails { field, reason, .. } if field.is_empty() => Some(reason),
            Verdict::Fails { field, reason, .. } => Some(format!("{field}: {reason}")),
            // A verdict without words in C.
            _ => Some(String::new()),
        };
        crate::pattern::say(place, why_out, why_not);
        Ok(())
    }
}
