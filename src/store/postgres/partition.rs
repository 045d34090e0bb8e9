//! Who writes a partition, where it stands, and under which numbering.

use sqlx::{PgConnection, Row};

use super::error::failed;
use crate::message::{Epoch, Mark};
use crate::store::sql::{signed, unsigned};
use crate::store::{Claim, Owner, PartitionKey, StoreError};

/// Makes `owner` the writer; without one, only makes sure that the partition has an epoch. A batch that is being stored is
/// waited for.
pub(super) async fn claim(connection: &mut PgConnection, partition: &PartitionKey, owner: Option<Owner>) -> Result<Claim, StoreError> {
    let row = sqlx::query(
        "INSERT INTO partitions AS p (topic, number, log, owner, epoch) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (topic, number) DO UPDATE SET owner = coalesce(excluded.owner, p.owner) WHERE p.log = excluded.log
         RETURNING next, epoch, mark_key, mark_timestamp_ms",
    )
    .bind(&*partition.topic)
    .bind(i64::from(partition.number))
    .bind(&*partition.log)
    .bind(owner.map(|owner| owner.0))
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

async fn other_log(connection: &mut PgConnection, partition: &PartitionKey) -> StoreError {
    let row = sqlx::query("SELECT log FROM partitions WHERE topic = $1 AND number = $2")
        .bind(&*partition.topic)
        .bind(i64::from(partition.number))
        .fetch_one(connection)
        .await;
    row.and_then(|row| row.try_get(0)).map_or_else(failed, StoreError::OtherLog)
}

/// [`crate::store::Store::renumber`].
pub(super) async fn renumber(connection: &mut PgConnection, partition: &PartitionKey, owner: Owner) -> Result<Epoch, StoreError> {
    let epoch = Epoch::random();
    let done = sqlx::query("UPDATE partitions SET epoch = $5 WHERE topic = $1 AND number = $2 AND log = $3 AND owner = $4")
        .bind(&*partition.topic)
        .bind(i64::from(partition.number))
        .bind(&*partition.log)
        .bind(owner.0)
        .bind(epoch.0.cast_signed())
        .execute(connection)
        .await
        .map_err(failed)?;
    if done.rows_affected() == 0 { Err(StoreError::Fenced) } else { Ok(epoch) }
}

/// [`crate::store::Store::adopt`]. The row keeps its number, which the ids of its messages name.
pub(super) async fn adopt(connection: &mut PgConnection, partition: &PartitionKey, next: u64) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO partitions (topic, number, log, next, epoch) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (topic, number) DO UPDATE
         SET log = excluded.log, next = excluded.next, owner = NULL, mark_key = NULL, mark_timestamp_ms = NULL",
    )
    .bind(&*partition.topic)
    .bind(i64::from(partition.number))
    .bind(&*partition.log)
    .bind(signed(next)?)
    .bind(Epoch::random().0.cast_signed())
    .execute(connection)
    .await
    .map(drop)
    .map_err(failed)
}

pub(super) async fn is_owner(connection: &mut PgConnection, partition: &PartitionKey, owner: Owner) -> Result<bool, StoreError> {
    let row = sqlx::query("SELECT 1 FROM partitions WHERE topic = $1 AND number = $2 AND log = $3 AND owner = $4")
        .bind(&*partition.topic)
        .bind(i64::from(partition.number))
        .bind(&*partition.log)
        .bind(owner.0)
        .fetch_optional(connection)
        .await
        .map_err(failed)?;
    Ok(row.is_some())
}
