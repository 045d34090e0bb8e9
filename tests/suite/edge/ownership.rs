//! Partitions that are claimed by others, and senders that wait until their message is stored.

use std::sync::Arc;
use std::time::Duration;

use footfall::bus::{BusError, Record, Topic};
use footfall::edge::Start;
use footfall::message::{Code, Position, new_id};
use footfall::store::{Append, Owner, Store, StoreError};
use parking_lot::Mutex;
use tokio::time::timeout;
use uuid::Uuid;

use super::decorators::{Health, SickStore};
use super::tap::{Seen, Tap};
use super::world::{PATIENCE, Plan, World, message, room, until};

/// Somebody claims the partition now and then: the owner writes nothing, claims it back, and does the batch again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owner_that_was_fenced_loses_and_doubles_nothing() {
    let world = World::new(Plan::default()).await;
    let here = room(1);
    let mut tap = Tap::join(&world.edge, &here, Start::Now).await;
    let mut ids = Vec::new();
    let mut durables = Vec::new();
    for number in 0..400 {
        if number == 100 || number == 250 {
            let intruder = Owner(Uuid::new_v4());
            world.store.claim(world.key(&here), intruder).await.unwrap();
        }
        let message = message(&here, new_id(), 10);
        ids.push(message.id);
        durables.push(world.publish(&message).await);
        if number % 20 == 0 {
            tokio::task::yield_now().await;
        }
    }
    for durable in durables {
        durable.await.unwrap();
    }
    assert_eq!(world.truth(&here).await, ids);
    tap.read_to(400).await.check(0, &ids);
    world.stop().await;
}

/// One that loses it again and again leaves it alone, and has written nothing; the next owner does everything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owner_that_lost_its_partition_writes_nothing_more() {
    let world = World::new(Plan::default()).await;
    let here = room(1);
    let health = Arc::new(Mutex::new(Health::Contested));
    let contested = Arc::new(SickStore::new(Arc::clone(&world.store), Arc::clone(&health)));
    world.persist(Arc::clone(&contested) as Arc<dyn Store>).await;
    let mut tap = Tap::join(&world.edge, &here, Start::Now).await;
    let mut durables = Vec::new();
    let mut ids = Vec::new();
    for _ in 0..50 {
        let message = message(&here, new_id(), 10);
        ids.push(message.id);
        durables.push(world.publish(&message).await);
    }
    // The first attempt and one after each of three claims.
    until("the last attempt", async || contested.appends.load(std::sync::atomic::Ordering::Relaxed) == 4).await;
    assert_eq!(world.head(&here).await, 0);
    world.persist(Arc::clone(&world.store)).await;
    for durable in durables {
        durable.await.unwrap();
    }
    assert_eq!(world.truth(&here).await, ids);
    tap.read_to(50).await.check(0, &ids);
    assert_eq!(contested.appends.load(std::sync::atomic::Ordering::Relaxed), 4);

    // What the one before still has in its hands is void.
    let stale =
        Append { partition: world.key(&here), owner: Owner(Uuid::new_v4()), messages: Vec::new(), end: 1_000, mark: None, at_least: 0 };
    assert!(matches!(world.store.append(stale).await, Err(StoreError::Fenced)));
    world.stop().await;
}

