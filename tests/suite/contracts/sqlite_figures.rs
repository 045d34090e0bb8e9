//! How fast the SQLite store is on this disk. Prints only, and only when asked: `FOOTFALL_FIGURES=1`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "figures are for reading")]
#![allow(clippy::cast_precision_loss, reason = "figures are rough")]

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use footfall::message::{Message, new_id};
use footfall::store::{PageLimit, SqliteSettings, SqliteStore, Store};
use futures_util::{StreamExt, TryStreamExt, stream};

use super::store::{Writer, message_with, of_token, revoked, topic};

pub(crate) fn batch(name: &str, size: usize, body: usize) -> Vec<Arc<Message>> {
    let one = |n: usize| message_with(&topic(&format!("{name}.{}", n % 50)), new_id(), 1_000, Bytes::from(vec![b'x'; body]));
    (0..size).map(one).collect()
}

pub(crate) fn percentiles(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100];
    println!("{what}: p50 {:?}, p99 {:?} of {}", at(50), at(99), times.len());
}

/// What the disk takes without any database, to compare with.
pub(crate) fn disk(directory: &Path) {
    let file = File::create(directory.join("plain")).unwrap();
    let sync = |n: u64| {
        file.write_all_at(&[1; 8192], n * 8192).unwrap();
        let begun = Instant::now();
        file.sync_data().unwrap();
        begun.elapsed()
    };
    percentiles("fdatasync of 8 KiB appended", (0..500).map(sync).collect());
}

/// As a node that starts reads them, and then one that asks for what is new.
pub(crate) async fn revocations(store: &Arc<dyn Store>, count: usize) {
    let begun = Instant::now();
    let calls = stream::iter(0..count).map(|n| store.revoke(of_token(&format!("7f3ab1c2-0000-4000-8000-{n:012}"), u64::MAX >> 1)));
    calls.buffer_unordered(64).try_collect::<()>().await.unwrap();
    println!("{count} revocations, 64 at once: {:?}", begun.elapsed());
    for round in 1..=3 {
        let begun = Instant::now();
        assert_eq!(revoked(store).await.len(), count);
        println!("all {count} by pages of 500, round {round}: {:?}", begun.elapsed());
    }
    let mut asked = Vec::new();
    for _ in 0..100 {
        let since = store.revocations(0, None, 0).await.unwrap().now_ms + 1;
        store.revoke(of_token("one more", u64::MAX >> 1)).await.unwrap();
        let begun = Instant::now();
        assert!(store.revocations(since, None, 500).await.unwrap().revocations.len() < 2);
        asked.push(begun.elapsed());
    }
    percentiles(&format!("what is new among {count}"), asked);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn figures() {
    if std::env::var("FOOTFALL_FIGURES").is_err() {
        return;
    }
    let directory = tempfile::TempDir::new().unwrap();
    disk(directory.path());
    let settings = SqliteSettings { path: directory.path().join("footfall.db"), ..SqliteSettings::default() };
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&settings).await.unwrap());
    for (size, body, times) in [(500, 160, 60), (500, 2_000, 20), (1, 160, 1_000)] {
        let mut log = Writer::claim(&store, 0).await;
        let batches: Vec<_> = (0..times).map(|_| batch("rooms", size, body)).collect();
        let mut took = Vec::new();
        let begun = Instant::now();
        for batch in &batches {
            let begun = Instant::now();
            log.append(batch).await;
            took.push(begun.elapsed());
        }
        let rows = (size * times) as f64 / begun.elapsed().as_secs_f64();
        percentiles(&format!("batches of {size} with {body} B: {rows:.0} rows/s, a batch"), took);
    }
    let begun = Instant::now();
    let tasks: Vec<_> = (1..=8)
        .map(|number| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let mut log = Writer::claim(&store, number).await;
                for _ in 0..250 {
                    log.append(&batch("rooms", 1, 160)).await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    println!("8 partitions with batches of 1: {:.0} rows/s", 2_000.0 / begun.elapsed().as_secs_f64());

    let log = Writer::claim(&store, 0).await;
    let read = async |_| {
        let begun = Instant::now();
        let page = store.page(log.partition.clone(), topic("rooms.7"), 0, u64::MAX, PageLimit::REPLAY).await.unwrap();
        (page.len(), begun.elapsed())
    };
    let mut pages = Vec::new();
    for n in 0..50 {
        pages.push(read(n).await);
    }
    percentiles(&format!("a page of {}", pages[0].0), pages.into_iter().map(|(_, took)| took).collect());
    revocations(&store, 10_000).await;
}
