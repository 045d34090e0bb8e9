//! A store that goes away, or is slow, and comes back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use footfall::edge::{EdgeSettings, Start};
use footfall::message::{Code, Position, new_id};
use parking_lot::Mutex;

use super::decorators::{BadReader, Health, Manners, SickStore};
use super::joining::follows;
use super::tap::{Seen, Tap};
use super::world::{Plan, World, message, room, until};
use crate::support::random::Random;

fn sick(settings: EdgeSettings) -> (Plan, Arc<Mutex<Health>>) {
    let health = Arc::new(Mutex::new(Health::Well));
    let shared = Arc::clone(&health);
    let store = Box::new(move |inner| Arc::new(SickStore::new(inner, shared)) as Arc<_>);
    (Plan { settings, store, ..Plan::default() }, health)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_piles_up_while_the_store_is_away_drains_and_nothing_is_lost() {
    let (plan, health) = sick(EdgeSettings::default());
    let world = World::new(plan).await;
    let (old, new) = (room(1), room(2));
    world.send(&old, 5).await;
    let mut there_before = Tap::join(&world.edge, &old, Start::Now).await;
    *health.lock() = Health::Away;

    let mut durables = Vec::new();
    for number in 0..300 {
        let here = if number % 2 == 0 { &old } else { &new };
        durables.push(world.publish(&message(here, new_id(), 10)).await);
    }
    // Live by name at a known place, or at an unknown one: nobody waits for the store.
    let asked = Instant::now();
    let mut joined_old = Tap::join(&world.edge, &old, Start::Now).await;
    let mut joined_new = Tap::join(&world.edge, &new, Start::Now).await;
    assert!(asked.elapsed() < Duration::from_secs(2));
    assert!(matches!(joined_old.next().await, Seen::Receipt { position: Some(Position { sequence: 5, .. }), recovered: None }));
    assert_eq!(joined_new.next().await, Seen::Receipt { position: None, recovered: None });
    for start in [Start::History(5), Start::History(0)] {
        let refusal = Tap::new().try_join(&world.edge, &old, start, true).await.unwrap_err();
        assert_eq!(refusal.code, Code::StoreUnavailable);
    }
    *health.lock() = Health::Well;
    for durable in durables {
        durable.await.unwrap();
    }
    assert_eq!((world.head(&old).await, world.head(&new).await), (155, 150));
    there_before.read_to(155).await.check_from_start(&world.truth(&old).await);
    for sequence in 5..155 {
        let Seen::Message { position, .. } = joined_old.next().await else { panic!("no message") };
        follows(sequence, position);
    }
    // Without a head, the first record is the baseline, and the bus brings it; or the head was there first, and who
    // joined before that must come back. Never a hole.
    let mut last = 0;
    while last < 150 {
        match joined_new.next().await {
            Seen::Message { position, .. } => last = follows(last, position),
            Seen::Ended(code) => {
                assert_eq!(code, Code::HistoryLost);
                break;
            }
            Seen::Receipt { .. } => panic!("a second RECEIPT"),
        }
    }
    assert_eq!(world.truth(&new).await.len(), 150);
    world.stop().await;
}

/// The head is read before the first record: who joined without one may have been owed something, and is told.
#[tokio::test]
async fn a_head_that_comes_late_ends_those_who_joined_without_one() {
    let (plan, health) = sick(EdgeSettings::default());
    let world = World::new(plan).await;
    let here = room(1);
    world.send(&here, 3).await;
    *health.lock() = Health::Unreadable;
    let mut early = Tap::join(&world.edge, &here, Start::Now).await;
    assert_eq!(early.next().await, Seen::Receipt { position: None, recovered: None });
    *health.lock() = Health::Well;
    assert_eq!(early.next().await, Seen::Ended(Code::HistoryLost));
    world.edge.leave(&here, &early.tag);
    let mut late = Tap::join(&world.edge, &here, Start::Now).await;
    assert!(matches!(late.next().await, Seen::Receipt { position: Some(Position { sequence: 3, .. }), .. }));
    world.send(&here, 1).await;
    assert!(matches!(late.next().await, Seen::Message { .. }));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_store_is_only_slow() {
    let (plan, health) = sick(EdgeSettings { head_interval: Duration::from_millis(20), ..EdgeSettings::default() });
    let world = World::new(plan).await;
    let here = room(1);
    *health.lock() = Health::Slow(Duration::from_millis(60));
    let mut now = Tap::join(&world.edge, &here, Start::Now).await;
    for _ in 0..5 {
        world.send(&here, 40).await;
    }
    let mut history = Tap::join(&world.edge, &here, Start::History(120)).await;
    world.send(&here, 40).await;
    let truth = world.truth(&here).await;
    now.read_to(240).await.check_from_start(&truth);
    history.read_to(240).await.check(80, &truth);
    world.stop().await;
}

/// A gate that reads what is missing outlives nobody: what it was about to deliver is old to those who join later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_closed_gate_still_reads_reaches_nobody() {
    let settings = EdgeSettings { linger: Duration::from_millis(50), head_interval: Duration::from_millis(10) };
    let (mut plan, health) = sick(settings);
    let manners = Arc::new(Mutex::new(Manners::Good));
    let shared = Arc::clone(&manners);
    plan.reader = Box::new(move |inner| Box::new(BadReader::new(inner, shared, Random::new(1))));
    let world = World::new(plan).await;
    let here = room(1);
    for health_now in [Health::Unreadable, Health::SlowPages(Duration::from_millis(800))] {
        let before = world.head(&here).await;
        let first = Tap::join(&world.edge, &here, Start::Now).await;
        *health.lock() = health_now;
        *manners.lock() = Manners::LoseAll;
        world.send(&here, 2).await;
        *manners.lock() = Manners::Good;
        // The gate now knows of a hole, and can't read it, or has the page almost in its hands.
        world.send(&here, 1).await;
        world.edge.leave(&here, &first.tag);
        until("the end of the gate", async || !world.edge.wants(here.as_str(), new_id())).await;
        if health_now == Health::Unreadable {
            *health.lock() = Health::Well;
        }
        let mut second = Tap::join(&world.edge, &here, Start::Now).await;
        let Seen::Receipt { position: Some(position), .. } = second.next().await else { panic!("no position") };
        assert_eq!(position.sequence, before + 3);
        // Longer than the first gate's reading pauses between two attempts, or waits for its page.
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        *health.lock() = Health::Well;
        world.send(&here, 1).await;
        let Seen::Message { position, .. } = second.next().await else { panic!("no message") };
        assert_eq!(position.sequence, before + 4);
        world.edge.leave(&here, &second.tag);
        until("the end of the gate", async || !world.edge.wants(here.as_str(), new_id())).await;
    }
    world.stop().await;
}

/// Gates that nobody uses go, and the node stops in time, however long the store lets readers wait.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_hangs_holds_up_neither_the_end_of_gates_nor_the_drain() {
    let settings = EdgeSettings { linger: Duration::from_millis(40), head_interval: Duration::from_millis(10) };
    let (plan, health) = sick(settings);
    let world = World::new(plan).await;
    let mut taps = Vec::new();
    for number in 0..80 {
        taps.push((number, Tap::join(&world.edge, &room(number), Start::Now).await));
    }
    *health.lock() = Health::Hanging(Duration::from_millis(500));
    for (number, tap) in taps {
        world.edge.leave(&room(number), &tap.tag);
    }
    let asked = Instant::now();
    until("the end of all gates", async || format!("{:?}", world.edge).contains("gates: 0")).await;
    // A round that asked for every head would take 10 s.
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());

    // One that can't open, for an hour, and one that is tried again and again.
    *health.lock() = Health::Away;
    let _waits = Tap::join(&world.edge, &room(1), Start::Now).await;
    *health.lock() = Health::Hanging(Duration::from_hours(1));
    let (mut hangs, elsewhere) = (Tap::new(), room(2));
    let joining = hangs.try_join(&world.edge, &elsewhere, Start::Now, true);
    assert!(tokio::time::timeout(Duration::from_millis(300), joining).await.is_err());
    let drained = world.shutdown.drain(Duration::from_secs(1)).await;
    assert_eq!(drained.stuck, 0);
}

#[tokio::test]
async fn a_drain_does_not_wait_for_a_store_that_is_away() {
    let (plan, health) = sick(EdgeSettings::default());
    let world = World::new(plan).await;
    *health.lock() = Health::Away;
    let _waits = Tap::join(&world.edge, &room(1), Start::Now).await;
    let drained = world.shutdown.drain(Duration::from_secs(20)).await;
    assert_eq!((drained.late, drained.stuck), (0, 0));
}
