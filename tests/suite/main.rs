//! Everything that needs the whole crate, in one binary, because each binary is linked again. A module is a subject.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "the runner tells tests by the environment what to run, their tasks end with their runtime, a moment to kill at is a moment, and a test that can not go on should panic"
)]

mod checker;
mod cluster;
mod commands;
mod contracts;
mod driver;
mod durability;
mod edge;
mod metrics;
mod settings_page;
mod spec;
mod support;
mod transcripts;
