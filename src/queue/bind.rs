//! Binding and unbinding triggers.
//!
//! Invariant: the registry and the agenda know the same schedules.

use super::Hub;
#[cfg(feature = "schedule")]
use crate::trigger::Source;
use crate::trigger::{Trigger, TriggerError};

impl Hub {
    /// Binds a trigger under a unique id.
    pub(crate) fn bind(&self, id: &str, trigger: Trigger) -> Result<(), TriggerError> {
        // This lock is held to the end, so that registry and agenda agree.
        #[cfg(feature = "schedule")]
        let (mut agenda, now) = (self.agenda.lock(), self.clock.now());
        #[cfg(feature = "schedule")]
        let date = self.queue.lock().date(now);
        #[cfg(feature = "schedule")]
        if let (Some(date), Source::Schedule(schedule)) = (date, &trigger.source) {
            schedule.next(date, date).ok_or_else(|| schedule.never())?;
        }
        // This lock is held over both steps: a new event comes after all events that an earlier
        // process had published.
        #[cfg(feature = "durable")]
        let mut queue = self.queue.lock();
        #[cfg_attr(
            not(any(feature = "schedule", feature = "durable")),
            expect(unused_variables, reason = "used only with these features")
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

    /// Unbinds a trigger. Returns `false` if no trigger has this id.
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
