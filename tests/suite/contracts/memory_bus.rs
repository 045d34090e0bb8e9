//! What only the memory bus promises, or can be brought to: bounds that are reached, one reader of events, its end.

use std::sync::Arc;
use std::time::Duration;

use footfall::bus::{ACCEPT_WITHIN, ANSWER_WITHIN, Audience, Bus, BusError, Event, MemoryBus, MemoryBusSettings, Topic};
use futures_util::FutureExt;
use tokio::time::{Instant, timeout};

use super::bus::{Reader, ids, is_waiting, next, record, room};

/// Far more than any step takes.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) fn memory_of(events: usize) -> Arc<dyn Bus> {
    Arc::new(MemoryBus::new(MemoryBusSettings { events, broadcast: 64 }))
}

#[tokio::test(start_paused = true)]
async fn a_full_bus_makes_publishers_wait_and_then_refuses() {
    let bus = memory_of(4);
    let mut reader = Reader::started(&bus, 0).await;
    for _ in 0..4 {
        drop(bus.publish(Topic::Events, record(&room(1))).await.unwrap());
    }
    let began = Instant::now();
    assert_eq!(bus.publish(Topic::Events, record(&room(1))).await.err(), Some(BusError::Unavailable));
    assert_eq!(began.elapsed(), ACCEPT_WITHIN);
    // It has been full for long enough: nobody else needs to wait to hear that.
    assert_eq!(bus.publish(Topic::Events, record(&room(1))).await.err(), Some(BusError::Unavailable));
    assert_eq!(began.elapsed(), ACCEPT_WITHIN);
    let read = reader.read(4).await;
    reader.commit(&read[..1]);
    drop(bus.publish(Topic::Events, record(&room(1))).await.unwrap());
    // Who waits is served, in turn, as soon as there is room; who was refused is not delivered.
    let second = record(&room(1));
    let third = record(&room(1));
    let (second_id, third_id) = (second.message.id, third.message.id);
    let mut waiting = bus.publish(Topic::Events, second);
    assert!((&mut waiting).now_or_never().is_none());
    let mut behind = bus.publish(Topic::Events, third);
    assert!((&mut behind).now_or_never().is_none());
    reader.commit(&read[1..2]);
    drop(waiting.await.unwrap());
    assert!((&mut behind).now_or_never().is_none());
    reader.commit(&read[2..]);
    drop(behind.await.unwrap());
    assert_eq!(ids(&reader.read(3).await)[1..], [second_id, third_id]);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_does_not_come_is_unknown_in_time() {
    let bus = memory_of(1);
    let mut reader = Reader::started(&bus, 0).await;
    let first = bus.publish(Topic::Events, record(&room(1))).await.unwrap();
    let read = reader.read(1).await;
    let began = Instant::now();
    // This one waits for room, and its time runs already.
    let second = bus.publish(Topic::Events, record(&room(1)));
    let make_room = async {
        tokio::time::sleep(ACCEPT_WITHIN / 2).await;
        reader.commit(&read);
    };
    let (second, ()) = tokio::join!(second, make_room);
    assert_eq!(first.await, Ok(()));
    assert_eq!(second.unwrap().await, Err(BusError::Unknown));
    assert_eq!(began.elapsed(), ANSWER_WITHIN);
}

#[tokio::test(start_paused = true)]
async fn a_broadcast_that_is_refused_reaches_nobody() {
    let bus: Arc<dyn Bus> = Arc::new(MemoryBus::new(MemoryBusSettings { events: 1, broadcast: 2 }));
    let mut quick = bus.subscribe(Topic::Broadcast, Audience::EveryNode).await.unwrap();
    let stuck = bus.subscribe(Topic::Broadcast, Audience::EveryNode).await.unwrap();
    for _ in 0..2 {
        drop(bus.publish(Topic::Broadcast, record(&room(1))).await.unwrap());
        next(quick.as_mut()).await;
    }
    let began = Instant::now();
    assert_eq!(bus.publish(Topic::Broadcast, record(&room(1))).await.err(), Some(BusError::Unavailable));
    assert_eq!(began.elapsed(), ACCEPT_WITHIN);
    assert!(is_waiting(quick.as_mut()).await, "refused, and delivered");
    drop(stuck);
    drop(bus.publish(Topic::Broadcast, record(&room(1))).await.unwrap());
    next(quick.as_mut()).await;
}

#[tokio::test]
async fn the_latest_consumer_of_events_is_the_one() {
    let bus = memory_of(8);
    let mut first = Reader::started(&bus, 0).await;
    for _ in 0..3 {
        drop(bus.publish(Topic::Events, record(&room(1))).await.unwrap());
    }
    let read = first.read(3).await;
    let mut second = Reader::started(&bus, 0).await;
    assert!(matches!(next(first.consumer.as_mut()).await, Event::Revoked(partitions) if partitions.contains(&read[0].partition)));
    assert!(first.is_waiting().await);
    // Nothing that the first one still does has an effect.
    first.commit(&read);
    first.consumer.start(&read[0].partition, 0);
    assert_eq!(ids(&second.read(3).await), ids(&read));
    drop(first);
    drop(bus.publish(Topic::Events, record(&room(1))).await.unwrap());
    second.read(1).await;
}

#[tokio::test]
async fn who_reads_a_bus_that_is_gone_is_told() {
    let bus = memory_of(8);
    let mut reader = Reader::started(&bus, 0).await;
    let mut broadcast = bus.subscribe(Topic::Broadcast, Audience::EveryNode).await.unwrap();
    let durable = bus.publish(Topic::Events, record(&room(1))).await.unwrap();
    reader.read(1).await;
    let waiting = async { tokio::join!(reader.consumer.next(), broadcast.next(), durable) };
    let gone = async {
        tokio::task::yield_now().await;
        drop(bus);
    };
    let ((events, broadcast, durable), ()) = timeout(PATIENCE, async { tokio::join!(waiting, gone) }).await.unwrap();
    assert!(matches!((events, broadcast), (Err(BusError::Closed), Err(BusError::Closed))));
    assert_eq!(durable, Err(BusError::Unknown));
}
