//! One batch, inside a transaction that the writer has begun: who may write, what is known, what is new.

use std::collections::{BTreeMap, HashMap};
use std::time::{SystemTime, UNIX_EPOCH};

use sqlx::{Row, SqliteConnection};
use uuid::Uuid;

use super::error::{bound, failed, signed, unsigned};
use super::rows::{NewRow, insert, uuid_of};
use crate::message::{Epoch, Message};
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

/// Makes `owner` the writer; without one, only makes sure that the partition has an epoch.
pub(super) async fn claim(connection: &mut SqliteConnection, partition: &PartitionKey, owner: Option<Owner>) -> Result<Claim, StoreError> {
    let row = sqlx::query(
        "INSERT INTO partitions (log, topic, number, owner, epoch) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (log, topic, number) DO UPDATE SET owner = coalesce(excluded.owner, owner)
         RETURNING next, epoch",
    )
    .bind(&*partition.log)
    .bind(&*partition.topic)
    .bind(partition.number)
    .bind(owner.map(|owner| owner.0.as_bytes().to_vec()))
    .bind(Epoch::random().0.cast_signed())
    .fetch_one(connection)
    .await
    .map_err(failed)?;
    Ok(Claim { next: unsigned(row.try_get(0).map_err(failed)?)?, epoch: Epoch(row.try_get::<i64, _>(1).map_err(failed)?.cast_unsigned()) })
}

/// [`crate::store::Store::append`]. The checks of ownership come before the first write, so `Fenced` leaves nothing.
pub(super) async fn append(connection: &mut SqliteConnection, batch: &Append) -> Result<Vec<Appended>, StoreError> {
    let partition = owned_partition(connection, batch).await?;
    let known = known_ids(connection, batch).await?;
    let (plans, new) = plan(batch, partition, &known);

    let rows = number(connection, batch, partition, &new).await?;
    insert(connection, &rows).await?;
    let end = batch.messages.last().map_or(batch.end, |(offset, _)| batch.end.max(offset + 1));
    // The mark describes record `next - 1`, and this is another one.
    sqlx::query("UPDATE partitions SET next = ?2, mark_key = NULL, mark_timestamp_ms = NULL WHERE id = ?1 AND next < ?2")
        .bind(partition.id)
        .bind(signed(end)?)
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

async fn owned_partition(connection: &mut SqliteConnection, batch: &Append) -> Result<Partition, StoreError> {
    let row = sqlx::query("SELECT id, next, epoch FROM partitions WHERE log = ?1 AND topic = ?2 AND number = ?3 AND owner = ?4")
        .bind(&*batch.partition.log)
        .bind(&*batch.partition.topic)
        .bind(batch.partition.number)
        .bind(batch.owner.0.as_bytes().as_slice())
        .fetch_optional(connection)
        .await
        .map_err(failed)?
        .ok_or(StoreError::Fenced)?;
    Ok(Partition {
        id: row.try_get(0).map_err(failed)?,
        next: unsigned(row.try_get(1).map_err(failed)?)?,
        epoch: Epoch(row.try_get::<i64, _>(2).map_err(failed)?.cast_unsigned()),
    })
}

async fn known_ids(connection: &mut SqliteConnection, batch: &Append) -> Result<HashMap<Uuid, Known>, StoreError> {
    if batch.messages.is_empty() {
        return Ok(HashMap::new());
    }
    let ids: Vec<u8> = batch.messages.iter().flat_map(|(_, message)| *message.id.as_bytes()).collect();
    // All ids in one value, cut into sixteens: one statement whatever their number.
    let rows = sqlx::query(
        "WITH RECURSIVE wanted (start) AS (VALUES (1) UNION ALL SELECT start + 16 FROM wanted WHERE start + 16 < length(?1))
         SELECT known.id, known.sequence, known.partition, known.record_offset
         FROM wanted CROSS JOIN message_ids AS known ON known.id = substr(?1, wanted.start, 16)",
    )
    .bind(ids)
    .fetch_all(connection)
    .await
    .map_err(failed)?;
    rows.iter()
        .map(|row| {
            let known = Known {
                sequence: unsigned(row.try_get(1).map_err(failed)?)?,
                partition: row.try_get(2).map_err(failed)?,
                offset: unsigned(row.try_get(3).map_err(failed)?)?,
            };
            Ok((uuid_of(row.try_get(0).map_err(failed)?)?, known))
        })
        .collect()
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

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    bound(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
