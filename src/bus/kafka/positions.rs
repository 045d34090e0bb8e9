//! Where the fixed group stands in each partition of *events*, read without joining it.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaResult;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tokio::task::spawn_blocking;

use super::log::{raw, unsigned};
use super::{KafkaBus, KafkaError, client};
use crate::bus::Assignment;

/// For each question.
const ANSWER: Duration = Duration::from_secs(5);

impl KafkaBus {
    /// All partitions of *events*, as a consumer would be told of them.
    pub async fn positions(&self) -> Result<Vec<Assignment>, KafkaError> {
        let config = client::events(&self.settings, &self.node, &self.names.persistence);
        let (topic, partitions) = (self.names.events.clone(), self.log.partitions);
        let found = spawn_blocking(move || {
            let client: BaseConsumer = config.create()?;
            look(&client, &topic, partitions).map_err(KafkaError::from)
        });
        let found = found.await.map_err(|_| KafkaError::Thread)??;
        let assignment = |(number, Found { committed, log_start, log_end })| {
            let partition = self.log.events_partition(number);
            Assignment { partition, committed, log_start, log_end }
        };
        Ok((0..).zip(found).map(assignment).collect())
    }
}

impl KafkaBus {
    /// Where a partition of *events* begins and ends now.
    pub(super) async fn ends_of(&self, number: u32) -> Result<(u64, u64), KafkaError> {
        let (config, topic) = (client::asking(&self.settings, &self.node), self.names.events.clone());
        let found = spawn_blocking(move || {
            let client: BaseConsumer = config.create()?;
            client.fetch_watermarks(&topic, raw(number), ANSWER)
        });
        let (log_start, log_end) = found.await.map_err(|_| KafkaError::Thread)??;
        Ok((unsigned(log_start), unsigned(log_end)))
    }
}

struct Found {
    committed: Option<u64>,
    log_start: u64,
    log_end: u64,
}

fn look(client: &BaseConsumer, topic: &str, partitions: u32) -> KafkaResult<Vec<Found>> {
    let mut list = TopicPartitionList::new();
    list.add_partition_range(topic, 0, raw(partitions) - 1);
    let committed = client.committed_offsets(list, ANSWER)?;
    (0..partitions)
        .map(|number| {
            let committed = match committed.find_partition(topic, raw(number)).map(|element| element.offset()) {
                Some(Offset::Offset(offset)) => Some(unsigned(offset)),
                _ => None,
            };
            let (log_start, log_end) = client.fetch_watermarks(topic, raw(number), ANSWER)?;
            Ok(Found { committed, log_start: unsigned(log_start), log_end: unsigned(log_end) })
        })
        .collect()
}
