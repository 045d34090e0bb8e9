//! Hop 1: the one node that owns a partition stores its events, then broadcasts them, then commits.
//!
//! That order is what a receipt rests on: a crash after any step makes the next owner do the later ones again, and
//! doing them again is harmless. Ownership is a token in the store, so that a node which lost a partition and does
//! not know it yet can write nothing.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::{BoxFuture, join_all};
use uuid::Uuid;

use crate::bus::{Assignment, Batch, Bus, BusError, Consumer, Durable, Event, Partition, Record, Topic};
use crate::message::{Message, Position};
use crate::shutdown::Shutdown;
use crate::store::{Append, Appended, Owner, PartitionKey, Store, StoreError};

/// Between attempts while the store or the bus is away: the first, doubled up to the last.
const RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// A partition that is claimed away from us so often in so short a time is somebody else's.
const MAX_CLAIMS: usize = 3;
const CLAIMS_WITHIN: Duration = Duration::from_secs(10);
/// An owner that was away this long asks again whether it still is one before it broadcasts.
const TRUSTED_FOR: Duration = Duration::from_secs(5);

/// The partitions that this node owns.
struct Persistence {
    bus: Arc<dyn Bus>,
    store: Arc<dyn Store>,
    shutdown: Shutdown,
    owned: HashMap<Partition, Ownership>,
}

struct Ownership {
    owner: Owner,
    claimed: Vec<Instant>,
}

/// Why a batch was not finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unfinished {
    /// Somebody claimed the partition; nothing was written.
    Fenced,
    /// The partition was left to another node, which reads the batch too.
    NotOurs,
    /// The node stops; whoever comes next does it again.
    Stopped,
}

/// Stores and broadcasts until the node stops or the bus is closed.
pub async fn persistence(mut consumer: Box<dyn Consumer>, bus: Arc<dyn Bus>, store: Arc<dyn Store>, shutdown: Shutdown) {
    let mut persistence = Persistence { bus, store, shutdown: shutdown.clone(), owned: HashMap::new() };
    loop {
        let event = tokio::select! {
            event = consumer.next() => event,
            () = shutdown.stopped() => return,
        };
        match event {
            Ok(Event::Assigned(assignments)) => {
                for assignment in assignments {
                    if persistence.claim(&assignment, consumer.as_mut()).await.is_err() {
                        return;
                    }
                }
            }
            Ok(Event::Revoked(partitions)) => persistence.owned.retain(|partition, _| !partitions.contains(partition)),
            Ok(Event::Records(batches)) => {
                let done = join_all(batches.into_iter().map(|batch| persistence.process(batch))).await;
                for (batch, done) in done {
                    match done {
                        Ok(()) => consumer.commit(&batch.partition, batch.end()),
                        Err(Unfinished::Fenced) => {
                            if persistence.claim_again(&batch, consumer.as_mut()).await.is_err() {
                                return;
                            }
                        }
                        Err(Unfinished::NotOurs) => {}
                        Err(Unfinished::Stopped) => return,
                    }
                }
            }
            Err(BusError::Closed) => return,
            Err(error) => {
                tracing::warn!(%error, "reading events failed, trying again");
                if persistence.pause(&mut RETRY.1.clone()).await.is_err() {
                    return;
                }
            }
        }
    }
}

impl Persistence {
    async fn claim(&mut self, assignment: &Assignment, consumer: &mut dyn Consumer) -> Result<(), Unfinished> {
        let partition = &assignment.partition;
        let owner = Owner(Uuid::new_v4());
        let claim = self.until_done("claim", || self.store.claim(key(partition), owner)).await?;
        let start = assignment.committed.unwrap_or(claim.next).min(claim.next).max(assignment.log_start);
        tracing::info!(partition = partition.number, next = claim.next, start, epoch = %claim.epoch, "partition claimed");
        self.owned.entry(partition.clone()).or_insert_with(|| Ownership { owner, claimed: Vec::new() }).owner = owner;
        consumer.start(partition, start);
        Ok(())
    }

