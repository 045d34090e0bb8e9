//! What becomes of a reader whose position the log does not have any more.

use std::time::Duration;

use footfall::bus::{Audience, Bus, BusState, Consumer, Event, KafkaBus, KafkaSettings, Topic, create_topics};
use futures_util::future::join_all;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use super::bus::{next, record, room};
use super::kafka_bus::{PATIENCE, connected, settings};

fn admin(settings: &KafkaSettings) -> AdminClient<DefaultClientContext> {
    ClientConfig::new().set("bootstrap.servers", &settings.brokers).create().unwrap()
}

/// What retention does, at once.
async fn delete_before(settings: &KafkaSettings, topic: &str, partition: u32, offset: i64) {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, partition.try_into().unwrap(), Offset::Offset(offset)).unwrap();
    admin(settings).delete_records(&list, &AdminOptions::new()).await.unwrap();
}

async fn publish(bus: &KafkaBus, topic: Topic, count: usize) -> Vec<Uuid> {
    let (mut ids, mut durable) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let record = record(&room(1));
        ids.push(record.message.id);
        durable.push(bus.publish(topic, record).await.unwrap());
    }
    join_all(durable).await.into_iter().for_each(|result| result.unwrap());
    ids
}

/// The next `count` records with their offsets, of partitions that begin at `offset`.
async fn read(consumer: &mut dyn Consumer, count: usize, offset: u64) -> Vec<(u64, Uuid)> {
    let mut read = Vec::new();
    while read.len() < count {
        match next(consumer).await {
            Event::Assigned(assigned) => assigned.iter().for_each(|assignment| consumer.start(&assignment.partition, offset)),
            Event::Revoked(_) => {}
            Event::Records(batches) => {
                for batch in batches {
                    consumer.more(&batch.partition);
                    read.extend(batch.records.into_iter().map(|(offset, record)| (offset, record.message.id)));
                }
            }
        }
    }
    read
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_that_retention_took_are_passed_over() {
    let settings = settings().await;
    let bus = connected(&settings, "node-1").await;
    let ids = publish(&bus, Topic::Events, 10).await;
    let partition = bus.partition_of(&room(1));
    delete_before(&settings, &partition.topic, partition.number, 6).await;
    let mut consumer = bus.subscribe(Topic::Events, Audience::OneNode).await.unwrap();
    let got = timeout(PATIENCE, read(consumer.as_mut(), 4, 0)).await.unwrap();
    assert_eq!(got, (6..10).zip(ids[6..].iter().copied()).collect::<Vec<_>>());
}

/// As of a log that lost its end: librdkafka goes back to the beginning, which must not be taken for what was asked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_position_beyond_the_log_is_assigned_anew() {
    let bus = connected(&settings().await, "node-1").await;
    let ids = publish(&bus, Topic::Events, 10).await;
    let mut consumer = bus.subscribe(Topic::Events, Audience::OneNode).await.unwrap();
    let partition = bus.partition_of(&room(1));
    let Event::Assigned(_) = next(consumer.as_mut()).await else { panic!("an assignment first") };
    consumer.start(&partition, 1_000);
    let Event::Revoked(revoked) = next(consumer.as_mut()).await else { panic!("the position can't be had") };
    let Event::Assigned(assigned) = next(consumer.as_mut()).await else { panic!("it is to be looked at again") };
    assert_eq!((revoked, assigned.len(), assigned[0].log_end), (vec![partition.clone()], 1, 10));
    consumer.start(&partition, 4);
    let got = timeout(PATIENCE, read(consumer.as_mut(), 6, 0)).await.unwrap();
    assert_eq!(got, (4..10).zip(ids[4..].iter().copied()).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_was_made_anew_is_assigned_anew() {
    let settings = settings().await;
    let bus = connected(&settings, "node-1").await;
    publish(&bus, Topic::Events, 10).await;
    let mut consumer = bus.subscribe(Topic::Events, Audience::OneNode).await.unwrap();
    let partition = bus.partition_of(&room(1));
    assert_eq!(timeout(PATIENCE, read(consumer.as_mut(), 10, 0)).await.unwrap().len(), 10);
    admin(&settings).delete_topics(&[&partition.topic], &AdminOptions::new()).await.unwrap();
    let begun = Instant::now();
    // Its name is free a moment later.
    while create_topics(&settings).await.is_err() {
        assert!(begun.elapsed() < PATIENCE);
        sleep(Duration::from_millis(100)).await;
    }
    let first = loop {
        // The producer may have to learn of the new topic, too.
        let record = record(&room(1));
        let id = record.message.id;
        let published = match bus.publish(Topic::Events, record).await {
            Ok(durable) => durable.await.is_ok(),
            Err(_) => false,
        };
        if published {
            break id;
        }
        assert!(begun.elapsed() < PATIENCE);
        sleep(Duration::from_millis(100)).await;
    };
    let noticed = async {
        let mut revoked = false;
        loop {
            match next(consumer.as_mut()).await {
                Event::Revoked(partitions) => revoked |= partitions.contains(&partition),
                Event::Assigned(assigned) => {
                    if let Some(assignment) = assigned.iter().find(|assignment| assignment.partition == partition)
                        && assignment.log_end < 10
                    {
                        return revoked;
                    }
                }
                Event::Records(_) => panic!("records of a log that nobody asked for"),
            }
        }
    };
    assert!(timeout(PATIENCE, noticed).await.expect("another log is noticed"), "it was revoked first");
    consumer.start(&partition, 0);
    let got = timeout(PATIENCE, read(consumer.as_mut(), 1, 0)).await.unwrap();
    assert!(got.contains(&(0, first)) || got[0].0 == 0, "{got:?}");
}

/// F25: the node slept for longer than broadcast is kept.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_of_broadcast_that_lost_its_position_says_so_and_goes_on() {
    let settings = settings().await;
    let bus = connected(&settings, "node-1").await;
    let mut consumer = bus.subscribe(Topic::Broadcast, Audience::EveryNode).await.unwrap();
    // Far more than is read ahead while nobody takes anything.
    let ids = publish(&bus, Topic::Broadcast, 30_000).await;
    let topic = format!("{}.broadcast", settings.prefix);
    delete_before(&settings, &topic, bus.partition_of(&room(1)).number, 30_000).await;
    let behind = async {
        while bus.state() != BusState::NotReady("broadcast-behind") {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, behind).await.expect("it is said that the node is behind");
    // What was read ahead comes; then nothing, until something is published at the end that the log has now.
    let mut got = Vec::new();
    let reading = async {
        while bus.state() != BusState::Ready {
            if let Ok(Event::Records(batches)) = timeout(Duration::from_secs(1), next(consumer.as_mut())).await {
                got.extend(batches.into_iter().flat_map(|batch| batch.records).map(|(_, record)| record.message.id));
            }
        }
    };
    timeout(PATIENCE, reading).await.expect("the node is ready again");
    let lost = ids.iter().filter(|id| !got.contains(id)).count();
    assert!(lost > 0, "nothing was lost, so nothing was tested");
    let newest = publish(&bus, Topic::Broadcast, 1).await[0];
    let reading = async {
        loop {
            let Event::Records(batches) = next(consumer.as_mut()).await else { panic!("records") };
            if batches.iter().flat_map(|batch| &batch.records).any(|(_, record)| record.message.id == newest) {
                return;
            }
        }
    };
    timeout(PATIENCE, reading).await.expect("what is published now is read");
}
