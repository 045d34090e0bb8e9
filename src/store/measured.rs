//! A store whose appends and reads are timed and whose failures are counted. It belongs here and not in the adapters,
//! which are all measured alike.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::{Append, Appended, Claim, Keep, Kept, Owner, PageLimit, PartitionKey, RevocationPage, Store, StoreError};
use crate::message::{Destination, Epoch, Message, Revocation, Revoked};
use crate::metrics::{StoreMetrics, StoreOperation};

/// Decorates an adapter.
#[derive(Debug)]
pub struct MeasuredStore {
    store: Arc<dyn Store>,
    metrics: StoreMetrics,
}

impl MeasuredStore {
    pub fn new(store: Arc<dyn Store>, metrics: StoreMetrics) -> Self {
        Self { store, metrics }
    }

    fn counted<'a, T: Send + 'a>(
        &'a self,
        operation: StoreOperation,
        asked: BoxFuture<'a, Result<T, StoreError>>,
    ) -> BoxFuture<'a, Result<T, StoreError>> {
        asked.map(move |ended| ended.inspect_err(|error| self.metrics.failed(operation, word(error)))).boxed()
    }

    fn other<'a, T: Send + 'a>(&'a self, asked: BoxFuture<'a, Result<T, StoreError>>) -> BoxFuture<'a, Result<T, StoreError>> {
        self.counted(StoreOperation::Other, asked)
    }

    fn read<'a, T: Send + 'a>(&'a self, asked: BoxFuture<'a, Result<T, StoreError>>) -> BoxFuture<'a, Result<T, StoreError>> {
        let begun = Instant::now();
        self.counted(StoreOperation::Read, asked.map(move |ended| ended.inspect(|_| self.metrics.read(begun.elapsed()))).boxed())
    }
}

fn word(error: &StoreError) -> &'static str {
    match error {
        StoreError::Fenced => "fenced",
        StoreError::Behind => "behind",
        StoreError::Rejected(_) => "rejected",
        StoreError::OtherLog(_) => "other-log",
        StoreError::Unavailable(_) => "unavailable",
        StoreError::Late(_) => "late",
        StoreError::Corrupt(_) => "corrupt",
        StoreError::Unusable(_) => "unusable",
        StoreError::Closed => "closed",
    }
}

impl Store for MeasuredStore {
    fn append(&self, batch: Append) -> BoxFuture<'_, Result<Vec<Appended>, StoreError>> {
        let (messages, begun) = (batch.messages.len(), Instant::now());
        let appended = self.store.append(batch);
        let timed = appended.map(move |ended| ended.inspect(|_| self.metrics.appended(messages, begun.elapsed())));
        self.counted(StoreOperation::Append, timed.boxed())
    }

    fn kept(&self, partition: PartitionKey, destination: Destination) -> BoxFuture<'_, Result<Kept, StoreError>> {
        self.read(self.store.kept(partition, destination))
    }

    fn page(
        &self,
        partition: PartitionKey,
        destination: Destination,
        after: u64,
        through: u64,
        limit: PageLimit,
    ) -> BoxFuture<'_, Result<Vec<Arc<Message>>, StoreError>> {
        self.read(self.store.page(partition, destination, after, through, limit))
    }

    fn claim(&self, partition: PartitionKey, owner: Owner) -> BoxFuture<'_, Result<Claim, StoreError>> {
        self.other(self.store.claim(partition, owner))
    }

    fn renumber(&self, partition: PartitionKey, owner: Owner) -> BoxFuture<'_, Result<Epoch, StoreError>> {
        self.other(self.store.renumber(partition, owner))
    }

    fn adopt(&self, partition: PartitionKey, next: u64) -> BoxFuture<'_, Result<(), StoreError>> {
        self.other(self.store.adopt(partition, next))
    }

    fn owns(&self, partition: PartitionKey, owner: Owner) -> BoxFuture<'_, Result<bool, StoreError>> {
        self.other(self.store.owns(partition, owner))
    }

    fn destinations(&self, after: Option<Destination>, limit: usize) -> BoxFuture<'_, Result<Vec<Destination>, StoreError>> {
        self.other(self.store.destinations(after, limit))
    }

    fn retention_turn(&self, every: Duration) -> BoxFuture<'_, Result<Option<u64>, StoreError>> {
        self.other(self.store.retention_turn(every))
    }

    fn trim(&self, destination: Destination, keep: Keep) -> BoxFuture<'_, Result<u64, StoreError>> {
        self.other(self.store.trim(destination, keep))
    }

    fn forget_ids(&self, age: Duration) -> BoxFuture<'_, Result<u64, StoreError>> {
        self.other(self.store.forget_ids(age))
    }

    fn revoke(&self, revocation: Revocation) -> BoxFuture<'_, Result<(), StoreError>> {
        self.other(self.store.revoke(revocation))
    }

    fn revocations(&self, since_ms: u64, after: Option<Revoked>, limit: usize) -> BoxFuture<'_, Result<RevocationPage, StoreError>> {
        self.other(self.store.revocations(since_ms, after, limit))
    }

    fn forget_revocations(&self) -> BoxFuture<'_, Result<u64, StoreError>> {
        self.other(self.store.forget_revocations())
    }

    fn check(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        self.other(self.store.check())
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.store.close()
    }
}
