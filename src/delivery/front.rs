//! The front door of the event wing: what hosts call on a [`Runtime`].

use std::{io, sync::Arc, time::Duration};

use super::{
    Admission, DeadLetter, Deliveries, Hub, Outcome, PublishError, RedriveError, Workers,
    queue::{Full, NotBegun},
    run::{Begun, run},
};
#[cfg(feature = "schedule")]
use crate::trigger::Source;
use crate::{
    capability::Context,
    event::{Event, EventBuilder, EventError, Timestamp},
    pattern::MatchError,
    runtime::Runtime,
    trigger::{Bound, Matched, RESERVED, Trigger, TriggerError, Verdict, random},
};

/// What [`Runtime::dispatch`] did for one trigger.
#[derive(Debug)]
#[non_exhaustive]
pub struct Dispatched {
    /// The id of the trigger.
    pub trigger: String,
    /// The number of the delivery, by which a dead letter is found; 0 for one that was dropped.
    pub delivery: u64,
    /// What came of it.
    pub outcome: Outcome,
}

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

/// The delivery that an invocation belongs to, from [`Context::delivery`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Delivery {
    /// The id of the trigger.
    pub trigger: String,
    /// The number of the delivery: the same at each attempt.
    pub id: u64,
    /// 1 at the first attempt.
    pub attempt: u32,
    /// Time until the invocation's deadline, by the runtime's clock.
    pub remaining: Duration,
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
        let hub = self.hub();
        // Held until all is done, so that registry and agenda agree.
        #[cfg(feature = "schedule")]
        let (mut agenda, now) = (hub.agenda.lock(), self.clock().now());
        #[cfg(feature = "schedule")]
        let date = hub.queue.lock().date(now);
        #[cfg(feature = "schedule")]
        if let (Some(date), Source::Schedule(schedule)) = (date, &trigger.source) {
            schedule.next(date, date).ok_or_else(|| schedule.never())?;
        }
        // Held over both steps: what is published in between comes after what an earlier process had published.
        #[cfg(feature = "durable")]
        let mut queue = hub.queue.lock();
        #[cfg_attr(
            not(any(feature = "schedule", feature = "durable")),
            expect(unused_variables, reason = "only looked at further on")
        )]
        let bound = hub.registry.bind(id, trigger, hub.limits.triggers)?;
        #[cfg(feature = "durable")]
        if queue.adopt(&bound) > 0 {
            hub.wake.notify_all();
        }
        #[cfg(feature = "schedule")]
        if let Source::Schedule(_) = &bound.trigger.source {
            agenda.add(bound, date);
        }
        Ok(())
    }

    /// Takes a trigger out of force. Deliveries that it has made go on. `false` if there is none.
    pub fn unbind(&self, id: &str) -> bool {
        #[cfg(feature = "schedule")]
        let mut agenda = self.hub().agenda.lock();
        let unbound = self.hub().registry.unbind(id);
        #[cfg(feature = "schedule")]
        if let Some(bound) = &unbound {
            agenda.remove(bound.number);
        }
        unbound.is_some()
    }

    /// Switches a trigger on, for what is published from now on. `false` if there is none.
    pub fn enable(&self, id: &str) -> bool {
        self.hub().registry.enable(id, true)
    }

    /// Switches a trigger off: it matches nothing, and keeps its id. Deliveries that it has made go on. `false` if there is none.
    pub fn disable(&self, id: &str) -> bool {
        self.hub().registry.enable(id, false)
    }

    /// The trigger of this id, as it is now.
    pub fn trigger(&self, id: &str) -> Option<Trigger> {
        self.hub().registry.trigger(id)
    }

    /// The ids of all triggers, in the order of binding.
    pub fn triggers(&self) -> Vec<String> {
        self.hub().registry.ids()
    }

    /// A dry run: the ids of the triggers that an event would wake, in the order of binding.
    ///
    /// # Errors
    /// [`MatchError::Ambiguous`], only where patterns are bound and for events that repeat keys.
    pub fn matches(&self, event: &Event) -> Result<Vec<String>, MatchError> {
        Ok(self.hub().registry.find(event)?.iter().map(|bound| bound.id.to_string()).collect())
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
        self.hub().registry.explain(event, id)
    }

    /// An event from its parts. What the builder was not given is filled in: the id from the runtime's seed, the source `/dormouse`, and as
    /// time the runtime's date, or what its clock reads, after 1970, where it knows no date.
    ///
    /// # Errors
    /// As for [`EventBuilder::build`].
    pub fn event(&self, builder: EventBuilder) -> Result<Event, EventError> {
        let (hub, now) = (self.hub(), self.clock().now());
        let drawn = hub.drawn.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let id = format!("{:016x}{:016x}", random(hub.seed, drawn, u64::MAX), random(hub.seed, drawn, u64::MAX - 1));
        let date = hub.queue.lock().date(now).or_else(|| Timestamp::UNIX_EPOCH.checked_add(now));
        builder.build_with(id, "/dormouse", date.unwrap_or(Timestamp::UNIX_EPOCH))
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
        let hub = self.hub();
        let (bound, bytes) = hub.prepare(&event)?;
        if bound.is_empty() {
            return Ok(0);
        }
        let now = self.clock().now();
        let mut queue = hub.queue.lock();
        let admitted = queue.admit(Admission { bound: &bound, event, bytes }, now);
        let (first, count) = admitted.map_err(|Full| PublishError::full(bound.len(), &queue.deliveries()))?;
        hub.save_new(&mut queue, first, count, now)?;
        drop(queue);
        match count {
            1 => drop(hub.wake.notify_one()),
            _ => drop(hub.wake.notify_all()),
        }
        Ok(count)
    }

    /// As [`publish`](Self::publish), and makes the first attempt of each delivery here and now, on this thread, in the order of binding. What fails
    /// stays in the queue as any other delivery, to be tried again.
    ///
    /// # Errors
    /// As for `publish`: nothing has run then. What a function does is no error of this call, but its [`Outcome`].
    pub fn dispatch(&self, event: Event) -> Result<Vec<Dispatched>, PublishError> {
        let (bound, bytes) = self.hub().prepare(&event)?;
        self.dispatch_to(&bound, event, bytes)
    }

    /// Makes the first attempt of an event's deliveries to these triggers.
    pub(super) fn dispatch_to(
        &self,
        bound: &[Arc<Bound>],
        event: Event,
        bytes: u64,
    ) -> Result<Vec<Dispatched>, PublishError> {
        let hub = self.hub();
        let now = self.clock().now();
        // All begin in one step with their making, so that no worker comes between.
        let begun: Vec<(u64, Result<Begun<'_>, NotBegun>)> = {
            let mut queue = hub.queue.lock();
            let admitted = queue.admit(Admission { bound, event, bytes }, now);
            let (first, count) = admitted.map_err(|Full| PublishError::full(bound.len(), &queue.deliveries()))?;
            hub.save_new(&mut queue, first, count, now)?;
            let ids = first..first + count as u64;
            ids.map(|id| (id, queue.begin(id, now).map(|job| Begun::new(hub, job)))).collect()
        };
        if begun.is_empty() {
            let dropped = |trigger| Dispatched { trigger, delivery: 0, outcome: Outcome::Dropped };
            return Ok(bound.iter().map(|bound| dropped(bound.id.to_string())).collect());
        }
        let mut room = Vec::new();
        let outcomes = begun.into_iter().zip(bound).map(|((delivery, begun), bound)| {
            let outcome = match begun {
                Ok(begun) => run(self, begun, &mut room),
                Err(NotBegun::Blocked) => Outcome::Queued,
                Err(NotBegun::Expired) => Outcome::Expired,
                Err(NotBegun::TooOld) => Outcome::TooOld,
            };
            Dispatched { trigger: bound.id.to_string(), delivery, outcome }
        });
        let outcomes = outcomes.collect();
        hub.save_later(&mut hub.queue.lock(), 0, self.clock().now());
        Ok(outcomes)
    }

    /// Runs what is ready, on this thread: the oldest first, `budget` attempts at most. Returns how many it made.
    ///
    /// Ready are new deliveries, those whose distance to the next attempt has passed, and those whose function has come.
    pub fn run_pending(&self, budget: usize) -> usize {
        let hub = self.hub();
        let mut room = Vec::new();
        for ran in 0..budget {
            let now = self.clock().now();
            let begun = {
                let mut queue = hub.queue.lock();
                queue.wake(now);
                queue.take(u64::MAX, now).map(|job| Begun::new(hub, job))
            };
            let Some(begun) = begun else {
                hub.save_later(&mut hub.queue.lock(), 0, now);
                return ran;
            };
            run(self, begun, &mut room);
        }
        hub.save_later(&mut hub.queue.lock(), 0, self.clock().now());
        budget
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
        let uptime = self.clock().now();
        #[cfg(feature = "schedule")]
        let mut agenda = self.hub().agenda.lock();
        #[cfg(feature = "schedule")]
        let fired;
        let at_hand = {
            let mut queue = self.hub().queue.lock();
            queue.set_date(now, uptime);
            queue.save_anew();
            #[cfg(feature = "schedule")]
            {
                fired = agenda.fire(self.hub(), &mut queue, now, uptime);
            }
            queue.wake(uptime);
            queue.at_hand()
        };
        #[cfg(feature = "schedule")]
        drop(agenda);
        // A clock that jumped may have made something due for those who sleep.
        self.hub().wake.notify_all();
        let ran = self.run_pending(at_hand);
        let (trimmed, replaced) = self.keep_house();
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
        let now = self.clock().now();
        #[cfg(feature = "schedule")]
        let agenda = self.hub().agenda.lock();
        let queue = self.hub().queue.lock();
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
        Workers::start(self, count)
    }

    /// Where all deliveries are.
    pub fn deliveries(&self) -> Deliveries {
        self.hub().queue.lock().deliveries()
    }

    /// The dead letters that are held, the oldest first.
    pub fn dead_letters(&self) -> Vec<DeadLetter> {
        self.hub().queue.lock().dead.held().cloned().collect()
    }

    /// Takes all dead letters out, the oldest first.
    pub fn drain_dead_letters(&self) -> Vec<DeadLetter> {
        let (hub, now) = (self.hub(), self.clock().now());
        let mut queue = hub.queue.lock();
        let drained = queue.dead.drain();
        hub.save_later(&mut queue, 0, now);
        drained
    }

    /// Queues a dead letter's event once more for its trigger, as a new delivery whose number is returned.
    ///
    /// # Errors
    /// See [`RedriveError`]; the letter is held as before.
    pub fn redrive(&self, id: u64) -> Result<u64, RedriveError> {
        let hub = self.hub();
        let now = self.clock().now();
        let letter = hub.queue.lock().dead.get(id).cloned().ok_or(RedriveError::NoSuchLetter { id })?;
        let Some(bound) = hub.registry.get(letter.trigger()) else {
            return Err(RedriveError::NoSuchTrigger { trigger: letter.trigger().into() });
        };
        let admission = Admission { bound: &[bound], event: letter.event, bytes: letter.bytes };
        let mut queue = hub.queue.lock();
        // Somebody else may have taken it in between.
        if queue.dead.get(id).is_none() {
            return Err(RedriveError::NoSuchLetter { id });
        }
        let (delivery, count) =
            queue.admit(admission, now).map_err(|Full| PublishError::full(1, &queue.deliveries()))?;
        if count == 0 {
            // Dropped, by the queue's policy. The letter stays.
            return Err(PublishError::full(1, &queue.deliveries()).into());
        }
        hub.save_new(&mut queue, delivery, count, now)?;
        queue.dead.redrive(id);
        hub.save_later(&mut queue, 0, now);
        drop(queue);
        hub.wake.notify_one();
        Ok(delivery)
    }
}

impl Hub {
    /// The triggers that an event of the host's wakes, and the bytes that it counts for.
    pub(super) fn prepare(&self, event: &Event) -> Result<(Matched, u64), PublishError> {
        if event.ty().starts_with(RESERVED) {
            return Err(PublishError::Reserved { ty: crate::error::cut(event.ty()) });
        }
        let bytes = self.size(event)?;
        Ok((self.registry.find(event)?, bytes))
    }
}

impl Context<'_> {
    /// The delivery that the invocation belongs to; none if it was invoked by its function's handle.
    pub fn delivery(&self) -> Option<Delivery> {
        let (origin, deadline_at) = self.origin()?;
        Some(Delivery {
            trigger: origin.trigger.to_string(),
            id: origin.delivery,
            attempt: origin.attempt,
            remaining: deadline_at.saturating_sub(self.runtime().clock().now()),
        })
    }
}
