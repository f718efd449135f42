//! The deliveries of a runtime, as a host sees them: running them, looking at them, and what became
//! of those that were given up.

use std::{io, sync::Arc, time::Duration};

use crate::{
    delivery::{self, Workers},
    function::Functions,
    queue::{DeadLetter, DeliveryStats, RedriveError},
};

/// The deliveries of a runtime, from [`Runtime::deliveries`](crate::Runtime::deliveries).
///
/// An event that is published is delivered at least once to each trigger that it matches, as long
/// as the process lives. A delivery ends when its function has succeeded, when it expires, or as a
/// dead letter. A function may see an event twice.
#[derive(Clone, Copy)]
pub struct Deliveries<'a>(pub(super) &'a Arc<Functions>);

impl Deliveries<'_> {
    /// How many deliveries there are, and where: figures of one moment.
    pub fn stats(&self) -> DeliveryStats {
        self.0.hub.queue.lock().stats()
    }

    /// Runs what is ready, on this thread: the oldest first, `budget` attempts at most. Returns how
    /// many attempts it made.
    ///
    /// Ready are new deliveries, those whose delay before the next attempt has passed, and those
    /// whose function has been deployed since they were parked.
    pub fn run_pending(&self, budget: usize) -> usize {
        delivery::run_pending(self.0, budget)
    }

    /// How long a host may sleep before there is something to do, by the runtime's clock: zero if a
    /// delivery is ready. `None` if only a call of the host can bring something about.
    pub fn next_deadline(&self) -> Option<Duration> {
        self.0.hub.next_deadline()
    }

    /// Starts threads that run the queue until the guard is dropped.
    ///
    /// They do not keep the runtime alive, and they fire no schedules: a host that has any calls
    /// [`Runtime::tick`](crate::Runtime::tick) all the same.
    ///
    /// ```
    /// # let echo = wat::parse_str(r#"(module (memory (export "memory") 1)
    /// #   (func (export "alloc") (param i32) (result i32) (i32.const 1024))
    /// #   (func (export "handle") (param i32 i32) (result i64) (i64.const 0)))"#).unwrap();
    /// # use dormouse::{Event, Runtime, Trigger};
    /// let runtime = Runtime::new();
    /// runtime.deploy("count", &echo)?;
    /// runtime.bind("clicks", Trigger::on("click").to("count"))?;
    /// let workers = runtime.deliveries().workers(2)?;
    /// for _ in 0..100 {
    ///     runtime.publish(runtime.event(Event::builder("click"))?)?;
    /// }
    /// drop(workers); // finishes what is ready
    /// assert_eq!(runtime.deliveries().stats().succeeded, 100);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// What the system says where it has no thread to give.
    pub fn workers(&self, count: usize) -> io::Result<Workers> {
        Workers::start(self.0, count)
    }

    /// The dead letters that are held, the oldest first.
    pub fn dead_letters(&self) -> Vec<DeadLetter> {
        self.0.hub.dead_letters()
    }

    /// Takes all dead letters out, the oldest first.
    pub fn drain_dead_letters(&self) -> Vec<DeadLetter> {
        self.0.hub.drain_dead_letters()
    }

    /// Queues the event of a dead letter once more for its trigger, as a new delivery whose number
    /// it returns.
    ///
    /// # Errors
    /// See [`RedriveError`]. The letter is held as before.
    pub fn redrive(&self, id: u64) -> Result<u64, RedriveError> {
        self.0.hub.redrive(id)
    }
}

impl std::fmt::Debug for Deliveries<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Deliveries").field(&self.stats()).finish()
    }
}
