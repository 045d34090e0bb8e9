//! What nodes say of themselves in their logs.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use serde_json::Value;
use xtask::services::Server;

/// One line of a node's log.
#[derive(Debug)]
pub(super) struct Line(Value);

impl Line {
    pub(super) fn message(&self) -> &str {
        self.0["fields"]["message"].as_str().unwrap_or_default()
    }

    /// A list of numbers, as Rust shows it.
    fn numbers(&self, field: &str) -> Vec<i32> {
        let list = self.0["fields"][field].as_str().unwrap_or_default();
        list.trim_matches(['[', ']']).split(", ").filter_map(|number| number.parse().ok()).collect()
    }
}

/// Where a log ends now.
pub(super) fn end(node: &Server) -> u64 {
    std::fs::metadata(node.log()).map_or(0, |log| log.len())
}

/// All that a node said after `from`.
pub(super) fn text_since(node: &Server, from: u64) -> String {
    let mut bytes = Vec::new();
    let mut log = File::open(node.log()).unwrap();
    log.seek(SeekFrom::Start(from)).unwrap();
    log.read_to_end(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

pub(super) fn since(node: &Server, from: u64) -> Vec<Line> {
    text_since(node, from).lines().filter_map(|line| serde_json::from_str(line).ok()).map(Line).collect()
}

/// The partitions of the events topic that the group gave to a node and did not take back.
pub(super) fn partitions(node: &Server) -> BTreeSet<i32> {
    let mut partitions = BTreeSet::new();
    for line in since(node, 0) {
        match line.message() {
            // A new start.
            "connected to Kafka" => partitions.clear(),
            "assigned" => partitions.extend(line.numbers("partitions")),
            "revoked" => line.numbers("partitions").iter().for_each(|number| _ = partitions.remove(number)),
            _ => {}
        }
    }
    partitions
}

/// Whether a panic is told of. A task's is caught, so the process itself would not show it.
pub(super) fn has_panic(text: &str) -> bool {
    text.contains("panic: ") || text.contains("panicked at")
}
