//! One batch, inside a transaction that the writer has begun: who may write, what is known, what is new.

use std::collections::{BTreeMap, HashMap};
use std::time::{SystemTime, UNIX_EPOCH};

use sqlx::{Row, SqliteConnection};
use uuid::Uuid;

use super::error::failed;
use super::rows::{NewRow, insert, uuid_of};
use crate::message::{Epoch, Mark, Message};
use crate::store::sql::{bound, signed, unsigned};
use crate::store::{Append, Appended, Claim, Owner, PartitionKey, StoreError};

/// The partition's row as the transaction found it.
#[derive(Debug, Clone, Copy)]
struct Partition {
    id: i64,
    next: u64,
    epoch: Epoch,
}

/// Where an id was stored from.
#[derive(Debug, Clone, Copy)]
struct Known {
    sequence: u64,
    partition: i64,
    offset: u64,
}

/// What is to become of one message of the batch.
#[derive(Debug, Clone, Copy)]
enum Plan {
    Answered(Appended),
    /// To be stored, as this one of the new rows.
    New(usize),
    /// The same id as this one of the new rows.
    Repeat(usize),
}

/// Makes `owner` the writer; without one, only makes sure that the partition has an epoch. Writes nothing if the
/// partition belongs to another log.
pub(super) async fn claim(connection: &mut SqliteConnection, partition: &PartitionKey, owner: Option<Owner>) -> Result<Claim, StoreError> {
    let row = sqlx::query(
        "INSERT INTO partitions (log, topic, number, owner, epoch) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (topic, number) DO UPDATE SET owner = coalesce(excluded.owner, owner) WHERE log = excluded.log
         RETURNING next, epoch, mark_key, mark_timestamp_ms",
    )
    .bind(&*partition.log)
    .bind(&*partition.topic)
    .bind(partition.number)
    .bind(owner.map(|owner| owner.0.as_bytes().to_vec()))
    .bind(Epoch::random().0.cast_signed())
    .fetch_optional(&mut *connection)
    .await
    .map_err(failed)?;
    let Some(row) = row else { return Err(other_log(connection, partition).await) };
    let mark = row.try_get::<Option<i64>, _>(3).map_err(failed)?.map(|timestamp_ms| {
        let key: Option<Vec<u8>> = row.try_get(2).map_err(failed)?;
        Ok(Mark { key: key.unwrap_or_default().into(), timestamp_ms })
    });
    Ok(Claim {
        next: unsigned(row.try_get(0).map_err(failed)?)?,
        epoch: Epoch(row.try_get::<i64, _>(1).map_err(failed)?.cast_unsigned()),
        mark: mark.transpose()?,
    })
}

async fn other_log(connection: &mut SqliteConnection, partition: &PartitionKey) -> StoreError {
    let row = sqlx::query("SELECT log FROM partitions WHERE topic = ?1 AND number = ?2")
        .bind(&*partition.topic)
        .bind(partition.number)
        .fetch_one(connection)
        .await;
    row.and_then(|row| row.try_get(0)).map_or_else(failed, StoreError::OtherLog)
}

/// [`crate::store::Store::renumber`].
pub(super) async fn renumber(connection: &mut SqliteConnection, partition: &PartitionKey, owner: Owner) -> Result<Epoch, StoreError> {
    let epoch = Epoch::random();
    let done = sqlx::query("UPDATE partitions SET epoch = ?5 WHERE log = ?1 AND topic = ?2 AND number = ?3 AND owner = ?4")
        .bind(&*partition.log)
        .bind(&*partition.topic)
        .bind(partition.number)
        .bind(owner.0.as_bytes().as_slice())
        .bind(epoch.0.cast_signed())
        .execute(connection)
        .await
        .map_err(failed)?;
    if done.rows_affected() == 0 { Err(StoreError::Fenced) } else { Ok(epoch) }
}

/// [`crate::store::Store::adopt`]. The row keeps its number, which the ids of its messages name.
pub(super) async fn adopt(connection: &mut SqliteConnection, partition: &PartitionKey, next: u64) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO partitions (log, topic, number, next, epoch) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (topic, number) DO UPDATE
         SET log = excluded.log, next = excluded.next, owner = NULL, mark_key = NULL, mark_timestamp_ms = NULL",
    )
    .bind(&*partition.log)
    .bind(&*partition.topic)
    .bind(partition.number)
    .bind(signed(next)?)
    .bind(Epoch::random().0.cast_signed())
    .execute(connection)
    .await
    .map(drop)
    .map_err(failed)
}

/// [`crate::store::Store::append`]. Ownership and position are checked before the first write, so `Fenced` and `Behind`
/// leave nothing behind.
pub(super) async fn append(connection: &mut SqliteConnection, batch: &Append) -> Result<Vec<Appended>, StoreError> {
    let (partition, known) = look_up(connection, batch).await?;
    let (plans, new) = plan(batch, partition, &known);

    let rows = number(connection, batch, partition, &new).await?;
    insert(connection, &rows).await?;
    // The mark describes record `next - 1`, so it goes with the position. A batch that is read again has the same.
    sqlx::query("UPDATE partitions SET next = ?2, mark_key = ?3, mark_timestamp_ms = ?4 WHERE id = ?1 AND next < ?2")
        .bind(partition.id)
        .bind(signed(batch.end)?)
        .bind(batch.mark.as_ref().map(|mark| mark.key.to_vec()))
        .bind(batch.mark.as_ref().map(|mark| mark.timestamp_ms))
        .execute(&mut *connection)
        .await
        .map_err(failed)?;

    let epoch = partition.epoch;
    let answer = |plan| match plan {
        Plan::Answered(appended) => appended,
        Plan::New(index) => Appended::Stored { epoch, sequence: rows[index].sequence },
        Plan::Repeat(index) => Appended::Known { epoch, sequence: rows[index].sequence },
    };
    Ok(plans.into_iter().map(answer).collect())
}

