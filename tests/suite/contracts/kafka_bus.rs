//! The Kafka bus against a real Kafka: what its port can't say, as groups, order in flight, positions and groups' ends.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use footfall::bus::{Audience, Bus, BusState, Consumer, Event, KafkaBus, KafkaSettings, Lag, Partition, Topic, create_topics};
use footfall::message::HumanDuration;
use footfall::shutdown::Shutdown;
use futures_util::future::join_all;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use super::bus::{next, record, room};
use crate::support::servers;

pub(super) const PATIENCE: Duration = Duration::from_mins(1);

/// Topics of its own on the shared Kafka.
pub(super) async fn settings() -> KafkaSettings {
    let brokers = tokio::task::block_in_place(|| servers::kafka().bootstrap_servers());
    let settings = settings_at(brokers);
    create_topics(&settings).await.unwrap();
    settings
}

pub(super) fn settings_at(brokers: String) -> KafkaSettings {
    KafkaSettings {
        brokers,
        prefix: format!("t{}", Uuid::new_v4().simple()),
        partitions: 4,
        replication_factor: 1,
        min_insync_replicas: 1,
        ..KafkaSettings::default()
    }
}

pub(super) async fn connected(settings: &KafkaSettings, node: &str) -> Arc<KafkaBus> {
    Arc::new(KafkaBus::connect(settings, node, |name| name.eq_ignore_ascii_case("login"), &Shutdown::new()).await.unwrap())
}

pub(super) async fn fresh() -> Arc<dyn Bus> {
    connected(&settings().await, "node-1").await
}

/// Starts what is assigned where it was committed, and commits all it reads.
struct Node {
    consumer: Box<dyn Consumer>,
    owned: HashSet<Partition>,
    revoked: usize,
    read: Vec<(Partition, u64, Uuid)>,
}

impl Node {
    async fn join(bus: &Arc<KafkaBus>) -> Self {
        let consumer = bus.subscribe(Topic::Events, Audience::OneNode).await.unwrap();
        Self { consumer, owned: HashSet::new(), revoked: 0, read: Vec::new() }
    }

    async fn step(&mut self) {
        match next(self.consumer.as_mut()).await {
            Event::Assigned(assigned) => {
                for assignment in assigned {
                    self.consumer.start(&assignment.partition, assignment.committed.unwrap_or(assignment.log_start));
                    assert!(self.owned.insert(assignment.partition), "assigned twice");
                }
            }
            Event::Revoked(revoked) => {
                self.revoked += revoked.len();
                for partition in &revoked {
                    assert!(self.owned.remove(partition), "revoked without being assigned");
                }
            }
            Event::Records(batches) => {
                for batch in batches {
                    assert!(self.owned.contains(&batch.partition), "records of a partition that is another's");
                    self.read.extend(batch.records.iter().map(|(offset, record)| (batch.partition.clone(), *offset, record.message.id)));
                    self.consumer.commit(&batch.partition, batch.end);
                    self.consumer.more(&batch.partition);
                }
            }
        }
    }

