//! Whose turn it is, and what goes, in short statements, each a transaction of its own. Any node may do it, and none waits for another.

use sqlx::{PgConnection, Row};

use super::error::failed;
use crate::store::StoreError;
use crate::store::sql::unsigned;

/// The database's time, if no node had the turn within so many milliseconds before.
pub(super) async fn turn(connection: &mut PgConnection, every_ms: i64) -> Result<Option<u64>, StoreError> {
    // A time to come was written by another node just now, unless it is far off: then the clock was put back.
    let row = sqlx::query(
        "INSERT INTO retention AS r (begun_ms) VALUES ((extract(epoch FROM statement_timestamp()) * 1000)::bigint)
         ON CONFLICT (one) DO UPDATE SET begun_ms = excluded.begun_ms
         WHERE r.begun_ms <= excluded.begun_ms - $1 OR r.begun_ms - $1 > excluded.begun_ms
         RETURNING begun_ms",
    )
    .bind(every_ms)
    .fetch_optional(connection)
    .await
    .map_err(failed)?;
    row.map(|row| unsigned(row.try_get(0).map_err(failed)?)).transpose()
}

/// Removes the messages of a destination up to a sequence, unless another node is just removing some of them. Rows are not
/// skipped one by one: if then only one of two nodes gets to commit, the front has a hole.
pub(super) async fn remove(connection: &mut PgConnection, destination: i64, through: i64) -> Result<u64, StoreError> {
    // Within the database of others, the lock is ours by the number of the table.
    let done = sqlx::query(
        "WITH turn AS MATERIALIZED (
            SELECT pg_try_advisory_xact_lock('messages'::regclass::oid::integer, ($1 % 2147483647)::integer) AS had
         )
         DELETE FROM messages WHERE destination = $1 AND sequence <= $2 AND (SELECT had FROM turn)",
    )
    .bind(destination)
    .bind(through)
    .execute(connection)
    .await
    .map_err(failed)?;
    Ok(done.rows_affected())
}

/// Forgets at most so many ids that are so old; those that another node is just forgetting are left to it. The clock is the
/// one that stamped them: a node's own may be a day ahead.
pub(super) async fn forget_ids(connection: &mut PgConnection, age_ms: i64, limit: i64) -> Result<u64, StoreError> {
    let done = sqlx::query(
        "DELETE FROM message_ids WHERE id = ANY (ARRAY(
            SELECT id FROM message_ids WHERE stored_ms <= (extract(epoch FROM statement_timestamp()) * 1000)::bigint - $1
            ORDER BY stored_ms LIMIT $2 FOR UPDATE SKIP LOCKED
         ))",
    )
    .bind(age_ms)
    .bind(limit)
    .execute(connection)
    .await
    .map_err(failed)?;
    Ok(done.rows_affected())
}
