//! Events: triggers, published events, and what happens to them.

use std::{ptr, sync::atomic::Ordering::SeqCst};

use arbitrary::Result;
use dormouse_c::{self as c, dormouse_event, dormouse_runtime, dormouse_status as S};

use super::{
    Machine, NAMES,
    edge::{self, Out, call, check, ok_unless_null},
    kept::{Kept, look_at_letters},
};

const TYPES: [&str; 2] = ["order.made", "order.paid"];
const IDS: [&str; 5] = ["one", "two", "three", "four", "no id"];
const DATA: [&str; 5] = ["e", "t", "f", "r", "anything"];

/// What a trigger waits for.
#[derive(Clone, Copy, PartialEq)]
enum On {
    /// Events of a type, perhaps by a pattern.
    Type(&'static str),
    /// Requests to a path, which is the trigger's id.
    Route,
    Schedule,
}

pub(super) struct Trigger {
    id: &'static str,
    on: On,
    is_on: bool,
}

/// Where all deliveries of a runtime are.
pub(super) fn figures(runtime: *const dormouse_runtime) -> c::dormouse_deliveries {
    // SAFETY: numbers.
    let mut figures = unsafe { std::mem::zeroed() };
    let status = check(true, "deliveries", |error| call!(c::dormouse_runtime_deliveries(runtime, &mut figures, error)));
    assert_eq!(status, S::DORMOUSE_OK);
    figures
}

pub(super) fn is_balanced(all: &c::dormouse_deliveries) -> bool {
    let ended = all.succeeded + all.dead_letters + all.redriven + all.drained + all.evicted + all.expired + all.dropped;
    all.matched == ended + all.queued + all.running + all.parked
}

/// The figures in words.
pub(super) fn said(all: &c::dormouse_deliveries) -> String {
    format!(
        "matched {} succeeded {} dead_letters {} redriven {} drained {} evicted {} expired {} dropped {} queued {} running {} parked {}",
        all.matched,
        all.succeeded,
        all.dead_letters,
        all.redriven,
        all.drained,
        all.evicted,
        all.expired,
        all.dropped,
        all.queued,
        all.running,
        all.parked
    )
}

impl Machine<'_> {
    pub(super) fn bind(&mut self) -> Result<()> {
        let ((at, runtime), id) = (self.pick()?, *self.source.choose(&IDS)?);
        let (path, ty) = (format!("/{id}"), *self.source.choose(&TYPES)?);
        let pattern = format!(r#"{{"type": ["{ty}"]}}"#);
        let mut options = edge::init(c::dormouse_trigger_options_init);
        let mut expected = Vec::new();
        let mut on = On::Type(ty);
        (options.on, options.method) = (edge::string(ty), edge::string("GET"));
        match self.source.int_in_range(0..=9)? {
            0 => (options.kind, options.on, on) = (c::DORMOUSE_TRIGGER_ROUTE, edge::string(&path), On::Route),
            1 => {
                (options.kind, options.on, on) =
                    (c::DORMOUSE_TRIGGER_SCHEDULE, edge::string("rate(1 minute)"), On::Schedule);
            }
            2 => (options.kind, options.on) = (c::DORMOUSE_TRIGGER_PATTERN, edge::string(&pattern)),
            3 => {
                (options.kind, options.on) = (c::DORMOUSE_TRIGGER_PATTERN, edge::string("no pattern"));
                expected.push(S::DORMOUSE_PATTERN);
            }
            4 => {
                options.kind = self.source.int_in_range(6..=9)?;
                expected.push(S::DORMOUSE_ARGUMENT);
            }
            5 => {
                options.on.chars = ptr::null();
                expected.push(S::DORMOUSE_NULL);
            }
            6 => {
                options.size = self.source.int_in_range(0..=options.size - 1)?;
                expected.push(S::DORMOUSE_ARGUMENT);
            }
            _ => {}
        }
        options.target = edge::string(self.source.choose(&NAMES)?);
        options.input = c::DORMOUSE_INPUT_DATA;
        (options.retry, options.retry_attempts) = (c::DORMOUSE_RETRY_FIXED, self.source.int_in_range(0..=2)?);
        (options.ordered, options.disabled) = (self.source.arbitrary()?, self.source.ratio(1, 8)?);
        expected.extend((id == "no id").then_some(S::DORMOUSE_INVALID_NAME));
        if on == On::Route {
            // A path cannot have a blank, and a route cannot be ordered.
            expected.extend((options.ordered || id == "no id").then_some(S::DORMOUSE_INVALID_TRIGGER));
        }
        if let Some(at) = at {
            let host = &self.runtimes[at];
            expected.extend(host.triggers.iter().any(|trigger| trigger.id == id).then_some(S::DORMOUSE_TAKEN));
            let is_full = host.triggers.len() as u64 >= host.limits.triggers;
            expected.extend(is_full.then_some(S::DORMOUSE_TOO_MANY_TRIGGERS));
        } else {
            expected = vec![S::DORMOUSE_NULL];
        }
        let (chars, len) = edge::chars(id);
        let status =
            check(self.asks, "bind", |error| call!(c::dormouse_runtime_bind(runtime, chars, len, &options, error)));
        match at {
            Some(at) if status == S::DORMOUSE_OK => {
                // This model does not know whether routes may be ordered.
                expected.retain(|status| *status != S::DORMOUSE_INVALID_TRIGGER);
                assert!(expected.is_empty(), "bind {id}: one of {expected:?} is right");
                self.runtimes[at].triggers.push(Trigger { id, on, is_on: !options.disabled });
            }
            _ => assert!(expected.contains(&status), "bind {id}: {status:?} where {expected:?} is right"),
        }
        Ok(())
    }

    pub(super) fn unbind_or_enable(&mut self) -> Result<()> {
        let ((at, runtime), id) = (self.pick()?, *self.source.choose(&IDS)?);
        let what = self.source.int_in_range(0..=2)?;
        let (chars, len) = edge::chars(id);
        let status = check(self.asks, "enable", |error| match what {
            0 => call!(c::dormouse_runtime_unbind(runtime, chars, len, error)),
            _ => call!(c::dormouse_runtime_enable(runtime, chars, len, what == 1, error)),
        });
        let mut expected = S::DORMOUSE_NULL;
        if let Some(at) = at {
            let triggers = &mut self.runtimes[at].triggers;
            let place = triggers.iter().position(|trigger| trigger.id == id);
            expected = place.map_or(S::DORMOUSE_NOT_FOUND, |_| S::DORMOUSE_OK);
            match place {
                Some(place) if what == 0 => drop(triggers.remove(place)),
                Some(place) => triggers[place].is_on = what == 1,
                None => {}
            }
        }
        assert_eq!(status, expected, "{what}: {id}");
        Ok(())
    }

    /// An event from its JSON or from its parts, valid or not.
    pub(super) fn make_event(&mut self) -> Result<()> {
        let (ty, data) = (*self.source.choose(&TYPES)?, *self.source.choose(&DATA)?);
        let mut out = Out::new(self.source.ratio(1, 16)?);
        let (status, expected);
        if self.source.arbitrary()? {
            let mut json = format!(r#"{{"specversion":"1.0","id":"1","source":"/s","type":"{ty}","data":"{data}"}}"#);
            let is_cut = self.source.ratio(1, 8)?;
            if is_cut {
                json.pop();
            }
            expected = if is_cut { S::DORMOUSE_EVENT } else { S::DORMOUSE_OK };
            let (chars, len) = edge::chars(&json);
            status = check(self.asks, "event_from_json", |error| {
                call!(c::dormouse_event_from_json(chars, len, out.at(), error))
            });
            // Data that is JSON is kept as it was written.
            if let Some(event) = out.made(status, expected, "event_from_json") {
                call!(c::dormouse_event_free(event));
            }
            return Ok(());
        }
        let (at, runtime) = self.pick()?;
        let mut options = edge::init(c::dormouse_event_options_init);
        options.type_ = edge::string(ty);
        (options.data, options.data_len, options.data_kind) = (data.as_ptr(), data.len(), c::DORMOUSE_DATA_TEXT);
        expected = match self.source.int_in_range(0..=9)? {
            _ if at.is_none() => S::DORMOUSE_NULL,
            0 => {
                options.type_ = c::dormouse_string { chars: ptr::null(), len: 0 };
                S::DORMOUSE_NULL
            }
            1 => {
                options.data_kind = c::DORMOUSE_DATA_NONE;
                S::DORMOUSE_ARGUMENT
            }
            2 => {
                options.time = edge::string("yesterday");
                S::DORMOUSE_EVENT
            }
            3 => {
                options.source = edge::string("\u{7f}");
                S::DORMOUSE_EVENT
            }
            _ => S::DORMOUSE_OK,
        };
        status =
            check(self.asks, "event", |error| call!(c::dormouse_runtime_event(runtime, &options, out.at(), error)));
        if let Some(event) = out.made(status, expected, "event") {
            self.kept.push(Kept::Event(event, ty, data));
        }
        Ok(())
    }

    /// An event that is kept, and its type. At times NULL.
    fn event(&mut self) -> Result<(Option<&'static str>, *const dormouse_event)> {
        let event = |kept: &Kept| if let Kept::Event(event, ty, _) = kept { Some((*event, *ty)) } else { None };
        let events: Vec<_> = self.kept.iter().filter_map(event).collect();
        if events.is_empty() || self.source.ratio(1, 24)? {
            return Ok((None, ptr::null()));
        }
        let (event, ty) = *self.source.choose(&events)?;
        Ok((Some(ty), event))
    }

    /// The ids of the triggers that an event of this type wakes.
    fn woken(&self, at: usize, ty: &str) -> Vec<String> {
        let triggers = self.runtimes[at].triggers.iter();
        let woken = triggers.filter(|trigger| trigger.is_on && matches!(trigger.on, On::Type(on) if on == ty));
        woken.map(|trigger| trigger.id.to_owned()).collect()
    }

    /// Whether the queue has no room for this many deliveries.
    fn is_full(&self, at: usize, more: usize) -> bool {
        let host = &self.runtimes[at];
        let all = figures(host.handles[0]);
        more > 0 && all.queued + all.running + all.parked + more as u64 > host.limits.deliveries
    }

    pub(super) fn publish(&mut self) -> Result<()> {
        let ((at, runtime), (ty, event)) = (self.pick()?, self.event()?);
        let mut count = usize::MAX;
        let (Some(at), Some(ty)) = (at, ty) else {
            let status = check(self.asks, "publish", |error| {
                call!(c::dormouse_runtime_publish(runtime, event, &mut count, error))
            });
            assert_eq!((status, count), (S::DORMOUSE_NULL, usize::MAX));
            return Ok(());
        };
        let woken = self.woken(at, ty).len();
        let (is_full, drops) = (self.is_full(at, woken), self.runtimes[at].limits.drops);
        let status =
            check(self.asks, "publish", |error| call!(c::dormouse_runtime_publish(runtime, event, &mut count, error)));
        let expected = match (is_full, drops) {
            (false, _) => (S::DORMOUSE_OK, woken),
            (true, true) => (S::DORMOUSE_OK, 0),
            (true, false) => (S::DORMOUSE_QUEUE_FULL, usize::MAX),
        };
        assert_eq!((status, count), expected, "publish");
        if status == S::DORMOUSE_OK {
            self.runtimes[at].matched += woken as u64;
        }
        Ok(())
    }

    pub(super) fn dispatch(&mut self) -> Result<()> {
        let ((at, runtime), (ty, event)) = (self.pick()?, self.event()?);
        let woken = at.zip(ty).map(|(at, ty)| self.woken(at, ty));
        let is_full = at
            .zip(woken.as_ref())
            .is_some_and(|(at, woken)| self.is_full(at, woken.len()) && !self.runtimes[at].limits.drops);
        let mut out = Out::new(self.source.ratio(1, 16)?);
        let status =
            check(self.asks, "dispatch", |error| call!(c::dormouse_runtime_dispatch(runtime, event, out.at(), error)));
        let expected = if is_full { S::DORMOUSE_QUEUE_FULL } else { ok_unless_null(woken.as_ref()) };
        if let (Some(outcomes), Some(woken), Some(at)) = (out.made(status, expected, "dispatch"), woken, at) {
            self.runtimes[at].matched += woken.len() as u64;
            let kept = Kept::Outcomes(outcomes, woken);
            kept.look();
            self.kept.push(kept);
        }
        Ok(())
    }

    pub(super) fn run_pending(&mut self) -> Result<()> {
        let ((at, runtime), budget) = (self.pick()?, self.source.int_in_range(0..=5)?);
        let mut ran = usize::MAX;
        let status = check(self.asks, "run_pending", |error| {
            call!(c::dormouse_runtime_run_pending(runtime, budget, &mut ran, error))
        });
        assert_eq!(status, ok_unless_null(at), "run_pending");
        assert!(at.is_none() || ran <= budget, "{ran} of {budget}");
        Ok(())
    }

    /// Lets time pass, and ticks at some date.
    pub(super) fn tick(&mut self) -> Result<()> {
        let (at, runtime) = self.pick()?;
        let second = 1_000_000_000;
        let date = if self.source.ratio(1, 4)? {
            self.source.arbitrary()?
        } else {
            self.source.int_in_range(0..=20)? * 20 * second
        };
        if let Some(at) = at {
            let passes = *self.source.choose(&[0, 1, 2, 4_000])? * second as u64;
            self.runtimes[at].clock.get().now.fetch_add(passes, SeqCst);
        }
        // SAFETY: numbers.
        let mut tick: c::dormouse_tick = unsafe { std::mem::zeroed() };
        let before = at.map(|at| figures(self.runtimes[at].handles[0]));
        let status = check(self.asks, "tick", |error| call!(c::dormouse_runtime_tick(runtime, date, &mut tick, error)));
        assert_eq!(status, ok_unless_null(at), "tick");
        if let (Some(at), Some(before)) = (at, before) {
            let schedules =
                self.runtimes[at].triggers.iter().filter(|trigger| trigger.on == On::Schedule && trigger.is_on);
            assert!(tick.fired <= schedules.count() as u64, "{} fired", tick.fired);
            let after = figures(self.runtimes[at].handles[0]);
            // Deliveries that a full queue drops were matched, and have not fired.
            let dropped = if self.runtimes[at].limits.drops { after.dropped - before.dropped } else { 0 };
            assert_eq!(after.matched, before.matched + tick.fired + dropped, "what fires is matched");
            self.runtimes[at].matched = after.matched;
        }
        let mut wait = u64::MAX - 1;
        let status = check(self.asks, "next_deadline", |error| {
            call!(c::dormouse_runtime_next_deadline(runtime, &mut wait, error))
        });
        assert_eq!(status, ok_unless_null(at), "next_deadline");
        Ok(())
    }

    /// Reads dead letters, takes them out, or delivers one again.
    pub(super) fn dead_letters(&mut self) -> Result<()> {
        let (at, runtime) = self.pick()?;
        let drains = self.source.ratio(1, 3)?;
        let mut out = Out::new(self.source.ratio(1, 16)?);
        let held = at.map(|at| figures(self.runtimes[at].handles[0]).dead_letters);
        let status = check(self.asks, "dead_letters", |error| match drains {
            true => call!(c::dormouse_runtime_drain_dead_letters(runtime, out.at(), error)),
            false => call!(c::dormouse_runtime_dead_letters(runtime, out.at(), error)),
        });
        let made = out.made(status, ok_unless_null(at), "dead_letters");
        let (Some(at), Some(letters)) = (at, made) else { return Ok(()) };
        let ids = look_at_letters(letters);
        assert_eq!(Some(ids.len() as u64), held, "dead letters");
        self.kept.push(Kept::Letters(letters, ids.clone()));
        let id = if self.source.arbitrary()? { ids.first().copied().unwrap_or(1) } else { self.source.arbitrary()? };
        let is_full = self.is_full(at, 1);
        let mut delivery = u64::MAX;
        let status =
            check(self.asks, "redrive", |error| call!(c::dormouse_runtime_redrive(runtime, id, &mut delivery, error)));
        match status {
            S::DORMOUSE_OK => {
                assert!(!drains && ids.contains(&id) && delivery != u64::MAX, "there is no letter {id}");
                assert!(!is_full || self.runtimes[at].limits.drops, "there is no room");
                self.runtimes[at].matched += 1;
            }
            S::DORMOUSE_QUEUE_FULL => {
                assert!(is_full, "there is room");
                // Deliveries that a queue drops were matched, but here the runtime still holds the
                // letter.
                self.runtimes[at].matched += u64::from(self.runtimes[at].limits.drops);
            }
            // Also if its trigger is gone.
            status => assert_eq!(status, S::DORMOUSE_NOT_FOUND, "redrive"),
        }
        Ok(())
    }

    pub(super) fn request(&mut self) -> Result<()> {
        let ((at, runtime), id) = (self.pick()?, *self.source.choose(&IDS)?);
        let (path, data) = (format!("/{id}"), *self.source.choose(&DATA)?);
        let mut options = edge::init(c::dormouse_request_options_init);
        (options.method, options.target) = (edge::string("GET"), edge::string(&path));
        (options.body, options.body_len) = (data.as_ptr(), data.len());
        let is_bad = self.source.ratio(1, 8)?;
        if is_bad {
            options.headers_len = 1;
        }
        let before = at.map(|at| figures(self.runtimes[at].handles[0]).matched);
        let mut out = Out::new(self.source.ratio(1, 16)?);
        let status =
            check(self.asks, "request", |error| call!(c::dormouse_runtime_request(runtime, &options, out.at(), error)));
        let expected = if is_bad { S::DORMOUSE_NULL } else { ok_unless_null(at) };
        if let (Some(at), Some(response)) = (at, out.made(status, expected, "request")) {
            let is_routed = |trigger: &Trigger| trigger.id == id && trigger.on == On::Route && trigger.is_on;
            let there = self.runtimes[at].triggers.iter().any(is_routed);
            let status = call!(c::dormouse_response_status(response));
            assert!(there != (status == 404) && (200..600).contains(&status), "{status}");
            let matched = figures(self.runtimes[at].handles[0]).matched;
            let more = matched - before.unwrap_or(0);
            assert!(more <= u64::from(there), "{more} deliveries of one request");
            self.runtimes[at].matched = matched;
            self.kept.push(Kept::Response(response, status));
        }
        Ok(())
    }

    /// What a runtime and a handle report about themselves.
    pub(super) fn look_up(&mut self) -> Result<()> {
        self.describe()?;
        let ((at, runtime), (ty, event)) = (self.pick()?, self.event()?);
        let expected = ok_unless_null(at);
        let mut out = Out::new(false);
        let status =
            check(self.asks, "triggers", |error| call!(c::dormouse_runtime_triggers(runtime, out.at(), error)));
        if let (Some(names), Some(at)) = (out.made(status, expected, "triggers"), at) {
            let ids = self.runtimes[at].triggers.iter().map(|trigger| trigger.id.to_owned()).collect();
            self.keep(Kept::Names(names, ids));
        }
        let mut out = Out::new(false);
        let status =
            check(self.asks, "matches", |error| call!(c::dormouse_runtime_matches(runtime, event, out.at(), error)));
        if let (Some(names), Some((at, ty))) = (out.made(status, ok_unless_null(at.zip(ty)), "matches"), at.zip(ty)) {
            let woken = self.woken(at, ty);
            self.keep(Kept::Names(names, woken));
        }
        let mut out = Out::new(false);
        let status = check(self.asks, "ledger", |error| call!(c::dormouse_runtime_ledger(runtime, out.at(), error)));
        if let Some(text) = out.made(status, expected, "ledger") {
            let said = edge::text(|len| call!(c::dormouse_text_chars(text, len))).to_owned();
            assert!(said.starts_with(r#"{"functions""#), "{said}");
            self.keep(Kept::Text(text, said));
        }
        self.explain(at, runtime, ty, event)
    }

    /// Whether an event wakes a trigger, and why not.
    fn explain(
        &mut self,
        at: Option<usize>,
        runtime: *const dormouse_runtime,
        ty: Option<&str>,
        event: *const dormouse_event,
    ) -> Result<()> {
        let id = *self.source.choose(&IDS)?;
        let ((chars, len), mut matches, mut why) = (edge::chars(id), false, ptr::null_mut());
        let status = check(self.asks, "explain", |error| {
            call!(c::dormouse_runtime_explain(runtime, chars, len, event, &mut matches, &mut why, error))
        });
        let Some((at, ty)) = at.zip(ty) else {
            assert_eq!(status, S::DORMOUSE_NULL, "explain");
            return Ok(());
        };
        let is_there = self.runtimes[at].triggers.iter().any(|trigger| trigger.id == id);
        assert_eq!(status, if is_there { S::DORMOUSE_OK } else { S::DORMOUSE_NOT_FOUND }, "explain");
        if is_there {
            assert_eq!(matches, self.woken(at, ty).iter().any(|woken| woken == id), "explain {id}");
            assert_eq!(why.is_null(), matches, "explain {id}");
        }
        call!(c::dormouse_text_free(why));
        Ok(())
    }

    pub(super) fn patterns(&mut self) -> Result<()> {
        let (ty, is_bad) = (*self.source.choose(&TYPES)?, self.source.ratio(1, 4)?);
        let text = if is_bad { "{".to_owned() } else { format!(r#"{{"type": ["{ty}"]}}"#) };
        let ((chars, len), mut out) = (edge::chars(&text), Out::new(self.source.ratio(1, 8)?));
        let status =
            check(self.asks, "pattern_new", |error| call!(c::dormouse_pattern_new(chars, len, out.at(), error)));
        let expected = if is_bad { S::DORMOUSE_PATTERN } else { S::DORMOUSE_OK };
        if let Some(pattern) = out.made(status, expected, "pattern_new") {
            self.keep(Kept::Pattern(pattern, ty));
        }
        Ok(())
    }

    /// Threads that run what is ready, and end.
    pub(super) fn workers(&mut self) -> Result<()> {
        let ((at, runtime), count) = (self.pick()?, self.source.int_in_range(0..=2)?);
        let mut out = Out::new(false);
        let status =
            check(self.asks, "workers", |error| call!(c::dormouse_runtime_workers(runtime, count, out.at(), error)));
        let expected = if at.is_some() && count == 0 { S::DORMOUSE_ARGUMENT } else { ok_unless_null(at) };
        if let Some(workers) = out.made(status, expected, "workers") {
            assert_eq!(call!(c::dormouse_workers_count(workers)), count);
            call!(c::dormouse_workers_free(workers));
        }
        Ok(())
    }

    fn keep(&mut self, kept: Kept) {
        kept.look();
        self.kept.push(kept);
    }

    /// Reads something that was kept, and frees it at times.
    pub(super) fn look_at_kept(&mut self) -> Result<()> {
        if self.kept.is_empty() {
            return Ok(());
        }
        let at = self.source.choose_index(self.kept.len())?;
        self.kept[at].look();
        if self.source.ratio(2, 3)? {
            self.kept.swap_remove(at).free();
        }
        Ok(())
    }
}
