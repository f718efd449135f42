//! Reports as plain data, and times as nanoseconds.
//!
//! Invariant: a name without a number in C becomes the constant that stands for all such names.

use std::time::Duration;

use dormouse::{DeployReport, Report, StartKind};

use crate::{
    deploy::*,
    status::{dormouse_status, of_outcome},
};

/// What one invocation did and used. Plain data.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct dormouse_report {
    /// The version that ran, as a SHA-256. Logs show its first seven hexadecimal digits.
    pub version: [u8; 32],
    /// DORMOUSE_OK, or the failure's status.
    pub outcome: dormouse_status,
    /// Whether an instance was ready. If not, the invocation made one from the image.
    pub warm: bool,
    /// Whether the log was cut at its limit.
    pub log_cut: bool,
    /// Fuel used. It is the same for the same input, whatever ran before.
    pub fuel: u64,
    /// Time that the run took in nanoseconds, by the runtime's clock.
    pub duration_ns: u64,
    /// Bytes of linear memory at the end, which is the peak.
    pub memory_bytes: u64,
    /// Bytes of input.
    pub input_bytes: u64,
    /// Bytes of output. 0 for a failed invocation, except with DORMOUSE_NO_ROOM.
    pub output_bytes: u64,
    /// Calls of host functions.
    pub host_calls: u64,
}

plain!(dormouse_report);

impl From<&Report> for dormouse_report {
    fn from(report: &Report) -> Self {
        Self {
            version: *report.version().as_bytes(),
            outcome: of_outcome(report.outcome()),
            warm: report.start() == StartKind::Warm,
            log_cut: report.log_cut(),
            fuel: report.fuel(),
            duration_ns: nanos(report.duration()),
            memory_bytes: report.memory_bytes(),
            input_bytes: report.input_bytes(),
            output_bytes: report.output_bytes(),
            host_calls: report.host_calls(),
        }
    }
}

/// How a used instance becomes clean.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum dormouse_cleaning {
    /// In a way without a number in this version.
    DORMOUSE_CLEANING_OTHER = 0,
    /// The guest's code changes nothing, so there is nothing to clean.
    DORMOUSE_CLEANING_NONE = 1,
    /// In place. An instance that is used often is cleaned only in the pages that were written to.
    /// The library looks for them if the thread took page faults.
    DORMOUSE_CLEANING_GATED = 2,
    /// As DORMOUSE_CLEANING_GATED, but the library looks for written pages after every run.
    DORMOUSE_CLEANING_SCANNED = 3,
    /// In place, with memories restored as a whole.
    DORMOUSE_CLEANING_PORTABLE = 4,
    /// A fresh instance replaces it.
    DORMOUSE_CLEANING_REPLACED = 5,
}

/// What one deployment found and cost. Plain data.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct dormouse_deploy_report {
    /// The deployed version: the SHA-256 of the module and the options.
    pub version: [u8; 32],
    /// How a used instance becomes clean.
    pub cleaning: dormouse_cleaning,
    /// How the function takes its input: one of the DORMOUSE_CONTRACT_ constants.
    /// DORMOUSE_CONTRACT_DETECT for a contract without a number in this version.
    pub contract: dormouse_contract,
    /// Whether it can be invoked with bytes. If not, its exports are called one by one.
    pub takes_bytes: bool,
    /// Functions that the module defines.
    pub functions: u32,
    /// Bytes of the module.
    pub module_bytes: u64,
    /// Fuel that initialisation used. It is paid once, here.
    pub init_fuel: u64,
    /// Time that the deployment took in nanoseconds, by the runtime's clock.
    pub duration_ns: u64,
    /// Bytes of linear memory that each instance starts with.
    pub memory_bytes: u64,
    /// Bytes of the pristine state that are kept.
    pub image_bytes: u64,
}

plain!(dormouse_deploy_report);

impl From<&DeployReport> for dormouse_deploy_report {
    fn from(report: &DeployReport) -> Self {
        Self {
            version: *report.version().as_bytes(),
            cleaning: match report.reset() {
                "none" => dormouse_cleaning::DORMOUSE_CLEANING_NONE,
                "by_fault_count" => dormouse_cleaning::DORMOUSE_CLEANING_GATED,
                "by_page_scan" => dormouse_cleaning::DORMOUSE_CLEANING_SCANNED,
                "portable" => dormouse_cleaning::DORMOUSE_CLEANING_PORTABLE,
                "replaced" => dormouse_cleaning::DORMOUSE_CLEANING_REPLACED,
                _ => dormouse_cleaning::DORMOUSE_CLEANING_OTHER,
            },
            contract: match report.contract() {
                "command" => DORMOUSE_CONTRACT_COMMAND,
                "buffer" => DORMOUSE_CONTRACT_BUFFER,
                "plain" => DORMOUSE_CONTRACT_PLAIN,
                "extism" => DORMOUSE_CONTRACT_EXTISM,
                _ => DORMOUSE_CONTRACT_DETECT,
            },
            takes_bytes: report.contract() != "plain",
            functions: report.functions(),
            module_bytes: report.module_bytes(),
            init_fuel: report.init_fuel(),
            duration_ns: nanos(report.duration()),
            memory_bytes: report.memory_bytes(),
            image_bytes: report.image_bytes(),
        }
    }
}

/// Nanoseconds. A time beyond 584 years becomes `u64::MAX`.
pub(crate) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// A time from nanoseconds. `u64::MAX` stands for no limit.
pub(crate) fn time(nanos: u64) -> Duration {
    if nanos == u64::MAX { Duration::MAX } else { Duration::from_nanos(nanos) }
}
