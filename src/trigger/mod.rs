//! Triggers: which events reach which function, and how. The registry finds the triggers that an
//! event matches.
//!
//! Invariant: the source of every [`Trigger`] can match. Binding checks its target and its id.

mod error;
mod registry;
mod retry;
mod route;
#[cfg(feature = "schedule")]
mod schedule;
#[cfg(not(feature = "schedule"))]
#[path = "no_schedule.rs"]
mod schedule;
mod topic;

use std::{fmt, sync::Arc};

pub use error::TriggerError;
pub(crate) use registry::{Bound, Matched, RESERVED, Registry};
pub use retry::Retry;
pub(crate) use retry::random;
pub(crate) use route::{Found, Route};
#[cfg(feature = "schedule")]
pub(crate) use schedule::Due;
#[cfg(feature = "schedule")]
pub use schedule::Missed;
#[cfg(not(feature = "schedule"))]
use schedule::Missed;
pub(crate) use schedule::Schedule;
use topic::Filter;

use crate::{
    event::Event,
    pattern::{Explanation, Pattern},
};

/// Which events reach a function: a source, a target, and options for the deliveries. It takes
/// effect by [`Runtime::bind`](crate::Runtime::bind).
///
/// ```
/// use dormouse::{Event, Runtime, Trigger};
///
/// let runtime = Runtime::new();
/// runtime.bind("thumbnails", Trigger::on("image.uploaded").to("resize"))?;
/// runtime.bind("climate", Trigger::topic("subject", "sensors/+/temperature")?.to("record"))?;
/// runtime.bind("large", Trigger::pattern(r#"{"type":["order.created"]}"#)?.to("audit"))?;
///
/// let event = Event::builder("reading").id("1").source("/house");
/// let event = event.subject("sensors/7/temperature").build()?;
/// assert!(runtime.triggers().matches(&event)?.contains(&"climate".to_owned()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a trigger has no effect until it is bound"]
pub struct Trigger {
    pub(crate) source: Source,
    pub(crate) target: Box<str>,
    pub(crate) enabled: bool,
    pub(crate) delivery: Delivering,
    pub(crate) missed: Missed,
    pub(crate) overlapping: bool,
}

/// Which events a trigger matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Type(Box<str>),
    Topic { attribute: Box<str>, filter: Filter },
    Pattern(Pattern),
    Schedule(Schedule),
    Route(Route),
}

/// How the runtime makes the deliveries of a trigger.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Delivering {
    pub(crate) input: TriggerInput,
    pub(crate) ordered: bool,
    pub(crate) retry: Retry,
    /// The types that replies may have. `None` if replies are not published.
    pub(crate) emits: Option<Arc<[Box<str>]>>,
}

/// Whether a trigger matches an event, and if not, why.
/// [`Triggers::explain`](crate::Triggers::explain) returns it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// The trigger matches.
    Matches,
    /// The trigger does not match.
    #[non_exhaustive]
    Fails {
        /// The attribute or field that fails first, with dots between its keys.
        field: String,
        /// What the trigger asks for, and what the event has there.
        reason: String,
    },
}

impl Verdict {
    /// The verdict on a pattern.
    fn of(explanation: &Explanation) -> Self {
        let Explanation::Fails { field, .. } = explanation else { return Self::Matches };
        let text = explanation.to_string();
        Self::Fails {
            field: field.clone(),
            reason: text.strip_prefix(&**field).unwrap_or(&text).trim_start().to_owned(),
        }
    }
}

/// `the trigger matches`, or the field with its reason.
impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Matches => f.write_str("the trigger matches"),
            Self::Fails { field, reason } => write!(f, "{field}: {reason}"),
        }
    }
}

/// What a function is given of an event.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TriggerInput {
    /// The whole event in its JSON form, as [`Event::to_json`] writes it.
    #[default]
    Event,
    /// The bytes of its data alone, or no bytes if it has no data.
    Data,
    /// These bytes, whatever the event is.
    Constant(Arc<[u8]>),
}

impl Trigger {
    fn new(source: Source) -> Self {
        Self {
            source,
            target: Box::default(),
            enabled: true,
            delivery: Delivering::default(),
            missed: Missed::default(),
            overlapping: false,
        }
    }

    /// Matches events of exactly this type. It costs one look-up in a hash table, however many
    /// triggers there are.
    pub fn on(ty: &str) -> Self {
        Self::new(Source::Type(ty.into()))
    }

