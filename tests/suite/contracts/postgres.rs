//! The PostgreSQL store on a real server: the contract, and what only a shared database can do.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use footfall::store::{Append, Appended, Keep, Kept, Owner, PageLimit, PostgresSettings, PostgresStore, Store, StoreError};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Row};
use tokio::task::{block_in_place, spawn_blocking};
use uuid::Uuid;
use xtask::services::{Port, Postgres, PostgresOptions};

use super::store::{Home, Writer, many, message, partition, sequences, store_contract, topic};
use crate::support::servers;

/// A database of its own.
pub(crate) struct PostgresHome {
    pub(crate) settings: PostgresSettings,
    pub(crate) url: String,
}

impl PostgresHome {
    pub(crate) fn on(server: &Postgres) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("home_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        server.create_database(&name).unwrap();
        let url = server.url(&name);
        Self { settings: PostgresSettings { url: url.clone().into(), ..PostgresSettings::default() }, url }
    }

    fn new() -> Self {
        block_in_place(|| Self::on(servers::postgres()))
    }

    /// Past the store, as any other program would.
    pub(crate) async fn connection(&self) -> PgConnection {
        PgConnection::connect(&self.url).await.unwrap()
    }

    async fn refusal(&self) -> String {
        match PostgresStore::open(&self.settings).await {
            Err(StoreError::Unusable(what)) => what,
            other => panic!("{other:?}"),
        }
    }
}

impl Home for PostgresHome {
    async fn open(&self) -> Arc<dyn Store> {
        Arc::new(PostgresStore::open(&self.settings).await.unwrap())
    }
}

