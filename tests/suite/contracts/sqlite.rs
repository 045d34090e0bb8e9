//! The SQLite store: the contract, and what only a file can do.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::ffi::OsString;
use std::fs::DirEntry;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use footfall::message::{HumanDuration, Message, new_id};
use footfall::store::{Keep, Schema, SqliteSettings, SqliteStore, Store, StoreError};
use sqlx::{Connection, Executor, SqliteConnection};
use tempfile::TempDir;

use super::store::{Home, Writer, message, message_with, of_token, partition, revoked, store_contract, topic};

struct SqliteHome {
    settings: SqliteSettings,
    _directory: TempDir,
}

impl SqliteHome {
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        // One directory more, which the store has to make.
        let path = directory.path().join("data").join("footfall.db");
        Self { settings: SqliteSettings { path, ..SqliteSettings::default() }, _directory: directory }
    }

    /// Past the store, as any other program would.
    async fn file(&self) -> SqliteConnection {
        SqliteConnection::connect(self.settings.path.to_str().unwrap()).await.unwrap()
    }

    async fn refusal(&self) -> String {
        match SqliteStore::open(&self.settings).await {
            Err(StoreError::Unusable(what)) => what,
            other => panic!("{other:?}"),
        }
    }
}

impl Home for SqliteHome {
    async fn open(&self) -> Arc<dyn Store> {
        Arc::new(SqliteStore::open(&self.settings).await.unwrap())
    }
}

store_contract!(SqliteHome::new());

