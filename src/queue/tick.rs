//! Time passes: schedules fire, and what waits becomes ready.

use std::time::Duration;

use super::Hub;
use crate::event::Timestamp;

/// What one tick did before anything runs.
pub(crate) struct Ticked {
    /// Events that schedules fired.
    pub(crate) fired: usize,
    /// Deliveries that are ready, or will be as soon as those before them in their order have ended.
    pub(crate) at_hand: usize,
}

impl Hub {
    /// Takes the date over, fires the schedules, and makes ready what has become due.
    pub(crate) fn tick(&self, now: Timestamp) -> Ticked {
        let uptime = self.clock.now();
        let mut agenda = self.agenda.lock();
        let (fired, at_hand) = {
            let mut queue = self.queue.lock();
            queue.set_date(now, uptime);
            queue.save_anew();
            let fired = agenda.fire(self, &mut queue, now, uptime);
            queue.wake(uptime);
            (fired, queue.at_hand())
        };
        drop(agenda);
        // A clock that jumped may have made something due for workers that sleep.
        self.wake.notify_all();
        Ticked { fired, at_hand }
    }

    /// How long until there is something to do. `None` if only a call of the host can bring something about.
    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        let now = self.clock.now();
        let agenda = self.agenda.lock();
        let queue = self.queue.lock();
        if queue.has_ready(u64::MAX) {
            return Some(Duration::ZERO);
        }
        let due = queue.next_due().map(|due| due.saturating_sub(now));
        let scheduled = queue.date(now).and_then(|date| agenda.next_due(date, &queue));
        due.into_iter().chain(scheduled).min()
    }
}
