//! Redis.

use std::fs;
use std::ops::Deref;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;

use super::port::Port;
use super::server::{Launch, Plan, Ready, Server};
use super::{lines, merged, owned};
use crate::tools;

/// A Redis server.
#[derive(Debug)]
pub struct Redis {
    server: Server,
}

impl Redis {
    /// `settings` are lines of `redis.conf`. Without any it keeps nothing over a restart; `("appendonly", "yes")` does.
    pub fn new(folder: &Path, port: Port, settings: &[(&str, &str)]) -> anyhow::Result<Self> {
        let program = tools::redis()?;
        let data = folder.join("data");
        fs::create_dir_all(&data).with_context(|| data.display().to_string())?;
        let number = port.number().to_string();
        let defaults = owned(&[
            ("bind", "127.0.0.1"),
            ("port", &number),
            ("dir", "./data"),
            ("daemonize", "no"),
            ("save", "\"\""),
            ("appendonly", "no"),
            ("repl-diskless-sync-delay", "0"),
        ]);
        fs::write(folder.join("redis.conf"), lines(merged(defaults, settings), " "))?;
        let server = Server::new(Plan {
            name: "redis".to_owned(),
            folder: folder.to_owned(),
            port,
            launch: Launch { program, arguments: vec!["redis.conf".to_owned()], ..Launch::default() },
            // While it loads its data it says `-LOADING`.
            ready: Ready::Answers("PING\r\n", "+PONG"),
            ready_within: Duration::from_secs(30),
            polite: "TERM",
            ends_within: Duration::from_secs(10),
        });
        Ok(Self { server })
    }

    /// For a client.
    pub fn url(&self) -> String {
        format!("redis://{}/", self.address())
    }
}

impl Deref for Redis {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}
