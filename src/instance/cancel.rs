//! The handle by which another thread ends an invocation.
//!
//! Invariant: a handle that was cancelled stays cancelled, and no idle instance keeps one.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// Cancels the invocations that were given this handle, from any thread, at their next slice of
/// fuel.
///
/// ```
/// # let runtime = dormouse::Runtime::new();
/// # let spin = wat::parse_str("(module (func (export \"spin\") (loop (br 0))))").unwrap();
/// # let function = runtime.deploy("spin", &spin)?;
/// use dormouse::{Cancel, InvokeErrorKind};
///
/// let cancel = Cancel::new();
/// let watchdog = std::thread::spawn({
///     let cancel = cancel.clone();
///     move || cancel.cancel()
/// });
/// let error = function.invocation(b"").cancel(&cancel).call("spin", &[]).unwrap_err();
/// assert_eq!(*error.kind(), InvokeErrorKind::Cancelled);
/// # watchdog.join().unwrap();
/// # Ok::<(), dormouse::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Creates a handle that is not cancelled.
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends all invocations that hold a clone of this handle, those that run and those that begin
    /// later. The handle stays cancelled.
    pub fn cancel(&self) {
        // This is only a flag: no other data is passed with it.
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether [`cancel`](Self::cancel) has been called.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that unwraps fails with the error")]
mod tests {
    use super::*;

    #[test]
    fn no_idle_instance_holds_the_handle_of_a_run() {
        let runtime = crate::Runtime::new();
        let module = wat::parse_str(r#"(module (func (export "run")))"#).unwrap();
        let (function, cancel) = (runtime.deploy("f", &module).unwrap(), Cancel::new());
        function.invocation(b"").cancel(&cancel).call("run", &[]).unwrap();
        assert_eq!((function.instances().idle, Arc::strong_count(&cancel.0)), (1, 1));
    }
}
