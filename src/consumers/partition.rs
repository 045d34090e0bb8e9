//! One partition of *events*: store a batch, broadcast it, commit it.
//!
//! That order is what a receipt rests on: a crash after any step makes the next owner do the later ones again, and
//! doing them again is harmless. Ownership is a token in the store, so that a node which lost a partition and does
//! not know it yet can write nothing. Batches are stored one after the other; the wait until the broadcast of one is
//! durable overlaps with the next one's storing, and commits keep their order.

use std::collections::BTreeMap;
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
use crate::store::{Append, Appended, Owner, PartitionKey, Store, StoreError};

/// Between attempts while the store or the bus is away: the first, doubled up to the last.
const RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// Between looks whether somebody accepted a log that is not the one the store was filled from.
const REFUSED: Duration = Duration::from_secs(5);
/// A partition that is claimed away from us so often in so short a time is somebody else's.
const MAX_CLAIMS: usize = 3;
const CLAIMS_WITHIN: Duration = Duration::from_secs(10);
/// An owner that was away this long asks again whether it still is one before it broadcasts.
const TRUSTED_FOR: Duration = Duration::from_secs(5);
/// Between looks at the store for a partition without messages.
const LOOK_WHEN_IDLE: Duration = Duration::from_secs(20);
/// Batches that are stored and whose broadcast is not known to be durable; beyond that the next one waits.
const MAX_UNFINISHED: usize = 4;

/// What others may know of this node's partitions. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Partitions(Arc<Mutex<BTreeMap<u32, Trouble>>>);

/// Why a partition that is assigned here is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// Its log is not the one that the store was filled from.
    OtherLog,
    /// Another node keeps claiming it.
    Contested,
}

impl Partitions {
    /// One of the troubles there are.
    pub fn trouble(&self) -> Option<Trouble> {
        self.0.lock().values().next().copied()
    }
}

