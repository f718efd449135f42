//! The delivery that an invocation belongs to, as contracts and host functions hand it to the
//! guest.
//!
//! Invariant: what a guest learns of it follows from the delivery and from what its run may use,
//! never from the instance or the machine.

use std::{sync::Arc, time::Duration};

use super::Label;

/// How the names begin that the runtime reserves. No deployment gives a variable of such a name.
pub(crate) const VARIABLE_PREFIX: &str = "DORMOUSE_";

/// Bytes of all variables of an origin at most, as `NAME=value` with a byte at the end of each.
/// Names of functions and triggers have 64 bytes at most.
pub(crate) const VARIABLES_MAX: usize = 512;

/// Which delivery it is, and which attempt.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    pub(crate) trigger: Arc<str>,
    pub(crate) delivery: u64,
    pub(crate) attempt: u32,
    /// How many replies led to its event.
    pub(crate) hops: u32,
}

impl Origin {
    /// What a guest learns, by name. `deadline` is the time that its run has.
    pub(crate) fn variables(&self, label: &Label, deadline: Duration) -> [(&'static str, String); 6] {
        [
            ("DORMOUSE_FUNCTION", label.name.to_string()),
            ("DORMOUSE_VERSION", label.version.to_string()),
            ("DORMOUSE_TRIGGER", self.trigger.to_string()),
            ("DORMOUSE_DELIVERY", self.delivery.to_string()),
            ("DORMOUSE_ATTEMPT", self.attempt.to_string()),
            ("DORMOUSE_DEADLINE_MS", u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX).to_string()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::usage::Version;

    #[test]
    fn the_longest_variables_keep_within_their_bound_and_their_prefix() {
        let name = "x".repeat(64);
        let label = Label { name: name.as_str().into(), version: Version::of(b"", &()) };
        let origin = Origin { trigger: name.into(), delivery: u64::MAX, attempt: u32::MAX, hops: u32::MAX };
        let variables = origin.variables(&label, Duration::MAX);
        assert!(variables.iter().all(|(name, _)| name.starts_with(VARIABLE_PREFIX)));
        let bytes: usize = variables.iter().map(|(name, value)| name.len() + value.len() + 2).sum();
        assert!(bytes <= VARIABLES_MAX, "{bytes}");
    }
}
