//! The library's behaviour, seen from outside. Each file holds the tests of one room.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with the error")]

mod aliases;
mod corpus;
#[cfg(feature = "events")]
mod delivery;
#[cfg(feature = "events")]
mod delivery_limits;
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
mod export_calls;
#[cfg(feature = "extism")]
mod extism;
#[cfg(feature = "extism")]
mod extism_blocks;
#[cfg(feature = "extism")]
mod extism_calls;
mod floors;
#[cfg(all(feature = "events", feature = "wasi"))]
mod guest_and_delivery;
#[cfg(feature = "wasi")]
mod guest_corpus;
mod guests;
mod host;
mod injected_failures;
mod kv;
mod kv_commits;
mod kv_limits;
mod ledger;
mod limits;
mod limits_of_runs;
mod limits_of_runtimes;
mod mistranslated;
#[cfg(feature = "events")]
mod pattern_index;
#[cfg(feature = "events")]
mod pattern_json;
#[cfg(feature = "events")]
mod pattern_model;
#[cfg(feature = "events")]
mod patterns;
mod pool;
#[cfg(feature = "events")]
mod public_traits;
mod repeatable;
#[cfg(feature = "events")]
mod replies;
mod reset;
#[cfg(feature = "events")]
mod routes;
#[cfg(feature = "schedule")]
mod schedules;
mod shapes;
mod stack;
#[cfg(feature = "events")]
mod staging;
mod startup;
mod stateless;
mod stress;
mod support;
mod tables;
#[allow(unreachable_pub, reason = "elsewhere it is a library")]
#[path = "../../fuzz/src/lib.rs"]
mod targets;
mod tidy;
mod translation;
#[cfg(feature = "events")]
mod triggers;
mod values;
mod versions;
#[cfg(feature = "wasi")]
mod wasi;
