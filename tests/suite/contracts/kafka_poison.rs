//! What others may write into the topics, and what becomes of it; and what others can read of ours.

use std::time::Duration;

use footfall::bus::{Audience, Bus, Consumer, Dead, DeadLetter, Event, Topic, Unreadable};
use footfall::message::foreign_id;
use rdkafka::ClientConfig;
use rdkafka::Message as _;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Header, Headers as _, OwnedHeaders, OwnedMessage};
use rdkafka::producer::{FutureProducer, FutureRecord};
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use super::bus::{next, record, room};
use super::kafka_bus::{PATIENCE, connected, settings};
use super::kafka_wire;
use crate::support::servers;

/// A backend with Java's partitioner.
struct Backend {
    producer: FutureProducer,
    topic: String,
}

impl Backend {
    fn new(brokers: &str, topic: String) -> Self {
        let producer = ClientConfig::new().set("bootstrap.servers", brokers).set("partitioner", "murmur2_random").create().unwrap();
        Self { producer, topic }
    }

    /// Its partition.
    async fn produce(&self, key: Option<&str>, headers: &[(&str, &str)], partition: Option<u32>) -> i32 {
        let mut all = OwnedHeaders::new();
        for (key, value) in headers {
            all = all.insert(Header { key, value: Some(*value) });
        }
        let mut record = FutureRecord::<str, [u8]>::to(&self.topic).payload(b"hello".as_slice()).headers(all);
        record.key = key;
        record.partition = partition.map(|partition| partition.try_into().unwrap());
        self.producer.send(record, PATIENCE).await.unwrap().partition
    }
}

const DESTINATION: &str = "/topic/rooms.1";

/// A key, the headers, and where it goes if not by its key.
type Poison<'a> = (Option<&'a str>, Vec<(&'a str, &'a str)>, Option<u32>);

fn event(id: &str) -> Vec<(&str, &str)> {
    vec![
        ("ce_specversion", "1.0"),
        ("ce_id", id),
        ("ce_source", "/billing"),
        ("ce_type", "footfall.message.v1"),
        ("ce_subject", DESTINATION),
        ("content-type", "text/plain"),
        ("stomp_color", "red"),
        ("stomp_LOGIN", "root"),
    ]
}

fn with<'a>(id: &'a str, name: &str, value: &'a str) -> Vec<(&'a str, &'a str)> {
    event(id).into_iter().map(|(other, old)| (other, if other == name { value } else { old })).collect()
}

