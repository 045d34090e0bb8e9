//! Everything that needs the whole crate, in one binary, because each binary is linked again. A module is a subject.
#![allow(
    clippy::disallowed_methods,
    reason = "the runner tells tests by the environment what to run, their tasks end with their runtime, and a moment to kill at is a moment"
)]

mod commands;
mod contracts;
mod settings_page;
mod transcripts;
