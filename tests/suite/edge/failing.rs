//! Consumers of a bus or a store that fails for good: they neither spin nor pretend.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use footfall::bus::{Audience, BusError, Consumer, Event, Partition, Topic, Wanted};
use footfall::consumers::{Partitions, broadcast, persistence};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use tokio::time::timeout;

use super::world::{PATIENCE, Plan, World};

/// Never has anything but bad news, and has it at once.
#[derive(Debug)]
struct NoReader(Arc<AtomicU64>);

impl Consumer for NoReader {
    fn next(&mut self) -> BoxFuture<'_, Result<Event, BusError>> {
        self.0.fetch_add(1, Ordering::Relaxed);
        ready(Err(BusError::Unavailable)).boxed()
    }

    fn start(&mut self, _partition: &Partition, _offset: u64) {}

    fn more(&mut self, _partition: &Partition) {}

    fn only(&mut self, _wanted: Wanted) {}

    fn commit(&mut self, _partition: &Partition, _next: u64) {}
}

#[tokio::test]
async fn a_bus_that_can_not_be_read_is_not_asked_all_the_time() {
    let world = World::new(Plan::default()).await;
    let (events, delivered) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let shutdown = &world.shutdown;
    let reader = Box::new(NoReader(Arc::clone(&events)));
    let (bus, store) = (Arc::clone(&world.bus), Arc::clone(&world.store));
    shutdown.spawn_essential("persistence", persistence(reader, bus, store, Partitions::default(), shutdown.clone()));
    let reader = Box::new(NoReader(Arc::clone(&delivered)));
    shutdown.spawn_essential("broadcast", broadcast(reader, world.edge.clone(), shutdown.clone()));
    tokio::time::sleep(Duration::from_millis(500)).await;
    for calls in [events, delivered] {
        let calls = calls.load(Ordering::Relaxed);
        assert!((1..=5).contains(&calls), "{calls}");
    }
    world.stop().await;
}

/// A node whose store has died can store nothing, so it must end, not listen.
#[tokio::test]
async fn persistence_ends_with_a_store_that_is_closed() {
    let world = World::new(Plan::default()).await;
    world.store.close().await;
    let reader = world.bus.subscribe(Topic::Events, Audience::OneNode).await.unwrap();
    let ends = persistence(reader, Arc::clone(&world.bus), Arc::clone(&world.store), Partitions::default(), world.shutdown.clone());
    timeout(PATIENCE, ends).await.unwrap();
    world.stop().await;
}
