//! Kept messages and revocations in a PostgreSQL database that all nodes of a cluster share. Each statement is a transaction of its own, so
//! that a node which stops leaves none open, and ends in time whatever the server does.

mod append;
mod connections;
mod error;
mod look;
mod open;
mod partition;
mod read;
mod retention;
mod revocations;
mod settings;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::time::timeout;
use tracing::{info, warn};

pub use settings::PostgresSettings;

use super::sql::{Front, forget, millis, trim};
use super::{Append, Appended, Claim, Keep, Kept, Looked, Owner, PageLimit, PartitionKey, RevocationPage, Store, StoreError};
use crate::message::{Destination, Epoch, Message, Revocation, Revoked};
use connections::Connections;

/// How long a call takes at most, the wait for a connection included; with what a busy machine adds it is less than 5 s.
const CALL: Duration = Duration::from_millis(4_500);
/// How many ids or revocations one statement forgets at most, so that it ends well within a call.
const FORGET: i64 = 5_000;
const CLOSE_WAIT: Duration = Duration::from_secs(10);

/// The store of a cluster.
#[derive(Debug)]
pub struct PostgresStore {
    writers: Connections,
    readers: Connections,
}

/// Why there was no answer.
#[derive(Debug, thiserror::Error)]
#[error("the database did not answer within {} ms; whether it has what was written is not known", CALL.as_millis())]
struct Late;

/// The bound of a call. What is dropped in the middle closes its connection, since nobody knows what would come on it next.
async fn in_time<A>(call: impl Future<Output = Result<A, StoreError>>) -> Result<A, StoreError> {
    timeout(CALL, call).await.unwrap_or_else(|_| Err(StoreError::Late(Box::new(Late))))
}

impl PostgresStore {
    /// Waits for the server, up to half a minute, and brings the schema up to date.
    pub async fn open(settings: &PostgresSettings) -> Result<Self, StoreError> {
        let options = settings.options().map_err(|sentence| StoreError::Unusable(format!("store.postgres.url: {sentence}")))?;
        open::migrate(&options, &PostgresSettings::migration_session().into()).await?;
        info!(place = open::place(&options), "the store is open");
        let session: Arc<str> = settings.session().into();
        let count = settings.connections.max(2);
        let readers = Connections::new(options.clone(), Arc::clone(&session), count / 2);
        Ok(Self { writers: Connections::new(options, session, count - count / 2), readers })
    }

    /// What a node would find, once; changes nothing. Every failure is [`StoreError::Unusable`].
    pub async fn look(settings: &PostgresSettings) -> Result<Looked, StoreError> {
        let options = settings.options().map_err(|sentence| StoreError::Unusable(format!("store.postgres.url: {sentence}")))?;
        look::look(&options).await
    }

    async fn front(&self, destination: &Destination, rows: usize) -> Result<Option<Front>, StoreError> {
        in_time(async {
            let mut lease = self.readers.lease().await?;
            let front = read::front(lease.connection(), destination, rows).await;
            lease.settle(front)
        })
        .await
    }

    async fn remove(&self, destination: i64, through: i64) -> Result<u64, StoreError> {
        in_time(async {
            let mut lease = self.writers.lease().await?;
            let removed = retention::remove(lease.connection(), destination, through).await;
            lease.settle(removed)
        })
        .await
    }
}