/// Why something was not done with a partition; nothing was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unfinished {
    /// Somebody claimed the partition.
    Fenced,
    /// The store was put back to an older copy.
    Behind,
    /// A message can never be stored.
    Rejected(String),
    /// The store did not get through with it in time; only said where it was asked for.
    Late,
    /// The store was filled from another log.
    OtherLog(String),
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
            let done = tokio::select! {
                biased;
                Some(end) = unfinished.next() => {
                    assignment.committed = Some(end);
                    self.say(Say::Commit(end)).await?;
                    continue;
                }
                batch = batches.recv(), if unfinished.len() < MAX_UNFINISHED => match batch {
                    Some(batch) => self.store_and_publish(&batch).await.map(|published| Some((published, batch.end))),
                    None => return Ok(()),
                },
                () = tokio::time::sleep(LOOK_WHEN_IDLE) => self.look().await.map(|()| None),
            };
            match done {
                Ok(None) => {}
                Ok(Some((published, end))) => {
                    unfinished.push_back(finished(Arc::clone(&self.bus), published, end));
                    self.say(Say::More).await?;
                }
                Err(Unfinished::Fenced | Unfinished::Behind) => {
                    // What was broadcast before is committed first, so that it is not done again.
                    while let Some(end) = unfinished.next().await {
                        assignment.committed = Some(end);
                        self.say(Say::Commit(end)).await?;
                    }
                    self.claim(&mut assignment).await?;
                }
                Err(other) => return Err(other),
            }
        }
    }

    /// Becomes the owner, and begins to read where what is stored and broadcast ends. However often somebody comes in
    /// between: the group says that the partition is this node's, and if it is not, it will say so.
    async fn claim(&mut self, assignment: &mut Assignment) -> Result<(), Unfinished> {
        loop {
            if self.is_taken() {
                self.trouble(Trouble::Contested, "Another node keeps claiming it.");
                tokio::time::sleep(CLAIMS_WITHIN).await;
            }
            self.owner = Owner(Uuid::new_v4());
            match self.try_claim(assignment).await {
                Err(Unfinished::Fenced | Unfinished::Behind) => {}
                Err(Unfinished::OtherLog(why)) => {
                    self.claimed.clear();
                    self.trouble(
                        Trouble::OtherLog,
                        &format!("{why} Nothing of it is stored until `footfall topics adopt` accepts the log."),
                    );
                    tokio::time::sleep(REFUSED).await;
                }
                other => return other,
            }
        }
    }

    /// Whether it was claimed too often. Once or twice that is a rebalance's echo.
    fn is_taken(&mut self) -> bool {
        self.claimed.retain(|claimed| claimed.elapsed() < CLAIMS_WITHIN);
        self.claimed.push(Instant::now());
        self.claimed.len() > 1 + MAX_CLAIMS
    }

    async fn try_claim(&mut self, assignment: &mut Assignment) -> Result<(), Unfinished> {
        let key = self.key();
        let claim = self.until_done("claim", || self.store.claim(key.clone(), self.owner)).await?;
        if let Some(why) = identity::other_log(self.bus.as_ref(), assignment, &claim).await {
            return Err(Unfinished::OtherLog(why));
        }
        let committed = assignment.committed.unwrap_or(claim.next);
        let mut epoch = claim.epoch;
        if claim.next < committed.max(self.at_least) {
            epoch = self.until_done("renumber", || self.store.renumber(key.clone(), self.owner)).await?;
            let partition = self.partition.number;
            tracing::error!(partition, next = claim.next, committed, %epoch, "the store was put back to an older copy; positions given out since then are void");
        }
        self.at_least = claim.next;
        let start = committed.min(claim.next).max(assignment.log_start);
        if start > claim.next {
            let partition = self.partition.number;
            tracing::error!(
                partition,
                next = claim.next,
                start,
                "records were removed from the log before they were stored; they are lost"
            );
        }
        tracing::info!(partition = self.partition.number, next = claim.next, start, %epoch, "partition claimed");
        self.partitions.0.lock().remove(&self.partition.number);
        // All before it is done with; after another claim what comes from here on is read again.
        let known = assignment.committed.replace(start);
        self.say(Say::Start(start)).await?;
        // Else Kafka's tools would show a lag until the next message: the first commits may have been lost in a rebalance.
        if known.is_none() { self.say(Say::Commit(start)).await } else { Ok(()) }
    }

    /// Told once for each time that it begins.
    fn trouble(&self, trouble: Trouble, why: &str) {
        if self.partitions.0.lock().insert(self.partition.number, trouble) != Some(trouble) {
            tracing::error!(partition = self.partition.number, log = &*self.partition.log, "this partition is not read: {why}");
        }
    }

    /// Of a partition without messages nobody would notice that the store was put back to an older copy.
    async fn look(&self) -> Result<(), Unfinished> {
        let nothing = Append {
            partition: self.key(),
            owner: self.owner,
            messages: Vec::new(),
            end: self.at_least,
            mark: None,
            at_least: self.at_least,
        };
        match self.append(&nothing).await {
            Ok(_nothing) => Ok(()),
            // Whoever owns it may do so: there is nothing to be written here.
            Err(Unfinished::Fenced) => Ok(()),
            Err(other) => Err(other),
        }
    }

    /// One batch, stored, and what of it is on its way to all nodes.
    async fn store_and_publish(&mut self, batch: &Batch) -> Result<Vec<(Durable, Record)>, Unfinished> {
        // Before the answer, which a node that was stopped meanwhile reads late.
        let mut sure = Instant::now();
        let stored = poison::append(self, batch).await?;
        let mut published = Vec::with_capacity(stored.len());
        for (message, appended) in stored {
            let Some(news) = news(&message, appended) else { continue };
            if sure.elapsed() > TRUSTED_FOR {
                let key = self.key();
                if !self.until_done("owns", || self.store.owns(key.clone(), self.owner)).await? {
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
    ) -> Result<T, Unfinished> {
        let mut pause = RETRY.0;
        loop {
            match attempt().await {
                Ok(done) => return Ok(done),
                Err(StoreError::Fenced) => return Err(Unfinished::Fenced),
                Err(StoreError::Behind) => return Err(Unfinished::Behind),
                Err(StoreError::Closed) => return Err(Unfinished::Closed),
                Err(StoreError::Rejected(why)) => return Err(Unfinished::Rejected(why)),
                Err(error @ StoreError::OtherLog(_)) => return Err(Unfinished::OtherLog(format!("{error}."))),
                Err(error) if error.is_retryable() => tracing::warn!(%error, what, "the store is away, trying again"),
                Err(error) => tracing::error!(%error, what, "the store is not in order, trying again"),
            }
            wait(&mut pause).await;
        }
    }

    /// The same for a batch, of which smaller parts may get through where all of it does not.
    pub(super) async fn append(&self, piece: &Append) -> Result<Vec<Appended>, Unfinished> {
        let attempt = || {
            let appended = self.store.append(piece.clone());
            async move {
                match appended.await {
                    Err(StoreError::Late(_)) if piece.messages.len() > 1 => Ok(None),
                    appended => appended.map(Some),
                }
            }
            .boxed()
        };
        self.until_done("append", attempt).await?.ok_or(Unfinished::Late)
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
                if error == BusError::TooLarge {
                    too_large(&news);
                    break;
                }
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
            Err(BusError::TooLarge) => {
                too_large(news);
                return std::future::ready(Ok(())).boxed();
            }
            Err(error) => tracing::warn!(%error, destination = %news.message.destination, "the bus takes no broadcast, trying again"),
        }
        wait(&mut pause).await;
    }
}

/// No repetition makes it smaller. It is stored, so subscribers get it when heads are compared.
fn too_large(news: &Record) {
    tracing::error!(destination = %news.message.destination, id = %news.message.id, "a stored message is too large for the broadcast topic");
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
