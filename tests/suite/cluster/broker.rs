//! Kafka as an onlooker sees it: how far the group is, who is in it, and records that footfall did not write.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::groups::GroupInfo;
use rdkafka::message::{BorrowedMessage, Header, OwnedHeaders};
use rdkafka::producer::future_producer::{DeliveryFuture, FutureProducer, FutureRecord};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

pub(super) const EVENTS: &str = "footfall.events";
pub(super) const BROADCAST: &str = "footfall.broadcast";
pub(super) const DEAD_LETTERS: &str = "footfall.dead-letters";
pub(super) const GROUP: &str = "footfall-persistence";

const ANSWER: Duration = Duration::from_secs(10);

pub(super) struct Broker {
    /// In the group by its name, so that it can ask for the group's offsets; it never joins.
    onlooker: BaseConsumer,
    producer: FutureProducer,
    servers: String,
}

/// A record as a service of somebody else's writes it; what is none is left out.
#[derive(Debug, Clone, Default)]
pub(super) struct Foreign {
    pub(super) key: Option<Vec<u8>>,
    pub(super) headers: Vec<(&'static str, Vec<u8>)>,
    pub(super) body: Vec<u8>,
    /// Instead of the one that the key names.
    pub(super) partition: Option<i32>,
}

impl Broker {
    pub(super) fn new(servers: &str) -> Self {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", servers).set("reconnect.backoff.max.ms", "500").set("partitioner", "murmur2_random");
        let onlooker = config.clone().set("group.id", GROUP).set("enable.auto.commit", "false").create().unwrap();
        let producer = config.set("acks", "all").set("enable.idempotence", "true").create().unwrap();
        Self { onlooker, producer, servers: servers.to_owned() }
    }

    /// How many records of the events topic the group has not committed; none while it can't be told.
    pub(super) fn lag(&self) -> Option<i64> {
        let ends = self.ends(EVENTS)?;
        let mut asked = TopicPartitionList::new();
        for partition in ends.keys() {
            asked.add_partition(EVENTS, *partition);
        }
        let committed = self.onlooker.committed_offsets(asked, ANSWER).ok()?;
        let at = |partition| match committed.find_partition(EVENTS, partition).map(|found| found.offset()) {
            Some(Offset::Offset(at)) => at,
            _ => 0,
        };
        Some(ends.into_iter().map(|(partition, end)| end - at(partition)).sum())
    }

    /// The offset that the next record of each partition gets; none while it can't be told.
    pub(super) fn ends(&self, topic: &str) -> Option<BTreeMap<i32, i64>> {
        let end = |partition| Some((partition, self.onlooker.fetch_watermarks(topic, partition, ANSWER).ok()?.1));
        self.partitions(topic)?.into_iter().map(end).collect()
    }

    /// How many records a topic ever got.
    pub(super) fn end(&self, topic: &str) -> i64 {
        self.ends(topic).unwrap().values().sum()
    }

    fn partitions(&self, topic: &str) -> Option<Vec<i32>> {
        let metadata = self.onlooker.fetch_metadata(Some(topic), ANSWER).ok()?;
        Some(metadata.topics().first()?.partitions().iter().map(rdkafka::metadata::MetadataPartition::id).collect())
    }

    /// The members of the group by their ids, which last as long as a member is in it.
    pub(super) fn members(&self) -> Vec<String> {
        let groups = self.onlooker.fetch_group_list(Some(GROUP), ANSWER).unwrap();
        let mut members: Vec<_> = groups.groups().iter().flat_map(GroupInfo::members).map(|member| member.id().to_owned()).collect();
        members.sort();
        members
    }

    /// Writes a record; in the log when this resolves, with the partition where it went.
    pub(super) async fn write(&self, topic: &str, foreign: &Foreign) -> i32 {
        self.begin(topic, foreign).await.unwrap().unwrap().partition
    }

    /// The same in two steps: its place among others of its partition is fixed when this returns.
    pub(super) fn begin(&self, topic: &str, foreign: &Foreign) -> DeliveryFuture {
        let headers = foreign.headers.iter().fold(OwnedHeaders::new(), |headers, (key, value)| {
            let value = Some(value);
            headers.insert(Header { key, value })
        });
        let mut record: FutureRecord<'_, Vec<u8>, Vec<u8>> = FutureRecord::to(topic).payload(&foreign.body).headers(headers);
        record.key = foreign.key.as_ref();
        // What is without a key would go anywhere.
        record.partition = foreign.partition.or_else(|| foreign.key.is_none().then_some(0));
        self.producer.send_result(record).map_err(|(error, _)| error).unwrap()
    }

    /// All records of a topic; what `read` makes of each.
    pub(super) fn read<T>(&self, topic: &str, mut read: impl FnMut(&BorrowedMessage<'_>) -> T) -> Vec<T> {
        let reader: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &self.servers)
            .set("group.id", "footfall-tests-reader")
            .set("enable.auto.commit", "false")
            .create()
            .unwrap();
        let mut places = TopicPartitionList::new();
        for partition in self.partitions(topic).unwrap() {
            places.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
        }
        reader.assign(&places).unwrap();
        (0..self.end(topic)).map_while(|_| reader.poll(ANSWER)).map(|record| read(&record.unwrap())).collect()
    }
}
