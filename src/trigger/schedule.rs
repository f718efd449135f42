//! Schedules: cron, rates and single instants, and the instants that they stand for, in UTC.
//!
//! Invariant: instants follow from the schedule and its anchor alone, whenever the host asks. So
//! nothing drifts.

use std::{fmt, str::FromStr, time::Duration};

use chrono::{DateTime, NaiveDateTime};
use croner::{
    Cron,
    parser::{CronParser, Seconds, Year},
};
use serde::{Deserialize, Serialize};

use super::{TriggerError, error::cut};
use crate::event::Timestamp;

/// What happens to the missed instants of a schedule: those that passed since the host's last
/// [`tick`](crate::Runtime::tick), or while an earlier delivery had not ended.
///
/// Serde has it as `"skip"`, `"coalesce"` or `{"all": 10}`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Missed {
    /// Only the last one fires, if it is at most a minute ago.
    Skip,
    /// One event stands for all of them. Its data has their count, the first and the last.
    #[default]
    Coalesce,
    /// Each fires its own event. If there are more than so many, or more than 10,000, the last ones
    /// do.
    All(u32),
}

/// A schedule that has instants. Its text determines its rule.
#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    text: Box<str>,
    rule: Rule,
}

#[derive(Clone, Debug)]
enum Rule {
    Cron(Box<Cron>),
    Rate(Duration),
    At(Timestamp),
}

/// The first and the last of some instants, and their count.
pub(crate) struct Due {
    pub(crate) first: Timestamp,
    pub(crate) last: Timestamp,
    pub(crate) count: u32,
}

/// The most instants of a cron schedule that are counted one by one.
const COUNTED_MAX: u32 = 10_000;

/// The years that EventBridge's cron has.
const YEARS: std::ops::RangeInclusive<u32> = 1970..=2199;

impl Schedule {
    pub(super) fn parse(text: &str) -> Result<Self, TriggerError> {
        let inner = |name: &str| text.strip_prefix(name)?.strip_prefix('(')?.strip_suffix(')');
        let rule = if let Some(rate) = inner("rate") {
            rate_of(rate).map(Rule::Rate)
        } else if let Some(at) = inner("at") {
            let at = Timestamp::from_str(&format!("{at}Z"));
            at.map(Rule::At).map_err(|_| "is not at(yyyy-mm-ddThh:mm:ss)".to_owned())
        } else if let Some(fields) = inner("cron") {
            eventbridge(fields).map(|cron| Rule::Cron(Box::new(cron)))
        } else {
            let parser = CronParser::builder().seconds(Seconds::Optional).year(Year::Disallowed).build();
            cron(&parser, text).map(|cron| Rule::Cron(Box::new(cron)))
        };
        let schedule = match rule {
            Ok(rule) => Self { text: text.into(), rule },
            Err(problem) => {
                return Err(TriggerError::Schedule { schedule: cut(text), problem: problem.into() });
            }
        };
        if schedule.next(Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH).is_none() {
            return Err(schedule.never());
        }
        Ok(schedule)
    }

    pub(crate) fn never(&self) -> TriggerError {
        TriggerError::Never { schedule: self.text.clone() }
    }

    /// The first instant after `after`. `None` if there are no more. A rate counts from its anchor.
    pub(crate) fn next(&self, anchor: Timestamp, after: Timestamp) -> Option<Timestamp> {
        match &self.rule {
            Rule::Cron(cron) => instant(cron.find_next_occurrence(&civil(after)?, false).ok()?),
            Rule::At(at) => (*at > after).then_some(*at),
            Rule::Rate(period) => {
                let passed = (after.unix_nanos() - anchor.unix_nanos()).max(0);
                nth(anchor, *period, passed / period.as_nanos() as i128 + 1)
            }
        }
    }

    /// The last instant that is not after `until`. A single instant is returned in any case.
    fn last(&self, anchor: Timestamp, until: Timestamp) -> Option<Timestamp> {
        match &self.rule {
            Rule::Cron(cron) => instant(cron.find_previous_occurrence(&civil(until)?, true).ok()?),
            Rule::At(at) => Some(*at),
            Rule::Rate(period) => {
                nth(anchor, *period, (until.unix_nanos() - anchor.unix_nanos()) / period.as_nanos() as i128)
            }
        }
    }

    /// The instants from `first`, which is an instant of the schedule, to `until`. More than 10,000
    /// instants of a cron schedule count as 10,000.
    pub(crate) fn due(&self, anchor: Timestamp, first: Timestamp, until: Timestamp) -> Due {
        let last = self.last(anchor, until).filter(|last| *last > first).unwrap_or(first);
        let count = match &self.rule {
            Rule::Rate(period) => {
                let times = (last.unix_nanos() - first.unix_nanos()) / period.as_nanos() as i128 + 1;
                u32::try_from(times).unwrap_or(u32::MAX)
            }
            Rule::At(_) => 1,
            Rule::Cron(_) => {
                let mut count = 1;
                let mut at = first;
                while count < COUNTED_MAX && at < last {
                    let Some(next) = self.next(anchor, at) else { break };
                    at = next;
                    count += 1;
                }
                count
            }
        };
        Due { first, last, count }
    }