/// Positions of the time before mean nothing any more, and subscribers are told; whoever claims in between ends nobody.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_was_put_back_gets_a_new_epoch_though_somebody_claims_in_between() {
    let health = Arc::new(Mutex::new(Health::Well));
    let sick = Arc::clone(&health);
    let plan = Plan { store: Box::new(move |store| Arc::new(SickStore::new(store, sick)) as Arc<dyn Store>), ..Plan::default() };
    let world = World::new(plan).await;
    let here = room(1);
    world.send(&here, 3).await;
    let before = world.store.kept(world.key(&here), here.clone()).await.unwrap();
    let mut tap = Tap::join(&world.edge, &here, Start::Now).await;
    *health.lock() = Health::Restored;
    world.send(&here, 1).await;
    assert_eq!(*health.lock(), Health::Well, "it was renumbered at the second attempt");
    let after = world.store.kept(world.key(&here), here.clone()).await.unwrap();
    assert!(after.epoch != before.epoch && after.head == 4);
    assert!(matches!(tap.next().await, Seen::Receipt { .. }));
    assert_eq!(tap.next().await, Seen::Ended(Code::PositionLost));
    // Who comes back asks for history, and is not sent away by a gate that has not heard of it.
    let mut back = Tap::join(&world.edge, &here, Start::History(10)).await;
    let story = back.read_to(4).await;
    assert_eq!(story.messages.iter().map(|(sequence, _)| *sequence).collect::<Vec<_>>(), [1, 2, 3, 4]);
    world.send(&here, 1).await;
    assert!(matches!(back.next().await, Seen::Message { position, .. } if position == Position { epoch: after.epoch, sequence: 5 }));
    drop((tap, back));
    world.stop().await;
}

/// A gate that nobody has told: its destination had no message since the partition was renumbered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn history_is_there_though_the_gate_has_an_old_epoch() {
    let world = World::new(Plan::default()).await;
    let here = room(1);
    let ids = world.send(&here, 3).await;
    let mut tap = Tap::join(&world.edge, &here, Start::Now).await;
    assert!(matches!(tap.next().await, Seen::Receipt { .. }));
    let owner = Owner(Uuid::new_v4());
    world.store.claim(world.key(&here), owner).await.unwrap();
    world.store.renumber(world.key(&here), owner).await.unwrap();
    let mut late = Tap::join(&world.edge, &here, Start::History(10)).await;
    assert_eq!(late.read_to(3).await.messages.iter().map(|(_, id)| *id).collect::<Vec<_>>(), ids);
    assert_eq!(tap.next().await, Seen::Ended(Code::PositionLost));
    drop((tap, late));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_for_the_store_is_answered_for_retries_too() {
    let world = World::new(Plan::default()).await;
    let here = room(1);
    let mut tap = Tap::join(&world.edge, &here, Start::Now).await;
    assert!(matches!(tap.next().await, Seen::Receipt { .. }));
    let id = new_id();
    for attempt in 0..3 {
        let one = world.edge.expect_stored(id);
        let other = world.edge.expect_stored(id);
        // Nobody else here wants the destination of a message that is only waited for.
        world.publish(&message(&here, id, 10)).await.await.unwrap();
        timeout(PATIENCE, one.stored()).await.unwrap_or_else(|_| panic!("attempt {attempt} was not answered")).unwrap();
        timeout(PATIENCE, other.stored()).await.unwrap().unwrap();
    }
    // Together, in one batch.
    let id = new_id();
    let waiting: Vec<_> = (0..4).map(|_| world.edge.expect_stored(id)).collect();
    let two = [world.publish(&message(&here, id, 10)).await, world.publish(&message(&here, id, 10)).await];
    for durable in two {
        durable.await.unwrap();
    }
    for stored in waiting {
        timeout(PATIENCE, stored.stored()).await.unwrap().unwrap();
    }
    assert_eq!(world.truth(&here).await.len(), 2);
    for sequence in [1, 2] {
        assert!(matches!(tap.next().await, Seen::Message { position: Position { sequence: got, .. }, .. } if got == sequence));
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(tap.now(), []);
    drop(tap);
    world.stop().await;
}

/// News of retries for nobody: a bus that can't take it, or a destination without a gate, are no reason to stop.
#[tokio::test]
async fn a_message_that_nobody_here_waits_for_changes_nothing() {
    let world = World::new(Plan::default()).await;
    let elsewhere = Arc::new(message(&room(9), new_id(), 10).at(Position { epoch: footfall::message::Epoch(1), sequence: 7 }));
    for record in [Record::message(Arc::clone(&elsewhere)), Record::known(elsewhere)] {
        let accepted: Result<_, BusError> = world.bus.publish(Topic::Broadcast, record).await;
        accepted.unwrap().await.unwrap();
    }
    world.send(&room(1), 1).await;
    assert!(format!("{:?}", world.edge).contains("gates: 0"));
    world.stop().await;
}
