//! How fast the Kafka bus is on this machine. Prints only, and only when asked: `FOOTFALL_FIGURES=1`.

#![allow(clippy::print_stdout, reason = "figures are for reading")]
#![allow(clippy::cast_precision_loss, reason = "figures are rough")]

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use footfall::bus::{Audience, Bus, Event, Topic};
use futures_util::future::join_all;
use parking_lot::Mutex;
use tokio::time::{MissedTickBehavior, interval};

use super::bus::{next, record, room};
use super::kafka_bus::{connected, settings};
use super::sqlite_figures::percentiles;

const EACH_TICK: usize = 2;
const TICKS: usize = 5_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn figures() {
    if std::env::var("FOOTFALL_FIGURES").is_err() {
        return;
    }
    let bus = connected(&settings().await, "node-1").await;
    for in_flight in [1, 64, 2048] {
        let begun = Instant::now();
        let mut acked = 0;
        while begun.elapsed() < Duration::from_secs(5) {
            let mut durable = Vec::with_capacity(in_flight);
            for number in 0..in_flight {
                durable.push(bus.publish(Topic::Events, record(&room(number % 50))).await.unwrap());
            }
            acked += join_all(durable).await.into_iter().flatten().count();
        }
        println!("published, {in_flight} in flight: {:.0} acked/s", acked as f64 / begun.elapsed().as_secs_f64());
    }

    let mut broadcast = bus.subscribe(Topic::Broadcast, Audience::EveryNode).await.unwrap();

    let sent = Arc::new(Mutex::new(HashMap::new()));
    let publishing = {
        let (bus, sent) = (Arc::clone(&bus), Arc::clone(&sent));
        tokio::spawn(async move {
            let mut ticks = interval(Duration::from_millis(EACH_TICK as u64));
            ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
            for number in 0..TICKS {
                ticks.tick().await;
                for _ in 0..EACH_TICK {
                    let record = record(&room(number % 50));
                    sent.lock().insert(record.message.id, Instant::now());
                    drop(bus.publish(Topic::Broadcast, record).await.unwrap());
                }
            }
        })
    };
    let mut times = Vec::new();
    while times.len() < EACH_TICK * TICKS {
        let Event::Records(batches) = next(broadcast.as_mut()).await else { continue };
        for (_, record) in batches.into_iter().flat_map(|batch| batch.records) {
            times.push(sent.lock().remove(&record.message.id).unwrap().elapsed());
        }
    }
    publishing.await.unwrap();
    percentiles("publish to the reader of broadcast, 1,000/s", times);
}
