//! Triggers: what makes events reach a function. The registry finds those that an event wakes.
//!
//! Invariant: a [`Trigger`] that exists has a source that can match; what is wrong with its target and its id is said when it is
//! bound.

mod error;
mod registry;
mod retry;
mod route;
#[cfg(feature = "schedule")]
mod schedule;
mod topic;

use std::{fmt, sync::Arc};

pub use error::TriggerError;
pub(crate) use registry::{Bound, Matched, RESERVED, Registry};
pub use retry::Retry;
pub(crate) use retry::random;
pub(crate) use route::{Found, Route};
#[cfg(feature = "schedule")]
pub use schedule::Missed;
#[cfg(feature = "schedule")]
pub(crate) use schedule::{Due, Schedule};
use topic::Filter;

use crate::{
    event::Event,
    pattern::{Explanation, Pattern},
};

/// What makes events reach a function: a source, a target, and how its deliveries are made. It comes into force by
/// [`Runtime::bind`](crate::Runtime::bind).
///
/// ```
/// use dormouse::{Event, Runtime, Trigger};
///
/// let runtime = Runtime::new();
/// runtime.bind("thumbnails", Trigger::on("image.uploaded").to("resize"))?;
/// runtime.bind("climate", Trigger::topic("subject", "sensors/+/temperature")?.to("record"))?;
/// runtime.bind("large", Trigger::pattern(r#"{"type":["order.created"]}"#)?.to("audit"))?;
///
/// let event = Event::builder("reading").id("1").source("/house").subject("sensors/7/temperature").build()?;
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
    #[cfg(feature = "schedule")]
    pub(crate) missed: Missed,
    #[cfg(feature = "schedule")]
    pub(crate) overlapping: bool,
}

/// Which events a trigger matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Type(Box<str>),
    Topic {
        attribute: Box<str>,
        filter: Filter,
    },
    Pattern(Pattern),
    #[cfg(feature = "schedule")]
    Schedule(Schedule),
    Route(Route),
}

/// How the deliveries of a trigger are made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Delivering {
    pub(crate) input: Input,
    pub(crate) ordered: bool,
    pub(crate) retry: Retry,
    /// The types that replies may have; none where replies are not published.
    pub(crate) emits: Option<Arc<[Box<str>]>>,
}

/// Whether an event would wake a trigger, and if not, why: from [`Triggers::explain`](crate::Triggers::explain).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// It would.
    Matches,
    /// It would not.
    #[non_exhaustive]
    Fails {
        /// The attribute or field that fails first, with dots between its keys.
        field: String,
        /// What the trigger asks for, and what the event has there.
        reason: String,
    },
}

impl Verdict {
    /// Of a pattern that does not match.
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
pub enum Input {
    /// The whole event in its JSON form, as [`Event::to_json`] writes it.
    #[default]
    Event,
    /// The bytes of its data alone; no bytes where it has none.
    Data,
    /// These bytes, whatever the event.
    Constant(Arc<[u8]>),
}

impl Trigger {
    fn new(source: Source) -> Self {
        Self {
            source,
            target: Box::default(),
            enabled: true,
            delivery: Delivering::default(),
            #[cfg(feature = "schedule")]
            missed: Missed::default(),
            #[cfg(feature = "schedule")]
            overlapping: false,
        }
    }

    /// Events of exactly this type. Costs one look-up in a hash table, however many triggers there are.
    pub fn on(ty: &str) -> Self {
        Self::new(Source::Type(ty.into()))
    }

    /// Events whose attribute is a topic that an MQTT filter matches: levels between slashes, `+` for one of any name, `#` as the last one
    /// for all that follow and for the level above.
    ///
    /// The rules are those of MQTT 5, section 4.7: levels may be empty, a filter that begins with a wildcard does not match topics that begin
    /// with `$`, and a topic has no wildcards itself. Filters have 1 to 65,535 bytes and at most 128 levels.
    ///
    /// ```
    /// # use dormouse::Trigger;
    /// let trigger = Trigger::topic("subject", "sensors/+/temperature")?;
    /// assert!(Trigger::topic("subject", "sensors/#/temperature").is_err());
    /// # Ok::<(), dormouse::TriggerError>(())
    /// ```
    ///
    /// # Errors
    /// [`TriggerError::Attribute`], [`TriggerError::Topic`].
    pub fn topic(attribute: &str, filter: &str) -> Result<Self, TriggerError> {
        let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        if attribute.is_empty() || !attribute.bytes().all(is_name) {
            return Err(TriggerError::Attribute { name: error::cut(attribute) });
        }
        Ok(Self::new(Source::Topic { attribute: attribute.into(), filter: Filter::parse(filter)? }))
    }

    /// Events that match a pattern: see [`Pattern`].
    ///
    /// # Errors
    /// [`TriggerError::Pattern`].
    pub fn pattern(pattern: &str) -> Result<Self, TriggerError> {
        Ok(Self::new(Source::Pattern(Pattern::parse(pattern)?)))
    }

