//! Processes that end: each in a group of its own, which is killed if it takes too long, or if xtask itself is killed.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

/// After a process has ended, what it printed is there at once, unless something that it left behind holds its output.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// In the environment of all that a step starts.
const MARK: &str = "XTASK_STEP";
static STEPS: AtomicU32 = AtomicU32::new(0);

/// What a process printed and how it ended.
pub(crate) struct Finished {
    /// None if it was killed because its time was over.
    pub(crate) status: Option<ExitStatus>,
    /// Its standard output.
    pub(crate) lines: Vec<String>,
}

enum Event {
    Out(String),
    Err(String),
    Ended(ExitStatus),
}

/// Runs a command without input, passes its output on as it comes (standard output only if `echo`), and kills its whole
/// group when `limit` has passed.
pub(crate) fn run(command: &mut Command, limit: Duration, echo: bool) -> io::Result<Finished> {
    let end = Instant::now() + limit;
    let mark = format!("{}-{}", std::process::id(), STEPS.fetch_add(1, Ordering::Relaxed));
    let mut child = command.env(MARK, &mark).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).spawn()?;
    let group = Group::guard(child.id())?;
    let (sender, events) = sync_channel(256);
    pass_on(child.stdout.take(), sender.clone(), Event::Out);
    pass_on(child.stderr.take(), sender.clone(), Event::Err);
    thread::spawn(move || {
        if let Ok(status) = child.wait() {
            // The other side may have given up.
            sender.send(Event::Ended(status)).ok();
        }
    });
    let finished = follow(&events, end, echo);
    // Also after a good end: nothing that a step started may outlive it.
    group.kill();
    if finished.status.is_none() {
        kill_strays(&mark);
    }
    Ok(finished)
}

fn follow(events: &Receiver<Event>, mut end: Instant, echo: bool) -> Finished {
    let mut finished = Finished { status: None, lines: Vec::new() };
    loop {
        match events.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(Event::Out(line)) => {
                if echo {
                    println!("{line}");
                }
                finished.lines.push(line);
            }
            Ok(Event::Err(line)) => println!("{line}"),
            Ok(Event::Ended(status)) => {
                finished.status = Some(status);
                end = Instant::now() + LAST_WORDS;
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return finished,
        }
    }
}

fn pass_on(output: Option<impl Read + Send + 'static>, sender: SyncSender<Event>, event: fn(String) -> Event) {
    let Some(output) = output else { return };
    thread::spawn(move || {
        let mut output = BufReader::new(output);
        let mut line = Vec::new();
        while output.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            let text = String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']).to_owned();
            if sender.send(event(text)).is_err() {
                return;
            }
            line.clear();
        }
    });
}

/// A process group and a small process that outlives us to end it: a group of its own does not hear our Ctrl-C.
pub(crate) struct Group {
    id: u32,
    guard: Child,
    /// Closed when we end, however we end.
    alive: Option<ChildStdin>,
}

impl Group {
    /// `id` is the process that leads it.
    pub(crate) fn guard(id: u32) -> io::Result<Self> {
        let mut guard = Command::new("sh");
        // Children of the leader too: those of PostgreSQL are in groups of their own, and stopped ones end by nothing else.
        let script = r#"read -r done || kill -s KILL -- "-$0" $(cat "/proc/$0/task/$0/children" 2>/dev/null)"#;
        guard.args(["-c", script, &id.to_string()]);
        let mut guard = guard.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0).spawn()?;
        let alive = guard.stdin.take();
        Ok(Self { id, guard, alive })
    }

    /// Ends all that is left of the group.
    pub(crate) fn kill(mut self) {
        signal("KILL", &format!("-{}", self.id));
        self.dismiss();
    }

    fn dismiss(&mut self) {
        if let Some(mut alive) = self.alive.take() {
            // If it is gone there is nobody to dismiss.
            alive.write_all(b"done\n").ok();
            drop(alive);
            self.guard.wait().ok();
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if self.alive.is_some() {
            signal("KILL", &format!("-{}", self.id));
            self.dismiss();
        }
    }
}

