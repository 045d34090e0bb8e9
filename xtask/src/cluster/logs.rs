//! The logs of all processes as one, each line with the name of who said it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// So much is read of one log before the next one's turn.
const AT_ONCE: u64 = 256 * 1024;

/// Reads on in `<folder>/<name>/<name>.log`, whichever there are.
#[derive(Debug)]
pub(super) struct Follower {
    folder: PathBuf,
    read: BTreeMap<String, Position>,
}

#[derive(Debug, Default)]
struct Position {
    bytes: u64,
    /// The beginning of a line whose end is not there yet.
    begun: Vec<u8>,
}

impl Follower {
    pub(super) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), read: BTreeMap::new() }
    }

    /// Lines that came since the last call, with their names.
    pub(super) fn lines(&mut self) -> Vec<(String, String)> {
        let mut lines = Vec::new();
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let log = entry.path().join(format!("{name}.log"));
            let read = self.read.entry(name.clone()).or_default();
            // A process that has not begun has no log yet.
            let Ok(new) = news(&log, read.bytes) else { continue };
            read.bytes += new.len() as u64;
            read.begun.extend(new);
            while let Some(end) = read.begun.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = read.begun.drain(..=end).collect();
                lines.push((name.clone(), String::from_utf8_lossy(&line).trim_end().to_owned()));
            }
        }
        lines
    }
}

fn news(log: &Path, from: u64) -> std::io::Result<Vec<u8>> {
    let mut file = File::open(log)?;
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(AT_ONCE).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn whole_lines_come_once_and_with_their_names() {
        let folder = tempfile::tempdir().unwrap();
        let mut follower = Follower::new(folder.path());
        assert!(follower.lines().is_empty());
        fs::create_dir(folder.path().join("kafka-1")).unwrap();
        let mut log = File::create(folder.path().join("kafka-1/kafka-1.log")).unwrap();
        File::create(folder.path().join("kafka-1/other.log")).unwrap().write_all(b"not this\n").unwrap();
        log.write_all(b"one\ntwo\nthr").unwrap();
        let line = |text: &str| ("kafka-1".to_owned(), text.to_owned());
        assert_eq!(follower.lines(), [line("one"), line("two")]);
        assert!(follower.lines().is_empty());
        log.write_all(b"ee\n").unwrap();
        assert_eq!(follower.lines(), [line("three")]);
    }
}