#[tokio::test]
async fn a_second_process_is_told_that_there_is_one() {
    let home = SqliteHome::new();
    let store = home.open().await;
    assert!(home.refusal().await.contains("another footfall process"));
    store.close().await;
    home.open().await.close().await;
    // Without close the writer still ends, soon.
    drop(home.open().await);
    tokio::time::timeout(Duration::from_secs(10), async {
        while SqliteStore::open(&home.settings).await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_file_of_a_newer_footfall_is_left_alone() {
    let home = SqliteHome::new();
    home.open().await.close().await;
    let insert = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (7, 'x', 1, x'00', 0)";
    home.file().await.execute(insert).await.unwrap();
    let what = home.refusal().await;
    assert!(what.contains("schema 7") && what.contains("newer footfall"), "{what}");
}

#[tokio::test]
async fn a_file_of_a_newer_footfall_that_stands_beside_this_one_is_used() {
    let home = SqliteHome::new();
    home.open().await.close().await;
    let insert = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
        VALUES (7, 'pins, beside 1', 1, x'00', 0)";
    home.file().await.execute(insert).await.unwrap();
    let mut log = Writer::claim(&home.open().await, 0).await;
    log.append(&[message(&topic("a"))]).await;
    assert_eq!(SqliteStore::look(&home.settings).await.unwrap().schema, Schema::Newer { version: 7 });
}

#[tokio::test]
async fn a_file_without_revocations_gets_them() {
    let home = SqliteHome::new();
    let mut log = Writer::claim(&home.open().await, 0).await;
    log.append(&[message(&topic("a"))]).await;
    log.store.close().await;
    home.file().await.execute("DROP TABLE revocations; DELETE FROM _sqlx_migrations WHERE version = 2").await.unwrap();
    assert_eq!(SqliteStore::look(&home.settings).await.unwrap().schema, Schema::Older { version: 1, pending: 1 });
    let log = Writer::claim(&home.open().await, 0).await;
    log.store.revoke(of_token("j", u64::MAX)).await.unwrap();
    assert_eq!((revoked(&log.store).await.len(), log.all(&topic("a")).await.len()), (1, 1));
}

fn files(directory: &Path) -> Vec<(OsString, Vec<u8>)> {
    let file = |entry: DirEntry| (entry.file_name(), std::fs::read(entry.path()).unwrap());
    let mut files: Vec<_> = std::fs::read_dir(directory).unwrap().map(|entry| file(entry.unwrap())).collect();
    files.sort();
    files
}

#[tokio::test]
async fn a_look_makes_and_changes_nothing() {
    let home = SqliteHome::new();
    let directory = home.settings.path.parent().unwrap();
    let look = async || SqliteStore::look(&home.settings).await.unwrap();
    assert_eq!(look().await.schema, Schema::Absent);
    assert!(!directory.exists());

    let store = home.open().await;
    assert_eq!(look().await.schema, Schema::Current { version: 2 }, "beside a node, from what is not in the file yet");
    store.close().await;
    let before = files(directory);
    assert_eq!(look().await.schema, Schema::Current { version: 2 });
    assert!(files(directory) == before, "{:?}", std::fs::read_dir(directory).unwrap().collect::<Vec<_>>());

    std::fs::write(&home.settings.path, "").unwrap();
    assert_eq!(look().await.schema, Schema::Absent);
    std::fs::write(&home.settings.path, "somebody's letters".repeat(100)).unwrap();
    let what = SqliteStore::look(&home.settings).await.unwrap_err().to_string();
    assert!(what.contains("footfall.db") && what.contains("not a database"), "{what}");
    assert_eq!(std::fs::metadata(&home.settings.path).unwrap().len(), 1_800);
}

#[tokio::test]
async fn a_partition_has_one_log() {
    let home = SqliteHome::new();
    Writer::claim(&home.open().await, 0).await;
    let second = "INSERT INTO partitions (log, topic, number, epoch) SELECT 'log-2', topic, number, 1 FROM partitions";
    let refused = home.file().await.execute(second).await.unwrap_err().to_string();
    assert!(refused.contains("UNIQUE"), "{refused}");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_left_alone() {
    let home = SqliteHome::new();
    std::fs::create_dir_all(home.settings.path.parent().unwrap()).unwrap();
    let text = "no database, but somebody's letters".repeat(100);
    std::fs::write(&home.settings.path, &text).unwrap();
    assert!(home.refusal().await.contains("not a database"));
    assert_eq!(std::fs::read_to_string(&home.settings.path).unwrap(), text);
}

#[tokio::test]
async fn the_file_is_as_durable_as_receipts_promise() {
    let home = SqliteHome::new();
    let mut log = Writer::claim(&home.open().await, 0).await;
    log.append(&[message(&topic("a"))]).await;
    let (mode,): (String,) = sqlx::query_as("PRAGMA journal_mode").fetch_one(&mut home.file().await).await.unwrap();
    assert_eq!(mode, "wal");
    log.store.close().await;
    let wal = home.settings.path.with_extension("db-wal");
    assert!(!wal.exists(), "a closed store leaves one file to copy");
}

fn filling(count: usize) -> Vec<Arc<Message>> {
    (0..count).map(|_| message_with(&topic("a"), new_id(), 0, Bytes::from(vec![1; 4_000]))).collect()
}

/// Appends until the file is full; the writer, and how many messages it holds.
async fn full(home: &SqliteHome) -> (Writer, u64) {
    let mut log = Writer::claim(&home.open().await, 0).await;
    loop {
        let batch = log.batch(&filling(10));
        match log.store.append(batch.clone()).await {
            Ok(_) => log.next = batch.end,
            Err(error) => {
                assert!(error.is_retryable(), "{error:?}");
                let kept = log.store.kept(partition(0), topic("a")).await.unwrap();
                assert_eq!(kept.head, log.next, "nothing of the batch was stored");
                assert!(log.store.append(batch).await.unwrap_err().is_retryable(), "and it stays so");
                return (log, kept.head);
            }
        }
    }
}

#[tokio::test]
async fn a_full_disk_refuses_until_retention_makes_room() {
    let mut home = SqliteHome::new();
    home.settings.max_size_mib = Some(1);
    let (mut log, head) = full(&home).await;
    assert!((100..256).contains(&head), "{head}");
    log.store.check().await.unwrap();
    assert_eq!(log.store.trim(topic("a"), Keep { count: Some(20), not_before_ms: None }).await.unwrap(), head - 20);
    log.append(&filling(10)).await;
    assert_eq!(log.all(&topic("a")).await.len(), 30);
    assert_eq!(Writer::claim(&log.store, 0).await.next, head + 10);
}

#[tokio::test]
async fn a_full_disk_that_grew_is_written_again() {
    let mut home = SqliteHome::new();
    home.settings.max_size_mib = Some(1);
    let (log, head) = full(&home).await;
    log.store.close().await;
    home.settings.max_size_mib = Some(2);
    let mut log = Writer::claim(&home.open().await, 0).await;
    assert_eq!(log.next, head);
    log.append(&filling(10)).await;
    assert_eq!(log.all(&topic("a")).await.len() as u64, head + 10);
}

#[tokio::test]
async fn a_file_that_another_program_holds_is_waited_for_and_then_refused() {
    let mut home = SqliteHome::new();
    home.settings.busy_timeout = HumanDuration::from_millis(50);
    let mut log = Writer::claim(&home.open().await, 0).await;
    let mut other = home.file().await;
    other.execute("BEGIN IMMEDIATE").await.unwrap();
    let batch = log.batch(&[message(&topic("a"))]);
    assert!(log.store.append(batch.clone()).await.unwrap_err().is_retryable());
    assert!(log.store.forget_ids(Duration::ZERO).await.unwrap_err().is_retryable());
    assert!(log.store.revoke(of_token("j", u64::MAX)).await.unwrap_err().is_retryable());
    assert_eq!(revoked(&log.store).await, []);
    assert_eq!(log.store.kept(partition(0), topic("a")).await.unwrap().head, 0, "reads go on");
    other.execute("ROLLBACK").await.unwrap();
    assert_eq!(log.store.append(batch).await.unwrap().len(), 1);
    log.next = 1;
    log.append(&[message(&topic("a"))]).await;
}

#[tokio::test]
async fn a_file_that_was_tampered_with_is_corrupt() {
    let home = SqliteHome::new();
    let mut log = Writer::claim(&home.open().await, 0).await;
    log.append(&[message(&topic("a"))]).await;
    home.file().await.execute("UPDATE messages SET headers = '{'").await.unwrap();
    let page = log.store.page(partition(0), topic("a"), 0, 9, footfall::store::PageLimit::REPLAY).await;
    assert!(matches!(page, Err(StoreError::Corrupt(_))));
    home.file().await.execute("DROP TABLE messages").await.unwrap();
    let append = log.store.append(log.batch(&[message(&topic("a"))])).await;
    assert!(matches!(append, Err(StoreError::Corrupt(_))), "{append:?}");
}
