//! *Events* in memory: bounded partitions, and the one consumer that reads them.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Weak};
use std::task::Poll;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::{Instant, timeout_at};

use super::batch;
use crate::bus::{ACCEPT_WITHIN, Assignment, Batch, BusError, Consumer, Event, MAX_BATCH, Partition, Record, Wanted};

#[derive(Debug)]
pub(super) struct EventsLog {
    pub(super) partitions: Vec<Mutex<Queue>>,
    pub(super) names: Vec<Partition>,
    /// Room in each partition; those who wait for it are served in their order.
    pub(super) room: Vec<Room>,
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
pub(super) struct Room {
    permits: Arc<Semaphore>,
    full_since: Mutex<Option<Instant>>,
}

impl Room {
    fn new(records: usize) -> Self {
        Self { permits: Arc::new(Semaphore::new(records.min(Semaphore::MAX_PERMITS))), full_since: Mutex::default() }
    }

    /// Waits until the partition has been full for [`ACCEPT_WITHIN`], not so long each: a client that sent many at once
    /// would hear of the last long after the first.
    pub(super) async fn take(&self) -> Result<OwnedSemaphorePermit, BusError> {
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
pub(super) struct Queue {
    pub(super) entries: VecDeque<Entry>,
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
pub(super) struct Entry {
    pub(super) record: Record,
    /// None if it was refused: whoever waits hears that it was not stored.
    pub(super) committed: Option<oneshot::Sender<()>>,
    /// Given back when it is committed.
    pub(super) _room: OwnedSemaphorePermit,
}

impl EventsLog {
    pub(super) fn new(partitions: u32, records: usize) -> Self {
        Self {
            partitions: (0..partitions).map(|_| Mutex::default()).collect(),
            names: (0..partitions).map(|number| Partition { log: "memory".into(), topic: "events".into(), number }).collect(),
            room: (0..partitions).map(|_| Room::new(records)).collect(),
            reader: Mutex::default(),
        }
    }

    pub(super) fn wake(&self) {
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

#[derive(Debug)]
pub(super) struct EventsConsumer {
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
    /// Takes over from those before it.
    pub(super) fn new(log: &Arc<EventsLog>) -> Self {
        let (generation, filled) = log.take_over();
        Self { log: Arc::downgrade(log), generation, filled, names: log.names.clone(), told: Told::Nothing }
    }

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

    pub(super) fn refuse(&mut self, offset: u64) {
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
