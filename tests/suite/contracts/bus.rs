//! What `footfall::bus::Bus` promises, for any adapter: [`bus_contract!`] makes a module of tests from an adapter's way
//! to make a bus. Each test makes a bus of its own, and reads nothing but what it has published.

use std::collections::{HashMap, HashSet};
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use footfall::bus::{Assignment, Audience, Bus, Consumer, Event, MAX_BATCH, Partition, Record, Topic};
use footfall::message::{Destination, Message, RenderedOnce, new_id};
use futures_util::FutureExt;
use futures_util::future::join_all;
use tokio::time::timeout;
use uuid::Uuid;

/// Far more than any step takes.
const PATIENCE: Duration = Duration::from_secs(30);

macro_rules! bus_contract {
    ($adapter:ident, $factory:expr) => {
        mod $adapter {
            bus_contract!($factory, [
                records_of_a_destination_keep_their_order
                durable_means_committed
                what_is_not_committed_comes_again_to_the_next
                nothing_is_read_before_start_says_where
                offsets_go_on_from_start
                a_part_can_be_read_again
                every_node_gets_everything_from_its_subscription_on
                what_nobody_wants_is_dropped_and_counts_as_read
                a_cancelled_next_loses_nothing
                a_busy_partition_holds_up_no_other
                a_destination_has_one_partition
                a_sweep_leaves_those_who_live_alone
            ]);
        }
    };
    ($factory:expr, [$($promise:ident)*]) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $promise() {
                super::$promise(($factory)().await).await;
            }
        )*
    };
}

bus_contract!(memory, || async { super::super::memory_bus::memory_of(64) });
bus_contract!(kafka, || async { super::super::kafka_bus::fresh().await });

pub(super) fn room(number: usize) -> Destination {
    Destination::parse(&format!("/topic/rooms.{number}")).unwrap()
}

pub(super) fn record(destination: &Destination) -> Record {
    Record::message(Arc::new(Message {
        id: new_id(),
        destination: destination.clone(),
        sender: None,
        session: None,
        timestamp_ms: 1,
        content_type: None,
        headers: Arc::new([]),
        body: Bytes::from_static(b"hello"),
        position: None,
        rendered: RenderedOnce::default(),
    }))
}

/// A consumer of events with what is assigned to it.
pub(super) struct Reader {
    pub(super) consumer: Box<dyn Consumer>,
    assigned: Vec<Assignment>,
}

impl Reader {
    async fn new(bus: &Arc<dyn Bus>) -> Self {
        let mut consumer = bus.subscribe(Topic::Events, Audience::OneNode).await.unwrap();
        let all: HashSet<_> = (0..200).map(|number| bus.partition_of(&room(number))).collect();
        let mut assigned: Vec<Assignment> = Vec::new();
        while !all.iter().all(|partition| assigned.iter().any(|assignment| assignment.partition == *partition)) {
            let Event::Assigned(some) = next(consumer.as_mut()).await else { panic!("records before an assignment") };
            assigned.extend(some);
        }
        Self { consumer, assigned }
    }

    /// Started where what is committed ends, or else here.
    pub(super) async fn started(bus: &Arc<dyn Bus>, offset: u64) -> Self {
        let mut reader = Self::new(bus).await;
        for assignment in &reader.assigned {
            reader.consumer.start(&assignment.partition, assignment.committed.unwrap_or(offset));
        }
        reader
    }

    /// So many records, in their order, none of them committed.
    pub(super) async fn read(&mut self, count: usize) -> Vec<Read> {
        let mut all = Vec::new();
        while all.len() < count {
            let Event::Records(batches) = next(self.consumer.as_mut()).await else { panic!("no records") };
            for batch in batches {
                assert!(!batch.records.is_empty() && batch.records.len() <= MAX_BATCH);
                assert!(batch.end > batch.records.last().unwrap().0);
                self.consumer.more(&batch.partition);
                all.extend(batch.records.iter().map(|(offset, record)| Read {
                    partition: batch.partition.clone(),
                    offset: *offset,
                    id: record.message.id,
                    destination: record.message.destination.clone(),
                }));
            }
        }
        assert_eq!(all.len(), count);
        all
    }

    pub(super) fn commit(&mut self, read: &[Read]) {
        for read in read {
            self.consumer.commit(&read.partition, read.offset + 1);
        }
    }

    /// Whether there is nothing to be read now.
    pub(super) async fn is_waiting(&mut self) -> bool {
        is_waiting(self.consumer.as_mut()).await
    }
}

pub(super) struct Read {
    pub(super) partition: Partition,
    pub(super) offset: u64,
    pub(super) id: Uuid,
    destination: Destination,
}

