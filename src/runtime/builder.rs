//! Choices for a runtime.

use std::sync::Arc;

use super::Runtime;
use crate::queue::{EventLimits, Hub};
use crate::{
    clock::{Clock, SystemClock},
    function::Functions,
    limits::{Reset, RuntimeLimits},
};
#[cfg(feature = "durable")]
use crate::{disk::StoreError, queue::Store};

/// Choices for a runtime, from [`Runtime::builder`].
#[must_use = "there is no runtime until `build` is called"]
pub struct RuntimeBuilder {
    limits: RuntimeLimits,
    clock: Option<Arc<dyn Clock>>,
    reset: Reset,
    events: EventLimits,
    seed: u64,
}

impl RuntimeBuilder {
    pub(super) fn new() -> Self {
        Self {
            limits: RuntimeLimits::default(),
            clock: None,
            reset: Reset::Auto,
            events: EventLimits::default(),
            seed: 0,
        }
    }

    /// The runtime's bounds, instead of [`RuntimeLimits::default`].
    pub fn limits(mut self, limits: RuntimeLimits) -> Self {
        self.limits = limits;
        self
    }

    /// How used instances are made clean, instead of [`Reset::Auto`].
    pub fn reset(mut self, reset: Reset) -> Self {
        self.reset = reset;
        self
    }

    /// A clock of the host's own, instead of the machine's.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    /// The bounds of triggers and deliveries, instead of [`EventLimits::default`].
    #[cfg(feature = "events")]
    pub fn events(mut self, limits: EventLimits) -> Self {
        self.events = limits;
        self
    }

    /// What random numbers are drawn from: the jitter of retries, and the ids of events that were
    /// given none. Default 0, so that a run can be repeated; a host whose event ids must differ
    /// from those of its last run gives another each time.
    #[cfg(feature = "events")]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// A runtime whose deliveries and dead letters survive its process, in a file that is made if
    /// it is not there. A deployed function and a trigger do not: the host deploys and binds as
    /// always, and deliveries that were left go on when the trigger of their id is bound.
    ///
    /// [`Runtime::publish`] returns when its deliveries are on disk, which takes as long as the disk takes to write through. A delivery that has ended
    /// is removed soon after: if the process dies in between, it is made again. Time in which no
    /// process runs ages nothing.
    ///
    /// ```
    /// # let folder = std::env::temp_dir().join(format!("dormouse-doc-{}", std::process::id()));
    /// # std::fs::create_dir_all(&folder)?;
    /// # let path = folder.join("deliveries");
    /// use dormouse::{Event, Runtime, Trigger};
    ///
    /// let runtime = Runtime::builder().open(&path)?;
    /// runtime.bind("orders", Trigger::on("order.created").to("charge"))?;
    /// runtime.publish(runtime.event(Event::builder("order.created"))?)?;
    /// drop(runtime); // or a power cut
    ///
    /// let runtime = Runtime::builder().open(&path)?;
    /// assert_eq!(runtime.deliveries().stats().parked, 1);
    /// # drop(runtime);
    /// # std::fs::remove_dir_all(&folder)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`StoreError`]: the file cannot be opened or read.
    #[cfg(feature = "durable")]
    pub fn open(self, path: impl AsRef<std::path::Path>) -> Result<Runtime, StoreError> {
        self.build_on(Store::open(path.as_ref())?)
    }

    #[cfg(feature = "durable")]
    pub(crate) fn build_on(self, store: Store) -> Result<Runtime, StoreError> {
        let runtime = self.build();
        runtime.0.hub.attach(store)?;
        Ok(runtime)
    }

    /// The runtime.
    pub fn build(self) -> Runtime {
        let clock = self.clock.unwrap_or_else(|| Arc::new(SystemClock));
        let hub = Hub::new(self.events, self.seed, Arc::clone(&clock));
        Runtime(Functions::new(self.limits, clock, self.reset, hub))
    }
}

impl std::fmt::Debug for RuntimeBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RuntimeBuilder")
            .field("limits", &self.limits)
            .field("reset", &self.reset)
            .field("events", &self.events)
            .finish_non_exhaustive()
    }
}
