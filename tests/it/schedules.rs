//! Schedules: which instants they stand for, and which of them fire. The expected instants come
//! from calendars. Those of EventBridge's cron come from the examples in its documentation.

use std::{
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::Duration,
};

use dormouse::{Event, EventLimits, Missed, Retry, Timestamp, Trigger, TriggerError};

use crate::support::Scene;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A runtime whose host sets the date.
struct Host {
    scene: Scene,
    date: Timestamp,
}

impl Host {
    fn new(date: &str) -> Self {
        let scene = Scene::new(EventLimits::default());
        scene.deploy("f");
        let host = Self { scene, date: at(date) };
        host.scene.runtime.tick(host.date);
        host
    }

    fn bind(&self, trigger: Trigger) {
        self.scene.runtime.bind("s", trigger.to("f").retry(Retry::never())).unwrap();
    }

    /// Lets time pass, and ticks. Returns the times and counts of the events that fired.
    fn pass(&mut self, time: Duration) -> Vec<String> {
        self.scene.clock.advance(time);
        self.date = self.date.checked_add(time).unwrap();
        self.tick()
    }

    fn jump(&mut self, date: &str) -> Vec<String> {
        self.date = at(date);
        self.tick()
    }

    fn tick(&mut self) -> Vec<String> {
        let tick = self.scene.runtime.tick(self.date);
        let seen = self.scene.seen();
        assert_eq!(tick.fired, seen.len());
        self.scene.stats();
        let fired = seen.iter().map(|text| {
            let event = Event::parse(text.strip_prefix("f ").unwrap().as_bytes()).unwrap();
            assert_eq!((event.ty(), event.source()), ("dormouse.schedule", "s"));
            let data: serde_json::Value = serde_json::from_slice(event.data().unwrap()).unwrap();
            assert_eq!(data["last"], event.time_text().unwrap());
            match data["count"].as_u64().unwrap() {
                1 => event.time_text().unwrap().to_owned(),
                count => format!("{count} from {} to {}", data["first"].as_str().unwrap(), event.time_text().unwrap()),
            }
        });
        fired.collect()
    }

    /// Sleeps until the next deadline, and ticks.
    fn sleep(&mut self) -> Vec<String> {
        let time = self.scene.runtime.deliveries().next_deadline().expect("something is due");
        self.pass(time)
    }
}

/// The first instants of a schedule that is bound at a date. It sleeps from one to the next to find
/// them.
#[track_caller]
fn instants(schedule: &str, from: &str, expected: &[&str]) {
    let mut host = Host::new(from);
    host.bind(Trigger::schedule(schedule).unwrap());
    let found: Vec<_> = expected.iter().flat_map(|_| host.sleep()).collect();
    assert_eq!(found, expected, "{schedule}");
}

#[test]
fn cron_of_five_and_six_fields_has_ranges_steps_and_names() {
    let from = "2026-11-21T10:02:30Z";
    instants("*/5 * * * *", from, &["2026-11-21T10:05:00Z", "2026-11-21T10:10:00Z", "2026-11-21T10:15:00Z"]);
    instants("*/20 * * * * *", from, &["2026-11-21T10:02:40Z", "2026-11-21T10:03:00Z"]);
    instants("30 9-10 * * *", from, &["2026-11-21T10:30:00Z", "2026-11-22T09:30:00Z"]);
    instants(
        "0 0 * * MON-WED",
        from,
        &["2026-11-23T00:00:00Z", "2026-11-24T00:00:00Z", "2026-11-25T00:00:00Z", "2026-11-30T00:00:00Z"],
    );
    instants("0 0 1 jan,jul *", from, &["2027-01-01T00:00:00Z", "2027-07-01T00:00:00Z"]);
    instants("@daily", from, &["2026-11-22T00:00:00Z"]);
    instants("0 0 * * 7", from, &["2026-11-22T00:00:00Z", "2026-11-29T00:00:00Z"]);
}

