//! What dead nodes leave in a real Kafka goes, and nothing else does.

use std::sync::Arc;
use std::time::Duration;

use footfall::bus::{Audience, Bus, BusError, GoneFor, KafkaSettings, SWEEP_AFTER, Topic};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use tokio::task::block_in_place;
use tokio::time::{Instant, sleep};

use super::kafka_bus::{PATIENCE, connected, groups, settings};

fn consumer(settings: &KafkaSettings, group: &str) -> BaseConsumer {
    ClientConfig::new().set("bootstrap.servers", &settings.brokers).set("group.id", group).create().unwrap()
}

/// A group as a node leaves it when it is killed: with a position, and nobody in it.
fn leave(settings: &KafkaSettings, group: &str) {
    let mut positions = TopicPartitionList::new();
    positions.add_partition_offset(&format!("{}.broadcast", settings.prefix), 0, Offset::Offset(0)).unwrap();
    let consumer = consumer(settings, group);
    consumer.assign(&positions).unwrap();
    consumer.commit(&positions, CommitMode::Sync).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_group_of_a_node_that_is_long_gone_goes_and_no_other() {
    let settings = settings().await;
    let named = |name: &str| format!("{}-{name}", settings.prefix);
    let dead = ["broadcast-dead-1", "broadcast-dead-2"].map(named);
    // Some live or went just now; others are no node's, or another cluster's, whose prefix begins as ours does.
    let mut kept =
        ["broadcast-live", "broadcast-young", "persistence", "broadcast-broadcast-dead", "other-broadcast-dead"].map(named).to_vec();
    block_in_place(|| dead.iter().chain(&kept).for_each(|group| leave(&settings, group)));
    // Whoever joins has a group that Kafka looks after; it stays as such when all have left.
    let joined = named("broadcast-joined");
    block_in_place(|| {
        let consumer = consumer(&settings, &joined);
        consumer.subscribe(&[&format!("{}.broadcast", settings.prefix)]).unwrap();
        let begun = Instant::now();
        while consumer.assignment().unwrap().count() == 0 {
            assert!(begun.elapsed() < PATIENCE, "it was given nothing");
            drop(consumer.poll(Duration::from_millis(100)));
        }
        let assignment = consumer.assignment().unwrap();
        let first = &assignment.elements()[0];
        let mut position = TopicPartitionList::new();
        position.add_partition_offset(first.topic(), first.partition(), Offset::Offset(0)).unwrap();
        consumer.commit(&position, CommitMode::Sync).unwrap();
    });
    kept.push(joined);

    let bus = connected(&settings, "node-1").await;
    let _reader = bus.subscribe(Topic::Broadcast, Audience::EveryNode).await.unwrap();
    kept.push(named("broadcast-node-1"));
    kept.sort();
    // Its positions are shown every few seconds.
    let begun = Instant::now();
    while block_in_place(|| groups(&settings)).len() < kept.len() + dead.len() {
        assert!(begun.elapsed() < PATIENCE, "{:?}", groups(&settings));
        sleep(Duration::from_millis(100)).await;
    }

    // This node has lost its own lease.
    let gone: GoneFor = Arc::new(|node| match node {
        "live" => None,
        "young" => Some(SWEEP_AFTER.saturating_sub(Duration::from_millis(1))),
        _ => Some(SWEEP_AFTER),
    });
    let mut swept = bus.sweep(Arc::clone(&gone)).await.unwrap();
    swept.sort();
    assert_eq!(swept, dead);
    assert_eq!(block_in_place(|| groups(&settings)), kept);
    assert_eq!(bus.sweep(Arc::clone(&gone)).await, Ok(Vec::new()), "nothing is left for a second one");
    bus.close().await;
    assert_eq!(bus.sweep(gone).await, Err(BusError::Closed));
}

/// All nodes sweep, so some do at the same time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_may_sweep_at_once() {
    let settings = settings().await;
    let dead: Vec<_> = (0..4).map(|number| format!("{}-broadcast-dead-{number}", settings.prefix)).collect();
    block_in_place(|| dead.iter().for_each(|group| leave(&settings, group)));
    let (one, two) = (connected(&settings, "node-1").await, connected(&settings, "node-2").await);
    let gone: GoneFor = Arc::new(|_| Some(SWEEP_AFTER));
    let (first, second) = tokio::join!(one.sweep(Arc::clone(&gone)), two.sweep(Arc::clone(&gone)));
    let mut swept = [first.unwrap(), second.unwrap()].concat();
    swept.sort();
    swept.dedup();
    assert_eq!(swept, dead);
    assert_eq!(block_in_place(|| groups(&settings)), [""; 0]);
}
