//! The one task that writes. It takes all writes that wait and commits them together: one wait for the disk, however
//! many partitions. Knows nothing of callers but how to answer them.

use std::fs::File;
use std::time::Duration;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, SqliteConnection};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::append::{adopt, append, claim, now_ms, renumber};
use super::error::failed;
use super::queue::{Chore, ChoreKind, Write};
use super::revocations::revoke;
use crate::store::StoreError;
use crate::store::error::{in_full, repeated};

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
                    // Those who were answered together come back together: let them catch this transaction.
                    tokio::task::yield_now().await;
                    while group.len() < MAX_GROUP && let Ok(write) = self.writes.try_recv() {
                        group.push(write);
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
        let Err(failure) = self.commit(group).await else {
            return group.drain(..).for_each(Write::release);
        };
        if failure.is_retryable() || group.len() == 1 {
            return group.drain(..).for_each(|write| write.fail(repeated(&failure)));
        }
        // One of them is to blame, and only that one is to fail. Savepoints would tell at once which, but cost each
        // write of every group two more trips to the connection's thread, for what should never happen.
        for write in group.drain(..) {
            let mut alone = [write];
            let committed = self.commit(&mut alone).await;
            let [write] = alone;
            match committed {
                Ok(()) => write.release(),
                Err(failure) => write.fail(failure),
            }
        }
    }

    async fn commit(&mut self, group: &mut [Write]) -> Result<(), StoreError> {
        let committed = match self.connected().await {
            Ok(connection) => commit_together(connection, group).await,
            Err(error) => Err(error),
        };
        if let Err(failure) = &committed {
            warn!(error = in_full(failure), writes = group.len(), "a transaction failed, with all that shared it");
            self.disconnect().await;
        }
        committed
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

/// All of the group, durable when this returns `Ok`; its answers are held in the replies until then. An error stands
/// for all of them, but for what is found before anything is written: that is an answer like the rest.
async fn commit_together(connection: &mut SqliteConnection, group: &mut [Write]) -> Result<(), StoreError> {
    // Immediate, since a transaction that reads first and then writes may find itself behind (SQLITE_BUSY_SNAPSHOT).
    execute(connection, "BEGIN IMMEDIATE").await?;
    for write in group {
        match write {
            Write::Append(batch, reply) => reply.hold(answer(append(connection, batch).await)?),
            Write::Claim(partition, owner, reply) => reply.hold(answer(claim(connection, partition, *owner).await)?),
            Write::Renumber(partition, owner, reply) => reply.hold(answer(renumber(connection, partition, *owner).await)?),
            Write::Adopt(partition, next, reply) => reply.hold(answer(adopt(connection, partition, *next).await)?),
            Write::Revoke(revocation, reply) => reply.hold(answer(revoke(connection, revocation).await)?),
        }
    }
    execute(connection, "COMMIT").await
}

/// Takes apart what one write is told, and what fails all that share its transaction.
fn answer<A>(done: Result<A, StoreError>) -> Result<Result<A, StoreError>, StoreError> {
    match done {
        Err(refused @ (StoreError::Fenced | StoreError::Behind | StoreError::OtherLog(_))) => Ok(Err(refused)),
        done => done.map(Ok),
    }
}

async fn do_chore(connection: &mut SqliteConnection, kind: ChoreKind) -> Result<u64, StoreError> {
    let query = match kind {
        ChoreKind::Remove { destination, through } => {
            sqlx::query("DELETE FROM messages WHERE destination = ?1 AND sequence <= ?2").bind(destination).bind(through)
        }
        ChoreKind::ForgetIds { age_ms, limit } => sqlx::query(
            "DELETE FROM message_ids WHERE id IN (SELECT id FROM message_ids WHERE stored_ms <= ?1 ORDER BY stored_ms LIMIT ?2)",
        )
        .bind(now_ms().saturating_sub(age_ms))
        .bind(limit),
        ChoreKind::ForgetRevocations { limit } => sqlx::query(
            "DELETE FROM revocations WHERE (kind, name) IN (SELECT kind, name FROM revocations WHERE until <= ?1 ORDER BY until LIMIT ?2)",
        )
        .bind(now_ms() / 1_000)
        .bind(limit),
        ChoreKind::Nothing => sqlx::query("SELECT 1 FROM partitions LIMIT 1"),
    };
    // A statement alone is a transaction.
    query.execute(connection).await.map(|done| done.rows_affected()).map_err(failed)
}

async fn execute(connection: &mut SqliteConnection, sql: &'static str) -> Result<(), StoreError> {
    sqlx::query(sql).execute(connection).await.map(drop).map_err(failed)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use tokio::sync::oneshot;
    use uuid::Uuid;

    use super::super::{SqliteSettings, open};
    use super::*;
    use crate::message::{Destination, Message, RenderedOnce};
    use crate::store::{Append, Appended, Claim, Owner, PartitionKey};

    fn message(timestamp_ms: u64) -> Arc<Message> {
        let (id, destination) = (crate::message::new_id(), Destination::parse("/topic/a").unwrap());
        let (headers, body, rendered) = ([].into(), Bytes::new(), RenderedOnce::default());
        let (sender, session, content_type, position) = (None, None, None, None);
        Arc::new(Message { id, destination, sender, session, timestamp_ms, content_type, headers, body, position, rendered })
    }

    fn append_of(number: u32, owner: Owner, timestamps: &[u64]) -> Append {
        let messages: Vec<_> = (0..).zip(timestamps.iter().map(|timestamp| message(*timestamp))).collect();
        Append { partition: partition(number), owner, end: messages.len() as u64, messages, mark: None, at_least: 0 }
    }

    fn partition(number: u32) -> PartitionKey {
        PartitionKey { log: "l".into(), topic: "t".into(), number }
    }

    type Answer<A> = oneshot::Receiver<Result<A, StoreError>>;

    #[tokio::test]
    async fn of_those_that_share_a_transaction_only_the_broken_fails_and_the_withdrawn_is_left_out() {
        let directory = tempfile::TempDir::new().unwrap();
        let settings = SqliteSettings { path: directory.path().join("x.db"), ..SqliteSettings::default() };
        let (lock, options) = (open::lock(&settings.path).unwrap(), open::write_options(&settings));
        let mut connection = options.connect().await.unwrap();
        open::migrate(&mut connection).await.unwrap();
        let (queue, writes) = mpsc::channel(16);
        let (_, chores) = mpsc::channel(1);
        let owner = Owner(Uuid::from_u128(1));
        let append = |write: Append| -> Answer<Vec<Appended>> {
            let (reply, answer) = super::super::queue::reply();
            queue.try_send(Write::Append(write, reply)).unwrap();
            answer
        };
        let claim = |number| -> Answer<Claim> {
            let (reply, answer) = super::super::queue::reply();
            queue.try_send(Write::Claim(partition(number), Some(owner), reply)).unwrap();
            answer
        };
        // All of them wait before the writer begins, so they are one group.
        let claims = [0, 1, 2].map(claim);
        let before = append(append_of(0, owner, &[1, 2]));
        // No SQL integer holds the time of the second.
        let broken = append(append_of(1, owner, &[1, u64::MAX]));
        let behind = append(Append { at_least: 9, ..append_of(1, owner, &[1]) });
        let fenced = append(append_of(2, Owner(Uuid::from_u128(2)), &[1]));
        drop(append(append_of(2, owner, &[1, 2, 3])));
        let after = append(append_of(2, owner, &[1]));
        drop(queue);
        Writer { options, connection: Some(connection), writes, chores, closing: CancellationToken::new(), lock }.run().await;

        for claim in claims {
            assert_eq!(claim.await.unwrap().unwrap().next, 0);
        }
        let sequences = |answers: Vec<Appended>| -> Vec<_> {
            let sequence = |answer| if let Appended::Stored { sequence, .. } = answer { sequence } else { panic!("{answer:?}") };
            answers.into_iter().map(sequence).collect()
        };
        assert_eq!(sequences(before.await.unwrap().unwrap()), [1, 2]);
        assert!(matches!(broken.await.unwrap(), Err(StoreError::Rejected(_))));
        assert!(matches!(behind.await.unwrap(), Err(StoreError::Behind)));
        assert!(matches!(fenced.await.unwrap(), Err(StoreError::Fenced)));
        assert_eq!(sequences(after.await.unwrap().unwrap()), [3]);
    }
}
