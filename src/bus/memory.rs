//! The bus of a single process: both topics as bounded queues in memory.
//!
//! Nothing is lost with it at `kill -9`: a record on *events* counts as published only once the store has it.
//! Offsets go on from the position that the store keeps, so its log never seems to begin anew.

use std::collections::VecDeque;
use std::future::{poll_fn, ready};
use std::sync::{Arc, Weak};
use std::task::Poll;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::timeout;

use super::partitioner::partition_of;
use super::{
    ACCEPT_WITHIN, ANSWER_WITHIN, Assignment, Audience, Batch, Bus, BusError, Consumer, Durable, Event, MAX_BATCH, Partition, Record, Topic,
};
use crate::message::Destination;

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
    /// Woken when there is something to read.
    filled: AtomicWaker,
    /// Told when there is room again.
    drained: Notify,
}

/// What of a partition is not committed.
#[derive(Debug, Default)]
struct Queue {
    entries: VecDeque<Entry>,
    /// The offset of the first entry; known once the consumer said where the partition goes on.
    base: u64,
    /// How many entries from the front were read.
    read: usize,
    started: bool,
}

#[derive(Debug)]
struct Entry {
    record: Record,
    committed: oneshot::Sender<()>,
}

impl MemoryBus {
    pub fn new(settings: MemoryBusSettings) -> Self {
        let names = (0..PARTITIONS).map(|number| Partition { log: "memory".into(), topic: "events".into(), number }).collect();
        let partitions = (0..PARTITIONS).map(|_| Mutex::default()).collect();
        let log = EventsLog { partitions, names, filled: AtomicWaker::new(), drained: Notify::new() };
        Self { settings, log: Arc::new(log), readers: Mutex::default() }
    }

    async fn publish_event(&self, record: Record) -> Result<Durable, BusError> {
        let number = number_of(&record.message.destination);
        let committed = timeout(ACCEPT_WITHIN, self.push(number, record)).await.map_err(|_| BusError::Unavailable)?;
        Ok(async move {
            match timeout(ANSWER_WITHIN, committed).await {
                Ok(Ok(())) => Ok(()),
                // The consumer is gone or slow; whether the store has the record is not known here.
                Ok(Err(_)) | Err(_) => Err(BusError::Unknown),
            }
        }
        .boxed())
    }

    /// Waits for room in its partition.
    async fn push(&self, number: u32, mut record: Record) -> oneshot::Receiver<()> {
        loop {
            // Before the look, so that room made in between is not missed.
            let drained = self.log.drained.notified();
            record = match self.try_push(number, record) {
                Ok(committed) => return committed,
                Err(record) => record,
            };
            drained.await;
        }
    }

    fn try_push(&self, number: u32, record: Record) -> Result<oneshot::Receiver<()>, Record> {
        let mut queue = self.log.partitions[number as usize].lock();
        if queue.entries.len() >= self.settings.events {
            return Err(record);
        }
        let (committed, answer) = oneshot::channel();
        queue.entries.push_back(Entry { record, committed });
        drop(queue);
        self.log.filled.wake();
        Ok(answer)
    }

    async fn publish_broadcast(&self, record: Record) -> Result<Durable, BusError> {
        let readers = self.readers.lock().clone();
        for reader in &readers {
            // A reader that went away is no reason to refuse; `subscribe` forgets it.
            match timeout(ACCEPT_WITHIN, reader.send(record.clone())).await {
                Ok(Ok(()) | Err(_)) => {}
                Err(_) => return Err(BusError::Unavailable),
            }
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
    fn subscribe(&self, topic: Topic, audience: Audience) -> BoxFuture<'_, Result<Box<dyn Consumer>, BusError>> {
        let consumer: Result<Box<dyn Consumer>, BusError> = match (topic, audience) {
            (Topic::Events, Audience::OneNode) => {
                Ok(Box::new(EventsConsumer { log: Arc::downgrade(&self.log), names: self.log.names.clone(), assigned: false }))
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
                }))
            }
            _ => Err(BusError::Unavailable),
        };
        ready(consumer).boxed()
    }

    fn partition_of(&self, destination: &Destination) -> Partition {
        self.log.names[number_of(destination) as usize].clone()
    }
}

#[derive(Debug)]
struct EventsConsumer {
    log: Weak<EventsLog>,
    names: Vec<Partition>,
    assigned: bool,
}

impl Consumer for EventsConsumer {
    fn next(&mut self) -> BoxFuture<'_, Result<Event, BusError>> {
        poll_fn(|context| {
            let Some(log) = self.log.upgrade() else { return Poll::Ready(Err(BusError::Closed)) };
            if !self.assigned {
                self.assigned = true;
                let all = self.names.iter().map(|name| Assignment { partition: name.clone(), committed: None, log_start: 0, log_end: 0 });
                return Poll::Ready(Ok(Event::Assigned(all.collect())));
            }
            log.filled.register(context.waker());
            let batches: Vec<_> = log.partitions.iter().zip(&log.names).filter_map(|(queue, name)| queue.lock().take_batch(name)).collect();
            if batches.is_empty() { Poll::Pending } else { Poll::Ready(Ok(Event::Records(batches))) }
        })
        .boxed()
    }

    fn start(&mut self, partition: &Partition, offset: u64) {
        let Some(log) = self.log.upgrade() else { return };
        let Some(queue) = log.partitions.get(partition.number as usize) else { return };
        let mut queue = queue.lock();
        if queue.started {
            // Read again, from what is not committed; what is committed is gone from memory.
            queue.read =
                usize::try_from(offset.saturating_sub(queue.base)).map_or(queue.entries.len(), |read| read.min(queue.entries.len()));
        } else {
            queue.base = offset;
            queue.started = true;
        }
        drop(queue);
        log.filled.wake();
    }

    fn commit(&mut self, partition: &Partition, next: u64) {
        let Some(log) = self.log.upgrade() else { return };
        let Some(queue) = log.partitions.get(partition.number as usize) else { return };
        let mut queue = queue.lock();
        while queue.base < next && queue.read > 0 {
            let Some(entry) = queue.entries.pop_front() else { break };
            queue.base += 1;
            queue.read -= 1;
            // Nobody may wait for it any more; then nobody needs the answer.
            let _nobody_waits = entry.committed.send(());
        }
        drop(queue);
        log.drained.notify_waiters();
    }
}

impl Drop for EventsConsumer {
    fn drop(&mut self) {
        // What was read and not committed is for the next consumer.
        if let Some(log) = self.log.upgrade() {
            for queue in &log.partitions {
                queue.lock().read = 0;
            }
        }
    }
}

impl Queue {
    fn take_batch(&mut self, partition: &Partition) -> Option<Batch> {
        if !self.started || self.read == self.entries.len() {
            return None;
        }
        let first = self.base + self.read as u64;
        let records: Vec<_> = self
            .entries
            .iter()
            .skip(self.read)
            .take(MAX_BATCH)
            .zip(first..)
            .map(|(entry, offset)| (offset, entry.record.clone()))
            .collect();
        self.read += records.len();
        Some(Batch { partition: partition.clone(), records })
    }
}

#[derive(Debug)]
struct BroadcastConsumer {
    records: mpsc::Receiver<Record>,
    partition: Partition,
    next: u64,
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
            Ok(Event::Records(vec![Batch { partition: self.partition.clone(), records: (first..).zip(records).collect() }]))
        }
        .boxed()
    }

    // Positions of a live queue: there is nothing to go back to.
    fn start(&mut self, _partition: &Partition, _offset: u64) {}

    fn commit(&mut self, _partition: &Partition, _next: u64) {}
}
