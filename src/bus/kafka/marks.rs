//! Reads single records by their offset, for what identifies them.

use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use rdkafka::Message as _;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError as ClientError, KafkaResult};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::error::KafkaError;
use super::log::raw;
use crate::message::Mark;

const ANSWER: Duration = Duration::from_secs(2);
const WITHIN: Duration = Duration::from_secs(5);

/// One client for all, made when it is first needed: questions come together, when partitions are assigned.
pub(super) struct Marks {
    config: ClientConfig,
    client: Mutex<Option<BaseConsumer>>,
}

impl Marks {
    pub(super) fn new(config: ClientConfig) -> Self {
        Self { config, client: Mutex::default() }
    }

    /// Waits, so it is for a thread that may.
    pub(super) fn read(&self, topic: &str, number: u32, offset: u64) -> Result<Option<Mark>, KafkaError> {
        let mut client = self.client.lock();
        let kept = match client.take() {
            Some(kept) => kept,
            None => self.config.create()?,
        };
        let mark = read(&kept, topic, raw(number), offset)?;
        kept.unassign()?;
        // After an error the next question begins with a new one.
        *client = Some(kept);
        Ok(mark)
    }

    pub(super) fn close(&self) {
        drop(self.client.lock().take());
    }
}

fn read(client: &BaseConsumer, topic: &str, number: i32, offset: u64) -> KafkaResult<Option<Mark>> {
    let Ok(wanted) = i64::try_from(offset) else { return Ok(None) };
    let (start, end) = client.fetch_watermarks(topic, number, ANSWER)?;
    if !(start..end).contains(&wanted) {
        return Ok(None);
    }
    let mut list = TopicPartitionList::with_capacity(1);
    list.add_partition_offset(topic, number, Offset::Offset(wanted))?;
    client.assign(&list)?;
    let begun = Instant::now();
    while begun.elapsed() < WITHIN {
        match client.poll(Duration::from_millis(100)) {
            Some(Ok(message)) if message.partition() == number && message.offset() >= wanted => {
                let mark = || Mark {
                    key: message.key().map(Bytes::copy_from_slice).unwrap_or_default(),
                    timestamp_ms: message.timestamp().to_millis().unwrap_or(-1),
                };
                // A later one: at this offset stands no record.
                return Ok((message.offset() == wanted).then(mark));
            }
            // It went between the two questions, or the rest of the log holds no record.
            Some(Err(
                ClientError::PartitionEOF(_) | ClientError::MessageConsumption(rdkafka::types::RDKafkaErrorCode::AutoOffsetReset),
            )) => {
                return Ok(None);
            }
            _ => {}
        }
    }
    Err(ClientError::NoMessageReceived)
}

impl std::fmt::Debug for Marks {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Marks").finish_non_exhaustive()
    }
}
