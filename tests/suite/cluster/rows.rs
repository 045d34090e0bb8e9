//! What PostgreSQL itself says, read past the nodes.

use std::collections::BTreeMap;

use footfall::message::{Epoch, Position};
use sqlx::{Connection, PgConnection, Row as _};
use uuid::Uuid;

use crate::checker::{Database, Row};

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
        // Which partition numbers a destination, the ids know.
        let heads = "SELECT DISTINCT d.name, d.head, p.epoch FROM destinations AS d \
                     JOIN messages AS m ON m.destination = d.id JOIN message_ids AS i ON i.id = m.id \
                     JOIN partitions AS p ON p.id = i.partition \
                     WHERE starts_with(d.name, $1)";
        for row in sqlx::query(heads).bind(prefix).fetch_all(&mut postgres).await.unwrap() {
            let (name, head, epoch): (String, i64, i64) = (row.get(0), row.get(1), row.get(2));
            let position = Position { epoch: Epoch(epoch.cast_unsigned()), sequence: head.try_into().unwrap() };
            let two = database.heads.insert(name, position);
            assert_eq!(two, None, "one destination is numbered by two partitions");
        }
        database
    }

    /// How far each partition is stored: the offset after the last record.
    pub(super) async fn next(&self) -> BTreeMap<i32, i64> {
        let next = sqlx::query("SELECT number::int, next FROM partitions").fetch_all(&mut self.connect().await).await.unwrap();
        next.iter().map(|row| (row.get(0), row.get(1))).collect()
    }

    /// Who owns each partition: a token that is new with each claim.
    pub(super) async fn owners(&self) -> BTreeMap<i32, String> {
        let mut postgres = self.connect().await;
        let owners = "SELECT number::int, coalesce(owner::text, '') FROM partitions ORDER BY number";
        let owners = sqlx::query(owners).fetch_all(&mut postgres).await.unwrap();
        owners.iter().map(|row| (row.get(0), row.get(1))).collect()
    }

    /// Locks the rows of all partitions, so that whatever is to be stored waits inside its transaction until what this
    /// answers is dropped or closed.
    pub(super) async fn hold_partitions(&self) -> PgConnection {
        let mut postgres = self.connect().await;
        sqlx::query("BEGIN").execute(&mut postgres).await.unwrap();
        sqlx::query("SELECT id FROM partitions FOR UPDATE").fetch_all(&mut postgres).await.unwrap();
        postgres
    }

    /// How many transactions wait for a lock.
    pub(super) async fn waiting(&self) -> i64 {
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
        sqlx::query_scalar(waiting).fetch_one(&mut self.connect().await).await.unwrap()
    }

    async fn connect(&self) -> PgConnection {
        PgConnection::connect(&self.url).await.unwrap()
    }
}