    async fn until(&mut self, done: impl Fn(&Self) -> bool) {
        let waiting = async {
            while !done(self) {
                self.step().await;
            }
        };
        timeout(PATIENCE, waiting).await.expect("what a node waits for comes");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_in_flight_keep_their_order() {
    let bus = connected(&settings().await, "node-1").await;
    let mut node = Node::join(&bus).await;
    node.until(|node| node.owned.len() == 4).await;
    let (mut sent, mut durable) = (Vec::new(), Vec::new());
    for _ in 0..3000 {
        let record = record(&room(1));
        sent.push(record.message.id);
        durable.push(bus.publish(Topic::Events, record).await.unwrap());
    }
    for result in timeout(PATIENCE, join_all(durable)).await.unwrap() {
        result.unwrap();
    }
    node.until(|node| node.read.len() >= 3000).await;
    assert_eq!(node.read.iter().map(|(_, _, id)| *id).collect::<Vec<_>>(), sent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_lag_is_what_was_published_and_is_not_done_with() {
    let bus = connected(&settings().await, "node-1").await;
    let until = async |expected: Lag| {
        let shown = async {
            while bus.lag() != expected {
                sleep(Duration::from_millis(50)).await;
            }
        };
        timeout(PATIENCE, shown).await.unwrap_or_else(|_| panic!("{expected:?}, not {:?}", bus.lag()));
    };
    // Before anybody reads broadcast, nobody can be said to have read it.
    until(Lag { events: Some(0), broadcast: None }).await;
    let mut broadcast = bus.subscribe(Topic::Broadcast, Audience::EveryNode).await.unwrap();
    let mut node = Node::join(&bus).await;
    node.until(|node| node.owned.len() == 4).await;
    until(Lag { events: Some(0), broadcast: Some(0) }).await;
    for _ in 0..3 {
        bus.publish(Topic::Events, record(&room(1))).await.unwrap().await.unwrap();
        bus.publish(Topic::Broadcast, record(&room(1))).await.unwrap().await.unwrap();
    }
    // The thread has read them; nobody has stored them.
    until(Lag { events: Some(3), broadcast: Some(0) }).await;
    node.until(|node| node.read.len() == 3).await;
    until(Lag { events: Some(0), broadcast: Some(0) }).await;
    assert!(matches!(next(broadcast.as_mut()).await, Event::Records(_)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_share_the_partitions_and_read_nothing_twice_once_it_is_committed() {
    let settings = settings().await;
    let (one, two) = (connected(&settings, "node-1").await, connected(&settings, "node-2").await);
    let mut first = Node::join(&one).await;
    first.until(|node| node.owned.len() == 4).await;
    let sent = publish(&one, 0..40).await;
    first.until(|node| node.read.len() == 40).await;

    let mut second = Node::join(&two).await;
    let both = async {
        while first.owned.len() != 2 || second.owned.len() != 2 {
            tokio::select! {
                () = first.step() => {}
                () = second.step() => {}
            }
        }
    };
    timeout(PATIENCE, both).await.expect("both have two partitions");
    assert_eq!(first.revoked, 2, "the other two stay where they are");
    assert!(first.owned.is_disjoint(&second.owned));
    assert_eq!(second.read, [], "the first one's commits count");

    let more = publish(&two, 40..80).await;
    let both = async {
        while first.read.len() + second.read.len() < 80 {
            tokio::select! {
                () = first.step() => {}
                () = second.step() => {}
            }
        }
    };
    timeout(PATIENCE, both).await.expect("all is read");
    drop(second.consumer);
    first.until(|node| node.owned.len() == 4).await;
    let last = publish(&one, 80..90).await;
    first.until(|node| node.read.len() + second.read.len() >= 90).await;
    let mut read: Vec<_> = first.read.iter().chain(&second.read).map(|(_, _, id)| *id).collect();
    let mut all: Vec<_> = sent.into_iter().chain(more).chain(last).collect();
    read.sort_unstable();
    all.sort_unstable();
    assert_eq!(read, all, "each once");
}

async fn publish(bus: &KafkaBus, rooms: std::ops::Range<usize>) -> Vec<Uuid> {
    let mut ids = Vec::new();
    for number in rooms {
        let record = record(&room(number));
        ids.push(record.message.id);
        bus.publish(Topic::Events, record).await.unwrap().await.unwrap();
    }
    ids
}

/// F11: the store is away for longer than `max.poll.interval.ms`, so nobody takes what is read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_takes_nothing_for_long_stays_in_the_group() {
    let six = HumanDuration::from_secs(6);
    let settings = KafkaSettings { session_timeout: six, max_poll_interval: six, ..settings().await };
    let bus = connected(&settings, "node-1").await;
    let mut node = Node::join(&bus).await;
    node.until(|node| node.owned.len() == 4).await;
    let (mut sent, mut durable) = (Vec::new(), Vec::new());
    for _ in 0..5000 {
        let record = record(&room(1));
        sent.push(record.message.id);
        durable.push(bus.publish(Topic::Events, record).await.unwrap());
    }
    join_all(durable).await.into_iter().for_each(|result| result.unwrap());
    // The time itself is what is tested.
    sleep(Duration::from_secs(10)).await;
    node.until(|node| node.read.len() >= 5000).await;
    assert_eq!(node.revoked, 0);
    assert_eq!(node.read.iter().map(|(_, _, id)| *id).collect::<Vec<_>>(), sent, "nothing lost or twice by the pause");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_position_is_fixed_before_anyone_relies_on_it() {
    let bus = connected(&settings().await, "node-1").await;
    let (stop, begun) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let records: Arc<Vec<_>> = Arc::new((0..20_000).map(|number| record(&room(number % 16))).collect());
    let publishing = {
        let (bus, stop, begun, records) = (Arc::clone(&bus), Arc::clone(&stop), Arc::clone(&begun), Arc::clone(&records));
        tokio::spawn(async move {
            for record in records.iter() {
                if stop.load(Ordering::SeqCst) {
                    break;
                }
                begun.fetch_add(1, Ordering::SeqCst);
                bus.publish(Topic::Broadcast, record.clone()).await.unwrap().await.unwrap();
            }
        })
    };
    for _ in 0..5 {
        let mut consumer = bus.subscribe(Topic::Broadcast, Audience::EveryNode).await.unwrap();
        // What is begun from now on is published afterwards; so many must come.
        let from = begun.load(Ordering::SeqCst);
        let reading = async {
            let mut got = HashSet::new();
            while !(from..from + 100).all(|index| got.contains(&records[index].message.id)) {
                let Event::Records(batches) = next(consumer.as_mut()).await else { panic!("no records") };
                got.extend(batches.into_iter().flat_map(|batch| batch.records).map(|(_, record)| record.message.id));
            }
        };
        timeout(PATIENCE, reading).await.expect("all that was published since");
    }
    stop.store(true, Ordering::SeqCst);
    publishing.await.unwrap();
    assert_eq!(bus.state(), BusState::Ready);
}

pub(super) fn groups(settings: &KafkaSettings) -> Vec<String> {
    let asking: BaseConsumer = ClientConfig::new().set("bootstrap.servers", &settings.brokers).create().unwrap();
    let groups = tokio::task::block_in_place(|| asking.fetch_group_list(None, Duration::from_secs(10)).unwrap());
    let mut names: Vec<_> =
        groups.groups().iter().map(|group| group.name().to_owned()).filter(|name| name.starts_with(&settings.prefix)).collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kafka_shows_one_fixed_group_and_one_of_each_live_node() {
    let settings = settings().await;
    let (one, two) = (connected(&settings, "node-1").await, connected(&settings, "node-2").await);
    let named = |name: &str| format!("{}-{name}", settings.prefix);
    let mut consumers = Vec::new();
    for bus in [&one, &two] {
        let mut node = Node::join(bus).await;
        node.until(|node| !node.owned.is_empty()).await;
        consumers.push((node.consumer, bus.subscribe(Topic::Broadcast, Audience::EveryNode).await.unwrap()));
    }
    let expected = [named("broadcast-node-1"), named("broadcast-node-2"), named("persistence")];
    let begun = Instant::now();
    while groups(&settings) != expected {
        assert!(begun.elapsed() < PATIENCE, "{:?}", groups(&settings));
        sleep(Duration::from_millis(100)).await;
    }
    drop(consumers.pop());
    two.close().await;
    assert_eq!(groups(&settings), [named("broadcast-node-1"), named("persistence")]);
    drop(consumers);
    one.close().await;
    assert_eq!(groups(&settings), [named("persistence")], "nobody is in it, and what it committed stays");
}

/// A command asks where the group stands; the nodes that are in it must not notice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn asking_where_the_group_stands_joins_nothing() {
    let settings = settings().await;
    let bus = connected(&settings, "node-1").await;
    publish(&bus, 1..2).await;
    let partition = bus.partition_of(&room(1));
    let stands = async || {
        let positions = bus.positions().await.unwrap();
        assert_eq!(positions.len(), 4);
        let position = positions.into_iter().find(|position| position.partition == partition).unwrap();
        (position.committed, position.log_start, position.log_end)
    };
    assert_eq!(stands().await, (None, 0, 1));
    assert_eq!(groups(&settings), [""; 0], "nobody has ever joined");

    let mut node = Node::join(&bus).await;
    node.until(|node| node.read.len() == 1).await;
    let begun = Instant::now();
    while stands().await != (Some(1), 0, 1) {
        assert!(begun.elapsed() < PATIENCE);
    }
    // Whoever joins brings about a rebalance, of which the only member would hear in the next heart-beats.
    publish(&bus, 1..2).await;
    node.until(|node| node.read.len() == 2).await;
    assert!(timeout(Duration::from_secs(5), node.step()).await.is_err(), "nothing moves");
    assert_eq!((node.owned.len(), node.revoked), (4, 0));
}

/// What the store says of a log is compared with what is in it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mark_is_of_the_record_at_its_offset_or_of_none() {
    let bus = connected(&settings().await, "node-1").await;
    let partition = bus.partition_of(&room(1));
    assert_eq!(bus.mark(&partition, 0).await.unwrap(), None);
    publish(&bus, 1..2).await;
    publish(&bus, 1..2).await;
    let mut consumer = bus.subscribe(Topic::Events, Audience::OneNode).await.unwrap();
    let Event::Assigned(_) = next(consumer.as_mut()).await else { panic!("an assignment first") };
    consumer.start(&partition, 0);
    let mut marks = BTreeMap::new();
    while marks.len() < 2 {
        let Event::Records(batches) = next(consumer.as_mut()).await else { panic!("records") };
        for batch in batches {
            marks.insert(batch.end - 1, batch.mark.unwrap());
            consumer.start(&partition, 0);
            if batch.end == 2 {
                consumer.start(&partition, 1);
                marks.entry(0).or_insert(bus.mark(&partition, 0).await.unwrap().unwrap());
            }
        }
    }
    for (offset, mark) in &marks {
        assert_eq!(&*mark.key, b"/topic/rooms.1");
        assert!(mark.timestamp_ms > 1_700_000_000_000, "Kafka's time, not the message's");
        assert_eq!(bus.mark(&partition, *offset).await.unwrap().as_ref(), Some(mark));
    }
    assert_eq!(bus.mark(&partition, 2).await.unwrap(), None);
    assert_eq!(bus.mark(&partition, u64::MAX).await.unwrap(), None);
}

/// A dropped reader must leave before the drop of a worker of the runtime could wait for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropping_a_consumer_waits_for_nothing() {
    let bus = connected(&settings().await, "node-1").await;
    let mut node = Node::join(&bus).await;
    node.until(|node| node.owned.len() == 4).await;
    let broadcast = bus.subscribe(Topic::Broadcast, Audience::EveryNode).await.unwrap();
    let begun = Instant::now();
    drop((node, broadcast));
    assert!(begun.elapsed() < Duration::from_millis(50), "{:?}", begun.elapsed());
    bus.close().await;
    assert_eq!(bus.state(), BusState::NotReady("bus-unavailable"));
    assert!(bus.publish(Topic::Events, record(&room(1))).await.is_err());
}
