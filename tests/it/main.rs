//! The library's behaviour, seen from outside: one file a room.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with the error")]

mod aliases;
mod attack;
mod corpus;
#[cfg(feature = "events")]
mod delivery;
#[cfg(feature = "events")]
mod delivery_model;
mod dependencies;
mod deploy;
mod differential;
#[cfg(feature = "durable")]
mod durable;
mod errors;
#[cfg(feature = "events")]
mod events;
mod faults;
#[cfg(feature = "wasi")]
mod guest_corpus;
mod guests;
mod host;
mod ledger;
mod limits;
mod limits_of_runs;
mod limits_of_runtimes;
#[cfg(feature = "events")]
mod pattern_index;
#[cfg(feature = "events")]
mod pattern_model;
#[cfg(feature = "events")]
mod patterns;
mod pool;
#[cfg(feature = "events")]
mod replies;
mod reset;
#[cfg(feature = "events")]
mod routes;
#[cfg(feature = "schedule")]
mod schedules;
mod stack;
mod stateless;
mod stress;
mod support;
#[allow(unreachable_pub, reason = "elsewhere it is a library")]
#[path = "../../fuzz/src/lib.rs"]
mod targets;
mod tidy;
#[cfg(feature = "events")]
mod triggers;
mod versions;
#[cfg(feature = "wasi")]
mod wasi;
