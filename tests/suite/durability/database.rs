//! What the database itself says, read past the broker.

use std::collections::BTreeMap;
use std::path::Path;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Row as _};
use uuid::Uuid;

use super::checker::Row;

/// Rows and heads by destination.
pub(crate) async fn read(path: &Path) -> (BTreeMap<String, Vec<Row>>, BTreeMap<String, u64>) {
    let mut database = SqliteConnectOptions::new().filename(path).connect().await.unwrap();
    let answers = sqlx::query("PRAGMA integrity_check").fetch_all(&mut database).await.unwrap();
    let answers: Vec<String> = answers.iter().map(|row| row.get(0)).collect();
    assert_eq!(answers, ["ok"]);

    let mut rows: BTreeMap<String, Vec<Row>> = BTreeMap::new();
    let messages = "SELECT d.name, m.sequence, m.id FROM messages AS m JOIN destinations AS d ON d.id = m.destination ORDER BY 1, 2";
    for row in sqlx::query(messages).fetch_all(&mut database).await.unwrap() {
        let (name, sequence, id): (String, i64, Vec<u8>) = (row.get(0), row.get(1), row.get(2));
        rows.entry(name).or_default().push(Row { sequence: sequence.try_into().unwrap(), id: Uuid::from_slice(&id).unwrap() });
    }
    let heads = sqlx::query("SELECT name, head FROM destinations").fetch_all(&mut database).await.unwrap();
    let heads = heads.iter().map(|row| (row.get(0), row.get::<i64, _>(1).try_into().unwrap())).collect();
    (rows, heads)
}
