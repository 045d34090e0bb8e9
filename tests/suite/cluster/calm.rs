//! The row without a fault. What a calm run shows is what the clients themselves cost, and that they reach the rate.

use std::sync::Arc;
use std::time::Duration;

use footfall::message::Destination;
use tokio::time::sleep;

use crate::checker::{Run, caught_up, check};
use crate::driver::{Crowd, Manner, Pace, Sending};
use crate::durability::{database, node};
use crate::support::PATIENCE;
use crate::support::random::{Random, seed};

const SUBSCRIBERS: usize = 300;
const CHANNELS: usize = 30;
const SENDERS: usize = 20;
/// Messages a second.
const RATE: usize = 200;
const SECONDS: usize = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_node_serves_the_standard_load() {
    let seed = seed();
    let mut node = node::Node::new();
    node.start();
    node.ready().await;
    let channels: Vec<_> = (0..CHANNELS).map(|channel| Destination::parse(&format!("/topic/rooms.{channel}")).unwrap()).collect();
    let mut crowd = Crowd::new(node::issuer(), &channels, Random::new(seed), Manner::Eager { pause_at_most: Duration::from_secs(1) });
    crowd.subscribe(&[node.address()], SUBSCRIBERS);
    crowd.until_answered(SUBSCRIBERS, PATIENCE).await;
    let pace = Pace::Every(Duration::from_millis((1_000 * SENDERS / RATE) as u64));
    crowd.send(&[node.address()], Sending { senders: SENDERS, pace, gives_up_once_in: None });
    let began = crowd.clock();
    sleep(Duration::from_secs(SECONDS as u64)).await;
    crowd.finish_sending(PATIENCE).await;
    let due = Arc::new(database::read(&node.database()).await.heads);
    let logs = crowd.finish_reading(due.clone(), PATIENCE).await;

    let lag = caught_up(&logs, began, Duration::from_secs(1));
    let verdict = check(&Run { logs, due, database: database::read(&node.database()).await });
    verdict.assert_clean(seed);
    let totals = verdict.totals;
    assert!(totals.receipted > SECONDS * RATE * 8 / 10, "the rate was not reached: {totals:?}");
    assert_eq!(totals.delivered, totals.stored * SUBSCRIBERS / CHANNELS);
    assert!(lag < Duration::from_secs(SECONDS as u64), "{lag:?}, {totals:?}");
}
