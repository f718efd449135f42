//! The error of the host's own code, which this library carries and does not look into.

/// The error of a host function or of a store: any error, or a text, by `?` or `.into()`.
pub type HostError = Box<dyn std::error::Error + Send + Sync>;
