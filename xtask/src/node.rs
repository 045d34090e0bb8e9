//! A node under test: a free port, a folder of its own, ready before anyone uses it, and a clean end.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use tempfile::TempDir;

use crate::command::command;
use crate::process::{Group, signal};

/// A debug build on a busy machine, with a database to make.
const READY: Duration = Duration::from_secs(30);
const STOP: Duration = Duration::from_secs(10);
const PROBE: Duration = Duration::from_secs(1);
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// So much of its log is shown when something went wrong.
const LAST_LINES: usize = 60;

pub(crate) struct Node {
    child: Child,
    /// Ends the process if nobody else did.
    _group: Group,
    folder: TempDir,
    port: u16,
}

impl Node {
    /// Starts a node with these settings and waits until it is ready.
    ///
    /// In the settings every port from 18000 to 18999 becomes a free one, the same for the same; the first is the one
    /// to connect to. The node runs in a fresh folder, so that is where relative paths lead.
    pub(crate) fn start(binary: &Path, settings: &Path) -> anyhow::Result<Self> {
        let text = fs::read_to_string(settings).with_context(|| format!("the settings for the tests, {}", settings.display()))?;
        let (text, port) = with_free_ports(&text)?;
        let folder = tempfile::Builder::new().prefix("footfall-test-").tempdir()?;
        let file = folder.path().join("footfall.toml");
        fs::write(&file, text)?;
        let log = File::create(folder.path().join("node.log"))?;
        let mut node = command(&binary.to_string_lossy(), &[]);
        node.current_dir(folder.path()).env("FOOTFALL_CONFIG", &file);
        node.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).process_group(0);
        let child = node.spawn().with_context(|| format!("{} did not start", binary.display()))?;
        let group = Group::guard(child.id())?;
        let mut node = Self { child, _group: group, folder, port };
        match node.wait_until_ready() {
            Ok(()) => Ok(node),
            Err(error) => {
                node.show_log();
                Err(error)
            }
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The folder it runs in.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        let end = Instant::now() + READY;
        while !self.is_ready() {
            if let Some(status) = self.child.try_wait()? {
                bail!("the node ended before it was ready, with {status}");
            }
            ensure!(Instant::now() < end, "the node was not ready within {} s", READY.as_secs());
            pause();
        }
        Ok(())
    }

    fn is_ready(&self) -> bool {
        status_of(self.port, "/health/ready").is_some_and(|status| status == 200)
    }

    /// Asks it to stop, and judges how it did.
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        let result = self.end();
        if result.is_err() {
            self.show_log();
        }
        result
    }

    fn end(&mut self) -> anyhow::Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("the node had ended by itself, with {status}");
        }
        signal("TERM", &self.child.id().to_string());
        let status = self.wait_for_end()?;
        ensure!(status.success(), "the node answered SIGTERM with {status}");
        let log = fs::read_to_string(self.log())?;
        // A task's panic is caught, so the process itself would not tell.
        ensure!(!log.contains("panic: ") && !log.contains("panicked at"), "the node panicked; see its log");
        Ok(())
    }

    fn wait_for_end(&mut self) -> anyhow::Result<ExitStatus> {
        let end = Instant::now() + STOP;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            ensure!(Instant::now() < end, "the node had not ended {} s after SIGTERM", STOP.as_secs());
            pause();
        }
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("node.log")
    }

    pub(crate) fn show_log(&self) {
        let log = fs::read(self.log()).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let from = lines.len().saturating_sub(LAST_LINES);
        println!("-- the node's log, last {} of {} lines", lines.len() - from, lines.len());
        for line in &lines[from..] {
            println!("node | {line}");
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "looks at another process now and then; there is no runtime to block")]
fn pause() {
    std::thread::sleep(BETWEEN_LOOKS);
}

/// The status of a GET, if there is an answer.
pub(crate) fn status_of(port: u16, path: &str) -> Option<u16> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut socket = TcpStream::connect_timeout(&address, PROBE).ok()?;
    socket.set_read_timeout(Some(PROBE)).ok()?;
    socket.set_write_timeout(Some(PROBE)).ok()?;
    write!(socket, "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n").ok()?;
    // `HTTP/1.1 200`
    let mut start = [0; 12];
    socket.read_exact(&mut start).ok()?;
    std::str::from_utf8(&start[9..]).ok()?.parse().ok()
}

fn with_free_ports(settings: &str) -> anyhow::Result<(String, u16)> {
    // Held until all are chosen, so that no two are the same.
    let mut chosen: Vec<(String, TcpListener)> = Vec::new();
    let mut text = String::with_capacity(settings.len());
    let mut rest = settings;
    while let Some(start) = rest.find(|character: char| character.is_ascii_digit()) {
        let length = rest[start..].find(|character: char| !character.is_ascii_digit()).unwrap_or(rest.len() - start);
        let number = &rest[start..start + length];
        text.push_str(&rest[..start]);
        if number.len() == 5 && number.starts_with("18") {
            if !chosen.iter().any(|(named, _)| named == number) {
                chosen.push((number.to_owned(), TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?));
            }
            for (_, listener) in chosen.iter().filter(|(named, _)| named == number) {
                text.push_str(&listener.local_addr()?.port().to_string());
            }
        } else {
            text.push_str(number);
        }
        rest = &rest[start + length..];
    }
    text.push_str(rest);
    let (_, first) = chosen.first().context("the settings for the tests name no port from 18000 to 18999")?;
    Ok((text, first.local_addr()?.port()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_become_free_ones_and_nothing_else_changes() {
        let (text, port) = with_free_ports("a = 1234 # 180000\nport = 18080\nother = 18081\nurl = \"http://localhost:18080/x\"\n").unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "a = 1234 # 180000");
        assert_eq!(lines[1], format!("port = {port}"));
        assert_eq!(lines[3], format!("url = \"http://localhost:{port}/x\""));
        assert!(lines[2].starts_with("other = ") && lines[2] != format!("other = {port}") && lines[2] != "other = 18081");
        assert!(with_free_ports("port = 8080").is_err());
    }

    #[test]
    fn a_status_is_read_and_nobody_there_is_none() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = std::thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            let mut request = [0; 4];
            socket.read_exact(&mut request).unwrap();
            socket.write_all(b"HTTP/1.1 503 Service Unavailable\r\n\r\n").unwrap();
            request
        });
        assert_eq!(status_of(port, "/health/ready"), Some(503));
        assert_eq!(&server.join().unwrap(), b"GET ");
        assert_eq!(status_of(port, "/health/ready"), None);
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
