//! The one task that writes. It takes all writes that wait, runs each in a savepoint, and commits them together: one
//! wait for the disk, however many partitions. Knows nothing of callers but how to answer them.

use std::fs::File;
use std::time::Duration;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, SqliteConnection};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::append::{append, claim};
use super::error::{failed, in_full, repeated};
use super::queue::{Chore, ChoreKind, Reply, Write};
use crate::store::StoreError;

/// How many writes share a transaction. Each has at most a batch of messages, so this also bounds the transaction.
const MAX_GROUP: usize = 32;

/// How long a connection that failed is given to close.
const CLOSE_WAIT: Duration = Duration::from_secs(1);

/// Owns the writing connection, and the lock that keeps other processes away.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) options: SqliteConnectOptions,
    /// None after a failure: what a transaction left behind in a connection is not worth finding out.
    pub(super) connection: Option<SqliteConnection>,
    pub(super) writes: mpsc::Receiver<Write>,
    pub(super) chores: mpsc::Receiver<Chore>,
    pub(super) closing: CancellationToken,
    /// Released by being dropped, which is after all else.
    pub(super) lock: File,
}

impl Writer {
    /// Works until it is told to close or all callers are gone, and then to the end of what waits.
    pub(super) async fn run(mut self) {
        let closing = self.closing.clone();
        let mut group = Vec::with_capacity(MAX_GROUP);
        loop {
            tokio::select! {
                biased;
                () = closing.cancelled(), if !self.writes.is_closed() => {
                    self.writes.close();
                    self.chores.close();
                }
                count = self.writes.recv_many(&mut group, MAX_GROUP) => {
                    if count == 0 {
                        break;
                    }
                    self.write_group(&mut group).await;
                    // One chore a turn: neither do chores hold up writes, nor are they held up for ever.
                    if let Ok(chore) = self.chores.try_recv() {
                        self.do_chore(chore).await;
                    }
                }
                Some(chore) = self.chores.recv() => self.do_chore(chore).await,
            }
        }
        while let Some(chore) = self.chores.recv().await {
            self.do_chore(chore).await;
        }
        self.finish().await;
    }

    async fn write_group(&mut self, group: &mut Vec<Write>) {
        group.retain(Write::begin);
        if group.is_empty() {
            return;
        }
        let committed = match self.connected().await {
            Ok(connection) => commit_together(connection, group).await,
            Err(error) => Err(error),
        };
        match committed {
            Ok(()) => group.drain(..).for_each(Write::release),
            Err(failure) => {
                warn!(error = in_full(&failure), writes = group.len(), "a transaction failed, and all that shared it");
                // Answered last: whoever tries again at once finds a writer that can begin anew.
                self.disconnect().await;
                group.drain(..).for_each(|write| write.fail(repeated(&failure)));
            }
        }
    }

    async fn do_chore(&mut self, chore: Chore) {
        if !chore.reply.begin() {
            return;
        }
        let done = match self.connected().await {
            Ok(connection) => do_chore(connection, chore.kind).await,
            Err(error) => Err(error),
        };
        if let Err(failure) = &done {
            warn!(error = in_full(failure), chore = ?chore.kind, "a chore failed");
            self.disconnect().await;
        }
        chore.reply.send(done);
    }

    async fn connected(&mut self) -> Result<&mut SqliteConnection, StoreError> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.options.connect().await.map_err(failed)?,
        };
        Ok(self.connection.insert(connection))
    }

    /// Closing rolls back what was open.
    async fn disconnect(&mut self) {
        if let Some(connection) = self.connection.take()
            && !matches!(timeout(CLOSE_WAIT, connection.close()).await, Ok(Ok(())))
        {
            warn!("a connection that failed does not close");
        }
    }

    async fn finish(&mut self) {
        if let Ok(connection) = self.connected().await
            && let Err(error) = execute(connection, "PRAGMA wal_checkpoint(TRUNCATE)").await
        {
            // The next start reads the log instead.
            warn!(error = in_full(&error), "the write-ahead log could not be emptied");
        }
        self.disconnect().await;
        if let Err(error) = self.lock.unlock() {
            error!(%error, "the lock file could not be released");
        }
    }
}

/// All of the group, durable when this returns `Ok`; its answers are held in the replies. An error stands for the
/// whole group.
async fn commit_together(connection: &mut SqliteConnection, group: &mut [Write]) -> Result<(), StoreError> {
    // Immediate, since a transaction that reads first and then writes may find itself behind (SQLITE_BUSY_SNAPSHOT).
    execute(connection, "BEGIN IMMEDIATE").await?;
    for write in group {
        execute(connection, "SAVEPOINT one_write").await?;
        let kept = match write {
            Write::Append(batch, reply) => settle(append(connection, batch).await, reply)?,
            Write::Claim(partition, owner, reply) => settle(claim(connection, partition, *owner).await, reply)?,
        };
        if !kept {
            execute(connection, "ROLLBACK TO one_write").await?;
        }
        execute(connection, "RELEASE one_write").await?;
    }
    execute(connection, "COMMIT").await
}

/// Whether what this write did is to be kept. What the disk refuses to one it refuses to all: that is an error here.
fn settle<A>(outcome: Result<A, StoreError>, reply: &mut Reply<A>) -> Result<bool, StoreError> {
    match outcome {
        Err(error) if error.is_retryable() => Err(error),
        outcome => {
            let kept = outcome.is_ok();
            reply.hold(outcome);
            Ok(kept)
        }
    }
}

async fn do_chore(connection: &mut SqliteConnection, kind: ChoreKind) -> Result<u64, StoreError> {
    let query = match kind {
        ChoreKind::Remove { destination, through } => {
            sqlx::query("DELETE FROM messages WHERE destination = ?1 AND sequence <= ?2").bind(destination).bind(through)
        }
        ChoreKind::ForgetIds { before_ms, limit } => {
            sqlx::query("DELETE FROM message_ids WHERE id IN (SELECT id FROM message_ids WHERE stored_ms < ?1 ORDER BY stored_ms LIMIT ?2)")
                .bind(before_ms)
                .bind(limit)
        }
        ChoreKind::Nothing => sqlx::query("SELECT 1 FROM partitions LIMIT 1"),
    };
    // A statement alone is a transaction.
    query.execute(connection).await.map(|done| done.rows_affected()).map_err(failed)
}

async fn execute(connection: &mut SqliteConnection, sql: &'static str) -> Result<(), StoreError> {
    sqlx::query(sql).execute(connection).await.map(drop).map_err(failed)
}