    /// Somebody else claimed a partition that is still assigned here. Once or twice that is a rebalance's echo.
    async fn claim_again(&mut self, batch: &Batch, consumer: &mut dyn Consumer) -> Result<(), Unfinished> {
        let Some(ownership) = self.owned.get_mut(&batch.partition) else { return Ok(()) };
        ownership.claimed.retain(|claimed| claimed.elapsed() < CLAIMS_WITHIN);
        if ownership.claimed.len() >= MAX_CLAIMS {
            tracing::error!(partition = batch.partition.number, "another node keeps claiming this partition; it is left to it");
            self.owned.remove(&batch.partition);
            return Ok(());
        }
        ownership.claimed.push(Instant::now());
        let start = batch.records.first().map_or(0, |(offset, _)| *offset);
        let again = Assignment { partition: batch.partition.clone(), committed: Some(start), log_start: 0, log_end: batch.end() };
        self.claim(&again, consumer).await
    }

    async fn process(&self, batch: Batch) -> (Batch, Result<(), Unfinished>) {
        let done = self.store_and_broadcast(&batch).await;
        (batch, done)
    }

    async fn store_and_broadcast(&self, batch: &Batch) -> Result<(), Unfinished> {
        let owner = self.owned.get(&batch.partition).ok_or(Unfinished::NotOurs)?.owner;
        let append = Append {
            partition: key(&batch.partition),
            owner,
            messages: batch.records.iter().map(|(offset, record)| (*offset, Arc::clone(&record.message))).collect(),
            end: batch.end(),
        };
        let appended = self.until_done("append", || self.store.append(append.clone())).await?;
        let mut sure = Instant::now();
        let mut broadcasting = Vec::new();
        for ((_, record), appended) in batch.records.iter().zip(appended) {
            let Some(news) = news(&record.message, appended) else { continue };
            if sure.elapsed() > TRUSTED_FOR {
                if !self.until_done("owns", || self.store.owns(key(&batch.partition), owner)).await? {
                    return Err(Unfinished::Fenced);
                }
                sure = Instant::now();
            }
            broadcasting.push((self.accepted(&news).await?, news));
        }
        for (durable, news) in broadcasting {
            let mut done = durable.await;
            let mut pause = RETRY.0;
            while let Err(error) = done {
                // Once more is harmless: edges know what they delivered.
                tracing::warn!(%error, destination = %news.message.destination, "a broadcast is not known to have arrived, sending it again");
                self.pause(&mut pause).await?;
                done = self.accepted(&news).await?.await;
            }
        }
        Ok(())
    }

    /// Publishes until the bus accepts it.
    async fn accepted(&self, news: &Record) -> Result<Durable, Unfinished> {
        let mut pause = RETRY.0;
        loop {
            match self.bus.publish(Topic::Broadcast, news.clone()).await {
                Ok(durable) => return Ok(durable),
                Err(error) => tracing::warn!(%error, destination = %news.message.destination, "the bus takes no broadcast, trying again"),
            }
            self.pause(&mut pause).await?;
        }
    }

    /// Tries until the store did it. Nothing is given up: what was accepted must be stored, however long it takes.
    async fn until_done<'a, T>(
        &'a self,
        what: &'static str,
        attempt: impl Fn() -> BoxFuture<'a, Result<T, StoreError>>,
    ) -> Result<T, Unfinished> {
        let mut pause = RETRY.0;
        loop {
            match attempt().await {
                Ok(done) => return Ok(done),
                Err(StoreError::Fenced) => return Err(Unfinished::Fenced),
                Err(StoreError::Closed) => return Err(Unfinished::Stopped),
                Err(error) if error.is_retryable() => tracing::warn!(%error, what, "the store is away, trying again"),
                Err(error) => tracing::error!(%error, what, "the store is not in order, trying again"),
            }
            self.pause(&mut pause).await?;
        }
    }

    async fn pause(&self, pause: &mut Duration) -> Result<(), Unfinished> {
        tokio::select! {
            () = tokio::time::sleep(*pause) => {
                *pause = (*pause * 2).min(RETRY.1);
                Ok(())
            }
            () = self.shutdown.stopped() => Err(Unfinished::Stopped),
        }
    }
}

fn key(partition: &Partition) -> PartitionKey {
    PartitionKey { log: Arc::clone(&partition.log), topic: Arc::clone(&partition.topic), number: partition.number }
}

/// What the other nodes are to hear of a message.
fn news(message: &Arc<Message>, appended: Appended) -> Option<Record> {
    match appended {
        Appended::Stored { epoch, sequence } => Some(Record::message(Arc::new(message.at(Position { epoch, sequence })))),
        Appended::Known { epoch, sequence } => Some(Record::known(Arc::new(message.at(Position { epoch, sequence })))),
        Appended::PassedOver => None,
    }
}
