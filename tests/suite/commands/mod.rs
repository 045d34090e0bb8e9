//! The binary as an operator uses it: what it answers, with which exit code, and what it must never say.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod check;
mod cluster;
mod documents;
mod start;
mod token;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use tempfile::TempDir;

/// Longer than a loaded machine needs for anything here; who waits so long waits for what won't come.
const DEADLINE: Duration = Duration::from_mins(1);

/// A secret that is long enough, and that no output may hold.
const CANARY: &str = "canary-5f1c-canary-5f1c-canary-5f1c-canary";

/// A directory in which `footfall` runs, with no variables but those that a test sets.
struct Home(TempDir);

/// What a command left behind.
struct Ended {
    code: Option<i32>,
    out: String,
    error: String,
}

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// With this as `footfall.toml`.
    fn with(settings: &str) -> Self {
        let home = Self::new();
        home.write("footfall.toml", settings);
        home
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn files(&self) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(self.0.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn command(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_footfall"));
        command.args(arguments).env_clear().envs(variables.iter().copied()).current_dir(self.0.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn run(&self, arguments: &[&str]) -> Ended {
        self.run_with(arguments, &[])
    }

    fn run_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Ended {
        let child = self.command(arguments, variables).spawn().unwrap();
        let pid = child.id();
        let ended = within(move || child.wait_with_output().unwrap());
        let Some(output) = ended else {
            signal(pid, "KILL");
            panic!("footfall {arguments:?} does not end");
        };
        let (out, error) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        assert!(!out.contains(CANARY) && !error.contains(CANARY), "a secret is shown:\n{out}{error}");
        Ended { code: output.status.code(), out, error }
    }

    /// A node on a port of its own, from when it is ready.
    fn start(&self, variables: &[(&str, &str)]) -> Running {
        let mut variables = variables.to_vec();
        variables.push(("FOOTFALL_SERVER__PORT", "0"));
        let mut child = self.command(&[], &variables).spawn().unwrap();
        let (errors, mut log) = (BufReader::new(child.stderr.take().unwrap()), String::new());
        let mut running = Running { child, address: None };
        // What comes after it is ready is read as well: a full pipe would stop the node.
        let (found, ready) = mpsc::sync_channel(1);
        std::thread::spawn(move || {
            for line in errors.lines() {
                let line = line.unwrap_or_default();
                let address = line.split_whitespace().find_map(|word| word.strip_prefix("address=")).map(str::to_owned);
                log.push_str(&line);
                log.push('\n');
                if address.is_some() {
                    // Only the first one is waited for.
                    drop(found.try_send(Ok(address.unwrap_or_default())));
                }
            }
            drop(found.try_send(Err(log)));
        });
        match ready.recv_timeout(DEADLINE) {
            Ok(Ok(address)) => running.address = Some(address.parse().unwrap()),
            Ok(Err(log)) => panic!("the node did not start:\n{log}"),
            Err(waited) => panic!("the node is not ready: {waited}"),
        }
        running
    }
}

impl Ended {
    #[track_caller]
    fn good(self) -> String {
        assert_eq!((self.code, self.error.as_str()), (Some(0), ""), "{}", self.out);
        self.out
    }

    #[track_caller]
    fn bad(self) -> String {
        assert_eq!((self.code, self.out.as_str()), (Some(1), ""), "{}", self.error);
        assert!(self.error.starts_with("footfall: ") && !self.error.contains("panic"), "{}", self.error);
        self.error
    }
}

/// A node; killed when the test ends.
struct Running {
    child: Child,
    address: Option<SocketAddr>,
}

impl Running {
    fn address(&self) -> SocketAddr {
        self.address.unwrap()
    }

    /// Asks it to stop, and returns its exit code and what it wrote to standard output.
    fn stop(mut self) -> (Option<i32>, String) {
        signal(self.child.id(), "TERM");
        let mut out = self.child.stdout.take().unwrap();
        let out = within(move || {
            let mut text = String::new();
            out.read_to_string(&mut text).unwrap();
            text
        });
        // Its output ends with it.
        (self.child.wait().unwrap().code(), out.expect("the node stops when it is told to"))
    }

    /// Answers an HTTP request.
    fn ask(&self, request: &str) -> String {
        let mut socket = TcpStream::connect(self.address()).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        socket.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        answer
    }

    /// The command of the frame that answers a CONNECT with this token.
    fn connect(&self, token: &str) -> String {
        let socket = TcpStream::connect(self.address()).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        let (mut socket, _) = tungstenite::client(format!("ws://{}/ws", self.address()), socket).unwrap();
        let frame = format!("CONNECT\naccept-version:1.2\nhost:x\nAuthorization:Bearer {token}\n\n\0");
        socket.send(frame.into()).unwrap();
        let answer = socket.read().unwrap().into_text().unwrap();
        answer.lines().next().unwrap_or_default().to_owned()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended long ago.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn within<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (done, result) = mpsc::sync_channel(1);
    std::thread::spawn(move || done.send(work()));
    result.recv_timeout(DEADLINE).ok()
}

fn signal(pid: u32, name: &str) {
    let sent = Command::new("sh").args(["-c", &format!("kill -{name} {pid}")]).status().unwrap();
    assert!(sent.success(), "{pid} is not there");
}

/// Good settings for production.
fn production() -> String {
    format!("[[auth.keys]]\nalgorithms = ['HS256']\nsecret = '{CANARY}'\n[[destinations]]\npattern = '/topic/x'\nsend = 'true'\n")
}
