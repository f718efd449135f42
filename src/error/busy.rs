//! Why no instance is free for an invocation.

use std::{fmt, time::Duration};

/// Why no instance is free.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Busy {
    /// All instances of the function are in use.
    #[error("{}", InUse(*max, *waited))]
    Instances {
        /// Instances that the function may have. 0 switches it off.
        max: usize,
        /// How long the invocation waited.
        waited: Duration,
    },
    /// The runtime has as many instances as it may, and none of them is idle.
    #[error("the runtime has {limit} instances, its limit, and none is idle; raise `RuntimeLimits::instances`")]
    RuntimeInstances {
        /// The limit.
        limit: usize,
    },
    /// The instances of the runtime hold as much memory as they may, and none of them is idle.
    #[error(
        "{wanted} bytes more would exceed the runtime's {limit} bytes of resident memory, and no \
         instance is idle; raise `RuntimeLimits::resident_memory`"
    )]
    RuntimeMemory {
        /// Bytes wanted.
        wanted: u64,
        /// The limit.
        limit: u64,
    },
}

impl Busy {
    /// The kind in one word: `instances`, `runtime_instances`, `runtime_memory`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Instances { .. } => "instances",
            Self::RuntimeInstances { .. } => "runtime_instances",
            Self::RuntimeMemory { .. } => "runtime_memory",
        }
    }
}

/// [`Busy::Instances`] in words.
struct InUse(usize, Duration);

impl fmt::Display for InUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(max, waited) = self;
        match max {
            0 => return f.write_str("the function is off: `Deployment::instances` allows it no instance"),
            1 => f.write_str("the one instance of the function is in use")?,
            _ => write!(f, "all {max} instances of the function are in use")?,
        }
        if !waited.is_zero() {
            write!(f, ", after waiting {waited:?}")?;
        }
        f.write_str("; raise `Deployment::instances` or `max_wait`")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_that_is_off_is_told_from_a_busy_one() {
        let busy = |max, waited| Busy::Instances { max, waited }.to_string();
        assert_eq!(busy(0, Duration::ZERO), "the function is off: `Deployment::instances` allows it no instance");
        assert!(busy(1, Duration::ZERO).starts_with("the one instance of the function is in use; raise"));
        assert!(
            busy(4, Duration::from_secs(1))
                .starts_with("all 4 instances of the function are in use, after waiting 1s;")
        );
    }
}
