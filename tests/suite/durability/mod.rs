//! The whole process is killed at random moments while clients send and read; nothing that was receipted may be lost,
//! and nothing may come twice. [`crate::checker`] judges.

#![expect(clippy::unwrap_used, reason = "what can't be unwrapped fails the test")]

pub(crate) mod database;
pub(crate) mod node;

use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use footfall::message::Destination;
use tokio::time::sleep;

use crate::checker::{Run, check};
use crate::driver::{Crowd, Manner, Pace, Sending};
use crate::support::random::{Random, seed, tier};
use node::Node;

const ROOMS: usize = 4;
const SENDERS: usize = 6;
const READERS_A_ROOM: usize = 2;
/// A life lasts at most so long once it serves.
const LIFE: u64 = 1_600;
/// What clients get at the end to finish what is open.
const FINISH_WITHIN: Duration = Duration::from_mins(1);
/// Lives are short: whoever waited longer between attempts to connect would see little of them.
const PAUSE_AT_MOST: Duration = Duration::from_millis(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_lose_nothing_and_double_nothing() {
    let kills = if tier() >= 2 { 200 } else { 20 };
    let seed = seed();
    let began = Instant::now();
    let mut random = Random::new(seed);
    let mut node = Node::new();
    node.start();
    node.ready().await;
    let rooms: Vec<_> = (0..ROOMS).map(|room| Destination::parse(&format!("/topic/rooms.{room}")).unwrap()).collect();
    let nodes = [node.address()];
    let mut crowd = Crowd::new(node::issuer(), &rooms, random.split(), Manner::Eager { pause_at_most: PAUSE_AT_MOST });
    crowd.subscribe(&nodes, ROOMS * READERS_A_ROOM);
    crowd.send(&nodes, Sending { senders: SENDERS, pace: Pace::Flood, gives_up_once_in: Some(40) });

    for kill in 0..kills {
        // One in five dies while it starts.
        if kill % 5 == 4 {
            sleep(Duration::from_millis(random.below(150))).await;
        } else {
            node.ready().await;
            sleep(Duration::from_millis(random.below(LIFE))).await;
        }
        assert!(node.kill().await, "the node ended by itself, seed {seed}:\n{}", node.log());
        node.start();
    }
    node.ready().await;
    crowd.finish_sending(FINISH_WITHIN).await;
    // Another life: what the last one was still about to store, for clients that gave up, is stored by now or never.
    assert!(node.kill().await, "the node ended by itself, seed {seed}:\n{}", node.log());
    node.start();
    node.ready().await;
    let due = Arc::new(database::read(&node.database()).await.heads);
    let logs = crowd.finish_reading(due.clone(), FINISH_WITHIN).await;
    node.kill().await;

    let verdict = check(&Run { logs, due, database: database::read(&node.database()).await });
    let totals = &verdict.totals;
    report(&format!(
        "durability: {kills} kills, {} receipted, {} stored, {} delivered, {} resumed, {} lost, {} holes, {} doubles, {} s, seed {seed}",
        totals.receipted,
        totals.stored,
        totals.delivered,
        totals.resumed,
        totals.lost,
        totals.holes,
        totals.doubles,
        began.elapsed().as_secs(),
    ));
    if !verdict.violations.is_empty() {
        report(&node.log());
    }
    verdict.assert_clean(seed);
    assert_eq!((totals.idle, totals.reset), (0, 0), "senders without a receipt, and positions that were lost, seed {seed}");
    assert!(!node.log().contains("panic"), "seed {seed}:\n{}", node.log());
    // F13 of tier 2: none of at least 100,000 receipted messages.
    let enough = if kills >= 200 { 100_000 } else { kills * 20 };
    assert!(totals.receipted > enough, "too little happened to prove anything, seed {seed}");
}

/// Past the test harness, which would keep it for itself.
fn report(line: &str) {
    std::io::stderr().write_all(format!("{line}\n").as_bytes()).unwrap();
}
