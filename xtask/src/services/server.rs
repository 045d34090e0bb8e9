//! One server process: started, stopped, killed, paused, and started again with the same data on the same port.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use crate::command::command;
use crate::process::{Group, signal};

use super::family;
use super::port::Port;

const BETWEEN_LOOKS: Duration = Duration::from_millis(25);
const PROBE: Duration = Duration::from_secs(1);

/// So much of its log is shown when something went wrong.
const LAST_LINES: usize = 40;

/// A command that can be given again for each start.
#[derive(Default)]
pub(crate) struct Launch {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<String>,
    pub(crate) environment: Vec<(String, String)>,
    /// The user and group to run as, if not ours.
    pub(crate) account: Option<(u32, u32)>,
}

impl std::fmt::Debug for Launch {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The environment of a node holds secrets.
        out.debug_struct("Launch").field("program", &self.program).field("arguments", &self.arguments).finish_non_exhaustive()
    }
}

impl Launch {
    pub(crate) fn command(&self, folder: &Path) -> Command {
        let mut command = command(&self.program.to_string_lossy(), &[]);
        command.args(&self.arguments).envs(self.environment.iter().map(|(key, value)| (key, value))).current_dir(folder);
        if let Some((user, group)) = self.account {
            command.uid(user).gid(group);
        }
        command
    }
}

/// What shows that it can be used.
pub(crate) enum Ready {
    /// It logs this after its start.
    Logs(&'static str),
    /// It answers the first with the second.
    Answers(String, &'static str),
    /// A GET of this path gives 200.
    Http(String),
    /// It takes connections.
    Connects,
    /// This ends well.
    Succeeds(Launch),
}

impl std::fmt::Debug for Ready {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // What is asked may begin with a password.
        out.write_str(match self {
            Self::Logs(_) => "Logs",
            Self::Answers(..) => "Answers",
            Self::Http(_) => "Http",
            Self::Connects => "Connects",
            Self::Succeeds(_) => "Succeeds",
        })
    }
}

/// All that a server needs to be started, any number of times.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) name: String,
    /// Its own: configuration, data, log; and where it runs.
    pub(crate) folder: PathBuf,
    pub(crate) port: Port,
    pub(crate) launch: Launch,
    pub(crate) ready: Ready,
    pub(crate) ready_within: Duration,
    /// The signal that asks it to end.
    pub(crate) polite: &'static str,
    pub(crate) ends_within: Duration,
}

/// A server process, or the place for one.
///
/// It is shared by reference: whoever drives a fault needs no more than those who use the server. All calls block.
#[derive(Debug)]
pub struct Server {
    plan: Plan,
    running: Mutex<Option<Running>>,
}

struct Running {
    child: Child,
    /// Ends it if we don't come to it.
    group: Group,
    /// Where the log of this start begins.
    log_from: u64,
}

impl std::fmt::Debug for Running {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Running({})", self.child.id())
    }
}

/// How a server came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Asked politely.
    Polite(ExitStatus),
    /// It did not end within its time.
    Killed,
    /// It was not running: stopped before, or ended by itself.
    Before,
}

impl Server {
    pub(crate) fn new(plan: Plan) -> Self {
        Self { plan, running: Mutex::new(None) }
    }

    /// Starts it, with the data it has and on the same port as always, and waits until it is ready.
    pub fn start(&self) -> anyhow::Result<()> {
        self.launch()?;
        self.wait_until_ready()
    }

