//! Where the fixed group stands in each partition of *events*, for a command.

use std::time::Duration;

use tokio::task::spawn_blocking;

use super::offsets::{Found, Offsets};
use super::{KafkaBus, KafkaError, client};
use crate::bus::Assignment;

/// For each question.
const ANSWER: Duration = Duration::from_secs(5);

impl KafkaBus {
    /// All partitions of *events*, as a consumer would be told of them. The group is not joined.
    pub async fn positions(&self) -> Result<Vec<Assignment>, KafkaError> {
        let config = client::offsets(&self.settings, &self.node, &self.names.persistence);
        let (topic, partitions) = (self.names.events.clone(), self.log.partitions);
        let found = spawn_blocking(move || {
            let offsets = Offsets::new(&config)?;
            (0..partitions).map(|number| offsets.look(&topic, number, ANSWER).map_err(KafkaError::from)).collect::<Result<Vec<_>, _>>()
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
        let config = client::offsets(&self.settings, &self.node, &self.names.persistence);
        let topic = self.names.events.clone();
        let found = spawn_blocking(move || Offsets::new(&config)?.look(&topic, number, ANSWER).map_err(KafkaError::from));
        let Found { log_start, log_end, .. } = found.await.map_err(|_| KafkaError::Thread)??;
        Ok((log_start, log_end))
    }
}
