//! Binding and unbinding triggers.
//!
//! Invariant: the registry and the agenda know the same schedules.

use super::Hub;
use crate::trigger::Source;
use crate::trigger::{Trigger, TriggerError};

impl Hub {
    /// Binds a trigger under a unique id.
    pub(crate) fn bind(&self, id: &str, trigger: Trigger) -> Result<(), TriggerError> {
        // This lock is held to the end, so that registry and agenda agree.
        let (mut agenda, now) = (self.agenda.lock(), self.clock.now());
        let date = self.queue.lock().date(now);
        if let (Some(date), Source::Schedule(schedule)) = (date, &trigger.source) {
            schedule.next(date, date).ok_or_else(|| schedule.never())?;
        }
        // This lock is held over both steps: a new event comes after all events that an earlier
        // process had published.
        let mut queue = self.queue.lock();
        let bound = self.registry.bind(id, trigger, self.limits.triggers)?;
        if queue.adopt(&bound) > 0 {
            self.wake.notify_all();
        }
        if let Source::Schedule(_) = &bound.trigger.source {
            agenda.add(bound, date);
        }
        Ok(())
    }

    /// Unbinds a trigger. Returns `false` if no trigger has this id.
    pub(crate) fn unbind(&self, id: &str) -> bool {
        let mut agenda = self.agenda.lock();
        let unbound = self.registry.unbind(id);
        if let Some(bound) = &unbound {
            agenda.remove(bound.number);
        }
        unbound.is_some()
    }
}
