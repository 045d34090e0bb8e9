//! The bus of a single process: both topics as bounded queues in memory.
//!
//! Nothing is lost with it at `kill -9`: a record on *events* counts as published only once the store has it.
//! Offsets go on from the position that the store keeps, so its log never seems to begin anew: it has none before the
//! first consumer said where that is.

mod broadcast;
mod events;

use std::future::ready;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout, timeout_at};

use self::broadcast::BroadcastConsumer;
use self::events::{Entry, EventsConsumer, EventsLog};
use super::partitioner::partition_of;
use super::{
    ACCEPT_WITHIN, ANSWER_WITHIN, Audience, Batch, Bus, BusError, BusState, Consumer, DeadLetter, Durable, GoneFor, Lag, Partition, Record,
    Topic,
};
use crate::message::{Destination, Mark};

/// Partitions let appends of different destinations be under way at once, and one process has one disk: a few do.
/// Fixed, because a destination's numbering belongs to its partition.
const PARTITIONS: u32 = 4;

/// How much each queue of a [`MemoryBus`] holds before publishers wait.
#[derive(Debug, Clone, Copy)]
pub struct MemoryBusSettings {
    /// Records in one partition of *events* that are not committed.
    pub events: usize,
    /// Records on *broadcast* that a consumer has not read.
    pub broadcast: usize,
}

impl Default for MemoryBusSettings {
    fn default() -> Self {
        // With frames of at most 64 KiB: 256 MiB on events at the very worst, and records are usually a hundredth of that.
        Self { events: 1024, broadcast: 4096 }
    }
}

/// Both hops inside one process.
#[derive(Debug)]
pub struct MemoryBus {
    settings: MemoryBusSettings,
    log: Arc<EventsLog>,
    readers: Mutex<Vec<mpsc::Sender<Record>>>,
}

impl MemoryBus {
    pub fn new(settings: MemoryBusSettings) -> Self {
        let log = EventsLog::new(PARTITIONS, settings.events);
        Self { settings, log: Arc::new(log), readers: Mutex::default() }
    }

    async fn publish_event(&self, record: Record) -> Result<Durable, BusError> {
        // The sender's patience begins here, however long it then waits for room.
        let answer_by = Instant::now() + ANSWER_WITHIN;
        let number = number_of(&record.message.destination) as usize;
        let room = self.log.room[number].take().await?;
        let (committed, answer) = oneshot::channel();
        self.log.partitions[number].lock().entries.push_back(Entry { record, committed: Some(committed), _room: room });
        self.log.wake();
        Ok(async move {
            match timeout_at(answer_by, answer).await {
                Ok(Ok(())) => Ok(()),
                // The consumer is gone or slow; whether the store has the record is not known here.
                Ok(Err(_)) | Err(_) => Err(BusError::Unknown),
            }
        }
        .boxed())
    }

    async fn publish_broadcast(&self, record: Record) -> Result<Durable, BusError> {
        let readers = self.readers.lock().clone();
        // Room with all of them first: a record that one of them got was not refused.
        let room = timeout(ACCEPT_WITHIN, join_all(readers.iter().map(mpsc::Sender::reserve))).await;
        let room = room.map_err(|_| BusError::Unavailable)?;
        // One after the other, so that all readers get the same order.
        let _in_turn = self.readers.lock();
        // A reader that went away is no reason to refuse; `subscribe` forgets it.
        for permit in room.into_iter().flatten() {
            permit.send(record.clone());
        }
        Ok(ready(Ok(())).boxed())
    }
}

fn number_of(destination: &Destination) -> u32 {
    partition_of(destination.as_str().as_bytes(), PARTITIONS)
}

