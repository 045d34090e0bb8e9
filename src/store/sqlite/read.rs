//! Reads: each is one statement, and so sees one moment.

use std::sync::Arc;

use futures_util::TryStreamExt;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqlitePool};

use super::error::{bound, failed, unsigned};
use super::rows::{message_of, uuid_of};
use crate::message::{Destination, Epoch, Message};
use crate::store::{Keep, Kept, Owner, PageLimit, PartitionKey, StoreError};

/// How much one transaction removes at most, so that no append waits long behind it.
const FRONT_ROWS: usize = 1_000;
const FRONT_BYTES: i64 = 8 * 1024 * 1024;

/// The oldest messages of a destination, of which some may have to go.
#[derive(Debug)]
pub(super) struct Front {
    pub(super) destination: i64,
    head: i64,
    rows: Vec<FrontRow>,
    /// Whether there may be messages behind these.
    more: bool,
}

#[derive(Debug)]
struct FrontRow {
    sequence: i64,
    timestamp_ms: i64,
    bytes: i64,
}

impl Front {
    /// The newest sequence that goes now, if any does, and whether to look again once it is gone.
    pub(super) fn cut(&self, keep: Keep) -> Option<(i64, bool)> {
        let goes = |row: &FrontRow| {
            keep.count.is_some_and(|count| row.sequence <= self.head.saturating_sub(bound(count)))
                || keep.not_before_ms.is_some_and(|not_before| row.timestamp_ms < bound(not_before))
        };
        let mut through = None;
        let mut bytes = 0;
        for row in &self.rows {
            if !goes(row) {
                return through.map(|through| (through, false));
            }
            if bytes >= FRONT_BYTES {
                return through.map(|through| (through, true));
            }
            bytes += row.bytes;
            through = Some(row.sequence);
        }
        through.map(|through| (through, self.more))
    }
}

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

/// None if the destination has no messages.
pub(super) async fn front(pool: &SqlitePool, destination: &Destination) -> Result<Option<Front>, StoreError> {
    let rows = sqlx::query(
        "SELECT d.id, d.head, m.sequence, m.timestamp_ms, length(m.body) FROM destinations AS d CROSS JOIN messages AS m
         WHERE d.name = ?1 AND m.destination = d.id ORDER BY m.sequence LIMIT ?2",
    )
    .bind(destination.as_str())
    .bind(i64::try_from(FRONT_ROWS).unwrap_or(i64::MAX))
    .fetch_all(pool)
    .await
    .map_err(failed)?;
    let Some(first) = rows.first() else { return Ok(None) };
    let (destination, head) = (first.try_get(0).map_err(failed)?, first.try_get(1).map_err(failed)?);
    let more = rows.len() == FRONT_ROWS;
    let number = |row: &SqliteRow, column: usize| row.try_get::<i64, _>(column).map_err(failed);
    let rows = rows.iter().map(|row| Ok(FrontRow { sequence: number(row, 2)?, timestamp_ms: number(row, 3)?, bytes: number(row, 4)? }));
    Ok(Some(Front { destination, head, rows: rows.collect::<Result<_, StoreError>>()?, more }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn front(rows: &[(i64, i64, i64)], more: bool) -> Front {
        let rows = rows.iter().map(|&(sequence, timestamp_ms, bytes)| FrontRow { sequence, timestamp_ms, bytes });
        Front { destination: 1, head: 14, rows: rows.collect(), more }
    }

    #[test]
    fn only_the_front_goes_and_leaves_no_hole() {
        let front = front(&[(11, 100, 1), (12, 300, 1), (13, 100, 1), (14, 400, 1)], false);
        let cut = |count, not_before_ms| front.cut(Keep { count, not_before_ms });
        assert_eq!(cut(None, None), None);
        assert_eq!(cut(Some(4), None), None);
        assert_eq!(cut(Some(3), None), Some((11, false)));
        assert_eq!(cut(None, Some(100)), None);
        assert_eq!(cut(None, Some(200)), Some((11, false)), "13 is too old, but 12 before it is not");
        assert_eq!(cut(None, Some(301)), Some((13, false)));
        assert_eq!(cut(Some(2), Some(200)), Some((13, false)), "12 is one too many, and then 13 is too old");
        assert_eq!(cut(Some(0), None), Some((14, false)));
        assert_eq!(cut(Some(u64::MAX), Some(u64::MAX)), Some((14, false)));
    }

    #[test]
    fn one_transaction_takes_only_so_much() {
        let all = Keep { count: Some(0), not_before_ms: None };
        assert_eq!(front(&[(1, 0, 1), (2, 0, 1)], true).cut(all), Some((2, true)));
        assert_eq!(front(&[(1, 0, FRONT_BYTES), (2, 0, 1)], false).cut(all), Some((1, true)), "one at least, whatever its size");
    }
}
