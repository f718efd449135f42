//! What can go wrong, one enum for each family of operations.
//!
//! Invariant: an error says what, where and what to do. Text that comes from a guest or a host
//! function is escaped where it is printed, and cut at 4 KiB.

mod busy;
mod deploy;
mod invoke;
mod serialised;
mod trap;

pub use busy::Busy;
pub use deploy::{DeployError, LimitKind, UnknownImport};
pub use invoke::{InvokeError, InvokeErrorKind};
pub use trap::Trap;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_small() {
        assert_eq!(size_of::<InvokeError>(), size_of::<usize>());
        assert!(size_of::<InvokeErrorKind>() <= 64, "{}", size_of::<InvokeErrorKind>());
        assert!(size_of::<DeployError>() <= 64, "{}", size_of::<DeployError>());
    }
}
