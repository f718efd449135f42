//! The options of a deployment for an Extism plug-in.
//!
//! Invariant: the debug form of the options is part of the version.

use std::{collections::BTreeMap, fmt, str::FromStr, sync::Arc};

use super::{
    state::Settings,
    vars::{VARS_MAX, Vars, entry_bytes},
};
use crate::{
    limits::{ParseError, word},
    usage::VARIABLE_PREFIX,
};

/// The lowest level of an Extism plug-in's log that is kept, for [`Extism::log_level`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LogLevel {
    /// All of the log.
    #[default]
    Trace,
    /// All of the log except traces.
    Debug,
    /// Information, warnings and errors.
    Info,
    /// Warnings and errors.
    Warn,
    /// Errors only.
    Error,
    /// Nothing.
    Off,
}

impl LogLevel {
    /// The number that `get_log_level` answers.
    pub(super) fn number(self) -> u32 {
        match self {
            Self::Off => i32::MAX as u32,
            level => level as u32,
        }
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
            Self::Off => "off",
        })
    }
}

impl FromStr for LogLevel {
    type Err = ParseError;

    /// Reads what `Display` writes.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let all = [Self::Trace, Self::Debug, Self::Info, Self::Warn, Self::Error, Self::Off];
        word("log level", &all, text)
    }
}

/// What a deployment gives to an Extism plug-in, for
/// [`Deployment::extism`](crate::Deployment::extism).
///
/// ```
/// use dormouse::{Extism, LogLevel};
///
/// let options = Extism::new().config("unit", "vowels").var("total", b"5").log_level(LogLevel::Info);
/// # let _ = options;
/// ```
// The debug form is part of the version.
#[must_use = "it has no effect until it is given to a deployment"]
#[derive(Clone, Debug, Default)]
pub struct Extism {
    config: BTreeMap<Box<str>, Box<str>>,
    vars: BTreeMap<Box<str>, Arc<[u8]>>,
    log_level: LogLevel,
}

impl Extism {
    /// No configuration, no variables, and all of the log.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a value of the plug-in's configuration, which is empty by default. A later value of the
    /// same key replaces the earlier one. The configuration may have 1 MiB, with 48 bytes counted
    /// for each key.
    ///
    /// Keys that begin with `DORMOUSE_` are reserved. Under them a plug-in that serves a delivery
    /// finds what a WASI program finds in its environment.
    pub fn config(mut self, key: &str, value: &str) -> Self {
        self.config.insert(key.into(), value.into());
        self
    }

    /// Sets a variable that the plug-in finds in each invocation. Variables that the plug-in sets
    /// itself are gone when the invocation ends. All variables may have 1 MiB, with 48 bytes
    /// counted for each key.
    ///
    /// ```
    /// # let module = wat::parse_str(r#"(module (import "extism:host/env" "input_offset" (func $input (result i64)))
    /// #   (import "extism:host/env" "length" (func $length (param i64) (result i64)))
    /// #   (import "extism:host/env" "var_get" (func $get (param i64) (result i64)))
    /// #   (import "extism:host/env" "output_set" (func $output (param i64 i64)))
    /// #   (func (export "look") (local $at i64) (local.set $at (call $get (call $input)))
    /// #     (call $output (local.get $at) (call $length (local.get $at)))))"#).unwrap();
    /// use dormouse::{Extism, Runtime};
    ///
    /// let runtime = Runtime::new();
    /// let look = runtime.deployment("look", &module).extism(Extism::new().var("greeting", b"hello")).deploy()?;
    /// assert_eq!(look.invoke(b"greeting")?.output(), b"hello");
    /// # Ok::<(), dormouse::Error>(())
    /// ```
    pub fn var(mut self, key: &str, value: &[u8]) -> Self {
        self.vars.insert(key.into(), value.into());
        self
    }

    /// Sets the lowest level of the plug-in's log that is kept. By default all of it is kept. A
    /// plug-in can ask for this level.
    pub fn log_level(mut self, level: LogLevel) -> Self {
        self.log_level = level;
        self
    }

    /// The first option that cannot be met, and why.
    pub(crate) fn problem(&self) -> Option<(&'static str, String)> {
        if let Some(key) = self.config.keys().find(|key| key.starts_with(VARIABLE_PREFIX)) {
            let problem =
                format!("the key {key:?} is reserved: keys that begin with {VARIABLE_PREFIX} describe the delivery");
            return Some(("config", problem));
        }
        let config = self.config.iter().map(|(key, value)| entry_bytes(key, value.len() as u64)).sum::<u64>();
        let vars = self.vars.iter().map(|(key, value)| entry_bytes(key, value.len() as u64)).sum::<u64>();
        let too_large = [("config", config), ("var", vars)].into_iter().find(|(_, bytes)| *bytes > VARS_MAX);
        let problem = |bytes| format!("{bytes} bytes, 48 for each key included, are above the limit of {VARS_MAX}");
        too_large.map(|(option, bytes)| (option, problem(bytes)))
    }

    /// The form that all instances of a version share.
    pub(crate) fn settings(self) -> Option<Arc<Settings>> {
        let config = self.config.into_iter().map(|(key, value)| (key, value.as_bytes().into())).collect();
        Some(Arc::new(Settings { config, vars: Arc::new(Vars::new(self.vars)), log_level: self.log_level }))
    }
}
