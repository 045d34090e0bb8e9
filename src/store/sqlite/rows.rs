//! Messages as rows and back, and many rows in one statement.

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{AssertSqlSafe, Row, Sqlite, SqliteConnection};
use uuid::Uuid;

use super::error::failed;
use crate::message::{Destination, Epoch, Message, Position, RenderedOnce, UserName};
use crate::store::StoreError;
use crate::store::sql::{headers_from_json, headers_to_json, signed, storable_time, unsigned};

type Query<'q> = sqlx::query::Query<'q, Sqlite, SqliteArguments>;

/// A message that gets a row.
#[derive(Debug)]
pub(super) struct NewRow<'a> {
    pub(super) message: &'a Message,
    pub(super) destination: i64,
    pub(super) sequence: u64,
    pub(super) partition: i64,
    pub(super) offset: u64,
    pub(super) stored_ms: i64,
}

static INSERT_MESSAGES: LazyLock<Vec<ManyRows>> = LazyLock::new(|| {
    ManyRows::all("INSERT INTO messages (destination, sequence, id, timestamp_ms, sender, session, content_type, headers, body) VALUES ", 9)
});

static INSERT_IDS: LazyLock<Vec<ManyRows>> =
    LazyLock::new(|| ManyRows::all("INSERT INTO message_ids (id, sequence, partition, record_offset, stored_ms) VALUES ", 5));

/// One statement that inserts a fixed number of rows. Every statement is a trip to the connection's thread and back,
/// so many rows share one; only few sizes exist, so all of them stay prepared.
#[derive(Debug)]
struct ManyRows {
    rows: usize,
    sql: Arc<str>,
}

impl ManyRows {
    fn all(insert: &str, columns: usize) -> Vec<Self> {
        let row = format!("({})", vec!["?"; columns].join(","));
        [128, 32, 8, 1].map(|rows| Self { rows, sql: format!("{insert}{}", vec![row.as_str(); rows].join(",")).into() }).into()
    }
}

pub(super) async fn insert(connection: &mut SqliteConnection, rows: &[NewRow<'_>]) -> Result<(), StoreError> {
    insert_with(connection, &INSERT_MESSAGES, rows, bind_message).await?;
    insert_with(connection, &INSERT_IDS, rows, bind_id).await
}

async fn insert_with(
    connection: &mut SqliteConnection,
    statements: &[ManyRows],
    mut rows: &[NewRow<'_>],
    bind: for<'q> fn(Query<'q>, &NewRow<'_>) -> Result<Query<'q>, StoreError>,
) -> Result<(), StoreError> {
    for statement in statements {
        while rows.len() >= statement.rows {
            let (now, rest) = rows.split_at(statement.rows);
            rows = rest;
            let mut query = sqlx::query(AssertSqlSafe(Arc::clone(&statement.sql)));
            for row in now {
                query = bind(query, row)?;
            }
            query.execute(&mut *connection).await.map_err(failed)?;
        }
    }
    Ok(())
}

fn bind_message<'q>(query: Query<'q>, row: &NewRow<'_>) -> Result<Query<'q>, StoreError> {
    let message = row.message;
    Ok(query
        .bind(row.destination)
        .bind(signed(row.sequence)?)
        .bind(message.id.as_bytes().to_vec())
        .bind(storable_time(message.timestamp_ms)?)
        .bind(message.sender.as_ref().map(|name| name.as_str().to_owned()))
        .bind(message.session.as_deref().map(str::to_owned))
        .bind(message.content_type.as_deref().map(str::to_owned))
        .bind(headers_to_json(&message.headers)?)
        .bind(message.body.to_vec()))
}

fn bind_id<'q>(query: Query<'q>, row: &NewRow<'_>) -> Result<Query<'q>, StoreError> {
    Ok(query
        .bind(row.message.id.as_bytes().to_vec())
        .bind(signed(row.sequence)?)
        .bind(row.partition)
        .bind(signed(row.offset)?)
        .bind(row.stored_ms))
}

/// A message from a row of epoch, sequence, id, time, sender, session, content type, headers and body.
pub(super) fn message_of(row: &SqliteRow, destination: &Destination) -> Result<Message, StoreError> {
    let epoch = Epoch(row.try_get::<i64, _>(0).map_err(failed)?.cast_unsigned());
    let sequence = unsigned(row.try_get(1).map_err(failed)?)?;
    let sender: Option<&str> = row.try_get(4).map_err(failed)?;
    let text = |column: usize| row.try_get::<Option<&str>, _>(column).map(|text| text.map(Arc::from)).map_err(failed);
    Ok(Message {
        id: uuid_of(row.try_get(2).map_err(failed)?)?,
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

pub(super) fn uuid_of(bytes: &[u8]) -> Result<Uuid, StoreError> {
    Uuid::from_slice(bytes).map_err(|_| StoreError::Corrupt("an id is not 16 bytes long".into()))
}
