//! Decorators of ports: a bus that loses, repeats and turns round what it delivers; a store that is away or slow.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use footfall::bus::{BusError, Consumer, Event, Partition, Wanted};
use footfall::message::{Destination, Epoch, Message, Revocation, Revoked};
use footfall::store::{Append, Appended, Claim, Keep, Kept, Owner, PageLimit, PartitionKey, RevocationPage, Store, StoreError};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use uuid::Uuid;

use crate::support::random::Random;

/// How a reader mistreats its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manners {
    Good,
    /// Some are lost, some come again (also much later), and neighbours change places.
    Bad,
    LoseAll,
}

#[derive(Debug)]
pub(super) struct BadReader {
    inner: Box<dyn Consumer>,
    manners: Arc<Mutex<Manners>>,
    random: Random,
}

impl BadReader {
    pub(super) fn new(inner: Box<dyn Consumer>, manners: Arc<Mutex<Manners>>, random: Random) -> Self {
        Self { inner, manners, random }
    }

    fn mistreat(&mut self, event: Event) -> Event {
        let Event::Records(mut batches) = event else { return event };
        for batch in &mut batches {
            match *self.manners.lock() {
                Manners::Good => {}
                Manners::LoseAll => batch.records.clear(),
                Manners::Bad => {
                    batch.records.retain(|_| !self.random.once_in(5));
                    for _ in 0..batch.records.len() / 4 {
                        let length = batch.records.len();
                        let again = batch.records[self.random.index(length)].clone();
                        batch.records.insert(self.random.index(length), again);
                    }
                    for _ in 0..batch.records.len() / 4 {
                        let (one, other) = (self.random.index(batch.records.len()), self.random.index(batch.records.len()));
                        batch.records.swap(one, other);
                    }
                }
            }
        }
        Event::Records(batches)
    }
}

impl Consumer for BadReader {
    fn next(&mut self) -> BoxFuture<'_, Result<Event, BusError>> {
        async {
            let event = self.inner.next().await?;
            Ok(self.mistreat(event))
        }
        .boxed()
    }

    fn start(&mut self, partition: &Partition, offset: u64) {
        self.inner.start(partition, offset);
    }

    fn more(&mut self, partition: &Partition) {
        self.inner.more(partition);
    }

    fn only(&mut self, wanted: Wanted) {
        self.inner.only(wanted);
    }

    fn commit(&mut self, partition: &Partition, next: u64) {
        self.inner.commit(partition, next);
    }
}

/// How a store is at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Health {
    Well,
    /// Every call fails.
    Away,
    /// Every read takes so long, and then fails.
    Hanging(Duration),
    /// Only reads fail.
    Unreadable,
    Slow(Duration),
    /// Only pages take so long.
    SlowPages(Duration),
    /// Somebody else claims each partition just before anything is appended to it.
    Contested,
    /// What has the body `poison` can't be stored.
    Picky,
    /// More than so many messages at once are too much for it.
    Slight(usize),
    /// As if it had been put back to a copy without the last message, and as if somebody else claimed the partition just
    /// before it is renumbered.
    Restored,
    /// The same, once that was noticed, and after the first attempt to renumber it.
    Noticed,
    Contended,
}

#[derive(Debug)]
pub(super) struct SickStore {
    inner: Arc<dyn Store>,
    health: Arc<Mutex<Health>>,
    /// Appends that the inner store was asked for.
    pub(super) appends: AtomicU64,
}

#[derive(Debug, thiserror::Error)]
#[error("away, as the test wants it")]
struct AsWanted;

impl SickStore {
    pub(super) fn new(inner: Arc<dyn Store>, health: Arc<Mutex<Health>>) -> Self {
        Self { inner, health, appends: AtomicU64::new(0) }
    }

    async fn suffer(&self, reads: bool) -> Result<(), StoreError> {
        let health = *self.health.lock();
        match health {
            Health::Away => Err(StoreError::Unavailable(Box::new(AsWanted))),
            Health::Unreadable if reads => Err(StoreError::Unavailable(Box::new(AsWanted))),
            Health::Slow(pause) => {
                tokio::time::sleep(pause).await;
                Ok(())
            }
            Health::Hanging(pause) if reads => {
                tokio::time::sleep(pause).await;
                Err(StoreError::Unavailable(Box::new(AsWanted)))
            }
            _ => Ok(()),
        }
    }
}

/// Each call suffers first.
macro_rules! suffering {
    ($self:ident, $reads:literal, $call:expr) => {
        async move {
            $self.suffer($reads).await?;
            $call.await
        }
        .boxed()
    };
}

