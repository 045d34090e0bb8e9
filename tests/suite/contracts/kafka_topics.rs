//! How topics are made and looked at, and what a node says when they are not as they should be.

use std::time::Duration;

use footfall::bus::{
    Audience, Bus, BusError, BusState, Consumer, Event, KafkaBus, KafkaError, KafkaSettings, Topic, TopicState, Weight, check_topics,
    create_topics,
};
use footfall::message::HumanDuration;
use footfall::shutdown::Shutdown;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions};
use rdkafka::client::DefaultClientContext;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use tokio::time::{Instant, sleep, timeout_at};
use uuid::Uuid;

use super::bus::{next, record, room};
use super::kafka_bus::{connected, settings, settings_at};
use crate::support::servers;

async fn failure(settings: &KafkaSettings) -> KafkaError {
    KafkaBus::connect(settings, "node-1", |_| false, &Shutdown::new()).await.unwrap_err()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_are_made_once_and_never_changed() {
    let settings = settings_at(tokio::task::block_in_place(|| servers::kafka().bootstrap_servers()));
    let states = |reports: &[footfall::bus::TopicReport]| reports.iter().map(|report| report.state).collect::<Vec<_>>();
    let reports = create_topics(&settings).await.unwrap();
    assert_eq!(states(&reports), [TopicState::Created; 3]);
    let reports = create_topics(&settings).await.unwrap();
    assert_eq!(states(&reports), [TopicState::Existed; 3]);
    assert!(reports.iter().all(|report| report.differences.is_empty()), "{reports:?}");

    let other = KafkaSettings { events_retention: HumanDuration::from_secs(7200), ..settings.clone() };
    let reports = create_topics(&other).await.unwrap();
    assert!(reports[0].differences.len() == 1 && reports[0].differences[0].contains("retention.ms"), "{reports:?}");
    let reports = create_topics(&settings).await.unwrap();
    assert!(reports.iter().all(|report| report.differences.is_empty()), "it was not changed: {reports:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_says_what_a_lost_broker_costs() {
    let settings = settings().await;
    let findings = check_topics(&settings).await;
    assert!(findings.iter().all(|finding| finding.weight != Weight::Error), "{findings:?}");
    let says = |word: &str, weight: Weight| {
        assert!(findings.iter().any(|finding| finding.weight == weight && finding.sentence.contains(word)), "{word}: {findings:?}");
    };
    says("one replica", Weight::Warning);
    says("auto.create.topics.enable", Weight::Warning);
    says("cluster", Weight::Note);
    assert!(findings.is_sorted_by_key(|finding| std::cmp::Reverse(finding.weight)));

    let other = KafkaSettings { prefix: format!("{}-none", settings.prefix), ..settings.clone() };
    let findings = check_topics(&other).await;
    assert_eq!(findings.iter().filter(|finding| finding.sentence.contains("footfall topics create")).count(), 3, "{findings:?}");
    let other = KafkaSettings { partitions: 5, ..settings };
    let findings = check_topics(&other).await;
    assert!(findings[0].weight == Weight::Error && findings[0].sentence.contains("4 partitions"), "{findings:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_does_not_start_without_its_topics() {
    let settings = settings().await;
    let missing = KafkaSettings { prefix: format!("{}-none", settings.prefix), ..settings.clone() };
    let error = failure(&missing).await;
    assert_eq!(error, KafkaError::NoTopic(format!("{}.events", missing.prefix)));
    assert!(error.to_string().contains("footfall topics create"));
    let error = failure(&KafkaSettings { partitions: 5, ..settings }).await;
    assert!(matches!(error, KafkaError::Partitions { is: 4, set: 5, .. }), "{error}");
    assert!(matches!(failure(&KafkaSettings::default()).await, KafkaError::Settings(_)));
}

/// F24: each destination would belong to another partition now.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_was_divided_anew_is_not_used_any_more() {
    let settings = settings().await;
    let bus = connected(&settings, "node-1").await;
    let mut events = bus.subscribe(Topic::Events, Audience::OneNode).await.unwrap();
    let mut broadcast = bus.subscribe(Topic::Broadcast, Audience::EveryNode).await.unwrap();
    let mut sent = Vec::new();
    for number in 0..20 {
        let record = record(&room(number % 4));
        sent.push(record.message.id);
        bus.publish(Topic::Broadcast, record.clone()).await.unwrap().await.unwrap();
        bus.publish(Topic::Events, record).await.unwrap().await.unwrap();
    }
    let (mut stored, mut delivered) = (Vec::new(), Vec::new());
    while stored.len() < sent.len() {
        take(next(events.as_mut()).await, events.as_mut(), &mut stored);
    }
    while delivered.len() < sent.len() {
        take(next(broadcast.as_mut()).await, broadcast.as_mut(), &mut delivered);
    }

    let admin: AdminClient<DefaultClientContext> = ClientConfig::new().set("bootstrap.servers", &settings.brokers).create().unwrap();
    let topic = format!("{}.events", settings.prefix);
    admin.create_partitions([&NewPartitions::new(&topic, 6)], &AdminOptions::new()).await.unwrap()[0].as_ref().unwrap();
    let begun = Instant::now();
    while bus.state() == BusState::Ready {
        assert!(begun.elapsed() < Duration::from_secs(10));
        sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(bus.state(), BusState::NotReady("partitions-changed"));
    assert_eq!(bus.publish(Topic::Events, record(&room(1))).await.err(), Some(BusError::Unavailable));

    // A program that has not noticed goes on, by the new number and by the old one. Of all that no batch is given out.
    let other: FutureProducer =
        ClientConfig::new().set("bootstrap.servers", &settings.brokers).set("partitioner", "murmur2_random").create().unwrap();
    for name in ["events", "broadcast"] {
        let topic = format!("{}.{name}", settings.prefix);
        for number in 0..40 {
            let room = room(number % 4);
            let key = room.as_str();
            let headers = OwnedHeaders::new()
                .insert(Header { key: "ce_specversion", value: Some("1.0") })
                .insert(Header { key: "ce_id", value: Some(&number.to_string()) })
                .insert(Header { key: "ce_source", value: Some("/billing") })
                .insert(Header { key: "ce_type", value: Some("footfall.message.v1") })
                .insert(Header { key: "ce_subject", value: Some(key) });
            let record = FutureRecord::to(&topic).key(key).payload("hello").headers(headers);
            let record = if number < 20 { record } else { record.partition(bus.partition_of(&room).number.try_into().unwrap()) };
            other.send(record, Duration::from_secs(10)).await.unwrap();
        }
    }
    // Long enough for a member to hear of new partitions and take them.
    let until = Instant::now() + Duration::from_secs(5);
    for (consumer, got) in [(&mut events, &mut stored), (&mut broadcast, &mut delivered)] {
        while let Ok(event) = timeout_at(until, consumer.next()).await {
            assert!(!matches!(event, Ok(Event::Records(_))), "a batch of a log that was divided anew");
            take(event.unwrap(), consumer.as_mut(), got);
        }
    }
    for got in [stored, delivered] {
        for room in 0..4 {
            let of_room = |ids: &[Uuid]| {
                ids.iter().filter(|id| sent.iter().position(|one| one == *id).unwrap() % 4 == room).copied().collect::<Vec<_>>()
            };
            assert_eq!(of_room(&got), of_room(&sent), "0 reordered");
        }
    }
}

fn take(event: Event, consumer: &mut dyn Consumer, into: &mut Vec<Uuid>) {
    match event {
        Event::Assigned(assigned) => assigned.iter().for_each(|assignment| consumer.start(&assignment.partition, 0)),
        Event::Revoked(_) => {}
        Event::Records(batches) => {
            for batch in batches {
                consumer.more(&batch.partition);
                into.extend(batch.records.into_iter().map(|(_, record)| record.message.id));
            }
        }
    }
}