#[test]
fn a_day_of_month_and_a_day_of_week_are_alternatives() {
    let expected = ["2026-11-27T00:00:00Z", "2026-12-04T00:00:00Z", "2026-12-11T00:00:00Z", "2026-12-13T00:00:00Z"];
    instants("0 0 13 * FRI", "2026-11-21T00:00:00Z", &expected);
}

#[test]
fn leap_days_and_ends_of_months_are_found() {
    instants("0 0 29 2 *", "2026-01-01T00:00:00Z", &["2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z"]);
    instants("0 0 29 2 *", "2096-03-01T00:00:00Z", &["2104-02-29T00:00:00Z"]);
    instants(
        "0 0 L * *",
        "2028-01-15T00:00:00Z",
        &["2028-01-31T00:00:00Z", "2028-02-29T00:00:00Z", "2028-03-31T00:00:00Z"],
    );
    instants("0 0 31 * *", "2027-01-31T00:00:00Z", &["2027-03-31T00:00:00Z", "2027-05-31T00:00:00Z"]);
    instants("59 23 31 12 *", "2026-12-31T23:59:00Z", &["2027-12-31T23:59:00Z"]);
}

#[test]
fn the_nth_weekday_and_the_nearest_working_day_are_found() {
    instants("0 0 * * MON#2", "2026-11-21T00:00:00Z", &["2026-12-14T00:00:00Z", "2027-01-11T00:00:00Z"]);
    instants("0 0 * * FRI#L", "2026-11-21T00:00:00Z", &["2026-11-27T00:00:00Z", "2026-12-25T00:00:00Z"]);
    // The 15th is a Saturday in August 2026, and a Sunday in November.
    instants(
        "0 0 15W * *",
        "2026-08-01T00:00:00Z",
        &["2026-08-14T00:00:00Z", "2026-09-15T00:00:00Z", "2026-10-15T00:00:00Z", "2026-11-16T00:00:00Z"],
    );
}

#[test]
fn eventbridge_cron_has_six_fields_and_begins_its_week_on_sunday() {
    // From a Saturday.
    let from = "2026-11-21T10:02:30Z";
    instants("cron(0 10 * * ? *)", from, &["2026-11-22T10:00:00Z"]);
    instants("cron(15 12 * * ? *)", from, &["2026-11-21T12:15:00Z", "2026-11-22T12:15:00Z"]);
    instants("cron(0 18 ? * MON-FRI *)", from, &["2026-11-23T18:00:00Z", "2026-11-24T18:00:00Z"]);
    instants("cron(0 8 1 * ? *)", from, &["2026-12-01T08:00:00Z", "2027-01-01T08:00:00Z"]);
    instants("cron(0/15 * * * ? *)", from, &["2026-11-21T10:15:00Z", "2026-11-21T10:30:00Z"]);
    instants("cron(0/10 * ? * MON-FRI *)", from, &["2026-11-23T00:00:00Z", "2026-11-23T00:10:00Z"]);
    instants("cron(0/5 8-17 ? * MON-FRI *)", from, &["2026-11-23T08:00:00Z", "2026-11-23T08:05:00Z"]);
    instants("cron(0 9 ? * 2#1 *)", from, &["2026-12-07T09:00:00Z", "2027-01-04T09:00:00Z"]);
    instants("cron(0 0 ? * 1 *)", from, &["2026-11-22T00:00:00Z", "2026-11-29T00:00:00Z"]);
    instants("cron(0 10 L * ? *)", from, &["2026-11-30T10:00:00Z", "2026-12-31T10:00:00Z"]);
    instants("cron(0 10 ? * 6L *)", from, &["2026-11-27T10:00:00Z", "2026-12-25T10:00:00Z"]);
    instants("cron(0 10 ? * L *)", from, &["2026-11-28T10:00:00Z", "2026-12-05T10:00:00Z"]);
    instants("cron(0 0 3W * ? *)", "2027-01-01T00:00:00Z", &["2027-01-04T00:00:00Z", "2027-02-03T00:00:00Z"]);
    instants("cron(0 0 1 1 ? 2030,2032)", from, &["2030-01-01T00:00:00Z", "2032-01-01T00:00:00Z"]);
}

