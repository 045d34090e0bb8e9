//! How fast the PostgreSQL store is on this machine, with fsync on. Prints only, and only when asked: `FOOTFALL_FIGURES=1`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "figures are for reading")]
#![allow(clippy::cast_precision_loss, reason = "figures are rough")]

use std::sync::Arc;
use std::time::Instant;

use footfall::store::{PageLimit, PostgresSettings, PostgresStore, Store};
use tokio::task::block_in_place;
use xtask::services::{Port, Postgres, PostgresOptions, scratch};

use super::sqlite_figures::{batch, disk, percentiles, revocations};
use super::store::{Writer, topic};

async fn at_once(store: &Arc<dyn Store>, partitions: std::ops::Range<u32>, size: usize, times: usize) -> f64 {
    let count = partitions.len();
    let begun = Instant::now();
    let tasks: Vec<_> = partitions
        .map(|number| {
            let store = Arc::clone(store);
            tokio::spawn(async move {
                let mut log = Writer::claim(&store, number).await;
                for _ in 0..times {
                    log.append(&batch(&format!("p{number}"), size, 160)).await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    (count * size * times) as f64 / begun.elapsed().as_secs_f64()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn figures() {
    if std::env::var("FOOTFALL_FIGURES").is_err() {
        return;
    }
    let folder = scratch().unwrap();
    let server = block_in_place(|| {
        let options =
            PostgresOptions { fsync: true, settings: vec![("shared_buffers".into(), "128MB".into())], ..PostgresOptions::default() };
        let server = Postgres::new(&folder.path().join("postgres"), Port::free().unwrap(), options).unwrap();
        server.start().map(|()| server).unwrap()
    });
    disk(folder.path());
    let settings = PostgresSettings { url: server.url("postgres").into(), ..PostgresSettings::default() };
    let store: Arc<dyn Store> = Arc::new(PostgresStore::open(&settings).await.unwrap());
    for (size, body, times) in [(500, 160, 100), (500, 2_000, 20), (10, 160, 1_000), (1, 160, 1_000)] {
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
    println!("4 partitions with batches of 500: {:.0} rows/s", at_once(&store, 1..5, 500, 40).await);
    println!("8 partitions with batches of 1: {:.0} rows/s", at_once(&store, 5..13, 1, 250).await);

    let log = Writer::claim(&store, 0).await;
    let (mut pages, mut heads) = (Vec::new(), Vec::new());
    for _ in 0..200 {
        let begun = Instant::now();
        let page = store.page(log.partition.clone(), topic("rooms.7"), 0, u64::MAX, PageLimit::REPLAY).await.unwrap();
        pages.push(begun.elapsed());
        assert_eq!(page.len(), 300);
        let begun = Instant::now();
        store.kept(log.partition.clone(), topic("rooms.7")).await.unwrap();
        heads.push(begun.elapsed());
    }
    percentiles("a page of 300", pages);
    percentiles("a head", heads);
    revocations(&store, 10_000).await;
}
