//! Spans for hosts that use the crate tracing. Without the feature `tracing` they are nothing.
//!
//! Invariant: without the feature, a span costs nothing.

use super::Label;

#[cfg(feature = "tracing")]
mod with {
    use super::Label;

    pub(crate) type Span = tracing::span::EnteredSpan;

    pub(crate) fn invocation(label: &Label) -> Span {
        tracing::info_span!("invocation", function = %label.name, version = %label.version.short()).entered()
    }

    pub(crate) fn deployment(name: &str) -> Span {
        tracing::info_span!("deployment", function = %name).entered()
    }

    pub(crate) fn report(report: &impl std::fmt::Display) {
        tracing::info!("{report}");
    }
}

#[cfg(not(feature = "tracing"))]
mod with {
    use super::Label;

    /// A span without tracing.
    pub(crate) struct Span;

    pub(crate) fn invocation(_: &Label) -> Span {
        Span
    }

    pub(crate) fn deployment(_: &str) -> Span {
        Span
    }

    pub(crate) fn report(_: &impl std::fmt::Display) {}
}

pub(crate) use with::{deployment, invocation, report};