    /// Matches events with an attribute that an MQTT topic filter matches. A filter has levels
    /// between slashes. `+` stands for one level of any name. `#` as the last level stands for the
    /// level above and all below it.
    ///
    /// The rules are those of MQTT 5, section 4.7. Levels may be empty. A filter that begins with a
    /// wildcard does not match topics that begin with `$`. A topic itself has no wildcards. Filters
    /// have 1 to 65,535 bytes and at most 128 levels.
    ///
    /// ```
    /// # use dormouse::Trigger;
    /// let trigger = Trigger::topic("subject", "sensors/+/temperature")?;
    /// assert!(Trigger::topic("subject", "sensors/#/temperature").is_err());
    /// # Ok::<(), dormouse::TriggerError>(())
    /// ```
    ///
    /// # Errors
    /// [`TriggerError::Attribute`] or [`TriggerError::Topic`].
    pub fn topic(attribute: &str, filter: &str) -> Result<Self, TriggerError> {
        let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        if attribute.is_empty() || !attribute.bytes().all(is_name) {
            return Err(TriggerError::Attribute { name: error::cut(attribute) });
        }
        Ok(Self::new(Source::Topic { attribute: attribute.into(), filter: Filter::parse(filter)? }))
    }

    /// Matches events that match a [pattern](crate::pattern).
    ///
    /// # Errors
    /// [`TriggerError::Pattern`].
    pub fn pattern(pattern: &str) -> Result<Self, TriggerError> {
        Ok(Self::new(Source::Pattern(Pattern::parse(pattern)?)))
    }

    /// Fires events at the instants of a schedule, in UTC. [`Runtime::tick`](crate::Runtime::tick)
    /// fires them. A schedule has one of these forms:
    ///
    /// | form | meaning |
    /// |---|---|
    /// | `*/5 * * * *` | cron, as in the Open Cron Pattern Specification |
    /// | `rate(5 minutes)` | a rate, as in EventBridge |
    /// | `cron(0 10 ? * MON-FRI *)` | cron, as in EventBridge |
    /// | `at(2026-11-21T10:00:00)` | this instant, once |
    ///
    /// - Open cron has five fields, or six with seconds first. It has names, ranges, steps, `L`,
    ///   `W`, `#`, and nicknames such as `@daily`. If both a day of month and a day of week are
    ///   given, a day needs to be one of the two.
    /// - A rate has the unit `minute`, `hour` or `day`, in the singular for 1 and in the plural
    ///   above. Its first instant is one period after binding.
    /// - EventBridge's cron has minutes, hours, day of month, month, day of week from 1 for Sunday,
    ///   and year from 1970 to 2199. One of the two days is `?`.
    ///
    /// The event has the type `dormouse.schedule`, the trigger's id as source, and the instant as
    /// time and id. Its data is `{"count": 1, "first": "…", "last": "…"}`. The count is above 1 if
    /// the event also stands for [missed](Self::missed) instants. Other triggers do not match it.
    ///
    /// An instant that comes before the last delivery has ended waits for it, and counts as missed.
    /// The exception is an [overlapping](Self::overlapping) trigger. Instants that the runtime
    /// catches up on run one after the other, as with an [ordered](Self::ordered) trigger.
    ///
    /// ```
    /// # use dormouse::{Event, Runtime, Trigger, Timestamp};
    /// # let runtime = Runtime::new();
    /// runtime.bind("rollup", Trigger::schedule("*/5 * * * *")?.to("rollup"))?;
    /// runtime.bind("payday", Trigger::schedule("cron(0 9 LW * ? *)")?.to("pay"))?;
    /// assert!(Trigger::schedule("0 0 30 2 *").is_err(), "never fires");
    /// # Ok::<(), dormouse::TriggerError>(())
    /// ```
    ///
    /// # Errors
    /// [`TriggerError::Schedule`] or [`TriggerError::Never`].
    #[cfg(feature = "schedule")]
    pub fn schedule(schedule: &str) -> Result<Self, TriggerError> {
        Ok(Self::new(Source::Schedule(Schedule::parse(schedule)?)))
    }

