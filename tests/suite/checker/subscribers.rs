//! C3, and C4 and C6 of what was delivered: one order for all subscribers, on whichever nodes they were.

use std::collections::HashMap;
use std::sync::Arc;

use footfall::message::{Epoch, Position};
use uuid::Uuid;

use super::{Database, Judge, Run};
use crate::driver::{Log, What};

/// What the first subscriber that got this sequence got.
type Seen = HashMap<(Arc<str>, Epoch, u64), Uuid>;

impl Judge<'_> {
    pub(super) fn subscribers(&mut self, run: &Run) {
        let mut seen = Seen::new();
        for log in &run.logs {
            if let Some((destination, last)) = self.subscriber(log, &run.database, &mut seen) {
                self.end(run, log, &destination, last);
            }
        }
    }

    /// Follows one subscriber of one destination; answers where it ended.
    fn subscriber(&mut self, log: &Log, database: &Database, seen: &mut Seen) -> Option<(Arc<str>, Position)> {
        let mut at: Option<(Arc<str>, Position)> = None;
        for entry in &log.entries {
            match &entry.what {
                What::Subscribed { destination, recovered, position, .. } => {
                    self.subscribed(log, at.as_ref().map(|(_, last)| *last), *recovered, *position);
                    at = Some((destination.clone(), *position));
                }
                What::Received { destination, position, id } => {
                    // A resume's messages come before its RECEIPT, but never before the first.
                    let Some((subscribed, last)) = &at else {
                        self.broken("C3", format!("{} got {destination} {position} before it had subscribed", log.client));
                        continue;
                    };
                    if subscribed != destination {
                        self.broken("C6", format!("{} got {destination} {position}, and subscribed to {subscribed}", log.client));
                        continue;
                    }
                    let last = self.received(log, destination, *last, *position);
                    at = Some((destination.clone(), last));
                    self.identity(log, database, seen, destination, *position, *id);
                }
                _ => {}
            }
        }
        at
    }

    /// C3 of where a subscription begins or goes on.
    fn subscribed(&mut self, log: &Log, last: Option<Position>, recovered: Option<bool>, position: Position) {
        let Some(last) = last else { return };
        if recovered == Some(true) {
            self.verdict.totals.resumed += 1;
            if last != position {
                self.verdict.totals.holes += 1;
                self.broken("C3", format!("{} was told to be at {position} again, and is at {last}", log.client));
            }
        } else {
            self.verdict.totals.reset += 1;
            // Under one numbering a counter only rises.
            if last.epoch == position.epoch && position.sequence < last.sequence {
                self.broken("C3", format!("{} was set back from {last} to {position}", log.client));
            }
        }
    }

    /// C3; answers where the subscriber is now.
    fn received(&mut self, log: &Log, destination: &str, last: Position, got: Position) -> Position {
        self.verdict.totals.delivered += 1;
        if got.epoch != last.epoch {
            self.broken("C3", format!("{} got {destination} {got} after {last}, and nobody told of another numbering", log.client));
            return got;
        }
        if got.sequence <= last.sequence {
            self.verdict.totals.doubles += 1;
            self.broken("C3", format!("{} got {destination} {got} after {last}", log.client));
            return last;
        }
        if got.sequence > last.sequence + 1 {
            self.verdict.totals.holes += 1;
            self.broken("C3", format!("{} got {destination} {got} after {last}: a hole", log.client));
        }
        got
    }

    /// C4 and C6.
    fn identity(&mut self, log: &Log, database: &Database, seen: &mut Seen, destination: &Arc<str>, got: Position, id: Uuid) {
        let first = *seen.entry((destination.clone(), got.epoch, got.sequence)).or_insert(id);
        if first != id {
            self.broken("C4", format!("{destination} {got} is {first} for one subscriber and {id} for {}", log.client));
        }
        // Of an older numbering only so much is left as the copy of the database had.
        let kept = database.kept.get(&**destination).is_some_and(|kept| got.sequence <= *kept);
        if kept || database.heads.get(&**destination).is_none_or(|head| head.epoch == got.epoch) {
            let rows = database.rows.get(&**destination).map(Vec::as_slice).unwrap_or_default();
            // Where rows have no hole, the row is at its place.
            let place = usize::try_from(got.sequence).ok().and_then(|sequence| sequence.checked_sub(1));
            let row = place.and_then(|place| rows.get(place)).filter(|row| row.sequence == got.sequence);
            let row = row.or_else(|| rows.iter().find(|row| row.sequence == got.sequence));
            if row.is_none_or(|row| row.id != id) {
                self.broken("C4", format!("{destination} {got} was delivered as {id}, and is stored as {row:?}"));
            }
        }
        match self.sent.get(&id).map(|sent| sent.destination) {
            None => self.broken("C6", format!("{id} was delivered, which nobody sent")),
            Some(to) if *to != **destination => self.broken("C6", format!("{id} was sent to {to} and delivered in {destination}")),
            Some(_) => {}
        }
    }

    /// C3 of the last messages, which nothing comes after.
    fn end(&mut self, run: &Run, log: &Log, destination: &str, last: Position) {
        let Some(due) = run.due.get(destination) else { return };
        if last.epoch != due.epoch || last.sequence < due.sequence {
            self.verdict.totals.holes += 1;
            self.broken("C3", format!("{} ended at {last} of {destination}, whose head is {due}", log.client));
        }
    }
}