impl Store for SickStore {
    fn claim(&self, partition: PartitionKey, owner: Owner) -> BoxFuture<'_, Result<Claim, StoreError>> {
        async move {
            self.suffer(false).await?;
            let mut claim = self.inner.claim(partition, owner).await?;
            if matches!(*self.health.lock(), Health::Noticed | Health::Contended) {
                claim.next -= 1;
            }
            Ok(claim)
        }
        .boxed()
    }

    fn append(&self, batch: Append) -> BoxFuture<'_, Result<Vec<Appended>, StoreError>> {
        async move {
            self.suffer(false).await?;
            if *self.health.lock() == Health::Contested {
                self.inner.claim(batch.partition.clone(), Owner(Uuid::new_v4())).await?;
            }
            if matches!(*self.health.lock(), Health::Slight(most) if batch.messages.len() > most) {
                return Err(StoreError::Late(Box::new(AsWanted)));
            }
            if *self.health.lock() == Health::Restored {
                *self.health.lock() = Health::Noticed;
                return Err(StoreError::Behind);
            }
            if *self.health.lock() == Health::Picky && batch.messages.iter().any(|(_, message)| &*message.body == b"poison") {
                return Err(StoreError::Rejected("as the test wants it".into()));
            }
            self.appends.fetch_add(1, Ordering::Relaxed);
            self.inner.append(batch).await
        }
        .boxed()
    }

    fn renumber(&self, partition: PartitionKey, owner: Owner) -> BoxFuture<'_, Result<Epoch, StoreError>> {
        async move {
            let health = std::mem::replace(&mut *self.health.lock(), Health::Well);
            if health == Health::Noticed {
                *self.health.lock() = Health::Contended;
                return Err(StoreError::Fenced);
            }
            self.inner.renumber(partition, owner).await
        }
        .boxed()
    }

    fn adopt(&self, partition: PartitionKey, next: u64) -> BoxFuture<'_, Result<(), StoreError>> {
        suffering!(self, false, self.inner.adopt(partition, next))
    }

    fn owns(&self, partition: PartitionKey, owner: Owner) -> BoxFuture<'_, Result<bool, StoreError>> {
        suffering!(self, true, self.inner.owns(partition, owner))
    }

    fn kept(&self, partition: PartitionKey, destination: Destination) -> BoxFuture<'_, Result<Kept, StoreError>> {
        suffering!(self, true, self.inner.kept(partition, destination))
    }

    fn page(
        &self,
        partition: PartitionKey,
        destination: Destination,
        after: u64,
        through: u64,
        limit: PageLimit,
    ) -> BoxFuture<'_, Result<Vec<Arc<Message>>, StoreError>> {
        async move {
            self.suffer(true).await?;
            let page = self.inner.page(partition, destination, after, through, limit).await;
            let health = *self.health.lock();
            if let Health::SlowPages(pause) = health {
                tokio::time::sleep(pause).await;
            }
            page
        }
        .boxed()
    }

    fn destinations(&self, after: Option<Destination>, limit: usize) -> BoxFuture<'_, Result<Vec<Destination>, StoreError>> {
        suffering!(self, true, self.inner.destinations(after, limit))
    }

    fn trim(&self, destination: Destination, keep: Keep) -> BoxFuture<'_, Result<u64, StoreError>> {
        suffering!(self, false, self.inner.trim(destination, keep))
    }

    fn retention_turn(&self, every: Duration) -> BoxFuture<'_, Result<Option<u64>, StoreError>> {
        suffering!(self, false, self.inner.retention_turn(every))
    }

    fn forget_ids(&self, age: Duration) -> BoxFuture<'_, Result<u64, StoreError>> {
        suffering!(self, false, self.inner.forget_ids(age))
    }

    fn revoke(&self, revocation: Revocation) -> BoxFuture<'_, Result<(), StoreError>> {
        suffering!(self, false, self.inner.revoke(revocation))
    }

    fn revocations(&self, since_ms: u64, after: Option<Revoked>, limit: usize) -> BoxFuture<'_, Result<RevocationPage, StoreError>> {
        suffering!(self, true, self.inner.revocations(since_ms, after, limit))
    }

    fn forget_revocations(&self) -> BoxFuture<'_, Result<u64, StoreError>> {
        suffering!(self, false, self.inner.forget_revocations())
    }

    fn check(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        suffering!(self, true, self.inner.check())
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.inner.close()
    }
}
