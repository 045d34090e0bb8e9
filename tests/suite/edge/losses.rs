//! A broadcast topic that loses, repeats and turns round: the store is the truth, and subscribers see it.

use std::sync::Arc;
use std::time::Duration;

use footfall::edge::{EdgeSettings, Start};
use footfall::message::Pattern;
use parking_lot::Mutex;

use super::decorators::{BadReader, Manners};
use super::tap::{Seen, Tap};
use super::world::{Plan, World, message, room, until};
use crate::support::random::{Random, seed};

const FAST: EdgeSettings = EdgeSettings { linger: Duration::from_mins(1), head_interval: Duration::from_millis(25) };

fn badly(random: Random) -> (Plan, Arc<Mutex<Manners>>) {
    let manners = Arc::new(Mutex::new(Manners::Bad));
    let shared = Arc::clone(&manners);
    let reader = Box::new(move |inner| Box::new(BadReader::new(inner, shared, random)) as Box<_>);
    (Plan { settings: FAST, reader, ..Plan::default() }, manners)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscribers_see_what_the_bus_lost_once_and_in_order() {
    let seed = seed();
    let mut random = Random::new(seed);
    let (plan, manners) = badly(random.split());
    let world = World::new(plan).await;
    let mut taps = Vec::new();
    for number in 0..4 {
        let start = if number % 2 == 0 { Start::Now } else { Start::History(10) };
        taps.push((number, Tap::join(&world.edge, &room(number), start).await));
    }
    for round in 0..120 {
        let number = random.index(4);
        world.send(&room(number), 1 + random.index(30)).await;
        if round % 30 == 29 {
            taps.push((number, Tap::join(&world.edge, &room(number), Start::History(50)).await));
        }
    }
    // The very last messages come from nowhere but the store.
    *manners.lock() = Manners::LoseAll;
    for number in 0..4 {
        world.send(&room(number), 2).await;
    }
    for (number, mut tap) in taps {
        let head = world.head(&room(number)).await;
        let story = tap.read_to(head).await;
        let from = story.start.unwrap() - story.receipt.unwrap().0 as u64;
        story.check(from, &world.truth(&room(number)).await);
        assert_eq!(tap.now(), [], "seed {seed}");
    }
    world.stop().await;
}

/// Destinations that are opened by name at the very moment when something is on its way to them, which subscribers to a
/// pattern are owed, too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_subscribed_to_a_pattern_misses_nothing_when_others_join_by_name() {
    const DESTINATIONS: usize = 150;
    let seed = seed();
    let mut random = Random::new(seed);
    let world = World::new(Plan::default()).await;
    let mut everything = Tap::join_pattern(&world.edge, &Pattern::parse("/topic/rooms.*").unwrap());
    assert_eq!(everything.next().await, Seen::Receipt { position: None, recovered: None });
    let mut by_name = Vec::new();
    for number in 0..DESTINATIONS {
        let here = room(number);
        let publish = async {
            let first = world.publish(&message(&here, footfall::message::new_id(), 10)).await;
            for _ in 0..random.below(4) {
                tokio::task::yield_now().await;
            }
            let second = world.publish(&message(&here, footfall::message::new_id(), 10)).await;
            first.await.unwrap();
            second.await.unwrap();
        };
        let join = async {
            let pause = Random::new(seed ^ number as u64).below(1_500);
            tokio::time::sleep(Duration::from_micros(pause)).await;
            Tap::join(&world.edge, &here, Start::Now).await
        };
        by_name.push(tokio::join!(publish, join).1);
    }
    let mut last = vec![0; DESTINATIONS];
    let mut missing = DESTINATIONS * 2;
    while missing > 0 {
        let Seen::Message { destination, position, .. } = everything.next().await else { panic!("no message, seed {seed}") };
        let number = (0..DESTINATIONS).find(|number| room(*number) == destination).unwrap();
        last[number] = super::joining::follows(last[number], position);
        missing -= 1;
    }
    for (number, mut tap) in by_name.into_iter().enumerate() {
        tap.read_to(2).await.check_from_start(&world.truth(&room(number)).await);
    }
    until("calm", async || everything.now().is_empty()).await;
    world.stop().await;
}
