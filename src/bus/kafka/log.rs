//! The log that a node works with: one cluster's two topics, as they were found at the start.

use std::sync::Arc;

use super::health::Health;
use super::lag::Lags;
use crate::bus::Partition;

#[derive(Debug)]
pub(super) struct Log {
    /// The cluster's id; a cluster that was made anew has another.
    pub(super) id: Arc<str>,
    pub(super) events: Arc<str>,
    pub(super) broadcast: Arc<str>,
    /// Of each of the two topics.
    pub(super) partitions: u32,
    /// Header names that no sender may choose.
    pub(super) reserved: fn(&str) -> bool,
    pub(super) health: Health,
    pub(super) lags: Lags,
}

impl Log {
    pub(super) fn events_partition(&self, number: u32) -> Partition {
        Partition { log: Arc::clone(&self.id), topic: Arc::clone(&self.events), number }
    }

    pub(super) fn broadcast_partition(&self, number: u32) -> Partition {
        Partition { log: Arc::clone(&self.id), topic: Arc::clone(&self.broadcast), number }
    }
}

/// Kafka counts partitions in signed 32 bits.
pub(super) fn raw(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// Offsets and counts that Kafka has as signed numbers, where a negative one means that there is none.
pub(super) fn unsigned(offset: i64) -> u64 {
    offset.try_into().unwrap_or_default()
}
