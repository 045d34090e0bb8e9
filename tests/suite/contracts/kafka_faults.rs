//! What a sender hears while a broker is away, with a Kafka of its own that can be killed.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use footfall::bus::{ANSWER_WITHIN, Audience, Bus, BusError, BusState, Event, Partition, Topic, create_topics};
use tokio::task::{JoinSet, block_in_place};
use tokio::time::{Instant, sleep, timeout};
use xtask::services::{Kafka, Port, scratch};

use super::bus::{next, record, room};
use super::kafka_bus::{PATIENCE, connected, settings_at};

#[expect(clippy::print_stdout, reason = "times beside their targets")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_broker_is_away_nothing_false_is_said() {
    let folder = block_in_place(|| scratch().unwrap());
    let kafka = block_in_place(|| {
        let kafka = Kafka::new(folder.path(), vec![Port::free().unwrap()], &[]).unwrap();
        kafka.start().unwrap();
        kafka
    });
    let settings = settings_at(kafka.bootstrap_servers());
    create_topics(&settings).await.unwrap();
    let bus = connected(&settings, "node-1").await;
    let mut broadcast = bus.subscribe(Topic::Broadcast, Audience::EveryNode).await.unwrap();
    bus.publish(Topic::Events, record(&room(1))).await.unwrap().await.unwrap();

    // A publisher that goes on all the time.
    let (confirmed, doubtful, refused) = (HashSet::new(), HashSet::new(), HashSet::new());
    let outcomes = Arc::new(parking_lot::Mutex::new((confirmed, doubtful, refused)));
    let slowest = Arc::new(parking_lot::Mutex::new(Duration::ZERO));
    // Handles of all who wait for an answer, so that a panic of one fails the test.
    let waiting = Arc::new(parking_lot::Mutex::new(JoinSet::new()));
    let publishing = {
        let (bus, outcomes, waiting, slowest) = (Arc::clone(&bus), Arc::clone(&outcomes), Arc::clone(&waiting), Arc::clone(&slowest));
        tokio::spawn(async move {
            for number in 0.. {
                let (outcomes, slowest) = (Arc::clone(&outcomes), Arc::clone(&slowest));
                let record = record(&room(number % 16));
                let id = record.message.id;
                let begun = Instant::now();
                match bus.publish(Topic::Events, record).await {
                    Ok(durable) => {
                        waiting.lock().spawn(async move {
                            let answer = durable.await;
                            let took = begun.elapsed();
                            let mut slowest = slowest.lock();
                            *slowest = took.max(*slowest);
                            let mut outcomes = outcomes.lock();
                            match answer {
                                Ok(()) => outcomes.0.insert(id),
                                Err(BusError::Unknown) => outcomes.1.insert(id),
                                Err(_) => outcomes.2.insert(id),
                            }
                        });
                    }
                    Err(error) => {
                        assert_eq!(error, BusError::Unavailable);
                        outcomes.lock().2.insert(id);
                    }
                }
                sleep(Duration::from_millis(5)).await;
            }
        })
    };
    until("some are confirmed", || outcomes.lock().0.len() > 100).await;
    block_in_place(|| kafka.kill().unwrap());
    let killed = Instant::now();
    until("SENDs are refused", || !outcomes.lock().2.is_empty()).await;
    let refused_after = killed.elapsed();
    assert!((1..4).contains(&refused_after.as_secs()), "{refused_after:?}");
    until("the node is not ready", || bus.state() == BusState::NotReady("bus-unavailable")).await;
    until("what was in flight is in doubt", || !outcomes.lock().1.is_empty()).await;
    let confirmed = outcomes.lock().0.len();
    assert!(bus.publish(Topic::Events, record(&room(1))).await.is_err());

    block_in_place(|| kafka.start().unwrap());
    let started = Instant::now();
    until("SENDs are confirmed again", || outcomes.lock().0.len() > confirmed + 100).await;
    let recovered_after = started.elapsed();
    until("the node is ready", || bus.state() == BusState::Ready).await;
    publishing.abort();
    assert!(publishing.await.unwrap_err().is_cancelled(), "the publisher saw what may not be");
    println!("refused after {refused_after:?}, confirmed again {recovered_after:?} after the broker was ready");
    assert!(recovered_after < Duration::from_secs(50), "{recovered_after:?}; the target is 10 s");

    // Broadcast goes on from where it was.
    let last = record(&room(3));
    let id = last.message.id;
    bus.publish(Topic::Broadcast, last).await.unwrap().await.unwrap();
    let Event::Records(batches) = next(broadcast.as_mut()).await else { panic!("records") };
    assert_eq!(batches[0].records[0].1.message.id, id);

    let mut waiting = std::mem::take(&mut *waiting.lock());
    let answers = async {
        while let Some(answered) = waiting.join_next().await {
            answered.unwrap();
        }
    };
    timeout(PATIENCE, answers).await.expect("everyone has an answer");
    assert!(*slowest.lock() < ANSWER_WITHIN + Duration::from_secs(1), "{:?}", slowest.lock());
    let mut log = HashSet::new();
    let mut consumer = bus.subscribe(Topic::Events, Audience::OneNode).await.unwrap();
    let outcomes = outcomes.lock().clone();
    // To the end of each partition: what was refused might have been written last of all.
    let mut left: HashMap<Partition, u64> = HashMap::new();
    let mut told = 0;
    let reading = async {
        while told < settings.partitions as usize || !left.is_empty() {
            match next(consumer.as_mut()).await {
                Event::Assigned(assigned) => {
                    told += assigned.len();
                    for assignment in assigned {
                        consumer.start(&assignment.partition, 0);
                        if assignment.log_end > 0 {
                            left.insert(assignment.partition, assignment.log_end);
                        }
                    }
                }
                Event::Revoked(_) => panic!("nobody else reads"),
                Event::Records(batches) => {
                    for batch in batches {
                        consumer.more(&batch.partition);
                        log.extend(batch.records.iter().map(|(_, record)| record.message.id));
                        left.retain(|partition, end| *partition != batch.partition || batch.end < *end);
                    }
                }
            }
        }
    };
    timeout(PATIENCE, reading).await.expect("all of the log is read");
    assert_eq!(outcomes.0.difference(&log).count(), 0, "nothing that was confirmed is lost");
    assert_eq!(outcomes.2.intersection(&log).count(), 0, "nothing that was refused was written");
    drop(consumer);
    drop(broadcast);
    bus.close().await;
}

async fn until(what: &str, done: impl Fn() -> bool) {
    let waiting = async {
        while !done() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("{what} within {PATIENCE:?}"));
}
