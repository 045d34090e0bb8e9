//! Judges a run by what its clients wrote down and what the database holds: C1–C8 of the failure matrix. Knows nothing
//! of how the run was made, and names each violation by its rule. It is judged itself by [`planted`].

mod planted;
mod rows;
mod senders;
mod subscribers;
mod timings;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use footfall::message::{Close, Code, Position};
use uuid::Uuid;

pub(crate) use self::timings::{caught_up, slowest_hundredth, stall};
use crate::driver::{Heads, Log, What};

/// What a run left behind.
#[derive(Debug, Clone, Default)]
pub(crate) struct Run {
    pub(crate) logs: Vec<Log>,
    /// Up to where every subscriber was to read.
    pub(crate) due: Heads,
    pub(crate) database: Database,
}

/// What is stored, read past the broker.
#[derive(Debug, Clone, Default)]
pub(crate) struct Database {
    /// All rows of each destination, by sequence.
    pub(crate) rows: BTreeMap<String, Vec<Row>>,
    /// The newest position ever given, by destination; none for one that was never written.
    pub(crate) heads: BTreeMap<String, Position>,
    /// For a database that was put back to an older copy: the sequence up to which that copy had the destination. So far
    /// the rows are the same under every numbering.
    pub(crate) kept: BTreeMap<String, u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) sequence: u64,
    pub(crate) id: Uuid,
}

/// A rule and how it was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation {
    /// C1–C8, or "unexpected" for what no broker may say to clients that do nothing wrong.
    pub(crate) rule: &'static str,
    pub(crate) what: String,
}

/// What a run prints.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) receipted: usize,
    pub(crate) stored: usize,
    pub(crate) delivered: usize,
    /// Receipted and not stored.
    pub(crate) lost: usize,
    /// Sequences that no row or no delivery has.
    pub(crate) holes: usize,
    /// Ids stored, or sequences delivered, more than once.
    pub(crate) doubles: usize,
    /// Subscribers that came back to where they were, each time.
    pub(crate) resumed: usize,
    /// Subscribers that were told that their position is lost and went on from another, each time.
    pub(crate) reset: usize,
    /// Senders that never had a receipt.
    pub(crate) idle: usize,
    /// ERRORs by their code.
    pub(crate) errors: BTreeMap<String, usize>,
    /// From a SEND to its RECEIPT or ERROR on the same connection, at most.
    pub(crate) slowest_answer: Duration,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) violations: Vec<Violation>,
    pub(crate) totals: Totals,
}

impl Verdict {
    /// Panics with the first violations, if there are any.
    pub(crate) fn assert_clean(&self, seed: u64) {
        let first: Vec<_> = self.violations.iter().take(20).collect();
        assert!(first.is_empty(), "{} violations, seed {seed}: {first:#?}", self.violations.len());
    }
}

/// All violations of C1–C7, and the totals.
pub(crate) fn check(run: &Run) -> Verdict {
    let mut judge = Judge { verdict: Verdict::default(), sent: sent(&run.logs), copies: Copies::new() };
    judge.rows(&run.database);
    judge.senders(&run.logs);
    judge.subscribers(run);
    judge.words(&run.logs);
    judge.verdict
}

/// What is known of a message from those who sent it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Sent<'a> {
    destination: &'a str,
    /// When the first RECEIPT came. If none did, its fate is unknown.
    receipted: Option<Duration>,
}

fn sent(logs: &[Log]) -> HashMap<Uuid, Sent<'_>> {
    let mut all: HashMap<Uuid, Sent<'_>> = HashMap::new();
    for entry in logs.iter().flat_map(|log| &log.entries) {
        match &entry.what {
            What::Sent { destination, id } => {
                all.entry(*id).or_insert(Sent { destination, receipted: None });
            }
            What::Receipted { id } => {
                // Who sent it wrote so before.
                if let Some(sent) = all.get_mut(id) {
                    sent.receipted.get_or_insert(entry.at);
                }
            }
            _ => {}
        }
    }
    all
}

/// Where an id is stored, each time.
type Copies<'a> = HashMap<Uuid, Vec<(&'a str, u64)>>;

struct Judge<'a> {
    verdict: Verdict,
    sent: HashMap<Uuid, Sent<'a>>,
    copies: Copies<'a>,
}

impl Judge<'_> {
    fn broken(&mut self, rule: &'static str, what: String) {
        self.verdict.violations.push(Violation { rule, what });
    }

    /// What no broker may say to clients that do nothing wrong, whatever is done to it.
    fn words(&mut self, logs: &[Log]) {
        for log in logs {
            for entry in &log.entries {
                match &entry.what {
                    What::Surprise { what } => self.broken("unexpected", format!("{} at {:?}: {what}", log.client, entry.at)),
                    What::Error { code, .. } => {
                        *self.verdict.totals.errors.entry(code.clone()).or_default() += 1;
                        let come_back = Code::ALL.iter().any(|known| known.as_str() == code && known.close() == Close::Reconnect);
                        if !come_back {
                            self.broken("unexpected", format!("{} was refused with {code:?}", log.client));
                        }
                    }
                    _ => {}
                }
            }
        }
    }
}
