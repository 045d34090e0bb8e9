//! Where the fixed group stands in a partition of *events*, and where its log begins and ends. Asked by a client of its
//! own that never subscribes, so it is no member of the group and moves nobody's partitions.

use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaResult;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::error::KafkaError;
use super::log::{raw, unsigned};

/// Asks; each answer takes as long as its leader or the group's coordinator takes, and others may ask meanwhile.
pub(super) struct Offsets(BaseConsumer);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    /// None if nothing was ever committed.
    pub(super) committed: Option<u64>,
    pub(super) log_start: u64,
    pub(super) log_end: u64,
}

impl Offsets {
    /// `config` names the group.
    pub(super) fn new(config: &ClientConfig) -> Result<Self, KafkaError> {
        Ok(Self(config.create()?))
    }

    /// Waits up to `answer` for each of the two who are asked.
    pub(super) fn look(&self, topic: &str, number: u32, answer: Duration) -> KafkaResult<Found> {
        let committed = self.committed(topic, number, answer)?;
        let (log_start, log_end) = self.log(topic, number, answer)?;
        Ok(Found { committed, log_start, log_end })
    }

    fn committed(&self, topic: &str, number: u32, answer: Duration) -> KafkaResult<Option<u64>> {
        let mut list = TopicPartitionList::with_capacity(1);
        list.add_partition(topic, raw(number));
        let list = self.0.committed_offsets(list, answer)?;
        let mut committed = None;
        for element in list.elements() {
            // What could not be read is not what was never committed: taken for it, a restored database goes unnoticed.
            element.error()?;
            if let Offset::Offset(offset) = element.offset() {
                committed = u64::try_from(offset).ok();
            }
        }
        Ok(committed)
    }

    /// Its beginning and its end.
    pub(super) fn log(&self, topic: &str, number: u32, answer: Duration) -> KafkaResult<(u64, u64)> {
        let (start, end) = self.0.fetch_watermarks(topic, raw(number), answer)?;
        Ok((unsigned(start), unsigned(end)))
    }

    /// Errors and log lines lie in the client's queue until somebody takes them.
    pub(super) fn hear(&self) {
        while self.0.poll(Duration::ZERO).is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::mocking::MockCluster;

    use super::*;
    use crate::bus::kafka::{KafkaSettings, client};

    #[test]
    fn an_offset_that_can_not_be_read_is_not_none() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("t.events", 1, 1).unwrap();
        let settings = KafkaSettings { brokers: cluster.bootstrap_servers(), ..KafkaSettings::default() };
        let offsets = Offsets::new(&client::offsets(&settings, "n", "g")).unwrap();
        assert_eq!(offsets.look("t.events", 0, Duration::from_secs(5)), Ok(Found { committed: None, log_start: 0, log_end: 0 }));
        // Of one partition alone: the answer as a whole is in order.
        assert!(offsets.committed("t.events", 1, Duration::from_secs(5)).is_err());
    }
}