/// The partition if this batch's owner still has it, and which ids of the batch are known. One statement, since each
/// is a trip to the connection's thread and back, which takes as long as the disk.
async fn look_up(connection: &mut SqliteConnection, batch: &Append) -> Result<(Partition, HashMap<Uuid, Known>), StoreError> {
    // All ids in one value, cut into sixteens.
    let ids: Vec<u8> = batch.messages.iter().flat_map(|(_, message)| *message.id.as_bytes()).collect();
    let rows = sqlx::query(
        "WITH RECURSIVE wanted (start) AS (VALUES (1) UNION ALL SELECT start + 16 FROM wanted WHERE start + 16 < length(?5))
         SELECT p.id, p.next, p.epoch, known.id, known.sequence, known.partition, known.record_offset
         FROM partitions AS p
         LEFT JOIN (SELECT i.* FROM wanted CROSS JOIN message_ids AS i ON i.id = substr(?5, wanted.start, 16)) AS known ON true
         WHERE p.log = ?1 AND p.topic = ?2 AND p.number = ?3 AND p.owner = ?4",
    )
    .bind(&*batch.partition.log)
    .bind(&*batch.partition.topic)
    .bind(batch.partition.number)
    .bind(batch.owner.0.as_bytes().as_slice())
    .bind(ids)
    .fetch_all(connection)
    .await
    .map_err(failed)?;
    let row = rows.first().ok_or(StoreError::Fenced)?;
    let partition = Partition {
        id: row.try_get(0).map_err(failed)?,
        next: unsigned(row.try_get(1).map_err(failed)?)?,
        epoch: Epoch(row.try_get::<i64, _>(2).map_err(failed)?.cast_unsigned()),
    };
    if partition.next < batch.at_least {
        return Err(StoreError::Behind);
    }
    let mut known_ids = HashMap::new();
    for row in &rows {
        let Some(id) = row.try_get::<Option<&[u8]>, _>(3).map_err(failed)? else { continue };
        let known = Known {
            sequence: unsigned(row.try_get(4).map_err(failed)?)?,
            partition: row.try_get(5).map_err(failed)?,
            offset: unsigned(row.try_get(6).map_err(failed)?)?,
        };
        known_ids.insert(uuid_of(id)?, known);
    }
    Ok((partition, known_ids))
}

fn plan<'a>(batch: &'a Append, partition: Partition, known: &HashMap<Uuid, Known>) -> (Vec<Plan>, Vec<(u64, &'a Message)>) {
    let epoch = partition.epoch;
    let mut new: Vec<(u64, &Message)> = Vec::new();
    let mut new_ids: HashMap<Uuid, usize> = HashMap::new();
    let mut plan_one = |offset: u64, message: &'a Message| {
        if let Some(&Known { sequence, partition: from, offset: at }) = known.get(&message.id) {
            let again = from == partition.id && at == offset;
            return Plan::Answered(if again { Appended::Stored { epoch, sequence } } else { Appended::Known { epoch, sequence } });
        }
        if offset < partition.next {
            return Plan::Answered(Appended::PassedOver);
        }
        if let Some(&index) = new_ids.get(&message.id) {
            return Plan::Repeat(index);
        }
        new.push((offset, message));
        new_ids.insert(message.id, new.len() - 1);
        Plan::New(new.len() - 1)
    };
    let plans = batch.messages.iter().map(|(offset, message)| plan_one(*offset, message)).collect();
    (plans, new)
}

/// Moves the counters of all destinations with new messages, and gives each its sequence in the order of the batch.
async fn number<'a>(
    connection: &mut SqliteConnection,
    batch: &Append,
    partition: Partition,
    new: &[(u64, &'a Message)],
) -> Result<Vec<NewRow<'a>>, StoreError> {
    if new.is_empty() {
        return Ok(Vec::new());
    }
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for (_, message) in new {
        *counts.entry(message.destination.as_str()).or_default() += 1;
    }
    let pairs: Vec<_> = counts.iter().collect();
    let json = serde_json::to_string(&pairs).map_err(|error| StoreError::Corrupt(error.to_string()))?;
    let heads = sqlx::query(
        "INSERT INTO destinations (name, head) SELECT value ->> 0, value ->> 1 FROM json_each(?1) WHERE true
         ON CONFLICT (name) DO UPDATE SET head = head + excluded.head
         RETURNING name, id, head",
    )
    .bind(json)
    .fetch_all(connection)
    .await
    .map_err(failed)?;

    // The sequence before the first new one.
    let mut last: HashMap<&str, (i64, u64)> = HashMap::new();
    for row in &heads {
        let name: &str = row.try_get(0).map_err(failed)?;
        let head = unsigned(row.try_get(2).map_err(failed)?)?;
        let before = counts.get(name).and_then(|count| head.checked_sub(*count));
        let before = before.ok_or_else(|| StoreError::Corrupt(format!("the counter of {name} is wrong")))?;
        last.insert(name, (row.try_get(1).map_err(failed)?, before));
    }
    let stored_ms = now_ms();
    new.iter()
        .map(|&(offset, message)| {
            let name = message.destination.as_str();
            let (destination, sequence) =
                last.get_mut(name).ok_or_else(|| StoreError::Corrupt(format!("{name} of {} has no counter", batch.partition.topic)))?;
            *sequence += 1;
            Ok(NewRow { message, destination: *destination, sequence: *sequence, partition: partition.id, offset, stored_ms })
        })
        .collect()
}

pub(super) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    bound(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
