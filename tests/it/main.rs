//! The library's behaviour, seen from outside: one file a room.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with the error")]

mod attack;
mod dependencies;
mod deploy;
mod differential;
mod errors;
mod guests;
mod host;
mod limits;
mod limits_of_runs;
mod limits_of_runtimes;
mod pool;
mod reset;
mod stack;
mod stateless;
mod support;
mod tidy;
mod versions;
