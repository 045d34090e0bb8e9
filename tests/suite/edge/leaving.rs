//! Leaving, willingly or not: the slow one goes alone, and nothing stays behind.

use std::time::Duration;

use footfall::broker::OutboxSettings;
use footfall::edge::{EdgeSettings, Start};
use footfall::message::{Pattern, new_id};

use super::joining::follows;
use super::tap::{Seen, Tap};
use super::world::{Plan, World, room, until};
use crate::support::random::{Random, seed};

const BRIEF: EdgeSettings = EdgeSettings { linger: Duration::from_millis(40), head_interval: Duration::from_millis(10) };

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outbox_that_overflows_ends_nobody_else() {
    let world = World::new(Plan::default()).await;
    let here = room(1);
    let mut slow = Tap::with(OutboxSettings { limit: 16 * 1024, ..OutboxSettings::default() });
    slow.try_join(&world.edge, &here, Start::Now, true).await.unwrap();
    let mut quick = Tap::join(&world.edge, &here, Start::Now).await;
    // Until the first delivery is thrown away, and no further: after that what it reads makes room again.
    while !slow.outbox.is_overflowed() {
        world.send(&here, 1).await;
        let head = world.head(&here).await;
        until("the delivery", async || quick.has_seen(head)).await;
    }
    let head = world.head(&here).await;
    assert!(!quick.outbox.is_overflowed());
    // What it has is whole up to where it ends, and reading it late does not make it fit again.
    let mut last = 0;
    for seen in slow.now() {
        if let Seen::Message { position, .. } = seen {
            last = follows(last, position);
        }
    }
    assert_eq!(last, head - 1);
    world.send(&here, 5).await;
    until("the last delivery", async || quick.has_seen(head + 5)).await;
    assert_eq!(slow.now(), [], "something behind a hole");
    assert!(slow.outbox.is_overflowed());
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_stays_when_everyone_has_left() {
    let seed = seed();
    let mut random = Random::new(seed);
    let world = World::new(Plan { settings: BRIEF, ..Plan::default() }).await;
    let mut taps = Vec::new();
    for number in 0..100 {
        let here = room(number);
        let start = if random.once_in(2) { Start::Now } else { Start::History(3) };
        taps.push((here.clone(), Tap::join(&world.edge, &here, start).await));
        if random.once_in(3) {
            world.send(&here, 2).await;
        }
        if random.once_in(2) {
            let (here, tap) = taps.swap_remove(random.index(taps.len()));
            world.edge.leave(&here, &tap.tag);
        }
    }
    tokio::time::sleep(BRIEF.linger * 3).await;
    for (here, _) in &taps {
        assert!(world.edge.wants(here.as_str(), new_id()), "a gate in use was closed, seed {seed}");
    }
    for (here, tap) in taps.drain(..) {
        world.edge.leave(&here, &tap.tag);
    }
    until("the end of all gates", async || format!("{:?}", world.edge).contains("gates: 0")).await;
    assert!((0..100).all(|number| !world.edge.wants(room(number).as_str(), new_id())), "seed {seed}");
    world.stop().await;
}

/// Destinations cost those who make them up nothing, so a subscriber to a pattern must not keep a gate for each.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gates_that_only_a_pattern_wants_go_when_it_is_quiet() {
    let world = World::new(Plan { settings: BRIEF, ..Plan::default() }).await;
    let mut tap = Tap::join_pattern(&world.edge, &Pattern::parse("/topic/**").unwrap());
    assert!(matches!(tap.next().await, Seen::Receipt { .. }));
    for number in 0..20 {
        world.send(&room(number), 1).await;
        assert!(matches!(tap.next().await, Seen::Message { .. }));
    }
    until("the end of all gates", async || format!("{:?}", world.edge).contains("gates: 0")).await;
    world.send(&room(3), 1).await;
    assert!(matches!(tap.next().await, Seen::Message { position, .. } if position.sequence == 2));
    world.stop().await;
}
