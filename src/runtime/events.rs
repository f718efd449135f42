//! The front door of the event wing: what hosts call on a [`Runtime`].

use std::{io, time::Duration};

use super::Runtime;
use crate::{
    delivery::{self, Dispatched, Request, Response, Workers},
    event::{Event, EventBuilder, EventError, Timestamp},
    pattern::MatchError,
    queue::{DeadLetter, Deliveries, PublishError, RedriveError},
    trigger::{Trigger, TriggerError, Verdict},
};

/// The least time between two looks at all functions for idle instances.
const TRIM_EVERY: Duration = Duration::from_secs(60);

/// What one [`Runtime::tick`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tick {
    /// Events that schedules fired; not those that a full queue dropped.
    #[cfg(feature = "schedule")]
    pub fired: usize,
    /// Attempts to deliver an event.
    pub ran: usize,
    /// Idle instances dropped.
    pub trimmed: usize,
    /// Instances made ahead of time, in place of those whose memory had grown.
    pub replaced: usize,
}

/// Triggers: what makes events reach functions.
impl Runtime {
    /// Brings a trigger into force under an id of its own, `[A-Za-z0-9._-]{1,64}`, for what is published from now on.
    ///
    /// Its function need not be deployed: deliveries wait until it is.
    ///
    /// # Errors
    /// See [`TriggerError`]; a taken id names its holder.
    pub fn bind(&self, id: &str, trigger: Trigger) -> Result<(), TriggerError> {
        self.0.hub.bind(id, trigger)
    }

    /// Takes a trigger out of force. Deliveries that it has made go on. `false` if there is none.
    pub fn unbind(&self, id: &str) -> bool {
        self.0.hub.unbind(id)
    }

    /// Switches a trigger on, for what is published from now on. `false` if there is none.
    pub fn enable(&self, id: &str) -> bool {
        self.0.hub.registry.enable(id, true)
    }

    /// Switches a trigger off: it matches nothing, and keeps its id. Deliveries that it has made go on. `false` if there is none.
    pub fn disable(&self, id: &str) -> bool {
        self.0.hub.registry.enable(id, false)
    }

    /// The trigger of this id, as it is now.
    pub fn trigger(&self, id: &str) -> Option<Trigger> {
        self.0.hub.registry.trigger(id)
    }

    /// The ids of all triggers, in the order of binding.
    pub fn triggers(&self) -> Vec<String> {
        self.0.hub.registry.ids()
    }

    /// A dry run: the ids of the triggers that an event would wake, in the order of binding.
    ///
    /// # Errors
    /// [`MatchError::Ambiguous`], only where patterns are bound and for events that repeat keys.
    pub fn matches(&self, event: &Event) -> Result<Vec<String>, MatchError> {
        Ok(self.0.hub.registry.find(event)?.iter().map(|bound| bound.id.to_string()).collect())
    }

    /// Whether a trigger would be woken by an event, and if not, which field fails first and why. None if there is no such trigger.
    ///
    /// ```
    /// use dormouse::{Event, Runtime, Trigger, Verdict};
    ///
    /// let runtime = Runtime::new();
    /// runtime.bind("climate", Trigger::topic("subject", "sensors/+/temperature")?.to("record"))?;
    /// let event = Event::builder("reading").id("1").source("/house").subject("sensors/7/humidity").build()?;
    /// let Some(Verdict::Fails { field, reason, .. }) = runtime.explain(&event, "climate") else { panic!() };
    /// assert_eq!(field, "subject");
    /// assert_eq!(reason, r#"level 3 should be "temperature", but is "humidity""#);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn explain(&self, event: &Event, id: &str) -> Option<Verdict> {
        self.0.hub.registry.explain(event, id)
    }

    /// An event from its parts. What the builder was not given is filled in: the id from the runtime's seed, the source `/dormouse`, and as
    /// time the runtime's date, or what its clock reads, after 1970, where it knows no date.
    ///
    /// # Errors
    /// As for [`EventBuilder::build`].
    pub fn event(&self, builder: EventBuilder) -> Result<Event, EventError> {
        self.0.hub.event(builder)
    }
}

/// Deliveries: events on their way to functions.
///
/// An event that is published is delivered at least once to each trigger that it matches, as long as the process lives: a
/// delivery ends when its function has succeeded, when it expires, or as a dead letter. Functions may see an event twice.
impl Runtime {
    /// Queues a delivery for each trigger that the event matches, and returns how many: all of them, or an error. The functions run when the
    /// host calls [`run_pending`](Self::run_pending) or [`tick`](Self::tick), or on its [`workers`](Self::workers).
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
    /// assert_eq!(runtime.run_pending(usize::MAX), 1);
    /// assert_eq!(runtime.deliveries().succeeded, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// See [`PublishError`]; nothing has been queued then.
    pub fn publish(&self, event: Event) -> Result<usize, PublishError> {
        self.0.hub.publish(event)
    }

    /// As [`publish`](Self::publish), and makes the first attempt of each delivery here and now, on this thread, in the order of binding. What fails
    /// stays in the queue as any other delivery, to be tried again.
    ///
    /// # Errors
    /// As for `publish`: nothing has run then. What a function does is no error of this call, but its [`Outcome`].
    pub fn dispatch(&self, event: Event) -> Result<Vec<Dispatched>, PublishError> {
        delivery::dispatch(&self.0, event)
    }

