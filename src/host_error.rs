//! The error of the host's own code. This library carries it and does not look into it.

/// The error of a host function or of a store. Any error becomes one by `?`, and a text by
/// `.into()`.
pub type HostError = Box<dyn std::error::Error + Send + Sync>;
