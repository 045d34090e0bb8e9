//! C2, and C6 of what is stored.

use super::{Database, Judge};

impl<'a> Judge<'a> {
    pub(super) fn rows(&mut self, database: &'a Database) {
        for (destination, rows) in &database.rows {
            let mut due = 1;
            for row in rows {
                self.verdict.totals.stored += 1;
                if row.sequence != due {
                    self.verdict.totals.holes += 1;
                    self.broken("C2", format!("{destination} has {} where {due} is due", row.sequence));
                }
                due = row.sequence + 1;
                self.copies.entry(row.id).or_default().push((destination.as_str(), row.sequence));
                match self.sent.get(&row.id).map(|sent| sent.destination) {
                    None => self.broken("C6", format!("{destination} {} stores {}, which nobody sent", row.sequence, row.id)),
                    Some(to) if to != destination => {
                        self.broken("C6", format!("{} was sent to {to} and is stored in {destination}", row.id));
                    }
                    Some(_) => {}
                }
            }
            let head = database.heads.get(destination).map_or(0, |head| head.sequence);
            if head + 1 != due {
                self.verdict.totals.holes += 1;
                self.broken("C2", format!("{destination} has its head at {head}, and its last row at {}", due - 1));
            }
        }
        for (destination, head) in &database.heads {
            if head.sequence > 0 && !database.rows.contains_key(destination) {
                self.verdict.totals.holes += 1;
                self.broken("C2", format!("{destination} has its head at {head}, and no row"));
            }
        }
    }
}
