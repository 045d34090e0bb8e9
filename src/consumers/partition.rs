//! One partition of *events*: store a batch, broadcast it, commit it.
//!
//! That order is what a receipt rests on: a crash after any step makes the next owner do the later ones again, and
//! doing them again is harmless. Ownership is a token in the store, so that a node which lost a partition and does
//! not know it yet can write nothing. Batches are stored one after the other; the wait until the broadcast of one is
//! durable overlaps with the next one's storing, and commits keep their order.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesOrdered;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::identity;
use super::persistence::{Said, Say};
use super::poison;
use crate::bus::{Assignment, Batch, Bus, BusError, Durable, Partition, Record, Topic};
use crate::message::{Message, Position};
use crate::store::{Appended, Claim, Owner, PartitionKey, Store, StoreError};

/// Between attempts while the store or the bus is away: the first, doubled up to the last.
const RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// Between looks whether somebody accepted a log that is not the one the store was filled from.
const REFUSED: Duration = Duration::from_secs(5);
/// A partition that is claimed away from us so often in so short a time is somebody else's.
const MAX_CLAIMS: usize = 3;
const CLAIMS_WITHIN: Duration = Duration::from_secs(10);
/// An owner that was away this long asks again whether it still is one before it broadcasts.
const TRUSTED_FOR: Duration = Duration::from_secs(5);
/// Batches that are stored and whose broadcast is not known to be durable; beyond that the next one waits.
const MAX_UNFINISHED: usize = 4;

/// What others may know of this node's partitions. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Partitions(Arc<Mutex<BTreeSet<u32>>>);

impl Partitions {
    /// Whether a partition is not read here because its log is not the one the store was filled from.
    pub fn are_refused(&self) -> bool {
        !self.0.lock().is_empty()
    }
}

/// Why a batch was not finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unfinished {
    /// Somebody claimed the partition; nothing was written.
    Fenced,
    /// The store was put back to an older copy; nothing was written.
    Behind,
    /// The store is closed, so this node stops; whoever reads the batch next does it again.
    Closed,
}

/// Whoever stores one partition's records.
pub(super) struct Worker {
    number: u64,
    pub(super) partition: Partition,
    pub(super) bus: Arc<dyn Bus>,
    pub(super) store: Arc<dyn Store>,
    say: mpsc::Sender<Said>,
    /// The partition is not this worker's any more, or the node stops.
    over: CancellationToken,
    partitions: Partitions,
    pub(super) owner: Owner,
    /// Where the store is known to stand at least.
    pub(super) at_least: u64,
    claimed: Vec<Instant>,
}

impl Worker {
    pub(super) fn new(
        assignment: &Assignment,
        number: u64,
        bus: Arc<dyn Bus>,
        store: Arc<dyn Store>,
        say: mpsc::Sender<Said>,
        over: CancellationToken,
        partitions: Partitions,
    ) -> Self {
        let partition = assignment.partition.clone();
        Self { number, partition, bus, store, say, over, partitions, owner: Owner(Uuid::nil()), at_least: 0, claimed: Vec::new() }
    }

    /// Works until the partition is taken away, or left to another node that keeps claiming it.
    pub(super) async fn run(mut self, assignment: Assignment, mut batches: mpsc::Receiver<Batch>) -> Result<(), Unfinished> {
        let over = self.over.clone();
        let ended = tokio::select! {
            // What is under way is dropped wherever it waits; that is a crash, and whoever comes next deals with it.
            () = over.cancelled() => Ok(()),
            ended = self.work(assignment, &mut batches) => ended,
        };
        self.partitions.0.lock().remove(&self.partition.number);
        ended
    }

