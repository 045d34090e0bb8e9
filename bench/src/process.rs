//! What the kernel says of a process: CPU seconds, memory, file descriptors, ports.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

/// `USER_HZ`, in which /proc counts CPU time; 100 on every Linux that runs Rust programs of this kind.
const TICKS_PER_SECOND: u64 = 100;

/// What this program needs besides one descriptor for each connection.
const SPARE_DESCRIPTORS: u64 = 64;

/// A process whose /proc files can be read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Process {
    id: u32,
}

impl Process {
    pub(crate) fn new(id: u32) -> Result<Self> {
        ensure!(Path::new(&format!("/proc/{id}")).exists(), "There is no process {id}.");
        Ok(Self { id })
    }

    pub(crate) fn own() -> Self {
        Self { id: std::process::id() }
    }

    /// CPU time of all its threads so far, in user and kernel mode.
    pub(crate) fn cpu(self) -> Result<Duration> {
        cpu_in(&self.read("stat")?).context("/proc/…/stat has no CPU times where they should be.")
    }

    pub(crate) fn resident_kib(self) -> Result<u64> {
        resident_in(&self.read("status")?).context("/proc/…/status has no VmRSS.")
    }

    fn open_files_limit(self) -> Result<u64> {
        open_files_in(&self.read("limits")?).context("/proc/…/limits has no line for open files.")
    }

    fn read(self, file: &str) -> Result<String> {
        let path = format!("/proc/{}/{file}", self.id);
        fs::read_to_string(&path).with_context(|| format!("{path} can't be read; has the process ended?"))
    }
}

/// Fails before the first connection if there can't be that many, here or in the node.
pub(crate) fn ensure_room_for(connections: usize, node: Option<Process>) -> Result<()> {
    let needed = connections as u64 + SPARE_DESCRIPTORS;
    let own = Process::own().open_files_limit()?;
    ensure!(
        own >= needed,
        "{connections} connections need {needed} open files and this process may have {own}: run `ulimit -n {needed}` first."
    );
    if let Some(node) = node {
        let limit = node.open_files_limit()?;
        ensure!(limit >= needed, "The node may have {limit} open files and needs {needed}: start it after `ulimit -n {needed}`.");
    }
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").context("The range of local ports can't be read.")?;
    let ports = ports_in(&range).context("The range of local ports can't be understood.")?;
    ensure!(ports > needed, "There are {ports} local ports, too few for {connections} connections to one address.");
    Ok(())
}

/// The name in the second field may hold spaces and parentheses, so fields are counted behind its last one.
fn cpu_in(stat: &str) -> Option<Duration> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let kernel: u64 = fields.next()?.parse().ok()?;
    Some(Duration::from_millis((user + kernel) * 1000 / TICKS_PER_SECOND))
}

fn resident_in(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

fn open_files_in(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    match line.split_ascii_whitespace().next()? {
        "unlimited" => Some(u64::MAX),
        soft => soft.parse().ok(),
    }
}

fn ports_in(range: &str) -> Option<u64> {
    let (first, last) = range.trim().split_once(char::is_whitespace)?;
    let (first, last): (u64, u64) = (first.parse().ok()?, last.trim().parse().ok()?);
    Some(last.checked_sub(first)? + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_times_are_found_behind_any_name() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 9 0 0 0 150 25 0 0 20 0 3 0 5 6 7";
        assert_eq!(cpu_in(stat), Some(Duration::from_millis(1750)));
        assert_eq!(cpu_in("7 (a) S 1"), None);
    }

    #[test]
    fn memory_descriptors_and_ports() {
        assert_eq!(resident_in("VmHWM:\t  9 kB\nVmRSS:\t   1234 kB\n"), Some(1234));
        assert_eq!(open_files_in("Max open files            1024                 4096                 files\n"), Some(1024));
        assert_eq!(open_files_in("Max open files            unlimited            unlimited            files\n"), Some(u64::MAX));
        assert_eq!(ports_in("32768\t60999\n"), Some(28_232));
    }

    #[test]
    fn this_process_can_be_read() {
        assert!(Process::own().resident_kib().unwrap() > 100);
        Process::own().cpu().unwrap();
        assert!(Process::own().open_files_limit().unwrap() > 0);
    }

    #[test]
    fn more_connections_than_ports_are_refused() {
        assert!(ensure_room_for(10_000_000, None).is_err());
    }
}
