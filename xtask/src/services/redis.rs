//! Redis.

use std::fmt;
use std::fs;
use std::ops::Deref;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};

use super::port::Port;
use super::server::{Launch, Plan, Ready, Server};
use super::{lines, merged, owned};
use crate::tools;

/// A Redis server.
pub struct Redis {
    server: Server,
    password: Option<String>,
}

impl fmt::Debug for Redis {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Redis").field("server", &self.server).finish_non_exhaustive()
    }
}

impl Redis {
    /// `settings` are lines of `redis.conf`. Without any it keeps nothing over a restart; `("appendonly", "yes")` does.
    pub fn new(folder: &Path, port: Port, settings: &[(&str, &str)]) -> anyhow::Result<Self> {
        let program = tools::redis()?;
        let data = folder.join("data");
        fs::create_dir_all(&data).with_context(|| data.display().to_string())?;
        let password = settings.iter().find(|(key, _)| *key == PASSWORD).map(|(_, password)| (*password).to_owned());
        // It stands in a file and in urls as it is.
        let is_plain = |password: &String| password.bytes().all(|byte| byte.is_ascii_alphanumeric());
        ensure!(password.as_ref().is_none_or(is_plain), "the password of Redis has letters and digits only");
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
        // While it loads its data it says `-LOADING` to a PING.
        let ready = match &password {
            Some(password) => Ready::Answers(format!("AUTH {password}\r\nPING\r\n"), "+OK\r\n+PONG"),
            None => Ready::Answers("PING\r\n".to_owned(), "+PONG"),
        };
        let server = Server::new(Plan {
            name: "redis".to_owned(),
            folder: folder.to_owned(),
            port,
            launch: Launch { program, arguments: vec!["redis.conf".to_owned()], ..Launch::default() },
            ready,
            ready_within: Duration::from_secs(30),
            polite: "TERM",
            ends_within: Duration::from_secs(10),
        });
        Ok(Self { server, password })
    }

    /// For a client, with the password if there is one.
    pub fn url(&self) -> String {
        let password = self.password.as_ref().map(|password| format!(":{password}@")).unwrap_or_default();
        format!("redis://{password}{}/", self.address())
    }

    pub fn password(&self) -> Option<&str> {
        self.password.as_deref()
    }
}

impl Deref for Redis {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

const PASSWORD: &str = "requirepass";
