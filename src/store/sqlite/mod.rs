//! Kept messages and revocations in one SQLite file, for one process: a writer task behind a bounded queue, and readers beside it.

mod append;
mod error;
mod look;
mod open;
mod queue;
mod read;
mod revocations;
mod rows;
mod settings;
mod writer;

use std::future::{Future, ready};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use sqlx::{ConnectOptions, SqlitePool};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};

pub use settings::SqliteSettings;

use super::sql::{forget, millis, trim, unsigned};
use super::{Append, Appended, Claim, Keep, Kept, Looked, Owner, PageLimit, PartitionKey, RevocationPage, Store, StoreError};
use crate::message::{Destination, Epoch, Message, Revocation, Revoked};
use queue::{Chore, ChoreKind, DISK_WAIT, Write, ask};
use writer::Writer;

/// How many writes wait at most; a partition has one under way at a time.
const WAITING_WRITES: usize = 256;
const WAITING_CHORES: usize = 16;
/// How many ids or revocations one transaction forgets at most, so that no append waits long behind it.
const FORGET: i64 = 1_000;
const CLOSE_WAIT: Duration = Duration::from_secs(10);

/// The store of a single node.
#[derive(Debug)]
pub struct SqliteStore {
    readers: SqlitePool,
    writes: mpsc::Sender<Write>,
    chores: mpsc::Sender<Chore>,
    closing: CancellationToken,
    tasks: TaskTracker,
}

impl SqliteStore {
    /// Opens the file, makes it if need be, and brings its schema up to date. The writer stops with
    /// [`Store::close`], or once the store is dropped.
    pub async fn open(settings: &SqliteSettings) -> Result<Self, StoreError> {
        let lock = open::lock(&settings.path)?;
        let options = open::write_options(settings);
        let unusable = |failure| open::unusable(settings, failure);
        let mut connection = options.connect().await.map_err(error::failed).map_err(unusable)?;
        open::migrate(&mut connection).await.map_err(unusable)?;

        let (writes, writes_in) = mpsc::channel(WAITING_WRITES);
        let (chores, chores_in) = mpsc::channel(WAITING_CHORES);
        let closing = CancellationToken::new();
        let tasks = TaskTracker::new();
        let (connection, closed) = (Some(connection), closing.clone());
        let task = tasks.spawn(Writer { options, connection, writes: writes_in, chores: chores_in, closing: closed, lock }.run());
        tasks.spawn(async move {
            if let Err(error) = task.await {
                error!(%error, "the store's writer died; nothing can be stored until this node is started again");
            }
        });
        tasks.close();
        info!(path = %settings.path.display(), "the store is open");
        Ok(Self { readers: open::readers(settings), writes, chores, closing, tasks })
    }

    /// What a node would find; changes nothing, and makes no file. Every failure is [`StoreError::Unusable`].
    pub async fn look(settings: &SqliteSettings) -> Result<Looked, StoreError> {
        look::look(settings).await.map_err(|failure| open::unusable(settings, failure))
    }

    async fn chore(&self, kind: ChoreKind) -> Result<u64, StoreError> {
        ask(&self.chores, |reply| Chore { kind, reply }).await
    }
}

/// The bound of a read, the wait for a connection included.
async fn in_time<A>(read: impl Future<Output = Result<A, StoreError>>) -> Result<A, StoreError> {
    timeout(DISK_WAIT, read).await.unwrap_or_else(|late| Err(StoreError::Late(Box::new(late))))
}

