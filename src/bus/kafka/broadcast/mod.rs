//! The reader of broadcast: all partitions, from a position that is fixed before anyone relies on it.
//!
//! It is no member of any group: partitions are assigned by hand, at offsets that were read, never at `latest`, which is
//! resolved late and would pass over what came meanwhile. The group's name is there for Kafka's tools to show how far
//! this node has read.

mod queue;
mod reader;

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Poll;

use arc_swap::ArcSwapOption;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::task::AtomicWaker;
use parking_lot::{Condvar, Mutex};
use rdkafka::config::ClientConfig;
use tokio::sync::oneshot;

use self::queue::Queue;
use super::lag::behind;
use super::log::Log;
use super::threads::Threads;
use crate::bus::{BusError, Consumer, Event, Partition, Wanted};

/// How far each partition was read; shared with whoever watches that it goes on.
#[derive(Debug)]
pub(super) struct Progress {
    /// The next offset of each partition.
    pub(super) next: Vec<AtomicU64>,
    /// A position was lost, and the next one is not fixed yet.
    pub(super) lost: AtomicBool,
}

impl Progress {
    /// How many records it has not read; none if an end is unknown.
    pub(super) fn behind(&self, ends: &[Option<u64>]) -> Option<u64> {
        behind(self.next.iter().map(|next| next.load(Ordering::Relaxed)).zip(ends.iter().copied()))
    }
}

struct Shared {
    log: Arc<Log>,
    queue: Mutex<Queue>,
    room: Condvar,
    wanted: ArcSwapOption<Wanted>,
    progress: Arc<Progress>,
    waker: AtomicWaker,
    closing: AtomicBool,
    ended: AtomicBool,
}

pub(super) struct BroadcastConsumer {
    shared: Arc<Shared>,
}

impl BroadcastConsumer {
    /// Resolves once every partition has a position and its first fetch was answered.
    pub(super) async fn open(config: ClientConfig, log: Arc<Log>, threads: &Threads) -> Result<Self, BusError> {
        let next = (0..log.partitions).map(|_| AtomicU64::new(0)).collect();
        let shared = Arc::new(Shared {
            log,
            queue: Mutex::default(),
            room: Condvar::new(),
            wanted: ArcSwapOption::empty(),
            progress: Arc::new(Progress { next, lost: AtomicBool::new(true) }),
            waker: AtomicWaker::new(),
            closing: AtomicBool::new(false),
            ended: AtomicBool::new(false),
        });
        // From here on the thread ends with the consumer, also if nobody waits for it any more.
        let consumer = Self { shared: Arc::clone(&shared) };
        let (fixed, is_fixed) = oneshot::channel();
        let started = threads.start("kafka-broadcast", move || {
            let _ended = Ended(Arc::clone(&shared));
            reader::run(&shared, &config, fixed);
        });
        started.map_err(|_| BusError::Unavailable)?;
        is_fixed.await.map_err(|_| BusError::Unavailable)?;
        Ok(consumer)
    }

    pub(super) fn progress(&self) -> &Arc<Progress> {
        &self.shared.progress
    }
}

/// However the thread ends, its consumer hears of it.
struct Ended(Arc<Shared>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.ended.store(true, Ordering::Release);
        self.0.waker.wake();
    }
}

impl Consumer for BroadcastConsumer {
    fn next(&mut self) -> BoxFuture<'_, Result<Event, BusError>> {
        poll_fn(|context| {
            self.shared.waker.register(context.waker());
            let log = &self.shared.log;
            // Of a log that was divided anew nothing is given out: its records would be in another order.
            if !log.health.is_changed()
                && let Some(event) = self.shared.queue.lock().take(|number| log.broadcast_partition(number))
            {
                self.shared.room.notify_one();
                return Poll::Ready(Ok(event));
            }
            if self.shared.ended.load(Ordering::Acquire) { Poll::Ready(Err(BusError::Closed)) } else { Poll::Pending }
        })
        .boxed()
    }

    // Positions of a live topic: there is nothing to go back to.
    fn start(&mut self, _partition: &Partition, _offset: u64) {}

    // Every event has all there is.
    fn more(&mut self, _partition: &Partition) {}

    fn only(&mut self, wanted: Wanted) {
        self.shared.wanted.store(Some(Arc::new(wanted)));
    }

    // How far this node has read is committed by the reader, for display only.
    fn commit(&mut self, _partition: &Partition, _next: u64) {}
}

impl Drop for BroadcastConsumer {
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::Release);
        self.shared.room.notify_one();
    }
}

impl std::fmt::Debug for BroadcastConsumer {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("BroadcastConsumer").field("progress", &self.shared.progress).finish_non_exhaustive()
    }
}
