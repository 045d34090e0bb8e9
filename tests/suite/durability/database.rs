//! What the database itself says, read past the broker.

use std::path::Path;

use footfall::message::{Epoch, Position};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Row as _};
use uuid::Uuid;

use crate::checker::{Database, Row};

/// All rows, and the heads of all destinations that were ever written.
pub(crate) async fn read(path: &Path) -> Database {
    let mut sqlite = SqliteConnectOptions::new().filename(path).connect().await.unwrap();
    let answers = sqlx::query("PRAGMA integrity_check").fetch_all(&mut sqlite).await.unwrap();
    let answers: Vec<String> = answers.iter().map(|row| row.get(0)).collect();
    assert_eq!(answers, ["ok"]);

    let mut database = Database::default();
    let messages = "SELECT d.name, m.sequence, m.id FROM messages AS m JOIN destinations AS d ON d.id = m.destination ORDER BY 1, 2";
    for row in sqlx::query(messages).fetch_all(&mut sqlite).await.unwrap() {
        let (name, sequence, id): (String, i64, Vec<u8>) = (row.get(0), row.get(1), row.get(2));
        let row = Row { sequence: sequence.try_into().unwrap(), id: Uuid::from_slice(&id).unwrap() };
        database.rows.entry(name).or_default().push(row);
    }
    // Which partition numbers a destination, the ids know.
    let heads = "SELECT DISTINCT d.name, d.head, p.epoch FROM destinations AS d \
                 JOIN message_ids AS i ON i.destination = d.id JOIN partitions AS p ON p.id = i.partition";
    for row in sqlx::query(heads).fetch_all(&mut sqlite).await.unwrap() {
        let (name, head, epoch): (String, i64, i64) = (row.get(0), row.get(1), row.get(2));
        let position = Position { epoch: Epoch(epoch.cast_unsigned()), sequence: head.try_into().unwrap() };
        let two = database.heads.insert(name, position);
        assert_eq!(two, None, "one destination is numbered by two partitions");
    }
    database
}
