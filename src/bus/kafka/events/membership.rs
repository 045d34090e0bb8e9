//! Notices when this node has not been a member of its group for long. That is said and nothing else: where another node
//! stores what this one's clients send, they lack nothing, so the node stays ready.

use std::time::{Duration, Instant};

/// Joining takes seconds, and a rebalance waits for members that are slow.
const LONG: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(super) struct Membership {
    /// When it was last known to be a member, or began to want to be one.
    since: Instant,
    said: bool,
}

/// What is worth saying.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change {
    Out(Duration),
    Back,
}

impl Membership {
    pub(super) fn new(now: Instant) -> Self {
        Self { since: now, said: false }
    }

    pub(super) fn look(&mut self, is_member: bool, now: Instant) -> Option<Change> {
        if is_member {
            self.since = now;
            return std::mem::take(&mut self.said).then_some(Change::Back);
        }
        let time = now.duration_since(self.since);
        let change = (time >= LONG && !self.said).then_some(Change::Out(time));
        self.said |= change.is_some();
        change
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_absence_is_said_once_and_its_end_too() {
        let begun = Instant::now();
        let mut membership = Membership::new(begun);
        let mut at = |seconds: u64, is_member: bool| membership.look(is_member, begun + Duration::from_secs(seconds));
        assert_eq!(at(10, false), None);
        assert_eq!(at(30, false), Some(Change::Out(LONG)));
        assert_eq!(at(40, false), None);
        assert_eq!(at(50, true), Some(Change::Back));
        assert_eq!(at(60, true), None);
        assert_eq!(at(80, false), None, "a rebalance");
        assert_eq!(at(85, true), None);
        assert_eq!(at(114, false), None);
        assert_eq!(at(115, false), Some(Change::Out(LONG)));
    }
}
