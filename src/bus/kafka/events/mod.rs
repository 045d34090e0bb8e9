//! The reader of events: a member of the fixed group, with a thread of its own that does nothing but poll.
//!
//! The thread never stops polling, however long the store is away: a partition whose records nobody takes is paused, and
//! the member stays in its group. Nothing waits for the consumer, and it waits for nothing but its next event. What has
//! to be asked of Kafka is asked by threads beside it.

mod lookup;
mod member;
mod membership;
mod partitions;
mod rebalance;
#[cfg(test)]
mod tests;

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::task::Poll;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use rdkafka::config::ClientConfig;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use self::lookup::LookUp;
use self::partitions::Partitions;
use super::error::KafkaError;
use super::log::Log;
use super::threads::Threads;
use crate::bus::{BusError, Consumer, Event, Partition, Wanted};

/// What the thread and the consumer share.
struct Shared {
    log: Arc<Log>,
    partitions: Mutex<Partitions>,
    /// Woken when there is an event.
    waker: AtomicWaker,
    /// The consumer is gone, so the thread is to end.
    closing: AtomicBool,
    /// The thread has ended, and the group knows that this member is gone.
    ended: CancellationToken,
}

pub(super) struct EventsConsumer {
    shared: Arc<Shared>,
}

impl EventsConsumer {
    /// Joins the group; assignments come as events.
    pub(super) fn join(config: &ClientConfig, offsets: &ClientConfig, log: Arc<Log>, threads: &Threads) -> Result<Self, KafkaError> {
        let shared = Arc::new(Shared {
            log,
            partitions: Mutex::default(),
            waker: AtomicWaker::new(),
            closing: AtomicBool::new(false),
            ended: CancellationToken::new(),
        });
        let lookup = LookUp::new(offsets, threads)?;
        let client = rebalance::client(config, &shared)?;
        let reading = Arc::clone(&shared);
        threads.start("kafka-events", move || {
            let _ended = Ended(Arc::clone(&reading));
            member::run(&reading, &client, &lookup);
            // Waits until the group has let it go.
            drop(client);
        })?;
        Ok(Self { shared })
    }

    /// Knows when this one has left.
    pub(super) fn leaving(&self) -> Leaving {
        Leaving(Arc::downgrade(&self.shared))
    }
}

/// A member that may be about to leave its group.
#[derive(Debug, Default)]
pub(super) struct Leaving(Weak<Shared>);

impl Leaving {
    /// Waits for a member that was dropped, so that the next one of this node finds all partitions free, and not half of
    /// them now and the rest in another rebalance. One that is still read is not waited for.
    pub(super) async fn done(&self, deadline: Duration) {
        let Some(shared) = self.0.upgrade() else { return };
        if shared.closing.load(Ordering::Acquire) && timeout(deadline, shared.ended.cancelled()).await.is_err() {
            warn!("the reader of events before this one has not left its group in time");
        }
    }
}

/// How far the latest reader of this node is.
#[derive(Debug, Default)]
pub(super) struct Standing(Mutex<Weak<Shared>>);

impl Standing {
    pub(super) fn follow(&self, consumer: &EventsConsumer) {
        *self.0.lock() = Arc::downgrade(&consumer.shared);
    }

    /// Each partition that is assigned here with the offset before which all is done; none if one was not looked up yet.
    pub(super) fn done(&self) -> Option<Vec<(u32, u64)>> {
        let shared = self.0.lock().upgrade();
        shared.map_or_else(|| Some(Vec::new()), |shared| shared.partitions.lock().done())
    }
}

/// However the thread ends, its consumer hears of it.
struct Ended(Arc<Shared>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.ended.cancel();
        self.0.waker.wake();
    }
}

impl Consumer for EventsConsumer {
    fn next(&mut self) -> BoxFuture<'_, Result<Event, BusError>> {
        poll_fn(|context| {
            // Before the look, so that what comes in between is not missed.
            self.shared.waker.register(context.waker());
            let log = &self.shared.log;
            // Of a log that was divided anew nothing is given out: its records would be in another order.
            let with_records = !log.health.is_changed();
            if let Some(event) = self.shared.partitions.lock().next(Instant::now(), |number| log.events_partition(number), with_records) {
                return Poll::Ready(Ok(event));
            }
            if self.shared.ended.is_cancelled() { Poll::Ready(Err(BusError::Closed)) } else { Poll::Pending }
        })
        .boxed()
    }

    fn start(&mut self, partition: &Partition, offset: u64) {
        self.shared.partitions.lock().start(partition.number, offset);
    }

    fn more(&mut self, partition: &Partition) {
        self.shared.partitions.lock().more(partition.number);
        self.shared.waker.wake();
    }

    // All events are wanted: they are to be stored.
    fn only(&mut self, _wanted: Wanted) {}

    fn commit(&mut self, partition: &Partition, next: u64) {
        self.shared.partitions.lock().commit(partition.number, next);
    }
}

impl Drop for EventsConsumer {
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::Release);
    }
}

impl std::fmt::Debug for EventsConsumer {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("EventsConsumer").field("topic", &self.shared.log.events).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Shared").field("log", &self.log).finish_non_exhaustive()
    }
}