pub(super) async fn next(consumer: &mut dyn Consumer) -> Event {
    timeout(PATIENCE, consumer.next()).await.expect("an event").unwrap()
}

pub(super) async fn is_waiting(consumer: &mut dyn Consumer) -> bool {
    timeout(Duration::from_millis(100), consumer.next()).await.is_err()
}

pub(super) fn ids(read: &[Read]) -> Vec<Uuid> {
    read.iter().map(|read| read.id).collect()
}

async fn records_of_a_destination_keep_their_order(bus: Arc<dyn Bus>) {
    let mut reader = Reader::started(&bus, 0).await;
    let sending = (0..8).map(|number| {
        let bus = Arc::clone(&bus);
        async move {
            let mut sent = Vec::new();
            for _ in 0..50 {
                let record = record(&room(number));
                sent.push(record.message.id);
                // The next one once this one is accepted; nobody waits until it is durable.
                drop(bus.publish(Topic::Events, record).await.unwrap());
            }
            (room(number), sent)
        }
    });
    let reading = async {
        let mut all: Vec<Read> = Vec::new();
        while all.len() < 400 {
            let Event::Records(batches) = next(reader.consumer.as_mut()).await else { panic!("no records") };
            for batch in batches {
                let end = batch.end;
                for (offset, record) in batch.records {
                    let (id, destination) = (record.message.id, record.message.destination.clone());
                    all.push(Read { partition: batch.partition.clone(), offset, id, destination });
                }
                reader.consumer.commit(&batch.partition, end);
                reader.consumer.more(&batch.partition);
            }
        }
        all
    };
    let (sent, read) = tokio::join!(join_all(sending), reading);
    for (destination, sent) in sent {
        let got: Vec<_> = read.iter().filter(|read| read.destination == destination).map(|read| read.id).collect();
        assert_eq!(got, sent, "{destination}");
    }
    let mut ends: HashMap<&Partition, u64> = HashMap::new();
    for read in &read {
        assert_eq!(read.partition, bus.partition_of(&read.destination));
        if let Some(before) = ends.insert(&read.partition, read.offset) {
            assert!(before < read.offset, "offsets rise");
        }
    }
}

async fn durable_means_committed(bus: Arc<dyn Bus>) {
    let mut reader = Reader::started(&bus, 0).await;
    let mut durable = Vec::new();
    for _ in 0..3 {
        durable.push(bus.publish(Topic::Events, record(&room(1))).await.unwrap());
    }
    let read = reader.read(3).await;
    // On a bus with replicas of its own it may be durable earlier; in memory nothing else could make it so.
    if &*bus.partition_of(&room(1)).log == "memory" {
        assert!(poll_fn(|context| Poll::Ready(durable[0].poll_unpin(context).is_pending())).await);
    }
    reader.commit(&read[..2]);
    for durable in durable.drain(..2) {
        timeout(PATIENCE, durable).await.unwrap().unwrap();
    }
    reader.commit(&read[2..]);
    timeout(PATIENCE, durable.remove(0)).await.unwrap().unwrap();
}

async fn what_is_not_committed_comes_again_to_the_next(bus: Arc<dyn Bus>) {
    let mut durables = Vec::new();
    for _ in 0..10 {
        durables.push(bus.publish(Topic::Events, record(&room(1))).await.unwrap());
    }
    let mut first = Reader::started(&bus, 0).await;
    let read = first.read(10).await;
    first.commit(&read[..4]);
    drop(first);
    let mut second = Reader::started(&bus, 0).await;
    let again = second.read(6).await;
    assert_eq!(ids(&again), ids(&read[4..]));
    assert_eq!(again[0].offset, read[4].offset, "a record keeps its offset");
    second.commit(&again);
    drop(second);
    let mut third = Reader::started(&bus, 0).await;
    assert!(third.is_waiting().await, "what is committed never comes again");
    for durable in durables {
        timeout(PATIENCE, durable).await.unwrap().unwrap();
    }
}

async fn nothing_is_read_before_start_says_where(bus: Arc<dyn Bus>) {
    drop(bus.publish(Topic::Events, record(&room(1))).await.unwrap());
    let mut first = Reader::new(&bus).await;
    assert!(first.is_waiting().await);
    first.consumer.start(&bus.partition_of(&room(1)), 0);
    first.read(1).await;
    drop(first);
    // Nor by the next, whoever started it before.
    let mut second = Reader::new(&bus).await;
    assert!(second.is_waiting().await);
    second.consumer.start(&bus.partition_of(&room(1)), 0);
    second.read(1).await;
}

