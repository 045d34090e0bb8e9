//! A process that stores and revokes is killed (SIGKILL) at any moment, again and again: what it was told is stored must be
//! there once, in its place, and what it was told is revoked must be listed. 20 kills, or 200 with `FOOTFALL_TIER=2`; `FOOTFALL_SEED` repeats a run.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "how much a run proves is worth a line")]

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use bytes::Bytes;
use footfall::message::{Destination, Message};
use footfall::store::{Append, Appended, SqliteSettings, SqliteStore, Store};
use futures_util::future::try_join_all;
use sqlx::{Connection, SqliteConnection};
use tempfile::TempDir;
use uuid::Uuid;

use super::store::{Writer, message_with, of_token, revoked, topic};

const PARTITIONS: u32 = 4;
const DESTINATIONS: u64 = 3;
/// Reading all of a file after each kill takes longer the more there is.
const KILLS_A_FILE: u64 = 20;
const CHILD: &str = "contracts::sqlite_kill::the_process_that_is_killed";
const PATH: &str = "FOOTFALL_TEST_KILLED_PATH";

/// Sebastiano Vigna's splitmix64; all that a seeded moment needs.
struct Seeded(u64);

impl Seeded {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}

/// The record at an offset is the same whoever reads it, as in Kafka's log.
fn id_at(partition: u32, offset: u64) -> Uuid {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("{partition}:{offset}").as_bytes())
}

fn destination_at(partition: u32, offset: u64) -> Destination {
    topic(&format!("p{partition}.d{}", offset % DESTINATIONS))
}

fn message_at(partition: u32, offset: u64) -> Arc<Message> {
    let size = if offset.is_multiple_of(97) { 32 * 1024 } else { 100 };
    message_with(&destination_at(partition, offset), id_at(partition, offset), offset, Bytes::from(vec![b'x'; size]))
}

fn settings(path: &Path) -> SqliteSettings {
    SqliteSettings { path: path.into(), ..SqliteSettings::default() }
}

/// Not a test of its own: what the test below starts and kills.
#[test]
fn the_process_that_is_killed() {
    let Ok(path) = std::env::var(PATH) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&settings(Path::new(&path))).await.unwrap());
        let mut tasks: Vec<_> = (0..PARTITIONS).map(|partition| tokio::spawn(append_for_ever(Arc::clone(&store), partition))).collect();
        tasks.push(tokio::spawn(revoke_for_ever(store)));
        for task in tasks {
            task.await.unwrap();
        }
    });
}

async fn append_for_ever(store: Arc<dyn Store>, partition: u32) {
    let log = Writer::claim(&store, partition).await;
    // As after a crash between commit and broadcast, the last records are read again.
    let mut offset = log.next.saturating_sub(50);
    for size in (0..120).cycle().map(|n| 1 + n * 37 % 120) {
        let end = offset + size;
        let messages = (offset..end).map(|offset| (offset, message_at(partition, offset))).collect();
        let answers = store.append(Append { messages, end, ..log.batch(&[]) }).await.unwrap();
        // A line for each that is stored, begun anew since the test harness may have begun one.
        let mut lines = String::from("\n");
        for (offset, answer) in (offset..).zip(answers) {
            let Appended::Stored { sequence, .. } = answer else { panic!("offset {offset}: {answer:?}") };
            writeln!(lines, "stored {partition} {offset} {sequence}").unwrap();
        }
        std::io::stdout().lock().write_all(lines.as_bytes()).unwrap();
        offset = end;
    }
}

/// Several at once, which are taken in the order of their numbers.
async fn revoke_for_ever(store: Arc<dyn Store>) {
    for first in (revoked(&store).await.len()..).step_by(8) {
        let numbers = first..first + 8;
        try_join_all(numbers.clone().map(|number| store.revoke(of_token(&id_of(number), u64::MAX >> 1)))).await.unwrap();
        let mut lines = String::from("\n");
        for number in numbers {
            writeln!(lines, "revoked {number}").unwrap();
        }
        std::io::stdout().lock().write_all(lines.as_bytes()).unwrap();
    }
}

/// Of one length, so that they are listed in the order of their numbers.
fn id_of(number: usize) -> String {
    format!("{number:09}")
}

/// What a child said was stored: partition and offset → sequence.
type Stored = HashMap<(u32, u64), u64>;

/// What one child said before it was killed.
#[derive(Default)]
struct Told {
    stored: Vec<((u32, u64), u64)>,
    revoked: Vec<usize>,
}

fn start(path: &Path) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args([CHILD, "--exact", "--nocapture", "--test-threads=1"]).env(PATH, path).stdout(Stdio::piped());
    child.spawn().unwrap()
}

