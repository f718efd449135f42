//! Triggers come into force and go, in the registry and in the agenda alike.

use super::Hub;
#[cfg(feature = "schedule")]
use crate::trigger::Source;
use crate::trigger::{Trigger, TriggerError};

impl Hub {
    /// Brings a trigger into force under an id of its own.
    pub(crate) fn bind(&self, id: &str, trigger: Trigger) -> Result<(), TriggerError> {
        // Held until all is done, so that registry and agenda agree.
        #[cfg(feature = "schedule")]
        let (mut agenda, now) = (self.agenda.lock(), self.clock.now());
        #[cfg(feature = "schedule")]
        let date = self.queue.lock().date(now);
        #[cfg(feature = "schedule")]
        if let (Some(date), Source::Schedule(schedule)) = (date, &trigger.source) {
            schedule.next(date, date).ok_or_else(|| schedule.never())?;
        }
        // Held over both steps: what is published in between comes after what an earlier process had published.
        #[cfg(feature = "durable")]
        let mut queue = self.queue.lock();
        #[cfg_attr(
            not(any(feature = "schedule", feature = "durable")),
            expect(unused_variables, reason = "only looked at further on")
        )]
        let bound = self.registry.bind(id, trigger, self.limits.triggers)?;
        #[cfg(feature = "durable")]
        if queue.adopt(&bound) > 0 {
            self.wake.notify_all();
        }
        #[cfg(feature = "schedule")]
        if let Source::Schedule(_) = &bound.trigger.source {
            agenda.add(bound, date);
        }
        Ok(())
    }

    /// Takes a trigger out of force. `false` if there is none.
    pub(crate) fn unbind(&self, id: &str) -> bool {
        #[cfg(feature = "schedule")]
        let mut agenda = self.agenda.lock();
        let unbound = self.registry.unbind(id);
        #[cfg(feature = "schedule")]
        if let Some(bound) = &unbound {
            agenda.remove(bound.number);
        }
        unbound.is_some()
    }
}
