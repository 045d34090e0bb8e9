//! Records about as large as a topic takes, on every hop: what is taken on one is taken on the next.

use std::sync::Arc;

use bytes::Bytes;
use footfall::bus::{
    Audience, Bus, BusError, Consumer, Dead, DeadLetter, Event, KafkaBus, Record, Topic, Unreadable, Weight, check_topics,
};
use footfall::message::{Epoch, Message, Position, RenderedOnce, new_id};
use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::message::{Header, Headers as _, OwnedHeaders, OwnedMessage};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientConfig, Message as _};
use tokio::time::timeout;

use super::bus::{next, room};
use super::kafka_bus::{PATIENCE, connected, settings};
use super::kafka_poison::dead_letters;

const DESTINATION: &str = "/topic/rooms.1";

fn record(length: usize) -> Record {
    Record::message(Arc::new(Message {
        id: new_id(),
        destination: room(1),
        sender: None,
        session: None,
        timestamp_ms: 1,
        content_type: None,
        headers: Arc::new([]),
        body: vec![b'x'; length].into(),
        position: None,
        rendered: RenderedOnce::default(),
    }))
}

/// What becomes of a message on its way to all nodes, at its longest.
fn stored(message: &Message) -> Record {
    Record::message(Arc::new(message.at(Position { epoch: Epoch(u64::MAX), sequence: i64::MAX as u64 })))
}

async fn publish(bus: &KafkaBus, topic: Topic, record: Record) -> Result<(), BusError> {
    match bus.publish(topic, record).await {
        Ok(durable) => durable.await,
        Err(error) => Err(error),
    }
}

/// The next that is read, of events started at their beginning.
async fn read(consumer: &mut dyn Consumer) -> Result<Record, Unreadable> {
    loop {
        match timeout(PATIENCE, next(consumer)).await.unwrap() {
            Event::Assigned(assigned) => assigned.iter().for_each(|assignment| consumer.start(&assignment.partition, assignment.log_start)),
            Event::Revoked(_) => panic!("nobody else reads"),
            Event::Records(mut batches) => {
                let mut batch = batches.remove(0);
                assert!(batches.is_empty() && batch.records.len() + batch.unreadable.len() == 1, "one at a time");
                consumer.more(&batch.partition);
                return batch.unreadable.pop().map_or_else(|| Ok(batch.records.remove(0).1), Err);
            }
        }
    }
}