    /// Events at the instants of a schedule, in UTC, fired by [`Runtime::tick`](crate::Runtime::tick):
    ///
    /// | | |
    /// |---|---|
    /// | `*/5 * * * *` | cron of five fields, or six with seconds first: names, ranges, steps, `L`, `W`, `#`, a day of month *or* a day of week where both are given, and nicknames as `@daily`: the Open Cron Pattern Specification |
    /// | `rate(5 minutes)` | as EventBridge has it: `minute`, `hour`, `day`, in the singular for 1 and in the plural above. The first is one period after binding |
    /// | `cron(0 10 ? * MON-FRI *)` | the same: minutes, hours, day of month, month, day of week from 1 for Sunday, year from 1970 to 2199; one of the days is `?` |
    /// | `at(2026-11-21T10:00:00)` | once |
    ///
    /// The event has the type `dormouse.schedule`, the trigger's id as source, and the instant as time and id. Its data is
    /// `{"count": 1, "first": "…", "last": "…"}`, where the count is above 1 if it stands for [missed](Self::missed) instants too. It wakes no other
    /// trigger.
    ///
    /// An instant waits while a delivery of the one before has not ended, unless [overlapping](Self::overlapping) is allowed; then it counts as
    /// missed. Instants that are caught up with run one after the other, as those of an [ordered](Self::ordered) trigger.
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
    /// [`TriggerError::Schedule`], [`TriggerError::Never`].
    #[cfg(feature = "schedule")]
    pub fn schedule(schedule: &str) -> Result<Self, TriggerError> {
        Ok(Self::new(Source::Schedule(Schedule::parse(schedule)?)))
    }

    /// Requests of a method to a path, handed in by [`Runtime::request`](crate::Runtime::request). The path has the rules of the crate matchit:
    /// `/items/{id}` for one segment, `/files/{*rest}` for all that follow; `{{` and `}}` for braces. A literal segment goes before a parameter.
    ///
    /// The event has the type `dormouse.request` and the trigger's id as source; see [`Request`](crate::Request) for its data. It wakes no other
    /// trigger. As somebody waits for the answer, a failure is not tried again and a function that is not there is not waited for, unless
    /// [`retry`](Self::retry) says otherwise after this.
    ///
    /// ```
    /// # use dormouse::{Runtime, Trigger};
    /// # let runtime = Runtime::new();
    /// runtime.bind("item", Trigger::route("GET", "/items/{id}")?.to("get-item"))?;
    /// # Ok::<(), dormouse::TriggerError>(())
    /// ```
    ///
    /// # Errors
    /// [`TriggerError::Route`]; whether it conflicts with another is found when it is bound.
    pub fn route(method: &str, path: &str) -> Result<Self, TriggerError> {
        Ok(Self::new(Source::Route(Route::parse(method, path)?)).retry(Retry::never()))
    }

    /// The function that its events go to, as [`Runtime::find`](crate::Runtime::find) takes it: a name, or `name@version`, or
    /// `name@alias`. It need not be deployed yet: deliveries wait until it is.
    pub fn to(mut self, function: &str) -> Self {
        self.target = function.into();
        self
    }

    /// What the function is given, instead of [`Input::Event`].
    pub fn input(mut self, input: Input) -> Self {
        self.delivery.input = input;
        self
    }

    /// First in, first out: each delivery begins when the one before it has ended, by success or by being given up. Where events have
    /// the extension `partitionkey`, the order holds among those of one key, and no key waits for another.
    ///
    /// Without it deliveries begin in the order in which they were published, but those that are retried, or run by several workers, may
    /// be overtaken.
    pub fn ordered(mut self) -> Self {
        self.delivery.ordered = true;
        self
    }

    /// How often and how long to try, instead of [`Retry::default`].
    pub fn retry(mut self, retry: Retry) -> Self {
        self.delivery.retry = retry;
        self
    }

    /// Publishes the function's replies as events, if they have one of these types. The function answers with an event in its JSON form,
    /// or with nothing. The runtime sets its `id`, its `source`, which is the trigger's id, and the extension
    /// `dormousehops`, which counts how long the chain has become.
    ///
    /// An answer that is no event, or one of another type, is a permanent failure of the delivery.
    ///
    /// ```
    /// # use dormouse::Trigger;
    /// let validate = Trigger::on("image.uploaded").to("validate").emits(["image.valid", "image.broken"]);
    /// let resize = Trigger::on("image.valid").to("resize");
    /// ```
    pub fn emits<'a>(mut self, types: impl IntoIterator<Item = &'a str>) -> Self {
        self.delivery.emits = Some(types.into_iter().map(Box::from).collect());
        self
    }

    /// What becomes of instants of a schedule that the host was late for, instead of [`Missed::Coalesce`].
    #[cfg(feature = "schedule")]
    pub fn missed(mut self, missed: Missed) -> Self {
        self.missed = missed;
        self
    }

    /// Lets an instant of a schedule fire while a delivery of the one before has not ended.
    #[cfg(feature = "schedule")]
    pub fn overlapping(mut self) -> Self {
        self.overlapping = true;
        self
    }

    /// Binds it switched off: it matches nothing until [`Triggers::enable`](crate::Triggers::enable).
    pub fn disabled(mut self) -> Self {
        self.enabled = false;
        self
    }

    /// The function that its events go to.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Whether it matches anything.
    pub fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// Whether deliveries keep their order.
    pub fn is_ordered(&self) -> bool {
        self.delivery.ordered
    }
}

/// Source and target, as errors name the holder of an id: `type image.uploaded to resize`.
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
            #[cfg(feature = "schedule")]
            Self::Schedule(schedule) => write!(f, "schedule {schedule}"),
            Self::Route(route) => write!(f, "route {route}"),
        }
    }
}

impl Delivering {
    /// What keeps the deliveries of an event in order: none where nothing does, else the event's key.
    pub(crate) fn order(&self, event: &Event) -> Option<Option<Box<str>>> {
        self.ordered.then(|| event.attribute("partitionkey").map(|key| key.to_string().into()))
    }
}