/// Ends what a killed step left outside its group, as a browser driven by puppeteer is. Only Linux tells who that is.
fn kill_strays(mark: &str) {
    let mark = format!("{MARK}={mark}");
    let Ok(processes) = fs::read_dir("/proc") else { return };
    for process in processes.flatten() {
        let environment = fs::read(process.path().join("environ")).unwrap_or_default();
        if environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes()) {
            signal("KILL", &process.file_name().to_string_lossy());
        }
    }
}

/// Sends a signal to a process, or with a minus to a group. Nobody there is no error.
pub(crate) fn signal(name: &str, to: &str) {
    signal_all(name, &[to.to_owned()]);
}

/// The same, to several with one command, so that they hear it at nearly the same time.
pub(crate) fn signal_all(name: &str, to: &[String]) {
    let mut kill = Command::new("sh");
    kill.args(["-c", "kill -s \"$0\" -- \"$@\"", name]).args(to);
    kill.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if let Err(error) = kill.status() {
        println!("`sh` did not run: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str, limit: Duration) -> (Finished, Duration) {
        let began = Instant::now();
        let finished = run(Command::new("sh").args(["-c", script]), limit, false).unwrap();
        (finished, began.elapsed())
    }

    const LONG: Duration = Duration::from_mins(1);

    #[test]
    fn output_and_status_are_kept() {
        let (finished, _) = sh("echo one; echo two; printf three; exit 7", LONG);
        assert_eq!(finished.lines, ["one", "two", "three"]);
        assert_eq!(finished.status.unwrap().code(), Some(7));
    }

    #[test]
    fn what_hangs_is_killed_with_all_its_children() {
        let (finished, took) = sh("sleep 300 & echo $!; wait", Duration::from_millis(500));
        assert!(finished.status.is_none());
        assert!(took < Duration::from_secs(30), "{took:?}");
        assert_gone(&finished.lines[0]);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn what_hangs_is_killed_with_what_left_its_group() {
        let (finished, _) = sh("setsid sleep 300 & echo $!; wait", Duration::from_millis(500));
        assert!(finished.status.is_none());
        assert_gone(&finished.lines[0]);
    }

    #[test]
    fn what_a_step_leaves_behind_is_killed() {
        let (finished, took) = sh("sleep 300 & echo $!", LONG);
        assert!(finished.status.unwrap().success());
        assert!(took < Duration::from_secs(30), "{took:?}");
        assert_gone(&finished.lines[0]);
    }

    #[test]
    fn the_guard_kills_the_group_when_its_owner_is_gone() {
        let mut child = Command::new("sleep").arg("300").process_group(0).spawn().unwrap();
        let mut group = Group::guard(child.id()).unwrap();
        // What the system does when a process ends without a word.
        drop(group.alive.take());
        assert!(group.guard.wait().unwrap().success());
        assert!(!child.wait().unwrap().success());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_guard_kills_children_too_that_left_the_group_and_are_stopped() {
        let mut child = Command::new("sh");
        child.args(["-c", "setsid sleep 300 & kill -s STOP $!; echo $!; wait"]).stdout(Stdio::piped()).process_group(0);
        let mut child = child.spawn().unwrap();
        let mut group = Group::guard(child.id()).unwrap();
        let mut sleeper = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut sleeper).unwrap();
        drop(group.alive.take());
        assert!(group.guard.wait().unwrap().success());
        assert!(!child.wait().unwrap().success());
        assert_gone(sleeper.trim());
    }

    fn assert_gone(process: &str) {
        let is_there = || {
            Command::new("sh")
                .args(["-c", "kill -0 \"$0\" 2>/dev/null && ! grep -q '^State:.Z' /proc/\"$0\"/status", process])
                .status()
                .unwrap()
                .success()
        };
        let end = Instant::now() + Duration::from_secs(10);
        while is_there() {
            assert!(Instant::now() < end, "process {process} is still there");
        }
    }
}