    /// Runs what is ready, on this thread: the oldest first, `budget` attempts at most. Returns how many it made.
    ///
    /// Ready are new deliveries, those whose distance to the next attempt has passed, and those whose function has come.
    pub fn run_pending(&self, budget: usize) -> usize {
        delivery::run_pending(&self.0, budget)
    }

    /// What a host does from time to time that drives the runtime by itself: tells it the date, fires the schedules, runs what is ready, and
    /// keeps house.
    ///
    /// As many attempts are made as deliveries are ready when it begins, or blocked by others of their order. Instances that have been idle for
    /// [`RuntimeLimits::idle_for`](crate::RuntimeLimits::idle_for) are dropped, and those that were lost because their memory grew are replaced, so that the next
    /// start is warm.
    ///
    /// The date is what expiry is judged by. Between two ticks it goes on with the runtime's clock. Before the first it is what
    /// [`Clock::wall`](crate::Clock::wall) said when the runtime was made; where that is nothing, no event expires.
    pub fn tick(&self, now: Timestamp) -> Tick {
        let uptime = self.0.clock.now();
        #[cfg(feature = "schedule")]
        let mut agenda = self.0.hub.agenda.lock();
        #[cfg(feature = "schedule")]
        let fired;
        let at_hand = {
            let mut queue = self.0.hub.queue.lock();
            queue.set_date(now, uptime);
            queue.save_anew();
            #[cfg(feature = "schedule")]
            {
                fired = agenda.fire(&self.0.hub, &mut queue, now, uptime);
            }
            queue.wake(uptime);
            queue.at_hand()
        };
        #[cfg(feature = "schedule")]
        drop(agenda);
        // A clock that jumped may have made something due for those who sleep.
        self.0.hub.wake.notify_all();
        let ran = self.run_pending(at_hand);
        let (trimmed, replaced) = self.maintain();
        Tick {
            #[cfg(feature = "schedule")]
            fired,
            ran,
            trimmed,
            replaced,
        }
    }

    /// How long a host may sleep before there is something to do, by the runtime's clock: nothing, if a delivery is ready. None if only a call of
    /// the host can bring something about.
    pub fn next_deadline(&self) -> Option<Duration> {
        let now = self.0.clock.now();
        #[cfg(feature = "schedule")]
        let agenda = self.0.hub.agenda.lock();
        let queue = self.0.hub.queue.lock();
        if queue.has_ready(u64::MAX) {
            return Some(Duration::ZERO);
        }
        let due = queue.next_due().map(|due| due.saturating_sub(now));
        #[cfg(feature = "schedule")]
        let due = {
            let scheduled = queue.date(now).and_then(|date| agenda.next_due(date, &queue));
            due.into_iter().chain(scheduled).min()
        };
        due
    }

    /// Hands a request to the function whose route it takes, now and on this thread, and returns the response.
    ///
    /// What goes wrong is a response too: 404 where no route has the path, 405 where one has it under another method, 503 where the function is not deployed, off
    /// or busy, or the queue is full, 504 where it ran out of fuel or time, 413 where the request is too large, 502 for all else. The delivery
    /// counts as any other, and ends as a dead letter if it fails.
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

    /// Starts threads that run the queue until the guard is dropped.
    ///
    /// They do not keep the runtime alive, and they fire no schedules: a host that has any calls [`tick`](Self::tick) all the same.
    ///
    /// ```
    /// # let echo = wat::parse_str(r#"(module (memory (export "memory") 1)
    /// #   (func (export "alloc") (param i32) (result i32) (i32.const 1024))
    /// #   (func (export "handle") (param i32 i32) (result i64) (i64.const 0)))"#).unwrap();
    /// # use dormouse::{Event, Runtime, Trigger};
    /// let runtime = Runtime::new();
    /// runtime.deploy("count", &echo)?;
    /// runtime.bind("clicks", Trigger::on("click").to("count"))?;
    /// let workers = runtime.workers(2)?;
    /// for _ in 0..100 {
    ///     runtime.publish(runtime.event(Event::builder("click"))?)?;
    /// }
    /// drop(workers); // finishes what is ready
    /// assert_eq!(runtime.deliveries().succeeded, 100);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// What the system says where it has no thread to give.
    pub fn workers(&self, count: usize) -> io::Result<Workers> {
        Workers::start(&self.0, count)
    }

    /// Where all deliveries are.
    pub fn deliveries(&self) -> Deliveries {
        self.0.hub.queue.lock().deliveries()
    }

    /// The dead letters that are held, the oldest first.
    pub fn dead_letters(&self) -> Vec<DeadLetter> {
        self.0.hub.dead_letters()
    }

    /// Takes all dead letters out, the oldest first.
    pub fn drain_dead_letters(&self) -> Vec<DeadLetter> {
        self.0.hub.drain_dead_letters()
    }

    /// Queues a dead letter's event once more for its trigger, as a new delivery whose number is returned.
    ///
    /// # Errors
    /// See [`RedriveError`]; the letter is held as before.
    pub fn redrive(&self, id: u64) -> Result<u64, RedriveError> {
        self.0.hub.redrive(id)
    }

    /// Drops instances that have been idle for long, looked for once a minute at most, and makes those anew that were lost
    /// because their memory grew. Returns how many of each.
    fn maintain(&self) -> (usize, usize) {
        let idle_for = self.0.budget.limits().idle_for;
        let is_due = self.0.hub.is_trim_due(idle_for.min(TRIM_EVERY));
        let trimmed = if is_due { self.trim(idle_for) } else { 0 };
        (trimmed, self.0.replenish())
    }
}
