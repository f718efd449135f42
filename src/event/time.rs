//! Instants, and their text as RFC 3339 has it.

use std::{fmt, str::FromStr, time::Duration};

/// An instant: nanoseconds since the beginning of 1970 in UTC, without leap seconds, in the years
/// 0000 to 9999.
///
/// Its text is that of RFC 3339. Digits below the nanosecond are cut off. A leap second (`23:59:60`
/// in UTC) is the first instant of the next day.
///
/// ```
/// use dormouse::Timestamp;
///
/// let instant: Timestamp = "2026-11-21T10:00:00.5+02:00".parse()?;
/// assert_eq!(instant.to_string(), "2026-11-21T08:00:00.5Z");
/// assert_eq!(instant, Timestamp::from_unix_nanos(1_795_248_000_500_000_000).unwrap());
/// # Ok::<(), dormouse::TimestampError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    nanos: i128,
}

/// Why a text is not an RFC 3339 time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TimestampError {
    /// It does not have the form `2026-11-21T10:00:00Z`, with seconds and an offset.
    #[error(
        "a time is written as 2026-11-21T10:00:00Z, with seconds, perhaps a fraction, and Z or an offset such as +02:00"
    )]
    Form,
    /// The month, the day, the hour, the minute, the second or the offset does not exist.
    #[error("there is no such {part}")]
    Range {
        /// Which of them.
        part: &'static str,
    },
}

impl TimestampError {
    /// The kind in one word: `form`, `range`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Form => "form",
            Self::Range { .. } => "range",
        }
    }
}

const SECOND: i128 = 1_000_000_000;
const DAY: i128 = 86_400 * SECOND;
/// 0000-01-01T00:00:00Z and the end of the year 9999.
const FIRST: i128 = -719_528 * DAY;
const END: i128 = 2_932_897 * DAY;

impl Timestamp {
    /// The beginning of 1970 in UTC.
    pub const UNIX_EPOCH: Self = Self { nanos: 0 };

    /// The instant so many nanoseconds after the beginning of 1970. `None` outside the years 0000
    /// to 9999.
    pub fn from_unix_nanos(nanos: i128) -> Option<Self> {
        (FIRST..END).contains(&nanos).then_some(Self { nanos })
    }

    /// Nanoseconds since the beginning of 1970, negative before it.
    pub fn unix_nanos(self) -> i128 {
        self.nanos
    }

    /// The instant so much later. `None` after the year 9999.
    pub fn checked_add(self, time: Duration) -> Option<Self> {
        Self::from_unix_nanos(self.nanos.checked_add(i128::try_from(time.as_nanos()).ok()?)?)
    }

    /// The time since an earlier instant. `None` if that instant is later.
    pub fn duration_since(self, earlier: Self) -> Option<Duration> {
        let nanos = u128::try_from(self.nanos - earlier.nanos).ok()?;
        let seconds = u64::try_from(nanos / 1_000_000_000).ok()?;
        Some(Duration::new(seconds, (nanos % 1_000_000_000) as u32))
    }
}

impl FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Self, TimestampError> {
        let text = text.as_bytes();
        let (date_time, rest) = text.split_at_checked(19).ok_or(TimestampError::Form)?;
        let shape = b"dddd-dd-ddTdd:dd:dd";
        let fits = date_time.iter().zip(shape).all(|(byte, shape)| match shape {
            b'd' => byte.is_ascii_digit(),
            b'T' => matches!(byte, b'T' | b't'),
            other => byte == other,
        });
        if !fits {
            return Err(TimestampError::Form);
        }
        let (year, month, day) = (number(&text[..4]), number(&text[5..7]), number(&text[8..10]));
        let (hour, minute, second) = (number(&text[11..13]), number(&text[14..16]), number(&text[17..19]));
        let (fraction, zone) = fraction(rest)?;
        let offset = offset(zone)?;
        in_range("month", month, 1..=12)?;
        in_range("day", day, 1..=days_in(year, month))?;
        in_range("hour", hour, 0..=23)?;
        in_range("minute", minute, 0..=59)?;
        in_range("second", second, 0..=60)?;
        let minutes = days(year, month, day) * 1_440 + hour * 60 + minute - offset;
        if second == 60 && minutes.rem_euclid(1_440) != 1_439 {
            return Err(TimestampError::Range { part: "leap second" });
        }
        // A fraction would move a leap second beyond the first instant of the next day.
        let fraction = if second == 60 { 0 } else { fraction };
        let nanos = i128::from(minutes * 60 + second) * SECOND + i128::from(fraction);
        Self::from_unix_nanos(nanos).ok_or(TimestampError::Range { part: "year" })
    }
}

/// RFC 3339 in UTC, with as many digits below the second as the instant needs.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, nanos) = (self.nanos.div_euclid(DAY) as i64, self.nanos.rem_euclid(DAY));
        let (seconds, fraction) = ((nanos / SECOND) as i64, nanos % SECOND);
        let (year, month, day) = date(days);
        let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")?;
        if fraction != 0 {
            let digits = format!("{fraction:09}");
            write!(f, ".{}", digits.trim_end_matches('0'))?;
        }
        f.write_str("Z")
    }
}

fn number(digits: &[u8]) -> i64 {
    digits.iter().fold(0, |number, digit| number * 10 + i64::from(digit - b'0'))
}

fn in_range(part: &'static str, number: i64, range: std::ops::RangeInclusive<i64>) -> Result<(), TimestampError> {
    if range.contains(&number) { Ok(()) } else { Err(TimestampError::Range { part }) }
}

/// Nanoseconds of a fraction, and the text behind it.
fn fraction(text: &[u8]) -> Result<(i64, &[u8]), TimestampError> {
    let Some(digits) = text.strip_prefix(b".") else { return Ok((0, text)) };
    let end = digits.iter().position(|byte| !byte.is_ascii_digit()).ok_or(TimestampError::Form)?;
    if end == 0 {
        return Err(TimestampError::Form);
    }
    let kept = &digits[..end.min(9)];
    Ok((number(kept) * 10_i64.pow(9 - kept.len() as u32), &digits[end..]))
}

/// By how many minutes an offset is ahead of UTC.
fn offset(zone: &[u8]) -> Result<i64, TimestampError> {
    match zone {
        [b'Z' | b'z'] => Ok(0),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] if [h1, h2, m1, m2].iter().all(|byte| byte.is_ascii_digit()) => {
            let (hours, minutes) = (number(&[*h1, *h2]), number(&[*m1, *m2]));
            in_range("offset", hours, 0..=23)?;
            in_range("offset", minutes, 0..=59)?;
            let offset = hours * 60 + minutes;
            Ok(if *sign == b'-' { -offset } else { offset })
        }
        _ => Err(TimestampError::Form),
    }
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since the beginning of 1970. It counts years from March, in eras of 400 years, so that a
/// leap day is the last day of its year.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Year, month and day of a day since the beginning of 1970.
fn date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = (month + 2) % 12 + 1;
    (era * 400 + year + i64::from(month <= 2), month, day)
}
