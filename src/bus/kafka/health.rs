//! What is known of Kafka right now: whether a broker answers, whether the log still is the one that this node began
//! with, and whether this node keeps up with broadcast. Set by whoever hears of it, read without waiting.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::bus::{BusError, BusState};

/// A SEND after so long without a broker is refused before it is produced.
const REFUSE_AFTER: Duration = Duration::from_secs(2);

/// A node after so long without a broker gets no new clients: a leader's move takes less.
const NOT_READY_AFTER: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct Health {
    begun: Instant,
    /// When a broker last answered anything, in milliseconds since `begun`.
    contact: AtomicU64,
    /// Something failed since. An idle bus is not an unreachable one.
    failing: AtomicBool,
    /// Partitions or cluster are others than at the start. Never reset: what was numbered under them can't be continued.
    changed: AtomicBool,
    /// Records on broadcast exist that this node should have read.
    behind: AtomicBool,
    closed: AtomicBool,
}

impl Health {
    pub(super) fn new() -> Self {
        Self {
            begun: Instant::now(),
            contact: AtomicU64::new(0),
            failing: AtomicBool::new(false),
            changed: AtomicBool::new(false),
            behind: AtomicBool::new(false),
            closed: AtomicBool::new(false),
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// A broker answered.
    pub(super) fn contact(&self) {
        self.contact.store(self.now(), Ordering::Relaxed);
        self.failing.store(false, Ordering::Relaxed);
    }

    /// No broker could be reached, or none answered in time.
    pub(super) fn failure(&self) {
        self.failing.store(true, Ordering::Relaxed);
    }

    fn silent_for(&self, at_least: Duration) -> bool {
        let silence = self.now().saturating_sub(self.contact.load(Ordering::Relaxed));
        self.failing.load(Ordering::Relaxed) && u128::from(silence) >= at_least.as_millis()
    }

    pub(super) fn changed(&self) {
        self.changed.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_changed(&self) -> bool {
        self.changed.load(Ordering::Relaxed)
    }

    pub(super) fn set_behind(&self, behind: bool) {
        if self.behind.swap(behind, Ordering::Relaxed) != behind {
            tracing::warn!(behind, "whether this node has read all of the broadcast topic has changed");
        }
    }

    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// Whether a record may be produced now.
    pub(super) fn may_publish(&self) -> Result<(), BusError> {
        if self.is_closed() {
            Err(BusError::Closed)
        } else if self.is_changed() || self.silent_for(REFUSE_AFTER) {
            Err(BusError::Unavailable)
        } else {
            Ok(())
        }
    }

    pub(super) fn state(&self) -> BusState {
        if self.is_changed() {
            BusState::NotReady("partitions-changed")
        } else if self.is_closed() || self.silent_for(NOT_READY_AFTER) {
            BusState::NotReady("bus-unavailable")
        } else if self.behind.load(Ordering::Relaxed) {
            BusState::NotReady("broadcast-behind")
        } else {
            BusState::Ready
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begun_before(ago: Duration) -> Health {
        Health { begun: Instant::now().checked_sub(ago).unwrap(), ..Health::new() }
    }

    #[test]
    fn silence_counts_only_once_something_failed() {
        let health = begun_before(Duration::from_mins(1));
        assert_eq!((health.may_publish(), health.state()), (Ok(()), BusState::Ready));
        health.failure();
        assert_eq!((health.may_publish(), health.state()), (Err(BusError::Unavailable), BusState::NotReady("bus-unavailable")));
        health.contact();
        health.failure();
        assert_eq!((health.may_publish(), health.state()), (Ok(()), BusState::Ready));
    }

    #[test]
    fn a_send_is_refused_before_the_node_is_not_ready() {
        let health = begun_before(Duration::from_secs(3));
        health.failure();
        assert_eq!((health.may_publish(), health.state()), (Err(BusError::Unavailable), BusState::Ready));
    }

    #[test]
    fn another_log_is_never_forgotten() {
        let health = Health::new();
        health.changed();
        health.contact();
        assert_eq!((health.may_publish(), health.state()), (Err(BusError::Unavailable), BusState::NotReady("partitions-changed")));
    }

    #[test]
    fn a_node_that_is_behind_takes_sends_and_no_clients() {
        let health = Health::new();
        health.set_behind(true);
        assert_eq!((health.may_publish(), health.state()), (Ok(()), BusState::NotReady("broadcast-behind")));
        health.set_behind(false);
        assert_eq!(health.state(), BusState::Ready);
        health.close();
        assert_eq!(health.may_publish(), Err(BusError::Closed));
    }
}