    /// The first half of `start`, for servers that get ready only together.
    pub fn launch(&self) -> anyhow::Result<()> {
        let mut running = self.running();
        if let Some(there) = running.as_mut() {
            ensure!(there.child.try_wait()?.is_some(), "{} is running already", self.plan.name);
        }
        *running = None;
        let log = OpenOptions::new().create(true).append(true).open(self.log()).with_context(|| self.log().display().to_string())?;
        let log_from = log.metadata()?.len();
        let mut command = self.plan.launch.command(&self.plan.folder);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).process_group(0);
        let mut child = command.spawn().with_context(|| format!("{} did not start", self.plan.launch.program.display()))?;
        match Group::guard(child.id()) {
            Ok(group) => *running = Some(Running { child, group, log_from }),
            Err(error) => {
                child.kill()?;
                child.wait()?;
                return Err(error).context("a server without a guard could outlive us");
            }
        }
        Ok(())
    }

    /// The second half of `start`. What is not ready in time is killed, so that it can be started again.
    pub fn wait_until_ready(&self) -> anyhow::Result<()> {
        let name = &self.plan.name;
        let end = Instant::now() + self.plan.ready_within;
        loop {
            let Some(from) = self.look()? else { bail!("{name} was stopped before it was ready") };
            if self.is_ready(from) {
                return Ok(());
            }
            if Instant::now() >= end {
                let lines = self.last_lines();
                self.kill()?;
                bail!("{name} was not ready within {} s; its log ends\n{lines}", self.plan.ready_within.as_secs());
            }
            look_again();
        }
    }

    /// What `launch` runs, to be asked something else.
    pub(super) fn launch_command(&self) -> Command {
        self.plan.launch.command(&self.plan.folder)
    }

    /// Where its log begins, if it is there and has not ended by itself.
    fn look(&self) -> anyhow::Result<Option<u64>> {
        let mut running = self.running();
        let Some(there) = running.as_mut() else { return Ok(None) };
        if let Some(status) = there.child.try_wait()? {
            bail!("{} ended before it was ready, with {status}; its log ends\n{}", self.plan.name, self.last_lines());
        }
        Ok(Some(there.log_from))
    }

    fn is_ready(&self, log_from: u64) -> bool {
        match &self.plan.ready {
            Ready::Logs(line) => self.log_since(log_from).is_ok_and(|log| log.contains(line)),
            Ready::Answers(question, answer) => asked(self.address(), question, answer.len()).as_deref() == Some(*answer),
            Ready::Http(path) => status_of(self.address(), path) == Some(200),
            Ready::Connects => TcpStream::connect_timeout(&self.address(), PROBE).is_ok(),
            Ready::Succeeds(launch) => {
                let mut probe = launch.command(&self.plan.folder);
                probe.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
                probe.status().is_ok_and(|status| status.success())
            }
        }
    }

    /// Asks it to end, continues it if it is paused, and kills it if it does not end in its time.
    pub fn stop(&self) -> anyhow::Result<Ending> {
        let mut running = self.running();
        let Some(mut there) = running.take() else { return Ok(Ending::Before) };
        if there.child.try_wait()?.is_some() {
            return Ok(Ending::Before);
        }
        let id = there.child.id();
        family::resume(id);
        let children = family::children(id);
        signal(self.plan.polite, &id.to_string());
        let Some(status) = ended_within(&mut there.child, self.plan.ends_within)? else {
            self.end(there)?;
            return Ok(Ending::Killed);
        };
        there.group.kill();
        ensure!(family::gone(&children), "{} ended, but not all of its children", self.plan.name);
        Ok(Ending::Polite(status))
    }

    /// Kills it with all its children, and returns when they are gone. Nobody there is no error.
    pub fn kill(&self) -> anyhow::Result<()> {
        let mut running = self.running();
        running.take().map_or(Ok(()), |there| self.end(there))
    }

    fn end(&self, mut there: Running) -> anyhow::Result<()> {
        if there.child.try_wait()?.is_some() {
            return Ok(());
        }
        let children = family::kill(there.child.id());
        let status = ended_within(&mut there.child, self.plan.ends_within)?;
        ensure!(status.is_some() && family::gone(&children), "{} was killed and is still there", self.plan.name);
        there.group.kill();
        Ok(())
    }

    /// Stops all its processes as they are: connections stay open and silent.
    pub fn pause(&self) -> anyhow::Result<()> {
        family::stop(self.running_pid()?);
        Ok(())
    }

    pub fn resume(&self) -> anyhow::Result<()> {
        family::resume(self.running_pid()?);
        Ok(())
    }

    pub(super) fn running_pid(&self) -> anyhow::Result<u32> {
        self.pid().with_context(|| format!("{} is not running", self.plan.name))
    }

    /// Its process, if it has one. One that ended by itself is none.
    pub fn pid(&self) -> Option<u32> {
        let mut running = self.running();
        let there = running.as_mut()?;
        there.child.try_wait().ok()?.is_none().then(|| there.child.id())
    }

    /// How it ended, if it did so by itself.
    pub fn ended(&self) -> Option<ExitStatus> {
        self.running().as_mut()?.child.try_wait().ok()?
    }

    pub fn name(&self) -> &str {
        &self.plan.name
    }

    pub fn folder(&self) -> &Path {
        &self.plan.folder
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.plan.port.address()
    }

    /// The file with all that it printed, over all its starts.
    pub fn log(&self) -> PathBuf {
        self.plan.folder.join(format!("{}.log", self.plan.name))
    }

    /// For an error that somebody reads.
    pub fn last_lines(&self) -> String {
        let log = fs::read(self.log()).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
    }

    fn log_since(&self, from: u64) -> std::io::Result<String> {
        let mut log = File::open(self.log())?;
        log.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        log.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn running(&self) -> MutexGuard<'_, Option<Running>> {
        // Whoever panicked with it left a process or none, and either is fine.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Nobody is left to hear of an error, and the guard tries again.
        self.kill().ok();
    }
}

/// The first bytes of what is answered to `question`.
fn asked(address: SocketAddr, question: &str, length: usize) -> Option<String> {
    let mut socket = TcpStream::connect_timeout(&address, PROBE).ok()?;
    socket.set_read_timeout(Some(PROBE)).ok()?;
    socket.set_write_timeout(Some(PROBE)).ok()?;
    socket.write_all(question.as_bytes()).ok()?;
    let mut start = vec![0; length];
    socket.read_exact(&mut start).ok()?;
    String::from_utf8(start).ok()
}

/// The status of a GET, if there is an answer.
fn status_of(address: SocketAddr, path: &str) -> Option<u16> {
    let start = asked(address, &format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"), "HTTP/1.1 200".len())?;
    start.get(9..)?.parse().ok()
}

fn ended_within(child: &mut Child, limit: Duration) -> std::io::Result<Option<ExitStatus>> {
    let end = Instant::now() + limit;
    loop {
        match child.try_wait()? {
            None if Instant::now() < end => look_again(),
            status => return Ok(status),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "looks at another process now and then; there is no runtime to block")]
pub(super) fn look_again() {
    std::thread::sleep(BETWEEN_LOOKS);
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};

    use super::*;

    #[test]
    fn a_status_is_read_and_nobody_there_is_none() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            let mut request = [0; 4];
            socket.read_exact(&mut request).unwrap();
            socket.write_all(b"HTTP/1.1 503 Service Unavailable\r\n\r\n").unwrap();
            request
        });
        assert_eq!(status_of(address, "/health/ready"), Some(503));
        assert_eq!(&server.join().unwrap(), b"GET ");
        assert_eq!(status_of(address, "/health/ready"), None);
    }
}
