//! Real servers as local processes, for tests and for `cargo xtask cluster`: nobody needs a container engine.
//!
//! Each is prepared by its `new` (folder, configuration, an empty database), started and ended as a [`Server`], and gone
//! when dropped, or when we are gone. All calls block; in async code they belong on `spawn_blocking`.

mod class_archive;
mod family;
mod jars;
mod kafka;
mod kafka_properties;
mod nginx;
mod port;
mod postgres;
mod redis;
pub(crate) mod server;

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;

use crate::report::Report;
use crate::tools;

pub use kafka::Kafka;
pub use nginx::Nginx;
pub use port::Port;
pub use postgres::{Postgres, PostgresOptions};
pub use redis::Redis;
pub use server::{Ending, Server};

/// All programs, so that no test has to wait for an installation, or to be the one which finds that it fails.
pub(crate) fn prepare(report: &mut Report) -> Option<()> {
    report.step("what the servers need", || {
        tools::servers()?;
        jars::kafka().map(drop)
    })
}

/// A fresh folder that other accounts can enter, as PostgreSQL's must if we are root.
pub fn scratch() -> io::Result<TempDir> {
    let folder = tempfile::Builder::new().prefix("footfall-servers-").tempdir()?;
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
    Ok(folder)
}

/// `defaults` with the values of `chosen`, which may also be about other keys.
fn merged(mut defaults: Vec<(String, String)>, chosen: &[(&str, &str)]) -> Vec<(String, String)> {
    for (key, value) in chosen {
        defaults.retain(|(default, _)| default != key);
        defaults.push(((*key).to_owned(), (*value).to_owned()));
    }
    defaults
}

fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// The text of a configuration file, a line for each pair.
fn lines(pairs: Vec<(String, String)>, between: &str) -> String {
    pairs.into_iter().flat_map(|(key, value)| [key, between.to_owned(), value, "\n".to_owned()]).collect()
}
