//! Opening a PostgreSQL database, or only looking at it: who may, which schema is there, and which nodes work with it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use footfall::store::{Kept, Looked, PostgresSettings, PostgresStore, Schema, Store, StoreError};
use sqlx::{AssertSqlSafe, Executor, Row};
use tokio::task::spawn_blocking;
use xtask::services::{Port, Postgres, PostgresOptions};

use super::postgres::PostgresHome;
use super::store::{Home, Writer, message, of_token, partition, revoked, topic};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_open_a_new_database_at_once() {
    let home = PostgresHome::new();
    let (one, two, three) = tokio::join!(home.open(), home.open(), home.open());
    let mut log = Writer::claim(&one, 0).await;
    log.append(&[message(&topic("a"))]).await;
    for store in [two, three] {
        assert_eq!(store.kept(partition(0), topic("a")).await.unwrap(), Kept { epoch: log.epoch, head: 1, first: 1 });
    }
    let row = home.connection().await.fetch_one("SELECT count(*) FROM _sqlx_migrations WHERE success").await.unwrap();
    assert_eq!(row.get::<i64, _>(0), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_of_a_newer_footfall_is_left_alone() {
    let home = PostgresHome::new();
    home.open().await.close().await;
    let insert = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (7, 'x', true, '', 0)";
    home.connection().await.execute(insert).await.unwrap();
    let what = home.refusal().await;
    assert!(what.contains("schema 7") && what.contains("newer footfall"), "{what}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_starts_in_the_middle_of_a_roll_uses_what_stands_beside_it() {
    let home = PostgresHome::new();
    home.open().await.close().await;
    let insert = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
        VALUES (7, 'pins, beside 1', true, '', 0)";
    home.connection().await.execute(insert).await.unwrap();
    let mut log = Writer::claim(&home.open().await, 0).await;
    log.append(&[message(&topic("a"))]).await;
    assert_eq!(PostgresStore::look(&home.settings).await.unwrap().schema, Schema::Newer { version: 7 });
}

/// As the first of a roll finds it, while nodes of the version before go on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_without_revocations_gets_them() {
    let home = PostgresHome::new();
    let mut log = Writer::claim(&home.open().await, 0).await;
    log.append(&[message(&topic("a"))]).await;
    let back = "DROP TABLE revocations; DELETE FROM _sqlx_migrations WHERE version = 2";
    sqlx::raw_sql(back).execute(&mut home.connection().await).await.unwrap();
    assert_eq!(PostgresStore::look(&home.settings).await.unwrap().schema, Schema::Older { version: 1, pending: 1 });
    let store = home.open().await;
    store.revoke(of_token("j", u64::MAX)).await.unwrap();
    log.append(&[message(&topic("a"))]).await;
    assert_eq!((revoked(&store).await.len(), log.all(&topic("a")).await.len()), (1, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_look_changes_nothing_and_says_what_is_there() {
    let mut home = PostgresHome::new();
    let look = async || PostgresStore::look(&home.settings).await.unwrap();
    let Looked { place, schema, .. } = look().await;
    assert_eq!(schema, Schema::Absent);
    assert!(place.contains("home_"), "{place}");
    let tables = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace";
    assert_eq!(home.connection().await.fetch_one(tables).await.unwrap().get::<i64, _>(0), 0);

    home.open().await.close().await;
    let Looked { schema, warnings, .. } = look().await;
    assert_eq!(schema, Schema::Current { version: 2 });
    assert!(!warnings.iter().any(|warning| warning.contains("synchronous_commit") || warning.contains("only be read")), "{warnings:?}");
    let name = home.url.rsplit('/').next().unwrap().to_owned();
    let alter = format!("ALTER DATABASE {name} SET synchronous_commit = off; ALTER DATABASE {name} SET default_transaction_read_only = on");
    sqlx::raw_sql(AssertSqlSafe(alter)).execute(&mut home.connection().await).await.unwrap();
    let warnings = look().await.warnings.concat();
    assert!(warnings.contains("synchronous_commit is off") && warnings.contains("only be read"), "{warnings}");

    home.settings.url = format!("{}_that_nobody_made", home.url).into();
    let what = PostgresStore::look(&home.settings).await.unwrap_err().to_string();
    assert!(what.contains("does not exist") && what.contains("home_"), "{what}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_not_come_in_is_told_why_and_no_password_is_shown() {
    let mut home = PostgresHome::new();
    let there = home.url.clone();
    home.settings.url = format!("{there}_that_nobody_made").into();
    let what = home.refusal().await;
    assert!(what.contains("does not exist") && what.contains("home_"), "{what}");

    let mut connection = home.connection().await;
    let name = there.rsplit('/').next().unwrap();
    let guest = format!("guest_of_{name}");
    // Who may connect and make nothing.
    connection.execute(AssertSqlSafe(format!("CREATE ROLE {guest} LOGIN"))).await.unwrap();
    let guests = there.replace("//postgres@", &format!("//{guest}:canary-7f3a@"));
    home.settings.url = guests.clone().into();
    let what = home.refusal().await;
    assert!(what.contains("permission denied") && !what.contains("canary"), "{what}");

    // Once an administrator made the tables and gave the rights, there is nothing left to make.
    home.settings.url = there.into();
    home.open().await.close().await;
    let grant = format!("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {guest}");
    connection.execute(AssertSqlSafe(grant)).await.unwrap();
    home.settings.url = guests.into();
    let mut log = Writer::claim(&home.open().await, 0).await;
    log.append(&[message(&topic("a"))]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_starts_beside_us_is_waited_for_and_wants_its_password() {
    let folder = xtask::services::scratch().unwrap();
    let path = folder.path().join("postgres");
    let options = PostgresOptions { password: Some("canary-7f3a".to_owned()), ..PostgresOptions::default() };
    let server = spawn_blocking(move || Postgres::new(&path, Port::free().unwrap(), options).unwrap()).await.unwrap();
    let without = server.url("postgres").replace(":canary-7f3a@", "@");
    let with =
        |password: &str| PostgresSettings { url: without.clone().into(), password: Some(password.into()), ..PostgresSettings::default() };
    let start = spawn_blocking(move || server.start().map(|()| server));
    let store = PostgresStore::open(&with("canary-7f3a")).await.unwrap();
    store.check().await.unwrap();
    assert!(!format!("{store:?}").contains("canary"), "{store:?}");
    let Err(StoreError::Unusable(what)) = PostgresStore::open(&with("canary-other")).await else { panic!("it was let in") };
    assert!(what.contains("password") && !what.contains("canary"), "{what}");
    drop(start.await.unwrap().unwrap());
}
