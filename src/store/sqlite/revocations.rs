//! The list of what no longer counts. One process has the file, and so its clock is the store's.

use sqlx::{Row, SqliteConnection, SqlitePool};

use super::append::now_ms;
use super::error::failed;
use crate::message::{Revocation, Revoked};
use crate::store::sql::{RevocationRow, after_key, bound, unsigned};
use crate::store::{RevocationPage, StoreError};

/// [`crate::store::Store::revoke`], inside a transaction that the writer has begun.
pub(super) async fn revoke(connection: &mut SqliteConnection, revocation: &Revocation) -> Result<(), StoreError> {
    let row = RevocationRow::new(revocation);
    sqlx::query(
        "INSERT INTO revocations (kind, name, issued_before, until, changed_ms) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (kind, name) DO UPDATE SET issued_before = max(issued_before, excluded.issued_before),
            until = max(until, excluded.until), changed_ms = max(changed_ms, excluded.changed_ms)",
    )
    .bind(row.kind)
    .bind(row.name)
    .bind(row.issued_before)
    .bind(row.until)
    .bind(now_ms())
    .execute(connection)
    .await
    .map(drop)
    .map_err(failed)
}

/// [`crate::store::Store::revocations`].
pub(super) async fn page(pool: &SqlitePool, since_ms: u64, after: Option<&Revoked>, limit: usize) -> Result<RevocationPage, StoreError> {
    let now_ms = now_ms();
    let (kind, name) = after_key(after);
    // Without a time the key's order ends the search after a page; with one, few have changed and are found by that.
    let sql = if since_ms == 0 {
        "SELECT kind, name, issued_before, until FROM revocations
         WHERE (kind, name) > (?1, ?2) AND until > ?3 ORDER BY kind, name LIMIT ?4"
    } else {
        "SELECT kind, name, issued_before, until FROM revocations INDEXED BY revocations_by_change
         WHERE (kind, name) > (?1, ?2) AND until > ?3 AND changed_ms >= ?5 ORDER BY kind, name LIMIT ?4"
    };
    let query = sqlx::query(sql).bind(kind).bind(name).bind(now_ms / 1_000).bind(i64::try_from(limit).unwrap_or(i64::MAX));
    let query = if since_ms == 0 { query } else { query.bind(bound(since_ms)) };
    let rows = query.fetch_all(pool).await.map_err(failed)?;
    let revocations = rows.iter().map(|row| {
        let row = RevocationRow {
            kind: row.try_get(0).map_err(failed)?,
            name: row.try_get(1).map_err(failed)?,
            issued_before: row.try_get(2).map_err(failed)?,
            until: row.try_get(3).map_err(failed)?,
        };
        row.read()
    });
    Ok(RevocationPage { revocations: revocations.collect::<Result<_, _>>()?, now_ms: unsigned(now_ms)? })
}
