//! Dead letters: deliveries that were given up, and what a host does with them.
//!
//! Invariant: what a list lends is valid until the list is freed.

use dormouse::{DeadLetter, DeadLetterReason};

use crate::{
    error::dormouse_error,
    event::dormouse_event,
    failure::Failure,
    report::nanos,
    runtime::dormouse_runtime,
    status::dormouse_status,
    text::{Text, dormouse_string},
};

/// Why a delivery was given up.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum dormouse_reason {
    /// For a reason without a number in this version.
    DORMOUSE_REASON_OTHER = 0,
    /// All attempts that its trigger allows have failed.
    DORMOUSE_REASON_ATTEMPTS = 1,
    /// It is older than its trigger allows, or would be at the next attempt.
    DORMOUSE_REASON_AGE = 2,
    /// It failed in a way that another attempt would not change.
    DORMOUSE_REASON_PERMANENT = 3,
    /// It is a reply at the end of a chain of replies that is longer than the runtime allows.
    DORMOUSE_REASON_LOOP = 4,
}

/// A delivery that was given up, with all that is known about it. Plain data. The list that it
/// comes from lends what it points to.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct dormouse_dead_letter {
    /// The number of the delivery, for `dormouse_runtime_redrive`.
    pub id: u64,
    /// The event as it was published.
    pub event: *const dormouse_event,
    /// The id of the trigger, with a NUL behind it.
    pub trigger: dormouse_string,
    /// The target of the trigger, with a NUL behind it.
    pub function: dormouse_string,
    /// The last error, in words, with a NUL behind it. No text if nothing ever ran.
    pub error: dormouse_string,
    /// When it was given up, in RFC 3339, with a NUL behind it. No text if the runtime knows no
    /// date.
    pub given_up_at: dormouse_string,
    /// The nanoseconds from its publishing until it was given up, by the runtime's clock.
    pub age_ns: u64,
    /// Why it was given up.
    pub reason: dormouse_reason,
    /// How often it ran.
    pub attempts: u32,
    /// The version that ran last. All zeros if none ever ran.
    pub version: [u8; 32],
}

plain!(dormouse_dead_letter);

/// Dead letters, the oldest first, as a copy of one moment. The caller owns it and frees it with
/// `dormouse_dead_letters_free`. It may outlive its runtime. It never changes, so any number of
/// threads may read it.
pub struct dormouse_dead_letters(Vec<Letter>);

owned!(dormouse_dead_letters);

/// One dead letter, with what it lends.
struct Letter {
    letter: DeadLetter,
    event: Box<dormouse_event>,
    trigger: Text,
    function: Text,
    error: Option<Text>,
    given_up_at: Option<Text>,
}

impl From<DeadLetter> for Letter {
    fn from(letter: DeadLetter) -> Self {
        Self {
            event: dormouse_event::new(letter.event().clone()),
            trigger: Text::new(letter.trigger()),
            function: Text::new(letter.function()),
            error: letter.error().map(Text::new),
            given_up_at: letter.given_up_at().map(|time| Text::new(time.to_string())),
            letter,
        }
    }
}

impl Letter {
    fn lend(&self) -> dormouse_dead_letter {
        let optional = |text: &Option<Text>| text.as_ref().map_or(dormouse_string::NONE, Text::string);
        dormouse_dead_letter {
            id: self.letter.id(),
            event: &raw const *self.event,
            trigger: self.trigger.string(),
            function: self.function.string(),
            error: optional(&self.error),
            given_up_at: optional(&self.given_up_at),
            age_ns: nanos(self.letter.age()),
            reason: match self.letter.reason() {
                DeadLetterReason::Attempts => dormouse_reason::DORMOUSE_REASON_ATTEMPTS,
                DeadLetterReason::Age => dormouse_reason::DORMOUSE_REASON_AGE,
                DeadLetterReason::Permanent => dormouse_reason::DORMOUSE_REASON_PERMANENT,
                DeadLetterReason::Loop => dormouse_reason::DORMOUSE_REASON_LOOP,
                _ => dormouse_reason::DORMOUSE_REASON_OTHER,
            },
            attempts: self.letter.attempts(),
            version: self.letter.version().map_or([0; 32], |version| *version.as_bytes()),
        }
    }
}

fn list(letters: Vec<DeadLetter>) -> Box<dormouse_dead_letters> {
    Box::new(dormouse_dead_letters(letters.into_iter().map(Letter::from).collect()))
}

exported! { fallible:
    /// Gives the dead letters that the runtime holds. The runtime keeps them.
    ///
    /// Statuses: DORMOUSE_NULL.
    pub unsafe extern "C" fn dormouse_runtime_dead_letters(
        runtime: *const dormouse_runtime,
        letters_out: *mut *mut dormouse_dead_letters,
        error_out: *mut *mut dormouse_error,
    ) -> dormouse_status {
        let (runtime, place) = (runtime.get()?, letters_out.required()?);
        place.give(list(runtime.0.deliveries().dead_letters()));
        Ok(())
    }

    /// Takes all dead letters out of the runtime.
    ///
    /// Statuses: DORMOUSE_NULL. After a failure the runtime still holds all.
    pub unsafe extern "C" fn dormouse_runtime_drain_dead_letters(
        runtime: *const dormouse_runtime,
        letters_out: *mut *mut dormouse_dead_letters,
        error_out: *mut *mut dormouse_error,
    ) -> dormouse_status {
        let (runtime, place) = (runtime.get()?, letters_out.required()?);
        place.give(list(runtime.0.deliveries().drain_dead_letters()));
        Ok(())
    }

    /// Queues the event of the dead letter `id` again for its trigger, which must be bound, and
    /// removes the letter. `delivery_out`, which may be NULL, receives the number of the new
    /// delivery.
    ///
    /// Statuses: DORMOUSE_NULL, DORMOUSE_NOT_FOUND, DORMOUSE_QUEUE_FULL, 320 to 329. After a
    /// failure the runtime still holds the letter.
    pub unsafe extern "C" fn dormouse_runtime_redrive(
        runtime: *const dormouse_runtime,
        id: u64,
        delivery_out: *mut u64,
        error_out: *mut *mut dormouse_error,
    ) -> dormouse_status {
        let delivery = runtime.get()?.0.deliveries().redrive(id)?;
        if let Some(place) = delivery_out.optional() {
            place.put(delivery);
        }
        Ok(())
    }

    /// Gives the letter at `index`, which is below `dormouse_dead_letters_count`.
    ///
    /// Statuses: DORMOUSE_NULL, DORMOUSE_NOT_FOUND.
    pub unsafe extern "C" fn dormouse_dead_letters_at(
        letters: *const dormouse_dead_letters,
        index: usize,
        letter_out: *mut dormouse_dead_letter,
        error_out: *mut *mut dormouse_error,
    ) -> dormouse_status {
        let (letters, place) = (letters.get()?, letter_out.required()?);
        let count = letters.0.len();
        let letter = letters.0.get(index);
        let letter = letter.ok_or_else(|| Failure::not_found(format!("there is no dead letter {index}: there are {count}")))?;
        place.put(letter.lend());
        Ok(())
    }
}

exported! { total:
    /// The number of letters. 0 for NULL.
    pub unsafe extern "C" fn dormouse_dead_letters_count(letters: *const dormouse_dead_letters) -> usize {
        letters.optional().map_or(0, |letters| letters.0.len())
    }

    /// Frees a list of dead letters, and the events that it lends. NULL is allowed.
    pub unsafe extern "C" fn dormouse_dead_letters_free(letters: *mut dormouse_dead_letters) {
        drop(letters.take());
    }
}
