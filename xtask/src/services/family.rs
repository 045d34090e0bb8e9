//! The processes of a server: its group, and children that left it. PostgreSQL's do: each is in a group of its own.

use std::fs;
use std::time::{Duration, Instant};

use crate::process::signal_all;

use super::server::look_again;

/// What a signal needs to arrive, or an ended process to go, on a busy machine.
const SOON: Duration = Duration::from_secs(10);

/// Stops all of them, for as long as it takes. The leader first: stopped, it starts no more of them.
pub(super) fn stop(leader: u32) {
    signal_all("STOP", &[group(leader)]);
    wait(|| is_still(leader));
    let children = children(leader);
    signal_all("STOP", &names(&children));
    // The signal has been sent, so whoever is late stops all the same: nothing to fail for.
    wait(|| children.iter().all(|id| is_still(*id)));
}

fn is_still(id: u32) -> bool {
    matches!(state(id), None | Some('T' | 't' | 'Z' | 'X'))
}

pub(super) fn resume(leader: u32) {
    let mut all = names(&children(leader));
    all.push(group(leader));
    signal_all("CONT", &all);
}

/// Sends KILL to all of them; they may still be there for a moment.
pub(super) fn kill(leader: u32) -> Vec<u32> {
    stop(leader);
    // Now, because children of a dead leader are nobody's.
    let children = children(leader);
    let mut all = names(&children);
    all.push(group(leader));
    signal_all("KILL", &all);
    children
}

/// Whether they went. Waited for because PostgreSQL does not start while a child of the last one has its memory.
pub(super) fn gone(processes: &[u32]) -> bool {
    // A zombie holds nothing; where nobody reaps orphans, as in many containers, it stays one.
    wait(|| processes.iter().all(|id| matches!(state(*id), None | Some('Z' | 'X'))))
}

/// All below it, however deep. Only Linux tells; elsewhere the group must do.
pub(super) fn children(leader: u32) -> Vec<u32> {
    let mut found = vec![leader];
    let mut next = 0;
    while let Some(id) = found.get(next) {
        let tasks = fs::read_dir(format!("/proc/{id}/task")).into_iter().flatten().flatten();
        let lists = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
        let below: Vec<u32> = lists.flat_map(|list| list.split_whitespace().filter_map(|id| id.parse().ok()).collect::<Vec<_>>()).collect();
        found.extend(below);
        next += 1;
    }
    found.split_off(1)
}

/// `T` for stopped, `Z` for ended and not yet reaped, …
fn state(id: u32) -> Option<char> {
    let line = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // After the name, which is in parentheses and may hold anything.
    line.rsplit_once(") ")?.1.chars().next()
}

fn wait(mut condition: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + SOON;
    loop {
        if condition() {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        look_again();
    }
}

fn names(processes: &[u32]) -> Vec<String> {
    processes.iter().map(u32::to_string).collect()
}

fn group(leader: u32) -> String {
    format!("-{leader}")
}
