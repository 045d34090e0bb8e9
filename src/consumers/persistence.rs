//! Hop 1: which partitions of *events* this node owns, and a worker for each; it carries what the consumer and the
//! workers tell each other.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::partition::{Partitions, Unfinished, Worker};
use crate::bus::{Assignment, Batch, Bus, BusError, Consumer, Event, Partition};
use crate::shutdown::Shutdown;
use crate::store::Store;

/// Between attempts while the bus can't be read.
const RETRY: Duration = Duration::from_secs(1);
/// What workers may have said and nobody heard yet; they wait beyond that.
const SAID: usize = 64;

/// What a worker wants done with its partition.
#[derive(Debug)]
pub(super) enum Say {
    Start(u64),
    More,
    Commit(u64),
}

/// Who said it. What a worker says of a partition that is not its own any more is not heard.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) worker: u64,
    pub(super) partition: Partition,
    pub(super) what: Say,
}

/// A partition that is assigned here; its worker ends when this is dropped.
struct Owned {
    worker: u64,
    /// One batch of a partition is out at a time, so there is always room.
    batches: mpsc::Sender<Batch>,
    _until_dropped: DropGuard,
}

/// Stores and broadcasts until the node stops or the bus is closed.
pub async fn persistence(
    mut consumer: Box<dyn Consumer>,
    bus: Arc<dyn Bus>,
    store: Arc<dyn Store>,
    partitions: Partitions,
    shutdown: Shutdown,
) {
    let (say, mut said) = mpsc::channel(SAID);
    let mut owned: HashMap<Partition, Owned> = HashMap::new();
    let mut workers = JoinSet::new();
    let begin = |workers: &mut JoinSet<Result<(), Unfinished>>, assignment: Assignment, number: u64| {
        let (batches, mailbox) = mpsc::channel(1);
        let revoked = CancellationToken::new();
        let worker =
            Worker::new(&assignment, number, Arc::clone(&bus), Arc::clone(&store), say.clone(), revoked.clone(), partitions.clone());
        workers.spawn(worker.run(assignment, mailbox));
        Owned { worker: number, batches, _until_dropped: revoked.drop_guard() }
    };
    let mut numbers = 0_u64..;
    loop {
        tokio::select! {
            event = consumer.next() => match event {
                Ok(Event::Assigned(assignments)) => for (assignment, number) in assignments.into_iter().zip(&mut numbers) {
                    owned.insert(assignment.partition.clone(), begin(&mut workers, assignment, number));
                },
                Ok(Event::Revoked(partitions)) => owned.retain(|partition, _| !partitions.contains(partition)),
                Ok(Event::Records(batches)) => for batch in batches {
                    if let Some(owned) = owned.get(&batch.partition) && let Err(error) = owned.batches.try_send(batch) {
                        tracing::error!(%error, "a second batch of one partition; this node stops reading");
                        return;
                    }
                },
                Err(BusError::Closed) => return,
                Err(error) => {
                    tracing::warn!(%error, "reading events failed, trying again");
                    tokio::select! {
                        () = tokio::time::sleep(RETRY) => {}
                        () = shutdown.stopped() => return,
                    }
                }
            },
            Some(Said { worker, partition, what }) = said.recv() => {
                if owned.get(&partition).is_some_and(|owned| owned.worker == worker) {
                    match what {
                        Say::Start(offset) => consumer.start(&partition, offset),
                        Say::More => consumer.more(&partition),
                        Say::Commit(next) => consumer.commit(&partition, next),
                    }
                }
            }
            Some(ended) = workers.join_next() => match ended {
                Ok(Ok(())) => {}
                Ok(Err(why)) => return tracing::error!(?why, "a partition's worker can't go on"),
                Err(error) => return tracing::error!(%error, "a partition's worker died"),
            },
            () = shutdown.stopped() => return,
        }
    }
}
