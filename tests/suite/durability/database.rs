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
    // Which partition numbers a destination, the ids know. A destination without any row has a head all the same, which
    // the checker is to see.
    let heads = "SELECT d.name, d.head, min(p.epoch), max(p.epoch) FROM destinations AS d \
                 LEFT JOIN messages AS m ON m.destination = d.id LEFT JOIN message_ids AS i ON i.id = m.id \
                 LEFT JOIN partitions AS p ON p.id = i.partition GROUP BY d.id";
    for row in sqlx::query(heads).fetch_all(&mut sqlite).await.unwrap() {
        let (name, head, epoch, other): (String, i64, Option<i64>, Option<i64>) = (row.get(0), row.get(1), row.get(2), row.get(3));
        assert_eq!(epoch, other, "{name} is numbered by two partitions");
        let epoch = Epoch(epoch.unwrap_or_default().cast_unsigned());
        database.heads.insert(name, Position { epoch, sequence: head.try_into().unwrap() });
    }
    database
}
