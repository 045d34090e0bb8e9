//! A node under test: a free port, a folder of its own, ready before anyone uses it, and a clean end.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use tempfile::TempDir;

use crate::services::server::{Launch, Plan, Ready};
use crate::services::{Ending, Port, Server};

/// A debug build on a busy machine, with a database to make.
const READY: Duration = Duration::from_secs(30);
const STOP: Duration = Duration::from_secs(10);

pub(crate) struct Node {
    server: Server,
    /// Those of its settings that are not the server's own.
    _ports: Vec<Port>,
    folder: TempDir,
}

impl Node {
    /// Starts a node with these settings and waits until it is ready.
    ///
    /// In the settings every port from 18000 to 18999 becomes a free one, the same for the same; the first is the one
    /// to connect to. The node runs in a fresh folder, so that is where relative paths lead.
    pub(crate) fn start(binary: &Path, settings: &Path) -> anyhow::Result<Self> {
        let text = fs::read_to_string(settings).with_context(|| format!("the settings for the tests, {}", settings.display()))?;
        let (text, port, ports) = with_free_ports(&text)?;
        let folder = tempfile::Builder::new().prefix("footfall-test-").tempdir()?;
        let file = folder.path().join("footfall.toml");
        fs::write(&file, text)?;
        let environment = vec![("FOOTFALL_CONFIG".to_owned(), file.to_string_lossy().into_owned())];
        let server = Server::new(Plan {
            name: "node".to_owned(),
            folder: folder.path().to_owned(),
            port,
            launch: Launch { program: binary.to_owned(), environment, ..Launch::default() },
            ready: Ready::Http("/health/ready".to_owned()),
            ready_within: READY,
            polite: "TERM",
            ends_within: STOP,
        });
        server.start()?;
        Ok(Self { server, _ports: ports, folder })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.server.address())
    }

    /// The folder it runs in.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Asks it to stop, and judges how it did.
    pub(crate) fn stop(self) -> anyhow::Result<()> {
        let result = self.end();
        if result.is_err() {
            self.show_log();
        }
        result
    }

    fn end(&self) -> anyhow::Result<()> {
        if let Some(status) = self.server.ended() {
            bail!("the node had ended by itself, with {status}");
        }
        match self.server.stop()? {
            Ending::Polite(status) => ensure!(status.success(), "the node answered SIGTERM with {status}"),
            Ending::Killed => bail!("the node had not ended {} s after SIGTERM", STOP.as_secs()),
            Ending::Before => bail!("the node had ended by itself"),
        }
        let log = fs::read_to_string(self.server.log())?;
        // A task's panic is caught, so the process itself would not tell.
        ensure!(!log.contains("panic: ") && !log.contains("panicked at"), "the node panicked; see its log");
        Ok(())
    }

    pub(crate) fn show_log(&self) {
        println!("-- the end of the node's log");
        for line in self.server.last_lines().lines() {
            println!("node | {line}");
        }
    }
}

/// The text with other ports, the first of them, and the rest.
fn with_free_ports(settings: &str) -> anyhow::Result<(String, Port, Vec<Port>)> {
    let mut chosen: Vec<(String, Port)> = Vec::new();
    let mut text = String::with_capacity(settings.len());
    let mut rest = settings;
    while let Some(start) = rest.find(|character: char| character.is_ascii_digit()) {
        let length = rest[start..].find(|character: char| !character.is_ascii_digit()).unwrap_or(rest.len() - start);
        let number = &rest[start..start + length];
        text.push_str(&rest[..start]);
        if number.len() == 5 && number.starts_with("18") {
            if !chosen.iter().any(|(named, _)| named == number) {
                chosen.push((number.to_owned(), Port::free()?));
            }
            for (_, port) in chosen.iter().filter(|(named, _)| named == number) {
                text.push_str(&port.number().to_string());
            }
        } else {
            text.push_str(number);
        }
        rest = &rest[start + length..];
    }
    text.push_str(rest);
    let mut ports = chosen.into_iter().map(|(_, port)| port);
    let first = ports.next().context("the settings for the tests name no port from 18000 to 18999")?;
    Ok((text, first, ports.collect()))
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn ports_become_free_ones_and_nothing_else_changes() {
        let (text, port, _others) =
            with_free_ports("a = 1234 # 180000\nport = 18080\nother = 18081\nurl = \"http://localhost:18080/x\"\n").unwrap();
        let (lines, port): (Vec<&str>, u16) = (text.lines().collect(), port.number());
        assert_eq!(lines[0], "a = 1234 # 180000");
        assert_eq!(lines[1], format!("port = {port}"));
        assert_eq!(lines[3], format!("url = \"http://localhost:{port}/x\""));
        assert!(lines[2].starts_with("other = ") && lines[2] != format!("other = {port}") && lines[2] != "other = 18081");
        assert!(with_free_ports("port = 8080").is_err());
    }

    #[test]
    fn a_node_that_ends_at_once_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let settings = folder.path().join("x.toml");
        fs::write(&settings, "port = 18080").unwrap();
        let began = Instant::now();
        let error = Node::start(Path::new("false"), &settings).err().unwrap().to_string();
        assert!(error.contains("before it was ready"), "{error}");
        assert!(began.elapsed() < READY);
    }
}
