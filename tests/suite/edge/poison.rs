//! Messages that the store can never take, among others that it can.

use std::sync::Arc;

use bytes::Bytes;
use footfall::bus::BusError;
use footfall::edge::Start;
use footfall::message::{Code, Message, RenderedOnce, new_id};
use footfall::store::Store;
use parking_lot::Mutex;
use tokio::time::timeout;

use super::decorators::{Health, SickStore};
use super::tap::Tap;
use super::world::{PATIENCE, Plan, World, message, room};
use crate::support::random::{Random, seed};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn poison_stops_nobody_and_its_sender_hears_of_it() {
    let seed = seed();
    let mut random = Random::new(seed);
    let health = Arc::new(Mutex::new(Health::Picky));
    let plan = Plan { store: Box::new(move |store| Arc::new(SickStore::new(store, health)) as Arc<dyn Store>), ..Plan::default() };
    let world = World::new(plan).await;
    let here = room(1);
    let mut tap = Tap::join(&world.edge, &here, Start::Now).await;
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for number in 0..600 {
        // Alone, beside each other, and as the very last of all.
        let is_poison = number == 599 || random.once_in(10);
        let id = new_id();
        if is_poison {
            let told = world.edge.expect_stored(id);
            bad.push((world.publish(&poison(&message(&here, id, 0))).await, told));
        } else {
            good.push((id, world.publish(&message(&here, id, 10)).await));
        }
        if random.once_in(40) {
            tokio::task::yield_now().await;
        }
    }
    let mut ids = Vec::new();
    for (id, durable) in good {
        ids.push(id);
        assert_eq!(timeout(PATIENCE, durable).await.unwrap(), Ok(()), "seed {seed}");
    }
    for (durable, told) in bad {
        assert_eq!(timeout(PATIENCE, durable).await.unwrap(), Err(BusError::Unknown), "seed {seed}");
        assert_eq!(timeout(PATIENCE, told.stored()).await.unwrap(), Err(Code::NotAccepted), "seed {seed}");
    }
    assert_eq!(world.truth(&here).await, ids, "seed {seed}");
    tap.read_to(ids.len() as u64).await.check(0, &ids);
    // The position is behind the last one too.
    world.send(&here, 3).await;
    world.stop().await;
}

/// A batch that never gets through as a whole does in parts, and nothing of it is dead.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_much_at_once_is_stored_in_parts() {
    let health = Arc::new(Mutex::new(Health::Away));
    let sick = Arc::clone(&health);
    let plan = Plan { store: Box::new(move |store| Arc::new(SickStore::new(store, sick)) as Arc<dyn Store>), ..Plan::default() };
    let world = World::new(plan).await;
    let here = room(1);
    let (mut ids, mut durables) = (Vec::new(), Vec::new());
    for _ in 0..100 {
        let message = message(&here, new_id(), 10);
        ids.push(message.id);
        durables.push(world.publish(&message).await);
    }
    *health.lock() = Health::Slight(3);
    for durable in durables {
        assert_eq!(timeout(PATIENCE, durable).await.unwrap(), Ok(()));
    }
    assert_eq!(world.truth(&here).await, ids);
    world.stop().await;
}

fn poison(like: &Message) -> Arc<Message> {
    Arc::new(Message {
        id: like.id,
        destination: like.destination.clone(),
        sender: None,
        session: None,
        timestamp_ms: like.timestamp_ms,
        content_type: None,
        headers: Arc::new([]),
        body: Bytes::from_static(b"poison"),
        position: None,
        rendered: RenderedOnce::default(),
    })
}
