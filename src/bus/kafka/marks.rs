//! Reads single records by their offset, for what identifies them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use rdkafka::Message as _;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError as ClientError, KafkaResult};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use super::error::KafkaError;
use super::log::raw;
use crate::message::Mark;

const ANSWER: Duration = Duration::from_secs(2);
const WITHIN: Duration = Duration::from_secs(5);

/// So many are read at a time: questions come together, when partitions are assigned, and those of a silent leader take
/// their whole time again and again.
const AT_ONCE: usize = 8;

/// Clients are made when they are needed, and this many kept.
const KEPT: usize = 2;

pub(super) struct Marks {
    config: ClientConfig,
    turns: Arc<Semaphore>,
    /// Those that nobody reads with. No lock is held while one reads.
    idle: Mutex<Vec<BaseConsumer>>,
}

impl Marks {
    pub(super) fn new(config: ClientConfig) -> Self {
        Self { config, turns: Arc::new(Semaphore::new(AT_ONCE)), idle: Mutex::default() }
    }

    /// Waits for its turn. None once it is closed.
    pub(super) async fn read(self: Arc<Self>, topic: Arc<str>, number: u32, offset: u64) -> Option<Result<Option<Mark>, KafkaError>> {
        let turn = Arc::clone(&self.turns).acquire_owned().await.ok()?;
        let reading = spawn_blocking(move || {
            // Until it is done, whether anyone still waits for it or not.
            let _turn = turn;
            self.read_now(&topic, number, offset)
        });
        reading.await.ok()
    }

    fn read_now(&self, topic: &str, number: u32, offset: u64) -> Result<Option<Mark>, KafkaError> {
        let kept = self.idle.lock().pop();
        let client = match kept {
            Some(client) => client,
            None => self.config.create()?,
        };
        // After an error the next question begins with a new one.
        let mark = read(&client, topic, raw(number), offset)?;
        client.unassign()?;
        let mut idle = self.idle.lock();
        if idle.len() < KEPT && !self.turns.is_closed() {
            idle.push(client);
        }
        Ok(mark)
    }

    /// Those who still read are not waited for; nor are clients, whose drop waits for their threads.
    pub(super) fn close(&self) {
        self.turns.close();
        let idle = std::mem::take(&mut *self.idle.lock());
        drop(spawn_blocking(move || drop(idle)));
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

#[cfg(test)]
mod tests {
    use rdkafka::mocking::MockCluster;
    use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

    use tokio::task::JoinSet;

    use super::*;
    use crate::bus::kafka::{KafkaSettings, client};

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_silent_leader_keeps_nobody_elses_mark() {
        const TOPIC: &str = "t.events";
        let cluster = MockCluster::new(2).unwrap();
        cluster.create_topic(TOPIC, 2, 1).unwrap();
        for number in 0..2 {
            cluster.partition_leader(TOPIC, number, Some(number + 1)).unwrap();
        }
        let settings = KafkaSettings { brokers: cluster.bootstrap_servers(), ..KafkaSettings::default() };
        let producer: BaseProducer = client::producer(&settings, "n").create().unwrap();
        for number in 0..2 {
            producer.send(BaseRecord::<[u8], [u8]>::to(TOPIC).partition(number).key(b"k").payload(b"v")).unwrap();
        }
        producer.flush(Duration::from_secs(30)).unwrap();
        cluster.broker_round_trip_time(2, Duration::from_mins(1)).unwrap();
        let marks = Arc::new(Marks::new(client::marks(&settings, "n", "g")));
        let mut silent = JoinSet::new();
        (0..4).for_each(|_| drop(silent.spawn(Arc::clone(&marks).read(TOPIC.into(), 1, 0))));
        let begun = Instant::now();
        for _ in 0..10 {
            let mark = Arc::clone(&marks).read(TOPIC.into(), 0, 0).await.unwrap().unwrap().unwrap();
            assert_eq!(&*mark.key, b"k");
        }
        assert!(silent.try_join_next().is_none(), "{:?}", begun.elapsed());
        assert!(silent.join_all().await.into_iter().all(|read| read.unwrap().is_err()));
        marks.close();
        assert!(Arc::clone(&marks).read(TOPIC.into(), 0, 0).await.is_none());
    }
}
