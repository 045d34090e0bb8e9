//! One batch in one trip, as columns for the function that the migration made.

use std::collections::BTreeSet;

use sqlx::{PgConnection, Row};
use uuid::Uuid;

use super::error::failed;
use crate::message::{Epoch, Message, UserName};
use crate::store::sql::{headers_to_json, signed, storable_time, unsigned};
use crate::store::{Append, Appended, StoreError};

/// A batch column by column, a line for each message; the names of destinations once each, in the order of their bytes.
#[derive(Debug, Default)]
struct Columns<'a> {
    names: Vec<&'a str>,
    offsets: Vec<i64>,
    ids: Vec<Uuid>,
    /// Which of the names, counted from 1 as SQL does.
    places: Vec<i32>,
    timestamps: Vec<i64>,
    senders: Vec<Option<&'a str>>,
    sessions: Vec<Option<&'a str>>,
    content_types: Vec<Option<&'a str>>,
    header_lists: Vec<Option<String>>,
    bodies: Vec<&'a [u8]>,
}

impl<'a> Columns<'a> {
    /// What no server would take is rejected here, and costs no trip.
    fn new(messages: impl ExactSizeIterator<Item = (u64, &'a Message)> + Clone) -> Result<Self, StoreError> {
        let names: BTreeSet<&str> = messages.clone().map(|(_, message)| message.destination.as_str()).collect();
        let mut columns = Self { names: names.into_iter().collect(), ..Self::default() };
        for (offset, message) in messages {
            columns.push(offset, message)?;
        }
        Ok(columns)
    }

    fn push(&mut self, offset: u64, message: &'a Message) -> Result<(), StoreError> {
        let place = self.names.binary_search(&message.destination.as_str()).map_or(0, |index| index + 1);
        self.offsets.push(signed(offset)?);
        self.ids.push(message.id);
        self.places.push(i32::try_from(place).unwrap_or(i32::MAX));
        self.timestamps.push(storable_time(message.timestamp_ms)?);
        self.senders.push(storable_text("its sender", message.sender.as_ref().map(UserName::as_str))?);
        self.sessions.push(storable_text("its session", message.session.as_deref())?);
        self.content_types.push(storable_text("its content type", message.content_type.as_deref())?);
        // In JSON a NUL is an escape, and so no NUL.
        self.header_lists.push(headers_to_json(&message.headers)?);
        self.bodies.push(&message.body);
        Ok(())
    }
}

/// PostgreSQL's texts can't hold a NUL.
fn storable_text<'a>(what: &str, text: Option<&'a str>) -> Result<Option<&'a str>, StoreError> {
    match text {
        Some(text) if text.contains('\0') => Err(StoreError::Rejected(format!("{what} has a NUL"))),
        text => Ok(text),
    }
}

/// [`crate::store::Store::append`].
pub(super) async fn append(connection: &mut PgConnection, batch: &Append) -> Result<Vec<Appended>, StoreError> {
    let columns = Columns::new(batch.messages.iter().map(|(offset, message)| (*offset, &**message)))?;
    let row = sqlx::query(
        "SELECT verdict, numbering, outcomes, sequences
         FROM append_1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)",
    )
    .bind(&*batch.partition.topic)
    .bind(i64::from(batch.partition.number))
    .bind(&*batch.partition.log)
    .bind(batch.owner.0)
    .bind(signed(batch.at_least)?)
    .bind(signed(batch.end)?)
    .bind(batch.mark.as_ref().map(|mark| &mark.key[..]))
    .bind(batch.mark.as_ref().map(|mark| mark.timestamp_ms))
    .bind(columns.names)
    .bind(columns.offsets)
    .bind(columns.ids)
    .bind(columns.places)
    .bind(columns.timestamps)
    .bind(columns.senders)
    .bind(columns.sessions)
    .bind(columns.content_types)
    .bind(columns.header_lists)
    .bind(columns.bodies)
    .fetch_one(connection)
    .await
    .map_err(failed)?;
    match row.try_get(0).map_err(failed)? {
        "stored" => {}
        "fenced" => return Err(StoreError::Fenced),
        "behind" => return Err(StoreError::Behind),
        other => return Err(StoreError::Corrupt(format!("it judged a batch to be {other}"))),
    }
    let epoch = Epoch(row.try_get::<i64, _>(1).map_err(failed)?.cast_unsigned());
    // Of a batch without messages there is none.
    let outcomes: Vec<i16> = row.try_get::<Option<_>, _>(2).map_err(failed)?.unwrap_or_default();
    let sequences: Vec<i64> = row.try_get::<Option<_>, _>(3).map_err(failed)?.unwrap_or_default();
    if (outcomes.len(), sequences.len()) != (batch.messages.len(), batch.messages.len()) {
        return Err(StoreError::Corrupt(format!("it answered {} of {} messages", outcomes.len(), batch.messages.len())));
    }
    outcomes.into_iter().zip(sequences).map(|(outcome, sequence)| appended(outcome, epoch, unsigned(sequence)?)).collect()
}

fn appended(outcome: i16, epoch: Epoch, sequence: u64) -> Result<Appended, StoreError> {
    Ok(match outcome {
        0 | 1 => Appended::Stored { epoch, sequence },
        2 => Appended::Known { epoch, sequence },
        3 => Appended::PassedOver,
        other => return Err(StoreError::Corrupt(format!("it has an outcome {other}"))),
    })
}