async fn offsets_go_on_from_start(bus: Arc<dyn Bus>) {
    let partition = bus.partition_of(&room(1));
    if &*partition.log != "memory" {
        // Elsewhere the log says what its offsets are.
        return;
    }
    for _ in 0..3 {
        drop(bus.publish(Topic::Events, record(&room(1))).await.unwrap());
    }
    let mut reader = Reader::started(&bus, 1_000).await;
    let read = reader.read(3).await;
    assert_eq!(read.iter().map(|read| read.offset).collect::<Vec<_>>(), [1_000, 1_001, 1_002]);
    reader.commit(&read);
    drop(bus.publish(Topic::Events, record(&room(1))).await.unwrap());
    drop(reader);
    let mut next = Reader::new(&bus).await;
    let assigned = next.assigned.iter().find(|assignment| assignment.partition == partition).unwrap();
    assert_eq!((assigned.committed, assigned.log_start, assigned.log_end), (Some(1_003), 1_003, 1_004));
    next.consumer.start(&partition, 1_003);
    assert_eq!(next.read(1).await[0].offset, 1_003);
}

async fn a_part_can_be_read_again(bus: Arc<dyn Bus>) {
    for _ in 0..5 {
        drop(bus.publish(Topic::Events, record(&room(1))).await.unwrap());
    }
    let mut reader = Reader::started(&bus, 0).await;
    let read = reader.read(5).await;
    reader.consumer.start(&read[2].partition, read[2].offset);
    assert_eq!(ids(&reader.read(3).await), ids(&read[2..]));
    reader.commit(&read);
    assert!(reader.is_waiting().await);
}

async fn every_node_gets_everything_from_its_subscription_on(bus: Arc<dyn Bus>) {
    let read = async |consumer: &mut dyn Consumer, count: usize| {
        let mut got = Vec::new();
        while got.len() < count {
            if let Event::Records(batches) = next(consumer).await {
                got.extend(batches.into_iter().flat_map(|batch| batch.records).map(|(_, record)| record.message.id));
            }
        }
        got
    };
    let publish = async |number: usize| {
        let record = record(&room(number));
        let id = record.message.id;
        bus.publish(Topic::Broadcast, record).await.unwrap().await.unwrap();
        id
    };
    let mut first = bus.subscribe(Topic::Broadcast, Audience::EveryNode).await.unwrap();
    let before = publish(1).await;
    let mut second = bus.subscribe(Topic::Broadcast, Audience::EveryNode).await.unwrap();
    let mut sent = Vec::new();
    for _ in 0..40 {
        sent.push(publish(1).await);
    }
    assert_eq!(read(second.as_mut(), 40).await, sent);
    sent.insert(0, before);
    assert_eq!(read(first.as_mut(), 41).await, sent);
    // One that went away keeps nobody from anything.
    drop(first);
    let last = publish(1).await;
    assert_eq!(read(second.as_mut(), 1).await, [last]);
}

async fn what_nobody_wants_is_dropped_and_counts_as_read(bus: Arc<dyn Bus>) {
    let mut broadcast = bus.subscribe(Topic::Broadcast, Audience::EveryNode).await.unwrap();
    let records: Vec<_> = (0..6).map(|_| record(&room(1))).collect();
    let wanted_id = records[2].message.id;
    let last = record(&room(1));
    let last_id = last.message.id;
    broadcast.only(Arc::new(move |key, id| [wanted_id, last_id].contains(&id) || key == "/topic/rooms.2"));
    for record in records {
        bus.publish(Topic::Broadcast, record).await.unwrap().await.unwrap();
    }
    let other = record(&room(2));
    let other_id = other.message.id;
    bus.publish(Topic::Broadcast, other).await.unwrap().await.unwrap();
    let mut got = Vec::new();
    while got.len() < 2 {
        let Event::Records(batches) = next(broadcast.as_mut()).await else { panic!("no records") };
        got.extend(batches.into_iter().flat_map(|batch| batch.records).map(|(_, record)| record.message.id));
    }
    got.sort_unstable();
    let mut wanted = [wanted_id, other_id];
    wanted.sort_unstable();
    assert_eq!(got, wanted);
    // The tail that was dropped is behind, though no batch came of it: what follows it comes, at its place in the log.
    bus.publish(Topic::Broadcast, last).await.unwrap().await.unwrap();
    let mut got = Vec::new();
    let mut ends: HashMap<_, u64> = HashMap::new();
    while got.is_empty() {
        let Event::Records(batches) = next(broadcast.as_mut()).await else { panic!("no records") };
        for batch in batches {
            let end = ends.insert(batch.partition.clone(), batch.end).unwrap_or_default();
            for (offset, record) in batch.records {
                assert!(offset >= end && batch.end > offset, "positions rise");
                got.push((record.message.id, offset));
            }
        }
    }
    // At least six are before it in its partition, and the position counts those that nobody wanted, too.
    assert_eq!(got.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [last_id]);
    assert!(got[0].1 >= 6, "{got:?}");
}

