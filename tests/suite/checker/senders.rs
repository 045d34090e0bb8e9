//! C1, C5 and C7: what those who sent were told, beside what is stored.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use uuid::Uuid;

use super::Judge;
use crate::driver::{Log, What};

impl Judge<'_> {
    pub(super) fn senders(&mut self, logs: &[Log]) {
        self.fates();
        for log in logs {
            self.receipts(log);
        }
    }

    /// C1 and C7.
    fn fates(&mut self) {
        for (id, sent) in std::mem::take(&mut self.sent) {
            let stored = self.copies.get(&id).map_or(0, Vec::len);
            self.verdict.totals.doubles += stored.saturating_sub(1);
            if sent.receipted.is_some() {
                self.verdict.totals.receipted += 1;
                if stored != 1 {
                    self.verdict.totals.lost += usize::from(stored == 0);
                    self.broken("C1", format!("{id}, receipted, is stored {stored} times in {}", sent.destination));
                }
            } else if stored > 1 {
                self.broken("C7", format!("{id}, of unknown fate, is stored {stored} times in {}", sent.destination));
            }
            self.sent.insert(id, sent);
        }
    }

    /// C5, connection by connection: receipts have the order of the SENDs, whatever their destinations, and those of one
    /// destination the order of its sequences.
    fn receipts(&mut self, log: &Log) {
        let mut connection = Connection::default();
        let mut before: HashSet<Uuid> = HashSet::new();
        let (mut sends, mut receipts) = (false, false);
        for entry in &log.entries {
            match &entry.what {
                What::Connected { .. } => {
                    before.extend(connection.sent.keys());
                    connection = Connection::default();
                }
                What::Sent { id, .. } => {
                    let number = connection.sent.len();
                    connection.sent.insert(*id, Attempt { at: entry.at, number });
                    sends = true;
                }
                What::Receipted { id } => {
                    self.answered(&connection, id, entry.at);
                    receipts = true;
                    match connection.sent.get(id).map(|attempt| attempt.number) {
                        None => self.broken("C5", format!("{} had a receipt of {id} on a connection that did not send it", log.client)),
                        Some(number) if number < connection.receipts => {
                            let what = format!("{} had the receipt of its SEND {number} after that of a later one", log.client);
                            self.broken("C5", what);
                        }
                        Some(number) => connection.receipts = number + 1,
                    }
                    let Some(&(destination, sequence)) = self.copies.get(id).and_then(|copies| copies.first()) else { continue };
                    let last = connection.last.entry(destination.to_owned()).or_default();
                    // What an earlier connection had sent may have been stored then, and only its RECEIPT is of now.
                    if sequence < *last && !before.contains(id) {
                        let what = format!("{} had the receipt of {destination} {sequence} after that of {last}", log.client);
                        self.broken("C5", what);
                    } else {
                        *last = sequence.max(*last);
                    }
                }
                What::Error { id: Some(id), .. } => self.answered(&connection, id, entry.at),
                _ => {}
            }
        }
        self.verdict.totals.idle += usize::from(sends && !receipts);
    }

    fn answered(&mut self, connection: &Connection, id: &Uuid, at: Duration) {
        if let Some(attempt) = connection.sent.get(id) {
            let slowest = &mut self.verdict.totals.slowest_answer;
            *slowest = at.saturating_sub(attempt.at).max(*slowest);
        }
    }
}

#[derive(Default)]
struct Connection {
    /// What went out on it.
    sent: HashMap<Uuid, Attempt>,
    /// No SEND before this one may have its RECEIPT now.
    receipts: usize,
    /// The highest sequence with a receipt, by destination.
    last: HashMap<String, u64>,
}

#[derive(Debug, Clone, Copy)]
struct Attempt {
    at: Duration,
    /// Of all on its connection.
    number: usize,
}
