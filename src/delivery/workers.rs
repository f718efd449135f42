//! Threads that run the queue, for hosts that want some.
//!
//! Invariant: a worker keeps the runtime alive only while it runs a delivery, so that dropping the last handle ends it.

use std::{
    io,
    sync::{Arc, Weak},
    time::Duration,
};

use super::run::{Begun, run};
use crate::{
    function::Functions,
    queue::Hub,
    sync::{
        atomic::{AtomicU64, Ordering},
        thread::{self, JoinHandle},
    },
};

/// The longest sleep of a worker that waits for something to become due: a clock of the host's own may go faster than real
/// time.
const NAP: Duration = Duration::from_millis(100);

/// Worker threads, from [`Runtime::workers`](crate::Runtime::workers). When this guard is dropped they finish what is ready by then, and end; what waits for another
/// attempt or for a function stays in the queue. Dropping it waits for that.
#[must_use = "the workers end when this is dropped"]
#[derive(Debug)]
pub struct Workers {
    hub: Arc<Hub>,
    /// Deliveries from this number on are left to others: no bound, while the guard lives.
    end: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    pub(crate) fn start(functions: &Arc<Functions>, count: usize) -> io::Result<Self> {
        let end = Arc::new(AtomicU64::new(u64::MAX));
        let mut workers = Self { hub: Arc::clone(&functions.hub), end, threads: Vec::new() };
        for number in 0..count {
            let (hub, end, functions) = (Arc::clone(&workers.hub), Arc::clone(&workers.end), Arc::downgrade(functions));
            let thread = thread::Builder::new().name(format!("dormouse-{number}"));
            // Dropped on failure, the guard ends those that have started.
            workers.threads.push(thread.spawn(move || work(&hub, &end, &functions))?);
        }
        Ok(workers)
    }

    /// How many threads there are.
    pub fn count(&self) -> usize {
        self.threads.len()
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        {
            let queue = self.hub.queue.lock();
            self.end.store(queue.next_id(), Ordering::Relaxed);
        }
        self.hub.wake.notify_all();
        let own = thread::current().id();
        for thread in self.threads.drain(..) {
            // A host function may drop the guard on a worker, which cannot wait for itself. A worker that panicked has
            // said so on standard error.
            if thread.thread().id() != own {
                let _ = thread.join();
            }
        }
    }
}

fn work(hub: &Hub, end: &AtomicU64, functions: &Weak<Functions>) {
    let mut buffer = Vec::new();
    while let Some(functions) = functions.upgrade() {
        let now = hub.clock.now();
        let job = {
            let mut queue = hub.queue.lock();
            queue.wake(now);
            queue.take(end.load(Ordering::Relaxed), now)
        };
        if let Some(job) = job {
            run(&functions, Begun::new(hub, job), &mut buffer);
            continue;
        }
        // The last handle may be this one, and its end takes the lock.
        drop(functions);
        let mut queue = hub.queue.lock();
        let (end, is_closed) = (end.load(Ordering::Relaxed), hub.is_closed());
        if !is_closed && queue.has_ready(end) {
            continue;
        }
        let ends = is_closed || end != u64::MAX;
        // Also at the end: nobody might come by for long.
        hub.save_later(&mut queue, 0, now);
        if ends {
            return;
        }
        // As it is now: while the lock was not held, somebody else may have made something due.
        match queue.next_due() {
            Some(due) => drop(hub.wake.wait_for(&mut queue, due.saturating_sub(now).min(NAP))),
            None => hub.wake.wait(&mut queue),
        }
    }
}