    /// Takes requests of a method to a path. The host hands them in by
    /// [`Runtime::request`](crate::Runtime::request).
    ///
    /// The path follows the rules of the crate matchit. `/items/{id}` takes one segment and
    /// `/files/{*rest}` takes all that follow. `{{` and `}}` stand for braces. A literal segment
    /// takes precedence over a parameter.
    ///
    /// The event has the type `dormouse.request` and the trigger's id as source.
    /// [`Request`](crate::Request) describes its data. Other triggers do not match it.
    ///
    /// A caller waits for the answer. So a failure is not retried, and a request does not wait for
    /// a function that is not deployed. A later [`retry`](Self::retry) changes that.
    ///
    /// ```
    /// # use dormouse::{Runtime, Trigger};
    /// # let runtime = Runtime::new();
    /// runtime.bind("item", Trigger::route("GET", "/items/{id}")?.to("get-item"))?;
    /// # Ok::<(), dormouse::TriggerError>(())
    /// ```
    ///
    /// # Errors
    /// [`TriggerError::Route`]. A conflict with another route is an error of binding.
    pub fn route(method: &str, path: &str) -> Result<Self, TriggerError> {
        Ok(Self::new(Source::Route(Route::parse(method, path)?)).retry(Retry::never()))
    }

    /// Sets the function that the events go to, as [`Runtime::find`](crate::Runtime::find) takes
    /// it: a name, `name@version` or `name@alias`. It need not be deployed yet. Deliveries wait
    /// until it is.
    pub fn to(mut self, function: &str) -> Self {
        self.target = function.into();
        self
    }

    /// Sets what the function is given, instead of [`TriggerInput::Event`].
    pub fn input(mut self, input: TriggerInput) -> Self {
        self.delivery.input = input;
        self
    }

    /// Makes deliveries first in, first out: each begins when the one before has succeeded or been
    /// given up. If events have the extension `partitionkey`, the order holds among events of one
    /// key. No key waits for another.
    ///
    /// Without it, deliveries begin in the order of publishing, except that others may overtake a
    /// delivery that is retried or that runs on another worker.
    pub fn ordered(mut self) -> Self {
        self.delivery.ordered = true;
        self
    }

    /// Sets how failed deliveries are retried, instead of [`Retry::default`].
    pub fn retry(mut self, retry: Retry) -> Self {
        self.delivery.retry = retry;
        self
    }

    /// Publishes the function's replies as events, which must have one of these types. The function
    /// answers with an event in its JSON form, or with nothing.
    ///
    /// The runtime sets three attributes of the event: its `id`, its `source`, which is the
    /// trigger's id, and the extension `dormousehops`, which counts the length of the chain.
    ///
    /// If the answer is not an event, or has another type, the delivery fails for good.
    ///
    /// ```
    /// # use dormouse::Trigger;
    /// let validate = Trigger::on("image.uploaded").to("validate");
    /// let validate = validate.emits(["image.valid", "image.broken"]);
    /// let resize = Trigger::on("image.valid").to("resize");
    /// ```
    pub fn emits<'a>(mut self, types: impl IntoIterator<Item = &'a str>) -> Self {
        self.delivery.emits = Some(types.into_iter().map(Box::from).collect());
        self
    }

    /// Sets what happens to instants of a schedule that the host was late for, instead of
    /// [`Missed::Coalesce`].
    #[cfg(feature = "schedule")]
    pub fn missed(mut self, missed: Missed) -> Self {
        self.missed = missed;
        self
    }

    /// Lets an instant of a schedule fire before the delivery of the last one has ended.
    #[cfg(feature = "schedule")]
    pub fn overlapping(mut self) -> Self {
        self.overlapping = true;
        self
    }

    /// Binds the trigger disabled. It matches nothing until
    /// [`Triggers::enable`](crate::Triggers::enable).
    pub fn disabled(mut self) -> Self {
        self.enabled = false;
        self
    }

    /// The function that the events go to.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Whether the trigger is enabled. A disabled trigger matches nothing.
    pub fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// Whether deliveries keep their order.
    pub fn is_ordered(&self) -> bool {
        self.delivery.ordered
    }
}

/// Source and target: `type image.uploaded to resize`.
impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.source, self.target)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Type(ty) => write!(f, "type {ty}"),
            Self::Topic { attribute, filter } => write!(f, "topic {attribute} {filter}"),
            Self::Pattern(pattern) => write!(f, "pattern {pattern}"),
            Self::Schedule(schedule) => write!(f, "schedule {schedule}"),
            Self::Route(route) => write!(f, "route {route}"),
        }
    }
}

impl Delivering {
    /// The key whose deliveries are kept in order with this event's: the event's key, if it has
    /// one. `None` if the trigger is not ordered.
    pub(crate) fn order(&self, event: &Event) -> Option<Option<Box<str>>> {
        self.ordered.then(|| event.attribute("partitionkey").map(|key| key.to_string().into()))
    }
}