/// Runs a child, kills it a moment after its start or its first answer, and hears it out.
fn run_and_kill(path: &Path, seeded: &mut Seeded) -> Told {
    let mut child = start(path);
    let (first, answered) = mpsc::sync_channel(1);
    let output = BufReader::new(child.stdout.take().unwrap());
    let heard = std::thread::spawn(move || {
        let mut told = Told::default();
        let mut output = output;
        let mut line = String::new();
        // A line without an end was cut by the kill.
        while output.read_line(&mut line).unwrap() > 0 && line.ends_with('\n') {
            let mut words = line.split_whitespace();
            let what = words.next();
            let mut number = || words.next().unwrap().parse::<u64>().unwrap();
            match what {
                Some("stored") => {
                    told.stored.push(((number().try_into().unwrap(), number()), number()));
                    first.try_send(()).ok();
                }
                Some("revoked") => told.revoked.push(number().try_into().unwrap()),
                _ => {}
            }
            line.clear();
        }
        told
    });
    // One in four dies while it opens, migrates, claims or reads again.
    if seeded.below(4) > 0 {
        answered.recv_timeout(Duration::from_mins(1)).expect("the child stores something");
    }
    std::thread::sleep(Duration::from_micros(seeded.below(200_000)));
    child.kill().unwrap();
    let ended = child.wait().unwrap();
    assert!(ended.code().is_none(), "the child ended before it was killed: {ended}");
    heard.join().unwrap()
}

/// Every destination holds exactly the records of its partition's log up to some offset, in order, and among them all
/// that were said to be stored, under the sequence that was said. And what was said to be revoked is listed.
async fn verify(path: &Path, stored: &Stored, told_revoked: &BTreeSet<usize>) -> usize {
    let mut file = SqliteConnection::connect(path.to_str().unwrap()).await.unwrap();
    let (verdict,): (String,) = sqlx::query_as("PRAGMA integrity_check").fetch_one(&mut file).await.unwrap();
    assert_eq!(verdict, "ok");
    file.close().await.unwrap();

    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&settings(path)).await.unwrap());
    let mut found = Stored::new();
    for partition in 0..PARTITIONS {
        let log = Writer::claim(&store, partition).await;
        for destination in 0..DESTINATIONS {
            for (index, message) in (0..).zip(log.all(&destination_at(partition, destination)).await) {
                let (offset, sequence) = (index * DESTINATIONS + destination, index + 1);
                assert_eq!(message.id, id_at(partition, offset), "in the order of the log, each once");
                assert_eq!(message.position.unwrap().sequence, sequence, "without holes");
                found.insert((partition, offset), sequence);
            }
        }
        assert!((0..log.next).all(|offset| found.contains_key(&(partition, offset))), "all below the position is there");
    }
    for (record, sequence) in stored {
        assert_eq!(found.get(record), Some(sequence), "{record:?} was said to be stored");
    }
    let listed = revoked(&store).await;
    assert!(listed.iter().enumerate().all(|(number, revocation)| *revocation == of_token(&id_of(number), u64::MAX >> 1)), "without holes");
    assert!(told_revoked.last().is_none_or(|last| *last < listed.len()), "{:?} of {}", told_revoked.last(), listed.len());
    store.close().await;
    found.len()
}

#[tokio::test]
async fn what_is_acknowledged_survives_sigkill() {
    let kills = if std::env::var("FOOTFALL_TIER").is_ok_and(|tier| tier.as_str() >= "2") { 200 } else { 20 };
    let seed = std::env::var("FOOTFALL_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(42);
    let mut seeded = Seeded(seed);
    let (mut total, mut total_revoked) = (0, 0);
    for _ in 0..kills / KILLS_A_FILE {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("footfall.db");
        let (mut stored, mut told_revoked) = (Stored::new(), BTreeSet::new());
        for kill in 0..KILLS_A_FILE {
            let told = run_and_kill(&path, &mut seeded);
            told_revoked.extend(told.revoked);
            for (record, sequence) in told.stored {
                let before = stored.insert(record, sequence);
                assert!(before.is_none_or(|before| before == sequence), "seed {seed}, kill {kill}: {record:?} has two sequences");
            }
            if path.exists() {
                verify(&path, &stored, &told_revoked).await;
            }
        }
        total += stored.len();
        total_revoked += told_revoked.len();
    }
    assert!(total > 1_000, "seed {seed}: only {total} were acknowledged, which proves little");
    assert!(total_revoked > 100, "seed {seed}: only {total_revoked} revocations were acknowledged, which proves little");
    println!("{total} messages and {total_revoked} revocations acknowledged over {kills} kills, seed {seed}: none lost");
}
