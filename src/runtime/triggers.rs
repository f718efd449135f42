//! The triggers of a runtime, as a host sees them.

use crate::{
    event::Event,
    function::Functions,
    pattern::MatchError,
    trigger::{Trigger, TriggerError, Verdict},
};

/// The triggers of a runtime, from [`Runtime::triggers`](crate::Runtime::triggers).
///
/// ```
/// use dormouse::{Runtime, Trigger};
///
/// let runtime = Runtime::new();
/// runtime.triggers().bind("orders", Trigger::on("order.created").to("charge"))?;
/// assert_eq!(runtime.triggers().ids(), ["orders"]);
/// assert!(runtime.triggers().disable("orders"));
/// assert!(runtime.triggers().unbind("orders"));
/// # Ok::<(), dormouse::Error>(())
/// ```
#[derive(Clone, Copy)]
pub struct Triggers<'a>(pub(super) &'a Functions);

impl Triggers<'_> {
    /// Brings a trigger into force, as [`Runtime::bind`](crate::Runtime::bind) does.
    ///
    /// # Errors
    /// See [`TriggerError`]. The error for a taken id names its holder.
    pub fn bind(&self, id: &str, trigger: Trigger) -> Result<(), TriggerError> {
        self.0.hub.bind(id, trigger)
    }

    /// Takes a trigger out of force. Deliveries that it has made go on. `false` if no trigger has
    /// the id.
    pub fn unbind(&self, id: &str) -> bool {
        self.0.hub.unbind(id)
    }

    /// Switches a trigger on, for what is published from now on. `false` if no trigger has the id.
    pub fn enable(&self, id: &str) -> bool {
        self.0.hub.registry.enable(id, true)
    }

    /// Switches a trigger off: it matches nothing, and keeps its id. Deliveries that it has made go
    /// on. `false` if no trigger has the id.
    pub fn disable(&self, id: &str) -> bool {
        self.0.hub.registry.enable(id, false)
    }

    /// The trigger of this id, as it is now.
    pub fn get(&self, id: &str) -> Option<Trigger> {
        self.0.hub.registry.trigger(id)
    }

    /// The ids of all triggers, in the order of binding.
    pub fn ids(&self) -> Vec<String> {
        self.0.hub.registry.ids()
    }

    /// The ids of the triggers that an event would wake, in the order of binding. Nothing is
    /// published.
    ///
    /// # Errors
    /// [`MatchError::Ambiguous`]: only where patterns are bound, and for events that repeat keys.
    pub fn matches(&self, event: &Event) -> Result<Vec<String>, MatchError> {
        Ok(self.0.hub.registry.find(event)?.iter().map(|bound| bound.id.to_string()).collect())
    }

    /// Whether an event would wake a trigger, and if not, which field fails first and why. `None`
    /// if no trigger has the id.
    ///
    /// ```
    /// use dormouse::{Event, Runtime, Trigger, Verdict};
    ///
    /// let runtime = Runtime::new();
    /// runtime.bind("climate", Trigger::topic("subject", "sensors/+/temperature")?.to("record"))?;
    /// let event = Event::builder("reading").id("1").source("/house").subject("sensors/7/humidity").build()?;
    /// let verdict = runtime.triggers().explain(&event, "climate");
    /// let Some(Verdict::Fails { field, reason, .. }) = verdict else { panic!() };
    /// assert_eq!(field, "subject");
    /// assert_eq!(reason, r#"level 3 should be "temperature", but is "humidity""#);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn explain(&self, event: &Event, id: &str) -> Option<Verdict> {
        self.0.hub.registry.explain(event, id)
    }
}

impl std::fmt::Debug for Triggers<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Triggers").field(&self.ids()).finish()
    }
}