#[test]
fn a_rate_counts_from_its_binding_and_an_instant_fires_once() {
    let from = "2026-11-21T10:02:30.5Z";
    instants("rate(5 minutes)", from, &["2026-11-21T10:07:30.5Z", "2026-11-21T10:12:30.5Z"]);
    instants("rate(1 hour)", from, &["2026-11-21T11:02:30.5Z"]);
    instants("rate(2 days)", from, &["2026-11-23T10:02:30.5Z", "2026-11-25T10:02:30.5Z"]);
    let mut host = Host::new(from);
    host.bind(Trigger::schedule("at(2026-11-21T12:00:00)").unwrap());
    assert_eq!(host.sleep(), ["2026-11-21T12:00:00Z"]);
    assert_eq!(host.scene.runtime.deliveries().next_deadline(), None);
    assert_eq!(host.pass(Duration::from_secs(1_000_000)), [""; 0]);
}

#[test]
fn what_is_not_a_schedule_is_refused_with_its_reason() {
    let cases = [
        ("rate(1 minutes)", "singular"),
        ("rate(5 minute)", "plural"),
        ("rate(0 minutes)", "above 0"),
        ("rate(-1 minutes)", "above 0"),
        ("rate(1.5 hours)", "above 0"),
        ("rate(5 weeks)", "not one of minute"),
        ("rate(5minutes)", "rate(number unit)"),
        ("rate(5  minutes)", "not one of minute"),
        ("cron(0 10 * * *)", "5 fields"),
        ("cron(0 10 * * * *)", "must have ?"),
        ("cron(0 10 ? * ? *)", "must have ?"),
        ("cron(? 10 ? * 2 *)", "may have ? only"),
        ("cron(0 10 * * ? 1969)", "1969"),
        ("cron(0 10 * * ? 2020-2200)", "2200"),
        ("cron(0 10 ? * 8 *)", ""),
        ("cron(60 10 * * ? *)", ""),
        ("at(2026-13-01T00:00:00)", "at(yyyy-mm-ddThh:mm:ss)"),
        ("at(2026-12-01)", "at(yyyy-mm-ddThh:mm:ss)"),
        ("", ""),
        ("* * * *", ""),
        ("* * * * * * *", ""),
        ("61 * * * *", ""),
        ("nonsense", ""),
        ("0 0 * * MON#6", ""),
        (", * * * 1", "has \",\", a list with an empty part"),
        ("0 1,,2 * * *", "has \"1,,2\", a list with an empty part"),
        ("cron(0 10 ? * MON, *)", "has \"MON,\", a list with an empty part"),
    ];
    for (schedule, expected) in cases {
        match Trigger::schedule(schedule) {
            Err(TriggerError::Schedule { problem, .. }) => assert!(problem.contains(expected), "{schedule}: {problem}"),
            other => panic!("{schedule}: {other:?}"),
        }
    }
}

#[test]
fn a_schedule_that_can_never_fire_is_refused() {
    for schedule in ["0 0 30 2 *", "0 0 31 4,6,9,11 *", "cron(0 0 31 2 ? *)", "cron(0 0 29 2 ? 2027)"] {
        let error = Trigger::schedule(schedule).unwrap_err();
        assert_eq!(error, TriggerError::Never { schedule: schedule.into() });
    }
    // If the date is known, instants in the past are refused.
    let host = Host::new("2026-11-21T00:00:00Z");
    for schedule in ["at(2026-11-20T23:59:59)", "cron(0 0 1 1 ? 2026)"] {
        let error = host.scene.runtime.bind("s", Trigger::schedule(schedule).unwrap().to("f")).unwrap_err();
        assert_eq!(error, TriggerError::Never { schedule: schedule.into() });
    }
    assert_eq!(host.scene.runtime.triggers().ids(), [""; 0]);
}