async fn read(consumer: &mut dyn Consumer, records: usize, unreadable: usize) -> (Vec<Uuid>, Vec<Unreadable>) {
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    while good.len() < records || bad.len() < unreadable {
        match next(consumer).await {
            Event::Assigned(assigned) => assigned.iter().for_each(|assignment| consumer.start(&assignment.partition, assignment.log_start)),
            Event::Revoked(_) => panic!("nobody else reads"),
            Event::Records(batches) => {
                for batch in batches {
                    consumer.more(&batch.partition);
                    good.extend(batch.records.into_iter().map(|(_, record)| record.message.id));
                    bad.extend(batch.unreadable);
                }
            }
        }
    }
    (good, bad)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn poison_has_a_reason_and_its_neighbours_come_through() {
    let settings = settings().await;
    let bus = connected(&settings, "node-1").await;
    let backend = Backend::new(&settings.brokers, format!("{}.events", settings.prefix));
    let right = bus.partition_of(&room(1)).number;
    let wrong = (right + 1) % 4;
    let poison: [(&str, Poison<'_>); 8] = [
        ("ce_specversion", (Some(DESTINATION), vec![], None)),
        ("of a version", (Some(DESTINATION), with("1", "ce_type", "footfall.message.v2"), None)),
        ("ce_type", (Some(DESTINATION), with("1", "ce_type", "com.example.paid"), None)),
        ("ce_subject", (Some(DESTINATION), with("1", "ce_subject", "/topic/rooms.2"), None)),
        ("no key", (None, event("1"), Some(right))),
        ("partition", (Some(DESTINATION), event("1"), Some(wrong))),
        ("no destination", (Some("rooms.1"), with("1", "ce_subject", "rooms.1"), Some(right))),
        ("answers", (Some(DESTINATION), with("1", "ce_type", "footfall.known.v1"), None)),
    ];
    let mut expected = Vec::new();
    let mut ids = Vec::new();
    for (number, (word, (key, headers, partition))) in poison.iter().enumerate() {
        let id = format!("good-{number}");
        backend.produce(Some(DESTINATION), &event(&id), None).await;
        ids.push(foreign_id("/billing", &room(1), &id));
        backend.produce(*key, headers, *partition).await;
        expected.push((*word, headers.len()));
    }
    let mut consumer = bus.subscribe(Topic::Events, Audience::OneNode).await.unwrap();
    let (good, bad) = timeout(PATIENCE, read(consumer.as_mut(), ids.len(), expected.len())).await.unwrap();
    assert_eq!(good, ids, "in their order");
    for (word, headers) in expected {
        let found = bad.iter().find(|bad| bad.reason.contains(word)).unwrap_or_else(|| panic!("{word} in {bad:?}"));
        assert_eq!((found.raw.value.as_deref(), found.raw.headers.len()), (Some(b"hello".as_slice()), headers), "kept as it was");
    }
}

/// rdkafka panics when it is asked for such a header.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_header_whose_name_is_no_utf8_stops_nobody() {
    let settings = settings().await;
    let bus = connected(&settings, "node-1").await;
    let mut broadcast = bus.subscribe(Topic::Broadcast, Audience::EveryNode).await.unwrap();
    let mut events = bus.subscribe(Topic::Events, Audience::OneNode).await.unwrap();
    let partition = bus.partition_of(&room(1)).number;
    for topic in ["events", "broadcast"] {
        let topic = format!("{}.{topic}", settings.prefix);
        let headers: [(&[u8], &[u8]); 2] = [(b"ce_\xff", b"x"), (b"ce_id", b"1")];
        tokio::task::block_in_place(|| kafka_wire::produce(&settings.brokers, &topic, partition, DESTINATION.as_bytes(), &headers));
    }
    bus.publish(Topic::Events, record(&room(1))).await.unwrap().await.unwrap();
    bus.publish(Topic::Broadcast, record(&room(1))).await.unwrap().await.unwrap();
    for consumer in [&mut events, &mut broadcast] {
        let (good, bad) = timeout(PATIENCE, read(consumer.as_mut(), 1, 1)).await.unwrap();
        assert_eq!((good.len(), bad.len()), (1, 1));
        assert!(bad[0].reason.contains("name of a header"), "{bad:?}");
        assert_eq!(bad[0].raw.headers[1], ("ce_id".to_owned(), Some("1".into())), "the others are kept");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn java_and_librdkafka_choose_the_partition_that_we_choose() {
    let settings = settings().await;
    let bus = connected(&settings, "node-1").await;
    let backend = Backend::new(&settings.brokers, format!("{}.events", settings.prefix));
    for number in 0..50 {
        let destination = room(number);
        let chosen = backend.produce(Some(destination.as_str()), &[], None).await;
        assert_eq!(u32::try_from(chosen).unwrap(), bus.partition_of(&destination).number, "{destination}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backends_record_becomes_a_message() {
    let settings = settings().await;
    let bus = connected(&settings, "node-1").await;
    Backend::new(&settings.brokers, format!("{}.events", settings.prefix)).produce(Some(DESTINATION), &event("7"), None).await;
    let mut consumer = bus.subscribe(Topic::Events, Audience::OneNode).await.unwrap();
    let Event::Assigned(assigned) = next(consumer.as_mut()).await else { panic!("an assignment first") };
    for assignment in assigned {
        consumer.start(&assignment.partition, 0);
    }
    let Event::Records(batches) = next(consumer.as_mut()).await else { panic!("a record") };
    let message = &batches[0].records[0].1.message;
    assert_eq!((message.id, &message.sender), (foreign_id("/billing", &room(1), "7"), &None));
    assert_eq!(*message.headers, [("color".into(), "red".into())], "reserved names are dropped");
    assert_eq!(message.content_type.as_deref(), Some("text/plain"));
    assert!(message.timestamp_ms > 1_700_000_000_000, "without ce_time it is Kafka's time");
}

pub(super) fn dead_letters(brokers: &str, topic: &str, count: usize) -> Vec<OwnedMessage> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", format!("{topic}-test"))
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "false")
        .create()
        .unwrap();
    let mut list = rdkafka::TopicPartitionList::new();
    list.add_partition_offset(topic, 0, rdkafka::Offset::Beginning).unwrap();
    consumer.assign(&list).unwrap();
    let (begun, mut all) = (Instant::now(), Vec::new());
    while all.len() < count {
        assert!(begun.elapsed() < PATIENCE, "dead letters come");
        all.extend(consumer.poll(Duration::from_millis(100)).map(|message| message.unwrap().detach()));
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_letter_is_the_record_and_says_why_and_where() {
    let settings = settings().await;
    let bus = connected(&settings, "node-1").await;
    let backend = Backend::new(&settings.brokers, format!("{}.events", settings.prefix));
    backend.produce(Some(DESTINATION), &with("1", "ce_type", "footfall.message.v2"), None).await;
    let mut consumer = bus.subscribe(Topic::Events, Audience::OneNode).await.unwrap();
    let (_, mut bad) = read(consumer.as_mut(), 0, 1).await;
    let Unreadable { offset, reason, raw } = bad.remove(0);
    let partition = bus.partition_of(&room(1));
    bus.dead_letter(DeadLetter { partition: partition.clone(), offset, reason: reason.clone(), record: Dead::Raw(raw) }).await.unwrap();
    let rejected = Dead::Record(record(&room(2)));
    bus.dead_letter(DeadLetter { partition: partition.clone(), offset: 7, reason: "The store rejects it.".into(), record: rejected })
        .await
        .unwrap();

    let topic = format!("{}.dead-letters", settings.prefix);
    let letters = tokio::task::block_in_place(|| dead_letters(&settings.brokers, &topic, 2));
    let header = |letter: &OwnedMessage, wanted: &str| {
        let found = letter.headers().unwrap().iter().filter(|header| header.key == wanted).last().unwrap();
        String::from_utf8(found.value.unwrap().to_vec()).unwrap()
    };
    let first = &letters[0];
    assert_eq!((first.key(), first.payload()), (Some(DESTINATION.as_bytes()), Some(b"hello".as_slice())));
    for (name, value) in with("1", "ce_type", "footfall.message.v2") {
        assert_eq!(header(first, name), value);
    }
    for (name, value) in [
        ("footfall_reason", reason.as_str()),
        ("footfall_topic", &partition.topic),
        ("footfall_partition", &partition.number.to_string()),
        ("footfall_offset", &offset.to_string()),
        ("footfall_node", "node-1"),
    ] {
        assert_eq!(header(first, name), value);
    }
    assert!(header(first, "footfall_time").ends_with('Z'));
    assert_eq!(letters[1].key(), Some(room(2).as_str().as_bytes()));
    assert_eq!(header(&letters[1], "footfall_reason"), "The store rejects it.");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn javas_own_consumer_reads_our_records() {
    let settings = settings().await;
    let bus = connected(&settings, "node-1").await;
    let record = record(&room(1));
    let id = record.message.id;
    bus.publish(Topic::Events, record).await.unwrap().await.unwrap();
    let topic = format!("{}.events", settings.prefix);
    let lines = tokio::task::block_in_place(|| {
        let properties = ["--property", "print.headers=true", "--property", "print.key=true", "--property", "print.partition=true"];
        let arguments = [&["--topic", &topic, "--from-beginning", "--max-messages", "1"], &properties[..]].concat();
        servers::kafka().tool("org.apache.kafka.tools.consumer.ConsoleConsumer", &arguments).unwrap()
    });
    let line = lines.iter().find(|line| line.contains("ce_id")).unwrap_or_else(|| panic!("{lines:?}"));
    for part in [
        &format!("Partition:{}", bus.partition_of(&room(1)).number),
        &format!("ce_id:{id}"),
        "ce_source:footfall/node-1",
        "ce_specversion:1.0",
        "ce_type:footfall.message.v1",
        "ce_time:1970-01-01T00:00:00.001Z",
        "ce_subject:/topic/rooms.1",
        "/topic/rooms.1\thello",
    ] {
        assert!(line.contains(part), "{part} in {line}");
    }
}