    async fn work(&mut self, mut assignment: Assignment, batches: &mut mpsc::Receiver<Batch>) -> Result<(), Unfinished> {
        self.claim(&mut assignment).await?;
        let mut unfinished = FuturesOrdered::new();
        loop {
            tokio::select! {
                biased;
                Some(end) = unfinished.next() => {
                    assignment.committed = Some(end);
                    self.say(Say::Commit(end)).await?;
                }
                batch = batches.recv(), if unfinished.len() < MAX_UNFINISHED => {
                    let Some(batch) = batch else { return Ok(()) };
                    match self.store_and_publish(&batch).await {
                        Ok(published) => {
                            unfinished.push_back(finished(Arc::clone(&self.bus), published, batch.end));
                            self.say(Say::More).await?;
                        }
                        Err(Unfinished::Closed) => return Err(Unfinished::Closed),
                        Err(Unfinished::Fenced) if self.is_taken() => {
                            tracing::error!(partition = self.partition.number, "another node keeps claiming this partition; it is left to it");
                            return self.say(Say::Leave).await;
                        }
                        Err(Unfinished::Fenced | Unfinished::Behind) => {
                            // What was broadcast before is committed first, so that it is not done again.
                            while let Some(end) = unfinished.next().await {
                                assignment.committed = Some(end);
                                self.say(Say::Commit(end)).await?;
                            }
                            assignment.log_end = assignment.log_end.max(batch.end);
                            self.claim(&mut assignment).await?;
                        }
                    }
                }
            }
        }
    }

    /// Whether it was claimed away too often. Once or twice that is a rebalance's echo.
    fn is_taken(&mut self) -> bool {
        self.claimed.retain(|claimed| claimed.elapsed() < CLAIMS_WITHIN);
        self.claimed.push(Instant::now());
        self.claimed.len() > MAX_CLAIMS
    }

    /// Becomes the owner, and begins to read where what is stored and broadcast ends.
    async fn claim(&mut self, assignment: &mut Assignment) -> Result<(), Unfinished> {
        loop {
            self.owner = Owner(Uuid::new_v4());
            let key = self.key();
            let claimed = self.until_done("claim", || self.store.claim(key.clone(), self.owner)).await;
            let refused = match claimed? {
                Ok(claim) => match identity::other_log(self.bus.as_ref(), assignment, &claim).await {
                    None => return self.start(assignment, &claim).await,
                    Some(refused) => refused,
                },
                Err(refused) => refused,
            };
            if self.partitions.0.lock().insert(self.partition.number) {
                tracing::error!(
                    partition = self.partition.number,
                    log = &*self.partition.log,
                    "{refused} Nothing of it is stored until `footfall topics adopt` accepts the log as it is."
                );
            }
            tokio::time::sleep(REFUSED).await;
        }
    }

    async fn start(&mut self, assignment: &mut Assignment, claim: &Claim) -> Result<(), Unfinished> {
        self.partitions.0.lock().remove(&self.partition.number);
        let committed = assignment.committed.unwrap_or(claim.next);
        let mut epoch = claim.epoch;
        if claim.next < committed.max(self.at_least) {
            let key = self.key();
            let renumbered = self.until_done("renumber", || self.store.renumber(key.clone(), self.owner)).await?;
            epoch = match renumbered {
                Ok(epoch) => epoch,
                Err(refused) => {
                    tracing::error!(refused, "a new epoch could not be had");
                    return Err(Unfinished::Fenced);
                }
            };
            tracing::error!(
                partition = self.partition.number,
                next = claim.next,
                committed,
                %epoch,
                "the store was put back to an older copy; positions given out since then are void"
            );
        }
        self.at_least = claim.next;
        let start = committed.min(claim.next).max(assignment.log_start);
        if start > claim.next {
            tracing::error!(
                partition = self.partition.number,
                next = claim.next,
                start,
                "records were removed from the log before they were stored; they are lost"
            );
        }
        tracing::info!(partition = self.partition.number, next = claim.next, start, %epoch, "partition claimed");
        // All before it is done with; after another claim what comes from here on is read again.
        assignment.committed = Some(start);
        self.say(Say::Start(start)).await
    }

    /// One batch, stored, and what of it is on its way to all nodes.
    async fn store_and_publish(&mut self, batch: &Batch) -> Result<Vec<(Durable, Record)>, Unfinished> {
        let stored = poison::append(self, batch).await?;
        let mut sure = Instant::now();
        let mut published = Vec::with_capacity(stored.len());
        for (message, appended) in stored {
            let Some(news) = news(&message, appended) else { continue };
            if sure.elapsed() > TRUSTED_FOR {
                let key = self.key();
                if !matches!(self.until_done("owns", || self.store.owns(key.clone(), self.owner)).await?, Ok(true)) {
                    return Err(Unfinished::Fenced);
                }
                sure = Instant::now();
            }
            published.push((accepted(self.bus.as_ref(), &news).await, news));
        }
        Ok(published)
    }

