//! A server that is killed or stopped under its clients, and clients that are stopped under their server.
//! `FOOTFALL_SEED` repeats a run.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "how much a run proves is worth a line")]

use std::fmt::Debug;
use std::io::{BufRead, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use footfall::message::{Destination, HumanDuration, Message, new_id};
use footfall::store::{Append, Appended, Keep, Owner, PageLimit, PostgresSettings, PostgresStore, Store, StoreError};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};
use tempfile::TempDir;
use tokio::task::{block_in_place, spawn_blocking};
use uuid::Uuid;
use xtask::services::{Port, Postgres, PostgresOptions, scratch};

use super::postgres::PostgresHome;
use super::store::{Home, Writer, many, message, message_with, of_token, partition, sequences, topic};
use crate::support::random::Random;
use crate::support::servers;

/// What every call may take.
const CALL: Duration = Duration::from_secs(5);
const CHILD: &str = "contracts::postgres_faults::the_process_that_is_stopped";
const URL: &str = "FOOTFALL_TEST_STOPPED_URL";

/// One of its own, which nobody else minds being killed.
fn server() -> (Arc<Postgres>, TempDir) {
    block_in_place(|| {
        let folder = scratch().unwrap();
        let server = Postgres::new(&folder.path().join("postgres"), Port::free().unwrap(), PostgresOptions::default()).unwrap();
        server.start().unwrap();
        (Arc::new(server), folder)
    })
}

