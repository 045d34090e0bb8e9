//! How far this node's readers are behind, for whoever wants to know: set by the monitor, which asks where the logs end,
//! and read without waiting.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::bus::Lag;

/// No log is so long.
const UNKNOWN: u64 = u64::MAX;

#[derive(Debug)]
pub(super) struct Lags {
    events: AtomicU64,
    broadcast: AtomicU64,
}

impl Default for Lags {
    fn default() -> Self {
        Self { events: AtomicU64::new(UNKNOWN), broadcast: AtomicU64::new(UNKNOWN) }
    }
}

impl Lags {
    pub(super) fn set_events(&self, lag: Option<u64>) {
        self.events.store(lag.unwrap_or(UNKNOWN), Ordering::Relaxed);
    }

    pub(super) fn set_broadcast(&self, lag: Option<u64>) {
        self.broadcast.store(lag.unwrap_or(UNKNOWN), Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> Lag {
        let known = |lag: &AtomicU64| Some(lag.load(Ordering::Relaxed)).filter(|lag| *lag != UNKNOWN);
        Lag { events: known(&self.events), broadcast: known(&self.broadcast) }
    }
}

/// The sum over partitions, each with the next offset that is to be taken and the end of its log; none if an end is unknown.
pub(super) fn behind(partitions: impl IntoIterator<Item = (u64, Option<u64>)>) -> Option<u64> {
    partitions.into_iter().map(|(next, end)| Some(end?.saturating_sub(next))).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_of_one_partition_is_not_known_of_all() {
        assert_eq!(behind([(5, Some(9)), (3, Some(3)), (8, Some(7))]), Some(4));
        assert_eq!(behind([(5, Some(9)), (3, None)]), None);
        assert_eq!(behind([]), Some(0), "nothing is read here");
    }

    #[test]
    fn nothing_is_known_before_somebody_looked() {
        let lags = Lags::default();
        assert_eq!(lags.get(), Lag::default());
        lags.set_events(Some(3));
        lags.set_broadcast(Some(0));
        assert_eq!(lags.get(), Lag { events: Some(3), broadcast: Some(0) });
        lags.set_events(None);
        assert_eq!(lags.get(), Lag { events: None, broadcast: Some(0) });
    }
}
