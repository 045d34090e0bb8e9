//! What CI runs, and the real servers that tests use. A library too, so that footfall's own tests can start servers; it
//! knows footfall only as a binary.

#![expect(clippy::print_stdout, reason = "commands for people and for CI's log")]

pub mod chaos;
pub mod clients;
pub mod cluster;
mod command;
mod counts;
mod dockerfile;
pub mod image;
mod node;
mod process;
mod report;
pub mod services;
pub mod test;
mod tools;

use std::path::Path;

/// The folder of the workspace; every command runs there unless it says otherwise.
fn root() -> &'static Path {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask)
}