impl Store for SqliteStore {
    fn claim(&self, partition: PartitionKey, owner: Owner) -> BoxFuture<'_, Result<Claim, StoreError>> {
        ask(&self.writes, move |reply| Write::Claim(partition, Some(owner), reply)).boxed()
    }

    fn append(&self, batch: Append) -> BoxFuture<'_, Result<Vec<Appended>, StoreError>> {
        ask(&self.writes, move |reply| Write::Append(batch, reply)).boxed()
    }

    fn renumber(&self, partition: PartitionKey, owner: Owner) -> BoxFuture<'_, Result<Epoch, StoreError>> {
        ask(&self.writes, move |reply| Write::Renumber(partition, owner, reply)).boxed()
    }

    fn adopt(&self, partition: PartitionKey, next: u64) -> BoxFuture<'_, Result<(), StoreError>> {
        ask(&self.writes, move |reply| Write::Adopt(partition, next, reply)).boxed()
    }

    fn owns(&self, partition: PartitionKey, owner: Owner) -> BoxFuture<'_, Result<bool, StoreError>> {
        async move { Ok(in_time(read::owner(&self.readers, &partition)).await? == Some(owner)) }.boxed()
    }

    fn kept(&self, partition: PartitionKey, destination: Destination) -> BoxFuture<'_, Result<Kept, StoreError>> {
        async move {
            if let Some(kept) = in_time(read::kept(&self.readers, &partition, &destination)).await? {
                return Ok(kept);
            }
            let row = partition.clone();
            ask(&self.writes, move |reply| Write::Claim(row, None, reply)).await?;
            let kept = in_time(read::kept(&self.readers, &partition, &destination)).await?;
            kept.ok_or_else(|| StoreError::Corrupt("a partition that was just made is not there".into()))
        }
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
        async move { in_time(read::page(&self.readers, &partition, &destination, (after, through), limit)).await }.boxed()
    }

    fn destinations(&self, after: Option<Destination>, limit: usize) -> BoxFuture<'_, Result<Vec<Destination>, StoreError>> {
        async move { in_time(read::destinations(&self.readers, after.as_ref(), limit)).await }.boxed()
    }

    fn trim(&self, destination: Destination, keep: Keep) -> BoxFuture<'_, Result<u64, StoreError>> {
        async move {
            let look = |rows| in_time(read::front(&self.readers, &destination, rows));
            trim(keep, look, |id, through| self.chore(ChoreKind::Remove { destination: id, through })).await
        }
        .boxed()
    }

    /// One process has all turns.
    fn retention_turn(&self, _every: Duration) -> BoxFuture<'_, Result<Option<u64>, StoreError>> {
        ready(unsigned(append::now_ms()).map(Some)).boxed()
    }

    fn forget_ids(&self, age: Duration) -> BoxFuture<'_, Result<u64, StoreError>> {
        forget(FORGET, move |limit| self.chore(ChoreKind::ForgetIds { age_ms: millis(age), limit })).boxed()
    }

    fn revoke(&self, revocation: Revocation) -> BoxFuture<'_, Result<(), StoreError>> {
        ask(&self.writes, move |reply| Write::Revoke(revocation, reply)).boxed()
    }

    fn revocations(&self, since_ms: u64, after: Option<Revoked>, limit: usize) -> BoxFuture<'_, Result<RevocationPage, StoreError>> {
        async move { in_time(revocations::page(&self.readers, since_ms, after.as_ref(), limit)).await }.boxed()
    }

    fn forget_revocations(&self) -> BoxFuture<'_, Result<u64, StoreError>> {
        forget(FORGET, |limit| self.chore(ChoreKind::ForgetRevocations { limit })).boxed()
    }

    fn check(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        async move {
            self.chore(ChoreKind::Nothing).await?;
            in_time(async { sqlx::query("SELECT 1 FROM partitions LIMIT 1").execute(&self.readers).await.map(drop).map_err(error::failed) })
                .await
        }
        .boxed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        async move {
            // Readers first: a log can't be emptied under them.
            let closed = async {
                self.readers.close().await;
                self.closing.cancel();
                self.tasks.wait().await;
            };
            if timeout(CLOSE_WAIT, closed).await.is_err() {
                warn!("the store did not close in time; the next start goes on from its log");
                self.closing.cancel();
            }
        }
        .boxed()
    }
}