    /// Tries until the store did it, or said that it won't. Nothing is given up: what was accepted must be stored,
    /// however long it takes.
    pub(super) async fn until_done<'a, T>(
        &'a self,
        what: &'static str,
        attempt: impl Fn() -> BoxFuture<'a, Result<T, StoreError>>,
    ) -> Result<Result<T, String>, Unfinished> {
        let mut pause = RETRY.0;
        loop {
            match attempt().await {
                Ok(done) => return Ok(Ok(done)),
                Err(StoreError::Fenced) => return Err(Unfinished::Fenced),
                Err(StoreError::Behind) => return Err(Unfinished::Behind),
                Err(StoreError::Closed) => return Err(Unfinished::Closed),
                Err(StoreError::Rejected(why)) => return Ok(Err(why)),
                Err(error @ StoreError::OtherLog(_)) => return Ok(Err(format!("{error}."))),
                Err(error) if error.is_retryable() => tracing::warn!(%error, what, "the store is away, trying again"),
                Err(error) => tracing::error!(%error, what, "the store is not in order, trying again"),
            }
            wait(&mut pause).await;
        }
    }

    pub(super) fn key(&self) -> PartitionKey {
        let Partition { log, topic, number } = &self.partition;
        PartitionKey { log: Arc::clone(log), topic: Arc::clone(topic), number: *number }
    }

    async fn say(&self, what: Say) -> Result<(), Unfinished> {
        let said = Said { worker: self.number, partition: self.partition.clone(), what };
        self.say.send(said).await.map_err(|_| Unfinished::Closed)
    }
}

/// Resolves with where the batch ends once all nodes will get its news.
fn finished(bus: Arc<dyn Bus>, published: Vec<(Durable, Record)>, end: u64) -> BoxFuture<'static, u64> {
    async move {
        for (durable, news) in published {
            let mut done = durable.await;
            let mut pause = RETRY.0;
            while let Err(error) = done {
                // Once more is harmless: edges know what they delivered.
                tracing::warn!(%error, destination = %news.message.destination, "a broadcast is not known to have arrived, sending it again");
                wait(&mut pause).await;
                done = accepted(bus.as_ref(), &news).await.await;
            }
        }
        end
    }
    .boxed()
}

/// Publishes until the bus accepts it.
async fn accepted(bus: &dyn Bus, news: &Record) -> Durable {
    let mut pause = RETRY.0;
    loop {
        match bus.publish(Topic::Broadcast, news.clone()).await {
            Ok(durable) => return durable,
            // Its owner is about to end.
            Err(BusError::Closed) => return std::future::pending().await,
            Err(error) => tracing::warn!(%error, destination = %news.message.destination, "the bus takes no broadcast, trying again"),
        }
        wait(&mut pause).await;
    }
}

pub(super) async fn wait(pause: &mut Duration) {
    tokio::time::sleep(*pause).await;
    *pause = (*pause * 2).min(RETRY.1);
}

/// What became of a message.
#[derive(Clone, Copy)]
pub(super) enum Fate {
    Appended(Appended),
    /// It can never be stored.
    Refused,
}

/// What the other nodes are to hear of a message.
fn news(message: &Arc<Message>, fate: Fate) -> Option<Record> {
    use crate::message::Code;
    match fate {
        Fate::Appended(Appended::Stored { epoch, sequence }) => Some(Record::message(Arc::new(message.at(Position { epoch, sequence })))),
        Fate::Appended(Appended::Known { epoch, sequence }) => Some(Record::known(Arc::new(message.at(Position { epoch, sequence })))),
        Fate::Appended(Appended::PassedOver) => None,
        Fate::Refused => Some(Record::refused(Arc::clone(message), Code::NotAccepted)),
    }
}
