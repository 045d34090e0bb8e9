//! The list of what no longer counts. The database's clock is the store's, whatever nodes' clocks say.

use sqlx::{PgConnection, Row};

use super::error::failed;
use crate::message::{Revocation, Revoked};
use crate::store::sql::{RevocationRow, after_key, bound, unsigned};
use crate::store::{RevocationPage, StoreError};

// A row at least, which has the time. That of the transaction, since it began before the statement looked; the statement's own
// time may be a little after that.
macro_rules! page_of {
    ($rows:literal) => {
        concat!(
            "SELECT clock.now_ms, page.kind, page.name, page.issued_before, page.until
             FROM (SELECT (extract(epoch FROM transaction_timestamp()) * 1000)::bigint AS now_ms) AS clock
             LEFT JOIN LATERAL (
                SELECT * FROM ",
            $rows,
            " AS r WHERE (r.kind, r.name) > ($1, $2) AND r.until > clock.now_ms / 1000 ORDER BY r.kind, r.name LIMIT $3
             ) AS page ON true
             ORDER BY page.kind, page.name"
        )
    };
}

/// In the order of the key, which ends the search after a page.
const PAGE: &str = page_of!("revocations");
/// Few have changed, and are found by that: looked for apart, so that the order does not tempt to go through all.
const PAGE_OF_CHANGED: &str = page_of!("(SELECT * FROM revocations WHERE changed_ms >= $4 OFFSET 0)");

/// [`crate::store::Store::revoke`]. Of two at once the second waits, and sees what the first wrote.
pub(super) async fn revoke(connection: &mut PgConnection, revocation: &Revocation) -> Result<(), StoreError> {
    let row = RevocationRow::new(revocation);
    sqlx::query(
        "INSERT INTO revocations AS r (kind, name, issued_before, until, changed_ms)
         VALUES ($1, $2, $3, $4, (extract(epoch FROM statement_timestamp()) * 1000)::bigint)
         ON CONFLICT (kind, name) DO UPDATE SET issued_before = greatest(r.issued_before, excluded.issued_before),
            until = greatest(r.until, excluded.until), changed_ms = greatest(r.changed_ms, excluded.changed_ms)",
    )
    .bind(row.kind)
    .bind(row.name)
    .bind(row.issued_before)
    .bind(row.until)
    .execute(connection)
    .await
    .map(drop)
    .map_err(failed)
}

/// [`crate::store::Store::revocations`].
pub(super) async fn page(
    connection: &mut PgConnection,
    since_ms: u64,
    after: Option<&Revoked>,
    limit: usize,
) -> Result<RevocationPage, StoreError> {
    let (kind, name) = after_key(after);
    let query = sqlx::query(if since_ms == 0 { PAGE } else { PAGE_OF_CHANGED });
    let query = query.bind(kind).bind(name).bind(i64::try_from(limit).unwrap_or(i64::MAX));
    let query = if since_ms == 0 { query } else { query.bind(bound(since_ms)) };
    let rows = query.fetch_all(connection).await.map_err(failed)?;
    let first = rows.first().ok_or_else(|| StoreError::Corrupt("it does not know the time".into()))?;
    let now_ms = unsigned(first.try_get(0).map_err(failed)?)?;
    let mut revocations = Vec::with_capacity(rows.len());
    for row in &rows {
        // The row that has only the time.
        let Some(kind) = row.try_get(1).map_err(failed)? else { continue };
        let row = RevocationRow {
            kind,
            name: row.try_get(2).map_err(failed)?,
            issued_before: row.try_get(3).map_err(failed)?,
            until: row.try_get(4).map_err(failed)?,
        };
        revocations.push(row.read()?);
    }
    Ok(RevocationPage { revocations, now_ms })
}

/// Forgets at most so many whose time is over; those that another node is just forgetting or revoking anew are left to it.
pub(super) async fn forget(connection: &mut PgConnection, limit: i64) -> Result<u64, StoreError> {
    let done = sqlx::query(
        "WITH lapsed AS MATERIALIZED (
            SELECT kind, name FROM revocations WHERE until <= floor(extract(epoch FROM statement_timestamp()))::bigint
            ORDER BY until LIMIT $1 FOR UPDATE SKIP LOCKED
         )
         DELETE FROM revocations AS r USING lapsed WHERE r.kind = lapsed.kind AND r.name = lapsed.name",
    )
    .bind(limit)
    .execute(connection)
    .await
    .map_err(failed)?;
    Ok(done.rows_affected())
}
