//! What goes, in short statements, each a transaction of its own. All nodes do it, and none waits for another.

use sqlx::PgConnection;

use super::error::failed;
use crate::store::StoreError;

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

/// Forgets at most so many ids; those that another node is just forgetting are left to it.
pub(super) async fn forget_ids(connection: &mut PgConnection, before_ms: i64, limit: i64) -> Result<u64, StoreError> {
    let done = sqlx::query(
        "DELETE FROM message_ids WHERE id = ANY (ARRAY(
            SELECT id FROM message_ids WHERE stored_ms < $1 ORDER BY stored_ms LIMIT $2 FOR UPDATE SKIP LOCKED
         ))",
    )
    .bind(before_ms)
    .bind(limit)
    .execute(connection)
    .await
    .map_err(failed)?;
    Ok(done.rows_affected())
}
