//! The PostgreSQL store on a real server: the contract, and what only a shared database can do.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use footfall::consumers::{KeepOf, RetentionSettings, apply_retention};
use footfall::store::{Append, Appended, Keep, Owner, PageLimit, PostgresSettings, PostgresStore, Store, StoreError};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Row};
use tokio::task::block_in_place;
use uuid::Uuid;
use xtask::services::Postgres;

use super::store::{Home, Writer, many, message, of_token, partition, revoke_at_once, revoked, sequences, store_contract, topic};
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

    pub(crate) fn new() -> Self {
        block_in_place(|| Self::on(servers::postgres()))
    }

    /// Past the store, as any other program would.
    pub(crate) async fn connection(&self) -> PgConnection {
        PgConnection::connect(&self.url).await.unwrap()
    }

    pub(crate) async fn refusal(&self) -> String {
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

/// Nodes come at any time, and one of them does it for all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_node_applies_retention_in_a_while() {
    const HOUR: Duration = Duration::from_hours(1);
    let home = PostgresHome::new();
    let (one, two) = (home.open().await, home.open().await);
    Writer::claim(&one, 0).await.append(&[message(&topic("a"))]).await;
    let asked = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&asked);
    let keep_of: KeepOf = Arc::new(move |_: &_, _| {
        counted.fetch_add(1, Ordering::Relaxed);
        Keep { count: Some(9), not_before_ms: None }
    });
    let settings = RetentionSettings { interval: HOUR, idempotency_window: HOUR };
    let round = async |store: &Arc<dyn Store>| apply_retention(store.as_ref(), &keep_of, settings).await.unwrap();
    tokio::join!(round(&one), round(&two));
    round(&one).await;
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    let mut connection = home.connection().await;
    // The hour is over; and then the server's clock is put back by a day.
    for (rounds, shift) in [(2, "- 3600001"), (3, "+ 86400000")] {
        connection.execute(AssertSqlSafe(format!("UPDATE retention SET begun_ms = begun_ms {shift}"))).await.unwrap();
        tokio::join!(round(&one), round(&two));
        assert_eq!(asked.load(Ordering::Relaxed), rounds);
    }
}

/// Whatever the clock of the node says that asks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ids_are_as_old_as_the_servers_clock_says() {
    let home = PostgresHome::new();
    let mut log = Writer::claim(&home.open().await, 0).await;
    log.append(&many(&topic("a"), 10)).await;
    let age = "UPDATE message_ids SET stored_ms = stored_ms - 3600000 WHERE record_offset < 4";
    home.connection().await.execute(age).await.unwrap();
    assert_eq!(log.store.forget_ids(Duration::from_hours(2)).await.unwrap(), 0);
    assert_eq!(log.store.forget_ids(Duration::from_mins(30)).await.unwrap(), 4);
    assert_eq!(log.store.forget_ids(Duration::MAX).await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_revoke_the_same_at_once() {
    let home = PostgresHome::new();
    let (one, two) = (home.open().await, home.open().await);
    revoke_at_once(&[one, two]).await;
}

/// Three nodes forget what one of them revokes anew meanwhile; whoever is revoked again is never forgotten.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_revoked_anew_while_it_is_forgotten_stays() {
    let home = PostgresHome::new();
    let (one, two, three) = tokio::join!(home.open(), home.open(), home.open());
    let mut expected = Vec::new();
    for round in 0..20 {
        let ids: Vec<_> = (0..30).map(|n| format!("{round:02}.{n:02}")).collect();
        for id in &ids {
            one.revoke(of_token(id, 1)).await.unwrap();
        }
        let anew = async {
            for id in ids.iter().step_by(3) {
                one.revoke(of_token(id, u64::MAX >> 1)).await.unwrap();
            }
        };
        let (x, y, ()) = tokio::join!(two.forget_revocations(), three.forget_revocations(), anew);
        let rest = two.forget_revocations().await.unwrap();
        assert!((20..=30).contains(&(x.unwrap() + y.unwrap() + rest)));
        expected.extend(ids.iter().step_by(3).map(|id| of_token(id, u64::MAX >> 1)));
    }
    assert_eq!(revoked(&three).await, expected);
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
    let forget = async |store: &Arc<dyn Store>| store.forget_ids(Duration::ZERO).await.unwrap();
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