impl Store for PostgresStore {
    fn claim(&self, partition: PartitionKey, owner: Owner) -> BoxFuture<'_, Result<Claim, StoreError>> {
        in_time(async move {
            let mut lease = self.writers.lease().await?;
            let claimed = partition::claim(lease.connection(), &partition, Some(owner)).await;
            lease.settle(claimed)
        })
        .boxed()
    }

    fn append(&self, batch: Append) -> BoxFuture<'_, Result<Vec<Appended>, StoreError>> {
        in_time(async move {
            let mut lease = self.writers.lease().await?;
            let appended = append::append(lease.connection(), &batch).await;
            lease.settle(appended)
        })
        .boxed()
    }

    fn renumber(&self, partition: PartitionKey, owner: Owner) -> BoxFuture<'_, Result<Epoch, StoreError>> {
        in_time(async move {
            let mut lease = self.writers.lease().await?;
            let epoch = partition::renumber(lease.connection(), &partition, owner).await;
            lease.settle(epoch)
        })
        .boxed()
    }

    fn adopt(&self, partition: PartitionKey, next: u64) -> BoxFuture<'_, Result<(), StoreError>> {
        in_time(async move {
            let mut lease = self.writers.lease().await?;
            let adopted = partition::adopt(lease.connection(), &partition, next).await;
            lease.settle(adopted)
        })
        .boxed()
    }

    fn owns(&self, partition: PartitionKey, owner: Owner) -> BoxFuture<'_, Result<bool, StoreError>> {
        in_time(async move {
            let mut lease = self.writers.lease().await?;
            let owns = partition::is_owner(lease.connection(), &partition, owner).await;
            lease.settle(owns)
        })
        .boxed()
    }

    fn kept(&self, partition: PartitionKey, destination: Destination) -> BoxFuture<'_, Result<Kept, StoreError>> {
        in_time(async move {
            let mut lease = self.readers.lease().await?;
            let kept = async {
                let connection = lease.connection();
                if let Some(kept) = read::kept(connection, &partition, &destination).await? {
                    return Ok(kept);
                }
                partition::claim(connection, &partition, None).await?;
                let kept = read::kept(connection, &partition, &destination).await?;
                kept.ok_or_else(|| StoreError::Corrupt("a partition that was just made is not there".into()))
            }
            .await;
            lease.settle(kept)
        })
        .boxed()
    }

    fn page(
        &self,
        partition: PartitionKey,
        destination: Destination,
        after: u64,
        through: u64,
        limit: PageLimit,
    ) -> BoxFuture<'_, Result<Vec<Arc<Message>>, StoreError>> {
        in_time(async move {
            let mut lease = self.readers.lease().await?;
            let page = read::page(lease.connection(), &partition, &destination, (after, through), limit).await;
            lease.settle(page)
        })
        .boxed()
    }

    fn destinations(&self, after: Option<Destination>, limit: usize) -> BoxFuture<'_, Result<Vec<Destination>, StoreError>> {
        in_time(async move {
            let mut lease = self.readers.lease().await?;
            let destinations = read::destinations(lease.connection(), after.as_ref(), limit).await;
            lease.settle(destinations)
        })
        .boxed()
    }

    fn trim(&self, destination: Destination, keep: Keep) -> BoxFuture<'_, Result<u64, StoreError>> {
        async move { trim(keep, |rows| self.front(&destination, rows), |id, through| self.remove(id, through)).await }.boxed()
    }

    fn retention_turn(&self, every: Duration) -> BoxFuture<'_, Result<Option<u64>, StoreError>> {
        in_time(async move {
            let mut lease = self.writers.lease().await?;
            let turn = retention::turn(lease.connection(), millis(every)).await;
            lease.settle(turn)
        })
        .boxed()
    }

    fn forget_ids(&self, age: Duration) -> BoxFuture<'_, Result<u64, StoreError>> {
        let forget_some = move |limit| {
            in_time(async move {
                let mut lease = self.writers.lease().await?;
                let forgotten = retention::forget_ids(lease.connection(), millis(age), limit).await;
                lease.settle(forgotten)
            })
        };
        forget(FORGET, forget_some).boxed()
    }

    fn revoke(&self, revocation: Revocation) -> BoxFuture<'_, Result<(), StoreError>> {
        in_time(async move {
            let mut lease = self.writers.lease().await?;
            let revoked = revocations::revoke(lease.connection(), &revocation).await;
            lease.settle(revoked)
        })
        .boxed()
    }

    fn revocations(&self, since_ms: u64, after: Option<Revoked>, limit: usize) -> BoxFuture<'_, Result<RevocationPage, StoreError>> {
        in_time(async move {
            let mut lease = self.readers.lease().await?;
            let page = revocations::page(lease.connection(), since_ms, after.as_ref(), limit).await;
            lease.settle(page)
        })
        .boxed()
    }

    fn forget_revocations(&self) -> BoxFuture<'_, Result<u64, StoreError>> {
        let forget_some = move |limit| {
            in_time(async move {
                let mut lease = self.writers.lease().await?;
                let forgotten = revocations::forget(lease.connection(), limit).await;
                lease.settle(forgotten)
            })
        };
        forget(FORGET, forget_some).boxed()
    }

    fn check(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        in_time(async move {
            let mut lease = self.writers.lease().await?;
            let checked = read::check(lease.connection()).await;
            lease.settle(checked)
        })
        .boxed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        async move {
            let closed = async {
                self.writers.close().await;
                self.readers.close().await;
            };
            if timeout(CLOSE_WAIT, closed).await.is_err() {
                warn!("the store did not close in time; the server will notice that its connections are gone");
            }
        }
        .boxed()
    }
}