impl Bus for MemoryBus {
    fn publish(&self, topic: Topic, record: Record) -> BoxFuture<'_, Result<Durable, BusError>> {
        match topic {
            Topic::Events => self.publish_event(record).boxed(),
            Topic::Broadcast => self.publish_broadcast(record).boxed(),
        }
    }

    /// *Events* can be read by `OneNode` only and *broadcast* by `EveryNode` only: nothing in footfall asks otherwise.
    /// The latest consumer of *events* is the one; those before it are told that they have nothing to read any more.
    fn subscribe(&self, topic: Topic, audience: Audience) -> BoxFuture<'_, Result<Box<dyn Consumer>, BusError>> {
        let consumer: Result<Box<dyn Consumer>, BusError> = match (topic, audience) {
            (Topic::Events, Audience::OneNode) => Ok(Box::new(EventsConsumer::new(&self.log))),
            (Topic::Broadcast, Audience::EveryNode) => {
                let (sender, records) = mpsc::channel(self.settings.broadcast);
                let mut readers = self.readers.lock();
                readers.retain(|reader| !reader.is_closed());
                readers.push(sender);
                Ok(Box::new(BroadcastConsumer {
                    records,
                    partition: Partition { log: "memory".into(), topic: "broadcast".into(), number: 0 },
                    next: 0,
                    wanted: Arc::new(|_, _| true),
                }))
            }
            _ => Err(BusError::Unavailable),
        };
        ready(consumer).boxed()
    }

    fn partition_of(&self, destination: &Destination) -> Partition {
        self.log.names[number_of(destination) as usize].clone()
    }

    // Its log ends with the process, so there is no other one to be told from.
    fn mark(&self, _partition: &Partition, _offset: u64) -> BoxFuture<'_, Result<Option<Mark>, BusError>> {
        ready(Ok(None)).boxed()
    }

    // Nothing of it is ever read before its first consumer says where it begins.
    fn ends(&self, _partition: &Partition) -> BoxFuture<'_, Result<(u64, u64), BusError>> {
        ready(Ok((0, u64::MAX))).boxed()
    }

    fn dead_letter(&self, letter: DeadLetter) -> BoxFuture<'_, Result<(), BusError>> {
        let DeadLetter { partition, offset, reason, .. } = letter;
        tracing::error!(partition = partition.number, offset, reason, "a message can't be taken, and is gone");
        if let Some(queue) = self.log.partitions.get(partition.number as usize) {
            queue.lock().refuse(offset);
        }
        ready(Ok(())).boxed()
    }

    // One process leaves nothing behind.
    fn sweep(&self, _gone: GoneFor) -> BoxFuture<'_, Result<Vec<String>, BusError>> {
        ready(Ok(Vec::new())).boxed()
    }

    fn state(&self) -> BusState {
        BusState::Ready
    }

    fn lag(&self) -> Lag {
        let events = self.log.partitions.iter().map(|queue| queue.lock().entries.len() as u64).sum();
        let waiting = |reader: &mpsc::Sender<Record>| (reader.max_capacity() - reader.capacity()) as u64;
        let readers = self.readers.lock();
        let broadcast = readers.iter().filter(|reader| !reader.is_closed()).map(waiting).max().unwrap_or_default();
        Lag { events: Some(events), broadcast: Some(broadcast) }
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        ready(()).boxed()
    }
}

/// Offsets in memory are dense.
fn batch(partition: &Partition, first: u64, records: Vec<(u64, Record)>) -> Batch {
    let end = first + records.len() as u64;
    Batch { partition: partition.clone(), records, unreadable: Vec::new(), end, mark: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Message, RenderedOnce};

    fn record() -> Record {
        Record::message(Arc::new(Message {
            id: uuid::Uuid::nil(),
            destination: Destination::parse("/topic/a").unwrap(),
            sender: None,
            session: None,
            timestamp_ms: 0,
            content_type: None,
            headers: Arc::new([]),
            body: bytes::Bytes::new(),
            position: None,
            rendered: RenderedOnce::default(),
        }))
    }

    #[tokio::test]
    async fn what_waits_is_the_lag() {
        let bus = MemoryBus::new(MemoryBusSettings::default());
        let mut consumer = bus.subscribe(Topic::Broadcast, Audience::EveryNode).await.unwrap();
        let _accepted = bus.publish(Topic::Events, record()).await.unwrap();
        for _ in 0..2 {
            bus.publish(Topic::Broadcast, record()).await.unwrap().await.unwrap();
        }
        assert_eq!(bus.lag(), Lag { events: Some(1), broadcast: Some(2) });
        consumer.next().await.unwrap();
        assert_eq!(bus.lag(), Lag { events: Some(1), broadcast: Some(0) });
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_bus_makes_nobody_wait_longer_because_others_waited() {
        let bus = MemoryBus::new(MemoryBusSettings { events: 1, ..MemoryBusSettings::default() });
        let _accepted = bus.publish(Topic::Events, record()).await.unwrap();
        let begun = Instant::now();
        for _ in 0..10 {
            assert!(matches!(bus.publish(Topic::Events, record()).await, Err(BusError::Unavailable)));
        }
        assert_eq!(begun.elapsed(), ACCEPT_WITHIN);
    }
}
