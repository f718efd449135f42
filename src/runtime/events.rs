//! The front door of the event wing: what hosts call on a [`Runtime`].

use std::time::Duration;

use super::{Deliveries, Runtime, Triggers};
use crate::{
    delivery::{self, Dispatched, Request, Response},
    event::{Event, EventBuilder, EventError, Timestamp},
    queue::{PublishError, Ticked},
    trigger::{Trigger, TriggerError},
};

/// The least time between two looks at all functions for idle instances.
const TRIM_EVERY: Duration = Duration::from_secs(60);

/// What one [`Runtime::tick`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TickReport {
    /// Events that schedules fired, except those that a full queue dropped.
    pub fired: usize,
    /// Attempts to deliver an event.
    pub ran: usize,
    /// Idle instances dropped.
    pub trimmed: usize,
    /// Instances made ahead of time, in place of those whose memory had grown.
    pub replaced: usize,
}

impl Runtime {
    /// The triggers: what makes events reach functions.
    pub fn triggers(&self) -> Triggers<'_> {
        Triggers(&self.0)
    }

    /// The deliveries: events on their way to functions, and dead letters.
    pub fn deliveries(&self) -> Deliveries<'_> {
        Deliveries(&self.0)
    }

    /// Brings a trigger into force under an id of its own, `[A-Za-z0-9._-]{1,64}`, for what is
    /// published from now on.
    ///
    /// Its function need not be deployed: deliveries wait until it is.
    ///
    /// # Errors
    /// See [`TriggerError`]; a taken id names its holder.
    pub fn bind(&self, id: &str, trigger: Trigger) -> Result<(), TriggerError> {
        self.0.hub.bind(id, trigger)
    }

    /// An event from its parts. What the builder was not given is filled in: the id from the
    /// runtime's seed, the source `/dormouse`, and as time the runtime's date, or what its clock
    /// reads, after 1970, where it knows no date.
    ///
    /// # Errors
    /// As for [`EventBuilder::build`].
    pub fn event(&self, builder: EventBuilder) -> Result<Event, EventError> {
        self.0.hub.event(builder)
    }

    /// Queues a delivery for each trigger that the event matches, and returns how many: all of
    /// them, or an error. The functions run when the host calls [`Deliveries::run_pending`] or
    /// [`tick`](Self::tick), or on its [workers](Deliveries::workers).
    ///
    /// ```
    /// # let echo = wat::parse_str(r#"(module (memory (export "memory") 1)
    /// #   (func (export "alloc") (param i32) (result i32) (i32.const 1024))
    /// #   (func (export "handle") (param i32 i32) (result i64)
    /// #     (i64.or (i64.shl (i64.extend_i32_u (local.get 0)) (i64.const 32)) (i64.extend_i32_u (local.get 1)))))"#).unwrap();
    /// use dormouse::{Event, Runtime, Trigger};
    ///
    /// let runtime = Runtime::new();
    /// runtime.deploy("greet", &echo)?;
    /// runtime.bind("greetings", Trigger::on("guest.arrived").to("greet"))?;
    ///
    /// let event = runtime.event(Event::builder("guest.arrived").data_value(&"Ada"))?;
    /// assert_eq!(runtime.publish(event)?, 1);
    /// assert_eq!(runtime.deliveries().run_pending(usize::MAX), 1);
    /// assert_eq!(runtime.deliveries().stats().succeeded, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// See [`PublishError`]; nothing has been queued then.
    pub fn publish(&self, event: Event) -> Result<usize, PublishError> {
        self.0.hub.publish(event)
    }

    /// As [`publish`](Self::publish), and makes the first attempt of each delivery here and now, on
    /// this thread, in the order of binding. What fails stays in the queue as any other delivery,
    /// to be tried again.
    ///
    /// # Errors
    /// As for `publish`: nothing has run then. What a function does is not an error of this call.
    /// It is the [`DeliveryOutcome`](crate::DeliveryOutcome) of its delivery.
    pub fn dispatch(&self, event: Event) -> Result<Vec<Dispatched>, PublishError> {
        delivery::dispatch(&self.0, event)
    }

    /// What a host does from time to time that drives the runtime by itself: tells it the date,
    /// fires the schedules, runs what is ready, and keeps house.
    ///
    /// As many attempts are made as deliveries are ready when it begins, or blocked by others of
    /// their order. Instances that have been idle for
    /// [`RuntimeLimits::idle_for`](crate::RuntimeLimits::idle_for) are dropped, and those that were lost because their memory grew are replaced, so that the next
    /// start is warm.
    ///
    /// The date is what expiry is judged by. Between two ticks it goes on with the runtime's clock.
    /// Before the first it is what
    /// [`Clock::wall`](crate::Clock::wall) said when the runtime was made; where that is nothing, no event expires.
    pub fn tick(&self, now: Timestamp) -> TickReport {
        let Ticked { fired, at_hand } = self.0.hub.tick(now);
        let ran = delivery::run_pending(&self.0, at_hand);
        let (trimmed, replaced) = self.maintain();
        TickReport { fired, ran, trimmed, replaced }
    }

    /// Hands a request to the function whose route it takes, now and on this thread, and returns
    /// the response.
    ///
    /// What goes wrong is a response too: 404 where no route has the path, 405 where one has it
    /// under another method, 503 where the function is not deployed, off or busy, or the queue is
    /// full, 504 where it ran out of fuel or time, 413 where the request is too large, 502 for all
    /// else. The delivery counts as any other, and ends as a dead letter if it fails.
    ///
    /// ```
    /// # let hello = wat::parse_str(r#"(module (memory (export "memory") 1) (data (i32.const 0) "{\"hello\":\"world\"}")
    /// #   (func (export "alloc") (param i32) (result i32) (i32.const 1024))
    /// #   (func (export "handle") (param i32 i32) (result i64) (i64.const 17)))"#).unwrap();
    /// use dormouse::{Request, Runtime, Trigger};
    ///
    /// let runtime = Runtime::new();
    /// runtime.deploy("hello", &hello)?;
    /// runtime.bind("hello", Trigger::route("GET", "/hello/{name}")?.to("hello"))?;
    ///
    /// let response = runtime.request(&Request::new("GET", "/hello/world?loud=1").header("Accept", "*/*"));
    /// assert_eq!((response.status, &response.body[..]), (200, &br#"{"hello":"world"}"#[..]));
    /// assert_eq!(runtime.request(&Request::new("GET", "/goodbye")).status, 404);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn request(&self, request: &Request) -> Response {
        delivery::request(&self.0, request)
    }

    /// Drops instances that have been idle for long, looked for once a minute at most, and makes
    /// those anew that were lost because their memory grew. Returns how many of each.
    fn maintain(&self) -> (usize, usize) {
        let idle_for = self.0.budget.limits().idle_for;
        let is_due = self.0.hub.is_trim_due(idle_for.min(TRIM_EVERY));
        let trimmed = if is_due { self.trim(idle_for) } else { 0 };
        (trimmed, self.0.replenish())
    }
}
