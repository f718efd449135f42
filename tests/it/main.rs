//! The library's behaviour, seen from outside: one file a room.

mod differential;
mod guests;
mod support;