store_contract!(PostgresHome::new());

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
    assert_eq!(row.get::<i64, _>(0), 1);
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
async fn what_was_tampered_with_is_corrupt() {
    let home = PostgresHome::new();
    let mut log = Writer::claim(&home.open().await, 0).await;
    log.append(&[message(&topic("a"))]).await;
    home.connection().await.execute("UPDATE messages SET headers = '{'").await.unwrap();
    let page = log.store.page(partition(0), topic("a"), 0, 9, PageLimit::REPLAY).await;
    assert!(matches!(page, Err(StoreError::Corrupt(_))), "{page:?}");
    home.connection().await.execute("DROP TABLE messages").await.unwrap();
    let append = log.store.append(log.batch(&[message(&topic("a"))])).await;
    assert!(matches!(append, Err(StoreError::Corrupt(_))), "{append:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_can_only_be_read_is_away() {
    let home = PostgresHome::new();
    let log = Writer::claim(&home.open().await, 0).await;
    let name = home.url.rsplit('/').next().unwrap();
    let mut connection = home.connection().await;
    connection.execute(AssertSqlSafe(format!("ALTER DATABASE {name} SET default_transaction_read_only = on"))).await.unwrap();
    log.store.close().await;
    // As a failover leaves it; the schema is there already.
    let store: Arc<dyn Store> = home.open().await;
    let batch = log.batch(&[message(&topic("a"))]);
    assert!(store.append(batch.clone()).await.unwrap_err().is_retryable());
    assert!(store.check().await.unwrap_err().is_retryable());
    assert_eq!(store.kept(partition(0), topic("a")).await.unwrap().head, 0, "reads go on");
    connection.execute(AssertSqlSafe(format!("ALTER DATABASE {name} SET default_transaction_read_only = off"))).await.unwrap();
    store.check().await.unwrap();
    assert_eq!(store.append(batch).await.unwrap(), [Appended::Stored { epoch: log.epoch, sequence: 1 }]);
}

/// Two nodes that each take the partition for their own, over and over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_nodes_only_the_owner_writes() {
    let home = PostgresHome::new();
    let node = async |store: Arc<dyn Store>| {
        let (mut stored, mut fenced) = (Vec::new(), 0);
        while stored.len() < 200 || fenced < 10 {
            let mut log = Writer::claim(&store, 0).await;
            loop {
                let batch = log.batch(&many(&topic("a"), 7));
                let ids = batch.messages.iter().map(|(offset, message)| (*offset, message.id)).collect::<Vec<_>>();
                log.next = batch.end;
                match store.append(batch).await {
                    Ok(_) => stored.extend(ids),
                    Err(StoreError::Fenced) => break fenced += 1,
                    Err(error) => panic!("{error:?}"),
                }
            }
        }
        stored
    };
    let (one, two) = (home.open().await, home.open().await);
    let stop = async {
        // The last one would never be fenced.
        loop {
            Writer::claim(&one, 0).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let both = async { tokio::join!(node(Arc::clone(&one)), node(two)) };
    let (first, second) = tokio::select! { both = both => both, () = stop => unreachable!() };
    let log = Writer::claim(&one, 0).await;
    let mut told: Vec<(u64, Uuid)> = [first, second].concat();
    told.sort_unstable();
    let all = log.all(&topic("a")).await;
    assert_eq!(sequences(&all), (1..=log.next).collect::<Vec<_>>(), "one message an offset, whoever wrote it");
    assert_eq!(all.iter().map(|message| message.id).collect::<Vec<_>>(), told.into_iter().map(|(_, id)| id).collect::<Vec<_>>());
}

/// The same destinations and ids in all partitions and in any order, which is worse than any log can be.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twelve_partitions_at_once_never_wait_in_a_circle() {
    const PARTITIONS: u32 = 12;
    let home = PostgresHome::new();
    let store = home.open().await;
    let shared: Arc<Vec<_>> = Arc::new((0..40).map(|n| message(&topic(&format!("d{}", n % 10)))).collect());
    let tasks: Vec<_> = (0..PARTITIONS)
        .map(|number| {
            let (store, shared) = (Arc::clone(&store), Arc::clone(&shared));
            tokio::spawn(async move {
                let mut log = Writer::claim(&store, number).await;
                for round in 0..20 {
                    let mut messages: Vec<_> = (0..30).map(|n| message(&topic(&format!("d{}", (n * 7 + number) % 10)))).collect();
                    messages.extend(shared.iter().cloned());
                    messages.rotate_left((round * 13 + number as usize * 5) % 70);
                    if number % 2 == 0 {
                        messages.reverse();
                    }
                    let batch = log.batch(&messages);
                    loop {
                        match store.append(batch.clone()).await {
                            Ok(answers) => break assert_eq!(answers.len(), 70),
                            // Another partition was quicker with an id: the batch as a whole is tried again.
                            Err(StoreError::Unavailable(error)) => assert!(error.to_string().contains("duplicate key"), "{error}"),
                            Err(error) => panic!("{error:?}"),
                        }
                    }
                    log.next = batch.end;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let log = Writer::claim(&store, 0).await;
    let mut total = 0;
    for n in 0..10 {
        let all = log.all(&topic(&format!("d{n}"))).await;
        assert_eq!(sequences(&all), (1..=all.len() as u64).collect::<Vec<_>>(), "no hole, no double");
        total += all.len();
    }
    assert_eq!(total, PARTITIONS as usize * 20 * 30 + 40);
    let mut connection = home.connection().await;
    let row = connection.fetch_one("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()").await.unwrap();
    assert_eq!(row.get::<i64, _>(0), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_apply_retention_at_once() {
    let home = PostgresHome::new();
    let (one, two, three) = tokio::join!(home.open(), home.open(), home.open());
    let mut log = Writer::claim(&one, 0).await;
    let a = topic("a");
    for _ in 0..6 {
        log.append(&many(&a, 500)).await;
    }
    let keep = Keep { count: Some(10), not_before_ms: None };
    let trim = async |store: &Arc<dyn Store>| store.trim(a.clone(), keep).await.unwrap();
    let forget = async |store: &Arc<dyn Store>| store.forget_ids(u64::MAX).await.unwrap();
    let appends = async { log.append(&many(&a, 5)).await };
    let (x, y, z, answers) = tokio::join!(trim(&one), trim(&two), trim(&three), appends);
    let rest = trim(&two).await;
    assert_eq!((x + y + z + rest, answers.len()), (2_995, 5));
    let all = Writer::claim(&one, 0).await.all(&a).await;
    assert_eq!(sequences(&all), (2_996..=3_005).collect::<Vec<_>>());
    let (x, y, z) = tokio::join!(forget(&one), forget(&two), forget(&three));
    assert_eq!(x + y + z, 3_005, "each once");
}

/// A client that was stopped after the batch was sent, and one that tries again meanwhile on another connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_is_sent_again_while_it_is_being_stored_is_stored_once() {
    let home = PostgresHome::new();
    let log = Writer::claim(&home.open().await, 0).await;
    let mut other = home.connection().await;
    // Holds up the first sending inside its statement, behind the lock of the partition.
    other.execute("BEGIN; LOCK TABLE message_ids IN SHARE MODE").await.unwrap();
    let batch = log.batch(&many(&topic("a"), 20));
    let (first, second) = (log.store.append(batch.clone()), log.store.append(batch.clone()));
    let release = async {
        let mut watcher = home.connection().await;
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
        while watcher.fetch_one(waiting).await.unwrap().get::<i64, _>(0) < 2 {
            tokio::task::yield_now().await;
        }
        other.execute("COMMIT").await.unwrap();
    };
    let (first, second, ()) = tokio::join!(first, second, release);
    let expected: Vec<_> = (1..=20).map(|sequence| Appended::Stored { epoch: log.epoch, sequence }).collect();
    assert_eq!(first.unwrap(), expected);
    assert_eq!(second.unwrap(), expected, "the second sees what the first stored");
    assert_eq!(log.all(&topic("a")).await.len(), 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_nobody_waits_for_any_more_leaves_a_clean_store() {
    let mut home = PostgresHome::new();
    home.settings.connections = 2;
    let mut log = Writer::claim(&home.open().await, 0).await;
    let a = topic("a");
    for round in 0..50_u64 {
        let batch = log.batch(&many(&a, 10));
        // Dropped at any point between asking for a connection and the answer.
        drop(tokio::time::timeout(Duration::from_micros(round * 100), log.store.append(batch.clone())).await);
        assert_eq!(log.store.append(batch.clone()).await.unwrap().len(), 10);
        log.next = batch.end;
        assert_eq!(log.store.kept(partition(0), a.clone()).await.unwrap().head, (round + 1) * 10);
    }
    assert_eq!(sequences(&log.all(&a).await), (1..=500).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_that_somebody_keeps_is_not_waited_for_longer_than_said() {
    let mut home = PostgresHome::new();
    home.settings.lock_timeout = footfall::message::HumanDuration::from_millis(100);
    let mut log = Writer::claim(&home.open().await, 0).await;
    let mut other = home.connection().await;
    other.execute("BEGIN; UPDATE partitions SET next = next").await.unwrap();
    let batch = log.batch(&[message(&topic("a"))]);
    let refused = log.store.append(batch.clone()).await.unwrap_err();
    assert!(refused.is_retryable(), "{refused:?}");
    assert!(log.store.claim(partition(0), Owner(Uuid::new_v4())).await.unwrap_err().is_retryable());
    assert_eq!(log.store.kept(partition(0), topic("a")).await.unwrap().head, 0, "reads wait for nobody");
    other.execute("ROLLBACK").await.unwrap();
    assert_eq!(log.store.append(Append { end: batch.end, ..batch }).await.unwrap().len(), 1);
    log.next += 1;
    log.append(&[message(&topic("a"))]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_as_long_as_a_backend_may_write_it_is_stored() {
    let home = PostgresHome::new();
    let mut log = Writer::claim(&home.open().await, 0).await;
    // Each byte of the user's name takes three, and each character of the queue's four bytes.
    let user = footfall::message::UserName::new(&"/".repeat(256)).unwrap();
    let queue = footfall::message::Destination::parse(&format!("/queue/{}", "𠀀".repeat(193))).unwrap();
    let private = footfall::message::Destination::user_queue(&user, &queue);
    assert!(private.as_str().len() > 1_500);
    assert_eq!(log.append(&[message(&private)]).await, [Appended::Stored { epoch: log.epoch, sequence: 1 }]);
    assert_eq!(log.all(&private).await.len(), 1);
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