#[test]
fn a_late_host_makes_nothing_drift() {
    let mut host = Host::new("2026-11-21T10:00:00Z");
    host.bind(Trigger::schedule("rate(1 minute)").unwrap());
    assert_eq!(host.pass(Duration::from_secs(65)), ["2026-11-21T10:01:00Z"]);
    assert_eq!(host.scene.runtime.deliveries().next_deadline(), Some(Duration::from_secs(55)));
    assert_eq!(host.pass(Duration::from_secs(59)), ["2026-11-21T10:02:00Z"]);
    assert_eq!(host.pass(Duration::from_secs(57)), ["2026-11-21T10:03:00Z"]);
}

#[test]
fn missed_instants_are_one_event_that_counts_them() {
    for (schedule, count) in [("0 * * * *", 8), ("rate(1 hour)", 8), ("cron(0 * * * ? *)", 8)] {
        let mut host = Host::new("2026-11-21T10:00:00Z");
        host.bind(Trigger::schedule(schedule).unwrap());
        let expected = format!("{count} from 2026-11-21T11:00:00Z to 2026-11-21T18:00:00Z");
        assert_eq!(host.pass(Duration::from_secs(8 * 3_600 + 90)), [expected], "{schedule}");
        assert_eq!(host.sleep(), ["2026-11-21T19:00:00Z"]);
    }
}

#[test]
fn missed_instants_are_skipped_if_told_so() {
    let mut host = Host::new("2026-11-21T10:00:00Z");
    host.bind(Trigger::schedule("0 * * * *").unwrap().missed(Missed::Skip));
    assert_eq!(host.pass(Duration::from_secs(3 * 3_600 + 60)), ["2026-11-21T13:00:00Z"], "the last is not late");
    assert_eq!(host.pass(Duration::from_secs(3 * 3_600 + 1)), [""; 0]);
    assert_eq!(host.sleep(), ["2026-11-21T17:00:00Z"]);
}

#[test]
fn missed_instants_all_fire_up_to_so_many_if_told_so() {
    for schedule in ["0 * * * *", "rate(1 hour)"] {
        let mut host = Host::new("2026-11-21T10:00:00Z");
        host.bind(Trigger::schedule(schedule).unwrap().missed(Missed::All(3)));
        let fired = host.pass(Duration::from_secs(8 * 3_600));
        assert_eq!(fired, ["2026-11-21T16:00:00Z", "2026-11-21T17:00:00Z", "2026-11-21T18:00:00Z"]);
        assert_eq!(host.pass(Duration::from_secs(2 * 3_600)), ["2026-11-21T19:00:00Z", "2026-11-21T20:00:00Z"]);
    }
}

#[test]
fn a_date_that_goes_back_fires_nothing_twice_and_a_jump_ahead_is_missed_time() {
    let mut host = Host::new("2026-11-21T10:00:00Z");
    host.bind(Trigger::schedule("0 * * * *").unwrap());
    assert_eq!(host.jump("2026-11-21T11:00:10Z"), ["2026-11-21T11:00:00Z"]);
    assert_eq!(host.jump("2026-11-21T10:59:00Z"), [""; 0]);
    assert_eq!(host.jump("2026-11-21T11:00:00Z"), [""; 0]);
    assert_eq!(host.jump("2026-11-21T12:00:00Z"), ["2026-11-21T12:00:00Z"]);
    assert_eq!(host.jump("2026-11-22T12:30:00Z"), ["24 from 2026-11-21T13:00:00Z to 2026-11-22T12:00:00Z"]);
    assert_eq!(host.jump("2026-11-21T00:00:00Z"), [""; 0]);
    assert_eq!(host.jump("2026-11-22T13:00:00Z"), ["2026-11-22T13:00:00Z"]);
}

