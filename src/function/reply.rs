//! What a successful invocation gives back.

use std::borrow::Cow;

use crate::{
    usage::Report,
    value::{Value, Values},
};

/// The reply to one event: its output, its log and its report. As bytes it is the output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub(crate) output: Vec<u8>,
    pub(crate) log: Vec<u8>,
    pub(crate) report: Report,
}

impl Reply {
    /// The function's output.
    pub fn output(&self) -> &[u8] {
        &self.output
    }

    /// The output, owned.
    pub fn into_output(self) -> Vec<u8> {
        self.output
    }

    /// What host functions logged for this invocation, one in each line. [`Report::log_cut`] tells
    /// whether the log is complete.
    pub fn log(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.log)
    }

    /// What the invocation did and used.
    pub fn report(&self) -> &Report {
        &self.report
    }

    pub(crate) fn into_report(self) -> Report {
        self.report
    }
}

impl AsRef<[u8]> for Reply {
    /// The output.
    fn as_ref(&self) -> &[u8] {
        &self.output
    }
}

/// The result of [`Function::call`](crate::Function::call) or
/// [`Function::session`](crate::Function::session).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionReply<T> {
    pub(crate) value: T,
    pub(crate) log: Vec<u8>,
    pub(crate) report: Report,
}

impl<T> SessionReply<T> {
    /// The value that the session's closure returned.
    pub fn value(&self) -> &T {
        &self.value
    }

    /// The same, owned.
    pub fn into_value(self) -> T {
        self.value
    }

    /// What host functions logged for this invocation, one in each line.
    pub fn log(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.log)
    }

    /// What the invocation did and used.
    pub fn report(&self) -> &Report {
        &self.report
    }
}

impl SessionReply<Values> {
    /// The results of the call.
    pub fn values(&self) -> &[Value] {
        &self.value
    }
}
