//! What PostgreSQL itself says, read past the nodes.

use std::collections::BTreeMap;
use std::time::Duration;

use footfall::message::{Epoch, Position};
use sqlx::{Connection, PgConnection, Row as _};
use tokio::time::timeout;
use uuid::Uuid;

use crate::checker::{Database, Row};

/// Who owns each partition: a token that is new with each claim.
pub(super) type Owners = BTreeMap<i32, String>;

/// The rows of the database. Each look has a connection of its own, since the server may have been killed in between.
#[derive(Clone)]
pub(super) struct Rows {
    url: String,
}

impl Rows {
    pub(super) fn new(url: String) -> Self {
        Self { url }
    }

    /// All rows and heads of the destinations that begin so.
    pub(super) async fn read(&self, prefix: &str) -> Database {
        let mut postgres = self.connect().await;
        // Heads and rows of one moment.
        sqlx::query("BEGIN ISOLATION LEVEL REPEATABLE READ").execute(&mut postgres).await.unwrap();
        let mut database = Database::default();
        let messages = "SELECT d.name, m.sequence, m.id::text FROM messages AS m JOIN destinations AS d ON d.id = m.destination \
                        WHERE starts_with(d.name, $1) ORDER BY d.name, m.sequence";
        for row in sqlx::query(messages).bind(prefix).fetch_all(&mut postgres).await.unwrap() {
            let (name, sequence, id): (String, i64, String) = (row.get(0), row.get(1), row.get(2));
            let id = Uuid::parse_str(id.trim_start_matches("\\x")).unwrap();
            database.rows.entry(name).or_default().push(Row { sequence: sequence.try_into().unwrap(), id });
        }
        // Which partition numbers a destination, the ids know. A destination without any row has a head all the same, which
        // the checker is to see.
        let heads = "SELECT d.name, d.head, array_agg(DISTINCT p.epoch) FILTER (WHERE p.epoch IS NOT NULL) FROM destinations AS d \
                     LEFT JOIN messages AS m ON m.destination = d.id LEFT JOIN message_ids AS i ON i.id = m.id \
                     LEFT JOIN partitions AS p ON p.id = i.partition \
                     WHERE starts_with(d.name, $1) GROUP BY d.id";
        for row in sqlx::query(heads).bind(prefix).fetch_all(&mut postgres).await.unwrap() {
            let (name, head, epochs): (String, i64, Option<Vec<i64>>) = (row.get(0), row.get(1), row.get(2));
            let epochs = epochs.unwrap_or_default();
            assert!(epochs.len() <= 1, "{name} is numbered by two partitions: {epochs:?}");
            let epoch = Epoch(epochs.first().map_or(0, |epoch| epoch.cast_unsigned()));
            database.heads.insert(name, Position { epoch, sequence: head.try_into().unwrap() });
        }
        database
    }

    /// How far each partition is stored: the offset after the last record.
    pub(super) async fn next(&self) -> BTreeMap<i32, i64> {
        let next = sqlx::query("SELECT number::int, next FROM partitions").fetch_all(&mut self.connect().await).await.unwrap();
        next.iter().map(|row| (row.get(0), row.get(1))).collect()
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Which incarnation of the events topic it was filled from.
    pub(super) async fn log(&self) -> String {
        sqlx::query_scalar("SELECT log FROM partitions LIMIT 1").fetch_one(&mut self.connect().await).await.unwrap()
    }

    pub(super) async fn owners(&self) -> Owners {
        let mut postgres = self.connect().await;
        let owners = "SELECT number::int, coalesce(owner::text, '') FROM partitions ORDER BY number";
        let owners = sqlx::query(owners).fetch_all(&mut postgres).await.unwrap();
        owners.iter().map(|row| (row.get(0), row.get(1))).collect()
    }

    /// Locks the rows of all partitions, so that whatever is to be stored waits inside its transaction until what this
    /// answers is dropped or closed. None if somebody else holds one of them for so long.
    pub(super) async fn hold_partitions(&self, at_most: Duration) -> Option<PgConnection> {
        let mut postgres = self.connect().await;
        let holding = async {
            sqlx::query("BEGIN").execute(&mut postgres).await.unwrap();
            sqlx::query("SELECT id FROM partitions FOR UPDATE").fetch_all(&mut postgres).await.unwrap();
        };
        timeout(at_most, holding).await.ok()?;
        Some(postgres)
    }

    /// How many transactions wait for a lock.
    pub(super) async fn waiting(&self) -> i64 {
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
        sqlx::query_scalar(waiting).fetch_one(&mut self.connect().await).await.unwrap()
    }

    pub(super) async fn connect(&self) -> PgConnection {
        PgConnection::connect(&self.url).await.unwrap()
    }
}