fn random() -> Random {
    let seed = std::env::var("FOOTFALL_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(42);
    println!("seed {seed}");
    Random::new(seed)
}

/// Tries until the store is there, as the one who owns a partition does.
async fn until_stored(store: &Arc<dyn Store>, batch: &Append) -> Vec<Appended> {
    loop {
        match store.append(batch.clone()).await {
            Ok(answers) => return answers,
            Err(error) => assert!(error.is_retryable(), "{error:?}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_acknowledged_survives_the_servers_sigkill() {
    const PARTITIONS: u32 = 4;
    const KILLS: usize = 4;
    let (server, _folder) = server();
    let home = block_in_place(|| PostgresHome::on(&server));
    let store = home.open().await;
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..PARTITIONS)
        .map(|number| {
            let (store, stop) = (Arc::clone(&store), Arc::clone(&stop));
            tokio::spawn(async move {
                let mut log = Writer::claim(&store, number).await;
                let own = topic(&format!("p{number}"));
                let mut sent: Vec<Uuid> = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let batch = log.batch(&many(&own, 1 + sent.len() % 60));
                    for (n, answer) in until_stored(&store, &batch).await.into_iter().enumerate() {
                        let sequence = (sent.len() + n + 1) as u64;
                        assert_eq!(answer, Appended::Stored { epoch: log.epoch, sequence });
                    }
                    sent.extend(batch.messages.iter().map(|(_, message)| message.id));
                    log.next = batch.end;
                }
                (log, own, sent)
            })
        })
        .collect();
    let mut random = random();
    for _ in 0..KILLS {
        tokio::time::sleep(Duration::from_millis(100 + random.below(400))).await;
        let server = Arc::clone(&server);
        spawn_blocking(move || server.kill().and_then(|()| server.start())).await.unwrap().unwrap();
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    stop.store(true, Ordering::Relaxed);
    let mut total = 0;
    for writer in writers {
        let (log, own, sent) = writer.await.unwrap();
        let all = log.all(&own).await;
        assert_eq!(sequences(&all), (1..=sent.len() as u64).collect::<Vec<_>>(), "no hole, no double");
        assert_eq!(all.iter().map(|message| message.id).collect::<Vec<_>>(), sent, "in the order of the log");
        assert_eq!(Writer::claim(&store, log.partition.number).await.next, sent.len() as u64);
        total += sent.len();
    }
    assert!(total > 500, "only {total} were acknowledged, which proves little");
    println!("{total} acknowledged over {KILLS} kills: none lost");
}

/// Each of the port's calls, as often as there are connections and more.
fn calls(store: &Arc<dyn Store>, batch: &Append) -> Vec<(&'static str, BoxFuture<'static, Result<(), StoreError>>)> {
    fn call<A: Debug>(
        store: &Arc<dyn Store>,
        call: impl for<'a> FnOnce(&'a dyn Store) -> BoxFuture<'a, Result<A, StoreError>> + Send + 'static,
    ) -> BoxFuture<'static, Result<(), StoreError>> {
        let store = Arc::clone(store);
        async move { call(store.as_ref()).await.map(drop) }.boxed()
    }
    let (batch, a) = (batch.clone(), topic("a"));
    let (b, c, d) = (a.clone(), a.clone(), batch.owner);
    vec![
        ("append", call(store, move |store| store.append(batch))),
        ("claim", call(store, |store| store.claim(partition(1), Owner(Uuid::new_v4())))),
        ("renumber", call(store, move |store| store.renumber(partition(0), d))),
        ("adopt", call(store, |store| store.adopt(partition(2), 0))),
        ("owns", call(store, move |store| store.owns(partition(0), d))),
        ("kept", call(store, |store| store.kept(partition(0), a))),
        ("page", call(store, |store| store.page(partition(0), b, 0, 9, PageLimit::REPLAY))),
        ("destinations", call(store, |store| store.destinations(None, 9))),
        ("trim", call(store, |store| store.trim(c, Keep { count: Some(9), not_before_ms: None }))),
        ("retention_turn", call(store, |store| store.retention_turn(Duration::ZERO))),
        ("forget_ids", call(store, |store| store.forget_ids(Duration::ZERO))),
        ("revoke", call(store, |store| store.revoke(of_token("j", u64::MAX)))),
        ("revocations", call(store, |store| store.revocations(0, None, 9))),
        ("forget_revocations", call(store, |store| store.forget_revocations())),
        ("check", call(store, |store| store.check())),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_to_a_stopped_server_end_in_time_and_work_again_afterwards() {
    let (server, _folder) = server();
    let mut home = block_in_place(|| PostgresHome::on(&server));
    home.settings.connections = 4;
    let store = home.open().await;
    let mut log = Writer::claim(&store, 0).await;
    log.append(&[message(&topic("a"))]).await;
    let batch = log.batch(&many(&topic("a"), 10));
    block_in_place(|| server.pause()).unwrap();
    // With connections that are open, and then with those that have to be made anew.
    for round in 0..2 {
        let timed = calls(&store, &batch).into_iter().map(|(what, call)| async move {
            let begun = Instant::now();
            let answer = call.await;
            assert!(begun.elapsed() < CALL, "{what}, round {round}: {:?}", begun.elapsed());
            assert!(matches!(answer, Err(StoreError::Late(_))), "{what}, round {round}: {answer:?}");
        });
        join_all(timed).await;
    }
    block_in_place(|| server.resume()).unwrap();
    // It may have worked on what was sent to it before it was stopped, and on what came while it was.
    let mut log = Writer { epoch: log.epoch, ..Writer::claim(&store, 0).await };
    let batch = Append { owner: log.owner, ..batch };
    assert_eq!(until_stored(&store, &batch).await.len(), 10);
    log.next = batch.end;
    log.append(&[message(&topic("a"))]).await;
    assert_eq!(sequences(&log.all(&topic("a")).await), (1..=12).collect::<Vec<_>>());
    store.check().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_gone_is_told_at_once_and_found_again() {
    let (server, _folder) = server();
    let home = block_in_place(|| PostgresHome::on(&server));
    let store = home.open().await;
    let mut log = Writer::claim(&store, 0).await;
    log.append(&many(&topic("a"), 3)).await;
    block_in_place(|| server.stop()).unwrap();
    let batch = log.batch(&many(&topic("a"), 10));
    for (what, call) in calls(&store, &batch) {
        let begun = Instant::now();
        let answer = call.await;
        assert!(matches!(answer, Err(StoreError::Unavailable(_))), "{what}: {answer:?}");
        assert!(begun.elapsed() < Duration::from_secs(2), "{what}: {:?}", begun.elapsed());
    }
    block_in_place(|| server.start()).unwrap();
    store.check().await.unwrap();
    assert_eq!(store.append(batch).await.unwrap().len(), 10);
    assert_eq!(log.all(&topic("a")).await.len(), 13);
}

/// What `StoreError::Late` asks of whoever appends. A batch that is too much for one statement would be sent again for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn halves_of_a_batch_that_takes_too_long_get_through() {
    let mut home = block_in_place(|| PostgresHome::on(servers::postgres()));
    home.settings.statement_timeout = HumanDuration::from_secs(1);
    let log = Writer::claim(&home.open().await, 0).await;
    let slow = "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.02); RETURN NEW; END';
        CREATE TRIGGER slow BEFORE INSERT ON messages FOR EACH ROW EXECUTE FUNCTION slow()";
    sqlx::raw_sql(slow).execute(&mut home.connection().await).await.unwrap();
    let batch = log.batch(&many(&topic("a"), 80));
    let (mut rest, mut late, mut answers) = (vec![batch.messages.clone()], 0, Vec::new());
    while let Some(part) = rest.pop() {
        let end = part.last().unwrap().0 + 1;
        match log.store.append(Append { messages: part.clone(), end, ..batch.clone() }).await {
            Ok(stored) => answers.extend(stored),
            Err(StoreError::Late(_)) => {
                late += 1;
                let (first, second) = part.split_at(part.len() / 2);
                rest.extend([second.to_vec(), first.to_vec()]);
            }
            Err(error) => panic!("{error:?}"),
        }
    }
    assert!(late > 0, "the whole got through, which proves nothing");
    let expected: Vec<_> = (1..=80).map(|sequence| Appended::Stored { epoch: log.epoch, sequence }).collect();
    assert_eq!(answers, expected);
    assert_eq!(sequences(&log.all(&topic("a")).await), (1..=80).collect::<Vec<_>>());
    assert_eq!(Writer::claim(&log.store, 0).await.next, batch.end);
}

fn big(destination: &Destination) -> Arc<Message> {
    message_with(destination, new_id(), 1_000, Bytes::from(vec![b'x'; 4_000]))
}

/// Not a test of its own: what the test below starts and stops. Appends until it is told that it is no owner any more.
#[test]
fn the_process_that_is_stopped() {
    let Ok(url) = std::env::var(URL) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let settings = PostgresSettings { url: url.into(), ..PostgresSettings::default() };
        let store: Arc<dyn Store> = Arc::new(PostgresStore::open(&settings).await.unwrap());
        let mut log = Writer::claim(&store, 0).await;
        say("claimed");
        loop {
            let batch = log.batch(&(0..300).map(|_| big(&topic("a"))).collect::<Vec<_>>());
            match store.append(batch.clone()).await {
                Ok(_) => log.next = batch.end,
                Err(StoreError::Fenced) => return say("fenced"),
                Err(error) => assert!(error.is_retryable(), "{error:?}"),
            }
        }
    });
}

/// A line of its own, since the test harness may have begun one.
fn say(what: &str) {
    std::io::stdout().lock().write_all(format!("\n{what}\n").as_bytes()).unwrap();
}

fn hear(output: &mut impl BufRead, what: &str) {
    let mut line = String::new();
    while line.trim_end() != what {
        line.clear();
        assert!(output.read_line(&mut line).unwrap() > 0, "it ended before it said {what}");
    }
}

fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status().unwrap().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owner_that_is_stopped_anywhere_holds_up_nobody_and_writes_nothing_afterwards() {
    let home = block_in_place(|| PostgresHome::on(servers::postgres()));
    let store = home.open().await;
    let mut random = random();
    let mut longest = Duration::ZERO;
    for round in 0..12 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([CHILD, "--exact", "--nocapture", "--test-threads=1"])
            .env(URL, &home.url)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        block_in_place(|| {
            hear(&mut output, "claimed");
            std::thread::sleep(Duration::from_micros(random.below(150_000)));
            signal(&child, "STOP");
        });

        let begun = Instant::now();
        let claim = loop {
            match store.claim(partition(0), Owner(Uuid::new_v4())).await {
                Ok(claim) => break claim,
                Err(error) => assert!(error.is_retryable(), "{error:?}"),
            }
        };
        longest = longest.max(begun.elapsed());
        assert!(begun.elapsed() < Duration::from_secs(5), "round {round}: {:?}", begun.elapsed());
        let head = store.kept(partition(0), topic("a")).await.unwrap().head;
        assert_eq!(head, claim.next, "round {round}: the position is that of what is stored");

        block_in_place(|| {
            signal(&child, "CONT");
            hear(&mut output, "fenced");
            assert!(child.wait().unwrap().success());
        });
        assert_eq!(store.kept(partition(0), topic("a")).await.unwrap().head, head, "round {round}: it was fenced");
    }
    let log = Writer::claim(&store, 0).await;
    assert!(log.next > 1_000, "only {} were stored, which proves little", log.next);
    assert_eq!(sequences(&log.all(&topic("a")).await), (1..=log.next).collect::<Vec<_>>());
    println!("{} stored, the longest wait of a new owner was {longest:?}", log.next);
}
