//! Reads: each is one statement, and so sees one moment.

use std::sync::Arc;

use futures_util::TryStreamExt;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqlitePool};

use super::error::failed;
use super::rows::{message_of, uuid_of};
use crate::message::{Destination, Epoch, Message};
use crate::store::sql::{Front, FrontRow, bound, unsigned};
use crate::store::{Kept, Owner, PageLimit, PartitionKey, StoreError};

pub(super) async fn owner(pool: &SqlitePool, partition: &PartitionKey) -> Result<Option<Owner>, StoreError> {
    let row = sqlx::query("SELECT owner FROM partitions WHERE log = ?1 AND topic = ?2 AND number = ?3")
        .bind(&*partition.log)
        .bind(&*partition.topic)
        .bind(partition.number)
        .fetch_optional(pool)
        .await
        .map_err(failed)?;
    let Some(row) = row else { return Ok(None) };
    let owner: Option<&[u8]> = row.try_get(0).map_err(failed)?;
    owner.map(|bytes| uuid_of(bytes).map(Owner)).transpose()
}

/// None if the partition has no row.
pub(super) async fn kept(pool: &SqlitePool, partition: &PartitionKey, destination: &Destination) -> Result<Option<Kept>, StoreError> {
    let row = sqlx::query(
        "SELECT p.epoch, coalesce(d.head, 0),
            (SELECT min(sequence) FROM messages WHERE destination = d.id),
            (SELECT max(sequence) FROM messages WHERE destination = d.id)
         FROM partitions AS p LEFT JOIN destinations AS d ON d.name = ?4
         WHERE p.log = ?1 AND p.topic = ?2 AND p.number = ?3",
    )
    .bind(&*partition.log)
    .bind(&*partition.topic)
    .bind(partition.number)
    .bind(destination.as_str())
    .fetch_optional(pool)
    .await
    .map_err(failed)?;
    let Some(row) = row else { return Ok(None) };
    let head = unsigned(row.try_get(1).map_err(failed)?)?;
    let number = |column: usize| row.try_get::<Option<i64>, _>(column).map_err(failed)?.map(unsigned).transpose();
    let first = match (number(2)?, number(3)?) {
        (Some(first), Some(last)) if last == head => first,
        // Rows that do not reach the head are of no use to who wants all up to it.
        _ => head + 1,
    };
    Ok(Some(Kept { epoch: Epoch(row.try_get::<i64, _>(0).map_err(failed)?.cast_unsigned()), head, first }))
}

pub(super) async fn page(
    pool: &SqlitePool,
    partition: &PartitionKey,
    destination: &Destination,
    (after, through): (u64, u64),
    limit: PageLimit,
) -> Result<Vec<Arc<Message>>, StoreError> {
    let mut rows = sqlx::query(
        "SELECT p.epoch, m.sequence, m.id, m.timestamp_ms, m.sender, m.session, m.content_type, m.headers, m.body
         FROM partitions AS p CROSS JOIN destinations AS d CROSS JOIN messages AS m
         WHERE p.log = ?1 AND p.topic = ?2 AND p.number = ?3 AND d.name = ?4
            AND m.destination = d.id AND m.sequence > ?5 AND m.sequence <= ?6
         ORDER BY m.sequence LIMIT ?7",
    )
    .bind(&*partition.log)
    .bind(&*partition.topic)
    .bind(partition.number)
    .bind(destination.as_str())
    .bind(bound(after))
    .bind(bound(through))
    .bind(i64::try_from(limit.messages.max(1)).unwrap_or(i64::MAX))
    .fetch(pool);
    let mut messages = Vec::new();
    let mut bytes = 0;
    // The statement runs only as far as it is read, so a page costs a page, whatever is behind it.
    while let Some(row) = rows.try_next().await.map_err(failed)? {
        let message = message_of(&row, destination)?;
        bytes += message.size();
        if bytes > limit.bytes && !messages.is_empty() {
            break;
        }
        messages.push(Arc::new(message));
    }
    Ok(messages)
}

pub(super) async fn destinations(pool: &SqlitePool, after: Option<&Destination>, limit: usize) -> Result<Vec<Destination>, StoreError> {
    // No name is smaller than the empty one.
    let rows = sqlx::query(
        "SELECT name FROM destinations AS d
         WHERE name > ?1 AND EXISTS (SELECT 1 FROM messages WHERE destination = d.id)
         ORDER BY name LIMIT ?2",
    )
    .bind(after.map_or("", Destination::as_str))
    .bind(i64::try_from(limit).unwrap_or(i64::MAX))
    .fetch_all(pool)
    .await
    .map_err(failed)?;
    rows.iter()
        .map(|row| {
            let name: &str = row.try_get(0).map_err(failed)?;
            Destination::from_record(name).map_err(|error| StoreError::Corrupt(format!("{name} is no destination: {error}")))
        })
        .collect()
}

/// So many of the oldest messages; none if the destination has no messages.
pub(super) async fn front(pool: &SqlitePool, destination: &Destination, limit: usize) -> Result<Option<Front>, StoreError> {
    let rows = sqlx::query(
        "SELECT d.id, d.head, m.sequence, m.timestamp_ms, length(m.body) FROM destinations AS d CROSS JOIN messages AS m
         WHERE d.name = ?1 AND m.destination = d.id ORDER BY m.sequence LIMIT ?2",
    )
    .bind(destination.as_str())
    .bind(i64::try_from(limit).unwrap_or(i64::MAX))
    .fetch_all(pool)
    .await
    .map_err(failed)?;
    let Some(first) = rows.first() else { return Ok(None) };
    let (destination, head) = (first.try_get(0).map_err(failed)?, first.try_get(1).map_err(failed)?);
    let more = rows.len() == limit;
    let number = |row: &SqliteRow, column: usize| row.try_get::<i64, _>(column).map_err(failed);
    let rows = rows.iter().map(|row| Ok(FrontRow { sequence: number(row, 2)?, timestamp_ms: number(row, 3)?, bytes: number(row, 4)? }));
    Ok(Some(Front { destination, head, rows: rows.collect::<Result<_, StoreError>>()?, more }))
}
