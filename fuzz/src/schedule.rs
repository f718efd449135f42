//! Takes any text as a schedule, at any date. It is refused, or it has instants that come one after
//! the other, each once. They are the same whether the host ticks at each of them or is late for
//! all.

use std::{
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use dormouse::{Clock, Context, Event, HostError, Missed, Retry, Runtime, Timestamp, Trigger};

/// How many instants the target checks.
const STEPS: usize = 6;

/// From the year 0010 to the end of 9999, in seconds since 1970, as croner does not search back
/// from the year 0001.
const FIRST: i64 = -61_851_600_000;
const LAST: i64 = 253_402_300_799;

/// A clock on which time does not pass. Ticks set the date.
struct Standing;

impl Clock for Standing {
    fn now(&self) -> Duration {
        Duration::ZERO
    }
}

/// A runtime with one schedule, and the events that it fires.
struct Host {
    runtime: Runtime,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Host {
    fn new(trigger: Trigger) -> Self {
        static GUEST: OnceLock<Vec<u8>> = OnceLock::new();
        let guest = GUEST.get_or_init(|| wat::parse_str(include_str!("../../tests/guests/deed.wat")).unwrap());
        let seen = Arc::<Mutex<Vec<String>>>::default();
        let runtime = Runtime::builder().clock(Standing).build();
        let noted = Arc::clone(&seen);
        let note = move |guest: &mut Context<'_>, at: u32, len: u32| -> Result<(), HostError> {
            let text = guest.read_text(at, len)?;
            noted.lock().unwrap().push(text);
            Ok(())
        };
        runtime.deployment("f", guest).host("test", "note", note).deploy().unwrap();
        runtime.bind("s", trigger.to("f").retry(Retry::never())).unwrap();
        Self { runtime, seen }
    }

    /// The instants that fire at a date, each with the first instant and the number of those that
    /// it stands for.
    fn tick(&self, date: Timestamp) -> Vec<(Timestamp, Timestamp, u64)> {
        let fired = self.runtime.tick(date).fired;
        let seen = std::mem::take(&mut *self.seen.lock().unwrap());
        assert_eq!(fired, seen.len(), "each is delivered at once");
        let read = |text: String| {
            let event = Event::parse(text.as_bytes()).unwrap();
            let data: serde_json::Value = serde_json::from_slice(event.data().unwrap()).unwrap();
            let first = data["first"].as_str().unwrap().parse().unwrap();
            (event.time_text().unwrap().parse().unwrap(), first, data["count"].as_u64().unwrap())
        };
        seen.into_iter().map(read).collect()
    }
}

/// Takes eight bytes of seconds, four of nanoseconds, one that chooses the option for missed
/// instants, and the schedule's text.
pub fn schedule(bytes: &[u8]) {
    let Some((&seconds, rest)) = bytes.split_first_chunk::<8>() else { return };
    let Some((&nanos, rest)) = rest.split_first_chunk::<4>() else { return };
    let Some((&missed, text)) = rest.split_first() else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    let trigger = match Trigger::schedule(text) {
        Ok(trigger) => trigger,
        Err(error) => return assert!(error.to_string().len() < 16 << 10),
    };
    let seconds = FIRST + i64::from_le_bytes(seconds).rem_euclid(LAST - FIRST + 1);
    let nanos = i128::from(seconds) * 1_000_000_000 + i128::from(u32::from_le_bytes(nanos) % 1_000_000_000);
    let begin = Timestamp::from_unix_nanos(nanos).unwrap();

    let host = Host::new(trigger.clone());
    assert_eq!(host.tick(begin), [], "nothing is due when it begins");
    let mut instants = Vec::new();
    let mut date = begin;
    while instants.len() < STEPS {
        let Some(wait) = host.runtime.deliveries().next_deadline() else { break };
        assert!(!wait.is_zero(), "the next instant is after {date}");
        let Some(next) = date.checked_add(wait) else { break };
        if instants.len() == 1 && wait > Duration::from_nanos(1) {
            let before = date.checked_add(wait - Duration::from_nanos(1)).unwrap();
            assert_eq!(host.tick(before), [], "it does not fire a moment too early");
        }
        date = next;
        assert_eq!(host.tick(date), [(date, date, 1)], "it fires at its instant, once");
        instants.push(date);
    }
    assert_eq!(host.tick(date), [], "what has fired does not fire again");

    let Some((&first, &last)) = instants.first().zip(instants.last()) else { return };
    let missed = [Missed::Skip, Missed::Coalesce, Missed::All(2), Missed::All(u32::MAX)][usize::from(missed % 4)];
    let late = Host::new(trigger.missed(missed));
    late.tick(begin);
    let expected = match missed {
        Missed::Coalesce => vec![(last, first, instants.len() as u64)],
        Missed::Skip => vec![(last, last, 1)],
        _ => {
            let most = if missed == Missed::All(2) { 2 } else { STEPS };
            instants[instants.len().saturating_sub(most)..].iter().map(|at| (*at, *at, 1)).collect()
        }
    };
    assert_eq!(late.tick(last), expected, "{missed:?}, late for {} instants", instants.len());
}
