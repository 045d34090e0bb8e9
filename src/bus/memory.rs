//! The bus of a single process: both topics as bounded queues in memory.
//!
//! Nothing is lost with it at `kill -9`: a record on *events* counts as published only once the store has it.
//! Offsets go on from the position that the store keeps, so its log never seems to begin anew: it has none before the
//! first consumer said where that is.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::future::{poll_fn, ready};
use std::sync::{Arc, Weak};
use std::task::Poll;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};
use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::{Instant, timeout, timeout_at};

use super::partitioner::partition_of;
use super::{
    ACCEPT_WITHIN, ANSWER_WITHIN, Assignment, Audience, Batch, Bus, BusError, BusState, Consumer, DeadLetter, Durable, Event, MAX_BATCH,
    Partition, Record, Topic, Wanted,
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

#[derive(Debug)]
struct EventsLog {
    partitions: Vec<Mutex<Queue>>,
    names: Vec<Partition>,
    /// Room in each partition; those who wait for it are served in their order.
    room: Vec<Room>,
    reader: Mutex<Reader>,
}

/// The one consumer that reads; each new one takes over from those before it.
#[derive(Debug, Default)]
struct Reader {
    generation: u64,
    /// Woken when there is something to read, when another consumer took over, and when the bus is gone.
    filled: Arc<AtomicWaker>,
}

/// The room of one partition, and since when there has been none.
#[derive(Debug)]
struct Room {
    permits: Arc<Semaphore>,
    full_since: Mutex<Option<Instant>>,
}

impl Room {
    fn new(records: usize) -> Self {
        Self { permits: Arc::new(Semaphore::new(records.min(Semaphore::MAX_PERMITS))), full_since: Mutex::default() }
    }

    /// Waits until the partition has been full for [`ACCEPT_WITHIN`], not so long each: a client that sent many at once
    /// would hear of the last long after the first.
    async fn take(&self) -> Result<OwnedSemaphorePermit, BusError> {
        let permits = Arc::clone(&self.permits);
        if let Ok(permit) = permits.clone().try_acquire_owned() {
            *self.full_since.lock() = None;
            return Ok(permit);
        }
        let full_since = *self.full_since.lock().get_or_insert_with(Instant::now);
        let permit = timeout_at(full_since + ACCEPT_WITHIN, permits.acquire_owned()).await;
        let permit = permit.map_err(|_| BusError::Unavailable)?.map_err(|_| BusError::Closed)?;
        *self.full_since.lock() = None;
        Ok(permit)
    }
}

/// What of a partition is not committed.
#[derive(Debug, Default)]
struct Queue {
    entries: VecDeque<Entry>,
    /// The offset of the first entry; none until the first consumer said where the partition goes on.
    base: Option<u64>,
    /// How many entries from the front were read.
    read: usize,
    /// Which consumer said from where; a consumer that was taken over from changes nothing any more.
    started_by: Option<u64>,
    /// Its reader is done with the batch before.
    more: bool,
}

#[derive(Debug)]
struct Entry {
    record: Record,
    /// None if it was refused: whoever waits hears that it was not stored.
    committed: Option<oneshot::Sender<()>>,
    /// Given back when it is committed.
    _room: OwnedSemaphorePermit,
}

impl MemoryBus {
    pub fn new(settings: MemoryBusSettings) -> Self {
        let names = (0..PARTITIONS).map(|number| Partition { log: "memory".into(), topic: "events".into(), number }).collect();
        let partitions = (0..PARTITIONS).map(|_| Mutex::default()).collect();
        let room = (0..PARTITIONS).map(|_| Room::new(settings.events)).collect();
        let log = EventsLog { partitions, names, room, reader: Mutex::default() };
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

impl EventsLog {
    fn wake(&self) {
        let filled = Arc::clone(&self.reader.lock().filled);
        filled.wake();
    }

    fn is_read_by(&self, generation: u64) -> bool {
        self.reader.lock().generation == generation
    }

    /// What was read and not committed is for the next consumer, once that says from where.
    fn rewind(&self) {
        for queue in &self.partitions {
            let mut queue = queue.lock();
            (queue.read, queue.started_by) = (0, None);
        }
    }

    /// Makes room for a new consumer; its generation.
    fn take_over(&self) -> (u64, Arc<AtomicWaker>) {
        let mut reader = self.reader.lock();
        reader.generation += 1;
        let before = std::mem::take(&mut reader.filled);
        self.rewind();
        before.wake();
        (reader.generation, Arc::clone(&reader.filled))
    }

    fn assignments(&self) -> Vec<Assignment> {
        let assignment = |(queue, name): (&Mutex<Queue>, &Partition)| {
            let queue = queue.lock();
            let (log_start, log_end) = queue.base.map_or((0, u64::MAX), |base| (base, base + queue.entries.len() as u64));
            Assignment { partition: name.clone(), committed: queue.base, log_start, log_end }
        };
        self.partitions.iter().zip(&self.names).map(assignment).collect()
    }
}

impl Drop for EventsLog {
    fn drop(&mut self) {
        // Who waits for records learns that there will be none.
        self.wake();
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
            (Topic::Events, Audience::OneNode) => {
                let (generation, filled) = self.log.take_over();
                let log = Arc::downgrade(&self.log);
                Ok(Box::new(EventsConsumer { log, generation, filled, names: self.log.names.clone(), told: Told::Nothing }))
            }
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

    fn dead_letter(&self, letter: DeadLetter) -> BoxFuture<'_, Result<(), BusError>> {
        let DeadLetter { partition, offset, reason, .. } = letter;
        tracing::error!(partition = partition.number, offset, reason, "a message can't be taken, and is gone");
        if let Some(queue) = self.log.partitions.get(partition.number as usize) {
            queue.lock().refuse(offset);
        }
        ready(Ok(())).boxed()
    }

    fn state(&self) -> BusState {
        BusState::Ready
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        ready(()).boxed()
    }
}

#[derive(Debug)]
struct EventsConsumer {
    log: Weak<EventsLog>,
    generation: u64,
    filled: Arc<AtomicWaker>,
    names: Vec<Partition>,
    told: Told,
}

/// What a consumer knows of its partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Nothing,
    Assigned,
    Revoked,
}

impl EventsConsumer {
    /// Does something with one queue.
    fn with<T>(&self, partition: &Partition, act: impl FnOnce(&mut Queue) -> T) -> Option<T> {
        let log = self.log.upgrade()?;
        // Held over the act, so that nobody takes over in between.
        let reader = log.reader.lock();
        let queue = log.partitions.get(partition.number as usize)?;
        (reader.generation == self.generation).then(|| act(&mut queue.lock()))
    }

    fn poll_next(&mut self, context: &std::task::Context<'_>) -> Poll<Result<Event, BusError>> {
        // Before the look, so that what comes in between is not missed.
        self.filled.register(context.waker());
        let Some(log) = self.log.upgrade() else { return Poll::Ready(Err(BusError::Closed)) };
        match self.told {
            Told::Nothing => {
                self.told = Told::Assigned;
                Poll::Ready(Ok(Event::Assigned(log.assignments())))
            }
            Told::Assigned if !log.is_read_by(self.generation) => {
                self.told = Told::Revoked;
                Poll::Ready(Ok(Event::Revoked(self.names.clone())))
            }
            Told::Assigned => {
                let queues = log.partitions.iter().zip(&self.names);
                let batches: Vec<_> = queues.filter_map(|(queue, name)| queue.lock().take_batch(self.generation, name)).collect();
                if batches.is_empty() { Poll::Pending } else { Poll::Ready(Ok(Event::Records(batches))) }
            }
            Told::Revoked => Poll::Pending,
        }
    }
}

impl Consumer for EventsConsumer {
    fn next(&mut self) -> BoxFuture<'_, Result<Event, BusError>> {
        poll_fn(|context| self.poll_next(context)).boxed()
    }

    fn start(&mut self, partition: &Partition, offset: u64) {
        self.with(partition, |queue| queue.start(self.generation, offset));
        self.filled.wake();
    }

    fn more(&mut self, partition: &Partition) {
        self.with(partition, |queue| queue.more = true);
        self.filled.wake();
    }

    // Whoever stores wants all.
    fn only(&mut self, _wanted: Wanted) {}

    fn commit(&mut self, partition: &Partition, next: u64) {
        for committed in
            self.with(partition, |queue| queue.commit(next)).unwrap_or_default().into_iter().filter_map(|entry| entry.committed)
        {
            // Nobody may wait for it any more; then nobody needs the answer.
            let _nobody_waits = committed.send(());
        }
    }
}

impl Drop for EventsConsumer {
    fn drop(&mut self) {
        if let Some(log) = self.log.upgrade() {
            let reader = log.reader.lock();
            if reader.generation == self.generation {
                log.rewind();
            }
        }
    }
}

impl Queue {
    fn start(&mut self, generation: u64, offset: u64) {
        (self.started_by, self.more) = (Some(generation), true);
        let base = *self.base.get_or_insert(offset);
        // What is committed is gone from memory, so nothing before the base can be read again.
        let read = usize::try_from(offset.saturating_sub(base)).unwrap_or(usize::MAX);
        self.read = read.min(self.entries.len());
    }

    fn commit(&mut self, next: u64) -> Vec<Entry> {
        let Some(base) = self.base else { return Vec::new() };
        let done = usize::try_from(next.saturating_sub(base)).unwrap_or(usize::MAX).min(self.read);
        self.base = Some(base + done as u64);
        self.read -= done;
        self.entries.drain(..done).collect()
    }

    fn refuse(&mut self, offset: u64) {
        let index = self.base.and_then(|base| offset.checked_sub(base)).and_then(|index| usize::try_from(index).ok());
        if let Some(entry) = index.and_then(|index| self.entries.get_mut(index)) {
            entry.committed = None;
        }
    }

    fn take_batch(&mut self, generation: u64, partition: &Partition) -> Option<Batch> {
        let base = self.base.filter(|_| self.more && self.started_by == Some(generation) && self.read < self.entries.len())?;
        self.more = false;
        let first = base + self.read as u64;
        let records: Vec<_> = self
            .entries
            .iter()
            .skip(self.read)
            .take(MAX_BATCH)
            .zip(first..)
            .map(|(entry, offset)| (offset, entry.record.clone()))
            .collect();
        self.read += records.len();
        Some(batch(partition, first, records))
    }
}

/// Offsets in memory are dense.
fn batch(partition: &Partition, first: u64, records: Vec<(u64, Record)>) -> Batch {
    let end = first + records.len() as u64;
    Batch { partition: partition.clone(), records, unreadable: Vec::new(), end, mark: None }
}

struct BroadcastConsumer {
    records: mpsc::Receiver<Record>,
    partition: Partition,
    next: u64,
    wanted: Wanted,
}

impl Debug for BroadcastConsumer {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("BroadcastConsumer").field("next", &self.next).finish_non_exhaustive()
    }
}

impl Consumer for BroadcastConsumer {
    fn next(&mut self) -> BoxFuture<'_, Result<Event, BusError>> {
        async {
            let mut records = Vec::new();
            if self.records.recv_many(&mut records, MAX_BATCH).await == 0 {
                return Err(BusError::Closed);
            }
            let first = self.next;
            self.next += records.len() as u64;
            let mut batch = batch(&self.partition, first, (first..).zip(records).collect());
            batch.records.retain(|(_, record)| (self.wanted)(record.message.destination.as_str(), record.message.id));
            Ok(Event::Records(vec![batch]))
        }
        .boxed()
    }

    // Positions of a live queue: there is nothing to go back to.
    fn start(&mut self, _partition: &Partition, _offset: u64) {}

    fn more(&mut self, _partition: &Partition) {}

    fn only(&mut self, wanted: Wanted) {
        self.wanted = wanted;
    }

    fn commit(&mut self, _partition: &Partition, _next: u64) {}
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