#[test]
fn many_missed_instants_cost_a_bounded_count() {
    let mut host = Host::new("2026-11-21T10:00:00Z");
    host.bind(Trigger::schedule("* * * * * *").unwrap());
    let fired = host.jump("2027-11-21T10:00:00Z");
    assert_eq!(fired, ["10000 from 2026-11-21T10:00:01Z to 2027-11-21T10:00:00Z"]);
}

#[test]
fn a_run_that_outlasts_its_period_does_not_overlap_with_the_next_unless_allowed() {
    for overlapping in [false, true] {
        let mut host = Host::new("2026-11-21T10:00:00Z");
        let trigger = Trigger::schedule("0 * * * *").unwrap().to("later");
        host.scene.runtime.bind("s", if overlapping { trigger.overlapping() } else { trigger }).unwrap();
        // The function is not deployed, so the delivery does not end.
        let hour = Duration::from_secs(3_000);
        let fired = |host: &mut Host| {
            host.scene.clock.advance(Duration::from_secs(1));
            host.date = host.date.checked_add(hour).unwrap();
            host.scene.runtime.tick(host.date).fired
        };
        let counts: Vec<_> = (0..4).map(|_| fired(&mut host)).collect();
        assert_eq!(counts, if overlapping { [0, 1, 1, 1] } else { [0, 1, 0, 0] });
        if !overlapping {
            assert_eq!(host.scene.runtime.deliveries().next_deadline(), Some(Duration::from_secs(1)), "it looks again");
            let other = Trigger::schedule("rate(1 minute)").unwrap().to("f");
            host.scene.runtime.bind("other", other).unwrap();
            host.scene.clock.advance(Duration::from_secs(60));
            assert_eq!(host.scene.runtime.deliveries().next_deadline(), Some(Duration::ZERO), "another is due");
            host.scene.runtime.triggers().unbind("other");
            host.scene.deploy("later");
            host.scene.run();
            let data = host.scene.seen();
            assert!(data[0].contains(r#""count":1,"#), "{data:?}");
            host.scene.runtime.tick(host.date);
            let data = host.scene.seen();
            assert!(data[0].contains(r#""count":2,"first":"2026-11-21T12:00:00Z""#), "{data:?}");
        }
    }
}

#[test]
fn a_disabled_or_unbound_schedule_fires_nothing_and_does_not_catch_up() {
    let mut host = Host::new("2026-11-21T10:00:00Z");
    host.bind(Trigger::schedule("0 * * * *").unwrap());
    host.scene.runtime.triggers().disable("s");
    assert_eq!(host.jump("2026-11-21T12:30:00Z"), [""; 0]);
    host.scene.runtime.triggers().enable("s");
    assert_eq!(host.jump("2026-11-21T12:59:00Z"), [""; 0]);
    assert_eq!(host.jump("2026-11-21T13:00:00Z"), ["2026-11-21T13:00:00Z"]);
    host.scene.runtime.triggers().unbind("s");
    assert_eq!(host.jump("2026-11-21T14:00:00Z"), [""; 0]);
    assert_eq!(host.scene.runtime.deliveries().next_deadline(), None);
}

#[test]
fn an_instant_that_finds_the_queue_full_fires_with_the_next_tick() {
    let mut host = Host::new("2026-11-21T10:00:00Z");
    host.scene = Scene::new(EventLimits { deliveries: 1, ..EventLimits::default() });
    host.scene.deploy("f");
    host.scene.runtime.tick(host.date);
    host.bind(Trigger::schedule("0 * * * *").unwrap());
    host.scene.bind("a", "later", Retry::default());
    host.scene.publish("a", "ok");
    assert_eq!(host.jump("2026-11-21T11:00:00Z"), [""; 0]);
    host.scene.deploy("later");
    host.scene.run();
    host.scene.seen();
    assert_eq!(host.jump("2026-11-21T11:00:01Z"), ["2026-11-21T11:00:00Z"]);
}

#[test]
fn missed_instants_that_find_no_room_fire_later_each_once() {
    let mut host = Host::new("2026-11-21T10:00:00Z");
    host.scene = Scene::new(EventLimits { deliveries: 2, ..EventLimits::default() });
    host.scene.deploy("f");
    host.scene.runtime.tick(host.date);
    host.bind(Trigger::schedule("0 * * * *").unwrap().missed(Missed::All(5)));
    let fired = ["2026-11-21T11:00:00Z", "2026-11-21T12:00:00Z", "2026-11-21T13:00:00Z", "2026-11-21T14:00:00Z"];
    let runtime = &host.scene.runtime;
    for now in ["2026-11-21T14:30:00Z", "2026-11-21T14:30:01Z"] {
        let tick = runtime.tick(at(now));
        assert_eq!((tick.fired, tick.ran), (2, 2));
    }
    let seen = host.scene.seen();
    for (seen, fired) in seen.iter().zip(fired) {
        assert!(seen.contains(&format!(r#""time":"{fired}""#)), "{seen}");
    }
    assert_eq!(seen.len(), 4);
    assert_eq!(runtime.tick(at("2026-11-21T15:00:00Z")).fired, 1);
}

#[test]
fn instants_that_are_caught_up_with_do_not_overlap_unless_allowed() {
    for overlapping in [false, true] {
        let runtime = dormouse::Runtime::new();
        let (running, most) = (std::sync::Arc::new(AtomicUsize::new(0)), std::sync::Arc::new(AtomicUsize::new(0)));
        let (count, top) = (std::sync::Arc::clone(&running), std::sync::Arc::clone(&most));
        let note = move |_: &mut dormouse::Context<'_>, _: u32, _: u32| {
            let now = count.fetch_add(1, Relaxed) + 1;
            top.fetch_max(now, Relaxed);
            // An overlapping trigger fires the other one in the meantime.
            for _ in 0..if overlapping { 1_000_000_000 } else { 200 } {
                if overlapping && top.load(Relaxed) >= 2 {
                    break;
                }
                std::thread::yield_now();
            }
            count.fetch_sub(1, Relaxed);
        };
        runtime.deployment("f", &crate::support::guest("deed")).host("test", "note", note).deploy().unwrap();
        runtime.tick(at("2026-11-21T10:00:00Z"));
        let trigger = Trigger::schedule("0 * * * *").unwrap().missed(Missed::All(6)).to("f");
        runtime.bind("s", if overlapping { trigger.overlapping() } else { trigger }).unwrap();
        let workers = runtime.deliveries().workers(2).unwrap();
        assert_eq!(runtime.tick(at("2026-11-21T16:00:00Z")).fired, 6);
        drop(workers);
        while runtime.deliveries().run_pending(usize::MAX) > 0 {}
        assert_eq!(runtime.deliveries().stats().succeeded, 6);
        assert_eq!(most.load(Relaxed) > 1, overlapping);
    }
}

#[test]
fn a_schedule_bound_before_there_is_a_date_begins_with_the_first_tick() {
    let scene = Scene::new(EventLimits::default());
    scene.deploy("f");
    let mut host = Host { scene, date: at("2026-11-21T10:30:00Z") };
    host.bind(Trigger::schedule("0 * * * *").unwrap());
    host.scene.runtime.bind("gone", Trigger::schedule("0 * * * *").unwrap().to("f")).unwrap();
    host.scene.runtime.triggers().unbind("gone");
    assert_eq!(host.scene.runtime.deliveries().next_deadline(), None);
    assert_eq!(host.tick(), [""; 0]);
    assert_eq!(host.sleep(), ["2026-11-21T11:00:00Z"]);
}
