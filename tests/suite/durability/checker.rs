//! Judges a run by what its clients logged and what the database holds: C1–C7 of the failure matrix. Knows nothing of
//! how the run was made, and names each violation by its rule.

use std::collections::{BTreeMap, HashMap};

use uuid::Uuid;

/// What a run left behind.
#[derive(Debug, Clone, Default)]
pub(crate) struct Logs {
    /// Every id that was ever handed to a socket, with what its sender knows of it.
    pub(crate) sent: HashMap<Uuid, Sent>,
    /// For each connection of a sender, the ids in the order in which their receipts came.
    pub(crate) receipts: Vec<Vec<Uuid>>,
    pub(crate) subscribers: Vec<Subscriber>,
    /// The database: all rows of each destination, by sequence as stored.
    pub(crate) stored: BTreeMap<String, Vec<Row>>,
    /// What the database says of the newest sequence ever given, by destination.
    pub(crate) heads: BTreeMap<String, u64>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) destination: String,
    /// If not, the sender gave up without knowing.
    pub(crate) receipted: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) sequence: u64,
    pub(crate) id: Uuid,
}

/// One reader of one destination, over all its connections.
#[derive(Debug, Clone, Default)]
pub(crate) struct Subscriber {
    pub(crate) destination: String,
    /// The sequence that its first RECEIPT named.
    pub(crate) start: u64,
    pub(crate) got: Vec<Row>,
}

/// A rule and how it was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) rule: &'static str,
    pub(crate) what: String,
}

/// Totals for the line that a run prints.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
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
}

/// All violations, and the totals.
pub(crate) fn check(logs: &Logs) -> (Vec<Violation>, Totals) {
    let mut judge = Judge { violations: Vec::new(), totals: Totals::default() };
    let copies = judge.rows(logs);
    judge.senders(logs, &copies);
    for subscriber in &logs.subscribers {
        judge.subscriber(logs, subscriber);
    }
    (judge.violations, judge.totals)
}

/// Where an id is stored, each time.
type Copies<'a> = HashMap<Uuid, Vec<(&'a str, u64)>>;

struct Judge {
    violations: Vec<Violation>,
    totals: Totals,
}

impl Judge {
    fn broken(&mut self, rule: &'static str, what: String) {
        self.violations.push(Violation { rule, what });
    }

    /// C2, C4 and C6 of the database.
    fn rows<'a>(&mut self, logs: &'a Logs) -> Copies<'a> {
        let mut copies = Copies::new();
        for (destination, rows) in &logs.stored {
            let mut due = 1;
            for row in rows {
                self.totals.stored += 1;
                if row.sequence != due {
                    self.totals.holes += 1;
                    self.broken("C2", format!("{destination} has {} where {due} is due", row.sequence));
                }
                due = row.sequence + 1;
                copies.entry(row.id).or_default().push((destination.as_str(), row.sequence));
                match logs.sent.get(&row.id) {
                    None => self.broken("C6", format!("{destination} {} stores {}, which nobody sent", row.sequence, row.id)),
                    Some(sent) if sent.destination != *destination => {
                        self.broken("C6", format!("{} was sent to {} and is stored in {destination}", row.id, sent.destination));
                    }
                    Some(_) => {}
                }
            }
            let head = logs.heads.get(destination).copied().unwrap_or_default();
            if head + 1 != due {
                self.totals.holes += 1;
                self.broken("C2", format!("{destination} has its head at {head}, and its last row at {}", due - 1));
            }
        }
        copies
    }

    /// C1, C5 and C7.
    fn senders(&mut self, logs: &Logs, copies: &Copies<'_>) {
        for (id, sent) in &logs.sent {
            let stored = copies.get(id).map_or(0, Vec::len);
            self.totals.receipted += usize::from(sent.receipted);
            self.totals.doubles += stored.saturating_sub(1);
            if sent.receipted && stored != 1 {
                self.totals.lost += usize::from(stored == 0);
                self.broken("C1", format!("{id}, receipted, is stored {stored} times"));
            } else if stored > 1 {
                self.broken("C7", format!("{id}, of unknown fate, is stored {stored} times"));
            }
        }
        for (connection, receipts) in logs.receipts.iter().enumerate() {
            let mut last: HashMap<&str, u64> = HashMap::new();
            for id in receipts {
                let Some(&(destination, sequence)) = copies.get(id).and_then(|copies| copies.first()) else { continue };
                let before = last.insert(destination, sequence).unwrap_or_default();
                if sequence <= before {
                    self.broken(
                        "C5",
                        format!("connection {connection} had the receipt of {destination} {sequence} after that of {before}"),
                    );
                }
            }
        }
    }

    /// C3, and C4 and C6 of what was delivered.
    fn subscriber(&mut self, logs: &Logs, subscriber: &Subscriber) {
        let destination = subscriber.destination.as_str();
        let rows = logs.stored.get(destination).map(Vec::as_slice).unwrap_or_default();
        let mut last = subscriber.start;
        for got in &subscriber.got {
            self.totals.delivered += 1;
            if got.sequence <= last {
                self.totals.doubles += 1;
                self.broken("C3", format!("a subscriber of {destination} got {} after {last}", got.sequence));
            } else if got.sequence > last + 1 {
                self.totals.holes += 1;
                self.broken("C3", format!("a subscriber of {destination} got {} after {last}: a hole", got.sequence));
            }
            last = last.max(got.sequence);
            // Where rows have no hole, the row is at its place.
            let place = usize::try_from(got.sequence).ok().and_then(|sequence| sequence.checked_sub(1));
            let row = place.and_then(|place| rows.get(place)).filter(|row| row.sequence == got.sequence);
            let row = row.or_else(|| rows.iter().find(|row| row.sequence == got.sequence));
            if row.is_none_or(|row| row.id != got.id) {
                self.broken("C4", format!("{destination} {} was delivered as {}, and is stored as {row:?}", got.sequence, got.id));
            }
            if !logs.sent.contains_key(&got.id) {
                self.broken("C6", format!("{} was delivered, which nobody sent", got.id));
            }
        }
        let head = logs.heads.get(destination).copied().unwrap_or_default();
        if last < head {
            self.totals.holes += 1;
            self.broken("C3", format!("a subscriber of {destination} ended at {last} of {head}"));
        }
    }
}
