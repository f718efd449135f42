//! Worker threads that run the queue, for hosts that want them.
//!
//! Invariant: a worker keeps the runtime alive only while it runs a delivery. So dropping the last
//! handle ends the runtime.

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

/// The longest sleep of a worker that waits for a due time. A host's own clock may run faster than
/// real time.
const NAP: Duration = Duration::from_millis(100);

/// Worker threads, from [`Deliveries::workers`](crate::Deliveries::workers). Dropping this guard waits
/// until the workers have finished what is ready by then, and ends them. Deliveries that wait for
/// another attempt or for a function stay in the queue.
#[must_use = "the workers end when this is dropped"]
#[derive(Debug)]
pub struct Workers {
    hub: Arc<Hub>,
    /// The workers leave deliveries from this number on to others. It is `u64::MAX` while the guard
    /// lives.
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
            // If a thread does not start, dropping the guard ends those that have started.
            workers.threads.push(thread.spawn(move || work(&hub, &end, &functions))?);
        }
        Ok(workers)
    }

    /// The number of threads.
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
            // A host function may drop the guard on a worker. A worker cannot wait for itself. A
            // worker that panicked has already reported it on standard error.
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
        // This may be the last handle. Dropping it takes the queue's lock.
        drop(functions);
        let mut queue = hub.queue.lock();
        let (end, is_closed) = (end.load(Ordering::Relaxed), hub.is_closed());
        if !is_closed && queue.has_ready(end) {
            continue;
        }
        let ends = is_closed || end != u64::MAX;
        // Also when the worker ends: another write might not follow for a long time.
        hub.save_later(&mut queue, 0, now);
        if ends {
            return;
        }
        // Read again: another thread may have made something due while the lock was free.
        match queue.next_due() {
            Some(due) => drop(hub.wake.wait_for(&mut queue, due.saturating_sub(now).min(NAP))),
            None => hub.wake.wait(&mut queue),
        }
    }
}