    /// The last `count` instants of these, in order.
    pub(crate) fn latest(&self, anchor: Timestamp, due: &Due, count: u32) -> Vec<Timestamp> {
        let mut instants = Vec::new();
        let mut at = Some(due.last);
        while let Some(instant) = at.filter(|at| *at >= due.first && (instants.len() as u32) < count) {
            instants.push(instant);
            let before = Timestamp::from_unix_nanos(instant.unix_nanos() - 1);
            at = before.and_then(|before| self.last(anchor, before)).filter(|before| *before < instant);
        }
        instants.reverse();
        instants
    }
}

impl PartialEq for Schedule {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Schedule {}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn nth(anchor: Timestamp, period: Duration, number: i128) -> Option<Timestamp> {
    let nanos = (period.as_nanos() as i128).checked_mul(number)?;
    Timestamp::from_unix_nanos(anchor.unix_nanos().checked_add(nanos)?)
}

/// An instant as croner takes it: whole seconds, cut below.
fn civil(at: Timestamp) -> Option<NaiveDateTime> {
    let seconds = i64::try_from(at.unix_nanos().div_euclid(1_000_000_000)).ok()?;
    Some(DateTime::from_timestamp(seconds, 0)?.naive_utc())
}

fn instant(civil: NaiveDateTime) -> Option<Timestamp> {
    Timestamp::from_unix_nanos(i128::from(civil.and_utc().timestamp()) * 1_000_000_000)
}

/// Reads `5 minutes`: the unit is in the singular for 1, in the plural above.
fn rate_of(text: &str) -> Result<Duration, String> {
    let (number, unit) = text.split_once(' ').ok_or("is not rate(number unit)")?;
    let is_plain = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) && !number.starts_with('0');
    let number: u64 = number
        .parse()
        .ok()
        .filter(|_| is_plain)
        .ok_or_else(|| format!("has {number:?} where a whole number above 0 must stand"))?;
    let seconds = match (number, unit) {
        (1, "minute") | (2.., "minutes") => 60,
        (1, "hour") | (2.., "hours") => 3_600,
        (1, "day") | (2.., "days") => 86_400,
        (1, "minutes" | "hours" | "days") => {
            return Err(format!("has {unit:?}; for 1 the unit must be in the singular"));
        }
        (_, "minute" | "hour" | "day") => return Err(format!("has {unit:?}; above 1 the unit must be in the plural")),
        _ => return Err(format!("has {unit:?}, which is not one of minute, minutes, hour, hours, day, days")),
    };
    number.checked_mul(seconds).map(Duration::from_secs).ok_or_else(|| "has a rate beyond all dates".to_owned())
}

/// Reads the six fields of EventBridge: minutes, hours, day of month, month, day of week from 1 for
/// Sunday, year.
fn eventbridge(text: &str) -> Result<Cron, String> {
    let fields: Vec<&str> = text.split_ascii_whitespace().collect();
    let [minutes, hours, day, month, weekday, year] = fields[..] else {
        return Err(format!(
            "has {} fields; cron(…) has six: minutes hours day-of-month month day-of-week year",
            fields.len()
        ));
    };
    if (day == "?") == (weekday == "?") {
        return Err("must have ? as day of month or as day of week, not as both".to_owned());
    }
    if fields.iter().any(|field| field.contains('?') && *field != "?") || [minutes, hours, month, year].contains(&"?") {
        return Err("may have ? only as day of month or as day of week".to_owned());
    }
    let numbers = year.split([',', '-']).map(|part| part.split('/').next().unwrap_or(part));
    if let Some(wrong) = numbers.filter_map(|number| number.parse::<u32>().ok()).find(|number| !YEARS.contains(number))
    {
        return Err(format!("has the year {wrong}, which is not between 1970 and 2199"));
    }
    let any = |field| if field == "?" { "*" } else { field };
    // L by itself is the last day of the week.
    let weekday = if weekday.eq_ignore_ascii_case("L") { "7" } else { weekday };
    let parser = CronParser::builder().seconds(Seconds::Required).year(Year::Required);
    let parser = parser.alternative_weekdays(true).sloppy_ranges(true).build();
    let pattern = format!("0 {minutes} {hours} {} {month} {} {year}", any(day), any(weekday));
    cron(&parser, &pattern)
}

fn cron(parser: &CronParser, pattern: &str) -> Result<Cron, String> {
    // croner accepts a list with an empty part, and then searches half a second for a date in it.
    if let Some(field) = pattern.split_ascii_whitespace().find(|field| field.split(',').any(str::is_empty)) {
        return Err(format!("has {:?}, a list with an empty part", cut(field)));
    }
    parser.parse(pattern).map_err(|error| error.to_string())
}
