//! A member against librdkafka's own mock brokers, which can be silent one at a time.

use std::sync::atomic::AtomicBool;

use rdkafka::consumer::{Consumer as _, ConsumerContext as _};
use rdkafka::mocking::{MockCluster, MockCoordinator};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::types::RDKafkaRespErr;

use super::*;
use crate::bus::kafka::health::Health;
use crate::bus::kafka::lag::Lags;
use crate::bus::kafka::{KafkaSettings, client};

const PATIENCE: Duration = Duration::from_secs(30);
const TOPIC: &str = "t.events";
const GROUP: &str = "t-persistence";

type Cluster = MockCluster<'static, rdkafka::producer::DefaultProducerContext>;

/// Two brokers; the first is all groups' coordinator, the second leads partition 0 only.
fn cluster(partitions: i32) -> Cluster {
    let cluster = MockCluster::new(2).unwrap();
    cluster.create_topic(TOPIC, partitions, 1).unwrap();
    cluster.coordinator(MockCoordinator::Group(GROUP.to_owned()), 1).unwrap();
    for number in 0..partitions {
        cluster.partition_leader(TOPIC, number, if number == 0 { Some(2) } else { Some(1) }).unwrap();
    }
    cluster
}

fn log(partitions: u32) -> Arc<Log> {
    Arc::new(Log {
        id: "mock".into(),
        events: TOPIC.into(),
        broadcast: "t.broadcast".into(),
        partitions,
        reserved: |_| false,
        health: Health::new(),
        lags: Lags::default(),
    })
}

fn settings(cluster: &Cluster) -> KafkaSettings {
    KafkaSettings { brokers: cluster.bootstrap_servers(), ..KafkaSettings::default() }
}

fn silence(cluster: &Cluster, broker: i32, silence: Duration) {
    cluster.broker_round_trip_time(broker, silence).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_leader_keeps_no_other_partition() {
    let cluster = cluster(4);
    let settings = settings(&cluster);
    let producer: BaseProducer = client::producer(&settings, "n").create().unwrap();
    producer.send(BaseRecord::<[u8], [u8]>::to(TOPIC).partition(1).payload(b"no record of ours")).unwrap();
    producer.flush(PATIENCE).unwrap();
    silence(&cluster, 2, Duration::from_mins(1));

    let threads = Threads::default();
    let config = client::events(&settings, "n", GROUP);
    let mut consumer = EventsConsumer::join(&config, &client::offsets(&settings, "n", GROUP), log(4), &threads).unwrap();
    let mut told = Vec::new();
    let telling = async {
        while told.len() < 3 {
            let Event::Assigned(assigned) = consumer.next().await.unwrap() else { panic!("records before an assignment") };
            told.extend(assigned.iter().map(|assignment| assignment.partition.number));
            for assignment in assigned {
                consumer.start(&assignment.partition, 0);
            }
        }
    };
    timeout(PATIENCE, telling).await.expect("those whose leader answers are told");
    told.sort_unstable();
    assert_eq!(told, [1, 2, 3]);
    let Event::Records(batches) = timeout(PATIENCE, consumer.next()).await.unwrap().unwrap() else { panic!("records") };
    consumer.more(&batches[0].partition);

    // What is owned moves on without pauses, however often the silent one is asked.
    let mut slowest = Duration::ZERO;
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(6) {
        let sent = Instant::now();
        producer.send(BaseRecord::<[u8], [u8]>::to(TOPIC).partition(1).payload(b"no record of ours")).unwrap();
        producer.flush(PATIENCE).unwrap();
        let Event::Records(batches) = timeout(PATIENCE, consumer.next()).await.unwrap().unwrap() else { panic!("records") };
        slowest = slowest.max(sent.elapsed());
        consumer.more(&batches[0].partition);
    }
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");

    silence(&cluster, 2, Duration::ZERO);
    let Event::Assigned(assigned) = timeout(PATIENCE, consumer.next()).await.unwrap().unwrap() else { panic!("the last one") };
    assert_eq!(assigned[0].partition.number, 0);
    drop(consumer);
    threads.end(PATIENCE).await;
}

/// As when `pause` fails after the assignment: the partition would be assigned here, and read by nobody.
#[test]
fn a_change_in_the_group_that_fails_ends_the_member() {
    let cluster = cluster(2);
    let settings = settings(&cluster);
    let shared = Arc::new(Shared {
        log: log(2),
        partitions: Mutex::default(),
        waker: AtomicWaker::new(),
        closing: AtomicBool::new(false),
        ended: CancellationToken::new(),
    });
    let client = rebalance::client(&client::events(&settings, "n", GROUP), &shared).unwrap();
    let begun = Instant::now();
    while client.assignment().unwrap().count() < 2 {
        assert!(begun.elapsed() < PATIENCE);
        assert!(client.poll(Duration::from_millis(10)).is_none());
    }
    assert!(!client.context().is_broken());
    // Both are assigned already.
    let mut again = TopicPartitionList::new();
    again.add_partition(TOPIC, 0);
    client.context().rebalance(&client, RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS, &mut again);
    let lookup = LookUp::new(&client::offsets(&settings, "n", GROUP), &Threads::default()).unwrap();
    std::thread::scope(|scope| {
        let (ended, is_ended) = std::sync::mpsc::sync_channel::<()>(0);
        let shared = &shared;
        scope.spawn(move || {
            // Only if it does not end by itself.
            if is_ended.recv_timeout(PATIENCE) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                shared.closing.store(true, Ordering::Release);
            }
        });
        member::run(shared, &client, &lookup);
        drop(ended);
    });
    assert!(client.context().is_broken() && !shared.closing.load(Ordering::Acquire));
}
