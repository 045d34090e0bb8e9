//! Reads: each is one statement, and so sees one moment.

use std::sync::Arc;

use bytes::Bytes;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};

use super::error::failed;
use crate::message::{Destination, Epoch, Message, Position, RenderedOnce, UserName};
use crate::store::sql::{Front, FrontRow, bound, headers_from_json, unsigned};
use crate::store::{Kept, PageLimit, PartitionKey, StoreError};

/// None if the partition has no row in this log.
pub(super) async fn kept(
    connection: &mut PgConnection,
    partition: &PartitionKey,
    destination: &Destination,
) -> Result<Option<Kept>, StoreError> {
    let row = sqlx::query(
        "SELECT p.epoch, coalesce(d.head, 0),
            (SELECT min(m.sequence) FROM messages AS m WHERE m.destination = d.id),
            (SELECT max(m.sequence) FROM messages AS m WHERE m.destination = d.id)
         FROM partitions AS p LEFT JOIN destinations AS d ON d.name = $4
         WHERE p.topic = $1 AND p.number = $2 AND p.log = $3",
    )
    .bind(&*partition.topic)
    .bind(i64::from(partition.number))
    .bind(&*partition.log)
    .bind(destination.as_str())
    .fetch_optional(connection)
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
    connection: &mut PgConnection,
    partition: &PartitionKey,
    destination: &Destination,
    (after, through): (u64, u64),
    limit: PageLimit,
) -> Result<Vec<Arc<Message>>, StoreError> {
    // Rows past the limit would be sent all the same, so the server cuts by what bodies take, which is less than all of it.
    let rows = sqlx::query(
        "SELECT epoch, sequence, id, timestamp_ms, sender, session, content_type, headers, body
         FROM (
            SELECT p.epoch, m.*, sum(octet_length(m.body)) OVER (ORDER BY m.sequence) - octet_length(m.body) AS bytes_before
            FROM partitions AS p CROSS JOIN destinations AS d CROSS JOIN LATERAL (
                SELECT * FROM messages AS m WHERE m.destination = d.id AND m.sequence > $5 AND m.sequence <= $6
                ORDER BY m.sequence LIMIT $7
            ) AS m
            WHERE p.topic = $1 AND p.number = $2 AND p.log = $3 AND d.name = $4
         ) AS page
         WHERE bytes_before <= $8 ORDER BY sequence",
    )
    .bind(&*partition.topic)
    .bind(i64::from(partition.number))
    .bind(&*partition.log)
    .bind(destination.as_str())
    .bind(bound(after))
    .bind(bound(through))
    .bind(i64::try_from(limit.messages.max(1)).unwrap_or(i64::MAX))
    .bind(i64::try_from(limit.bytes).unwrap_or(i64::MAX))
    .fetch_all(connection)
    .await
    .map_err(failed)?;
    let mut messages = Vec::with_capacity(rows.len());
    let mut bytes = 0;
    for row in &rows {
        let message = message_of(row, destination)?;
        bytes += message.size();
        if bytes > limit.bytes && !messages.is_empty() {
            break;
        }
        messages.push(Arc::new(message));
    }
    Ok(messages)
}

/// A message from a row of epoch, sequence, id, time, sender, session, content type, headers and body.
fn message_of(row: &PgRow, destination: &Destination) -> Result<Message, StoreError> {
    let epoch = Epoch(row.try_get::<i64, _>(0).map_err(failed)?.cast_unsigned());
    let sequence = unsigned(row.try_get(1).map_err(failed)?)?;
    let sender: Option<&str> = row.try_get(4).map_err(failed)?;
    let text = |column: usize| row.try_get::<Option<&str>, _>(column).map(|text| text.map(Arc::from)).map_err(failed);
    Ok(Message {
        id: row.try_get(2).map_err(failed)?,
        destination: destination.clone(),
        timestamp_ms: unsigned(row.try_get(3).map_err(failed)?)?,
        sender: sender.map(|name| UserName::new(name).map_err(|error| StoreError::Corrupt(error.to_string()))).transpose()?,
        session: text(5)?,
        content_type: text(6)?,
        headers: headers_from_json(row.try_get(7).map_err(failed)?)?,
        body: Bytes::from(row.try_get::<Vec<u8>, _>(8).map_err(failed)?),
        position: Some(Position { epoch, sequence }),
        rendered: RenderedOnce::default(),
    })
}

pub(super) async fn destinations(
    connection: &mut PgConnection,
    after: Option<&Destination>,
    limit: usize,
) -> Result<Vec<Destination>, StoreError> {
    // No name is smaller than the empty one.
    let rows = sqlx::query(
        "SELECT d.name FROM destinations AS d CROSS JOIN LATERAL (SELECT 1 FROM messages AS m WHERE m.destination = d.id LIMIT 1) AS one
         WHERE d.name > $1 ORDER BY d.name LIMIT $2",
    )
    .bind(after.map_or("", Destination::as_str))
    .bind(i64::try_from(limit).unwrap_or(i64::MAX))
    .fetch_all(connection)
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
pub(super) async fn front(connection: &mut PgConnection, destination: &Destination, limit: usize) -> Result<Option<Front>, StoreError> {
    let rows = sqlx::query(
        "SELECT d.id, d.head, m.sequence, m.timestamp_ms, octet_length(m.body)::bigint FROM destinations AS d CROSS JOIN LATERAL (
            SELECT * FROM messages AS m WHERE m.destination = d.id ORDER BY m.sequence LIMIT $2
         ) AS m
         WHERE d.name = $1 ORDER BY m.sequence",
    )
    .bind(destination.as_str())
    .bind(i64::try_from(limit).unwrap_or(i64::MAX))
    .fetch_all(connection)
    .await
    .map_err(failed)?;
    let Some(first) = rows.first() else { return Ok(None) };
    let (destination, head) = (first.try_get(0).map_err(failed)?, first.try_get(1).map_err(failed)?);
    let more = rows.len() == limit;
    let number = |row: &PgRow, column: usize| row.try_get::<i64, _>(column).map_err(failed);
    let rows = rows.iter().map(|row| Ok(FrontRow { sequence: number(row, 2)?, timestamp_ms: number(row, 3)?, bytes: number(row, 4)? }));
    Ok(Some(Front { destination, head, rows: rows.collect::<Result<_, StoreError>>()?, more }))
}

/// Whether the server answers and can be written: one that follows another can only be read.
pub(super) async fn check(connection: &mut PgConnection) -> Result<(), StoreError> {
    let row = sqlx::query("SELECT current_setting('transaction_read_only') = 'on', EXISTS (SELECT 1 FROM partitions)")
        .fetch_one(connection)
        .await
        .map_err(failed)?;
    if row.try_get(0).map_err(failed)? {
        return Err(StoreError::Unavailable("the database can only be read; a standby does not store".into()));
    }
    Ok(())
}