/// The longest body that is taken.
async fn longest(mut taken: usize, mut refused: usize, mut take: impl AsyncFnMut(usize) -> bool) -> usize {
    assert!(take(taken).await && !take(refused).await);
    while refused - taken > 1 {
        let middle = usize::midpoint(taken, refused);
        if take(middle).await { taken = middle } else { refused = middle }
    }
    taken
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_events_take_is_taken_by_broadcast() {
    let bus = connected(&settings().await, "node-1").await;
    let mut events = bus.subscribe(Topic::Events, Audience::OneNode).await.unwrap();
    let mut broadcast = bus.subscribe(Topic::Broadcast, Audience::EveryNode).await.unwrap();
    let longest = longest(990_000, 1_000_000, async |length| match publish(&bus, Topic::Events, record(length)).await {
        Ok(()) => {
            read(events.as_mut()).await.unwrap();
            true
        }
        Err(error) => {
            assert_eq!(error, BusError::TooLarge, "{length}");
            false
        }
    })
    .await;
    for length in [longest - 60, longest - 20, longest] {
        publish(&bus, Topic::Events, record(length)).await.unwrap();
        let event = read(events.as_mut()).await.unwrap();
        publish(&bus, Topic::Broadcast, stored(&event.message)).await.unwrap();
        let news = read(broadcast.as_mut()).await.unwrap();
        assert_eq!((news.message.id, news.message.body.len()), (event.message.id, length));
    }
    for length in [longest + 1, longest + 60] {
        assert_eq!(publish(&bus, Topic::Events, record(length)).await, Err(BusError::TooLarge), "{length}");
    }
    // Transient ones take this hop alone, which has a limit of its own.
    assert_eq!(publish(&bus, Topic::Broadcast, record(1_114_112)).await, Err(BusError::TooLarge));
}

struct Backend {
    producer: FutureProducer,
    topic: String,
}

impl Backend {
    fn new(brokers: &str, prefix: &str, compression: &str) -> Self {
        let producer = ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .set("partitioner", "murmur2_random")
            .set("message.max.bytes", "10000000")
            .set("compression.type", compression)
            .create()
            .unwrap();
        Self { producer, topic: format!("{prefix}.events") }
    }

    /// With as little in its headers as a record can have, and so many more.
    async fn produce(&self, length: usize, more: usize) -> Result<(), RDKafkaErrorCode> {
        let mut headers = OwnedHeaders::new();
        for (key, value) in
            [("ce_specversion", "1.0"), ("ce_id", "1"), ("ce_source", "a"), ("ce_type", "footfall.message.v1"), ("ce_subject", DESTINATION)]
        {
            headers = headers.insert(Header { key, value: Some(value) });
        }
        for number in 0..more {
            headers = headers.insert(Header { key: &format!("stomp_{number}"), value: Some("") });
        }
        let value = vec![b'x'; length];
        let sent = self.producer.send(FutureRecord::to(&self.topic).key(DESTINATION).payload(&value).headers(headers), PATIENCE).await;
        sent.map(drop).map_err(|(failure, _)| failure.rdkafka_error_code().unwrap())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_largest_record_of_a_backend_is_sent_on() {
    let settings = settings().await;
    let bus = connected(&settings, "node-1").await;
    let mut events = bus.subscribe(Topic::Events, Audience::OneNode).await.unwrap();
    let backend = Backend::new(&settings.brokers, &settings.prefix, "none");
    let longest = longest(1_040_000, 1_049_000, async |length| match backend.produce(length, 0).await {
        Ok(()) => {
            read(events.as_mut()).await.unwrap();
            true
        }
        Err(code) => {
            assert_eq!(code, RDKafkaErrorCode::MessageSizeTooLarge);
            false
        }
    })
    .await;
    for length in [1_020_000, longest - 60, longest] {
        backend.produce(length, 0).await.unwrap();
        let event = read(events.as_mut()).await.unwrap();
        assert_eq!(event.message.body.len(), length);
        publish(&bus, Topic::Broadcast, stored(&event.message)).await.unwrap();
    }
    // Five it has in any case, and broadcast needs eight.
    for more in [242, 243] {
        backend.produce(10, more).await.unwrap();
        let event = read(events.as_mut()).await.unwrap();
        publish(&bus, Topic::Broadcast, stored(&event.message)).await.unwrap();
    }
    backend.produce(10, 244).await.unwrap();
    let unreadable = read(events.as_mut()).await.unwrap_err();
    assert!(unreadable.reason.contains("248 headers"), "{}", unreadable.reason);
}

fn letter(bus: &KafkaBus, unreadable: Unreadable) -> DeadLetter {
    let Unreadable { offset, reason, raw } = unreadable;
    DeadLetter { partition: bus.partition_of(&room(1)), offset, reason, record: Dead::Raw(raw) }
}

fn header(letter: &OwnedMessage, wanted: &str) -> Option<String> {
    let found = letter.headers().unwrap().iter().filter(|header| header.key == wanted).last()?;
    Some(String::from_utf8(found.value.unwrap().to_vec()).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_unreadable_can_be_put_away() {
    let settings = settings().await;
    let bus = connected(&settings, "node-1").await;
    let mut events = bus.subscribe(Topic::Events, Audience::OneNode).await.unwrap();
    // As large as the topic takes, and far larger in a batch that is small as it travels.
    Backend::new(&settings.brokers, &settings.prefix, "none").produce(1_045_000, 244).await.unwrap();
    let full = read(events.as_mut()).await.unwrap_err();
    Backend::new(&settings.brokers, &settings.prefix, "gzip").produce(3_000_000, 0).await.unwrap();
    let compressed = read(events.as_mut()).await.unwrap_err();
    assert!(compressed.reason.contains("1048588 bytes"), "{}", compressed.reason);
    for unreadable in [full, compressed] {
        let put_away = timeout(PATIENCE, bus.dead_letter(letter(&bus, unreadable))).await.unwrap();
        assert_eq!(put_away, Ok(()));
    }
    // At the limit: a little less is kept whole, a little more is cut.
    let around = |length: usize| Unreadable {
        offset: 7,
        reason: "For a test.".to_owned(),
        raw: footfall::bus::RawRecord { key: None, value: Some(Bytes::from(vec![1; length])), headers: Vec::new() },
    };
    for length in (1_113_300..1_114_200).step_by(60) {
        assert_eq!(bus.dead_letter(letter(&bus, around(length))).await, Ok(()), "{length}");
    }
    let topic = format!("{}.dead-letters", settings.prefix);
    let letters = tokio::task::block_in_place(|| dead_letters(&settings.brokers, &topic, 3));
    assert_eq!((letters[0].payload().unwrap().len(), header(&letters[0], "footfall_cut")), (1_045_000, None));
    let kept = letters[1].payload().unwrap().len();
    assert_eq!(header(&letters[1], "footfall_cut").unwrap(), format!("Kept: {kept} of 3000000 bytes of the value."));
    assert!(kept > 1_100_000 && header(&letters[1], "ce_subject").is_some(), "{kept}");
}

/// Topics that somebody else made smaller.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_broker_refuses_for_its_size_is_said_to_be_too_large() {
    let settings = settings().await;
    let admin: AdminClient<DefaultClientContext> = ClientConfig::new().set("bootstrap.servers", &settings.brokers).create().unwrap();
    for topic in ["broadcast", "dead-letters"] {
        let topic = format!("{}.{topic}", settings.prefix);
        let smaller = AlterConfig::new(ResourceSpecifier::Topic(&topic)).set("max.message.bytes", "5000");
        admin.alter_configs([&smaller], &AdminOptions::new()).await.unwrap()[0].as_ref().unwrap();
    }
    let bus = connected(&settings, "node-1").await;
    assert_eq!(publish(&bus, Topic::Broadcast, record(6000)).await, Err(BusError::TooLarge));
    assert_eq!(publish(&bus, Topic::Broadcast, record(600)).await, Ok(()));
    let letter = DeadLetter {
        partition: bus.partition_of(&room(1)),
        offset: 1,
        reason: "For a test.".to_owned(),
        record: Dead::Record(record(6000)),
    };
    assert_eq!(bus.dead_letter(letter).await, Err(BusError::TooLarge));
    let findings = check_topics(&settings).await;
    let errors = findings.iter().filter(|finding| finding.weight == Weight::Error && finding.sentence.contains("max.message.bytes 5000"));
    assert_eq!(errors.count(), 2, "{findings:?}");
}