async fn a_busy_partition_holds_up_no_other(bus: Arc<dyn Bus>) {
    let mut reader = Reader::started(&bus, 0).await;
    let (busy, other) = (room(1), (2..100).map(room).find(|other| bus.partition_of(other) != bus.partition_of(&room(1))).unwrap());
    drop(bus.publish(Topic::Events, record(&busy)).await.unwrap());
    let Event::Records(batches) = next(reader.consumer.as_mut()).await else { panic!("no records") };
    assert_eq!(batches[0].partition, bus.partition_of(&busy));
    // Not done with that one yet, so what follows it waits, and what is elsewhere does not.
    for destination in [&busy, &busy, &other, &busy] {
        drop(bus.publish(Topic::Events, record(destination)).await.unwrap());
    }
    let Event::Records(batches) = next(reader.consumer.as_mut()).await else { panic!("no records") };
    assert_eq!(batches.iter().map(|batch| &batch.partition).collect::<Vec<_>>(), [&bus.partition_of(&other)]);
    assert!(reader.is_waiting().await);
    reader.consumer.more(&bus.partition_of(&busy));
    assert_eq!(reader.read(3).await.iter().filter(|read| read.destination == busy).count(), 3);
}

async fn a_cancelled_next_loses_nothing(bus: Arc<dyn Bus>) {
    let mut events = Reader::started(&bus, 0).await;
    let mut broadcast = bus.subscribe(Topic::Broadcast, Audience::EveryNode).await.unwrap();
    let (mut sent, mut stored, mut delivered) = (Vec::new(), Vec::new(), Vec::new());
    let collect = |consumer: &mut dyn Consumer, event: Event, into: &mut Vec<Uuid>| {
        let Event::Records(batches) = event else { return };
        for batch in &batches {
            consumer.more(&batch.partition);
        }
        into.extend(batches.into_iter().flat_map(|batch| batch.records).map(|(_, record)| record.message.id));
    };
    for round in 0..30 {
        // Polled once and dropped, before and after something came.
        assert!(events.consumer.next().now_or_never().is_none());
        assert!(broadcast.next().now_or_never().is_none());
        let record = record(&room(1));
        sent.push(record.message.id);
        drop(bus.publish(Topic::Broadcast, record.clone()).await.unwrap());
        drop(bus.publish(Topic::Events, record).await.unwrap());
        if round % 2 == 0 {
            drop(events.consumer.next());
            drop(broadcast.next());
        }
        while stored.len() < sent.len() {
            let event = next(events.consumer.as_mut()).await;
            collect(events.consumer.as_mut(), event, &mut stored);
        }
        while delivered.len() < sent.len() {
            let event = next(broadcast.as_mut()).await;
            collect(broadcast.as_mut(), event, &mut delivered);
        }
    }
    assert_eq!((stored, delivered), (sent.clone(), sent));
}

async fn a_destination_has_one_partition(bus: Arc<dyn Bus>) {
    let all: Vec<_> = (0..200).map(|number| bus.partition_of(&room(number))).collect();
    assert_eq!(all, (0..200).map(|number| bus.partition_of(&room(number))).collect::<Vec<_>>());
    let mut distinct = all;
    distinct.sort();
    distinct.dedup();
    assert!(distinct.len() > 1, "every destination in one partition");
    let reader = Reader::new(&bus).await;
    let mut assigned: Vec<_> = reader.assigned.into_iter().map(|assignment| assignment.partition).collect();
    assigned.sort();
    assert!(distinct.iter().all(|partition| assigned.contains(partition)));
}

async fn a_sweep_leaves_those_who_live_alone(bus: Arc<dyn Bus>) {
    let mut reader = bus.subscribe(Topic::Broadcast, Audience::EveryNode).await.unwrap();
    assert_eq!(bus.sweep(Arc::new(|_| None)).await, Ok(Vec::new()));
    // Not even if it has lost its own lease.
    assert_eq!(bus.sweep(Arc::new(|_| Some(Duration::MAX))).await, Ok(Vec::new()));
    bus.publish(Topic::Broadcast, record(&room(1))).await.unwrap().await.unwrap();
    while !matches!(next(reader.as_mut()).await, Event::Records(_)) {}
}
